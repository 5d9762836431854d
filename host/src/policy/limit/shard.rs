//! A part of the counters, with its share of the bound. A hand goes around it like a clock's and drops idle
//! counters.

use indexmap::IndexMap;

use super::Now;
use super::counter::Counter;
use super::digest::{ByDigest, KeyDigest};
use crate::limits::limiter::{DISPLACE_SAMPLE, DISPLACE_STEPS_MAX, EXPIRE_STEPS};

/// The rank of a counter for displacement, lowest first ([`Counter::worth`]).
type Worth = (u128, u64);

/// That of an idle counter.
const IDLE: Worth = (0, 0);

/// What was drawn of one place.
struct Seen {
    place: u16,
    count: usize,
    /// The lowest rank, and where it is.
    least: (Worth, usize),
}

pub struct Shard {
    counters: IndexMap<KeyDigest, Counter, ByDigest>,
    /// The index that is checked next. May be past the last, which means the first.
    hand: usize,
    keys_max: usize,
    /// State of the generator that draws keys to displace.
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

    /// Writes a counter if it has a place; one without is idle and need not be written.
    pub fn set(&mut self, digest: KeyDigest, counter: Counter) {
        if let Some(stored) = self.counters.get_mut(&digest) {
            *stored = counter;
        }
    }

    /// Makes sure that this key has a place. Keys in `keep` are not displaced. Returns false if there is no
    /// room and none of the keys looked at can be displaced.
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
            // No client knows a digest, so none can predict the draw.
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

    /// Looks at keys drawn at random, or at all if they are few. Neighbours would not do: they came at one
    /// time, so a client that used up some keys and then floods with others would find them side by side.
    ///
    /// Of these, the place that has the most gives one up, unless one is idle: a flood of keys displaces its own,
    /// and no counter of a limit that has few.
    fn displace(&mut self, now: Now, keep: &[KeyDigest]) -> bool {
        let count = self.counters.len();
        let few = count <= DISPLACE_STEPS_MAX;
        let mut seen = 0;
        // By place: how many were seen, and the first to go.
        let mut places: Vec<Seen> = Vec::with_capacity(DISPLACE_SAMPLE);
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
            let place = digest.place_bits();
            match places.iter_mut().find(|known| known.place == place) {
                Some(known) => {
                    known.count += 1;
                    known.least = known.least.min((worth, index));
                }
                None => places.push(Seen {
                    place,
                    count: 1,
                    least: (worth, index),
                }),
            }
            seen += 1;
            if seen == DISPLACE_SAMPLE && !few {
                break;
            }
        }
        let idle = places.iter().find(|seen| seen.least.0 == IDLE);
        let largest = || {
            let by_count = |seen: &&Seen| (seen.count, std::cmp::Reverse(seen.least));
            places.iter().max_by_key(by_count)
        };
        let gives = idle.or_else(largest).map(|seen| seen.least.1);
        gives.is_some_and(|index| self.counters.swap_remove_index(index).is_some())
    }

    /// Returns a pseudo-random number below this one (SplitMix64).
    fn draw(&mut self, below: usize) -> usize {
        self.lot = self.lot.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.lot;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // Scaled to be below `below`, so it fits a usize.
        ((u128::from(mixed) * below as u128) >> 64) as usize
    }

    /// Drops the idle ones among the next few. The last counter takes a dropped one's place and is checked
    /// next.
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

    /// Drops all idle counters, and gives memory back if most of it is unused.
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
