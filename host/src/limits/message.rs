//! Bounds of one message, and of what plugins make of it.

/// Segments of a path, in a request or in a template. The router recurses once per segment, so this
/// is also its bound on stack.
pub const PATH_SEGMENTS_MAX: usize = 256;
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
/// Names and values of all notes that plugins write on one request, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;
/// Notes on one request: they are searched linearly.
pub const ATTRIBUTES_MAX: usize = 256;
/// Claims of one caller: they are searched linearly.
pub const CLAIMS_MAX: usize = 256;
/// Principal, usage key and claims of one caller, in bytes.
pub const CALLER_BYTES_MAX: usize = 64 << 10;
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
/// How often a request may pass through gateways of this kind, by its `Via`. A route behind another, or a
/// gateway behind another, is meant; more is a loop.
pub const PASSES_MAX: usize = 5;
/// What a field of a map costs beside its name and value, in bytes: its place in the map (104 in `http` 1.x, 72 more
/// for a further value of one name, which is counted the same), its part of the index, and the header of an allocation
/// for its name.
pub const FIELD_OVERHEAD_BYTES: usize = 136;
