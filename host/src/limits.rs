//! Every bound and every default, with its unit and its reason.

pub mod cache;
mod config;
mod connections;
mod loading;
mod logs;
mod policies;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use config::*;
pub use connections::*;
pub use loading::*;
pub use logs::*;
pub use policies::*;

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

// The configuration file.

/// The largest configuration file read. Some 30,000 routes fit; a larger file is a mistake, such as
/// a component named in its place.
pub const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Stack of the thread that reads the file. The deepest tree that the TOML parser lets through has
/// some 6,600 levels; this is over 4 KiB for each.
pub const CONFIG_STACK_BYTES: usize = 32 << 20;
/// How many problems of one file are printed. Beyond that nobody reads on, and the rest are usually
/// echoes of the first.
pub const CONFIG_PROBLEMS_SHOWN: usize = 100;
/// How many names of a list a problem tells: no more than a reader takes in.
pub const CONFIG_NAMES_SHOWN: usize = 24;
/// How many characters of a source line a problem shows: one wide terminal line.
pub const CONFIG_LINE_CHARS_SHOWN: usize = 160;
/// The longest name of a listener, plugin, policy, upstream, route, secret or path parameter. Names
/// become metric labels, which should stay short.
pub const NAME_BYTES_MAX: usize = 64;
/// Of a text of others, as it is quoted in a message: as much as shows what it is, in characters.
pub const QUOTED_CHARS_MAX: usize = 3 * NAME_BYTES_MAX;
/// How deep a plugin's configuration nests. Readers of it recurse, and no real one comes near.
pub const PLUGIN_CONFIG_DEPTH_MAX: usize = 64;
/// All keys together that lead to a value of a plugin's configuration. They are kept for every
/// value below, so without this a small file could take any amount of memory.
pub const PLUGIN_CONFIG_POINTER_BYTES_MAX: usize = 1_024;
/// Policies in one chain. Each costs a plugin call per request, so a longer chain is a mistake.
pub const CHAIN_POLICIES_MAX: usize = 32;
/// Servers of one upstream: choosing among them is a linear walk.
pub const UPSTREAM_SERVERS_MAX: usize = 256;
/// Weight of a server. Finer proportions than one in a thousand are not observable.
pub const SERVER_WEIGHT: RangeInclusive<u32> = 1..=1_000;
/// Methods of one route: more than there are in use.
pub const ROUTE_METHODS_MAX: usize = 32;
/// Hosts of one route. Conflicts are looked for with each method at each host, so that both bounds
/// keep their product small.
pub const ROUTE_HOSTS_MAX: usize = 256;
/// `priority` of a route. Wide enough to leave gaps, narrow enough to stay readable.
pub const ROUTE_PRIORITY: RangeInclusive<i32> = -1_000..=1_000;

// The process.

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
/// does not fit [`ADDRESSES_MAX`] beside the rest is refused at the start.
pub const PLUGIN_CALLS: RangeInclusive<usize> = 1..=16_384;
/// 512 instances of 16 MiB are 8 GiB if every one were full, which is far from what happens.
pub const PLUGIN_CALLS_DEFAULT: usize = 512;
/// How long a stopping process waits for requests in flight; zero is allowed and waits for none.
pub const DRAIN: RangeInclusive<Duration> = seconds(0, 3_600);
/// Under the 30 s after which orchestrators usually kill.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

// One plugin.

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
/// Calls of one plugin at once; the process-wide bound is [`PLUGIN_CALLS`].
pub const PLUGIN_CONCURRENCY: RangeInclusive<usize> = 1..=16_384;
/// Half of [`PLUGIN_CALLS_DEFAULT`], so that one slow plugin cannot take every instance.
pub const PLUGIN_CONCURRENCY_DEFAULT: usize = 256;
/// How many calls a reused instance serves before it is replaced; a leak then stays bounded.
pub const INSTANCE_CALLS: RangeInclusive<u32> = 1..=1_000_000;

// One exchange with an upstream.

/// Waiting for a connection.
pub const CONNECT: RangeInclusive<Duration> = milliseconds(300_000);
/// One lost SYN is sent again after 1 s, so 2 s survives one loss.
pub const CONNECT_DEFAULT: Duration = Duration::from_secs(2);
/// Waiting for the response's head.
pub const FIRST_BYTE: RangeInclusive<Duration> = milliseconds(3_600_000);
/// Longer than honest upstreams take, shorter than the patience of most clients.
pub const FIRST_BYTE_DEFAULT: Duration = Duration::from_secs(30);
/// The whole exchange. A day is for event streams.
pub const TOTAL: RangeInclusive<Duration> = milliseconds(86_400_000);
/// Twice the first byte: as long again for the body.
pub const TOTAL_DEFAULT: Duration = Duration::from_secs(60);

// One request's path.

/// Segments of a path, in a request or in a template. The router recurses once per segment, so this
/// is also its bound on stack.
pub const PATH_SEGMENTS_MAX: usize = 256;

// One message.

/// Names and values of one message's headers, in bytes. What common servers accept is 8 to 64 KiB;
/// plugins and clients alike are held to it.
pub const MESSAGE_HEADER_BYTES_MAX: usize = 64 << 10;
/// Header lines of one message: the most that hyper parses without allocating, and ten times what a
/// browser sends.
pub const MESSAGE_HEADER_LINES_MAX: usize = 100;
/// Names and values of one message's headers once policies have edited it, in bytes: what its sender may send
/// at most leaves them as much again, or they would fail for what is no fault of theirs.
pub const EDITED_HEADER_BYTES_MAX: usize = 2 * MESSAGE_HEADER_BYTES_MAX;
/// Header lines of one message once policies have edited it.
pub const EDITED_HEADER_LINES_MAX: usize = 2 * MESSAGE_HEADER_LINES_MAX;
/// The target of a request, in bytes: as the managed gateways have it, rounded up.
pub const TARGET_BYTES_MAX: usize = 16 << 10;
/// The body of a reply that a plugin makes, in bytes. It is held in memory, and error pages and
/// small documents are far smaller; larger ones belong to an upstream.
pub const REPLY_BODY_BYTES_MAX: usize = 1 << 20;
/// Names and values of all notes that plugins write on one request, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;
/// Notes on one request: they are searched linearly.
pub const ATTRIBUTES_MAX: usize = 256;
/// Claims of one grant: they are searched linearly.
pub const CLAIMS_MAX: usize = 256;
/// Principal, usage key and claims of one grant, in bytes.
pub const GRANT_BYTES_MAX: usize = 64 << 10;

// One plugin call, beside memory, CPU and wall.

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
/// Elements of one table of a guest: functions that it calls indirectly. The pool reserves this many
/// for each.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 20_000;
/// How often the epoch advances: a guest that loops yields, and is judged, this often. Shorter costs
/// the idle machine wake-ups; longer lets neighbours on the thread wait.
pub const EPOCH_TICK: Duration = Duration::from_millis(1);
/// How long a call waits for a free instance before it is answered 503: one call's usual time, twice
/// over, on a busy machine. Waiting longer only moves the queue.
pub const INSTANCE_WAIT: Duration = Duration::from_millis(50);

// The pool of instances.

/// Stack of a guest, in bytes. The plugins that we build need 64 KiB; others that recurse get more.
pub const GUEST_STACK_BYTES_MAX: usize = 512 << 10;
/// Stack that the host's functions have on top of the guest's, in bytes.
pub const HOST_STACK_BYTES: usize = 512 << 10;
/// Core instances of one component: the module, and the shims that adapters add.
pub const PLUGIN_CORE_INSTANCES_MAX: u32 = 8;
/// Linear memories of one component. One is usual; some tool chains add one.
pub const PLUGIN_MEMORIES_MAX: u32 = 2;
/// Tables of one component: the module's, and the shim's.
pub const PLUGIN_TABLES_MAX: u32 = 4;
/// Memory that a slot of the pool keeps between calls, in bytes, where the kernel can say which pages
/// were written. It saves the page faults of the next call.
pub const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// The same for tables.
pub const KEEP_RESIDENT_TABLE_BYTES: usize = 64 << 10;
/// The same where the kernel cannot: all of it is cleared after each call, so it must be little.
pub const KEEP_RESIDENT_BYTES_WITHOUT_SCAN: usize = 64 << 10;
/// What of an instance is put back after a visit, in bytes, before it is cheaper to make another: all
/// pages that its visits wrote so far, some tens in an ordinary plugin.
pub const RESTORED_BYTES_MAX: usize = 1 << 20;
/// Mutable globals of a component whose instances are put back. Each is read after each visit; what
/// compilers make has one, the pointer to its stack.
pub const RESTORED_GLOBALS_MAX: usize = 4;
/// Ticks without a running guest after which the epoch's clock sleeps, so that an idle process does
/// not wake a thousand times a second.
pub const EPOCH_IDLE_TICKS: u32 = 100;
/// The longest it sleeps, so that it notices the end of its engine.
pub const EPOCH_SLEEP: Duration = Duration::from_secs(1);
/// Memory beyond a plugin's own bound while its snapshot is taken, in bytes: the accessors of
/// `wasmtime-wizer` grow each memory by one page.
pub const SNAPSHOT_HEADROOM_BYTES: usize = 2 * PLUGIN_MEMORIES_MAX as usize * (64 << 10);

// Reloading.

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

// Connections.

/// How long a client may send nothing in the middle of a message, or take nothing of an answer.
/// Longer than mobile networks pause.
pub const CLIENT_STALL: Duration = Duration::from_secs(30);
/// How long a client may take for the head of a request, and how long a kept connection waits for
/// the next one.
pub const CLIENT_HEAD: Duration = Duration::from_secs(30);
/// Connections kept to one server while nothing is to be sent.
pub const UPSTREAM_IDLE_CONNECTIONS_MAX: usize = 256;
/// How long they are kept: below the 60 to 75 s after which common servers close them.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(50);
/// One secret, in bytes: a key set or a list of hashed keys.
pub const SECRET_BYTES_MAX: u64 = 1 << 20;
/// What is buffered of a client's bytes: the largest head, and what hyper needs beside it.
pub const CLIENT_BUFFER_BYTES_MAX: usize = MESSAGE_HEADER_BYTES_MAX + 2 * TARGET_BYTES_MAX;
/// Connections to the admin listener: a scraper, a probe and a few people.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Instances of one policy that wait for their next call, at most: one for each worker thread is
/// what calls that do not wait can use.
pub const IDLE_INSTANCES_MAX: usize = 64;
/// Instances that wait for their next call, all policies together: with 64 threads as many as 32
/// policies can use. Each takes places in the pool.
pub const IDLE_INSTANCES_ALL_MAX: usize = 2_048;
/// Policies that the pool has room for, at least, however few the process starts with: a reload may add
/// more. Beyond, the least used wait for a slot's memory to be mapped anew, and nothing fails.
pub const POLICIES_ROOM: usize = 64;
/// Slots beside those of instances that keep the memory of a policy mapped, at most: they reserve
/// addresses.
pub const WARM_SLOTS_MAX: usize = 4_096;
/// Addresses of one slot of the pool, in bytes: all that a 32-bit memory can reach, so that compiled code
/// checks no bounds.
pub const SLOT_BYTES: u64 = 4 << 30;
/// Addresses between two slots, in bytes, as the runtime leaves them.
pub const SLOT_GUARD_BYTES: u64 = 32 << 20;
/// Pieces that the kernel counts of one slot once it was used: the memory of its image, what a guest
/// wrote beyond, and the rest that is kept free.
pub const SLOT_MAPPINGS: usize = 3;
/// Pieces of everything else: code, heaps, stacks.
pub const MAPPINGS_BESIDE: usize = 4_096;
/// Addresses that a process has for its pool in one piece, in bytes: Linux loads a program at two thirds
/// of the 128 TiB that 47 bits reach, and this is below. Some 21,000 slots.
pub const ADDRESSES_MAX: u64 = 84 << 40;
/// Handles that one instance may hold: of the message, and of WASI's streams. Real ones hold a few.
pub const PLUGIN_HANDLES_MAX: usize = 1_000;
/// How long the rest of an upload is still passed on after its answer has ended.
pub const UPLOAD_LINGER: Duration = Duration::from_secs(2);
/// What a line of the log costs beside its text, in bytes: its time, names and identifiers.
pub const LOG_LINE_OVERHEAD_BYTES: usize = 128;
/// Lines of a guest's backtrace, in the log. Recursion is shown by its last frames.
pub const BACKTRACE_LINES_MAX: usize = 40;
/// One line of it, in bytes: names of generic functions are long.
pub const BACKTRACE_LINE_BYTES_MAX: usize = 512;
/// Elapsed time of one whole step of loading: `configure`, and taking the snapshot after it.
pub const LOADING_WALL: Duration = Duration::from_secs(60);
/// Host calls, and KiB that they handle, after which a call's processor time is looked at: some 50 us
/// of work, so that the look (a system call) costs little beside it.
pub const HOST_WORK_UNJUDGED: usize = 256;
/// Processor time after which a running guest rests for a tick, in nanoseconds. A slice that began in
/// the middle of a tick is shorter than one; what is much shorter was cut by the machine's own load,
/// and resting for each such piece would eat up the elapsed time.
pub const REST_AFTER_NS: u64 = 200_000;

// Policies.

/// Answers that a plugin fetches, in bytes: what an authorization service or a token endpoint says is
/// some KiB.
pub const FETCH_BODY_BYTES_MAX: usize = 1 << 20;
/// The parts of a cache key together, in bytes: as long as a target may be.
pub const CACHE_KEY_BYTES_MAX: usize = TARGET_BYTES_MAX;
/// Fields that one response is stored without: real ones have a few.
pub const CACHE_WITHOUT_MAX: usize = 64;
/// The parts of a cache key: real ones have a few.
pub const CACHE_KEY_PARTS_MAX: usize = 64;
/// What the check of a signature is counted as beside the copying of its parts, in bytes: some 100 us.
pub const SIGNATURE_WORK_BYTES: usize = 256 << 10;
/// How often counters that have come to rest are swept out: memory follows traffic within minutes.
pub const LIMIT_SWEEP: Duration = Duration::from_secs(10);
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
/// The largest piece of a body that goes through a plugin, in bytes: large enough that a call costs little
/// beside what the plugin does with it, small enough that slow patterns are within a call's processor time.
pub const STREAM_PIECE_BYTES_MAX: usize = 16 << 10;
/// What a plugin may answer to one piece, in bytes: 64 times the largest, so that one that holds back
/// pieces can let go of them.
pub const STREAM_ANSWER_BYTES_MAX: usize = 1 << 20;
/// Content encodings of one body, one upon the other: real ones have one.
pub const CONTENT_CODINGS_MAX: usize = 2;
/// Bytes that are inflated between two looks at the processor time: the worst of them, made of empty
/// blocks, take some 3 ms.
pub const INFLATE_PIECE_BYTES: usize = 1 << 10;
/// How much of an encoded body is read, in bytes, before its head goes on: what does not begin as its
/// encoding has it is mostly told by the first bytes, and no head waits for more than this.
pub const CODED_TRIAL_BYTES_MAX: usize = 4 << 10;
/// How much is decoded of what was read, in bytes: random data breaks within a few.
pub const DECODED_TRIAL_BYTES_MAX: usize = 4 << 10;
