//! Permits: how many instances there are at once, and for what.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::{Fault, FaultKind};
use super::policy::Policy;
use crate::limits;

/// What every instance needs: one of the plugin's, and one of the process's.
pub async fn permits(policy: &Policy) -> Result<[OwnedSemaphorePermit; 2], Fault> {
    let busy = || {
        let of = &policy.identity.plugin;
        let wait = limits::INSTANCE_WAIT;
        let text = format!("no instance of `{of}` came free within {wait:?}");
        Fault::new(FaultKind::Busy, text)
    };
    Ok([
        permit(&policy.permits).await.ok_or_else(busy)?,
        permit(&policy.plugin.runtime.calls)
            .await
            .ok_or_else(busy)?,
    ])
}

/// Waits for a permit, not longer than [`limits::INSTANCE_WAIT`].
pub async fn permit(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return Some(permit);
    }
    let waiting = Arc::clone(permits).acquire_owned();
    let waited = tokio::time::timeout(limits::INSTANCE_WAIT, waiting).await;
    waited.ok()?.ok()
}
