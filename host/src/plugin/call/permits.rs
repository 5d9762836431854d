//! Permits: how many instances there are at once, and for what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::policy::Policy;
use crate::limits;
use crate::plugin::fault::{Fault, FaultKind};

/// What every instance needs: one of the plugin's, and one of the process's.
pub async fn permits(policy: &Policy) -> Result<[OwnedSemaphorePermit; 2], Fault> {
    let (of_plugin, of_process) = (&policy.permits, &policy.plugin.runtime.calls);
    let at_once = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_owned();
    if let (Ok(first), Ok(second)) = (at_once(of_plugin), at_once(of_process)) {
        return Ok([first, second]);
    }
    let _waits = Waits::begin(&policy.plugin.waits);
    let busy = || {
        let of = &policy.identity.plugin;
        let wait = limits::plugin::INSTANCE_WAIT;
        let text = format!("no instance of `{of}` came free within {wait:?}");
        Fault::new(FaultKind::Busy, text)
    };
    Ok([
        permit(of_plugin).await.ok_or_else(busy)?,
        permit(of_process).await.ok_or_else(busy)?,
    ])
}

/// A call waits, until this is dropped.
struct Waits<'w>(&'w AtomicUsize);

impl<'w> Waits<'w> {
    fn begin(waiting: &'w AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waits(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for a permit, not longer than [`limits::plugin::INSTANCE_WAIT`].
pub async fn permit(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return Some(permit);
    }
    let waiting = Arc::clone(permits).acquire_owned();
    let waited = tokio::time::timeout(limits::plugin::INSTANCE_WAIT, waiting).await;
    waited.ok()?.ok()
}
