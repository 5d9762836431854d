//! A plugin with one configuration, ready to be called: what a chain entry runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::component::{Component, InstancePre};

use super::contract::Hooks;
use super::first_instance;
use super::plugin::{self, LoadError, Plugin};
use super::snapshot::{self, NoSnapshot};
use crate::http::held::HeldBodies;
use crate::plugin::call::hooks::Exports;
use crate::plugin::call::idle::Idle;
use crate::plugin::call::restore::Pristine;
use crate::plugin::engine::artefacts::Key;
use crate::plugin::engine::code_cache::Code;
use crate::plugin::host::bindings::exports::tollgate::plugin::lifecycle;
use crate::plugin::host::state::{Identity, State};

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
    pub(in crate::plugin) plugin: Arc<Plugin>,
    pub(in crate::plugin) pre: InstancePre<State>,
    pub(in crate::plugin) lifecycle: lifecycle::GuestIndices,
    pub(in crate::plugin) exports: Exports,
    /// What its instances are put back to after their last visit, where they can be.
    pub(in crate::plugin) pristine: Option<Pristine>,
    /// Configured at the start of each instance, where there is no snapshot.
    pub(in crate::plugin) configure_each: Option<String>,
    /// What `pre` was made from; whoever is configured alike shares it.
    _code: Arc<Code>,
    config: Key,
    pub(in crate::plugin) idle: Idle,
    /// Calls of this plugin at once.
    pub(in crate::plugin) permits: Arc<tokio::sync::Semaphore>,
}

impl Policy {
    /// Configures a plugin.
    ///
    /// # Errors
    /// If the plugin refuses the configuration, or cannot be captured although it must.
    pub fn load(
        plugin: &Arc<Plugin>,
        name: &Arc<str>,
        config: &serde_json::Value,
        instances: Instances,
        permits: Arc<tokio::sync::Semaphore>,
    ) -> Result<Policy, LoadError> {
        plugin::guarded(|| Policy::prepare(plugin, name, config, instances, permits))
    }

    fn prepare(
        plugin: &Arc<Plugin>,
        name: &Arc<str>,
        config: &serde_json::Value,
        instances: Instances,
        permits: Arc<tokio::sync::Semaphore>,
    ) -> Result<Policy, LoadError> {
        plugin.check_config(config)?;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let config = config.to_string();
        let of_config = Key::of(&[config.as_bytes()]);
        let Captured {
            code,
            component,
            configure_each,
        } = captured(plugin, name, config, instances)?;
        let pre = plugin.link(&component).map_err(LoadError::plugin)?;
        let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(|error| {
            LoadError::plugin(format!(
                "its `lifecycle` is not that of the contract: {error:?}"
            ))
        })?;
        let mut policy = Policy {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            identity: Identity {
                plugin: Arc::clone(&plugin.spec.name),
                policy: Arc::clone(name),
            },
            hooks: plugin.shape.hooks,
            instances,
            plugin: Arc::clone(plugin),
            exports: Exports::of(&component, plugin.shape.hooks),
            pre,
            lifecycle,
            pristine: None,
            configure_each,
            _code: code,
            config: of_config,
            idle: Idle::new(plugin.runtime.idle_per_policy, &plugin.runtime.idle),
            permits,
        };
        policy.pristine = first_instance::try_out(&policy)?;
        Ok(policy)
    }

    /// Whether loading this would make the same policy again.
    pub fn is_of(
        &self,
        plugin: &Arc<Plugin>,
        config: &serde_json::Value,
        instances: Instances,
    ) -> bool {
        Arc::ptr_eq(&self.plugin, plugin)
            && self.instances == instances
            && self.config == Key::of(&[config.to_string().as_bytes()])
    }

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
        let reads = self.plugin.shape.imports_bodies && called;
        let spec = &self.plugin.spec;
        let max = spec.granted.bodies.filter(|_| reads)?;
        Some((max, &spec.granted.held_bodies, spec.wall))
    }

    /// Whether the plugin may read bodies of responses, whole or in a stream.
    pub fn reads_responses(&self) -> bool {
        self.hooks.response_stream || self.plugin.shape.imports_bodies && self.hooks.on_way_out()
    }
}

/// What instances are made from.
struct Captured {
    code: Arc<Code>,
    component: Component,
    configure_each: Option<String>,
}

/// The captured component, or, where the operator accepts it, the plain one with the configuration
/// for each instance.
fn captured(
    plugin: &Plugin,
    name: &Arc<str>,
    config: String,
    instances: Instances,
) -> Result<Captured, LoadError> {
    let plain = |config| Captured {
        code: Arc::clone(&plugin.code),
        component: plugin.component.clone(),
        configure_each: Some(config),
    };
    if !plugin.spec.snapshot {
        return Ok(plain(config));
    }
    match snapshot::configured(plugin, name, &config) {
        Ok((code, component)) => Ok(Captured {
            code,
            component,
            configure_each: None,
        }),
        Err(NoSnapshot::Refused(error)) => Err(error),
        Err(NoSnapshot::NotPossible(text)) if instances.calls > 1 => {
            tracing::warn!(
                plugin = &*plugin.spec.name,
                policy = &**name,
                "no snapshot, so each instance is configured anew: {text}"
            );
            Ok(plain(config))
        }
        Err(NoSnapshot::NotPossible(text)) => Err(LoadError::plugin(format!(
            "its configured memory cannot be captured: {text}. Say `snapshot = false` on the plugin \
             to configure it on every call, or `instances = {{ calls = N }}` on the policy to do so \
             on every Nth"
        ))),
    }
}
