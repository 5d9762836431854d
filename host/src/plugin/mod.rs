//! The plugin runtime: loads components, captures them configured, and runs their hooks in fresh,
//! bounded instances. The only code that knows wasmtime.

mod call;
mod engine;
mod fault;
mod grants;
mod host;
mod key;
mod load;
mod secrets;

pub use call::lease::Visited;
pub use call::stream::{Of, Stream, Streaming};
pub use call::visit::{Lookup, Reply, Verdict, Visit};
pub use engine::artefacts::{Artefacts, Purpose, hex};
pub use engine::compilers::VERB as COMPILER_VERB;
pub use engine::pool::PoolSize;
pub use engine::runtime::Runtime;
pub use fault::{Fault, FaultKind};
pub use grants::Granted;
pub use host::reads::{Reads, Sources};
pub use host::state::Identity;
pub use load::compiler_process::serve as serve_as_compiler;
pub use load::contract::Hooks;
pub use load::plugin::{LoadError, Plugin, PluginSpec, quiet_caught_panics};
pub use load::policy::{Instances, Policy};
pub use load::schema_errors::UNKNOWN_KEY;
pub use secrets::Secrets;
