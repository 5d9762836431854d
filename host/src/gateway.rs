//! The composition root: a checked configuration becomes an immutable snapshot of routes, chains and
//! upstreams, beside the one that it will replace and upon the state that outlives both.

mod build;
mod current;
mod files;
mod key_sets;
mod loading;
mod namespaces;
mod next_start;
mod plugins;
mod process;
mod progress;
mod totals;
mod unused;
mod upstreams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::chain::{Decided, Entry, Mechanisms};
use crate::config::{Config, Problem, Source};
use crate::http::exchange::ResponseHead;
use crate::observe::{Arrival, EntryName, Metrics, Record, RouteMetrics};
pub use crate::plugin::{COMPILER_VERB, Purpose, serve_as_compiler};
pub use crate::policy::cache::PurgeKey;
use crate::policy::decisions::Memory;
use crate::policy::key_sets::KeySets;
use crate::route::Router;
use crate::upstream::Upstream;
pub use crate::upstream::keep_connections_as;

pub use current::Current;
pub use files::{BUNDLED, files};
use namespaces::Namespaces;
pub use next_start::next_start;
use plugins::Loaded;
pub use process::Process;
pub use progress::Progress;
use upstreams::Upstreams;

/// Everything that requests are served from.
pub struct Gateway {
    pub router: Router,
    /// In the order of the router's indices.
    pub routes: Vec<Arc<Route>>,
    pub mechanisms: Mechanisms,
    /// One permit for each request in flight.
    pub requests: Arc<Semaphore>,
    /// How long a stopping process waits for requests in flight.
    pub drain: Duration,
    /// In the order of the sockets.
    listeners: Vec<Arc<Listener>>,
    loaded: Loaded,
    memories: Memories,
    key_sets: Arc<KeySets>,
    namespaces: Namespaces,
    upstreams: Upstreams,
    /// Those that plugins may ask.
    fetched: Upstreams,
    source: Arc<Source>,
    no_route: RouteMetrics,
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

pub struct Route {
    pub name: Arc<str>,
    pub variables: Arc<BTreeMap<String, String>>,
    /// As written; empty: any.
    methods: Vec<Method>,
    /// Whether it names OPTIONS, so that what no entry answers of preflights is the upstream's to
    /// answer.
    pub takes_options: bool,
    pub chain: Vec<Entry>,
    /// Whether any entry has a hook on the way out.
    pub reads_on_way_out: bool,
    /// Whether a plugin of the chain may read the bodies of responses.
    pub reads_responses: bool,
    pub destination: Destination,
    pub metrics: RouteMetrics,
}

impl Route {
    /// What tells the series of its entries.
    fn entry_names(&self) -> impl Iterator<Item = EntryName> {
        let entries = self.chain.iter();
        entries.map(|entry| entry_name(entry, &self.name))
    }

    /// The methods that it takes, for `Allow` (RFC 9110, section 10.2.1). Of any, those that are common.
    pub fn allowed(&self) -> Vec<Method> {
        if !self.methods.is_empty() {
            return self.methods.clone();
        }
        let common = [
            Method::DELETE,
            Method::GET,
            Method::HEAD,
            Method::PATCH,
            Method::POST,
            Method::PUT,
        ];
        common.to_vec()
    }
}

/// What a request comes to that no entry answered.
pub enum Destination {
    Upstream(Arc<Upstream>),
    Respond(ResponseHead, Bytes),
}

/// What a request needs to know of where it came in.
pub struct Listener {
    pub name: Arc<str>,
    pub trusted_proxies: Vec<IpNet>,
    /// What a client must send of a body, or take of an answer, in bytes per second.
    pub least_pace: u64,
    /// How long an answer is still made for a client that has closed its side and takes nothing.
    pub half_closed: Duration,
}

impl Gateway {
    /// Where a request came in, by the number of its socket. Gateway and sockets are made from the same
    /// listeners, so that there is one.
    pub fn listener(&self, socket: usize) -> &Arc<Listener> {
        &self.listeners[socket]
    }

    /// Whether it was built from the same text and took over everything that is loaded, so that it would
    /// serve as the other does.
    pub fn is_same(&self, other: &Gateway) -> bool {
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
    pub fn policies_kept(&self, previous: &Gateway) -> (usize, usize) {
        self.loaded.kept(&previous.loaded)
    }

    /// Starts what goes on beside requests. It ends with the gateway.
    pub fn tend(&self) {
        tokio::spawn(Arc::clone(&self.key_sets).run());
    }

    /// Begins to serve in the place of another.
    fn take_over(&self, previous: &Gateway) {
        if !Arc::ptr_eq(&self.key_sets, &previous.key_sets) {
            self.tend();
        }
        self.loaded.retire_others(&previous.loaded);
    }

    /// Brings the metrics up to date that are read from the mechanisms.
    pub fn measure(&self) {
        let metrics = &self.process.metrics;
        let cache = self.mechanisms.cache.stats();
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
        let keys = self.mechanisms.limiter.keys();
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
        let cache = &self.mechanisms.cache;
        match policy {
            None => Some(cache.purge(None, what)),
            Some(policy) => {
                let namespaces = self.namespaces.of_policy(policy);
                let purged = namespaces.iter().map(|one| cache.purge(Some(one), what));
                (!namespaces.is_empty()).then(|| purged.sum())
            }
        }
    }

    /// Starts the record of a request.
    pub fn record(&self, arrival: Arrival) -> Record {
        Record::start(
            Arc::clone(&self.process.metrics),
            Arc::clone(&self.process.log),
            self.no_route.clone(),
            arrival,
        )
    }
}

fn entry_name(entry: &Entry, route: &Arc<str>) -> EntryName {
    EntryName {
        plugin: Arc::clone(&entry.policy.identity.plugin),
        policy: Arc::clone(&entry.policy.identity.policy),
        route: Arc::clone(route),
    }
}
