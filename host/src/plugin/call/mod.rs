//! Calls: an instance is leased for a visit, its hooks are called within their bounds, what they answered is
//! checked, and the instance is put back.

pub mod guest_error;
pub mod hooks;
pub mod idle;
pub mod lease;
mod permits;
pub mod policy;
pub mod restore;
mod sandbox;
pub mod stream;
pub mod visit;
mod wasmtime_internal;
