//! What of the cache belongs together.
//!
//! A response is what the entries inside a cache entry and the route's end made of a request. So two
//! routes share what one policy cached only where nothing is inside and the upstream is the same; else a
//! page that is trimmed for some callers could be served to them from the route that does not trim it.
//! For the same reason what was stored is left behind by a reload that changes the policy, or what is
//! inside it: the namespace then has another name.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::config::{Config, Link, Route, RouteEnd};
use crate::plugin::Policy;

type Policies = BTreeMap<String, Arc<Policy>>;

/// The namespaces that the cache has, by policy.
pub struct Namespaces {
    by_policy: BTreeMap<String, Arc<[Arc<str>]>>,
}

impl Namespaces {
    pub fn of(config: &Config, policies: &Policies) -> Self {
        let mut by_policy: BTreeMap<String, BTreeSet<Arc<str>>> = BTreeMap::new();
        for route in &config.routes {
            for (index, link) in route.chain.iter().enumerate() {
                let caches = policies
                    .get(&link.policy)
                    .is_some_and(|policy| policy.hooks.cache_lookup);
                if caches {
                    let all = by_policy.entry(link.policy.clone()).or_default();
                    all.insert(namespace(policies, route, index, link));
                }
            }
        }
        let all = |all: BTreeSet<_>| all.into_iter().collect();
        Namespaces {
            by_policy: by_policy
                .into_iter()
                .map(|(policy, of_it)| (policy, all(of_it)))
                .collect(),
        }
    }

    /// Where an entry's responses are, and where other routes have the same policy's: what an unsafe
    /// request on one route makes obsolete may be there.
    pub fn of_entry(
        &self,
        policies: &Policies,
        route: &Route,
        index: usize,
        link: &Link,
    ) -> crate::chain::Namespace {
        crate::chain::Namespace {
            own: namespace(policies, route, index, link),
            all: self.of_policy(&link.policy),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_policy.values().flat_map(|of_it| of_it.iter())
    }

    pub fn of_policy(&self, policy: &str) -> Arc<[Arc<str>]> {
        self.by_policy.get(policy).cloned().unwrap_or_default()
    }
}

/// The policy with its upstream, if nothing else stands inside the entry. Plugins may read the route's
/// name, its variables and parameters, so what passed one of them is the route's own.
///
/// A policy that was loaded anew has another number. What an upstream of one name answers is the same
/// whichever servers it has: they are replaced with every deployment.
fn namespace(policies: &Policies, route: &Route, index: usize, link: &Link) -> Arc<str> {
    // All of a route is named: what makes its answers others must be in the name of where they are kept.
    let Route {
        name: route_name,
        chain,
        variables,
        end,
        // Which requests are the route's; the key of what is kept has the request.
        api: _,
        matches: _,
        position: _,
    } = route;
    let number = |link: &Link| policies.get(&link.policy).map(|policy| policy.number);
    let (policy, own) = (&link.policy, number(link).unwrap_or_default());
    let inside = &chain[index + 1..];
    if let (RouteEnd::Upstream(name), []) = (end, inside) {
        return format!("{policy} {own} upstream {name}").into();
    }
    let mut hasher = DefaultHasher::new();
    for link in inside {
        number(link).hash(&mut hasher);
        format!("{:?}", link.when).hash(&mut hasher);
    }
    variables.hash(&mut hasher);
    format!("{end:?}").hash(&mut hasher);
    format!("{policy} {own} route {route_name} {:x}", hasher.finish()).into()
}
