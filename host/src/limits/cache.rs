//! Bounds of the cache, and how long its requests wait for each other.

use std::time::Duration;

/// Heuristic freshness at most (RFC 9111, section 4.2.2). A tenth of an old document's age would be
/// months; what nobody gave a lifetime should not outlive its change by more than this.
pub const HEURISTIC_MAX: Duration = Duration::from_secs(3_600);
/// Seconds in a directive, at most: what RFC 9111, section 1.2.2 has for larger ones.
pub const SECONDS_MAX: u64 = 1 << 31;
/// Responses stored under one key, chosen by `Vary`. They are searched linearly, and a key with more
/// varies by something that is different in each request.
pub const VARIANTS_MAX: usize = 32;
/// Fields named in one `Vary`. More is taken as `*`.
pub const VARY_NAMES_MAX: usize = 16;
/// How long requests wait for the head of a fetch until one of them fetches, too; then, until two more do,
/// four, and so on. Longer than healthy upstreams take, and short enough for a client's patience.
pub const COLLAPSE_WAIT: Duration = Duration::from_secs(5);
/// How often one request waits for others: once for a fetch that turns out to be of another variant,
/// once for that variant's, and once for a leader that gives up.
pub const COLLAPSE_ROUNDS: usize = 3;
/// Requests that wait for one fetch: as many as the gateway serves by default. More go on by themselves.
pub const COLLAPSE_WAITERS_MAX: usize = 4_096;
/// How long a key is remembered as one whose responses cannot be shared, so that requests for it do
/// not wait for each other ("hit for miss").
pub const UNSHARED: Duration = Duration::from_secs(30);
/// Keys so remembered, by their hashes: a MiB.
pub const UNSHARED_KEYS_MAX: usize = 16_384;
/// Pieces of a body that are copied as they come, in bytes, at most. A piece is a slice of the buffer of
/// 8 KiB or more that it was read into; larger ones are about as large as their buffers.
pub const COPIED_BYTES: usize = 16 << 10;
/// What is kept of a body that is not going to be stored, between its upstream and its slowest
/// reader, in bytes. It is in no budget, so it is no more than a connection's buffers are anyway.
pub const WINDOW_BYTES: usize = 128 << 10;
/// How long the readers of one such body wait for slower ones until the pace of those is judged: long
/// enough for a hiccup, and no more than a fetch of their own might take.
pub const STALL_MAX: Duration = Duration::from_secs(5);
/// What a reader must have taken in that time while it was waited for, in bytes: half a megabit a second,
/// below which hardly a client is.
pub const PACE_BYTES: u64 = 256 << 10;
/// How long a body is still read to be stored after its last reader has gone: enough for most, and
/// short, since no request's bound counts it any more.
pub const FILL_ALONE: Duration = Duration::from_secs(10);
/// Bodies that are read without readers at the same time. Each has a connection to its upstream.
pub const FILLS_ALONE_MAX: usize = 64;
/// What each piece of a body costs beside its bytes: its place in a list, and its reference count.
pub const RECEIVED_OVERHEAD_BYTES: usize = 64;
/// A piece of a stored body, in bytes: larger than almost all answers of APIs, which so are one
/// piece; small enough that copying it does not hold up a thread.
pub const PIECE_BYTES: usize = 256 << 10;
/// All bodies that are being read to be stored, as a part of what the cache may hold. Their bytes
/// are beside those of the store, and so are those of bodies that are no longer stored and still
/// being sent: both together are at most this part.
pub const FILLING_PART: u64 = 4;
/// What bookkeeping costs for each key and each variant, in bytes: hash tables, lists, reference
/// counts, and the memory that allocators lose.
pub const ENTRY_OVERHEAD_BYTES: usize = 512;
/// A small stored response, as APIs have them, in bytes. The memory of evicted keys is sized by this: half as
/// many as there could be of such responses, at some 100 bytes each, a fortieth of the store.
pub const USUAL_BYTES: u64 = 2 << 10;
/// What of a body is read and thrown away for the sake of a range of it, in bytes. For one that begins
/// further on the upstream is asked for that range: the client could not wait for the rest.
pub const SKIP_BYTES_MAX: u64 = 256 << 10;
/// Parts of the store that have a lock each.
pub const SHARDS_MAX: usize = 64;
/// Locks for changes of entries: a change takes a microsecond.
pub const STRIPES: usize = 256;
