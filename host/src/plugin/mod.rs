//! The plugin runtime: loads components, captures them configured, and runs their hooks in fresh,
//! bounded instances. The only code that knows wasmtime.

mod artefacts;
mod bindings;
mod capabilities;
mod compile;
mod contract;
mod engine;
mod fault;
mod imports;
mod lease;
mod load;
mod policy;
mod secrets;
mod snapshot;
mod state;
mod trial;
mod wasi;

pub use artefacts::{Artefacts, hex};
pub use engine::{PoolSize, Runtime};
pub use fault::{Fault, FaultKind};
pub use load::{LoadError, Plugin, PluginSpec, quiet_caught_panics};
pub use policy::{Instances, Policy, Reply, Visit, WayIn, WayOut};
pub use secrets::Secrets;
