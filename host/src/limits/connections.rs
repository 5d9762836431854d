//! Bounds of a connection, on either side of the gateway.

use std::time::Duration;

/// What is read from one peer before its task gives way, in bytes: some milliseconds of the worst that a
/// peer can make us parse.
pub const PEER_TURN_BYTES: usize = 256 << 10;
/// What a peer may send without making a head or a piece of a body of it, in bytes: interim responses,
/// digits of a chunk's size, and whatever else has no bound of its own. Both sides read ahead by less than
/// half of it.
pub const PEER_BARREN_BYTES_MAX: usize = 1 << 20;
/// What is buffered of a server's bytes: the largest head, with the separators of its lines, and as much of a
/// body at once.
pub const UPSTREAM_BUFFER_BYTES_MAX: usize =
    super::MESSAGE_HEADER_BYTES_MAX + 2 * super::TARGET_BYTES_MAX;
/// Interim responses (1xx) to one request. Real servers send one or two, or one every some seconds of a long
/// computation.
pub const INTERIM_RESPONSES_MAX: usize = 100;
/// How long a connection stays unused after a response that announced content and had none: a server that
/// sends it all the same does so at once or never.
pub const UPSTREAM_QUIET: Duration = Duration::from_secs(1);
/// How often a want of sockets is told in the log: seen soon, and no flood.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);
/// How often a request may pass through gateways of this kind, by its `Via`. A route behind another, or a
/// gateway behind another, is meant; more is a loop.
pub const PASSES_MAX: usize = 5;
