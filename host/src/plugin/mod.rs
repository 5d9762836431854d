//! The plugin runtime: loads components, captures them configured, and runs their hooks in fresh,
//! bounded instances. The only code that knows wasmtime.

mod artefacts;
mod bindings;
mod blame;
mod compile;
mod contract;
mod engine;
mod fault;
mod granted;
mod imports;
mod lease;
mod load;
mod permits;
mod policy;
mod reads;
mod secrets;
mod snapshot;
mod state;
mod stream;
mod trial;
mod visit;
mod wasi;

pub use artefacts::{Artefacts, hex};
pub use engine::{PoolSize, Runtime};
pub use fault::{Fault, FaultKind};
pub use granted::Granted;
pub use lease::Visited;
pub use load::{LoadError, Plugin, PluginSpec, quiet_caught_panics};
pub use policy::{Instances, Policy};
pub use reads::Reads;
pub use secrets::Secrets;
pub use state::Identity;
pub use stream::{Of, Stream, Streaming};
pub use visit::{Lookup, Reply, Verdict, Visit};
