//! What a call looked at, where its decision may be remembered.

use crate::http::facts::Fact;
use crate::limits::decisions::{FACT_NAME_BYTES_MAX, FACTS_MAX};

/// What a decision can hang on beside the values of getters: another request with the same values may
/// be decided otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependence {
    Body,
    Fetch,
    Kv,
    Clock,
    Random,
    KeySet,
    /// The request's identifier, which no other request has.
    Id,
    /// WASI, whose clocks and randomness are not told apart from the rest of it.
    Wasi,
    /// How much room others left for notes.
    Notes,
    /// More getters than are noted.
    Getters,
}

impl Dependence {
    const ALL: [(Dependence, &'static str); 10] = [
        (Dependence::Body, "read a body"),
        (Dependence::Fetch, "used `fetch`"),
        (Dependence::Kv, "used `kv`"),
        (Dependence::Clock, "read the clock"),
        (Dependence::Random, "used `random`"),
        (Dependence::KeySet, "verified a token with a key set"),
        (
            Dependence::Id,
            "read the request's identifier (`id`, or the header `x-request-id`, alone or among all headers)",
        ),
        (Dependence::Wasi, "called WASI"),
        (Dependence::Notes, "was refused a note"),
        (
            Dependence::Getters,
            "called more getters of the request than can be held against the next one",
        ),
    ];

    const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// Whether an author can answer for it: for a time the author names, it is taken not to change.
    fn can_be_answered_for(self) -> bool {
        matches!(self, Dependence::Fetch | Dependence::Kv)
    }
}

/// Some of the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dependences(u16);

impl Dependences {
    fn add(&mut self, source: Dependence) {
        self.0 |= source.bit();
    }

    fn has(self, source: Dependence) -> bool {
        self.0 & source.bit() != 0
    }

    fn without(self, others: Dependences) -> Dependences {
        Dependences(self.0 & !others.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What the call did, in words that follow "it".
    pub fn deeds(self) -> String {
        let deeds = Dependence::ALL
            .iter()
            .filter(|(source, _)| self.has(*source));
        let deeds: Vec<&str> = deeds.map(|(_, deed)| *deed).collect();
        deeds.join(" and ")
    }

    /// Whether the plugin's author could answer for all of them.
    pub fn can_be_answered_for(self) -> bool {
        let mut all = Dependence::ALL
            .iter()
            .filter(|(source, _)| self.has(*source));
        all.all(|(source, _)| source.can_be_answered_for())
    }
}

/// The getters that `authorize` called, each once, in the order of their first calls.
#[derive(Debug, Default)]
pub struct Reads {
    pub facts: Vec<Fact>,
    name_bytes: usize,
    /// What the call depended on beside them.
    sources: Dependences,
    /// Those of them that the plugin answers for.
    answered_for: Dependences,
    /// The notes that it wrote, which belong to what it did.
    pub writes: Vec<(String, String)>,
}

impl Reads {
    pub fn note(&mut self, fact: Fact) {
        if self.is_spoilt() || self.facts.contains(&fact) {
            return;
        }
        self.name_bytes += fact.name_bytes();
        if self.facts.len() >= FACTS_MAX || self.name_bytes > FACT_NAME_BYTES_MAX {
            self.depends_on(Dependence::Getters);
            return;
        }
        self.facts.push(fact);
    }

    pub fn wrote(&mut self, name: &str, value: &str) {
        if !self.is_spoilt() {
            self.writes.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Notes what the request does not show.
    pub fn depends_on(&mut self, source: Dependence) {
        self.sources.add(source);
        if self.is_spoilt() {
            self.facts.clear();
            self.writes.clear();
        }
    }

    /// Notes that the plugin answers for a source; whether before or after it is used does not matter.
    pub fn answers_for(&mut self, source: Dependence) {
        self.answered_for.add(source);
    }

    /// Whether nothing that the plugin may still say can make the decision one to remember.
    fn is_spoilt(&self) -> bool {
        !self.sources.can_be_answered_for()
    }

    /// Itself, if a decision made from it can be used again; else what stands in the way.
    pub fn finish(self) -> Result<Reads, Dependences> {
        let unanswered = self.sources.without(self.answered_for);
        // What is spoilt has no facts any more, and must never count as a decision without any.
        if self.is_spoilt() || !unanswered.is_empty() {
            return Err(unanswered);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sources: &[Dependence], answered_for: &[Dependence]) -> Reads {
        let mut reads = Reads::default();
        reads.note(Fact::Method);
        sources.iter().for_each(|source| reads.depends_on(*source));
        reads.note(Fact::Path);
        reads.wrote("n", "1");
        answered_for
            .iter()
            .for_each(|source| reads.answers_for(*source));
        reads
    }

    #[test]
    fn what_is_answered_for_leaves_all_getters_in_the_key() {
        for sources in [
            &[][..],
            &[Dependence::Fetch],
            &[Dependence::Kv],
            &[Dependence::Fetch, Dependence::Kv],
        ] {
            let reads = read(sources, &[Dependence::Kv, Dependence::Fetch]).finish();
            let reads = reads.unwrap_or_else(|left| panic!("{sources:?}: {left:?}"));
            assert_eq!(reads.facts, [Fact::Method, Fact::Path]);
            assert_eq!(reads.writes.len(), 1);
        }
    }

    #[test]
    fn each_source_is_answered_for_by_itself() {
        for (used, answered_for, left) in [
            (&[Dependence::Fetch][..], &[][..], "used `fetch`"),
            (&[Dependence::Fetch], &[Dependence::Kv], "used `fetch`"),
            (&[Dependence::Kv], &[Dependence::Fetch], "used `kv`"),
            (
                &[Dependence::Fetch, Dependence::Kv],
                &[],
                "used `fetch` and used `kv`",
            ),
            (
                &[Dependence::Fetch, Dependence::Clock],
                &[Dependence::Fetch],
                "read the clock",
            ),
        ] {
            let sources = read(used, answered_for).finish().unwrap_err();
            assert_eq!(sources.deeds(), left);
        }
    }

    #[test]
    fn nobody_answers_for_the_rest() {
        for (source, deed) in Dependence::ALL {
            let finished = read(&[source], &[source]).finish();
            assert_eq!(finished.is_ok(), source.can_be_answered_for(), "{deed}");
        }
        let left = read(&[Dependence::Body], &[]).finish().unwrap_err();
        assert_eq!(left.deeds(), "read a body");
        assert!(!left.can_be_answered_for());
    }

    #[test]
    fn too_many_getters_are_said() {
        let mut reads = Reads::default();
        for name in 0..=FACTS_MAX {
            reads.note(Fact::Header(name.to_string()));
        }
        let left = reads.finish().unwrap_err();
        assert!(left.deeds().contains("more getters"), "{}", left.deeds());
    }
}
