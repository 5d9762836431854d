//! Bounds of what an operator can write.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Hosts of an API: the names that one service has. Every route of the API has a copy of them, so
/// that there are fewer than a route may have of its own.
pub const API_HOSTS_MAX: usize = 32;
/// The base of an API, in bytes. It stands in front of every path of the API, and longer ones than
/// this are not read by people.
pub const API_BASE_BYTES_MAX: usize = 1_024;
/// Variables of one route, with those that it inherits.
pub const VARIABLES_MAX: usize = 64;
/// Names and values of them, in bytes. They are settings; a document belongs to a plugin's
/// configuration. A route with variables of its own has a copy of those that it inherits.
pub const VARIABLES_BYTES_MAX: usize = 8 << 10;
/// Key sets of one gateway. Each issuer of tokens has one; more are a mistake.
pub const KEY_SETS_MAX: usize = 64;
/// Keys of one set that stand in the file. Issuers that rotate have two or three; what has more than
/// this is no list that a person keeps.
pub const KEY_SET_KEYS_MAX: usize = 100;
/// How often the file of a key set is looked at. More often than each second is waste; less often
/// than each day, a withdrawn key is trusted too long.
pub const KEY_SET_RELOAD: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Soon enough for a key that is rotated in an emergency, and next to no work.
pub const KEY_SET_RELOAD_DEFAULT: Duration = Duration::from_secs(30);
/// Header fields, and as many query parameters, that one entry asks for. Each is looked up in every
/// request.
pub const FIELD_TESTS_MAX: usize = 32;
/// The size up to which a plugin is given whole bodies, in bytes. They are held in memory, for each
/// request that passes it; what is larger than this is streamed and not looked into.
pub const GRANTED_BODY_BYTES: RangeInclusive<u64> = 1..=16 << 20;
/// Elapsed time of one call of a plugin that may wait for peers, bodies or upstreams: as long as a
/// client may stall and an upstream may take to its first byte.
pub const GRANTED_WALL_DEFAULT: Duration = Duration::from_secs(30);
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
