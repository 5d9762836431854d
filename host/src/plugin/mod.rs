//! The plugin runtime: loads components, captures them configured, and runs their hooks in fresh,
//! bounded instances. The only code that knows wasmtime.

mod answered;
mod artefacts;
mod before;
mod bindings;
mod blame;
mod compile;
mod contract;
mod engine;
mod fault;
mod granted;
mod handed;
mod hooks;
mod idle;
mod imports;
mod in_use;
mod inspect;
mod lease;
mod load;
mod pages;
mod permits;
mod policy;
mod pool;
mod reads;
mod restore;
mod secrets;
mod snapshot;
mod state;
mod stream;
mod trial;
mod visit;
mod wasi;

pub use artefacts::{Artefacts, hex};
pub use engine::Runtime;
pub use fault::{Fault, FaultKind};
pub use granted::Granted;
pub use lease::Visited;
pub use load::{LoadError, Plugin, PluginSpec, quiet_caught_panics};
pub use policy::{Instances, Policy};
pub use pool::PoolSize;
pub use reads::{Reads, Sources};
pub use secrets::Secrets;
pub use state::Identity;
pub use stream::{Of, Stream, Streaming};
pub use visit::{Lookup, Reply, Verdict, Visit};
