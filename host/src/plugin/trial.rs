//! The first instance of a policy, made and thrown away while loading.

use super::imports::one_line;
use super::lease;
use super::load::{self, LoadError};
use super::policy::Policy;
use super::state::Phase;
use super::wasi::Witness;
use crate::limits;

/// Makes one instance while loading: what every call would fail over fails the load instead. The
/// types of the hooks are checked where they are looked up in an instance.
pub fn try_out(policy: &Policy) -> Result<(), LoadError> {
    let plugin = &policy.plugin;
    let name = &policy.identity.policy;
    let witness = Witness::default();
    let made = load::run(async {
        let state = load::loading_state(&plugin.spec, name, Phase::Call, &plugin.shape, &witness);
        let _running = plugin.runtime.clock.run();
        let mut store = plugin.runtime.store(state);
        lease::arm(&mut store, limits::CONFIGURE_CPU);
        let made = lease::start(policy, &mut store).await;
        let instance = match made {
            Ok(Ok(instance)) => instance,
            Ok(Err(text)) => return Ok(Err(text)),
            Err(error) => return Err(load::explain(&error, store.data())),
        };
        let exports = &policy.exports;
        let mut hook = "";
        let mut fits = || -> wasmtime::Result<()> {
            /// Loads a hook's exports, if it has them.
            macro_rules! fits {
                ($($name:ident: $interface:literal),+) => {$(
                    if let Some(exports) = &exports.$name {
                        hook = $interface;
                        exports.load(&mut store, &instance)?;
                    }
                )+};
            }
            fits!(
                authorizer: "authorizer",
                limiter: "limiter",
                limiter_settle: "limiter-settle",
                cache_lookup: "cache-lookup",
                cache_store: "cache-store",
                request_transformer: "request-transformer",
                response_transformer: "response-transformer",
                request_stream: "request-stream",
                response_stream: "response-stream"
            );
            Ok(())
        };
        let fits = fits();
        fits.map_err(|error| format!("its `{hook}` is not that of the contract: {error:?}"))?;
        Ok(Ok(()))
    });
    match made {
        Ok(Ok(())) => Ok(()),
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
