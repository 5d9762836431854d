//! Every bound and every default, with its unit and its reason, by whom it holds.

pub mod cache;
pub mod client;
pub mod config;
pub mod decisions;
pub mod key_sets;
pub mod kv;
pub mod limiter;
pub mod loading;
pub mod logs;
pub mod message;
pub mod metrics;
pub mod plugin;
pub mod pool;
pub mod process;
pub mod upstream;

use std::ops::RangeInclusive;
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

const fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

/// From one millisecond, the finest step that durations in the file have.
const fn milliseconds(to: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=Duration::from_millis(to)
}
