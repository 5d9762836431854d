//! What the host offers, as plain functions. In native tests the same functions are served by
//! [`crate::testing`].

#[cfg(target_family = "wasm")]
use crate::bindings::imports::tollgate::plugin as backing;
#[cfg(not(target_family = "wasm"))]
use crate::testing::backing;

/// Lines in the gateway's log, with the plugin's name and the request's id. The gateway keeps up to
/// 4 KiB of a line and 16 KiB of one call's lines.
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

/// The time. Not to be called in `configure`.
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

    /// Whether both are the same, in a time that depends on their lengths alone.
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
