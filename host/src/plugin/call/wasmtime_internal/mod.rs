//! What is built on parts of wasmtime that it does not document.

pub mod checked_borrow;
pub mod with_memory;
