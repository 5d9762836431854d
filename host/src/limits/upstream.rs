//! Bounds of connections to upstreams and of exchanges on them.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{message, milliseconds};

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
/// Connections kept to one server while nothing is to be sent.
pub const UPSTREAM_IDLE_CONNECTIONS_MAX: usize = 256;
/// How long they are kept: below the 60 to 75 s after which common servers close them.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(50);
/// How long the rest of an upload is still passed on after its answer has ended.
pub const UPLOAD_LINGER: Duration = Duration::from_secs(2);
/// What is buffered of a server's bytes: the largest head, with the separators of its lines, and as much of a
/// body at once.
pub const UPSTREAM_BUFFER_BYTES_MAX: usize =
    message::MESSAGE_HEADER_BYTES_MAX + 2 * message::TARGET_BYTES_MAX;
/// Interim responses (1xx) to one request. Real servers send one or two, or one every some seconds of a long
/// computation.
pub const INTERIM_RESPONSES_MAX: usize = 100;
/// How long a connection stays unused after a response that announced content and had none: a server that
/// sends it all the same does so at once or never.
pub const UPSTREAM_QUIET: Duration = Duration::from_secs(1);
/// How often a want of sockets is told in the log: seen soon, and no flood.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);
/// How often a connection is polled in a row while it wakes itself. It does so a few times for one
/// message; more are left for the task's next turn, since tokio may be asking the task to give way.
pub const DRIVER_ROUNDS: usize = 8;
