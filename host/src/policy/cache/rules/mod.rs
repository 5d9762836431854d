//! RFC 9111 as functions: what a head says, and what follows from it. They keep no state and read only their
//! arguments.

pub mod conditions;
pub mod date;
pub mod directives;
pub mod freshness;
pub mod head;
pub mod key;
pub mod range;
pub mod status;
pub mod storage;
pub mod vary;
