//! Bounds of a connection, on either side of the gateway.

/// What is read from one peer before its task gives way, in bytes: some milliseconds of the worst that a
/// peer can make us parse.
pub const PEER_TURN_BYTES: usize = 256 << 10;
/// What a peer may send without making a head or a piece of a body of it, in bytes: interim responses,
/// digits of a chunk's size, and whatever else has no bound of its own. Both sides read ahead by less than
/// half of it.
pub const PEER_BARREN_BYTES_MAX: usize = 1 << 20;
