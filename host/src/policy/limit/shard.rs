//! A part of the counters, with its share of the bound. A hand goes around it like a clock's: it drops
//! what is idle, and it is where a displaced key is looked for.

use indexmap::IndexMap;

use super::counter::Counter;
use super::digest::{ByDigest, Digest};
use super::{DISPLACE_SAMPLE, DISPLACE_STEPS_MAX, EXPIRE_STEPS, Now};

pub struct Shard {
    counters: IndexMap<Digest, Counter, ByDigest>,
    /// The place that is looked at next. May lie behind the last, which means the first.
    hand: usize,
    keys_max: usize,
}

impl Shard {
    pub fn new(keys_max: usize) -> Self {
        Shard {
            counters: IndexMap::default(),
            hand: 0,
            keys_max,
        }
    }

    pub fn len(&self) -> usize {
        self.counters.len()
    }

    pub fn get(&self, digest: Digest) -> Option<Counter> {
        self.counters.get(&digest).copied()
    }

    /// Writes a counter that has its place, or would be idle without one.
    pub fn set(&mut self, digest: Digest, counter: Counter) {
        if let Some(stored) = self.counters.get_mut(&digest) {
            *stored = counter;
        }
    }

    /// Makes sure that this key has a place. Keys in `keep` stay where they are. False if there is no
    /// room, and of those looked at none can be displaced.
    pub fn place(&mut self, digest: Digest, fresh: Counter, now: Now, keep: &[Digest]) -> bool {
        if self.counters.contains_key(&digest) {
            return true;
        }
        if self.counters.len() >= self.keys_max && !self.displace(now, keep) {
            return false;
        }
        self.counters.insert(digest, fresh);
        true
    }

    pub fn remove(&mut self, digest: Digest) {
        self.counters.swap_remove(&digest);
    }

    fn displace(&mut self, now: Now, keep: &[Digest]) -> bool {
        let mut seen = 0;
        let mut least: Option<((u128, u64), usize)> = None;
        for _ in 0..DISPLACE_STEPS_MAX.min(self.counters.len()) {
            let index = self.under_hand();
            self.hand = index + 1;
            let Some((digest, counter)) = self.counters.get_index(index) else {
                break;
            };
            let Some(worth) = counter.worth(now) else {
                continue;
            };
            if keep.contains(digest) {
                continue;
            }
            if least.is_none_or(|(least, _)| worth < least) {
                least = Some((worth, index));
            }
            seen += 1;
            if seen == DISPLACE_SAMPLE {
                break;
            }
        }
        least.is_some_and(|(_, index)| self.counters.swap_remove_index(index).is_some())
    }

    /// Drops what is idle among the next few. What takes the place of a dropped one came from the end
    /// and is looked at next.
    pub fn expire(&mut self, now: Now) {
        for _ in 0..EXPIRE_STEPS {
            let index = self.under_hand();
            match self.counters.get_index(index) {
                Some((_, counter)) if counter.idle(now) => {
                    self.counters.swap_remove_index(index);
                    self.hand = index;
                }
                Some(_) => self.hand = index + 1,
                None => return,
            }
        }
    }

    /// Drops all that is idle, and gives memory back where most of it is unused.
    pub fn sweep(&mut self, now: Now) {
        self.counters.retain(|_, counter| !counter.idle(now));
        if self.counters.capacity() / 4 > self.counters.len() {
            self.counters.shrink_to(self.counters.len() * 2);
        }
    }

    fn under_hand(&self) -> usize {
        if self.hand < self.counters.len() {
            self.hand
        } else {
            0
        }
    }
}
