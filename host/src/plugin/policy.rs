//! A plugin with one configuration, ready to be called: what a chain entry runs.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::tollgate::plugin::{
    authorizer, cache_lookup, cache_store, lifecycle, limiter, limiter_settle, request_stream,
    request_transformer, response_stream, response_transformer,
};
use super::contract::Hooks;
use super::lease::Idle;
use super::load::{self, LoadError, Plugin};
use super::snapshot::{self, NoSnapshot};
use super::state::{Identity, State};
use super::trial;

/// How many calls one instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    pub calls: u32,
}

/// The hooks' exports, looked up once.
pub(super) struct Exports {
    pub lifecycle: lifecycle::GuestIndices,
    pub authorizer: Option<authorizer::GuestIndices>,
    pub limiter: Option<limiter::GuestIndices>,
    pub limiter_settle: Option<limiter_settle::GuestIndices>,
    pub cache_lookup: Option<cache_lookup::GuestIndices>,
    pub cache_store: Option<cache_store::GuestIndices>,
    pub request_transformer: Option<request_transformer::GuestIndices>,
    pub response_transformer: Option<response_transformer::GuestIndices>,
    pub request_stream: Option<request_stream::GuestIndices>,
    pub response_stream: Option<response_stream::GuestIndices>,
}

/// One policy of the configuration.
pub struct Policy {
    pub identity: Identity,
    pub hooks: Hooks,
    pub instances: Instances,
    pub(super) plugin: Arc<Plugin>,
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
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
        let exports = exports(&pre, plugin.shape.hooks).map_err(LoadError::plugin)?;
        let policy = Policy {
            identity: Identity {
                plugin: Arc::clone(&plugin.spec.name),
                policy: Arc::clone(name),
            },
            hooks: plugin.shape.hooks,
            instances,
            plugin: Arc::clone(plugin),
            pre,
            exports,
            configure_each,
            idle: Idle::new(plugin.runtime.idle_per_policy),
            permits,
        };
        trial::try_out(&policy)?;
        Ok(policy)
    }

    /// The size up to which the plugin may read requests' bodies on the way in, in bytes, and how long
    /// one may take.
    pub fn reads_requests(&self) -> Option<(usize, Duration)> {
        let called = self.hooks.on_way_in() || self.hooks.request_stream;
        let reads = self.plugin.shape.imports_bodies && called;
        let spec = &self.plugin.spec;
        Some((spec.granted.bodies.filter(|_| reads)?, spec.wall))
    }

    /// Whether the plugin may read bodies of responses, whole or in a stream.
    pub fn reads_responses(&self) -> bool {
        self.hooks.response_stream || self.plugin.shape.imports_bodies && self.hooks.on_way_out()
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

fn exports(pre: &InstancePre<State>, hooks: Hooks) -> Result<Exports, String> {
    let named = |interface: &str, error: wasmtime::Error| {
        format!("its `{interface}` is not that of the contract: {error:?}")
    };
    /// Looks an exported hook up, if there is one.
    macro_rules! hook {
        ($hook:ident, $interface:literal) => {
            hooks
                .$hook
                .then(|| $hook::GuestIndices::new(pre))
                .transpose()
                .map_err(|error| named($interface, error))?
        };
    }
    Ok(Exports {
        lifecycle: lifecycle::GuestIndices::new(pre).map_err(|error| named("lifecycle", error))?,
        authorizer: hook!(authorizer, "authorizer"),
        limiter: hook!(limiter, "limiter"),
        limiter_settle: hook!(limiter_settle, "limiter-settle"),
        cache_lookup: hook!(cache_lookup, "cache-lookup"),
        cache_store: hook!(cache_store, "cache-store"),
        request_transformer: hook!(request_transformer, "request-transformer"),
        response_transformer: hook!(response_transformer, "response-transformer"),
        request_stream: hook!(request_stream, "request-stream"),
        response_stream: hook!(response_stream, "response-stream"),
    })
}
