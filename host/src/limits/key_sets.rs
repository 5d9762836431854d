//! Bounds of key sets, and of the tokens that are held against them.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Keys of one set that stand in the file. Issuers that rotate have two or three; what has more than
/// this is no list that a person keeps.
pub const KEY_SET_KEYS_MAX: usize = 100;
/// How often the file of a key set is looked at. More often than each second is waste; less often
/// than each day, a withdrawn key is trusted too long.
pub const KEY_SET_RELOAD: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Soon enough for a key that is rotated in an emergency, and next to no work.
pub const KEY_SET_RELOAD_DEFAULT: Duration = Duration::from_secs(30);
/// Modulus of an RSA key, in bits. The least is RFC 7518's (sections 3.3 and 3.5); verifying with more
/// than the most takes milliseconds, and the library refuses it.
pub const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
/// A public key in DER, in bytes: the largest RSA key has some 1,100, and an exponent of its own size
/// would double that.
pub const PUBLIC_KEY_BYTES_MAX: usize = 4 << 10;
/// A key set, in bytes: a hundred large RSA keys with their certificates.
pub const KEY_SET_BYTES_MAX: usize = 1 << 20;
/// The identifier of a key, in bytes. Thumbprints have 43, names of cloud keys some 200.
pub const KEY_ID_BYTES_MAX: usize = 512;
/// A token, in bytes. It has to fit in a request's head beside the rest; most have one or two KiB.
pub const JWS_BYTES_MAX: usize = 16 << 10;
/// Keys that are tried for one token, which matters where the token names none. The slowest, of P-521,
/// takes half a millisecond: so one token costs 5 ms at most, half of a call's default processor time.
pub const KEYS_TRIED_MAX: usize = 10;
/// How long after one reading of a file a token with an unknown key may bring about the next, so that
/// clients who make up identifiers cannot keep the disk busy. A file that could not be used is read
/// again after as long.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(1);
