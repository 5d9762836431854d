//! The state that plugins keep between calls (`kv` in `wit/host.wit`): values under keys, in each plugin's
//! own namespace, in the memory of the process.
//!
//! One bound in bytes covers all namespaces. When it is exceeded, the largest namespace evicts an entry, so
//! one with less than an equal share never loses anything to another. Within a namespace a hand goes round
//! (CLOCK, second chance): an entry that was read since it last passed stays once more.
//!
//! The namespaces are the shards: no two plugins share one, and one lock guards each one's hand and byte count, which
//! a `dashmap`'s shards would not offer.

mod entries;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::limits::kv::{KV_KEY_BYTES_MAX, KV_VALUE_BYTES_MAX};
use bytes::Bytes;
use entries::{Entries, weight};
use indexmap::IndexMap;

/// All namespaces.
pub struct Kv {
    bytes_max: usize,
    /// The size of all namespaces. Between a write and making room for it, this may exceed the bound by the
    /// size of the write.
    bytes: AtomicUsize,
    namespaces: RwLock<IndexMap<Arc<str>, Arc<Namespace>>>,
    /// The turn of the next namespace to sweep.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Namespace {
    entries: Mutex<Entries>,
    /// A copy of the count in `entries`, readable without the lock.
    bytes: AtomicUsize,
}

impl Kv {
    pub fn new(bytes_max: u64) -> Arc<Kv> {
        Arc::new(Kv {
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            bytes: AtomicUsize::new(0),
            namespaces: RwLock::default(),
            turn: AtomicUsize::new(0),
        })
    }

    /// # Errors
    /// If the key is too long.
    pub fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>, String> {
        self.get_at(plugin, key, Instant::now())
    }

    /// Sets a value for a time; `None` keeps it until it is evicted.
    ///
    /// # Errors
    /// If key or value are too long.
    pub fn set(
        &self,
        plugin: &str,
        key: &str,
        value: Vec<u8>,
        ttl: Option<Duration>,
    ) -> Result<(), String> {
        self.set_at(plugin, key, value, ttl, Instant::now())
    }

    /// # Errors
    /// If the key is too long.
    pub fn delete(&self, plugin: &str, key: &str) -> Result<(), String> {
        self.check(key, 0)?;
        self.write(plugin, Instant::now(), |entries| {
            entries.remove(key);
            Ok(())
        })
    }

    /// Adds to a whole number, which is kept in decimal digits; returns the sum. `ttl` only applies if the
    /// key is new.
    ///
    /// # Errors
    /// If the key is too long, its value is not such a number, or the sum exceeds 64 bits.
    pub fn add(
        &self,
        plugin: &str,
        key: &str,
        delta: i64,
        ttl: Option<Duration>,
    ) -> Result<i64, String> {
        self.add_at(plugin, key, delta, ttl, Instant::now())
    }

    /// Sets the value only if it is `expected` now (`None`: there is no value); returns whether it was.
    ///
    /// # Errors
    /// If key or value are too long.
    pub fn replace(
        &self,
        plugin: &str,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
        ttl: Option<Duration>,
    ) -> Result<bool, String> {
        self.replace_at(plugin, key, expected, value, ttl, Instant::now())
    }

    /// Returns the size of all entries now, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn get_at(&self, plugin: &str, key: &str, now: Instant) -> Result<Option<Bytes>, String> {
        self.check(key, 0)?;
        let Some(namespace) = self.existing(plugin) else {
            return Ok(None);
        };
        let mut entries = namespace.lock();
        let value = entries.live(key, now).map(|entry| {
            entry.was_read = true;
            entry.value.clone()
        });
        self.account(&namespace, &entries);
        Ok(value)
    }

    fn set_at(
        &self,
        plugin: &str,
        key: &str,
        value: Vec<u8>,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<(), String> {
        self.check(key, value.len())?;
        let value = exact(value);
        self.write(plugin, now, |entries| {
            entries.put(key, value, until(ttl, now));
            Ok(())
        })
    }

    fn add_at(
        &self,
        plugin: &str,
        key: &str,
        delta: i64,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<i64, String> {
        /// The longest number of 64 bits.
        const DIGITS: usize = 20;
        self.check(key, DIGITS)?;
        self.write(plugin, now, |entries| {
            let Some(entry) = entries.live(key, now) else {
                entries.put(key, delta.to_string().into(), until(ttl, now));
                return Ok(delta);
            };
            let number = whole(&entry.value).ok_or("the value is not a whole number")?;
            let sum = number.checked_add(delta);
            let sum = sum.ok_or("the sum would be beyond 64 bits")?;
            let until = entry.until;
            entries.put(key, sum.to_string().into(), until);
            Ok(sum)
        })
    }

    fn replace_at(
        &self,
        plugin: &str,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<bool, String> {
        self.check(key, value.len())?;
        let value = exact(value);
        self.write(plugin, now, |entries| {
            let current = entries.live(key, now).map(|entry| &entry.value[..]);
            let as_expected = current == expected;
            if as_expected {
                entries.put(key, value, until(ttl, now));
            }
            Ok(as_expected)
        })
    }

    fn check(&self, key: &str, value_bytes: usize) -> Result<(), String> {
        if key.len() > KV_KEY_BYTES_MAX {
            return Err(format!(
                "the key has {} bytes; at most {KV_KEY_BYTES_MAX} are taken",
                key.len()
            ));
        }
        if value_bytes > KV_VALUE_BYTES_MAX {
            return Err(format!(
                "the value has {value_bytes} bytes; at most {KV_VALUE_BYTES_MAX} are kept"
            ));
        }
        if value_bytes > 0 && weight(key, value_bytes) > self.bytes_max {
            return Err(format!(
                "the value has {value_bytes} bytes; the store has room for {} in all",
                self.bytes_max
            ));
        }
        Ok(())
    }

    /// Changes a plugin's entries atomically, then sweeps and makes room.
    fn write<T>(
        &self,
        plugin: &str,
        now: Instant,
        change: impl FnOnce(&mut Entries) -> Result<T, String>,
    ) -> Result<T, String> {
        let namespace = self.namespace(plugin);
        let result = {
            let mut entries = namespace.lock();
            let result = change(&mut entries);
            entries.sweep(now);
            self.account(&namespace, &entries);
            result
        };
        self.sweep_another(now);
        self.make_room(now);
        result
    }

    fn existing(&self, plugin: &str) -> Option<Arc<Namespace>> {
        let namespaces = self.namespaces.read();
        let namespaces = namespaces.unwrap_or_else(PoisonError::into_inner);
        namespaces.get(plugin).cloned()
    }

    /// Returns a plugin's namespace. There is one for each plugin that ever had the grant in this process.
    fn namespace(&self, plugin: &str) -> Arc<Namespace> {
        if let Some(namespace) = self.existing(plugin) {
            return namespace;
        }
        let namespaces = self.namespaces.write();
        let mut namespaces = namespaces.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(namespaces.entry(Arc::from(plugin)).or_default())
    }

    /// Sweeps the next namespace: expired entries of a plugin that is gone or no longer writes are not
    /// removed otherwise.
    fn sweep_another(&self, now: Instant) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let namespace = {
            let namespaces = self.namespaces.read();
            let namespaces = namespaces.unwrap_or_else(PoisonError::into_inner);
            let index = turn.checked_rem(namespaces.len()).unwrap_or_default();
            namespaces.get_index(index).map(|(_, it)| Arc::clone(it))
        };
        let Some(namespace) = namespace else { return };
        // A busy namespace sweeps itself.
        if let Ok(mut entries) = namespace.entries.try_lock() {
            entries.sweep(now);
            self.account(&namespace, &entries);
        }
    }

    fn make_room(&self, now: Instant) {
        while self.bytes() > self.bytes_max {
            let largest = {
                let namespaces = self.namespaces.read();
                let namespaces = namespaces.unwrap_or_else(PoisonError::into_inner);
                let by_bytes = |it: &&Arc<Namespace>| it.bytes.load(Ordering::Relaxed);
                namespaces.values().max_by_key(by_bytes).cloned()
            };
            let Some(largest) = largest else { return };
            let mut entries = largest.lock();
            // Another thread may just have made room.
            if self.bytes() <= self.bytes_max || !entries.evict(now) {
                return;
            }
            self.account(&largest, &entries);
        }
    }

    /// Updates the byte counts for a namespace, whose lock the caller holds.
    fn account(&self, namespace: &Namespace, entries: &Entries) {
        let before = namespace.bytes.swap(entries.bytes, Ordering::Relaxed);
        // Wraps if the namespace shrank; the sum over all namespaces is right.
        let change = entries.bytes.wrapping_sub(before);
        self.bytes.fetch_add(change, Ordering::Relaxed);
    }
}

impl Namespace {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when a value expires; `None` (never) also if the clock cannot represent the time.
fn until(ttl: Option<Duration>, now: Instant) -> Option<Instant> {
    ttl.and_then(|ttl| now.checked_add(ttl))
}

/// Returns the value without spare capacity, which the byte count would miss.
fn exact(value: Vec<u8>) -> Bytes {
    Bytes::from(value.into_boxed_slice())
}

/// Reads a number only in the form that `add` writes: `+1` and `01` are texts.
fn whole(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
