//! The contract's `decisions`: what an authorizer answers for, so that its decision can be remembered.

use wasmtime::Result;

use super::bindings::tollgate::plugin::decisions;
use super::reads::Dependence;
use super::state::State;

impl State {
    /// In other hooks than `authorize` nothing is remembered, and this says nothing.
    fn answers_for(&mut self, import: &str, source: Dependence) -> Result<()> {
        self.only_in_calls(import)?;
        self.works(0)?;
        if let Some(reads) = &mut self.reads {
            reads.answers_for(source);
        }
        Ok(())
    }
}

impl decisions::Host for State {
    fn across_fetch(&mut self) -> Result<()> {
        self.answers_for("decisions.across-fetch", Dependence::Fetch)
    }

    fn across_kv(&mut self) -> Result<()> {
        self.answers_for("decisions.across-kv", Dependence::Kv)
    }
}
