use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::server;

/// `tollgate run`: serves until it is told to stop.
pub fn run(path: &Path) -> Result<(), String> {
    let built = super::build(path)?;
    // This thread accepts; those of `server` serve.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let gateway = Arc::clone(&built.gateway);
        server::serve(&built.config, gateway, Arc::clone(&built.metrics), stop).await
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    built.log.close();
    served
}
