//! What a running process cannot change about itself.

use crate::config::{Admin, Config, Listener, Problem, Runtime, Store};

/// A warning for each key of a new configuration that counts only from the next start of the process:
/// the rest is taken over, and these stay as the process began with them.
pub fn next_start(started: &Config, new: &Config) -> Vec<Problem> {
    // All keys are named, so that a new one is either told of here or taken over by a reload.
    let Runtime {
        workers,
        plugin_cache,
        connections,
        requests,
        plugin_calls,
        bodies,
        page_scan,
        drain: _,
        watch: _,
    } = &started.runtime;
    let Store {
        cache,
        cache_entry,
        decisions,
        kv,
        limit_keys,
    } = &started.store;
    let Admin {
        address,
        position: _,
    } = &started.admin;
    let (is, keeps) = (&new.runtime, &new.store);
    let changed = [
        ("runtime.workers", *workers != is.workers),
        ("runtime.connections", *connections != is.connections),
        ("runtime.requests", *requests != is.requests),
        ("runtime.plugin-calls", *plugin_calls != is.plugin_calls),
        ("runtime.bodies", *bodies != is.bodies),
        ("runtime.plugin-cache", *plugin_cache != is.plugin_cache),
        ("runtime.page-scan", *page_scan != is.page_scan),
        ("admin.address", *address != new.admin.address),
        ("store.cache", *cache != keeps.cache),
        ("store.cache-entry", *cache_entry != keeps.cache_entry),
        ("store.decisions", *decisions != keeps.decisions),
        ("store.kv", *kv != keeps.kv),
        ("store.limit-keys", *limit_keys != keeps.limit_keys),
    ];
    let changed = changed.iter().filter(|(_, changed)| *changed);
    let mut warnings: Vec<Problem> = changed
        .map(|(key, _)| {
            warning(
                new,
                key,
                &format!("`{key}` takes effect only after a restart"),
            )
        })
        .collect();
    warnings.extend(listeners(started, new));
    warnings
}

fn listeners(started: &Config, new: &Config) -> Vec<Problem> {
    let of = |config: &Config, name: &str| -> Option<Listener> {
        let mut all = config.listeners.iter();
        all.find(|listener| listener.name == name).cloned()
    };
    let mut warnings = Vec::new();
    for listener in &started.listeners {
        let section = format!("listeners.{}", listener.name);
        match of(new, &listener.name) {
            None => {
                let text = format!("`{section}` is gone, and listens until the restart");
                warnings.push(warning(new, &section, &text));
            }
            Some(now) if now.address != listener.address => {
                let key = format!("{section}.address");
                let text = format!("`{key}` takes effect only after a restart");
                warnings.push(warning(new, &key, &text));
            }
            Some(_) => {}
        }
    }
    for listener in &new.listeners {
        if of(started, &listener.name).is_none() {
            let section = format!("listeners.{}", listener.name);
            let text = format!("`{section}` is new, and listens only after a restart");
            warnings.push(warning(new, &section, &text));
        }
    }
    warnings
}

/// At the key's place in the file, if it is there.
fn warning(new: &Config, key: &str, text: &str) -> Problem {
    Problem::new(new.places.get(key).copied(), text)
}
