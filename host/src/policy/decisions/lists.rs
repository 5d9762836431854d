//! The lists of getters that a policy's decisions depend on, and digests of a request's values for them.

use std::sync::{Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use crate::http::facts::{Fact, Facts};
use crate::limits::decisions::{FACT_LISTS_MAX, FACT_NAME_BYTES_MAX, FACTS_MAX};

/// SHA-256 (FIPS 180-4).
pub type Digest = [u8; 32];

/// The keys that a request is filed under.
pub struct Keys {
    /// One for each list that was known when the request came.
    pub each: Vec<Digest>,
    /// One for all of them: equal for requests that no known list tells apart.
    pub all: Digest,
}

/// Lists are added and never change, so reading them needs no lock.
pub struct Lists {
    memory: u64,
    slots: [OnceLock<Box<[Fact]>>; FACT_LISTS_MAX],
    learning: Mutex<()>,
}

pub enum Learned {
    /// The list was known, and has this index.
    Known(usize),
    /// The list is new, and is known from now on.
    New(usize),
    /// There is no room for it, or it exceeds the bounds.
    Not,
}

impl Lists {
    pub fn new(memory: u64) -> Self {
        Lists {
            memory,
            slots: [const { OnceLock::new() }; FACT_LISTS_MAX],
            learning: Mutex::new(()),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[Fact]> {
        self.slots
            .iter()
            .map_while(|slot| slot.get().map(|list| &**list))
    }

    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Adds a list, unless there are `lists_max` already. The order of a call's questions does not matter,
    /// since the same values lead to the same questions in the same order. `file` is called with a new list
    /// and its index before any request is checked against it, so every such request finds what `file` has
    /// filed.
    pub fn learn(
        &self,
        mut facts: Vec<Fact>,
        lists_max: usize,
        file: impl FnOnce(usize, &[Fact]),
    ) -> Learned {
        facts.sort_unstable();
        facts.dedup();
        let name_bytes: usize = facts.iter().map(Fact::name_bytes).sum();
        if facts.len() > FACTS_MAX || name_bytes > FACT_NAME_BYTES_MAX {
            return Learned::Not;
        }
        let position = || self.iter().position(|list| *list == *facts);
        if let Some(index) = position() {
            return Learned::Known(index);
        }
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = position() {
            return Learned::Known(index);
        }
        let index = self.len();
        let Some(slot) = self.slots.get(index).filter(|_| index < lists_max) else {
            return Learned::Not;
        };
        file(index, &facts);
        match slot.set(facts.into()) {
            Ok(()) => Learned::New(index),
            Err(_) => Learned::Not,
        }
    }

    /// Returns the digest of a request's values for a list; `None` once more than `left` bytes were read.
    pub fn digest(
        &self,
        index: usize,
        list: &[Fact],
        facts: Facts<'_>,
        policy: &str,
        left: &mut usize,
    ) -> Option<Digest> {
        let mut context = self.context(index);
        for fact in list {
            *left = left.checked_sub(facts.effort(fact))?;
            let mut bytes = 0;
            facts.feed(fact, policy, |piece| {
                bytes += piece.len();
                context.update(piece);
            });
            *left = left.checked_sub(bytes)?;
        }
        Some(finish(context))
    }

    pub fn keys(&self, each: Vec<Digest>) -> Keys {
        let mut context = self.context(FACT_LISTS_MAX);
        for key in &each {
            context.update(key);
        }
        Keys {
            all: finish(context),
            each,
        }
    }

    fn context(&self, index: usize) -> Context {
        let mut context = Context::new(&SHA256);
        context.update(&self.memory.to_le_bytes());
        context.update(&(index as u64).to_le_bytes());
        context
    }
}

fn finish(context: Context) -> Digest {
    let mut digest = Digest::default();
    // The algorithm makes the lengths equal; `zip` spares us a panic if not.
    for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filed_by_a_new_list_is_there_before_the_list() {
        let lists = Lists::new(0);
        let mut filed = None;
        lists.learn(vec![Fact::Path], FACT_LISTS_MAX, |index, list| {
            filed = Some((index, list.to_vec(), lists.len()));
        });
        assert_eq!(filed, Some((0, vec![Fact::Path], 0)));
        let again = lists.learn(vec![Fact::Path], FACT_LISTS_MAX, |_, _| {
            panic!("it is known")
        });
        assert!(matches!(again, Learned::Known(0)));
    }
}
