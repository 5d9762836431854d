//! Bounds of one plugin and of each of its calls.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{GIB, KIB, MIB, message, milliseconds};

/// Linear memory of one instance: two Wasm pages are the least with which a component starts; above
/// 1 GiB it does not fit a slot of the pool.
pub const PLUGIN_MEMORY_BYTES: RangeInclusive<u64> = 128 * KIB..=GIB;
/// An interpreter such as a JavaScript engine fits, and a runaway allocation hurts little.
pub const PLUGIN_MEMORY_BYTES_DEFAULT: u64 = 16 * MIB;
/// Processor time of one call. One millisecond is the resolution of the epoch clock; ten seconds on
/// one request is no longer a gateway.
pub const PLUGIN_CPU: RangeInclusive<Duration> = milliseconds(10_000);
/// A hundred times what a policy normally takes.
pub const PLUGIN_CPU_DEFAULT: Duration = Duration::from_millis(10);
/// Elapsed time of one call, waiting included.
pub const PLUGIN_WALL: RangeInclusive<Duration> = milliseconds(60_000);
/// Ten times the processor time: room for a busy machine, short enough for a client.
pub const PLUGIN_WALL_DEFAULT: Duration = Duration::from_millis(100);
/// Calls of one plugin at once; the process-wide bound is [`super::process::PLUGIN_CALLS`].
pub const PLUGIN_CONCURRENCY: RangeInclusive<usize> = 1..=16_384;
/// Half of [`super::process::PLUGIN_CALLS_DEFAULT`], so that one slow plugin cannot take every instance.
pub const PLUGIN_CONCURRENCY_DEFAULT: usize = 256;
/// How many calls a reused instance serves before it is replaced; a leak then stays bounded.
pub const INSTANCE_CALLS: RangeInclusive<u32> = 1..=1_000_000;
/// The body of a reply that a plugin makes, in bytes. It is held in memory, and error pages and
/// small documents are far smaller; larger ones belong to an upstream.
pub const REPLY_BODY_BYTES_MAX: usize = 1 << 20;
/// One log message of a plugin, in bytes; the rest is cut.
pub const LOG_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// All log messages of one call, in bytes; the rest is counted and dropped.
pub const LOG_CALL_BYTES_MAX: usize = 16 << 10;
/// Random bytes asked for at once.
pub const RANDOM_BYTES_MAX: u32 = 4096;
/// What a guest may pass to the host in one host call, in bytes: the largest of the bounds above,
/// twice for encoding, so that a reply of the largest size still arrives to be judged.
pub const HOST_CALL_BYTES_MAX: usize = 4 << 20;
/// Fields that one call edits before the whole head is kept as it was, instead of each field: ordinary
/// plugins edit one to three.
pub const FIELDS_KEPT_MAX: usize = 8;
/// How often the epoch advances: a guest that loops yields, and is judged, this often. Shorter costs
/// the idle machine wake-ups; longer lets neighbours on the thread wait.
pub const EPOCH_TICK: Duration = Duration::from_millis(1);
/// How long a call waits for a free instance before it is answered 503: one call's usual time, twice
/// over, on a busy machine. Waiting longer only moves the queue.
pub const INSTANCE_WAIT: Duration = Duration::from_millis(50);
/// Handles that one instance may hold: of the message, and of WASI's streams. Real ones hold a few.
pub const PLUGIN_HANDLES_MAX: usize = 1_000;
/// Lines of a guest's backtrace, in the log. Recursion is shown by its last frames.
pub const BACKTRACE_LINES_MAX: usize = 40;
/// One line of it, in bytes: names of generic functions are long.
pub const BACKTRACE_LINE_BYTES_MAX: usize = 512;
/// Host calls, and KiB that they handle, after which a call's processor time is looked at: some 50 us
/// of work, so that the look (a system call) costs little beside it.
pub const HOST_WORK_UNJUDGED: usize = 256;
/// Processor time after which a running guest rests for a tick, in nanoseconds. A slice that began in
/// the middle of a tick is shorter than one; what is much shorter was cut by the machine's own load,
/// and resting for each such piece would eat up the elapsed time.
pub const REST_AFTER_NS: u64 = 200_000;
/// Answers that a plugin fetches, in bytes: what an authorization service or a token endpoint says is
/// some KiB.
pub const FETCH_BODY_BYTES_MAX: usize = 1 << 20;
/// The parts of a cache key together, in bytes: as long as a target may be.
pub const CACHE_KEY_BYTES_MAX: usize = message::TARGET_BYTES_MAX;
/// Fields that one response is stored without: real ones have a few.
pub const CACHE_WITHOUT_MAX: usize = 64;
/// The parts of a cache key: real ones have a few.
pub const CACHE_KEY_PARTS_MAX: usize = 64;
/// What the check of a signature is counted as beside the copying of its parts, in bytes: some 100 us.
pub const SIGNATURE_WORK_BYTES: usize = 256 << 10;
/// The largest piece of a body that goes through a plugin, in bytes: large enough that a call costs little
/// beside what the plugin does with it, small enough that slow patterns are within a call's processor time.
pub const STREAM_PIECE_BYTES_MAX: usize = 16 << 10;
/// What a plugin may answer to one piece, in bytes: 64 times the largest, so that one that holds back
/// pieces can let go of them.
pub const STREAM_ANSWER_BYTES_MAX: usize = 1 << 20;
/// The size up to which a plugin is given whole bodies, in bytes. They are held in memory, for each
/// request that passes it; what is larger than this is streamed and not looked into.
pub const GRANTED_BODY_BYTES: RangeInclusive<u64> = 1..=16 << 20;
/// Elapsed time of one call of a plugin that may wait for peers, bodies or upstreams: as long as a
/// client may stall and an upstream may take to its first byte.
pub const GRANTED_WALL_DEFAULT: Duration = Duration::from_secs(30);
/// What an edit is counted as, in bytes: it looks at all of a message's headers, and may be of any size up to their
/// bound.
pub const EDIT_BYTES: usize = 4 << 10;
