//! State that outlives a request. In this release it is in the memory of the process.

pub mod memory;
