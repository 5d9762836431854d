//! From bytes to a plugin: made a component, compiled, checked against its grants, asked what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use wasmtime::component::{Component, InstancePre};

use super::compile::Keep;
use super::contract::{self, Shape};
use super::error::LoadError;
use super::steps;
use super::{compile, outline, schema};
use crate::limits;
use crate::plugin::call::guest_error;
use crate::plugin::call::policy::Callable;
use crate::plugin::engine::code_cache::Code;
use crate::plugin::engine::runtime::Runtime;
use crate::plugin::host::bindings::exports::tollgate::plugin::lifecycle;
use crate::plugin::host::state::{Phase, State};
use crate::plugin::host::wasi::Witness;
use crate::plugin::key::CodeKey;
use crate::plugin::spec::PluginSpec;

/// What `describe` answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub config_schema: serde_json::Value,
}

/// A plugin, before any configuration.
pub struct Plugin {
    pub(in crate::plugin) callable: Arc<Callable>,
    pub description: Description,
    pub shape: Shape,
    /// What it was loaded from.
    file: CodeKey,
    pub(in crate::plugin) bytes: Vec<u8>,
    pub(in crate::plugin) content: CodeKey,
    pub(in crate::plugin) component: Component,
    pub(in crate::plugin) code: Arc<Code>,
}

impl Plugin {
    /// Loads a component, or a core module that is made one.
    ///
    /// # Errors
    /// Everything that keeps it from running here.
    pub fn load(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        bytes: Vec<u8>,
    ) -> Result<Plugin, LoadError> {
        steps::guarded(|| Plugin::prepare(runtime, spec, bytes))
    }

    /// Whether loading this would make the same plugin again.
    pub fn is_of(&self, spec: &PluginSpec, bytes: &[u8]) -> bool {
        *self.spec() == for_shape(spec.clone(), &self.shape) && self.file == CodeKey::of(&[bytes])
    }

    fn prepare(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        bytes: Vec<u8>,
    ) -> Result<Plugin, LoadError> {
        let file = CodeKey::of(&[&bytes]);
        let bytes = compile::componentize(runtime, file, bytes).map_err(LoadError::plugin)?;
        if bytes.len() > limits::loading::PLUGIN_SNAPSHOT_BYTES_MAX && !spec.large {
            return Err(LoadError::plugin(format!(
                "the component has {} bytes; above {} loading takes seconds for each configuration, \
                 so say `large = true` if it is meant",
                bytes.len(),
                limits::loading::PLUGIN_SNAPSHOT_BYTES_MAX
            )));
        }
        // What may not run here is not worth compiling.
        let grants = spec.grants.interfaces();
        let outline = outline::outline(&bytes).map_err(LoadError::plugin)?;
        contract::read(&outline.names, outline.handles, grants).map_err(LoadError::Plugin)?;
        let content = CodeKey::of(&[&bytes]);
        let key = CodeKey::of(&[b"component", &content.0]);
        let code = runtime.code_cache.code(key);
        let component = code
            .component(|| compile::compile(runtime, key, &bytes, Keep::OnDisk, spec.large))
            .map_err(LoadError::plugin)?;
        // That was what its bytes say. What counts is what is linked.
        let names = compile::names(runtime, &component);
        let shape = contract::read(&names, outline.handles, grants).map_err(LoadError::Plugin)?;
        let spec = for_shape(spec, &shape);
        fits_memory(&component, spec.memory).map_err(LoadError::plugin)?;

        let description = describe(runtime, &spec, &shape, &component)
            .map_err(|text| LoadError::plugin(format!("`describe`: {text}")))?;
        schema::is_valid(runtime, &description.config_schema)?;
        let callable = Callable {
            spec,
            runtime: Arc::clone(runtime),
            waits: AtomicUsize::new(0),
            reads_bodies: shape.imports_bodies,
        };
        Ok(Plugin {
            callable: Arc::new(callable),
            description,
            shape,
            file,
            bytes,
            content,
            component,
            code,
        })
    }

    pub fn spec(&self) -> &PluginSpec {
        &self.callable.spec
    }

    pub(in crate::plugin) fn runtime(&self) -> &Runtime {
        &self.callable.runtime
    }

    /// Calls that wait for an instance now.
    pub fn calls_waiting(&self) -> usize {
        self.callable.waits.load(Ordering::Relaxed)
    }

    /// Checks a configuration against the plugin's own schema.
    ///
    /// # Errors
    /// Each place where it does not fit.
    pub fn check_config(&self, config: &serde_json::Value) -> Result<(), LoadError> {
        schema::fits(self.runtime(), &self.description.config_schema, config)
    }

    /// Resolves the imports of one of this plugin's components.
    pub(in crate::plugin) fn link(
        &self,
        component: &Component,
    ) -> Result<InstancePre<State>, String> {
        compile::link(self.runtime(), &self.shape, component)
    }
}

/// What the operator wrote, without what a component of this shape has no use for, and must not be loaded
/// again for.
fn for_shape(mut spec: PluginSpec, shape: &Shape) -> PluginSpec {
    if !shape.imports_signatures {
        Arc::make_mut(&mut spec.grants).key_sets = None;
    }
    spec
}

fn fits_memory(component: &Component, memory: usize) -> Result<(), String> {
    const WASM_PAGE: u64 = 64 << 10;
    let declared = component
        .resources_required()
        .and_then(|required| required.max_initial_memory_size)
        .unwrap_or(0)
        * WASM_PAGE;
    if declared > memory as u64 {
        return Err(format!(
            "it declares {declared} bytes of memory to start with, and `limits.memory` is {memory} \
             bytes; raise the limit, or build it with a smaller stack and less static data"
        ));
    }
    Ok(())
}

fn describe(
    runtime: &Arc<Runtime>,
    spec: &PluginSpec,
    shape: &Shape,
    component: &Component,
) -> Result<Description, String> {
    let pre = compile::link(runtime, shape, component)?;
    let indices = lifecycle::GuestIndices::new(&pre)
        .map_err(|error| format!("`lifecycle` is not that of the contract: {error:?}"))?;
    let document = steps::run(async {
        let _permit = runtime
            .calls
            .acquire()
            .await
            .map_err(|error| error.to_string())?;
        let _running = runtime.clock.run();
        let state = steps::loading_state(
            spec,
            &spec.name,
            Phase::Describe,
            shape,
            &Witness::default(),
        );
        let mut store = runtime.store(state);
        store.set_epoch_deadline(1);
        let answer = async {
            let instance = pre.instantiate_async(&mut store).await?;
            let guest = indices.load(&mut store, &instance)?;
            guest.call_describe(&mut store).await
        }
        .await;
        answer.map_err(|error| guest_error::explain(&error, store.data()))
    })?;
    if document.len() > limits::loading::DESCRIPTION_BYTES_MAX {
        return Err(format!(
            "it has more than {} bytes",
            limits::loading::DESCRIPTION_BYTES_MAX
        ));
    }
    serde_json::from_str(&document)
        .map_err(|error| format!("its answer is not understood: {error}"))
}
