//! Limits: the mechanism behind `limiter` and `limiter-settle` of `wit/hooks.wit`. A plugin says which limits
//! a request counts against; this module has the counters. Pure and synchronous: the time is a parameter, and
//! the only wait is for a mutex that is held for well under a microsecond.
//!
//! Design decisions:
//!
//! - **All or none.** The shards of all of a request's counters are locked together, in ascending order; all
//!   limits are judged, then all charged. If an enforced limit refuses, nothing is charged, not even count-only
//!   limits: the request did not happen.
//! - **Count-only** limits never refuse. Over the bound, `quota` and `concurrent` are still charged, since they
//!   count real use; a `rate` is left as it is, as if it had refused. If it were charged, it would run into a
//!   debt in which every later request counts as over, long after the traffic has calmed down; so the requests
//!   that it finds over are those that it would refuse.
//! - **A counter** is named by its scope, the kind of its bound, the period and the key, not by amounts: a
//!   caller that moves to another tier keeps what is already used. Two limits of one list that name the same
//!   counter are refused as a mistake, since each request would count twice.
//! - **`rate`** is a token bucket in integers, without rounding, whatever the numbers. The time since the last
//!   charge flows at the amount of the limit that looks.
//! - **`quota`** follows the UTC calendar. The end of a window ends what was used in it, its debts, and its
//!   later settlements.
//! - **Settling** corrects a charge. More may go into debt, which is repaid as usual; less is given back, never
//!   beyond a full bucket or below nothing used.
//! - **Keys** are stored as digests of 112 bits under a random key of the process (`digest.rs`), so a key of
//!   any length takes the same memory: 75 to 150 bytes, 64 of them its own and the rest index and room to grow.
//!   No answer or error contains a key, or anything made from one.
//! - **Idle keys** (full bucket, ended window, nothing held) behave exactly like unknown ones and are dropped:
//!   each charge looks at two keys of each shard that it locks, and [`Limiter::sweep`] at all.
//! - **At the bound** of keys, a new key displaces one of
//!   [`DISPLACE_SAMPLE`](crate::limits::limiter::DISPLACE_SAMPLE) drawn from its shard at random. The place
//!   (entry, route or gateway) that has the most of them gives one up, so that a flood of keys at one place displaces
//!   its own and frees no client at another: the one nearest to being idle, and of equally near ones the least used,
//!   so fresh keys displace each other before they displace an exhausted one. A key that holds `concurrent` is never displaced. If none can be
//!   displaced, an enforced limit refuses with 503, because a limit that cannot be counted cannot be enforced;
//!   a count-only limit lets the request go on uncounted.

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

/// A moment on the two clocks that limits need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since a fixed moment: for rates, which must not jump.
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
            // A clock before 1970 is not set; quotas then count in windows of 1970.
            unix_ms: unix.map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }),
        }
    }
}
