//! What outlives every gateway: the state that the host keeps, and what the process was started with.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::capacity;
use crate::chain::{Decided, Mechanisms};
use crate::config::Config;
use crate::http::body_budget::HeldBodies;
use crate::limits;
use crate::observe::{LogWriter, Metrics};
use crate::plugin::{PoolSize, Purpose, Runtime};
use crate::policy::cache::{Cache, Settings};
use crate::policy::decisions::Decisions;
use crate::policy::limit::{Limiter, Now};
use crate::store::memory::Kv;
use crate::upstream::Servers;

/// One per process. A reload builds a new gateway upon it, so that no counter falls back and nothing
/// that was kept is forgotten.
pub struct Process {
    pub(super) runtime: Arc<Runtime>,
    pool: PoolSize,
    /// Connections are kept for each thread that serves, whatever a later configuration says.
    pub(super) servers: Servers,
    /// Those that plugins ask, with connections of their own.
    pub(super) fetched_servers: Servers,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Arc<LogWriter>,
    pub(super) mechanisms: Mechanisms,
    pub(super) decisions: Arc<Decisions<Decided>>,
    pub(super) kv: Arc<Kv>,
    /// One permit for each request in flight.
    pub(super) requests: Arc<Semaphore>,
    /// For calls of plugins that wait for peers.
    pub(super) waiting: Arc<Semaphore>,
    /// For bodies that go through plugins.
    pub(super) streaming: Arc<Semaphore>,
    /// For bodies that are held whole for plugins.
    pub(super) held_bodies: Arc<HeldBodies>,
    /// Those that are listened on, in the order of their sockets.
    pub(super) listeners: Vec<Arc<str>>,
}

impl Process {
    /// Makes what a process that begins with this configuration needs.
    ///
    /// # Errors
    /// If it needs more than the machine has, in words for the operator.
    pub fn start(
        config: &Config,
        metrics: Arc<Metrics>,
        log: Arc<LogWriter>,
        purpose: Purpose,
    ) -> Result<Arc<Process>, String> {
        let waiting = limits::process::waiting_calls(config.runtime.plugin_calls);
        let streaming = limits::process::streaming_calls(config.runtime.plugin_calls);
        let (runtime, pool) = capacity::start_runtime(config, purpose)?;
        Ok(Arc::new(Process {
            runtime,
            pool,
            servers: Servers::new(config.runtime.workers),
            fetched_servers: Servers::new(config.runtime.workers),
            metrics,
            log,
            mechanisms: Mechanisms {
                limiter: Arc::new(Limiter::new(config.store.limit_keys)),
                cache: Cache::new(Settings {
                    bytes_max: config.store.cache,
                    entry_bytes_max: config.store.cache_entry,
                }),
            },
            decisions: Decisions::new(config.store.decisions),
            kv: Kv::new(config.store.kv),
            requests: Arc::new(Semaphore::new(config.runtime.requests)),
            waiting: Arc::new(Semaphore::new(waiting)),
            streaming: Arc::new(Semaphore::new(streaming)),
            held_bodies: HeldBodies::new(config.runtime.bodies),
            listeners: config
                .listeners
                .iter()
                .map(|listener| listener.name.as_str().into())
                .collect(),
        }))
    }

    /// Says what the process may take.
    pub fn tell(&self) {
        capacity::tell(&self.pool);
    }

    /// What goes on beside requests, for as long as the process serves.
    pub async fn tend(self: Arc<Self>) {
        let mut interval = tokio::time::interval(limits::limiter::LIMIT_SWEEP);
        loop {
            interval.tick().await;
            self.mechanisms.limiter.sweep(Now::read());
        }
    }

    /// Lets go of what only loading needed, and of the names of what is gone.
    pub fn tidy(&self) {
        self.runtime.tidy();
        self.servers.tidy();
        self.fetched_servers.tidy();
    }
}
