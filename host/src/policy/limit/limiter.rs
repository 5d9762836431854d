//! All counters of a gateway. The parent module explains the design.
//!
//! Our own shards, not `dashmap`: one request locks the shards of all of its counters at once, in ascending order,
//! whereas two locked entries of a `dashmap` may be in one shard and deadlock. And the hand goes round a shard by
//! index, which a map without an order does not have.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::calendar::Calendar;
use super::counted::Counted;
use super::counter::{Counter, Finding};
use super::digest::{Digester, KeyDigest};
use super::kinds::check;
use super::shard::Shard;
use super::{BadLimits, Limit, Now, ScopeNames};
use crate::limits::limiter::{LIMIT_SHARD_KEYS_MIN, LIMIT_SHARDS_MAX};

pub struct Limiter {
    /// Their number is a power of two.
    shards: Box<[Mutex<Shard>]>,
    digester: Digester,
    calendar: Calendar,
}

impl Limiter {
    /// Creates a limiter for at most this many keys, and at least one. Each shard gets an equal share, so by
    /// chance one displaces a little before all are full: at some 98% of a million keys, 94% of 100,000.
    pub fn new(keys_max: usize) -> Self {
        let keys_max = keys_max.max(1);
        let most = (keys_max / LIMIT_SHARD_KEYS_MIN).clamp(1, LIMIT_SHARDS_MAX);
        let count = 1 << most.ilog2();
        let shards = (0..count).map(|_| Mutex::new(Shard::new(keys_max / count)));
        Limiter {
            shards: shards.collect(),
            digester: Digester::new(),
            calendar: Calendar::default(),
        }
    }

    /// Judges a request by all limits, and charges its cost to all of them if none refuses.
    pub(super) fn count(
        &self,
        place: ScopeNames<'_>,
        limits: &[Limit],
        now: Now,
    ) -> Result<Vec<Counted>, BadLimits> {
        check(limits)?;
        let digests = limits
            .iter()
            .map(|limit| self.digester.digest(place, limit));
        let digests: Vec<KeyDigest> = digests.collect();
        check_distinct(limits, &digests)?;

        let mut locked = self.lock(&digests);
        for shard in &mut locked.shards {
            shard.expire(now);
        }
        let judged = limits.iter().zip(&digests).map(|(limit, &digest)| {
            let stored = locked.shard(digest).get(digest);
            Counted::judge(limit, digest, stored, &self.calendar, now)
        });
        let mut counted: Vec<Counted> = judged.collect();
        if !refused(&counted) {
            make_room(&mut locked, &mut counted, &digests, now);
        }
        if !refused(&counted) {
            for counted in counted.iter_mut().filter(|counted| counted.is_charged()) {
                counted.charge();
                locked
                    .shard(counted.digest)
                    .set(counted.digest, counted.counter);
            }
        }
        drop(locked);
        for counted in &mut counted {
            counted.report(now);
        }
        Ok(counted)
    }

    pub(super) fn settle(&self, counted: &mut Counted, cost: u64, now: Now) {
        let Some(charged) = counted.charged else {
            return;
        };
        let bound = counted.standing.bound;
        let mut shard = self.shard(counted.digest);
        let mut counter = Counter::at(shard.get(counted.digest), &bound, &self.calendar, now);
        if let (Counter::Quota { window, .. }, Some(ours)) = (counter, counted.standing.window)
            && window != ours
        {
            return;
        }
        if cost > charged {
            // The key may have expired or been displaced since. Without room the debt cannot be recorded.
            if !shard.place(counted.digest, counter, now, &[counted.digest]) {
                return;
            }
            counted.charged = Some(charged + counter.take(&bound, cost - charged));
        } else {
            counter.give_back(&bound, charged - cost);
            counted.charged = Some(cost);
        }
        store(&mut shard, counted.digest, counter);
        drop(shard);
        counted.counter = counter;
        counted.report(now);
    }

    pub(super) fn release(&self, digest: KeyDigest, held: u64) {
        let mut shard = self.shard(digest);
        if let Some(Counter::Concurrent { held: all }) = shard.get(digest) {
            let held = all.saturating_sub(held);
            store(&mut shard, digest, Counter::Concurrent { held });
        }
    }

    /// Drops every idle key. Called by a timer, since without traffic no charge drops any; a shard is locked
    /// for some 10 ns per key.
    pub fn sweep(&self, now: Now) {
        for shard in &self.shards {
            lock(shard).sweep(now);
        }
    }

    /// Returns the number of keys, idle ones included.
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, digest: KeyDigest) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.index(digest)])
    }

    fn index(&self, digest: KeyDigest) -> usize {
        digest.shard_bits() as usize & (self.shards.len() - 1)
    }

    /// Locks the shards of these digests, each once and in ascending order, so that no two requests deadlock.
    fn lock(&self, digests: &[KeyDigest]) -> Locked<'_> {
        let bits = digests.iter().map(|&digest| 1_u64 << self.index(digest));
        let set = bits.fold(0, |set, bit| set | bit);
        let members = (0..self.shards.len()).filter(|index| set & 1 << index != 0);
        Locked {
            limiter: self,
            set,
            shards: members.map(|index| lock(&self.shards[index])).collect(),
        }
    }
}

/// Nothing panics while a shard is locked; if it did, a count off by one would be better than no answers.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Locked<'a> {
    limiter: &'a Limiter,
    /// A bit for each locked shard.
    set: u64,
    /// In the order of their bits.
    shards: Vec<MutexGuard<'a, Shard>>,
}

impl Locked<'_> {
    fn shard(&mut self, digest: KeyDigest) -> &mut Shard {
        let below = (1_u64 << self.limiter.index(digest)) - 1;
        &mut self.shards[(self.set & below).count_ones() as usize]
    }
}

fn refused(counted: &[Counted]) -> bool {
    counted.iter().any(|counted| counted.standing.refuses())
}

/// Gives every counter that will be charged a place, before any is charged. If one gets no place, those
/// already placed are idle, and expire.
fn make_room(locked: &mut Locked<'_>, counted: &mut [Counted], keep: &[KeyDigest], now: Now) {
    for counted in counted {
        // A counter that nothing is taken from needs no place.
        if counted.cost == 0 || !counted.is_charged() {
            continue;
        }
        let shard = locked.shard(counted.digest);
        if !shard.place(counted.digest, counted.counter, now, keep) {
            counted.standing.finding = Finding::NoRoom;
            if counted.standing.enforce {
                return;
            }
        }
    }
}

/// Writes a counter if it has a place. A `concurrent` one without holders is removed, and the next holder
/// brings it back; other idle ones wait for the hand.
fn store(shard: &mut Shard, digest: KeyDigest, counter: Counter) {
    if counter == (Counter::Concurrent { held: 0 }) {
        shard.remove(digest);
    } else {
        shard.set(digest, counter);
    }
}

/// Refuses two limits on one counter, which would count each request twice.
fn check_distinct(limits: &[Limit], digests: &[KeyDigest]) -> Result<(), BadLimits> {
    for (index, digest) in digests.iter().enumerate() {
        if let Some(other) = digests[..index].iter().position(|other| other == digest) {
            return Err(BadLimits(format!(
                "limits \"{}\" and \"{}\" have one scope, kind, period and key, so they would share a \
                 counter: add a part to the key of one",
                limits[other].name, limits[index].name
            )));
        }
    }
    Ok(())
}
