//! The gateway that requests begin with, and its replacement.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{Gateway, Process};
use crate::policy::cache::PurgeKey;

/// A handle to whichever gateway is the current one. A request takes it once and keeps what it got, so
/// that none ever sees half a change.
pub struct Current {
    gateway: ArcSwap<Gateway>,
    process: Arc<Process>,
    /// Replaced ones that requests still used when they were last looked at.
    replaced: Mutex<Vec<Arc<Gateway>>>,
}

impl Current {
    pub fn new(gateway: Gateway, process: &Arc<Process>) -> Arc<Current> {
        Arc::new(Current {
            gateway: ArcSwap::from_pointee(gateway),
            process: Arc::clone(process),
            replaced: Mutex::default(),
        })
    }

    pub fn get(&self) -> Arc<Gateway> {
        self.gateway.load_full()
    }

    /// Begins every later request with this gateway.
    pub fn replace(&self, new: Gateway) {
        let new = Arc::new(new);
        let old = self.gateway.swap(Arc::clone(&new));
        new.take_over(&old);
        self.replaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(old);
    }

    /// Drops the replaced gateways that no request uses any more. Whoever calls this takes the time for
    /// it; a request never does.
    pub fn drop_unused(&self) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody can get hold of a replaced one any more, so that the last handle stays the last.
        let (gone, left): (Vec<_>, Vec<_>) = std::mem::take(&mut *replaced)
            .into_iter()
            .partition(|gateway| Arc::strong_count(gateway) == 1);
        replaced.clone_from(&left);
        drop(replaced);
        if !gone.is_empty() {
            let mut left = left;
            left.push(self.get());
            forget(&self.process, gone, &left);
        }
    }
}

/// Lets go of what was kept for these gateways and is of none of those that are left.
fn forget(process: &Process, gone: Vec<Arc<Gateway>>, left: &[Arc<Gateway>]) {
    let namespaces = |gateways: &[Arc<Gateway>]| -> HashSet<Arc<str>> {
        let all = gateways
            .iter()
            .flat_map(|gateway| gateway.namespaces.all().cloned());
        all.collect()
    };
    let (of_gone, of_left) = (namespaces(&gone), namespaces(left));
    drop(gone);
    for namespace in of_gone.difference(&of_left) {
        process
            .mechanisms
            .cache
            .purge(Some(namespace), &PurgeKey::All);
    }
    let routes = || left.iter().flat_map(|gateway| &gateway.routes);
    let names = routes().map(|route| Arc::clone(&route.name)).collect();
    let entries = routes().flat_map(|route| route.entry_names()).collect();
    process.metrics.keep(&names, &entries);
}
