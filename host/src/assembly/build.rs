//! A gateway, built from a configuration and what of the one before it is as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::namespaces::Namespaces;
use super::plugins::Loaded;
use super::upstreams::Upstreams;
use super::{Assembly, Counted, Memories, Process, Progress, key_sets, plugins};
use crate::chain::Entry;
use crate::config::{Config, OnFault, Problem, Problems, RouteEnd, StaticReply};
use crate::gateway::{Destination, Gateway, Listener, Route};
use crate::http::exchange::ResponseHead;
use crate::limits;
use crate::limits::decisions::REMEMBER_MAX;
use crate::observe::{EntryName, Metrics};
use crate::plugin::Policy;
use crate::policy::decisions::Memory;
use crate::route::Router;

impl Assembly {
    /// Builds everything that a configuration names; plugins load in parallel. What is as it was in the
    /// previous gateway is taken over from it.
    ///
    /// # Errors
    /// Everything that keeps a plugin or a policy from loading, at its place in the file.
    pub fn build(
        config: &Config,
        process: &Arc<Process>,
        previous: Option<&Assembly>,
        progress: &Progress,
    ) -> Result<Assembly, Problems> {
        let (key_sets, mut problems) = key_sets::load(config, previous.map(|it| &it.key_sets));
        let asked = config.upstreams.values().filter(|upstream| {
            let mut plugins = config.plugins.values();
            plugins.any(|plugin| plugin.grant.fetch.contains(&upstream.name))
        });
        let fetched = Upstreams::new(
            asked,
            previous.map(|it| &it.fetched),
            &process.fetched_servers,
        );
        let shared = plugins::Shared {
            key_sets: &key_sets,
            process,
            upstreams: &fetched,
        };
        let (loaded, found) =
            plugins::load(config, &shared, previous.map(|it| &it.loaded), progress);
        problems.extend(found);
        let policies = &loaded.policies;
        problems.extend(open_authorizers(config, &loaded));
        let router = router(config, &mut problems);
        if !problems.is_empty() {
            return Err(Problems::new(Arc::clone(&config.source), problems));
        }

        let namespaces = Namespaces::of(config, policies);
        let upstreams = Upstreams::new(
            config.upstreams.values(),
            previous.map(|it| &it.upstreams),
            &process.servers,
        );
        let memories = memories(config, policies, process, previous);
        let built = Built {
            namespaces: &namespaces,
            policies,
            memories: &memories,
            upstreams: &upstreams,
            metrics: &process.metrics,
        };
        let routes = config
            .routes
            .iter()
            .filter_map(|route| built.route(config, route).map(Arc::new))
            .collect();
        let gateway = Gateway {
            router,
            routes,
            mechanisms: process.mechanisms.clone(),
            requests: Arc::clone(&process.requests),
            listeners: listeners(config, process, previous),
            no_route: process.metrics.route(&"".into()),
            metrics: Arc::clone(&process.metrics),
            log: Arc::clone(&process.log),
        };
        Ok(Assembly {
            gateway: Arc::new(gateway),
            drain: config.runtime.drain,
            loaded,
            memories,
            key_sets,
            namespaces,
            upstreams,
            fetched,
            source: Arc::clone(&config.source),
            process: Arc::clone(process),
            _counted: Counted::new(&process.metrics),
        })
    }
}

/// What is now true of the listeners that the process has.
fn listeners(
    config: &Config,
    process: &Process,
    previous: Option<&Assembly>,
) -> Vec<Arc<Listener>> {
    let names = process.listeners.iter().enumerate();
    let listener = |(socket, name): (usize, &Arc<str>)| {
        let mut written = config.listeners.iter();
        let written = written.find(|listener| *listener.name == **name);
        match (written, previous) {
            // One that is no longer written listens on, as it was.
            (None, Some(previous)) => Arc::clone(previous.gateway.listener(socket)),
            (written, _) => Arc::new(Listener {
                name: Arc::clone(name),
                trusted_proxies: written
                    .map(|listener| listener.trusted_proxies.clone())
                    .unwrap_or_default(),
                least_pace: written.map_or(limits::client::LEAST_PACE_DEFAULT, |listener| {
                    listener.least_pace
                }),
                half_closed: written.map_or(limits::client::HALF_CLOSED_DEFAULT, |listener| {
                    listener.half_closed
                }),
            }),
        }
    };
    names.map(listener).collect()
}

/// Authorizers that would let everyone in when they fault.
fn open_authorizers(config: &Config, loaded: &Loaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    for policy in config.policies.values() {
        // Of a policy that did not load too.
        let hooks = loaded.hooks(&policy.plugin);
        let authorizes = hooks.is_some_and(|hooks| hooks.authorizer);
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
                let position = |route: usize| config.routes.get(route).map(|it| it.position);
                Problem::new(position(conflict.second), conflict.message)
                    .with_other(position(conflict.first))
            }));
            Router::default()
        }
    }
}

/// A memory for each policy that authorizes. One that was loaded anew has a new one, so that nothing
/// outlives the plugin and the configuration that it was decided by.
fn memories(
    config: &Config,
    policies: &BTreeMap<String, Arc<Policy>>,
    process: &Process,
    previous: Option<&Assembly>,
) -> Memories {
    let at_most = |name: &str| {
        let written = config.policies.get(name);
        written.map_or(REMEMBER_MAX, |policy| policy.remember_at_most)
    };
    // What was remembered for longer than is now allowed is forgotten.
    let before = |name: &str, policy: &Arc<Policy>| {
        let previous = previous.filter(|previous| previous.loaded.has(policy))?;
        let memory = previous.memories.get(name)?;
        memory
            .is_bounded_by(at_most(name))
            .then(|| Arc::clone(memory))
    };
    policies
        .iter()
        .filter(|(_, policy)| policy.hooks.authorizer)
        .map(|(name, policy)| {
            let policy_name = name.as_str().into();
            let new = || Arc::new(Memory::new(&process.decisions, policy_name, at_most(name)));
            (name.clone(), before(name, policy).unwrap_or_else(new))
        })
        .collect()
}

/// What routes are put together from.
struct Built<'m> {
    namespaces: &'m Namespaces,
    policies: &'m BTreeMap<String, Arc<Policy>>,
    memories: &'m Memories,
    upstreams: &'m Upstreams,
    metrics: &'m Metrics,
}

impl Built<'_> {
    fn route(&self, config: &Config, route: &crate::config::Route) -> Option<Route> {
        let name: Arc<str> = route.name.as_str().into();
        let mut chain: Vec<Entry> = route
            .chain
            .iter()
            .enumerate()
            .filter_map(|(index, link)| self.entry(config, route, &name, index, link))
            .collect();
        let mut edited_inside = false;
        for entry in chain.iter_mut().rev() {
            edited_inside |= entry.policy.hooks.request_transformer;
            entry.edited_inside = edited_inside;
        }
        let destination = match &route.end {
            RouteEnd::Upstream(name) => Destination::Upstream(self.upstreams.get(name)?),
            RouteEnd::Respond(reply) => respond(reply),
        };
        Some(Route {
            variables: Arc::clone(&route.variables),
            takes_options: route.matches.methods.contains(&Method::OPTIONS),
            methods: route.matches.methods.clone(),
            reads_on_way_out: chain.iter().any(|entry| entry.policy.hooks.on_way_out()),
            reads_responses: chain.iter().any(|entry| entry.policy.reads_responses()),
            chain,
            destination,
            metrics: self.metrics.route(&name),
            name,
        })
    }

    fn entry(
        &self,
        config: &Config,
        route: &crate::config::Route,
        name: &Arc<str>,
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
            namespace: self.namespaces.of_entry(self.policies, route, index, link),
            // Known once all of the chain is.
            edited_inside: false,
            metrics: Arc::new(self.metrics.entry(&EntryName {
                plugin: Arc::clone(&policy.identity.plugin),
                policy: Arc::clone(&policy.identity.policy),
                route: Arc::clone(name),
            })),
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
