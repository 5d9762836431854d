//! What the host offers, as plain functions. In native tests the same functions are served by
//! [`crate::testing`].

#[cfg(target_family = "wasm")]
use crate::bindings::imports::tollgate::plugin as backing;
#[cfg(not(target_family = "wasm"))]
use crate::testing::backing;

pub mod fetch;
pub mod signatures;

/// As the contract counts time. A part of a millisecond counts as one, so that no time but none at
/// all becomes 0, which often means something of its own.
pub(crate) fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Lines in the gateway's log, with the plugin's name and the request's id: in place of `println!`, which
/// prints nothing in the sandbox. The gateway keeps up to 4 KiB of a line and 16 KiB of one call's lines.
pub mod log {
    use super::backing::log::{Level, write};

    pub fn debug(message: &str) {
        write(Level::Debug, message);
    }

    pub fn info(message: &str) {
        write(Level::Info, message);
    }

    pub fn warn(message: &str) {
        write(Level::Warn, message);
    }

    pub fn error(message: &str) {
        write(Level::Error, message);
    }
}

/// The time, in place of `std::time`: in the sandbox `SystemTime::now` and `Instant::now` panic, although
/// they work in native tests. Not to be called in `configure`.
///
/// An authorizer's decision that read it is not [remembered](crate::Decision::remember).
pub mod clock {
    use std::time::Duration;

    use super::backing::clock;

    /// Time since 1970-01-01T00:00:00Z, in whole milliseconds.
    pub fn since_epoch() -> Duration {
        Duration::from_millis(clock::unix_ms())
    }

    /// Time since an arbitrary moment; never goes back.
    pub fn monotonic() -> Duration {
        Duration::from_nanos(clock::monotonic_ns())
    }
}

/// Randomness fit for secrets. Not to be called in `configure`.
pub mod random {
    use super::backing::random;

    /// # Panics
    /// If `count` is more than 4,096.
    pub fn bytes(count: u32) -> Vec<u8> {
        random::bytes(count)
    }

    pub fn next_u64() -> u64 {
        random::next_u64()
    }
}

/// Cryptography done by the host: faster than in the sandbox. Not to be called in `configure`.
pub mod crypto {
    use super::backing::crypto;

    /// SHA-256: 32 bytes.
    pub fn sha256(data: &[u8]) -> Vec<u8> {
        crypto::sha256(data)
    }

    /// SHA-512: 64 bytes.
    pub fn sha512(data: &[u8]) -> Vec<u8> {
        crypto::sha512(data)
    }

    /// HMAC with SHA-256: 32 bytes.
    pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
        crypto::hmac_sha256(key, data)
    }

    /// HMAC with SHA-512: 64 bytes.
    pub fn hmac_sha512(key: &[u8], data: &[u8]) -> Vec<u8> {
        crypto::hmac_sha512(key, data)
    }

    /// In hexadecimal: two lower-case digits for each byte.
    ///
    /// ```
    /// use tollgate_plugin::crypto;
    ///
    /// let digest = crypto::hex(&crypto::sha256(b"abc"));
    /// assert!(digest.starts_with("ba7816bf8f01cfea"));
    /// ```
    pub fn hex(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }

    /// Whether both are equal, in a time that depends only on their lengths.
    pub fn constant_time_equal(a: &[u8], b: &[u8]) -> bool {
        crypto::constant_time_equal(a, b)
    }
}

/// Secrets by name. The operator grants them: `grant = { secrets = ["NAME"] }`.
pub mod secrets {
    use crate::{Error, Result};

    /// # Errors
    /// If the secret is not granted or cannot be read.
    pub fn get(name: &str) -> Result<Vec<u8>> {
        super::backing::secrets::get(name).map_err(Error::from)
    }

    /// # Errors
    /// As [`get`], and if it is not UTF-8.
    pub fn text(name: &str) -> Result<String> {
        Ok(String::from_utf8(get(name)?)?)
    }
}

/// The plugin's own metrics, exposed as `tollgate_plugin_<name>` with the plugin's name as a label.
/// Not to be called in `configure`.
///
/// Names and label names match `[a-z][a-z0-9_]*`. Each set of labels is a series of its own, and the
/// gateway drops series beyond 100 a plugin: so put nothing into a label that a client can choose freely.
///
/// ```
/// use tollgate_plugin::metrics;
///
/// metrics::counter_add("rejected_total", &[("reason", "expired")], 1);
/// metrics::histogram_record("score", &[], 0.25);
/// ```
pub mod metrics {
    use super::backing::metrics;

    /// Adds to a counter.
    pub fn counter_add(name: &str, labels: &[(&str, &str)], value: u64) {
        metrics::counter_add(name, &owned(labels), value);
    }

    /// Records a value in a histogram.
    pub fn histogram_record(name: &str, labels: &[(&str, &str)], value: f64) {
        metrics::histogram_record(name, &owned(labels), value);
    }

    fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        labels
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// State shared between calls, in a namespace of this plugin's own. The operator grants it:
/// `grant = { kv = true }`. Not to be called in `configure`.
///
/// A key has at most 1 KiB, a value at most 64 KiB: hash longer keys ([`crypto::hex`](crate::crypto::hex)
/// of [`crypto::sha256`](crate::crypto::sha256)). A value lives for its time-to-live (in whole milliseconds, a
/// part of one counts as one), or until it is evicted. When the store is full, any value can be evicted: so a
/// value can always be gone. It is kept in the memory of the gateway's process.
///
/// An authorizer's decision that used it is not [remembered](crate::Decision::remember), unless the plugin
/// [answers for it](crate::Decision::across).
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::kv;
/// # fn example(id: &str) -> tollgate_plugin::Result<()> {
///
/// let attempts = kv::add(&format!("attempts/{id}"), 1, Some(Duration::from_secs(60)))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Every function fails if the key or the value is too long.
pub mod kv {
    use std::time::Duration;

    use super::{backing::kv, milliseconds};
    use crate::{Error, Result};

    /// The value of this key.
    ///
    /// # Errors
    /// See [`kv`](self).
    pub fn get(key: &str) -> Result<Option<Vec<u8>>> {
        kv::get(key).map_err(Error::from)
    }

    /// Sets a value.
    ///
    /// # Errors
    /// See [`kv`](self).
    pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<()> {
        kv::set(key, value.as_ref(), ttl.map(milliseconds)).map_err(Error::from)
    }

    /// Removes a value; fine if there is none.
    ///
    /// # Errors
    /// See [`kv`](self).
    pub fn delete(key: &str) -> Result<()> {
        kv::delete(key).map_err(Error::from)
    }

    /// Adds to a whole number (0 if there is none) and answers the sum. The time-to-live is set when
    /// the key is made; later calls leave it as it is.
    ///
    /// # Errors
    /// See [`kv`](self); and if the value is not a whole number or the sum is out of range.
    pub fn add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64> {
        kv::add(key, delta, ttl.map(milliseconds)).map_err(Error::from)
    }

    /// Sets a value only if it is now `expected` (`None`: there is no value), and answers whether it
    /// was.
    ///
    /// # Errors
    /// See [`kv`](self).
    pub fn replace(
        key: &str,
        expected: Option<&[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Result<bool> {
        kv::replace(key, expected, value.as_ref(), ttl.map(milliseconds)).map_err(Error::from)
    }
}
