//! The first instance of a policy, made and thrown away while loading.

use wasmtime::Store;
use wasmtime::component::Instance;

use super::error::LoadError;
use super::plugin::Plugin;
use super::steps;
use crate::limits;
use crate::plugin::call::policy::Policy;
use crate::plugin::call::restore::Pristine;
use crate::plugin::call::{guest_error, lease};
use crate::plugin::host::state::{Phase, State};
use crate::plugin::host::wasi::Witness;
use crate::quote::one_line;

/// Makes one instance while loading: what every call would fail over fails the load instead. Answers
/// what is in it, where later ones can be put back to that.
pub fn try_out(policy: &Policy, plugin: &Plugin) -> Result<Option<Pristine>, LoadError> {
    let runtime = plugin.runtime();
    let name = &policy.identity.policy;
    let witness = Witness::default();
    let made = steps::run(async {
        let state = steps::loading_state(plugin.spec(), name, Phase::Call, &plugin.shape, &witness);
        let _running = runtime.clock.run();
        let mut store = runtime.store(state);
        lease::arm(&mut store, limits::loading::CONFIGURE_CPU);
        let made = lease::start(policy, &mut store).await;
        let instance = match made {
            Ok(Ok(instance)) => instance,
            Ok(Err(text)) => return Ok(Err(text)),
            Err(error) => return Err(guest_error::explain(&error, store.data())),
        };
        policy.exports.check(&mut store, &instance)?;
        let pristine = match runtime.page_scan {
            Some(_) if can_be_put_back(policy, plugin) => pristine(policy, store, &instance).await,
            _ => None,
        };
        Ok(Ok(pristine))
    });
    match made {
        Ok(Ok(pristine)) => Ok(pristine),
        Ok(Err(text)) => {
            let text = one_line(&text);
            Err(LoadError::config(format!("the plugin refuses it: {text}")))
        }
        Err(text) if policy.configure_each.is_some() => {
            Err(LoadError::config(format!("`configure` failed: {text}")))
        }
        Err(text) => Err(LoadError::plugin(format!(
            "no instance can be made: {text}"
        ))),
    }
}

/// Handles of its own, or of a component within it, are state that no reading of memory shows.
fn can_be_put_back(policy: &Policy, plugin: &Plugin) -> bool {
    let handles = plugin.shape.handles;
    policy.configure_each.is_none() && !handles.own && !handles.nested
}

/// Reads the instance, by accessors that hand over whole memories.
async fn pristine(
    policy: &Policy,
    mut store: Store<State>,
    instance: &Instance,
) -> Option<Pristine> {
    store.set_epoch_deadline(u64::MAX / 2);
    store.data_mut().memory.max += limits::loading::SNAPSHOT_HEADROOM_BYTES;
    store.set_hostcall_fuel(usize::MAX);
    let read = Pristine::read(policy.pre.component(), &mut store, instance).await;
    read.unwrap_or_else(|error| {
        // It has a maximum of memory, for example, and is at it.
        tracing::debug!(policy = &*policy.identity.policy, %error, "its instances are made anew");
        None
    })
}
