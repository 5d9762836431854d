//! Prometheus metrics. What a request touches is looked up once, when the gateway is built.

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::PluginMetrics;
use crate::error::FaultKind;
use crate::limits::LIMIT_METRIC_NAMES_MAX;

/// Seconds. From a cached answer to a patient client.
const REQUEST_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
/// Seconds. From a warm call to the default wall time.
const PLUGIN_BUCKETS: [f64; 12] = [
    0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteStatus {
    route: String,
    /// `2xx` and so on; `none` where the client left before a head was sent.
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EntryLabel {
    plugin: String,
    policy: String,
    route: String,
    side: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabel {
    plugin: String,
    policy: String,
    route: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabel {
    policy: String,
    route: String,
}

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RouteStatus, Counter>,
    request_seconds: Family<RouteLabel, Histogram>,
    plugin_calls: Family<EntryLabel, Counter>,
    plugin_seconds: Family<EntryLabel, Histogram>,
    plugin_faults: Family<FaultLabel, Counter>,
    decisions_remembered: Family<PolicyLabel, Counter>,
    limit_requests: Family<LimitLabel, Counter>,
    pub cache_hits: Counter,
    pub cache_misses: Counter,
    pub cache_collapsed: Counter,
    pub cache_bytes: Gauge<i64, AtomicI64>,
    pub cache_keys: Gauge<i64, AtomicI64>,
    pub limit_keys: Gauge<i64, AtomicI64>,
    /// What plugins count themselves.
    pub plugins: Arc<PluginMetrics>,
    pub log_lines_dropped: Counter,
    /// Bodies that go through plugins.
    streams: Gauge<i64, AtomicI64>,
    pub connections: Gauge<i64, AtomicI64>,
    pub requests_in_flight: Gauge<i64, AtomicI64>,
    /// 0, [`DRAINING`] or [`CUTTING`].
    pub stopping: Gauge<i64, AtomicI64>,
}

/// No new connections; requests in flight may end.
pub const DRAINING: i64 = 1;
/// The time to drain is over; requests in flight are ended.
pub const CUTTING: i64 = 2;

/// What one route counts.
#[derive(Clone)]
pub struct RouteMetrics {
    /// By the first digit of the status; the first is for none.
    by_class: [Counter; 6],
    seconds: Histogram,
}

/// What one chain entry of one route counts.
#[derive(Clone)]
pub struct EntryMetrics {
    way_in: (Counter, Histogram),
    way_out: (Counter, Histogram),
    /// In the order of [`FaultKind::ALL`].
    faults: [Counter; FaultKind::ALL.len()],
    remembered: Counter,
    limits: Arc<LimitMetrics>,
    streams: Gauge<i64, AtomicI64>,
}

/// A body goes through a plugin, until this is dropped.
pub struct StreamGauge(Gauge<i64, AtomicI64>);

impl Drop for StreamGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What the limits of one chain entry came to, by their names.
struct LimitMetrics {
    family: Family<LimitLabel, Counter>,
    policy: String,
    route: String,
    /// In the order of [`LimitOutcome`].
    by_name: Mutex<HashMap<String, [Counter; 3]>>,
}

/// What one limit said of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOutcome {
    Within,
    /// Over, and only counted.
    Over,
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    policy: String,
    route: String,
    limit: String,
    outcome: &'static str,
}

impl LimitMetrics {
    fn count(&self, limit: &str, outcome: LimitOutcome) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match by_name.contains_key(limit) || by_name.len() < LIMIT_METRIC_NAMES_MAX {
            true => limit,
            false => "other",
        };
        if !by_name.contains_key(name) {
            let counter = |outcome| {
                self.family.get_or_create_owned(&LimitLabel {
                    policy: self.policy.clone(),
                    route: self.route.clone(),
                    limit: name.to_owned(),
                    outcome,
                })
            };
            let counters = ["within", "over", "refused"].map(counter);
            by_name.insert(name.to_owned(), counters);
        }
        if let Some(counters) = by_name.get(name) {
            counters[outcome as usize].inc();
        }
    }
}

impl Metrics {
    pub fn new() -> Arc<Metrics> {
        let mut registry = Registry::with_prefix("tollgate");
        let requests = Family::default();
        registry.register("requests", "Requests answered", requests.clone());
        let request_seconds =
            Family::new_with_constructor((|| Histogram::new(REQUEST_BUCKETS)) as fn() -> Histogram);
        registry.register_with_unit(
            "request_duration",
            "From the request's head to the end of the answer's body",
            Unit::Seconds,
            request_seconds.clone(),
        );
        let plugin_calls = Family::default();
        registry.register(
            "plugin_calls",
            "Visits of a chain entry, and pieces of bodies that go through it",
            plugin_calls.clone(),
        );
        let plugin_seconds =
            Family::new_with_constructor((|| Histogram::new(PLUGIN_BUCKETS)) as fn() -> Histogram);
        registry.register_with_unit(
            "plugin_call_duration",
            "Elapsed time of a visit, with waiting for an instance, or of a piece",
            Unit::Seconds,
            plugin_seconds.clone(),
        );
        let plugin_faults = Family::default();
        registry.register(
            "plugin_faults",
            "Visits, and pieces of bodies, that ended in a fault",
            plugin_faults.clone(),
        );
        let decisions_remembered = Family::default();
        registry.register(
            "decisions_remembered",
            "Decisions of authorizers that were not asked again",
            decisions_remembered.clone(),
        );
        let limit_requests = Family::default();
        registry.register(
            "limit_requests",
            "Requests that a limit judged, by what it said",
            limit_requests.clone(),
        );
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
        let streams = gauge("streams", "Bodies that go through plugins now");
        let plugins = PluginMetrics::register(&mut registry);
        let log_lines_dropped = Counter::default();
        registry.register(
            "access_log_lines_dropped",
            "Access-log lines that found the buffer full",
            log_lines_dropped.clone(),
        );
        let connections = Gauge::default();
        registry.register(
            "connections",
            "Client connections open",
            connections.clone(),
        );
        let requests_in_flight = Gauge::default();
        registry.register(
            "requests_in_flight",
            "Requests that have begun and not ended",
            requests_in_flight.clone(),
        );
        let stopping = Gauge::default();
        registry.register(
            "stopping",
            "0 serving, 1 draining, 2 cutting what is left",
            stopping.clone(),
        );
        Arc::new(Metrics {
            registry,
            stopping,
            requests,
            request_seconds: request_seconds.to_owned(),
            plugin_calls,
            plugin_seconds,
            plugin_faults,
            decisions_remembered,
            limit_requests,
            cache_hits,
            cache_misses,
            cache_collapsed,
            cache_bytes,
            cache_keys,
            limit_keys,
            plugins,
            log_lines_dropped,
            streams,
            connections,
            requests_in_flight,
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
    pub fn route(&self, route: &str) -> RouteMetrics {
        let class = |status| {
            let label = RouteStatus {
                route: route.to_owned(),
                status,
            };
            self.requests.get_or_create_owned(&label)
        };
        RouteMetrics {
            by_class: ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: self.request_seconds.get_or_create_owned(&RouteLabel {
                route: route.to_owned(),
            }),
        }
    }

    pub fn entry(&self, plugin: &str, policy: &str, route: &str) -> EntryMetrics {
        let side = |side| {
            let label = EntryLabel {
                plugin: plugin.to_owned(),
                policy: policy.to_owned(),
                route: route.to_owned(),
                side,
            };
            (
                self.plugin_calls.get_or_create_owned(&label),
                self.plugin_seconds.get_or_create_owned(&label),
            )
        };
        let fault = |kind: FaultKind| {
            self.plugin_faults.get_or_create_owned(&FaultLabel {
                plugin: plugin.to_owned(),
                policy: policy.to_owned(),
                route: route.to_owned(),
                kind: kind.label(),
            })
        };
        EntryMetrics {
            way_in: side("in"),
            way_out: side("out"),
            faults: FaultKind::ALL.map(fault),
            limits: Arc::new(LimitMetrics {
                family: self.limit_requests.clone(),
                policy: policy.to_owned(),
                route: route.to_owned(),
                by_name: Mutex::default(),
            }),
            streams: self.streams.clone(),
            remembered: self.decisions_remembered.get_or_create_owned(&PolicyLabel {
                policy: policy.to_owned(),
                route: route.to_owned(),
            }),
        }
    }
}

impl RouteMetrics {
    pub fn count(&self, status: u16, seconds: f64) {
        let class = usize::from(status / 100).min(5);
        self.by_class[class].inc();
        self.seconds.observe(seconds);
    }
}

impl EntryMetrics {
    /// Counts what a limit said of a request.
    pub fn count_limit(&self, limit: &str, outcome: LimitOutcome) {
        self.limits.count(limit, outcome);
    }

    /// Counts a body that goes through the plugin.
    pub fn open_stream(&self) -> StreamGauge {
        self.streams.inc();
        StreamGauge(self.streams.clone())
    }

    /// Counts a decision that was remembered.
    pub fn count_remembered(&self) {
        self.remembered.inc();
    }

    pub fn count(&self, side: super::Side, seconds: f64, fault: Option<FaultKind>) {
        let (calls, histogram) = match side {
            super::Side::In => &self.way_in,
            super::Side::Out => &self.way_out,
        };
        calls.inc();
        histogram.observe(seconds);
        if let Some(fault) = fault
            && let Some(index) = FaultKind::ALL.iter().position(|kind| *kind == fault)
        {
            self.faults[index].inc();
        }
    }
}
