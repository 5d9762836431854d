//! Bounds of the connections of clients.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::message;

/// How long a client may send nothing in the middle of a message, or take nothing of an answer.
/// Longer than mobile networks pause.
pub const CLIENT_STALL: Duration = Duration::from_secs(30);
/// How long a client may take for the head of a request, and how long a kept connection waits for
/// the next one.
pub const CLIENT_HEAD: Duration = Duration::from_secs(30);
/// What is buffered of a client's bytes: the largest head, and what hyper needs beside it.
pub const CLIENT_BUFFER_BYTES_MAX: usize =
    message::MESSAGE_HEADER_BYTES_MAX + 2 * message::TARGET_BYTES_MAX;
/// Connections to the admin listener: a scraper, a probe and a few people.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// What is read from one peer before its task gives way, in bytes: a millisecond of the worst that a peer can
/// make us parse, and so much that giving way costs nothing beside it.
pub const PEER_TURN_BYTES: usize = 64 << 10;
/// What a peer may send without making a head or a piece of a body of it, in bytes: interim responses,
/// digits of a chunk's size, and whatever else has no bound of its own. Both sides read ahead by less than
/// half of it.
pub const PEER_BARREN_BYTES_MAX: usize = 1 << 20;
/// What a client must send of a body, or take of an answer, in bytes per second. With 0 a byte each
/// [`CLIENT_STALL`] is enough; no access network is so fast that the upper end would let go of nobody.
pub const LEAST_PACE: RangeInclusive<u64> = 0..=1 << 20;
/// A tenth of the slowest access networks. What is slower holds the places that others need.
pub const LEAST_PACE_DEFAULT: u64 = 240;
/// How long an answer is still made for a client that has closed its side and takes nothing: none, to as long as
/// an upstream may take for it.
pub const HALF_CLOSED: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);
/// Who has only ended what it sends and who is gone look alike until something is written. Most are gone, and
/// what is done for those is lost; the others mostly ask for little.
pub const HALF_CLOSED_DEFAULT: Duration = Duration::from_secs(3);
/// What is kept of the bytes that come between two requests, to tell of a head that is none.
pub const HEAD_SEEN_BYTES_MAX: usize = 1 << 10;
/// After the last answer of a connection: how long its client may send nothing before it is let go. Until then
/// what it still sends is read and dropped, since otherwise the answer could be lost on its way.
pub const LINGER_SILENCE: Duration = Duration::from_secs(5);
/// The same in all: as long as common servers do.
pub const LINGER: Duration = Duration::from_secs(30);
/// What is read and dropped of it, in bytes: what a client of 70 Mbit/s sends in that time.
pub const LINGER_BYTES_MAX: usize = 256 << 20;
/// The same where what came was no message, so that nobody knows how much belongs to it.
pub const LINGER_MALFORMED_BYTES_MAX: usize = 16 << 20;
/// What is read and dropped of a body that nobody wanted, in bytes, so that its connection can be used again: as
/// much as has mostly come with the head.
pub const UNWANTED_BYTES_MAX: usize = 64 << 10;
/// Connections that the kernel keeps for a listener until they are accepted. It cuts this to its own bound
/// (`net.core.somaxconn`, mostly 4096).
pub const LISTEN_BACKLOG: u32 = 4_096;
/// How long a connection to the admin listener may last, with its one request: three scrapes of the slowest.
pub const ADMIN_CONNECTION: Duration = Duration::from_secs(30);
/// How often it is looked again whether a write still waits.
pub const WRITE_RECHECK: Duration = Duration::from_secs(1);
/// After an error of `accept`, which would otherwise be repeated at once and for ever.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
