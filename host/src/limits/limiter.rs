//! Bounds of limits and their counters.

use std::time::Duration;

use super::message;

/// How often counters that have come to rest are swept out: memory follows traffic within minutes.
pub const LIMIT_SWEEP: Duration = Duration::from_secs(10);
/// Limits that one limiter names for one request. Each locks a counter, and each is a member of two
/// header fields; real policies have one to four.
pub const LIMITS_MAX: usize = 16;
/// The parts of one limit's key, together, in bytes: what a request's head can have, so that no client can
/// make a limiter that counts by it fault.
pub const LIMIT_KEY_BYTES_MAX: usize =
    message::MESSAGE_HEADER_BYTES_MAX + message::TARGET_BYTES_MAX;
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
/// Keys among which a new one displaces one: of the place that has the most of them, the one nearest to being
/// idle. Of 8 of one place, it is among the nearest quarter with a chance of 90%.
pub const DISPLACE_SAMPLE: usize = 8;
/// Keys looked at, at most, to find that many that can be displaced. Of a shard with no more, all are.
pub const DISPLACE_STEPS_MAX: usize = 64;
/// How far a quota's window may lie ahead of the clock, in milliseconds, and still hold: threads read
/// the clock one after another, and time servers turn it back a little. Beyond, it has been reset.
pub const CLOCK_SKEW_MS: i64 = 60_000;
/// What `Retry-After` says, in seconds, where another request has to end first: nobody knows when
/// that is, and this is the shortest that the field can say.
pub const RETRY_CONCURRENT_SECONDS: u64 = 1;
