//! What is built on parts of wasmtime that it does not promise to keep: its `__internal`, by which types of
//! ours take part in the passing of values.
//!
//! Both types here wrap one of wasmtime's and hand every question on to it, so that what they say of their
//! size, layout and type is as true as what wasmtime says of its own. They add a reading each, and write
//! nothing: `CheckedBorrow` reads the index that a handle was given, after wasmtime has written it;
//! `WithMemory` reads where linear memory is while an answer is lifted from it. `restore.rs` writes to that
//! address, and argues there why it may: memories of the pool do not move, and the Store is borrowed. All of
//! this was read in one version of wasmtime, so the manifest names that one and no other.

pub mod checked_borrow;
pub mod with_memory;
