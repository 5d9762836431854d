//! `[store]`.

use super::*;

#[test]
fn reads_the_store() {
    let config = good();
    let wanted = Store {
        cache: 32 << 20,
        cache_entry: 8 << 20,
        decisions: 16 << 20,
        kv: 1 << 30,
        limit_keys: 2_000,
    };
    assert_eq!(config.store, wanted);

    let store = |text: &str| {
        let text = format!("{text}\n{LEAST}");
        read(&text)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .store
    };
    let default = Store {
        cache: 256 << 20,
        kv: 64 << 20,
        limit_keys: 1_000_000,
        ..wanted
    };
    assert_eq!(store(""), default);
    assert_eq!(store("store = {}"), default);
    // The default of one follows the other.
    assert_eq!(store("store.cache = \"4MiB\"").cache_entry, 4 << 20);
    assert_eq!(
        store("store.cache-entry = \"256MiB\"").cache_entry,
        256 << 20
    );
    let small = store("store.decisions = \"64KiB\"");
    assert_eq!(small.decisions, 64 << 10);
}

#[test]
fn refuses_stores() {
    added("store = 1", "`store` must be a table such as [store]");
    added(
        "store.cahce = 1",
        "unknown key `store.cahce`; did you mean `cache`?",
    );
    added("store.cache = \"1023KiB\"", "must be from 1MiB to 64GiB");
    added("store.cache-entry = \"1023B\"", "must be from 1KiB to 1GiB");
    added("store.decisions = \"5GiB\"", "must be from 64KiB to 4GiB");
    added("store.kv = \"17GiB\"", "must be from 64KiB to 16GiB");
    added("store.limit-keys = 999", "must be from 1000 to 100000000");
    added(
        "store = { cache = \"4MiB\", cache-entry = \"5MiB\" }",
        "`store.cache-entry` (5MiB) is more than `store.cache` (4MiB)",
    );
    added(
        "store.cache-entry = \"257MiB\"",
        "`store.cache-entry` (257MiB) is more than `store.cache` (256MiB)",
    );
}
