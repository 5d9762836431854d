//! What chain entries count, by plugin, policy and route.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::error::FaultKind;
use crate::http::side::Side;
use crate::limits::metrics::LIMIT_METRIC_NAMES_MAX;

/// Seconds. From a warm call to the default wall time.
const PLUGIN_BUCKETS: [f64; 12] = [
    0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0,
];

const SIDES: [&str; 2] = ["in", "out"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EntryLabel {
    plugin: String,
    policy: String,
    route: String,
    side: &'static str,
}

/// Seconds. From one tick of the clock, below which nothing is known, to the longest budget.
const CPU_BUCKETS: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabel {
    plugin: String,
    policy: String,
    route: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabel {
    plugin: String,
    policy: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabel {
    policy: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    policy: String,
    route: String,
    limit: String,
    outcome: &'static str,
}

/// What tells the series of an entry from those of others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryName {
    pub plugin: Arc<str>,
    pub policy: Arc<str>,
    pub route: Arc<str>,
}

/// The series of all entries.
pub(super) struct Entries {
    calls: Family<EntryLabel, Counter>,
    seconds: Family<EntryLabel, Histogram>,
    faults: Family<FaultLabel, Counter>,
    remembered: Family<PolicyLabel, Counter>,
    not_remembered: Family<PolicyLabel, Counter>,
    limits: Family<LimitLabel, Counter>,
    cpu: Family<UseLabel, Histogram>,
    memory: Family<UseLabel, Gauge<i64, AtomicI64>>,
    /// Bodies that go through plugins, of all entries.
    streams: Gauge<i64, AtomicI64>,
    known: Mutex<HashMap<EntryName, EntryMetrics>>,
}

/// What one chain entry of one route counts.
#[derive(Clone)]
pub struct EntryMetrics {
    way_in: (Counter, Histogram),
    way_out: (Counter, Histogram),
    /// In the order of [`FaultKind::ALL`].
    faults: [Counter; FaultKind::ALL.len()],
    remembered: Counter,
    not_remembered: Counter,
    limits: Arc<LimitMetrics>,
    streams: Gauge<i64, AtomicI64>,
    cpu: Histogram,
    memory: Gauge<i64, AtomicI64>,
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

/// In the order of [`LimitOutcome`].
const LIMIT_OUTCOMES: [&str; 3] = ["within", "over", "refused"];

impl Entries {
    pub fn register(registry: &mut Registry) -> Self {
        let entries = Entries {
            calls: Family::default(),
            seconds: Family::new_with_constructor(
                (|| Histogram::new(PLUGIN_BUCKETS)) as fn() -> Histogram,
            ),
            faults: Family::default(),
            remembered: Family::default(),
            not_remembered: Family::default(),
            limits: Family::default(),
            cpu: Family::new_with_constructor(
                (|| Histogram::new(CPU_BUCKETS)) as fn() -> Histogram,
            ),
            memory: Family::default(),
            streams: Gauge::default(),
            known: Mutex::default(),
        };
        registry.register(
            "plugin_calls",
            "Visits of a chain entry, and pieces of bodies that go through it",
            entries.calls.clone(),
        );
        registry.register_with_unit(
            "plugin_call_duration",
            "Elapsed time of a visit, with waiting for an instance, or of a piece",
            Unit::Seconds,
            entries.seconds.clone(),
        );
        registry.register(
            "plugin_faults",
            "Visits, and pieces of bodies, that ended in a fault",
            entries.faults.clone(),
        );
        registry.register(
            "decisions_remembered",
            "Decisions of authorizers that were not asked again",
            entries.remembered.clone(),
        );
        registry.register(
            "decisions_not_remembered",
            "Decisions of authorizers that asked to be remembered in vain",
            entries.not_remembered.clone(),
        );
        registry.register(
            "limit_requests",
            "Requests that a limit judged, by what it said",
            entries.limits.clone(),
        );
        registry.register_with_unit(
            "plugin_cpu",
            "Processor time of visits that were long enough for a tick of the clock to be seen",
            Unit::Seconds,
            entries.cpu.clone(),
        );
        registry.register_with_unit(
            "plugin_memory_high_water",
            "The most linear memory that an instance had in a visit",
            Unit::Bytes,
            entries.memory.clone(),
        );
        registry.register(
            "streams",
            "Bodies that go through plugins now",
            entries.streams.clone(),
        );
        entries
    }

    /// The counters of an entry: of the same name the same ones, whichever gateway asks.
    pub fn entry(&self, name: &EntryName) -> EntryMetrics {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = known.get(name) {
            return metrics.clone();
        }
        let metrics = self.begin(name);
        known.insert(name.clone(), metrics.clone());
        metrics
    }

    fn begin(&self, name: &EntryName) -> EntryMetrics {
        let side = |side| {
            let label = name.on_side(side);
            (
                self.calls.get_or_create_owned(&label),
                self.seconds.get_or_create_owned(&label),
            )
        };
        let fault = |kind| self.faults.get_or_create_owned(&name.fault(kind));
        let [way_in, way_out] = SIDES.map(side);
        EntryMetrics {
            way_in,
            way_out,
            faults: FaultKind::ALL.map(fault),
            remembered: self.remembered.get_or_create_owned(&name.on_route()),
            not_remembered: self.not_remembered.get_or_create_owned(&name.on_route()),
            limits: Arc::new(LimitMetrics {
                family: self.limits.clone(),
                policy: name.policy.to_string(),
                route: name.route.to_string(),
                by_name: Mutex::default(),
            }),
            streams: self.streams.clone(),
            cpu: self.cpu.get_or_create_owned(&name.in_use()),
            memory: self.memory.get_or_create_owned(&name.in_use()),
        }
    }

    /// Ends the series of all entries but these.
    pub fn keep(&self, names: &HashSet<EntryName>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The plugin is not among the labels of these, and another may have taken its place.
        let places: HashSet<_> = names.iter().map(EntryName::on_route).collect();
        known.retain(|name, metrics| {
            if names.contains(name) {
                return true;
            }
            for side in SIDES {
                self.calls.remove(&name.on_side(side));
                self.seconds.remove(&name.on_side(side));
            }
            for kind in FaultKind::ALL {
                self.faults.remove(&name.fault(kind));
            }
            self.cpu.remove(&name.in_use());
            self.memory.remove(&name.in_use());
            if !places.contains(&name.on_route()) {
                self.remembered.remove(&name.on_route());
                self.not_remembered.remove(&name.on_route());
                metrics.limits.end();
            }
            false
        });
    }
}

impl EntryName {
    fn on_side(&self, side: &'static str) -> EntryLabel {
        EntryLabel {
            plugin: self.plugin.to_string(),
            policy: self.policy.to_string(),
            route: self.route.to_string(),
            side,
        }
    }

    fn fault(&self, kind: FaultKind) -> FaultLabel {
        FaultLabel {
            plugin: self.plugin.to_string(),
            policy: self.policy.to_string(),
            route: self.route.to_string(),
            kind: kind.label(),
        }
    }

    fn in_use(&self) -> UseLabel {
        UseLabel {
            plugin: self.plugin.to_string(),
            policy: self.policy.to_string(),
            route: self.route.to_string(),
        }
    }

    fn on_route(&self) -> PolicyLabel {
        PolicyLabel {
            policy: self.policy.to_string(),
            route: self.route.to_string(),
        }
    }
}

impl EntryMetrics {
    /// Counts what a limit said of a request.
    pub fn count_limit(&self, limit: &str, outcome: LimitOutcome) {
        self.limits.count(limit, outcome);
    }

    /// Counts what a visit used: processor time, where it is known, and linear memory in bytes.
    pub fn count_use(&self, cpu: Option<Duration>, memory: usize) {
        if let Some(cpu) = cpu {
            self.cpu.observe(cpu.as_secs_f64());
        }
        let memory = i64::try_from(memory).unwrap_or(i64::MAX);
        if memory > self.memory.get() {
            self.memory.inner().fetch_max(memory, Ordering::Relaxed);
        }
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

    /// Counts a decision that asked to be remembered, and is not.
    pub fn count_not_remembered(&self) {
        self.not_remembered.inc();
    }

    pub fn count(&self, side: Side, seconds: f64, fault: Option<FaultKind>) {
        let (calls, histogram) = match side {
            Side::Request => &self.way_in,
            Side::Response => &self.way_out,
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

impl LimitMetrics {
    fn label(&self, limit: &str, outcome: &'static str) -> LimitLabel {
        LimitLabel {
            policy: self.policy.clone(),
            route: self.route.clone(),
            limit: limit.to_owned(),
            outcome,
        }
    }

    fn count(&self, limit: &str, outcome: LimitOutcome) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if by_name.contains_key(limit) || by_name.len() < LIMIT_METRIC_NAMES_MAX {
            limit
        } else {
            "other"
        };
        if !by_name.contains_key(name) {
            let counter = |outcome| self.family.get_or_create_owned(&self.label(name, outcome));
            by_name.insert(name.to_owned(), LIMIT_OUTCOMES.map(counter));
        }
        if let Some(counters) = by_name.get(name) {
            counters[outcome as usize].inc();
        }
    }

    fn end(&self) {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        for name in by_name.keys() {
            for outcome in LIMIT_OUTCOMES {
                self.family.remove(&self.label(name, outcome));
            }
        }
    }
}
