//! What plugins keep between calls (`kv` in `wit/host.wit`): values under keys, in a namespace of each
//! plugin's own, in the memory of the process.
//!
//! One bound in bytes holds for all. Over it, the namespace that has the most gives something up, so
//! that one which has less than an equal share never loses anything to another. Within a namespace a
//! hand goes round (CLOCK, second chance): what was read since it last passed stays once more.
//!
//! The namespaces are the shards: no two plugins share one, and the hand and the bytes of each are kept under its one
//! lock, which the shards of a `dashmap` would not give.

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
    /// Of all namespaces. Between a write and its making room it may be over the bound by what is being
    /// written.
    bytes: AtomicUsize,
    namespaces: RwLock<IndexMap<Arc<str>, Arc<Namespace>>>,
    /// Whose turn it is to be swept.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Namespace {
    entries: Mutex<Entries>,
    /// As in `entries`, to be read without the lock.
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

    /// Sets a value for a time; none is until it is evicted.
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

    /// Adds to a whole number, which is kept in decimal digits; answers the sum. The time holds if the
    /// key is new.
    ///
    /// # Errors
    /// If the key is too long, its value no such number, or the sum beyond 64 bits.
    pub fn add(
        &self,
        plugin: &str,
        key: &str,
        delta: i64,
        ttl: Option<Duration>,
    ) -> Result<i64, String> {
        self.add_at(plugin, key, delta, ttl, Instant::now())
    }

    /// Sets the value only if it is now `expected` (none: there is no value); answers whether it was.
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

    /// What is kept now, in bytes.
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

    /// Changes a plugin's entries as one step, then sweeps and makes room.
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

    /// There are as many as the configurations of this process had plugins with the grant.
    fn namespace(&self, plugin: &str) -> Arc<Namespace> {
        if let Some(namespace) = self.existing(plugin) {
            return namespace;
        }
        let namespaces = self.namespaces.write();
        let mut namespaces = namespaces.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(namespaces.entry(Arc::from(plugin)).or_default())
    }

    /// A plugin that writes no more, or is gone, has nobody else to take away what expired.
    fn sweep_another(&self, now: Instant) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let namespace = {
            let namespaces = self.namespaces.read();
            let namespaces = namespaces.unwrap_or_else(PoisonError::into_inner);
            let index = turn.checked_rem(namespaces.len()).unwrap_or_default();
            namespaces.get_index(index).map(|(_, it)| Arc::clone(it))
        };
        let Some(namespace) = namespace else { return };
        // One that is busy sweeps itself.
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
            // Another may just have made the room.
            if self.bytes() <= self.bytes_max || !entries.evict(now) {
                return;
            }
            self.account(&largest, &entries);
        }
    }

    /// Takes over what a namespace has now. Its lock is held.
    fn account(&self, namespace: &Namespace, entries: &Entries) {
        let before = namespace.bytes.swap(entries.bytes, Ordering::Relaxed);
        // Wraps round where less is kept than before; the sum over all namespaces is right.
        let change = entries.bytes.wrapping_sub(before);
        self.bytes.fetch_add(change, Ordering::Relaxed);
    }
}

impl Namespace {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None where the time is beyond what the clock can say: that is never.
fn until(ttl: Option<Duration>, now: Instant) -> Option<Instant> {
    ttl.and_then(|ttl| now.checked_add(ttl))
}

/// Without room to spare, which nobody would count.
fn exact(value: Vec<u8>) -> Bytes {
    Bytes::from(value.into_boxed_slice())
}

/// A number as `add` writes it, and only so: `+1` and `01` are texts.
fn whole(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
