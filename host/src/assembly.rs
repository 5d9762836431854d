//! The composition root: a checked configuration becomes a gateway, beside the one that it will replace and upon the
//! state that outlives both.

mod build;
mod capacity;
mod files;
mod key_sets;
mod loading;
mod namespaces;
mod next_start;
mod plugins;
mod process;
mod progress;
mod unused;
mod upstreams;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::chain::Decided;
use crate::config::{Config, Problem, Source};
use crate::gateway::Gateway;
use crate::observe::Metrics;
pub use crate::plugin::{COMPILER_VERB, Purpose, serve_as_compiler};
pub use crate::policy::cache::PurgeKey;
use crate::policy::decisions::Memory;
use crate::policy::key_sets::KeySets;
pub use crate::upstream::keep_connections_as;

pub use files::{BUNDLED, files};
use namespaces::Namespaces;
pub use next_start::next_start;
use plugins::Loaded;
pub use process::Process;
pub use progress::Progress;
use upstreams::Upstreams;

/// A gateway with all that it was built from, and that the next one takes over where it is as it was.
pub struct Assembly {
    pub gateway: Arc<Gateway>,
    /// How long a stopping process waits for requests in flight.
    pub drain: Duration,
    loaded: Loaded,
    memories: Memories,
    key_sets: Arc<KeySets>,
    namespaces: Namespaces,
    upstreams: Upstreams,
    /// Those that plugins may ask.
    fetched: Upstreams,
    source: Arc<Source>,
    process: Arc<Process>,
    _counted: Counted,
}

/// What authorizers decided, by policy.
type Memories = BTreeMap<String, Arc<Memory<Decided>>>;

/// A gateway that is alive.
struct Counted(Arc<Metrics>);

impl Counted {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.gateways.inc();
        Counted(Arc::clone(metrics))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.gateways.dec();
    }
}

impl Assembly {
    /// Whether it was built from the same text and took over everything that is loaded, so that it would
    /// serve as the other does.
    pub fn is_same(&self, other: &Assembly) -> bool {
        self.source.text == other.source.text
            && self.loaded.is_same(&other.loaded)
            && Arc::ptr_eq(&self.key_sets, &other.key_sets)
    }

    /// What is allowed in the configuration that it was built from, and hardly meant.
    pub fn warnings(&self, config: &Config) -> Vec<Problem> {
        let mut warnings = config.warnings.clone();
        warnings.extend(unused::unused(config, &self.loaded));
        warnings
    }

    /// How many policies it took over as they were, and how many it has.
    pub fn policies_kept(&self, previous: &Assembly) -> (usize, usize) {
        self.loaded.kept(&previous.loaded)
    }

    /// Starts what goes on beside requests. It ends with the gateway.
    pub fn tend(&self) {
        tokio::spawn(Arc::clone(&self.key_sets).run());
    }

    /// Begins to serve in the place of another.
    pub fn take_over(&self, previous: &Assembly) {
        if !Arc::ptr_eq(&self.key_sets, &previous.key_sets) {
            self.tend();
        }
        self.loaded.retire_others(&previous.loaded);
    }

    /// Brings the metrics up to date that are read from the mechanisms.
    pub fn measure(&self) {
        let metrics = &self.process.metrics;
        let cache = self.process.mechanisms.cache.stats();
        metrics
            .cache_hits
            .inner()
            .store(cache.hits, Ordering::Relaxed);
        metrics
            .cache_misses
            .inner()
            .store(cache.misses, Ordering::Relaxed);
        metrics
            .cache_collapsed
            .inner()
            .store(cache.collapsed, Ordering::Relaxed);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.cache_bytes.set(gauge(cache.bytes));
        metrics.cache_keys.set(gauge(cache.entries));
        let keys = self.process.mechanisms.limiter.keys();
        metrics.limit_keys.set(gauge(keys as u64));
        metrics
            .held_bodies
            .set(gauge(self.process.held_bodies.bytes()));
        metrics
            .instances
            .set(gauge(self.process.runtime.instances()));
        metrics.set_instances(self.loaded.instances());
    }

    /// Drops cached responses: of one policy, or of all. Answers how many keys went; none if there is no
    /// such policy.
    pub fn purge(&self, policy: Option<&str>, what: &PurgeKey) -> Option<usize> {
        let cache = &self.process.mechanisms.cache;
        match policy {
            None => Some(cache.purge(None, what)),
            Some(policy) => {
                let namespaces = self.namespaces.of_policy(policy);
                let purged = namespaces.iter().map(|one| cache.purge(Some(one), what));
                (!namespaces.is_empty()).then(|| purged.sum())
            }
        }
    }

    /// Lets go of what the process keeps for these, and for none of those that are left.
    pub fn forget(gone: Vec<Arc<Assembly>>, left: &[Arc<Assembly>]) {
        let Some(process) = gone.first().map(|one| Arc::clone(&one.process)) else {
            return;
        };
        let namespaces = |all: &[Arc<Assembly>]| -> HashSet<Arc<str>> {
            let all = all.iter().flat_map(|one| one.namespaces.all().cloned());
            all.collect()
        };
        let (of_gone, of_left) = (namespaces(&gone), namespaces(left));
        drop(gone);
        let cache = &process.mechanisms.cache;
        for namespace in of_gone.difference(&of_left) {
            cache.purge(Some(namespace), &PurgeKey::All);
        }
        let routes = || left.iter().flat_map(|one| &one.gateway.routes);
        let names = routes().map(|route| Arc::clone(&route.name)).collect();
        let entries = routes().flat_map(|route| route.entry_names()).collect();
        process.metrics.keep(&names, &entries);
    }
}
