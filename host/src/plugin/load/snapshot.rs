//! A configured plugin, captured: `configure` runs once, and its memory becomes the component that
//! every later instance is made from (`wasmtime-wizer`).

use std::sync::Arc;

use wasmtime::component::{Component, Instance, Lift, WasmList};
use wasmtime::{AsContextMut, Store};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::compile;
use super::compile::Keep;
use super::error::LoadError;
use super::plugin::Plugin;
use super::steps;
use crate::limits;
use crate::plugin::call::guest_error;
use crate::plugin::engine::code_cache::Code;
use crate::plugin::engine::runtime::Runtime;
use crate::plugin::host::bindings::exports::tollgate::plugin::lifecycle;
use crate::plugin::host::state::{Phase, State};
use crate::plugin::host::wasi::Witness;
use crate::plugin::key::CodeKey;
use crate::quote::one_line;

/// Why there is no snapshot.
#[derive(Debug)]
pub enum NoSnapshot {
    /// The plugin refused the configuration, or failed over it.
    Refused(LoadError),
    /// The plugin works, but what it left behind cannot be captured.
    NotPossible(String),
}

/// The code of one configuration: what is in use already, from the disk cache, or made now.
pub fn configured(
    plugin: &Plugin,
    policy: &Arc<str>,
    config: &str,
) -> Result<(Arc<Code>, Component), NoSnapshot> {
    let key = key(plugin, config);
    let secrets = plugin.spec().grants.secrets.digest();
    let code = plugin
        .runtime()
        .code_cache
        .code(CodeKey::of(&[&key.0, &secrets.0]));
    let component = code.component(|| make(plugin, policy, config, key))?;
    Ok((code, component))
}

fn make(
    plugin: &Plugin,
    policy: &Arc<str>,
    config: &str,
    key: CodeKey,
) -> Result<Component, NoSnapshot> {
    if plugin.shape.handles.own {
        let why = "it makes resources of its own, whose handles are in no memory";
        return Err(NoSnapshot::NotPossible(why.to_owned()));
    }
    if let Some(component) = compile::compiled(plugin.runtime(), key) {
        return Ok(component);
    }
    let taken = take(plugin, policy, config)?;
    // A snapshot that read a secret holds it, so it is never written to disk.
    let keep = if taken.holds_secret {
        Keep::InMemory
    } else {
        Keep::OnDisk
    };
    let large = plugin.spec().large;
    compile::compile(plugin.runtime(), key, &taken.component, keep, large)
        .map_err(NoSnapshot::NotPossible)
}

/// What it is known by on disk. The same plugin may configure itself differently if it was granted other
/// secrets; what depends on their values is not there.
fn key(plugin: &Plugin, config: &str) -> CodeKey {
    let kind: &[u8] = match plugin.runtime().page_scan {
        Some(_) => b"snapshot with accessors",
        None => b"snapshot",
    };
    let mut parts: Vec<&[u8]> = vec![kind, &plugin.content.0, config.as_bytes()];
    parts.extend(plugin.spec().grants.secrets.names().map(str::as_bytes));
    CodeKey::of(&parts)
}

struct Taken {
    component: Vec<u8>,
    holds_secret: bool,
}

fn take(plugin: &Plugin, policy: &Arc<str>, config: &str) -> Result<Taken, NoSnapshot> {
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    let (context, instrumented) = wizer
        .instrument_component(&plugin.bytes)
        .map_err(|error| NoSnapshot::NotPossible(format!("{error:?}")))?;
    let component = match plugin.code.instrumented.get() {
        Some(component) => component,
        None => {
            // Instrumenting is deterministic, so whoever comes first compiles for all.
            let component = compile::once(plugin.runtime(), &instrumented, plugin.spec().large)
                .map_err(|text| NoSnapshot::NotPossible(format!("instrumented: {text}")))?;
            plugin.code.instrumented.get_or_init(|| component)
        }
    };

    // What `configure` refuses must come back as its own words, so it travels beside the errors of
    // the machinery.
    let mut refused = None;
    let witness = Witness::default();
    // A panic of the rewriting is what "cannot be captured" means here, so it is caught here.
    let step = async {
        let (mut store, instance) =
            match configure(plugin, policy, config, component, &witness).await {
                Ok(configured) => configured,
                Err(error) => {
                    refused = Some(error);
                    return Err(String::new());
                }
            };
        capturable(&mut store, &witness)?;
        let holds_secret = store.data().secret_was_read;
        // The accessors run guest code that grows each memory by a page: neither the clock nor the
        // memory bound may strike there.
        store.set_epoch_deadline(u64::MAX / 2);
        store.data_mut().memory.max += limits::loading::SNAPSHOT_HEADROOM_BYTES;
        // They hand over whole memories, which no call may.
        store.set_hostcall_fuel(usize::MAX);
        let mut captured = Captured { store, instance };
        let component = wizer
            .snapshot_component(&context, &mut captured)
            .await
            .map_err(|error| format!("{error:?}"))?;
        Ok(Taken {
            component: with_accessors(plugin.runtime(), component),
            holds_secret,
        })
    };
    let taken = steps::caught(|| steps::run(step)).unwrap_or_else(Err);
    match (taken, refused) {
        (Ok(taken), _) => Ok(taken),
        (Err(_), Some(error)) => Err(NoSnapshot::Refused(error)),
        (Err(text), None) => Err(NoSnapshot::NotPossible(text)),
    }
}

/// The snapshot with functions by which the host reads its globals and its memory, so that instances can
/// be put back to it (`restore.rs`); as it is, where that is not to be.
fn with_accessors(runtime: &Runtime, snapshot: Vec<u8>) -> Vec<u8> {
    if runtime.page_scan.is_none() {
        return snapshot;
    }
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    match wizer.instrument_component(&snapshot) {
        Ok((_, instrumented)) => instrumented,
        Err(error) => {
            tracing::debug!(%error, "a snapshot without accessors");
            snapshot
        }
    }
}

/// Instantiates and configures.
async fn configure(
    plugin: &Plugin,
    policy: &Arc<str>,
    config: &str,
    component: &Component,
    witness: &Witness,
) -> Result<(Store<State>, Instance), LoadError> {
    let runtime = plugin.runtime();
    let pre = plugin.link(component).map_err(LoadError::plugin)?;
    let indices = lifecycle::GuestIndices::new(&pre).map_err(|error| {
        LoadError::plugin(format!(
            "`lifecycle` is not that of the contract: {error:?}"
        ))
    })?;
    let permit = runtime.calls.acquire().await;
    let _permit = permit.map_err(|error| LoadError::plugin(error.to_string()))?;
    let _running = runtime.clock.run();
    let state = steps::loading_state(
        plugin.spec(),
        policy,
        Phase::Configure,
        &plugin.shape,
        witness,
    );
    let mut store = runtime.store(state);
    store.set_epoch_deadline(1);
    let answering = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let guest = indices.load(&mut store, &instance)?;
        Ok((instance, guest.call_configure(&mut store, config).await?))
    };
    let answer = tokio::time::timeout(limits::loading::CONFIGURE_WALL, answering).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) => {
            let wall = limits::loading::CONFIGURE_WALL.as_secs();
            let text = format!("`configure` took longer than {wall} s");
            return Err(LoadError::config(text));
        }
    };
    match answer {
        Ok((instance, Ok(()))) => Ok((store, instance)),
        Ok((_, Err(text))) => Err(LoadError::config(format!(
            "the plugin refuses it: {}",
            one_line(&text)
        ))),
        Err(error) => Err(LoadError::config(format!(
            "`configure` failed: {}",
            guest_error::explain(&error, store.data())
        ))),
    }
}

/// Whether all that matters is in memory and globals.
fn capturable(store: &mut Store<State>, witness: &Witness) -> Result<(), String> {
    let handles = store
        .data()
        .wasi
        .as_ref()
        .is_some_and(|wasi| !wasi.table.is_empty());
    if handles {
        return Err("`configure` left WASI handles open (streams, descriptors)".to_owned());
    }
    if witness.saw_something() {
        return Err(
            "`configure` asked WASI for the time or for randomness, which would be frozen"
                .to_owned(),
        );
    }
    Ok(())
}

/// Calls the accessors that the instrumentation added. They only fail if the component forbids its
/// memory to grow by the page they need; the trait has no room for an error, so it travels as an
/// unwinding that `steps::run` catches.
struct Captured {
    store: Store<State>,
    instance: Instance,
}

impl Captured {
    async fn call<R, T>(
        &mut self,
        instance: &str,
        function: &str,
        with: impl FnOnce(&mut Store<State>, R) -> T,
    ) -> T
    where
        R: Lift + Send + Sync + 'static,
    {
        let called = async {
            let store = &mut self.store;
            let access = self
                .instance
                .get_export_index(store.as_context_mut(), None, instance)?;
            let index =
                self.instance
                    .get_export_index(store.as_context_mut(), Some(&access), function)?;
            let function = self
                .instance
                .get_typed_func::<(), (R,)>(store.as_context_mut(), index)
                .ok()?;
            function.call_async(store.as_context_mut(), ()).await.ok()
        }
        .await;
        match called {
            Some((answer,)) => with(&mut self.store, answer),
            None => std::panic::resume_unwind(Box::new(format!(
                "its {} cannot be read: the component declares a maximum of memory that it has \
                 reached; build it with a larger maximum (`--max-memory`), or with none",
                if function.starts_with("memory") {
                    "memory"
                } else {
                    "globals"
                }
            ))),
        }
    }
}

impl ComponentInstanceState for Captured {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        self.call(instance, func, |store, list: WasmList<u8>| {
            contents(list.as_le_slice(&*store));
        })
        .await
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func, |_, value: i32| value).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func, |_, value: i64| value).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call(instance, func, |_, value: f32| value.to_bits())
            .await
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call(instance, func, |_, value: f64| value.to_bits())
            .await
    }
}
