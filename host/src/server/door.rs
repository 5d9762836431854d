//! The door that connections come in by, and what is kept of one that is open.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::observe::Metrics;
use crate::reload::Current;

/// Where connections come in, and what serves their requests.
#[derive(Clone)]
pub(super) struct Door {
    /// Of the socket, by which a gateway knows the listener.
    pub number: usize,
    pub current: Arc<Current>,
}

/// Counts a connection for as long as it is open.
pub(super) struct OpenConnection {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl OpenConnection {
    pub fn new(metrics: &Arc<Metrics>, permit: OwnedSemaphorePermit) -> Self {
        metrics.connections.inc();
        OpenConnection {
            metrics: Arc::clone(metrics),
            _permit: permit,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}
