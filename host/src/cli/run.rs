use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::reload::{self, Reloader};
use super::watch::Looks;
use crate::gateway::{self, Current};
use crate::server;

/// Each thread's generator is seeded at its first use, the process's in tens of milliseconds: that must
/// not be charged to the first plugin that asks.
fn draw_first_random() {
    let _ = aws_lc_rs::rand::fill(&mut [0; 8]);
}

/// `tollgate run`: serves until it is told to stop.
pub fn run(path: &Path) -> Result<(), String> {
    // Before they are read, so that no change falls between.
    let looked = Looks::at([path.to_owned()]);
    let config = super::read(path)?;
    let looked = looked.and(gateway::files(&config));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.runtime.workers)
        .enable_all()
        .on_thread_start(draw_first_random)
        .build()
        .map_err(|error| format!("cannot start the worker threads: {error}"))?;
    let on = |kind| {
        let _runtime = runtime.enter();
        signal(kind).map_err(|error| format!("cannot listen for signals: {error}"))
    };
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    // One that comes while the plugins load is followed by a reload, and does not end the process.
    let mut hang_up = on(SignalKind::hangup())?;

    let built = super::build(&config)?;
    built.process.tell();
    let current = Current::new(built.gateway, &built.process);
    let started = config.clone();
    let reloader = Reloader::new(started, &built.process, &built.metrics, &current, looked);
    let served = runtime.block_on(async {
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        current.get().tend();
        tokio::spawn(Arc::clone(&built.process).tend());
        let wanted = reload::start(reloader)?;
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                wanted.now();
            }
        });
        server::serve(&config, &current, Arc::clone(&built.metrics), stop).await
    });
    // What is still running after the drain is cut here, and leaves its record in the log.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    built.log.close();
    served
}
