//! Bounds of the whole process: what it serves at once, what it keeps, and how it reloads.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::seconds;

/// Worker threads. More than any machine has cores is a mistake.
pub const WORKERS: RangeInclusive<usize> = 1..=1_024;
/// Where health and metrics are served, on the loopback address, unless `admin.address` says else.
/// The number is arbitrary; it lies in the range where exporters of metrics usually listen.
pub const ADMIN_PORT_DEFAULT: u16 = 9_900;
/// Client connections open at once; the upper end is about what one process's file descriptors and
/// memory bear.
pub const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
/// At some tens of KiB per connection this stays under 1 GiB.
pub const CONNECTIONS_DEFAULT: usize = 10_000;
/// Requests in flight at once.
pub const REQUESTS: RangeInclusive<usize> = 1..=1_000_000;
/// With a slow upstream of 1 s this still carries 4,000 requests per second; beyond it, waiting
/// longer helps nobody.
pub const REQUESTS_DEFAULT: usize = 4_096;
/// Plugin instances at work at once. Each reserves 8 GiB of addresses (not of memory) in the pool; what
/// does not fit [`super::pool::ADDRESSES_MAX`] beside the rest is refused at the start.
pub const PLUGIN_CALLS: RangeInclusive<usize> = 1..=16_384;
/// 512 instances of 16 MiB are 8 GiB if every one were full, which is far from what happens.
pub const PLUGIN_CALLS_DEFAULT: usize = 512;
/// How long a stopping process waits for requests in flight; zero is allowed and waits for none.
pub const DRAIN: RangeInclusive<Duration> = seconds(0, 3_600);
/// Under the 30 s after which orchestrators usually kill.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(10);
/// How often the files are looked at. A change counts when two looks found the same, so it is served
/// within twice this time, and building it.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// After how long a reload is said to take long, and is said to again: with nothing to compile it takes a
/// fraction of a second, and one that never ended would be one that nobody knows of.
pub const RELOAD_SLOW: Duration = Duration::from_secs(60);
/// The pauses after which a reload is tried again that failed for want of something that the system may
/// give later. Each is twice the one before.
pub const RELOAD_AGAIN: RangeInclusive<Duration> = seconds(1, 60);
/// How long loading may take before its progress is shown: what is quicker would only flicker.
pub const PROGRESS_AFTER: Duration = Duration::from_millis(200);
/// How often the progress is drawn.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Descriptors that are neither connections nor snapshots: listeners, logs, files being read.
pub const DESCRIPTORS_BESIDE: usize = 64;
/// Calls that may wait for a peer at once: half of all, so that slow peers of some plugins do not take the
/// instances that others need.
pub const fn waiting_calls(plugin_calls: usize) -> usize {
    plugin_calls.div_ceil(2)
}
/// Bodies that may go through plugins at once: a quarter of all calls. An event stream lasts for hours
/// and holds an instance all the while, so these are not those that may wait, and beside both a quarter is
/// left for calls that do neither.
pub const fn streaming_calls(plugin_calls: usize) -> usize {
    plugin_calls.div_ceil(4)
}
/// What is held of bodies for plugins, all together, in bytes. The least is the largest that one plugin may
/// be granted.
pub const RUNTIME_BODIES_BYTES: RangeInclusive<u64> = 16 << 20..=1 << 40;
/// Of the memory that the process may have, one part in so many: beside bodies there are the cache,
/// instances and connections.
pub const RUNTIME_BODIES_PART_DEFAULT: u64 = 4;
/// What that part is held to: a machine may be small, and one that is large is not all for bodies.
pub const RUNTIME_BODIES_BYTES_DEFAULT: RangeInclusive<u64> = 64 << 20..=16 << 30;
/// Cached responses, in bytes. Below 1 MiB a cache holds no more than a page; above 64 GiB it belongs
/// on a machine of its own.
pub const STORE_CACHE_BYTES: RangeInclusive<u64> = 1 << 20..=64 << 30;
/// A tenth of a small server's memory.
pub const STORE_CACHE_BYTES_DEFAULT: u64 = 256 << 20;
/// The largest body that is cached, in bytes. It is held whole while it is stored.
pub const STORE_CACHE_ENTRY_BYTES: RangeInclusive<u64> = 1 << 10..=1 << 30;
/// Pages, scripts and most images fit, and thirty-two such entries fit the default cache.
pub const STORE_CACHE_ENTRY_BYTES_DEFAULT: u64 = 8 << 20;
/// Remembered decisions of authorizers, in bytes. A decision is some hundred bytes to a few KiB.
pub const STORE_DECISIONS_BYTES: RangeInclusive<u64> = 64 << 10..=4 << 30;
/// Some 20,000 callers.
pub const STORE_DECISIONS_BYTES_DEFAULT: u64 = 16 << 20;
/// What plugins keep, in bytes.
pub const STORE_KV_BYTES: RangeInclusive<u64> = 64 << 10..=16 << 30;
/// Some 100,000 sessions or nonces.
pub const STORE_KV_BYTES_DEFAULT: u64 = 64 << 20;
/// Counters of limits, all keys together: a caller beyond them displaces another's counter, which then
/// begins anew, so that there must be more than there are callers. Each is some hundred bytes.
pub const STORE_LIMIT_KEYS: RangeInclusive<usize> = 1_000..=100_000_000;
/// Some 100 MiB once that many callers came.
pub const STORE_LIMIT_KEYS_DEFAULT: usize = 1_000_000;
/// How long the cut may take: a guest gives way within a tick of the clock.
pub const CUT_WITHIN: Duration = Duration::from_secs(1);
