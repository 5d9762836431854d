//! A plugin with one configuration, ready to be called: what a chain entry runs.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::tollgate::plugin::lifecycle;
use super::contract::Hooks;
use super::hooks::Exports;
use super::lease::Idle;
use super::load::{self, LoadError, Plugin};
use super::restore::Pristine;
use super::snapshot::{self, NoSnapshot};
use super::state::{Identity, State};
use super::trial;

/// How many calls one instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    pub calls: u32,
}

/// One policy of the configuration.
pub struct Policy {
    pub identity: Identity,
    pub hooks: Hooks,
    pub instances: Instances,
    pub(super) plugin: Arc<Plugin>,
    pub(super) pre: InstancePre<State>,
    pub(super) lifecycle: lifecycle::GuestIndices,
    pub(super) exports: Exports,
    /// What its instances are put back to after their last visit, where they can be.
    pub(super) pristine: Option<Pristine>,
    /// Configured at the start of each instance, where there is no snapshot.
    pub(super) configure_each: Option<String>,
    pub(super) idle: Idle,
    /// Calls of this plugin at once.
    pub(super) permits: Arc<tokio::sync::Semaphore>,
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
        load::guarded(|| Policy::prepare(plugin, name, config, instances, permits))
    }

    fn prepare(
        plugin: &Arc<Plugin>,
        name: &Arc<str>,
        config: &serde_json::Value,
        instances: Instances,
        permits: Arc<tokio::sync::Semaphore>,
    ) -> Result<Policy, LoadError> {
        plugin.check_config(config)?;
        let config = config.to_string();
        let (component, configure_each) = component(plugin, name, config, instances)?;
        let pre = plugin.link(&component).map_err(LoadError::plugin)?;
        let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(|error| {
            LoadError::plugin(format!(
                "its `lifecycle` is not that of the contract: {error:?}"
            ))
        })?;
        let mut policy = Policy {
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
            idle: Idle::new(plugin.runtime.idle_per_policy),
            permits,
        };
        policy.pristine = trial::try_out(&policy)?;
        Ok(policy)
    }

    /// The size up to which the plugin may read requests' bodies on the way in, in bytes, and how long
    /// one may take.
    pub fn reads_requests(&self) -> Option<(usize, Duration)> {
        let reads = self.plugin.shape.imports_bodies && self.hooks.on_way_in();
        let spec = &self.plugin.spec;
        Some((spec.granted.bodies.filter(|_| reads)?, spec.wall))
    }

    /// Whether the plugin may read bodies, and does anything on the way out.
    pub fn reads_responses(&self) -> bool {
        self.plugin.shape.imports_bodies && self.hooks.on_way_out()
    }
}

/// The captured component, or, where the operator accepts it, the plain one with the configuration
/// for each instance.
fn component(
    plugin: &Plugin,
    name: &Arc<str>,
    config: String,
    instances: Instances,
) -> Result<(Component, Option<String>), LoadError> {
    if !plugin.spec.snapshot {
        return Ok((plugin.component.clone(), Some(config)));
    }
    match snapshot::configured(plugin, name, &config) {
        Ok(component) => Ok((component, None)),
        Err(NoSnapshot::Refused(error)) => Err(error),
        Err(NoSnapshot::NotPossible(text)) if instances.calls > 1 => {
            tracing::warn!(
                plugin = &*plugin.spec.name,
                policy = &**name,
                "no snapshot, so each instance is configured anew: {text}"
            );
            Ok((plugin.component.clone(), Some(config)))
        }
        Err(NoSnapshot::NotPossible(text)) => Err(LoadError::plugin(format!(
            "its configured memory cannot be captured: {text}. Say `snapshot = false` on the plugin \
             to configure it on every call, or `instances = {{ calls = N }}` on the policy to do so \
             on every Nth"
        ))),
    }
}
