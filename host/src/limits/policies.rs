//! Bounds of the mechanisms behind plugins.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Getters that one decision may hang on: more than any sensible policy asks, and each is evaluated
/// for every request.
pub const FACTS_MAX: usize = 64;
/// The names in them, in bytes.
pub const FACT_NAME_BYTES_MAX: usize = 4 << 10;
/// Lists of getters that one policy learns: its ways through its own logic. What follows another is
/// not remembered.
pub const FACT_LISTS_MAX: usize = 16;
/// Lists that answers which are not to be remembered may take of these, so that there is room for
/// those that are.
pub const FACT_LISTS_DECLINED_MAX: usize = 8;
/// What is looked at to hold one request against all lists, in bytes: a third of a millisecond. This
/// is done outside the plugin's processor time, and a plugin could name costly getters many times.
pub const RECALL_BYTES_MAX: usize = 256 << 10;
/// How long a decision is remembered at most: beyond a day, an operator would not expect it.
pub const REMEMBER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// One decision, in bytes: a grant or an error page. A few larger ones would push out all others.
pub const DECISION_BYTES_MAX: usize = 64 << 10;
/// What a remembered decision costs beside its content, in bytes: key, time, and its places in the
/// store's tables.
pub const DECISION_OVERHEAD_BYTES: usize = 160;
/// How long a request waits for the answer to an identical one, in all: longer than a call takes with
/// the default bounds on its wait and its elapsed time.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_millis(200);
/// How often it waits: for the next in line where the one who asked vanished, or because the answer
/// taught a new list.
pub const ANSWER_WAITS_MAX: usize = 8;
/// Requests that wait for one answer. More ask for themselves; so many wake at once.
pub const ANSWER_WAITERS_MAX: usize = 4_096;
/// The greatest value that a histogram of a plugin takes; more counts as this. Its sum, which never ends,
/// stays a number.
pub const METRIC_VALUE_MAX: f64 = 1e280;
/// Limits that one limiter names for one request. Each locks a counter, and each is a member of two
/// header fields; real policies have one to four.
pub const LIMITS_MAX: usize = 16;
/// The parts of one limit's key, together, in bytes: what a request's head can have, so that no client can
/// make a limiter that counts by it fault.
pub const LIMIT_KEY_BYTES_MAX: usize = super::MESSAGE_HEADER_BYTES_MAX + super::TARGET_BYTES_MAX;
/// Names of limits that one chain entry counts by in the metrics; what is beyond counts as `other`. Names
/// are a plugin's to choose, and each is three series.
pub const LIMIT_METRIC_NAMES_MAX: usize = 32;
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
/// One key, in bytes. A longer one wants to be hashed.
pub const KV_KEY_BYTES_MAX: usize = 1 << 10;
/// One value, in bytes. It is copied into the guest at each reading; what is larger is a document, and
/// belongs to an upstream.
pub const KV_VALUE_BYTES_MAX: usize = 64 << 10;
/// What an entry costs beside key and value, in bytes: its places in the tables, which are up to half
/// empty, and what the allocator adds.
pub const KV_ENTRY_OVERHEAD_BYTES: usize = 192;
/// Entries that are spared in a row for having been read. Some entry must go, and the hand must not go
/// round all of them while others wait.
pub const KV_SPARED_MAX: usize = 16;
/// Entries that each write looks at for having expired, in its own namespace and in another's. More
/// than one, so that sweeping overtakes writing.
pub const KV_SWEPT_PER_WRITE: usize = 2;
/// Series of one plugin: what the contract says. A label with a value for each caller meets it soon.
pub const PLUGIN_SERIES_MAX: usize = 100;
/// Labels of one series, beside the plugin's name.
pub const METRIC_LABELS_MAX: usize = 8;
/// The value of a label, in bytes; the rest is cut.
pub const METRIC_LABEL_BYTES_MAX: usize = 128;
/// The name of a metric or of a label, in bytes: as names in the configuration.
pub const METRIC_NAME_BYTES_MAX: usize = 64;

/// Modulus of an RSA key, in bits. The least is RFC 7518's (sections 3.3 and 3.5); verifying with more
/// than the most takes milliseconds, and the library refuses it.
pub const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
/// A public key in DER, in bytes: the largest RSA key has some 1,100, and an exponent of its own size
/// would double that.
pub const PUBLIC_KEY_BYTES_MAX: usize = 4 << 10;
/// A key set, in bytes: a hundred large RSA keys with their certificates.
pub const KEY_SET_BYTES_MAX: usize = 1 << 20;
/// The identifier of a key, in bytes. Thumbprints have 43, names of cloud keys some 200.
pub const KEY_ID_BYTES_MAX: usize = 512;
/// A token, in bytes. It has to fit in a request's head beside the rest; most have one or two KiB.
pub const JWS_BYTES_MAX: usize = 16 << 10;
/// Keys that are tried for one token, which matters where the token names none. The slowest, of P-521,
/// takes half a millisecond: so one token costs 5 ms at most, half of a call's default processor time.
pub const KEYS_TRIED_MAX: usize = 10;
/// How long after one reading of a file a token with an unknown key may bring about the next, so that
/// clients who make up identifiers cannot keep the disk busy. A file that could not be used is read
/// again after as long.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(1);
