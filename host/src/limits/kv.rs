//! Bounds of what plugins keep.

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
