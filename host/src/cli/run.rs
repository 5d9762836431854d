use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::server;

/// Each thread's generator is seeded at its first use, the process's in tens of milliseconds: that must
/// not be charged to the first plugin that asks.
fn draw_first_random() {
    let _ = aws_lc_rs::rand::fill(&mut [0; 8]);
}

/// `tollgate run`: serves until it is told to stop.
pub fn run(path: &Path) -> Result<(), String> {
    let built = super::build(path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(built.config.runtime.workers)
        .enable_all()
        .on_thread_start(draw_first_random)
        .build()
        .map_err(|error| format!("cannot start the worker threads: {error}"))?;
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
    // What is still running after the drain is cut here, and leaves its record in the log.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    built.log.close();
    served
}
