//! What every step of loading runs under: its time, its panics, and the state of its Store.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::contract::Shape;
use super::error::LoadError;
use crate::limits;
use crate::plugin::host::state::{Phase, State};
use crate::plugin::host::wasi::{self, Witness};
use crate::plugin::spec::{Identity, PluginSpec};

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
    let mut state = State::new(spec, identity, phase, limits::loading::CONFIGURE_CPU);
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
        match tokio::time::timeout(limits::loading::LOADING_WALL, step).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "it took longer than {} s",
                limits::loading::LOADING_WALL.as_secs()
            )),
        }
    })
}
