//! Bounds of what is written to standard output and standard error.

use std::time::Duration;

use super::config;

/// Of a text of others, as it is quoted in a message: as much as shows what it is, in characters.
pub const QUOTED_CHARS_MAX: usize = 3 * config::NAME_BYTES_MAX;
/// What a line of the log costs beside its text, in bytes: its time, names and identifiers.
pub const LOG_LINE_OVERHEAD_BYTES: usize = 128;
/// Access-log lines that wait for their thread, in bytes; what is beyond is lost and counted. Some
/// 20,000 lines: a second of a busy gateway on a stalled disk.
pub const ACCESS_LOG_BYTES_MAX: usize = 8 << 20;
/// What a log's thread keeps of its buffer between writes, in bytes.
pub const LOG_BATCH_BYTES: usize = 64 << 10;
/// What is written at once, in bytes: a pipe takes so much whole or not at all (`PIPE_BUF`), so that a
/// reader that stops tears no line, and it is known which lines it did not get.
pub const LOG_WRITE_BYTES: usize = 4 << 10;
/// How long the first line waits for others, to be written together.
pub const ACCESS_LOG_DELAY: Duration = Duration::from_millis(5);
/// Lines of the gateway's own log that wait for their thread, in bytes; what is beyond is lost and
/// counted. Some thousand faults with their backtraces.
pub const LOG_BYTES_MAX: usize = 4 << 20;
/// How long the end of the process waits for an output that takes no lines. Long enough for a slow disk;
/// what supervises the process gives it some ten seconds in all.
pub const LOG_CLOSED_WITHIN: Duration = Duration::from_secs(2);
/// How soon an output that would block is asked again.
pub const LOG_RETRY_EVERY: Duration = Duration::from_millis(5);
/// How long it is quiet after it was said that lines are lost: an output that comes and goes must not
/// fill the log.
pub const LOG_LOSS_SAID_EVERY: Duration = Duration::from_secs(10);
/// The method of a head that cannot be read, in bytes: no method that is in use has half as many.
pub const METHOD_BYTES_SHOWN: usize = 32;
/// A host that was not checked, in bytes: as many as one can have.
pub const HOST_BYTES_SHOWN: usize = 255;
/// Characters of a name from outside (`alg`, `kid`, `kty`, `crv`) that a message shows.
pub const KEY_NAME_CHARS_SHOWN: usize = 64;
