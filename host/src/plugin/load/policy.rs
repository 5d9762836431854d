//! From a plugin and a configuration to a policy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::component::Component;

use super::error::LoadError;
use super::first_instance;
use super::plugin::Plugin;
use super::snapshot::{self, NoSnapshot};
use super::steps;
use crate::plugin::call::hooks::Exports;
use crate::plugin::call::idle::IdleSandboxes;
use crate::plugin::call::policy::{Instances, Policy};
use crate::plugin::engine::code_cache::Code;
use crate::plugin::host::bindings::exports::tollgate::plugin::lifecycle;
use crate::plugin::key::CodeKey;
use crate::plugin::spec::Identity;

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
        steps::guarded(|| Policy::prepare(plugin, name, config, instances, permits))
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
        let of_config = CodeKey::of(&[config.as_bytes()]);
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
                plugin: Arc::clone(&plugin.spec().name),
                policy: Arc::clone(name),
            },
            hooks: plugin.shape.hooks,
            instances,
            plugin: Arc::clone(&plugin.callable),
            exports: Exports::of(&component, plugin.shape.hooks),
            pre,
            lifecycle,
            pristine: None,
            configure_each,
            _code: code,
            config: of_config,
            idle: IdleSandboxes::new(plugin.runtime().idle_per_policy, &plugin.runtime().idle),
            permits,
        };
        policy.pristine = first_instance::try_out(&policy, plugin)?;
        Ok(policy)
    }

    /// Whether loading this would make the same policy again.
    pub fn is_of(
        &self,
        plugin: &Arc<Plugin>,
        config: &serde_json::Value,
        instances: Instances,
    ) -> bool {
        Arc::ptr_eq(&self.plugin, &plugin.callable)
            && self.instances == instances
            && self.config == CodeKey::of(&[config.to_string().as_bytes()])
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
    if !plugin.spec().snapshot {
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
                plugin = &*plugin.spec().name,
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
