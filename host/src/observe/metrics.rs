//! Prometheus metrics. What a request touches is looked up once, when the gateway is built.

mod entries;
mod routes;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::PluginMetrics;
use entries::Entries;
use routes::Routes;

pub use entries::{EntryMetrics, EntryName, LimitOutcome, StreamGauge};
pub use routes::RouteMetrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabel {
    outcome: &'static str,
}

/// What came of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    Applied,
    /// Something is wrong with the new configuration, and the old one stays.
    Refused,
    /// Everything is as it was.
    Unchanged,
}

impl Reloaded {
    fn label(self) -> ReloadLabel {
        let outcome = match self {
            Reloaded::Applied => "applied",
            Reloaded::Refused => "refused",
            Reloaded::Unchanged => "unchanged",
        };
        ReloadLabel { outcome }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabel {
    plugin: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabel {
    plugin: String,
}

/// How the instances of a plugin stand.
#[derive(Debug, Clone, Copy, Default)]
pub struct PluginInstances {
    pub at_work: usize,
    /// For their next call.
    pub waiting: usize,
    /// Calls that wait for an instance.
    pub calls_waiting: usize,
}

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    routes: Routes,
    entries: Entries,
    pub cache_hits: Counter,
    pub cache_misses: Counter,
    pub cache_collapsed: Counter,
    pub cache_bytes: Gauge<i64, AtomicI64>,
    pub cache_keys: Gauge<i64, AtomicI64>,
    pub limit_keys: Gauge<i64, AtomicI64>,
    pub held_bodies: Gauge<i64, AtomicI64>,
    /// What plugins count themselves.
    pub plugins: Arc<PluginMetrics>,
    pub access_log_lines_lost: Counter,
    pub connections: Gauge<i64, AtomicI64>,
    pub requests_in_flight: Gauge<i64, AtomicI64>,
    /// 0, [`DRAINING`] or [`CUTTING`].
    pub stopping: Gauge<i64, AtomicI64>,
    reloads: Family<ReloadLabel, Counter>,
    /// Snapshots of a configuration that some request may still be using.
    pub gateways: Gauge<i64, AtomicI64>,
    pub instances: Gauge<i64, AtomicI64>,
    plugin_instances: Family<InstanceLabel, Gauge<i64, AtomicI64>>,
    calls_waiting: Family<PluginLabel, Gauge<i64, AtomicI64>>,
}

/// No new connections; requests in flight may end.
pub const DRAINING: i64 = 1;
/// The time to drain is over; requests in flight are ended.
pub const CUTTING: i64 = 2;

impl Metrics {
    /// `log_lines_lost` are those of the gateway's own log, which begins before.
    pub fn new(log_lines_lost: Counter) -> Arc<Metrics> {
        let mut registry = Registry::with_prefix("tollgate");
        let routes = Routes::register(&mut registry);
        let entries = Entries::register(&mut registry);
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let cache_hits = counter("cache_hits", "Requests answered from the cache");
        let cache_misses = counter("cache_misses", "Requests that the cache went inwards for");
        let cache_collapsed = counter(
            "cache_collapsed",
            "Requests answered by the fetch of another",
        );
        let access_log_lines_lost = counter(
            "access_log_lines_dropped",
            "Lines of the access log that could not be written",
        );
        registry.register(
            "log_lines_dropped",
            "Lines of the log on standard error that could not be written",
            log_lines_lost,
        );
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let cache_bytes = gauge("cache_stored_bytes", "What the cache holds, in bytes");
        let cache_keys = gauge(
            "cache_keys",
            "Keys that the cache has something stored under",
        );
        let limit_keys = gauge("limit_keys", "Counters of limits that are kept");
        let held_bodies = gauge(
            "held_body_bytes",
            "What is held of bodies for plugins, in bytes",
        );
        let connections = gauge("connections", "Client connections open");
        let requests_in_flight = gauge(
            "requests_in_flight",
            "Requests that have begun and not ended",
        );
        let stopping = gauge("stopping", "0 serving, 1 draining, 2 cutting what is left");
        let gateways = gauge(
            "gateways",
            "Configurations in use: the current one, and those that requests began with",
        );
        let instances = gauge("instances", "Plugin instances, at work or waiting");
        let plugin_instances = Family::default();
        registry.register(
            "plugin_instances",
            "Instances of a plugin, at work or waiting for a call",
            plugin_instances.clone(),
        );
        let calls_waiting = Family::default();
        registry.register(
            "plugin_calls_waiting",
            "Calls of a plugin that wait for an instance",
            calls_waiting.clone(),
        );
        let reloads = Family::default();
        registry.register("reloads", "Reloads, by what came of them", reloads.clone());
        for outcome in [Reloaded::Applied, Reloaded::Refused, Reloaded::Unchanged] {
            // So that there is a zero before the first.
            drop(reloads.get_or_create(&outcome.label()));
        }
        let plugins = PluginMetrics::register(&mut registry);
        Arc::new(Metrics {
            registry,
            routes,
            entries,
            cache_hits,
            cache_misses,
            cache_collapsed,
            cache_bytes,
            cache_keys,
            limit_keys,
            held_bodies,
            plugins,
            access_log_lines_lost,
            connections,
            requests_in_flight,
            stopping,
            reloads,
            gateways,
            instances,
            plugin_instances,
            calls_waiting,
        })
    }

    /// The exposition in OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// The counters of a route; requests without one count under the empty name.
    pub fn route(&self, route: &Arc<str>) -> RouteMetrics {
        self.routes.route(route)
    }

    pub fn entry(&self, name: &EntryName) -> EntryMetrics {
        self.entries.entry(name)
    }

    /// Tells how the instances of each plugin stand now.
    pub fn set_instances(&self, plugins: impl Iterator<Item = (String, PluginInstances)>) {
        self.plugin_instances.clear();
        self.calls_waiting.clear();
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (plugin, now) in plugins {
            for (state, count) in [("at-work", now.at_work), ("waiting", now.waiting)] {
                let label = InstanceLabel {
                    plugin: plugin.clone(),
                    state,
                };
                let instances = self.plugin_instances.get_or_create_owned(&label);
                instances.set(gauge(count));
            }
            let waiting = self
                .calls_waiting
                .get_or_create_owned(&PluginLabel { plugin });
            waiting.set(gauge(now.calls_waiting));
        }
    }

    pub fn count_reload(&self, outcome: Reloaded) {
        self.reloads.get_or_create(&outcome.label()).inc();
    }

    /// Ends the series of all routes and entries but these, and of plugins that are in none of them: a
    /// process that is reloaded for months must not keep those of everything that it ever served.
    pub fn keep(&self, routes: &HashSet<Arc<str>>, entries: &HashSet<EntryName>) {
        self.routes.keep(routes);
        self.entries.keep(entries);
        let plugins: HashSet<&str> = entries.iter().map(|entry| &*entry.plugin).collect();
        self.plugins.keep(|plugin| plugins.contains(plugin));
    }
}
