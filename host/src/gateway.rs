//! The composition root: a checked configuration becomes an immutable snapshot of routes, chains and
//! upstreams.

mod key_sets;
mod namespaces;
mod plugins;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::chain::{Decided, Entry, Mechanisms};
use crate::config::{Config, OnFault, Problem, Problems, RouteEnd, StaticReply};
use crate::http::exchange::ResponseHead;
use crate::limits;
use crate::observe::{AccessLog, Metrics, Record, RouteMetrics};
use crate::plugin::{Policy, Runtime};
pub use crate::policy::cache::PurgeKey;
use crate::policy::cache::{Cache, SetCookie, Settings};
use crate::policy::decisions::{Decisions, Memory};
use crate::policy::key_sets::KeySets;
use crate::policy::limit::{Limiter, Now};
use crate::route::Router;
use crate::store::memory::Kv;
use crate::upstream::{Timeouts, Upstream};

use namespaces::Namespaces;
pub use plugins::{BUNDLED, start_runtime};

/// Everything that requests are served from.
pub struct Gateway {
    pub router: Router,
    /// In the order of the router's indices.
    pub routes: Vec<Arc<Route>>,
    pub mechanisms: Mechanisms,
    key_sets: Arc<KeySets>,
    namespaces: Namespaces,
    /// One permit for each request in flight.
    pub requests: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    log: Arc<AccessLog>,
    no_route: RouteMetrics,
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
}

impl Gateway {
    /// Builds everything that a configuration names; plugins load in parallel.
    ///
    /// # Errors
    /// Everything that keeps a plugin or a policy from loading, at its place in the file.
    pub fn build(
        config: &Config,
        runtime: &Arc<Runtime>,
        metrics: Arc<Metrics>,
        log: Arc<AccessLog>,
    ) -> Result<Gateway, Problems> {
        let (key_sets, mut problems) = key_sets::load(config);
        let fetched = upstreams(config, |name| {
            config
                .plugins
                .values()
                .any(|plugin| plugin.grant.fetch.contains(name))
        });
        let shared = plugins::Shared {
            key_sets: Arc::clone(&key_sets),
            kv: Kv::new(config.store.kv),
            metrics: Arc::clone(&metrics.plugins),
            waiting: Arc::new(Semaphore::new(limits::waiting_calls(
                config.runtime.plugin_calls,
            ))),
            streaming: Arc::new(Semaphore::new(limits::streaming_calls(
                config.runtime.plugin_calls,
            ))),
            upstreams: fetched,
        };
        let (policies, found) = plugins::load(config, runtime, &shared);
        problems.extend(found);
        problems.extend(open_authorizers(config, &policies));
        let router = router(config, &mut problems);
        if !problems.is_empty() {
            return Err(Problems::new(Arc::clone(&config.source), problems));
        }

        let cache = Cache::new(Settings {
            bytes_max: config.store.cache,
            entry_bytes_max: config.store.cache_entry,
            set_cookie: SetCookie::Shared,
        });
        let decisions = Decisions::new(config.store.decisions);
        let namespaces = Namespaces::of(config, &policies);
        let built = Built {
            namespaces: &namespaces,
            memories: memories(&policies, &decisions),
            policies,
            upstreams: upstreams(config, |_| true),
            metrics: &metrics,
        };
        let routes = config
            .routes
            .iter()
            .filter_map(|route| built.route(config, route).map(Arc::new))
            .collect();
        Ok(Gateway {
            router,
            routes,
            mechanisms: Mechanisms {
                limiter: Arc::new(Limiter::new(config.store.limit_keys)),
                cache,
            },
            key_sets,
            namespaces,
            requests: Arc::new(Semaphore::new(config.runtime.requests)),
            no_route: metrics.route(""),
            metrics,
            log,
        })
    }

    /// What goes on beside requests, for as long as the gateway serves.
    pub async fn tend(&self) {
        let limiter = Arc::clone(&self.mechanisms.limiter);
        let sweep = async {
            let mut interval = tokio::time::interval(limits::LIMIT_SWEEP);
            loop {
                interval.tick().await;
                limiter.sweep(Now::read());
            }
        };
        tokio::join!(sweep, Arc::clone(&self.key_sets).run());
    }

    /// Brings the metrics up to date that are read from the mechanisms.
    pub fn measure(&self) {
        let cache = self.mechanisms.cache.stats();
        self.metrics
            .cache_hits
            .inner()
            .store(cache.hits, Ordering::Relaxed);
        self.metrics
            .cache_misses
            .inner()
            .store(cache.misses, Ordering::Relaxed);
        self.metrics
            .cache_collapsed
            .inner()
            .store(cache.collapsed, Ordering::Relaxed);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.cache_bytes.set(gauge(cache.bytes));
        self.metrics.cache_keys.set(gauge(cache.entries));
        let keys = self.mechanisms.limiter.keys();
        self.metrics.limit_keys.set(gauge(keys as u64));
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
    pub fn record(&self, listener: Arc<str>, id: &str) -> Record {
        Record::start(
            Arc::clone(&self.metrics),
            Arc::clone(&self.log),
            self.no_route.clone(),
            listener,
            id.to_owned(),
        )
    }
}

/// Authorizers that would let everyone in when they fault.
fn open_authorizers(config: &Config, policies: &BTreeMap<String, Arc<Policy>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for policy in config.policies.values() {
        let authorizes = policies
            .get(&policy.name)
            .is_some_and(|loaded| loaded.hooks.authorizer);
        if authorizes && policy.on_fault == OnFault::Open {
            problems.push(
                Problem::new(
                    policy.on_fault_position.or(Some(policy.position)),
                    format!(
                        "policy `{}` is an authorizer and cannot fail open",
                        policy.name
                    ),
                )
                .with_help("remove `on-fault = \"open\"`: a fault would let everyone in"),
            );
        }
    }
    problems
}

fn router(config: &Config, problems: &mut Vec<Problem>) -> Router {
    let matches = config
        .routes
        .iter()
        .map(|route| (route.name.as_str(), &route.matches));
    match Router::build(matches) {
        Ok(router) => router,
        Err(conflicts) => {
            problems.extend(conflicts.into_iter().map(|conflict| {
                let position = config
                    .routes
                    .get(conflict.second)
                    .map(|route| route.position);
                Problem::new(position, conflict.message)
            }));
            Router::default()
        }
    }
}

/// The upstreams that are wanted, each with connections of its own.
fn upstreams(config: &Config, wanted: impl Fn(&String) -> bool) -> BTreeMap<String, Arc<Upstream>> {
    let upstream = |upstream: &crate::config::Upstream| {
        let servers = upstream
            .servers
            .iter()
            .map(|server| (server.authority.clone(), server.weight));
        let timeouts = Timeouts {
            connect: upstream.timeouts.connect,
            first_byte: upstream.timeouts.first_byte,
            total: upstream.timeouts.total,
        };
        Arc::new(Upstream::new(
            upstream.name.as_str().into(),
            servers,
            timeouts,
        ))
    };
    config
        .upstreams
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, written)| (name.clone(), upstream(written)))
        .collect()
}

/// A memory for each policy that authorizes. A new gateway has new ones, so that nothing outlives the
/// plugin and the configuration that it was decided by.
fn memories(
    policies: &BTreeMap<String, Arc<Policy>>,
    decisions: &Arc<Decisions<Decided>>,
) -> BTreeMap<String, Arc<Memory<Decided>>> {
    policies
        .iter()
        .filter(|(_, policy)| policy.hooks.authorizer)
        .map(|(name, _)| {
            let memory = Memory::new(decisions, name.as_str().into());
            (name.clone(), Arc::new(memory))
        })
        .collect()
}

/// What routes are put together from.
struct Built<'m> {
    namespaces: &'m Namespaces,
    policies: BTreeMap<String, Arc<Policy>>,
    memories: BTreeMap<String, Arc<Memory<Decided>>>,
    upstreams: BTreeMap<String, Arc<Upstream>>,
    metrics: &'m Metrics,
}

impl Built<'_> {
    fn route(&self, config: &Config, route: &crate::config::Route) -> Option<Route> {
        let chain: Vec<Entry> = route
            .chain
            .iter()
            .enumerate()
            .filter_map(|(index, link)| self.entry(config, route, index, link))
            .collect();
        let destination = match &route.end {
            RouteEnd::Upstream(name) => {
                Destination::Upstream(Arc::clone(self.upstreams.get(name)?))
            }
            RouteEnd::Respond(reply) => respond(reply),
        };
        Some(Route {
            name: route.name.as_str().into(),
            variables: Arc::clone(&route.variables),
            takes_options: route.matches.methods.contains(&Method::OPTIONS),
            methods: route.matches.methods.clone(),
            reads_on_way_out: chain.iter().any(|entry| entry.policy.hooks.on_way_out()),
            reads_responses: chain.iter().any(|entry| entry.policy.reads_responses()),
            chain,
            destination,
            metrics: self.metrics.route(&route.name),
        })
    }

    fn entry(
        &self,
        config: &Config,
        route: &crate::config::Route,
        index: usize,
        link: &crate::config::Link,
    ) -> Option<Entry> {
        let policy = self.policies.get(&link.policy)?;
        Some(Entry {
            policy: Arc::clone(policy),
            when: link.when.clone(),
            place: link.entry.as_str().into(),
            fails_open: config.policies.get(&link.policy)?.on_fault == OnFault::Open,
            memory: self.memories.get(&link.policy).cloned(),
            namespace: self.namespaces.of_entry(route, index, link),
            metrics: Arc::new(self.metrics.entry(
                &policy.identity.plugin,
                &link.policy,
                &route.name,
            )),
        })
    }
}

fn respond(reply: &StaticReply) -> Destination {
    let mut headers = HeaderMap::new();
    for (name, value) in &reply.headers {
        headers.append(name, value.clone());
    }
    let head = ResponseHead {
        // The configuration was checked.
        status: StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        headers,
    };
    Destination::Respond(head, Bytes::from(reply.body.clone()))
}
