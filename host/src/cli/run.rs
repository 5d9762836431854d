use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::build::{build, read};
use crate::assembly::{self, Purpose};
use crate::observe::LogWriter;
use crate::reload::{self, Current, Looks, Reloader};
use crate::server;

/// `tollgate run`: serves until it is told to stop.
pub fn run(path: &Path, log: &LogWriter) -> Result<(), String> {
    // Before they are read, so that no change falls between.
    let looked = Looks::at([path.to_owned()]);
    let config = read(path)?;
    let looked = looked.and(assembly::files(&config));
    // This thread accepts; those of `server` serve.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("error: cannot start: {error}"))?;
    let on = |kind| {
        let _runtime = runtime.enter();
        signal(kind).map_err(|error| format!("error: cannot listen for signals: {error}"))
    };
    // One that comes while the plugins load is followed by a reload, and does not end the process.
    let mut hang_up = on(SignalKind::hangup())?;

    let built = build(&config, log.lost(), Purpose::Serve)?;
    // Until here there is nothing to end in order, and they end the process.
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    built.process.tell();
    reload::warn(&config.source, &built.assembly.warnings(&config));
    let current = Current::new(built.assembly);
    let started = config.clone();
    let reloader = Reloader::new(started, &built.process, &built.metrics, &current, looked);
    let served = runtime.block_on(async {
        let stop = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        current.get().tend();
        tokio::spawn(Arc::clone(&built.process).tend());
        let wanted = reload::start(reloader)?;
        let asks = wanted.clone();
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                asks.now();
            }
        });
        let metrics = Arc::clone(&built.metrics);
        server::serve(&config, &current, metrics, wanted, stop).await
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    built.log.close();
    served
}
