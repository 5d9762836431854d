//! The composition root: a checked configuration becomes an immutable snapshot of routes, chains and
//! upstreams.

mod plugins;

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::chain::Entry;
use crate::config::{Config, OnFault, Problem, Problems};
use crate::observe::{AccessLog, Metrics, Record, RouteMetrics};
use crate::plugin::{Policy, Runtime};
use crate::route::Router;
use crate::upstream::{Timeouts, Upstream};

pub use plugins::{BUNDLED, start_runtime};

/// Everything that requests are served from.
pub struct Gateway {
    pub router: Router,
    /// In the order of the router's indices.
    pub routes: Vec<Route>,
    /// One permit for each request in flight.
    pub requests: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    log: Arc<AccessLog>,
    no_route: RouteMetrics,
}

pub struct Route {
    pub name: Arc<str>,
    pub chain: Vec<Entry>,
    /// Whether any entry has a hook on the way out.
    pub reads_on_way_out: bool,
    pub upstream: Arc<Upstream>,
    pub metrics: RouteMetrics,
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
        let (policies, mut problems) = plugins::load(config, runtime);
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
        let matches = config
            .routes
            .iter()
            .map(|route| (route.name.as_str(), &route.matches));
        let router = match Router::build(matches) {
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
        };
        if !problems.is_empty() {
            return Err(Problems::new(Arc::clone(&config.source), problems));
        }

        let upstreams = upstreams(config);
        let routes = config
            .routes
            .iter()
            .filter_map(|route| {
                let chain = chain(config, route, &policies, &metrics);
                Some(Route {
                    name: route.name.as_str().into(),
                    reads_on_way_out: chain.iter().any(|entry| entry.policy.hooks.on_way_out()),
                    chain,
                    upstream: Arc::clone(upstreams.get(&route.upstream)?),
                    metrics: metrics.route(&route.name),
                })
            })
            .collect();
        Ok(Gateway {
            router,
            routes,
            requests: Arc::new(Semaphore::new(config.runtime.requests)),
            no_route: metrics.route(""),
            metrics,
            log,
        })
    }

    /// Starts the record of a request.
    pub fn record(&self, listener: &Listener, id: &str) -> Record {
        Record::start(
            Arc::clone(&self.metrics),
            Arc::clone(&self.log),
            self.no_route.clone(),
            Arc::clone(&listener.name),
            id.to_owned(),
        )
    }
}

fn upstreams(config: &Config) -> BTreeMap<String, Arc<Upstream>> {
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
        .map(|(name, written)| (name.clone(), upstream(written)))
        .collect()
}

fn chain(
    config: &Config,
    route: &crate::config::Route,
    policies: &BTreeMap<String, Arc<Policy>>,
    metrics: &Metrics,
) -> Vec<Entry> {
    route
        .chain
        .iter()
        .filter_map(|name| {
            let policy = policies.get(name)?;
            Some(Entry {
                policy: Arc::clone(policy),
                fails_open: config.policies.get(name)?.on_fault == OnFault::Open,
                metrics: metrics.entry(&policy.identity.plugin, name, &route.name),
            })
        })
        .collect()
}
