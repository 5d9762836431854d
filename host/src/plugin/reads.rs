//! What a call looked at, where its decision may be remembered.

use crate::http::facts::Fact;
use crate::limits::{FACT_NAME_BYTES_MAX, FACTS_MAX};

/// The getters that `authorize` called, each once, in the order of their first calls.
#[derive(Debug, Default)]
pub struct Reads {
    pub facts: Vec<Fact>,
    name_bytes: usize,
    /// Whether the call depended on something that no request shows, or on too much to note.
    spoilt: bool,
    /// The notes that it wrote, which belong to what it did.
    pub writes: Vec<(String, String)>,
}

impl Reads {
    pub fn note(&mut self, fact: Fact) {
        if self.spoilt || self.facts.contains(&fact) {
            return;
        }
        self.name_bytes += fact.name_bytes();
        if self.facts.len() >= FACTS_MAX || self.name_bytes > FACT_NAME_BYTES_MAX {
            self.spoil();
            return;
        }
        self.facts.push(fact);
    }

    pub fn wrote(&mut self, name: &str, value: &str) {
        if !self.spoilt {
            self.writes.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Notes a body, kv, fetch, the clock, random, a key set, or the request's own identifier.
    pub fn spoil(&mut self) {
        self.spoilt = true;
        self.facts.clear();
        self.writes.clear();
    }

    /// Itself, if a decision made from it can be used again.
    pub fn finish(self) -> Option<Reads> {
        (!self.spoilt).then_some(self)
    }
}
