//! The gateway that requests begin with, and its replacement.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::assembly::Assembly;

/// A handle to whichever gateway is the current one. A request takes it once and keeps what it got, so
/// that none ever sees half a change.
pub struct Current {
    assembly: ArcSwap<Assembly>,
    /// Replaced ones that requests still used when they were last looked at.
    replaced: Mutex<Vec<Arc<Assembly>>>,
}

impl Current {
    pub fn new(assembly: Assembly) -> Arc<Current> {
        Arc::new(Current {
            assembly: ArcSwap::from_pointee(assembly),
            replaced: Mutex::default(),
        })
    }

    pub fn get(&self) -> Arc<Assembly> {
        self.assembly.load_full()
    }

    /// Begins every later request with this gateway.
    pub fn replace(&self, new: Assembly) {
        let new = Arc::new(new);
        let old = self.assembly.swap(Arc::clone(&new));
        new.take_over(&old);
        self.replaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(old);
    }

    /// Drops the replaced gateways that no request uses any more. The caller takes the time for it; a request
    /// never does.
    pub fn drop_unused(&self) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody can get hold of a replaced one any more, so that the last handle stays the last.
        let (gone, left): (Vec<_>, Vec<_>) = std::mem::take(&mut *replaced)
            .into_iter()
            .partition(|one| Arc::strong_count(one) == 1 && Arc::strong_count(&one.gateway) == 1);
        replaced.clone_from(&left);
        drop(replaced);
        if !gone.is_empty() {
            let mut left = left;
            left.push(self.get());
            Assembly::forget(gone, &left);
        }
    }
}
