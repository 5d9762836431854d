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
//! - **At the bound** of keys, a new key displaces, of [`DISPLACE_SAMPLE`](crate::limits::limiter::DISPLACE_SAMPLE) of its shard drawn by lot, the
//!   one nearest to being idle, and of equally near ones the least used: fresh keys displace each other
//!   before they displace an exhausted one. A key that holds `concurrent` is never displaced. Where
//!   nothing can be, an enforced limit refuses with 503, because what cannot be counted cannot be kept
//!   to; a count-only limit lets the request go on uncounted.

mod calendar;
mod charge;
mod counted;
mod counter;
mod digest;
mod kinds;
mod limiter;
mod respond;
mod shard;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub use charge::Charge;
pub use counted::Standing;
pub use counter::Finding;
pub use kinds::{BadLimits, Bound, Limit, Period, Scope, ScopeNames};
pub use limiter::Limiter;

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
