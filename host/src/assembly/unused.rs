//! What a configuration has and no request comes to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::plugins::Loaded;
use crate::config::{Config, KeySource, Problem, RouteEnd, SecretSource};

/// A warning for each policy, plugin, upstream, key set, secret and API that nothing uses: most of all for
/// authorizers, which were meant to protect something.
pub fn unused(config: &Config, loaded: &Loaded) -> Vec<Problem> {
    let links = config.routes.iter().flat_map(|route| &route.chain);
    let in_chains: BTreeSet<&str> = links.map(|link| link.policy.as_str()).collect();
    let of_policies: BTreeSet<&str> = config
        .policies
        .values()
        .map(|policy| policy.plugin.as_str())
        .collect();
    let warn = |section: &str, name: &str, why: String| {
        let place = config.places.get(&format!("{section}.{name}")).copied();
        Problem::new(place, why)
    };

    let mut warnings = Vec::new();
    for policy in config.policies.values() {
        let name = policy.name.as_str();
        if in_chains.contains(name) {
            continue;
        }
        let authorizes = loaded
            .hooks(&policy.plugin)
            .is_some_and(|hooks| hooks.authorizer);
        let why = if authorizes {
            format!("the authorizer `{name}` is in no route's chain, so it protects nothing")
        } else {
            format!("the policy `{name}` is in no route's chain")
        };
        warnings.push(warn("policies", name, why));
    }
    for plugin in config.plugins.values().filter(|plugin| plugin.is_written) {
        if !of_policies.contains(plugin.name.as_str()) {
            let why = format!("no policy uses the plugin `{}`", plugin.name);
            warnings.push(warn("plugins", &plugin.name, why));
        }
    }
    for name in config.upstreams.keys() {
        let ends = |end: &RouteEnd| matches!(end, RouteEnd::Upstream(upstream) if upstream == name);
        let mut fetching = config.plugins.values();
        let used = config.routes.iter().any(|route| ends(&route.end))
            || fetching.any(|plugin| plugin.grant.fetch.contains(name));
        if !used {
            let why = format!("no route and no plugin uses the upstream `{name}`");
            warnings.push(warn("upstreams", name, why));
        }
    }
    for name in config.key_sets.keys() {
        // Which key is the name of a key set is the plugin's to know.
        let mut policies = config.policies.values();
        if !policies.any(|policy| has_text(&policy.config.json, name)) {
            let why = format!("no policy's `config` names the key set `{name}`");
            warnings.push(warn("key-sets", name, why));
        }
    }
    for (name, source) in &config.secrets {
        let mut plugins = config.plugins.values();
        let granted = plugins.any(|plugin| plugin.grant.secrets.contains(name));
        if !granted && !holds_keys(config, source) {
            let why = format!("no plugin is granted the secret `{name}`, and no key set is in it");
            warnings.push(warn("secrets", name, why));
        }
    }
    for path in config.places.keys() {
        let Some(name) = path.strip_prefix("apis.") else {
            continue;
        };
        let mut routes = config.routes.iter();
        if !routes.any(|route| route.api.as_deref() == Some(name)) {
            let why = format!("no route is of the API `{name}`");
            warnings.push(warn("apis", name, why));
        }
    }
    warnings
}

fn holds_keys(config: &Config, secret: &SecretSource) -> bool {
    let mut sets = config.key_sets.values();
    sets.any(|set| matches!(&set.source, KeySource::Secret(source) if source == secret))
}

/// Whether this text is anywhere in a document. Its depth is bounded where it is read.
fn has_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(values) => values.iter().any(|value| has_text(value, text)),
        Value::Object(members) => members.values().any(|value| has_text(value, text)),
        _ => false,
    }
}
