//! A plugin with one configuration, ready to be called: what a chain entry runs.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use wasmtime::component::InstancePre;

use super::hooks::{Exports, Hooks};
use super::idle::IdleSandboxes;
use super::restore::Pristine;
use crate::http::body_budget::HeldBodies;
use crate::plugin::engine::code_cache::Code;
use crate::plugin::engine::runtime::Runtime;
use crate::plugin::host::bindings::exports::tollgate::plugin::lifecycle;
use crate::plugin::host::state::State;
use crate::plugin::key::CodeKey;
use crate::plugin::spec::{Identity, PluginSpec};

/// What calls need of a plugin. Its policies share it.
pub struct Callable {
    pub spec: PluginSpec,
    pub runtime: Arc<Runtime>,
    /// Calls that wait for an instance.
    pub waits: AtomicUsize,
    /// Whether it may read bodies whole.
    pub reads_bodies: bool,
}

/// How many calls one instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    pub calls: u32,
}

/// One policy of the configuration.
pub struct Policy {
    /// No other policy that this process ever loads has it.
    pub number: u64,
    pub identity: Identity,
    pub hooks: Hooks,
    pub instances: Instances,
    pub(in crate::plugin) plugin: Arc<Callable>,
    pub(in crate::plugin) pre: InstancePre<State>,
    pub(in crate::plugin) lifecycle: lifecycle::GuestIndices,
    pub(in crate::plugin) exports: Exports,
    /// What its instances are put back to after their last visit, where they can be.
    pub(in crate::plugin) pristine: Option<Pristine>,
    /// Configured at the start of each instance, where there is no snapshot.
    pub(in crate::plugin) configure_each: Option<String>,
    /// What `pre` was made from; whoever is configured alike shares it.
    pub(in crate::plugin) _code: Arc<Code>,
    pub(in crate::plugin) config: CodeKey,
    pub(in crate::plugin) idle: IdleSandboxes,
    /// Calls of this plugin at once.
    pub(in crate::plugin) permits: Arc<tokio::sync::Semaphore>,
}

impl Policy {
    /// Lets go of the instances that wait: no request begins a call any more, and those of the policies
    /// in its place need their places.
    pub fn retire(&self) {
        self.idle.close();
    }

    /// Its instances that wait for their next call.
    pub fn waiting_instances(&self) -> usize {
        self.idle.count()
    }

    /// The size up to which the plugin may read requests' bodies on the way in, in bytes, what they are held
    /// in, and how long one may take.
    pub fn reads_requests(&self) -> Option<(usize, &Arc<HeldBodies>, Duration)> {
        let called = self.hooks.on_way_in() || self.hooks.request_stream;
        let reads = self.plugin.reads_bodies && called;
        let spec = &self.plugin.spec;
        let max = spec.grants.bodies.filter(|_| reads)?;
        Some((max, &spec.grants.held_bodies, spec.wall))
    }

    /// Whether the plugin may read bodies of responses, whole or in a stream.
    pub fn reads_responses(&self) -> bool {
        self.hooks.response_stream || self.plugin.reads_bodies && self.hooks.on_way_out()
    }

    /// Whether it may put another body in the place of a response's.
    pub fn replaces_responses(&self) -> bool {
        self.hooks.response_transformer && self.plugin.reads_bodies
    }
}
