//! The entries of one namespace: found by key, and visited by two hands, one to make room and one to remove
//! expired entries.

use std::time::Instant;

use bytes::Bytes;
use indexmap::IndexMap;

use crate::limits::kv::{KV_ENTRY_OVERHEAD_BYTES, KV_SPARED_MAX, KV_SWEPT_PER_WRITE};

#[derive(Default)]
pub struct Entries {
    /// Found by key, and by index for the hands.
    map: IndexMap<Box<str>, KvValue>,
    pub bytes: usize,
    /// The index that is checked next to make room.
    evicting: usize,
    /// The index that is checked next for expiry.
    sweeping: usize,
}

pub struct KvValue {
    pub value: Bytes,
    /// When it expires; `None` for never.
    pub until: Option<Instant>,
    /// Whether it was read since the hand last passed.
    pub was_read: bool,
}

impl Entries {
    /// Returns the entry of this key, unless it has expired.
    pub fn live(&mut self, key: &str, now: Instant) -> Option<&mut KvValue> {
        let index = self.map.get_index_of(key)?;
        if self.expired(index, now) {
            self.remove_at(index);
            return None;
        }
        self.map.get_index_mut(index).map(|(_, entry)| entry)
    }

    pub fn put(&mut self, key: &str, value: Bytes, until: Option<Instant>) {
        if let Some(entry) = self.map.get_mut(key) {
            self.bytes = self.bytes - entry.value.len() + value.len();
            entry.value = value;
            entry.until = until;
            entry.was_read = true;
            return;
        }
        self.bytes += weight(key, value.len());
        let entry = KvValue {
            value,
            until,
            was_read: false,
        };
        self.map.insert(key.into(), entry);
    }

    pub fn remove(&mut self, key: &str) {
        if let Some(index) = self.map.get_index_of(key) {
            self.remove_at(index);
        }
    }

    /// Removes the entry at this index; the last entry takes its place.
    fn remove_at(&mut self, index: usize) {
        /// Tables of this size are not worth shrinking.
        const SMALL: usize = 64;
        if let Some((key, entry)) = self.map.swap_remove_index(index) {
            self.bytes -= weight(&key, entry.value.len());
        }
        let capacity = self.map.capacity();
        if capacity > SMALL && self.map.len() < capacity / 4 {
            self.map.shrink_to(capacity / 2);
        }
    }

    /// Returns how many entries fit without new tables.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.map.capacity()
    }

    fn expired(&self, index: usize, now: Instant) -> bool {
        let entry = self.map.get_index(index).map(|(_, entry)| entry);
        entry.is_some_and(|entry| entry.until.is_some_and(|until| until <= now))
    }

    pub fn sweep(&mut self, now: Instant) {
        for _ in 0..KV_SWEPT_PER_WRITE {
            if self.sweeping >= self.map.len() {
                self.sweeping = 0;
            }
            if self.expired(self.sweeping, now) {
                // The entry that takes its place is checked next.
                self.remove_at(self.sweeping);
            } else {
                self.sweeping += 1;
            }
        }
    }

    /// Removes one entry; returns whether there was one.
    pub fn evict(&mut self, now: Instant) -> bool {
        // One step more, to skip the newest.
        for step in 0..=KV_SPARED_MAX + 1 {
            if self.evicting >= self.map.len() {
                self.evicting = 0;
            }
            let expired = self.expired(self.evicting, now);
            // A plugin must find what it has just written.
            let newest = self.evicting > 0 && self.evicting + 1 == self.map.len();
            let Some((_, entry)) = self.map.get_index_mut(self.evicting) else {
                return false;
            };
            let place = self.evicting;
            // The newest entry takes a removed one's place; its turn has not come.
            self.evicting += 1;
            if newest && !expired {
                continue;
            }
            if expired || !entry.was_read || step >= KV_SPARED_MAX {
                self.remove_at(place);
                return true;
            }
            entry.was_read = false;
        }
        false
    }
}

/// Returns the counted size of an entry, in bytes.
pub fn weight(key: &str, value_bytes: usize) -> usize {
    key.len() + value_bytes + KV_ENTRY_OVERHEAD_BYTES
}
