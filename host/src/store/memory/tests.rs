//! Time is a parameter, and only tests of concurrency use real threads.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::limits::kv::{KV_ENTRY_OVERHEAD_BYTES, KV_KEY_BYTES_MAX, KV_VALUE_BYTES_MAX};

const STORE: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

fn text(value: Result<Option<Bytes>, String>) -> Option<String> {
    let value = value.unwrap()?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

#[test]
fn values_are_each_plugins_own() {
    let kv = Kv::new(STORE);
    kv.set("a", "key", b"1".to_vec(), None).unwrap();
    kv.set("b", "key", b"2".to_vec(), None).unwrap();
    assert_eq!(text(kv.get("a", "key")).as_deref(), Some("1"));
    kv.delete("a", "key").unwrap();
    assert_eq!(text(kv.get("a", "key")), None);
    assert_eq!(text(kv.get("b", "key")).as_deref(), Some("2"));
    assert_eq!(text(kv.get("c", "key")), None);
}

#[test]
fn values_live_as_long_as_was_said() {
    let kv = Kv::new(STORE);
    let now = Instant::now();
    let get = |after: Duration| text(kv.get_at("p", "k", now + after));
    kv.set_at("p", "k", b"1".to_vec(), Some(SECOND), now)
        .unwrap();
    assert!(get(SECOND - Duration::from_nanos(1)).is_some());
    assert!(get(SECOND).is_none());
    kv.set_at("p", "k", b"1".to_vec(), Some(Duration::MAX), now)
        .unwrap();
    assert!(get(1_000_000 * SECOND).is_some());
    // A later write sets the time anew.
    kv.set_at("p", "k", b"2".to_vec(), Some(SECOND), now)
        .unwrap();
    assert!(get(SECOND).is_none());
    kv.set_at("p", "k", b"2".to_vec(), Some(Duration::ZERO), now)
        .unwrap();
    assert!(get(Duration::ZERO).is_none());
}

#[test]
fn numbers_are_added_to() {
    let kv = Kv::new(STORE);
    let now = Instant::now();
    let add = |delta, after| kv.add_at("p", "k", delta, Some(SECOND), now + after);
    assert_eq!(add(5, Duration::ZERO), Ok(5));
    assert_eq!(add(-7, SECOND / 2), Ok(-2));
    assert_eq!(text(kv.get_at("p", "k", now)).as_deref(), Some("-2"));
    // The time runs from the key's creation.
    assert_eq!(add(1, SECOND), Ok(1));
    assert_eq!(add(i64::MAX - 1, SECOND), Ok(i64::MAX));
    assert!(add(1, SECOND).unwrap_err().contains("64 bits"));
    assert_eq!(add(0, SECOND), Ok(i64::MAX));
    for odd in [
        "",
        "x",
        "+1",
        "01",
        " 1",
        "1.0",
        "-0",
        "9223372036854775808",
    ] {
        kv.set("p", "odd", odd.as_bytes().to_vec(), None).unwrap();
        let error = kv.add("p", "odd", 1, None).unwrap_err();
        assert!(error.contains("not a whole number"), "{odd}: {error}");
        assert_eq!(text(kv.get("p", "odd")).as_deref(), Some(odd));
    }
    kv.set("p", "set", b"-41".to_vec(), None).unwrap();
    assert_eq!(kv.add("p", "set", 83, None), Ok(42));
}

#[test]
fn values_are_replaced_where_they_are_as_expected() {
    let kv = Kv::new(STORE);
    let now = Instant::now();
    let replace = |expected: Option<&str>, value: &str, at| {
        let expected = expected.map(str::as_bytes);
        kv.replace_at("p", "k", expected, value.into(), Some(SECOND), at)
            .unwrap()
    };
    assert!(!replace(Some(""), "1", now));
    assert!(replace(None, "1", now));
    assert!(!replace(None, "2", now));
    assert!(!replace(Some("2"), "3", now));
    assert!(replace(Some("1"), "", now));
    assert!(replace(Some(""), "4", now));
    assert!(!replace(Some("4"), "5", now + SECOND));
    assert!(replace(None, "6", now + SECOND));
    assert_eq!(
        text(kv.get_at("p", "k", now + SECOND)).as_deref(),
        Some("6")
    );
}

#[test]
fn what_is_too_long_is_refused_and_says_so() {
    let kv = Kv::new(STORE);
    let long = "k".repeat(KV_KEY_BYTES_MAX + 1);
    for error in [
        kv.get("p", &long).unwrap_err(),
        kv.set("p", &long, Vec::new(), None).unwrap_err(),
        kv.delete("p", &long).unwrap_err(),
        kv.add("p", &long, 1, None).unwrap_err(),
        kv.replace("p", &long, None, Vec::new(), None).unwrap_err(),
    ] {
        assert_eq!(error, "the key has 1025 bytes; at most 1024 are taken");
    }
    let large = vec![0; KV_VALUE_BYTES_MAX + 1];
    for error in [
        kv.set("p", "k", large.clone(), None).unwrap_err(),
        kv.replace("p", "k", None, large, None).unwrap_err(),
    ] {
        assert_eq!(error, "the value has 65537 bytes; at most 65536 are kept");
    }
    assert_eq!(kv.bytes(), 0);
    kv.set("p", &long[1..], vec![0; KV_VALUE_BYTES_MAX], None)
        .unwrap();

    let kv = Kv::new(1_000);
    assert!(kv.set("p", "k", vec![0; 900], None).is_err());
    kv.set("p", "k", vec![0; 800], None).unwrap();
}

#[test]
fn a_plugin_that_writes_much_takes_nothing_from_one_that_writes_little() {
    let kv = Kv::new(STORE);
    for key in 0..100 {
        kv.set("small", &key.to_string(), vec![0; 1_000], None)
            .unwrap();
    }
    for key in 0..5_000 {
        kv.set("large", &key.to_string(), vec![0; 1_000], None)
            .unwrap();
        assert!(kv.bytes() <= STORE as usize);
    }
    assert!(kv.bytes() > STORE as usize - 2_000);
    let kept = (0..100).filter(|key| kv.get("small", &key.to_string()).unwrap().is_some());
    assert_eq!(kept.count(), 100);
    // If both write much, they share the room.
    for key in 0..5_000 {
        kv.set("small", &key.to_string(), vec![0; 1_000], None)
            .unwrap();
    }
    for plugin in ["small", "large"] {
        let bytes = kv.existing(plugin).unwrap().lock().bytes;
        let half = STORE as usize / 2;
        assert!(bytes.abs_diff(half) < 2_000, "{plugin} has {bytes}");
    }
}

#[test]
fn what_is_read_stays_longer() {
    let kv = Kv::new(STORE);
    for key in 0..5_000 {
        kv.set("p", &key.to_string(), vec![0; 1_000], None).unwrap();
        assert!(kv.get("p", "0").unwrap().is_some(), "gone after {key}");
    }
    // If all are read, some are evicted nevertheless.
    for key in 0..5_000 {
        kv.set("p", &key.to_string(), vec![0; 1_000], None).unwrap();
        kv.get("p", &key.to_string()).unwrap();
        assert!(kv.bytes() <= STORE as usize);
    }
}

#[test]
fn what_has_expired_is_swept_by_those_who_write() {
    let kv = Kv::new(STORE);
    let now = Instant::now();
    for key in 0..500 {
        for plugin in ["gone", "busy"] {
            kv.set_at(plugin, &key.to_string(), vec![0; 10], Some(SECOND), now)
                .unwrap();
        }
    }
    let full = kv.bytes();
    for _ in 0..1_100 {
        kv.set_at("busy", "one", Vec::new(), None, now + SECOND)
            .unwrap();
    }
    assert_eq!(kv.bytes(), weight("one", 0));
    assert!(full > 1_000 * KV_ENTRY_OVERHEAD_BYTES);
    // The tables shrink too.
    for plugin in ["gone", "busy"] {
        assert!(kv.existing(plugin).unwrap().lock().capacity() <= 64);
    }
}

#[test]
fn writes_at_once_are_single_steps() {
    let kv = Kv::new(STORE);
    let threads = 4;
    let rounds = 2_000;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let kv = &kv;
            scope.spawn(move || {
                for round in 0..rounds {
                    kv.add("p", "sum", 1, None).unwrap();
                    // The same with compare-and-set.
                    loop {
                        let old = kv.get("p", "swapped").unwrap();
                        let number = old.as_deref().map_or(0, |old| whole(old).unwrap());
                        let new = (number + 1).to_string().into_bytes();
                        if kv
                            .replace("p", "swapped", old.as_deref(), new, None)
                            .unwrap()
                        {
                            break;
                        }
                    }
                    let key = format!("{thread}-{round}");
                    kv.set("q", &key, vec![0; 1_000], None).unwrap();
                }
            });
        }
    });
    assert_eq!(kv.add("p", "sum", 0, None), Ok(threads * rounds));
    assert_eq!(kv.add("p", "swapped", 0, None), Ok(threads * rounds));
    assert!(kv.bytes() <= STORE as usize);
    let counted = ["p", "q"].map(|plugin| kv.existing(plugin).unwrap().lock().bytes);
    assert_eq!(kv.bytes(), counted.iter().sum::<usize>());
}

#[derive(Debug, Clone)]
enum Step {
    Get(u8),
    Set(u8, Vec<u8>, Option<u64>),
    Delete(u8),
    Add(u8, i64, Option<u64>),
    Replace(u8, Option<Vec<u8>>, Vec<u8>, Option<u64>),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..4_u8;
    let value = prop_oneof![
        Just(b"1".to_vec()),
        Just(b"-2".to_vec()),
        Just(b"x".to_vec())
    ];
    let ttl = prop::option::of(0..4_u64);
    prop_oneof![
        key.clone().prop_map(Step::Get),
        (key.clone(), value.clone(), ttl.clone()).prop_map(|(k, v, t)| Step::Set(k, v, t)),
        key.clone().prop_map(Step::Delete),
        (key.clone(), -3..4_i64, ttl.clone()).prop_map(|(k, d, t)| Step::Add(k, d, t)),
        (key, prop::option::of(value.clone()), value, ttl)
            .prop_map(|(k, e, v, t)| Step::Replace(k, e, v, t)),
        (0..3_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// With room for all, it is a map whose entries expire.
    #[test]
    fn it_is_a_map_whose_entries_end(steps in prop::collection::vec(step(), 1..60)) {
        let kv = Kv::new(STORE);
        let mut model: HashMap<String, (Vec<u8>, Option<Instant>)> = HashMap::new();
        let mut now = Instant::now();
        let ends = |ttl: Option<u64>, now: Instant| ttl.map(|ttl| now + Duration::from_secs(ttl));
        for step in steps {
            model.retain(|_, (_, until)| until.is_none_or(|until| now < until));
            let old = |key: &u8| model.get(&key.to_string()).cloned();
            match step {
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Get(key) => {
                    let value = kv.get_at("p", &key.to_string(), now).unwrap();
                    prop_assert_eq!(value.map(|value| value.to_vec()), old(&key).map(|it| it.0));
                }
                Step::Set(key, value, ttl) => {
                    let time = ttl.map(Duration::from_secs);
                    kv.set_at("p", &key.to_string(), value.clone(), time, now).unwrap();
                    model.insert(key.to_string(), (value, ends(ttl, now)));
                }
                Step::Delete(key) => {
                    kv.delete("p", &key.to_string()).unwrap();
                    model.remove(&key.to_string());
                }
                Step::Add(key, delta, ttl) => {
                    let time = ttl.map(Duration::from_secs);
                    let sum = kv.add_at("p", &key.to_string(), delta, time, now);
                    let (number, until) = match old(&key) {
                        None => (Some(0), ends(ttl, now)),
                        Some((value, until)) => (whole(&value), until),
                    };
                    prop_assert_eq!(sum.ok(), number.map(|number| number + delta));
                    if let Some(number) = number {
                        let text = (number + delta).to_string().into_bytes();
                        model.insert(key.to_string(), (text, until));
                    }
                }
                Step::Replace(key, expected, value, ttl) => {
                    let time = ttl.map(Duration::from_secs);
                    let replaced = kv
                        .replace_at("p", &key.to_string(), expected.as_deref(), value.clone(), time, now)
                        .unwrap();
                    prop_assert_eq!(replaced, old(&key).map(|it| it.0) == expected);
                    if replaced {
                        model.insert(key.to_string(), (value, ends(ttl, now)));
                    }
                }
            }
        }
    }
}
