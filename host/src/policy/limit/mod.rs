//! Limits: the mechanism behind `limiter` and `limiter-settle` of `wit/hooks.wit`. A plugin says which
//! limits a request counts against; here are the counters. Pure and synchronous: the time is a
//! parameter, and nothing waits but for a mutex held for well under a microsecond.
//!
//! What is decided here, and why:
//!
//! - **All or none.** The shards of all of a request's counters are locked together, in ascending
//!   order; all limits are judged, then all charged. Where an enforced limit refuses, nothing is
//!   charged, not even count-only limits: the request did not happen.
//! - **Count-only** limits never refuse. Over the bound, `quota` and `concurrent` are charged on, since
//!   they count what really is; a `rate` is left as it is, as if it had refused. Charged on, it would
//!   run into a debt in which everything after counts as over, long after the traffic has calmed down;
//!   so the requests that it finds over are those that it would refuse.
//! - **A counter** is named by its scope, the kind of its bound, the period and the key, not by amounts:
//!   who moves to another tier keeps what is already used. Two limits of one list that name the same
//!   counter are a mistake and refused as such, since each request would count twice.
//! - **`rate`** is a token bucket in integers, without rounding, whatever the numbers. What has flowed
//!   since the last charge flows at the amount of the limit that looks.
//! - **`quota`** follows the UTC calendar. With the end of a window goes what was used in it, and so do
//!   debts and what is settled later.
//! - **Settling** corrects a charge. More may go into debt, which is repaid as usual; less is given
//!   back, never beyond a full bucket or below nothing used.
//! - **Keys** are stored as digests of 128 bits under a random key of the process (`digest.rs`), so a key
//!   of any length takes the same memory: 75 to 150 bytes, 64 of them its own and the rest index and
//!   room to grow. No key, and nothing made from one, is in any answer or error.
//! - **Idle keys** (full bucket, ended window, nothing held) behave exactly as unknown ones and are
//!   dropped: each charge looks at two keys of each shard that it locks, and [`Limiter::sweep`] at all.
//! - **At the bound** of keys, a new key displaces, of [`DISPLACE_SAMPLE`] of its shard drawn by lot, the
//!   one nearest to being idle, and of equally near ones the least used: fresh keys displace each other
//!   before they displace an exhausted one. A key that holds `concurrent` is never displaced. Where
//!   nothing can be, an enforced limit refuses with 503, because what cannot be counted cannot be kept
//!   to; a count-only limit lets the request go on uncounted.

mod asked;
mod calendar;
mod charge;
mod counter;
mod digest;
mod limiter;
mod respond;
mod shard;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub use asked::{BadLimits, Bound, Limit, Period, Place, Scope};
pub use charge::{Charge, Finding, Standing};
pub use limiter::Limiter;

// Bounds.

/// Limits that one limiter names for one request. Each locks a counter, and each is a member of two
/// header fields; real policies have one to four.
pub const LIMITS_MAX: usize = 16;
/// The parts of one limit's key, together, in bytes. Longer ones cost hashing time on every request.
pub const LIMIT_KEY_BYTES_MAX: usize = 1 << 10;
/// Parts of one limit's key: empty ones cost time too.
pub const LIMIT_KEY_PARTS_MAX: usize = 32;
/// A limit's name, in bytes, as all names that become metric labels.
pub const LIMIT_NAME_BYTES_MAX: usize = 64;
/// The longest period of a rate, in milliseconds: 366 days. Buckets live in memory and rarely get as
/// old, and below it no product of two numbers overflows.
pub const RATE_PERIOD_MS_MAX: u64 = 366 * 24 * 3_600 * 1_000;
/// Shards of the counters, each under its own mutex: some times more than a machine has cores, so that
/// threads seldom meet, and as many as one word has bits, which keep the locking order.
pub const LIMIT_SHARDS_MAX: usize = 64;
/// Keys that a shard has room for, at least, before the counters are divided into more of them: in
/// smaller ones, chance fills one long before the others.
pub const LIMIT_SHARD_KEYS_MIN: usize = 256;
/// Keys that each charge looks at, in each shard that it locks, whether they are idle. A charge adds
/// at most one per limit, so two keep the idle ones to a fraction.
pub const EXPIRE_STEPS: usize = 2;
/// Keys among which a new one displaces the one nearest to being idle. Of 8, it is among the nearest
/// quarter with a chance of 90%.
pub const DISPLACE_SAMPLE: usize = 8;
/// Keys looked at, at most, to find that many that can be displaced. Of a shard with no more, all are.
pub const DISPLACE_STEPS_MAX: usize = 64;
/// How far a quota's window may lie ahead of the clock, in milliseconds, and still hold: threads read
/// the clock one after another, and time servers turn it back a little. Beyond, it has been reset.
pub const CLOCK_SKEW_MS: i64 = 60_000;
/// What `Retry-After` says, in seconds, where another request has to end first: nobody knows when
/// that is, and this is the shortest that the field can say.
pub const RETRY_CONCURRENT_SECONDS: u64 = 1;

/// When something happens, on the two clocks that limits need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since some moment: for rates, which must not jump.
    pub monotonic_ns: u64,
    /// Milliseconds since 1970, UTC: for quotas, which follow the calendar.
    pub unix_ms: i64,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            monotonic_ns: u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX),
            // A clock before 1970 is not set; quotas then count in that year's windows.
            unix_ms: unix.map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }),
        }
    }
}
