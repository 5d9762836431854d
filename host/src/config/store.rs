//! `[store]`: how much shared state is kept.

use super::Store;
use super::reader::{Reader, Table};
use super::units::show_size;
use crate::limits::process::{
    STORE_CACHE_BYTES, STORE_CACHE_BYTES_DEFAULT, STORE_CACHE_ENTRY_BYTES,
    STORE_CACHE_ENTRY_BYTES_DEFAULT, STORE_DECISIONS_BYTES, STORE_DECISIONS_BYTES_DEFAULT,
    STORE_KV_BYTES, STORE_KV_BYTES_DEFAULT, STORE_LIMIT_KEYS, STORE_LIMIT_KEYS_DEFAULT,
};

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
