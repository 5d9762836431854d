//! Where state lives that outlasts a request. In this release that is the memory of the process.

pub mod memory;
