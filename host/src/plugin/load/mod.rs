//! From bytes to a policy that can be called.

mod compile;
pub mod compiler_process;
mod contract;
pub mod error;
mod first_instance;
mod outline;
pub mod plugin;
mod policy;
mod schema;
pub mod schema_errors;
mod snapshot;
pub mod steps;
