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
mod spec;

pub use call::hooks::Hooks;
pub use call::lease::Visited;
pub use call::policy::{Instances, Policy};
pub use call::stream::{Stream, Streaming};
pub use call::visit::{Lookup, Reply, Verdict, Visit};
pub use engine::artefacts::{Artefacts, Purpose};
pub use engine::compilers::VERB as COMPILER_VERB;
pub use engine::pool::PoolSize;
pub use engine::runtime::Runtime;
pub use fault::{Fault, FaultKind};
pub use grants::Grants;
pub use host::reads::{Dependences, Reads};
pub use key::hex;
pub use load::compiler_process::serve as serve_as_compiler;
pub use load::error::LoadError;
pub use load::plugin::Plugin;
pub use load::schema_errors::UNKNOWN_KEY;
pub use load::steps::quiet_caught_panics;
pub use secrets::Secrets;
pub use spec::{Identity, PluginSpec};
