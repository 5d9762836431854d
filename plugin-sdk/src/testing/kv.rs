//! The state that calls share, kept in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use super::host::{HOST, now, only_in_calls};
use super::sources::{Depends, note};

pub struct Value {
    bytes: Vec<u8>,
    /// By the monotonic clock. Absent: never.
    ends: Option<Duration>,
}

/// The gateway's bounds.
const KEY_BYTES_MAX: usize = 1 << 10;
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Answers as the store does if it works and takes key and value, and only then.
fn with<T>(
    key: &str,
    value_bytes: usize,
    ask: impl FnOnce(&mut BTreeMap<String, Value>) -> Result<T, String>,
) -> Result<T, String> {
    only_in_calls("kv");
    note(Depends::Kv);
    if key.len() > KEY_BYTES_MAX {
        let bytes = key.len();
        return Err(format!(
            "the key has {bytes} bytes; at most {KEY_BYTES_MAX} are taken"
        ));
    }
    if value_bytes > VALUE_BYTES_MAX {
        return Err(format!(
            "the value has {value_bytes} bytes; at most {VALUE_BYTES_MAX} are kept"
        ));
    }
    let now = now().monotonic;
    HOST.with_borrow_mut(|host| match &host.kv_fault {
        Some(fault) => Err(fault.clone()),
        None => {
            host.kv
                .retain(|_, value| value.ends.is_none_or(|ends| ends > now));
            ask(&mut host.kv)
        }
    })
}

fn value(bytes: &[u8], ttl_ms: Option<u64>) -> Value {
    Value {
        bytes: bytes.to_owned(),
        ends: ttl_ms.map(|ttl| now().monotonic.saturating_add(Duration::from_millis(ttl))),
    }
}

pub fn get(key: &str) -> Result<Option<Vec<u8>>, String> {
    with(key, 0, |store| {
        Ok(store.get(key).map(|value| value.bytes.clone()))
    })
}

pub fn set(key: &str, bytes: &[u8], ttl_ms: Option<u64>) -> Result<(), String> {
    let value = value(bytes, ttl_ms);
    with(key, bytes.len(), |store| {
        store.insert(key.to_owned(), value);
        Ok(())
    })
}

pub fn delete(key: &str) -> Result<(), String> {
    with(key, 0, |store| {
        store.remove(key);
        Ok(())
    })
}

pub fn add(key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, String> {
    let new = value(b"0", ttl_ms);
    with(key, 0, |store| {
        let value = store.entry(key.to_owned()).or_insert(new);
        let number: i64 = str::from_utf8(&value.bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("the value of `{key}` is not a whole number"))?;
        let sum = number
            .checked_add(delta)
            .ok_or_else(|| format!("the sum at `{key}` is out of range"))?;
        value.bytes = sum.to_string().into_bytes();
        Ok(sum)
    })
}

pub fn replace(
    key: &str,
    expected: Option<&[u8]>,
    bytes: &[u8],
    ttl_ms: Option<u64>,
) -> Result<bool, String> {
    let new = value(bytes, ttl_ms);
    with(key, bytes.len(), |store| {
        let as_expected = store.get(key).map(|value| value.bytes.as_slice()) == expected;
        if as_expected {
            store.insert(key.to_owned(), new);
        }
        Ok(as_expected)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{kv, testing};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn values_in_kv_end_by_the_tests_clock() {
        kv::set("a", "1", Some(SECOND)).unwrap();
        kv::set("b", "1", None).unwrap();
        testing::advance(SECOND - Duration::from_millis(1));
        assert_eq!(kv::get("a").unwrap().as_deref(), Some(&b"1"[..]));
        testing::advance(Duration::from_millis(1));
        assert_eq!(kv::get("a").unwrap(), None);
        kv::delete("b").unwrap();
        assert_eq!(kv::get("b").unwrap(), None);
    }

    #[test]
    fn kv_adds_to_whole_numbers() {
        testing::set_clock(Duration::ZERO);
        assert_eq!(kv::add("n", 5, Some(SECOND)).unwrap(), 5);
        testing::advance(SECOND / 2);
        // The key's time is set when it is made.
        assert_eq!(kv::add("n", -7, Some(SECOND)).unwrap(), -2);
        testing::advance(SECOND / 2);
        assert_eq!(kv::add("n", 1, None).unwrap(), 1);
        kv::set("n", "9223372036854775807", None).unwrap();
        assert!(kv::add("n", 1, None).is_err());
        kv::set("n", "one", None).unwrap();
        assert!(kv::add("n", 1, None).is_err());
    }

    #[test]
    fn keys_and_values_have_bounds() {
        let (key, value) = ("k".repeat(1 << 10), "v".repeat(64 << 10));
        kv::set(&key, &value, None).unwrap();
        assert!(kv::replace(&key, Some(value.as_bytes()), &value, None).unwrap());
        let long = format!("{key}k");
        assert!(kv::get(&long).is_err());
        assert!(kv::add(&long, 1, None).is_err());
        assert!(kv::delete(&long).is_err());
        let large = format!("{value}v");
        assert!(kv::set("k", &large, None).is_err());
        let error = kv::replace("k", None, &large, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the value has 65537 bytes; at most 65536 are kept"
        );
    }

    #[test]
    fn kv_replaces_what_is_expected() {
        assert!(!kv::replace("a", Some(b"1"), "2", None).unwrap());
        assert!(kv::replace("a", None, "1", None).unwrap());
        assert!(!kv::replace("a", None, "2", None).unwrap());
        assert!(kv::replace("a", Some(b"1"), "2", None).unwrap());
        assert_eq!(kv::get("a").unwrap().as_deref(), Some(&b"2"[..]));
    }
}
