//! The totals, held against what the machine gives, before anything is served.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::loading::{cache_folder, loading_threads};
use crate::config::Config;
use crate::limits;
use crate::plugin::{Artefacts, PoolSize, Purpose, Runtime, quiet_caught_panics};

/// Starts the plugin runtime that a configuration needs.
///
/// # Errors
/// If the process may not have what it takes, in words for the operator.
pub fn start_runtime(
    config: &Config,
    purpose: Purpose,
) -> Result<(Arc<Runtime>, PoolSize), String> {
    quiet_caught_panics();
    let runtime = &config.runtime;
    let size = PoolSize::new(
        runtime.plugin_calls,
        runtime.workers,
        loading_threads(),
        config.policies.len(),
        runtime.page_scan,
    );
    addresses(&size)?;
    descriptors(config)?;
    mappings(&size);
    bodies(config);
    let artefacts = match cache_folder(&runtime.plugin_cache) {
        None => Artefacts::none(),
        Some(folder) => Artefacts::open(&folder, purpose).unwrap_or_else(|reason| {
            tracing::warn!("compiled plugins are not kept: {reason}");
            Artefacts::none()
        }),
    };
    let runtime = Runtime::new(size, artefacts).map_err(|error| {
        format!(
            "the pool of {} plugin instances cannot be made: {error:?}; lower \
             `runtime.plugin-calls`, or allow the process more address space",
            size.calls
        )
    })?;
    Ok((runtime, size))
}

/// Says what the pool takes at most, for whoever plans the machine: all of it only after as many calls at
/// once.
pub fn tell(size: &PoolSize) {
    tracing::debug!(
        "up to {} plugin calls at once, and {} instances that wait for the next; of their memory at most \
         {} MiB stays with the process once it was used",
        size.calls,
        size.idle,
        Runtime::resident_bytes(size) >> 20
    );
}

fn mebibytes(bytes: u64) -> String {
    format!("{}MiB", bytes >> 20)
}

/// Says if what requests may have plugins hold of bodies is more than all may hold together.
fn bodies(config: &Config) {
    let grants = config
        .plugins
        .values()
        .filter_map(|plugin| plugin.grant.bodies);
    let Some(largest) = grants.max() else { return };
    let requests = config.runtime.requests as u64;
    let (all, most) = (requests.saturating_mul(largest), config.runtime.bodies);
    if all > most {
        tracing::warn!(
            "`runtime.requests` times the largest `grant.bodies` are {} of bodies, and all together may be \
             {} (`runtime.bodies`): beyond, requests are answered 503",
            mebibytes(all),
            mebibytes(most)
        );
    }
}

/// Whether the pool can have its addresses.
fn addresses(size: &PoolSize) -> Result<(), String> {
    let allowed = getrlimit(Resource::As).current.unwrap_or(u64::MAX);
    let needed = size.address_bytes();
    let gibibytes = |bytes: u64| format!("{} GiB", bytes >> 30);
    let most = allowed.min(limits::pool::ADDRESSES_MAX);
    if needed <= most {
        return Ok(());
    }
    let who = if allowed < limits::pool::ADDRESSES_MAX {
        "the process may have (`ulimit -v`)"
    } else {
        "there are for it"
    };
    Err(format!(
        "the pool needs {} of addresses (not of memory), for {} plugin instances at work, {} that wait \
         and {} threads; {who}: {}. Lower `runtime.plugin-calls` or `runtime.workers`",
        gibibytes(needed),
        size.calls,
        size.idle,
        size.threads,
        gibibytes(most)
    ))
}

/// Whether there are enough open files. Each snapshot holds one, during a reload perhaps two, and each
/// connection one.
fn descriptors(config: &Config) -> Result<(), String> {
    let Some(allowed) = getrlimit(Resource::Nofile).current else {
        return Ok(());
    };
    let count = |number: usize| number as u64;
    let snapshots = count(
        2 * (config.policies.len() + config.plugins.len()) + limits::process::DESCRIPTORS_BESIDE,
    );
    if snapshots > allowed {
        return Err(format!(
            "{} policies of {} plugins need up to {snapshots} open files, and the process may have \
             {allowed}: raise `ulimit -n`",
            config.policies.len(),
            config.plugins.len()
        ));
    }
    let all = snapshots + count(config.runtime.connections) + count(config.runtime.requests);
    if all > allowed {
        tracing::warn!(
            "`runtime.connections` and `runtime.requests` need up to {all} open files, and the process \
             may have {allowed}: beyond, no connection is accepted; raise `ulimit -n`, or lower them"
        );
    }
    Ok(())
}

/// Says if the kernel may refuse what the pool comes to map when all of its slots were used, as they are
/// in time.
fn mappings(size: &PoolSize) {
    let Some(allowed) = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
    else {
        return;
    };
    let needed = size.memories() * limits::pool::SLOT_MAPPINGS + limits::pool::MAPPINGS_BESIDE;
    if needed > allowed {
        tracing::warn!(
            "the pool of {} slots may come to map {needed} pieces of memory, and the kernel allows \
             {allowed}: beyond, plugins fail; raise `sysctl vm.max_map_count`, or lower \
             `runtime.plugin-calls`",
            size.memories()
        );
    }
}
