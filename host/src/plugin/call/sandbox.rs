//! One instance of a component, with its Store and what is known of it.

use wasmtime::Store;
use wasmtime::component::Instance;

use super::wasmtime_internal::checked_borrow::HandleIndices;
use super::wasmtime_internal::with_memory::GuestMemory;
use crate::plugin::host::state::State;

/// An instance between calls, or in one.
pub struct Sandbox {
    pub store: Store<State>,
    pub instance: Instance,
    /// Visits left to it.
    pub visits: u32,
    /// Where its memory is; known from the first answer on.
    pub memory: Option<GuestMemory>,
    pub indices: HandleIndices,
}
