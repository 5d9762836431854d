//! What a guest can reach: the state of its Store, and the host's side of every interface that the contract
//! lets it import.

pub mod bindings;
mod bodies;
mod capabilities;
mod decisions;
mod edits;
mod fetch;
mod kv;
pub mod meter;
mod metrics;
pub mod reads;
mod request;
mod response;
mod signatures;
pub mod state;
mod undo;
pub mod wasi;
