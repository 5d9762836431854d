//! From bytes to a plugin: made a component, compiled, checked against its grants, asked what it is.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use wasmtime::component::{Component, InstancePre};

use super::compile::Keep;
use super::contract::{self, Shape};
use super::{compile, outline, schema};
use crate::limits;
use crate::plugin::call::guest_error;
use crate::plugin::engine::artefacts::Key;
use crate::plugin::engine::code_cache::Code;
use crate::plugin::engine::runtime::Runtime;
use crate::plugin::grants::Granted;
use crate::plugin::host::bindings::exports::tollgate::plugin::lifecycle;
use crate::plugin::host::state::{Identity, Phase, State};
use crate::plugin::host::wasi::{self, Witness};

/// What the operator wrote of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSpec {
    pub name: Arc<str>,
    /// In bytes.
    pub memory: usize,
    pub cpu: Duration,
    pub wall: Duration,
    /// Calls at once.
    pub concurrency: usize,
    pub granted: Arc<Granted>,
    pub snapshot: bool,
    /// Whether a component above [`limits::PLUGIN_SNAPSHOT_BYTES_MAX`] is meant.
    pub large: bool,
}

impl PluginSpec {
    /// Without what a component of this shape has no use for, and must not be loaded again for.
    fn for_shape(mut self, shape: &Shape) -> PluginSpec {
        if !shape.imports_signatures {
            Arc::make_mut(&mut self.granted).key_sets = None;
        }
        self
    }
}

/// Why a plugin or one of its configurations does not load, in words for the operator.
#[derive(Debug, Clone)]
pub enum LoadError {
    /// The plugin itself.
    Plugin(Vec<String>),
    /// Its configuration: JSON pointers into it, and what is wrong there.
    Config(Vec<(String, String)>),
}

impl LoadError {
    pub(in crate::plugin) fn plugin(text: impl Into<String>) -> Self {
        LoadError::Plugin(vec![text.into()])
    }

    pub(in crate::plugin) fn config(text: impl Into<String>) -> Self {
        LoadError::Config(vec![(String::new(), text.into())])
    }
}

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
    pub spec: PluginSpec,
    pub description: Description,
    pub shape: Shape,
    pub(in crate::plugin) runtime: Arc<Runtime>,
    /// What it was loaded from.
    file: Key,
    pub(in crate::plugin) bytes: Vec<u8>,
    pub(in crate::plugin) content: Key,
    pub(in crate::plugin) component: Component,
    pub(in crate::plugin) code: Arc<Code>,
    /// Calls that wait for an instance.
    pub(in crate::plugin) waits: AtomicUsize,
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
        guarded(|| Plugin::prepare(runtime, spec, bytes))
    }

    /// Whether loading this would make the same plugin again.
    pub fn is_of(&self, spec: &PluginSpec, bytes: &[u8]) -> bool {
        self.spec == spec.clone().for_shape(&self.shape) && self.file == Key::of(&[bytes])
    }

    fn prepare(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        bytes: Vec<u8>,
    ) -> Result<Plugin, LoadError> {
        let file = Key::of(&[&bytes]);
        let bytes = compile::componentize(runtime, file, bytes).map_err(LoadError::plugin)?;
        if bytes.len() > limits::PLUGIN_SNAPSHOT_BYTES_MAX && !spec.large {
            return Err(LoadError::plugin(format!(
                "the component has {} bytes; above {} loading takes seconds for each configuration, \
                 so say `large = true` if it is meant",
                bytes.len(),
                limits::PLUGIN_SNAPSHOT_BYTES_MAX
            )));
        }
        // What may not run here is not worth compiling.
        let grants = spec.granted.interfaces();
        let outline = outline::outline(&bytes).map_err(LoadError::plugin)?;
        contract::read(&outline.names, outline.handles, grants).map_err(LoadError::Plugin)?;
        let content = Key::of(&[&bytes]);
        let key = Key::of(&[b"component", &content.0]);
        let code = runtime.in_use.code(key);
        let component = code
            .component(|| compile::compile(runtime, key, &bytes, Keep::OnDisk, spec.large))
            .map_err(LoadError::plugin)?;
        // That was what its bytes say. What counts is what is linked.
        let names = compile::names(runtime, &component);
        let shape = contract::read(&names, outline.handles, grants).map_err(LoadError::Plugin)?;
        let spec = spec.for_shape(&shape);
        fits_memory(&component, spec.memory).map_err(LoadError::plugin)?;

        let description = describe(runtime, &spec, &shape, &component)
            .map_err(|text| LoadError::plugin(format!("`describe`: {text}")))?;
        schema::is_valid(runtime, &description.config_schema)?;
        Ok(Plugin {
            spec,
            description,
            shape,
            runtime: Arc::clone(runtime),
            file,
            bytes,
            content,
            component,
            code,
            waits: AtomicUsize::new(0),
        })
    }

    /// Calls that wait for an instance now.
    pub fn calls_waiting(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }

    /// Checks a configuration against the plugin's own schema.
    ///
    /// # Errors
    /// Each place where it does not fit.
    pub fn check_config(&self, config: &serde_json::Value) -> Result<(), LoadError> {
        schema::fits(&self.runtime, &self.description.config_schema, config)
    }

    /// Resolves the imports of one of this plugin's components.
    pub(in crate::plugin) fn link(
        &self,
        component: &Component,
    ) -> Result<InstancePre<State>, String> {
        compile::link(&self.runtime, &self.shape, component)
    }
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

/// The state of a Store in which a plugin is described or configured.
pub(in crate::plugin) fn loading_state(
    spec: &PluginSpec,
    policy: &Arc<str>,
    phase: Phase,
    shape: &Shape,
    witness: &Witness,
) -> State {
    let identity = Identity {
        plugin: Arc::clone(&spec.name),
        policy: Arc::clone(policy),
    };
    let mut state = State::new(spec, identity, phase, limits::CONFIGURE_CPU);
    if shape.imports_wasi {
        state.wasi = Some(Box::new(wasi::watched_context(&state.identity, witness)));
    }
    state
}

/// Turns every panic into an error: neither a component nor what handles it may take the gateway
/// down. The libraries that rewrite and compile components panic on some that they do not expect.
pub(in crate::plugin) fn guarded<T>(
    step: impl FnOnce() -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    caught(step).unwrap_or_else(|text| Err(LoadError::plugin(text)))
}

thread_local! {
    /// Whether a panic on this thread is told as a load error.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that become load errors from being told twice.
pub fn quiet_caught_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !CATCHING.get() {
            tell(panic);
        }
    }));
}

/// A panic as text.
pub(in crate::plugin) fn caught<T>(step: impl FnOnce() -> T) -> Result<T, String> {
    let outer = CATCHING.replace(true);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(step));
    CATCHING.set(outer);
    outcome.map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown");
        format!("the component cannot be handled: {text}")
    })
}

/// Runs a loading step to its end on this thread, within its wall time.
pub(in crate::plugin) fn run<T>(
    step: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a loading thread: {error}"))?;
    runtime.block_on(async {
        match tokio::time::timeout(limits::LOADING_WALL, step).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "it took longer than {} s",
                limits::LOADING_WALL.as_secs()
            )),
        }
    })
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
    let document = run(async {
        let _permit = runtime
            .calls
            .acquire()
            .await
            .map_err(|error| error.to_string())?;
        let _running = runtime.clock.run();
        let state = loading_state(
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
    if document.len() > limits::DESCRIPTION_BYTES_MAX {
        return Err(format!(
            "it has more than {} bytes",
            limits::DESCRIPTION_BYTES_MAX
        ));
    }
    serde_json::from_str(&document)
        .map_err(|error| format!("its answer is not understood: {error}"))
}
