//! Remembered decisions of authorizers. As with `Vary` (RFC 9110, section 12.5.5), a decision is used again
//! only for a request that gives every getter that the plugin called the same value again.
//!
//! Which getters those are is learned from the answers: each policy keeps a few lists of them. A plugin that
//! gets the same values asks the same questions, so one list with the same values is enough to know the
//! answer. Values are only kept as digests.
//!
//! Of identical requests that come at once, one asks and the others wait for its answer. Requests count as
//! identical if they agree in all lists, so callers who differ in a list, for example by their tokens, never
//! wait for each other. Until a list is learned all requests are alike: the first asks, and the list it
//! teaches separates the others. A request whose decision is not remembered is marked, and later ones like it
//! do not wait.

mod flights;
mod lists;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::{Instant, timeout_at};

use crate::http::facts::{Fact, Facts};
use crate::limits::decisions::{
    ANSWER_WAIT_MAX, ANSWER_WAITS_MAX, DECISION_BYTES_MAX, DECISION_OVERHEAD_BYTES,
    FACT_LISTS_DECLINED_MAX, FACT_LISTS_MAX, RECALL_BYTES_MAX, REMEMBER_MAX,
};
use flights::{Declined, Flight, Flights, Turn};
use lists::{Digest, Keys, Learned, Lists};

/// The weight of a remembered decision.
pub trait Weigh {
    /// Returns the memory that it takes, in bytes.
    fn bytes(&self) -> usize;
}

/// The decisions of all policies of the gateway, within one bound. The least used make room for new ones;
/// expired ones, and those of removed policies, leave the same way.
pub struct Decisions<T> {
    store: Cache<Digest, Remembered<T>, Bytes>,
}

struct Remembered<T> {
    decision: Arc<T>,
    until: Instant,
    bytes: u64,
}

impl<T> Clone for Remembered<T> {
    fn clone(&self) -> Self {
        Remembered {
            decision: Arc::clone(&self.decision),
            until: self.until,
            bytes: self.bytes,
        }
    }
}

#[derive(Clone)]
struct Bytes;

impl<T> Weighter<Digest, Remembered<T>> for Bytes {
    fn weight(&self, _: &Digest, kept: &Remembered<T>) -> u64 {
        kept.bytes
    }
}

impl<T: Weigh> Decisions<T> {
    pub fn new(bytes_max: u64) -> Arc<Self> {
        /// Only for the first size of the tables: an API key's grant.
        const USUAL_BYTES: u64 = 512;
        let usual = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX);
        // The tables grow as needed; a large bound need not take memory at once.
        let first = usual.min(16 << 10);
        Arc::new(Decisions {
            store: Cache::with_weighter(first, bytes_max, Bytes),
        })
    }

    fn get(&self, key: &Digest, now: Instant) -> Option<Arc<T>> {
        let kept = self.store.get(key)?;
        (now < kept.until).then_some(kept.decision)
    }

    /// Returns whether it is kept: the store may be full of decisions that are used more.
    fn put(&self, key: Digest, decision: &Arc<T>, until: Instant) -> Result<bool, NotKept> {
        let bytes = decision.bytes();
        if bytes > DECISION_BYTES_MAX {
            return Err(NotKept::TooLarge {
                bytes,
                most: DECISION_BYTES_MAX,
            });
        }
        let kept = Remembered {
            decision: Arc::clone(decision),
            until,
            bytes: (bytes + DECISION_OVERHEAD_BYTES) as u64,
        };
        self.store.insert(key, kept);
        Ok(self.store.contains_key(&key))
    }

    /// Returns the weight of all decisions now, in bytes.
    pub fn bytes(&self) -> u64 {
        self.store.weight()
    }
}

/// The decisions of one policy with one configuration. A new configuration starts a new memory, which finds
/// no older decisions.
pub struct Memory<T> {
    decisions: Arc<Decisions<T>>,
    policy: Arc<str>,
    /// The longest that a decision is remembered.
    at_most: Duration,
    /// Whether the operator was told that a decision was not kept.
    told: AtomicBool,
    lists: Lists,
    flights: Flights,
    declined: Declined,
    /// [`ANSWER_WAIT_MAX`].
    wait: Duration,
}

/// The result of looking for a request's decision.
pub enum Recalled<'m, T> {
    /// The plugin would decide like this.
    Known(Arc<T>),
    /// Ask the plugin.
    Ask(Asking<'m, T>),
}

/// A request's turn to ask the plugin. Other requests may wait for its answer. If it is dropped without one,
/// one of them asks in its place.
pub struct Asking<'m, T> {
    memory: &'m Memory<T>,
    /// `None` for a request that is too costly to check against the lists.
    keys: Option<Keys>,
    /// `None` if it asks alone, so that no other request can wait for it.
    _flight: Option<Flight<'m>>,
}

impl<T: Weigh> Memory<T> {
    /// `at_most` is what the operator allows, capped at a day.
    pub fn new(decisions: &Arc<Decisions<T>>, policy: Arc<str>, at_most: Duration) -> Self {
        // Part of every digest, so that no two memories of the process can share an entry.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Memory {
            decisions: Arc::clone(decisions),
            policy,
            at_most: at_most.min(REMEMBER_MAX),
            told: AtomicBool::new(false),
            lists: Lists::new(NEXT.fetch_add(1, Ordering::Relaxed)),
            flights: Flights::default(),
            declined: Declined::new(),
            wait: ANSWER_WAIT_MAX,
        }
    }

    /// Whether this memory was made with this bound.
    pub fn is_bounded_by(&self, at_most: Duration) -> bool {
        self.at_most == at_most.min(REMEMBER_MAX)
    }

    /// Returns how much of this time a decision may be remembered; `None` if not at all.
    pub fn allowed(&self, time: Duration) -> Option<Duration> {
        Some(time.min(self.at_most)).filter(|time| !time.is_zero())
    }

    /// Whether this is the first time the operator is told that a decision was not kept.
    pub fn tells_first(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// Returns the known decision, or the turn to ask; waits a bounded time if an identical request is
    /// asking.
    pub async fn recall(&self, facts: Facts<'_>) -> Recalled<'_, T> {
        let deadline = Instant::now() + self.wait;
        for _ in 0..ANSWER_WAITS_MAX {
            let keys = match self.look_up(facts) {
                Ok(decision) => return Recalled::Known(decision),
                Err(Some(keys)) => keys,
                Err(None) => return self.alone(None),
            };
            if self.declined.has(&keys.all) {
                return self.alone(Some(keys));
            }
            let changed = || self.lists.len() != keys.each.len() || self.any(&keys).is_some();
            let mut ended = match self.flights.turn(keys.all, changed) {
                Turn::Ask(flight) => {
                    return Recalled::Ask(Asking {
                        memory: self,
                        keys: Some(keys),
                        _flight: Some(flight),
                    });
                }
                Turn::LookAgain => continue,
                Turn::TooMany => return self.alone(Some(keys)),
                Turn::Wait(ended) => ended,
            };
            // The sender is only ever dropped, which ends the flight and is an error here.
            if timeout_at(deadline, ended.changed()).await.is_err() {
                break;
            }
        }
        match self.look_up(facts) {
            Ok(decision) => Recalled::Known(decision),
            Err(keys) => self.alone(keys),
        }
    }

    fn alone(&self, keys: Option<Keys>) -> Recalled<'_, T> {
        Recalled::Ask(Asking {
            memory: self,
            keys,
            _flight: None,
        })
    }

    /// Returns the decision, or the keys it would be filed under; no keys if they are too costly to compute.
    fn look_up(&self, facts: Facts<'_>) -> Result<Arc<T>, Option<Keys>> {
        let now = Instant::now();
        let mut left = RECALL_BYTES_MAX;
        let mut each = Vec::new();
        for (index, list) in self.lists.iter().enumerate() {
            let key = self
                .lists
                .digest(index, list, facts, &self.policy, &mut left)
                .ok_or(None)?;
            if let Some(decision) = self.decisions.get(&key, now) {
                return Ok(decision);
            }
            each.push(key);
        }
        Err(Some(self.lists.keys(each)))
    }

    fn any(&self, keys: &Keys) -> Option<Arc<T>> {
        let now = Instant::now();
        let mut each = keys.each.iter();
        each.find_map(|key| self.decisions.get(key, now))
    }

    /// Files a decision with these reads, under the request's values for them. `None` if it can only be filed
    /// from the next request on.
    fn file(
        &self,
        keys: &Keys,
        after: Facts<'_>,
        reads: Vec<Fact>,
        decision: &Arc<T>,
        until: Instant,
    ) -> Option<Result<bool, NotKept>> {
        let changes = reads.iter().any(Fact::changes_in_a_visit);
        let put = |key| self.decisions.put(key, decision, until);
        // Files by a list that is newer than the request, whose values are computed now. Values that the
        // visit may have changed are not those the plugin saw: then only the next request is checked against
        // the list, before its visit.
        let put_late = |index, list: &[Fact]| {
            let mut left = RECALL_BYTES_MAX;
            let list = Some(list).filter(|_| !changes)?;
            let key = self
                .lists
                .digest(index, list, after, &self.policy, &mut left);
            key.map(put)
        };
        let mut filed = None;
        let learned = self.lists.learn(reads, FACT_LISTS_MAX, |index, list| {
            filed = put_late(index, list);
        });
        match learned {
            Learned::New(_) => filed,
            Learned::Known(index) => match keys.each.get(index) {
                Some(key) => Some(put(*key)),
                None => put_late(index, self.lists.iter().nth(index)?),
            },
            Learned::Not => Some(Err(NotKept::TooManyLists {
                most: FACT_LISTS_MAX,
            })),
        }
    }
}

/// Why a plugin's decisions are not kept. The cause is the plugin, not a request or the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    TooLarge {
        bytes: usize,
        most: usize,
    },
    /// It reads requests in more ways than are learned.
    TooManyLists {
        most: usize,
    },
}

impl<T: Weigh> Asking<'_, T> {
    /// Remembers the plugin's decision for a time. `after` is the request as the call left it, before
    /// anything else changes it; `reads` are all the getters that the call used.
    ///
    /// # Errors
    /// If such a decision is never kept.
    pub fn learn(
        self,
        after: Facts<'_>,
        reads: Vec<Fact>,
        time: Duration,
        decision: &Arc<T>,
    ) -> Result<(), NotKept> {
        let Some(keys) = &self.keys else {
            return Ok(());
        };
        let memory = self.memory;
        let Some(time) = memory.allowed(time) else {
            self.decline(Some(reads));
            return Ok(());
        };
        let until = Instant::now() + time;
        let Some(kept) = memory.file(keys, after, reads, decision, until) else {
            return Ok(());
        };
        match kept {
            Ok(true) => memory.declined.clear(&keys.all),
            Ok(false) | Err(_) => memory.declined.mark(&keys.all),
        }
        kept.map(|_| ())
    }

    /// Notes that there is nothing to remember: the plugin said so, or faulted. Identical requests do not
    /// wait for each other until one has a decision to remember. `reads` tell such requests from others, if
    /// the call depended on nothing else.
    pub fn decline(self, reads: Option<Vec<Fact>>) {
        let Some(keys) = &self.keys else { return };
        let memory = self.memory;
        let learned = reads.map(|reads| {
            let nothing = |_, _: &[Fact]| {};
            memory.lists.learn(reads, FACT_LISTS_DECLINED_MAX, nothing)
        });
        // A list that is new to this request may tell it from the others.
        let parted = match learned {
            Some(Learned::New(index) | Learned::Known(index)) => index >= keys.each.len(),
            Some(Learned::Not) | None => false,
        };
        if !parted {
            memory.declined.mark(&keys.all);
        }
    }
}
