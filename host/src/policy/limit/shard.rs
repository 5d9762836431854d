//! A part of the counters, with its share of the bound. A hand goes around it like a clock's and drops
//! what is idle.

use indexmap::IndexMap;

use super::Now;
use super::counter::Counter;
use super::digest::{ByDigest, KeyDigest};
use crate::limits::limiter::{DISPLACE_SAMPLE, DISPLACE_STEPS_MAX, EXPIRE_STEPS};

pub struct Shard {
    counters: IndexMap<KeyDigest, Counter, ByDigest>,
    /// The place that is looked at next. May lie behind the last, which means the first.
    hand: usize,
    keys_max: usize,
    /// State of the lot that chooses among keys to displace.
    lot: u64,
}

impl Shard {
    pub fn new(keys_max: usize) -> Self {
        Shard {
            counters: IndexMap::default(),
            hand: 0,
            keys_max,
            lot: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.counters.len()
    }

    pub fn get(&self, digest: KeyDigest) -> Option<Counter> {
        self.counters.get(&digest).copied()
    }

    /// Writes a counter that has its place, or would be idle without one.
    pub fn set(&mut self, digest: KeyDigest, counter: Counter) {
        if let Some(stored) = self.counters.get_mut(&digest) {
            *stored = counter;
        }
    }

    /// Makes sure that this key has a place. Keys in `keep` stay where they are. False if there is no
    /// room, and of those looked at none can be displaced.
    pub fn place(
        &mut self,
        digest: KeyDigest,
        fresh: Counter,
        now: Now,
        keep: &[KeyDigest],
    ) -> bool {
        if self.counters.contains_key(&digest) {
            return true;
        }
        if self.counters.len() >= self.keys_max {
            // Nobody outside knows a digest, so nobody foresees the lot.
            self.lot ^= digest.shard_bits();
            if !self.displace(now, keep) {
                return false;
            }
        }
        self.counters.insert(digest, fresh);
        true
    }

    pub fn remove(&mut self, digest: KeyDigest) {
        self.counters.swap_remove(&digest);
    }

    /// Looks at keys drawn by lot, or at all if they are few. Neighbours would not do: they came at one
    /// time, so who used up some keys and then floods with others would find them side by side.
    fn displace(&mut self, now: Now, keep: &[KeyDigest]) -> bool {
        let count = self.counters.len();
        let few = count <= DISPLACE_STEPS_MAX;
        let mut seen = 0;
        let mut least: Option<((u128, u64), usize)> = None;
        for step in 0..count.min(DISPLACE_STEPS_MAX) {
            let index = if few { step } else { self.draw(count) };
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
            if seen == DISPLACE_SAMPLE && !few {
                break;
            }
        }
        least.is_some_and(|(_, index)| self.counters.swap_remove_index(index).is_some())
    }

    /// A number below this one (SplitMix64).
    fn draw(&mut self, below: usize) -> usize {
        self.lot = self.lot.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.lot;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // Scaled, so below it and a usize.
        ((u128::from(mixed) * below as u128) >> 64) as usize
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
