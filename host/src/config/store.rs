//! `[store]`: how much shared state is kept.

use std::ops::RangeInclusive;

use super::Store;
use super::reader::{Reader, Table};
use super::units::show_size;

// Bounds.

/// Cached responses, in bytes. Below 1 MiB a cache holds no more than a page; above 64 GiB it belongs
/// on a machine of its own.
pub const STORE_CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=64 << 30;
/// A tenth of a small server's memory.
pub const STORE_CACHE_BYTES_DEFAULT: u64 = 256 << 20;
/// The largest body that is cached, in bytes. It is held whole while it is stored.
pub const STORE_CACHE_ENTRY_BYTES: RangeInclusive<u64> = 1 << 10..=1 << 30;
/// Pages, scripts and most images fit, and thirty-two such entries fit the default cache.
pub const STORE_CACHE_ENTRY_BYTES_DEFAULT: u64 = 8 << 20;
/// Remembered decisions of authorizers, in bytes. A decision is some hundred bytes to a few KiB.
pub const STORE_DECISIONS_BYTES: RangeInclusive<u64> = 64 << 10..=4 << 30;
/// Some 20,000 callers.
pub const STORE_DECISIONS_BYTES_DEFAULT: u64 = 16 << 20;
/// What plugins keep, in bytes.
pub const STORE_KV_BYTES: RangeInclusive<u64> = 64 << 10..=16 << 30;
/// Some 100,000 sessions or nonces.
pub const STORE_KV_BYTES_DEFAULT: u64 = 64 << 20;
/// Counters of limits, all keys together: a caller beyond them displaces another's counter, which then
/// begins anew, so that there must be more than there are callers. Each is some hundred bytes.
pub const STORE_LIMIT_KEYS: RangeInclusive<usize> = 1_000..=100_000_000;
/// Some 100 MiB once that many callers came.
pub const STORE_LIMIT_KEYS_DEFAULT: usize = 1_000_000;

impl Default for Store {
    fn default() -> Store {
        Store {
            cache: STORE_CACHE_BYTES_DEFAULT,
            cache_entry: STORE_CACHE_ENTRY_BYTES_DEFAULT,
            decisions: STORE_DECISIONS_BYTES_DEFAULT,
            kv: STORE_KV_BYTES_DEFAULT,
            limit_keys: STORE_LIMIT_KEYS_DEFAULT,
        }
    }
}

pub(super) fn store(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Store {
    let mut store = Store::default();
    let Some(item) = root.get("store") else {
        return store;
    };
    let Some(mut table) = reader.table(&item, "[store]") else {
        return store;
    };
    let mut size = |key, value: &mut u64, range| {
        let written = table.get(key).and_then(|item| reader.size(&item, range));
        *value = written.unwrap_or(*value);
    };
    size("cache", &mut store.cache, STORE_CACHE_BYTES);
    size("decisions", &mut store.decisions, STORE_DECISIONS_BYTES);
    size("kv", &mut store.kv, STORE_KV_BYTES);
    // Of a cache smaller than the default entry, an entry may take all.
    store.cache_entry = store.cache_entry.min(store.cache);
    if let Some(item) = table.get("cache-entry")
        && let Some(bytes) = reader.size(&item, STORE_CACHE_ENTRY_BYTES)
    {
        store.cache_entry = bytes;
        if bytes > store.cache {
            let message = format!(
                "`store.cache-entry` ({}) is more than `store.cache` ({})",
                show_size(bytes),
                show_size(store.cache)
            );
            reader.problem(item.position, message);
        }
    }
    if let Some(item) = table.get("limit-keys") {
        let keys = reader.number(&item, STORE_LIMIT_KEYS);
        store.limit_keys = keys.unwrap_or(store.limit_keys);
    }
    reader.finish(&table, &["redis"]);
    store
}
