//! From bytes to a policy that can be called.

mod compile;
pub mod compiler_process;
pub mod contract;
mod first_instance;
mod outline;
pub mod plugin;
pub mod policy;
mod schema;
pub mod schema_errors;
mod snapshot;
