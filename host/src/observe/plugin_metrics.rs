//! What plugins count themselves (`metrics` in `wit/host.wit`): `tollgate_plugin_<name>`, with the
//! plugin's name and the labels that it gave.
//!
//! Whatever would make the exposition (OpenMetrics 1.0) wrong or large is dropped and counted: nothing
//! of it can disturb the gateway's own metrics, or another plugin's.

mod series;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use crate::limits::metrics::{METRIC_LABELS_MAX, METRIC_VALUE_MAX, PLUGIN_SERIES_MAX};
use indexmap::IndexMap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use series::{Asked, Kind, Labelled, Names, Reason, Series, SeriesKey};

/// The buckets of every plugin's histogram, in whatever its unit is: from a millisecond to a minute in
/// seconds, and counts and sizes up to a million, in steps that still tell magnitudes apart.
pub const PLUGIN_METRIC_BUCKETS: [f64; 16] = [
    0.001,
    0.005,
    0.01,
    0.05,
    0.1,
    0.5,
    1.0,
    5.0,
    10.0,
    50.0,
    100.0,
    500.0,
    1_000.0,
    10_000.0,
    100_000.0,
    1_000_000.0,
];

/// The gateway's own families that begin with `tollgate_plugin_`, without that.
const OURS: [(&str, Kind); 8] = [
    ("calls", Kind::Counter),
    ("call_duration_seconds", Kind::Histogram),
    ("faults", Kind::Counter),
    ("cpu_seconds", Kind::Histogram),
    ("memory_high_water_bytes", Kind::Counter),
    ("instances", Kind::Counter),
    ("calls_waiting", Kind::Counter),
    (DROPPED, Kind::Counter),
];
const DROPPED: &str = "metrics_dropped";

/// The metrics of all plugins. They last as long as a configuration in use has the plugin: counters must
/// not fall back because one was loaded anew.
#[derive(Debug)]
pub struct PluginMetrics {
    /// By name.
    plugins: RwLock<HashMap<Arc<str>, Arc<OfPlugin>>>,
    names: RwLock<Names>,
}

#[derive(Debug, Default)]
struct OfPlugin {
    kept: RwLock<PluginSeries>,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct PluginSeries {
    series: IndexMap<Arc<SeriesKey>, Series>,
    /// Of each metric, the names of its labels: one metric has the same everywhere.
    label_names: HashMap<String, Vec<String>>,
}

impl PluginMetrics {
    /// Makes them part of what a registry with the prefix `tollgate` exposes.
    pub fn register(registry: &mut Registry) -> Arc<PluginMetrics> {
        let metrics = Arc::new(PluginMetrics {
            plugins: RwLock::default(),
            names: RwLock::new(Names::new(&OURS)),
        });
        registry.register_collector(Box::new(Arc::clone(&metrics)));
        metrics
    }

    /// Adds to a counter. `hits_total` is the same as `hits`: the exposition adds the ending.
    pub fn counter_add(
        &self,
        plugin: &Arc<str>,
        name: &str,
        labels: &[(String, String)],
        value: u64,
    ) {
        let name = name.strip_suffix("_total").unwrap_or(name);
        let series = |it: &OfPlugin| self.series(it, Kind::Counter, name, labels);
        self.record(plugin, |of_plugin| match series(of_plugin)? {
            Series::Counter(counter) => {
                // It stays at the end of its range: from 0 on it would have been reset.
                counter.inc_by(value.min(u64::MAX - counter.get()));
                Ok(())
            }
            Series::Histogram(_) => Err("a histogram has this name"),
        });
    }

    /// Records a value in a histogram with the buckets [`PLUGIN_METRIC_BUCKETS`].
    pub fn histogram_record(
        &self,
        plugin: &Arc<str>,
        name: &str,
        labels: &[(String, String)],
        value: f64,
    ) {
        let series = |it: &OfPlugin| self.series(it, Kind::Histogram, name, labels);
        self.record(plugin, |of_plugin| {
            // It would spoil the sum for ever.
            if !value.is_finite() || value < 0.0 {
                return Err("a histogram takes finite numbers from 0");
            }
            match series(of_plugin)? {
                Series::Histogram(histogram) => {
                    histogram.observe(value.min(METRIC_VALUE_MAX));
                    Ok(())
                }
                Series::Counter(_) => Err("a counter has this name"),
            }
        });
    }

    fn record(&self, plugin: &Arc<str>, measure: impl FnOnce(&OfPlugin) -> Result<(), Reason>) {
        let of_plugin = self.of_plugin(plugin);
        if let Err(reason) = measure(&of_plugin) {
            of_plugin.dropped.inc();
            tracing::debug!(target: "plugin", plugin = &**plugin, "measurement dropped: {reason}");
        }
    }

    fn of_plugin(&self, plugin: &Arc<str>) -> Arc<OfPlugin> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_plugin) = plugins.get(plugin) {
            return Arc::clone(of_plugin);
        }
        drop(plugins);
        let plugins = self.plugins.write();
        let mut plugins = plugins.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(plugins.entry(Arc::clone(plugin)).or_default())
    }

    /// Ends the series of the plugins that are gone. The names of their metrics are free again.
    pub fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        let plugins = self.plugins.write();
        let mut plugins = plugins.unwrap_or_else(PoisonError::into_inner);
        let before = plugins.len();
        plugins.retain(|plugin, _| is_kept(plugin));
        if plugins.len() == before {
            return;
        }
        // Before the names, as everybody locks them.
        let kept = plugins.values().map(|plugin| plugin.kept.read());
        let kept: Vec<_> = kept
            .map(|kept| kept.unwrap_or_else(PoisonError::into_inner))
            .collect();
        let names = self.names.write();
        let mut names = names.unwrap_or_else(PoisonError::into_inner);
        *names = Names::new(&OURS);
        for (key, series) in kept.iter().flat_map(|kept| &kept.series) {
            // It was claimed beside all of these before.
            let _ = names.claim(&key.name, series.kind());
        }
    }

    fn series(
        &self,
        of_plugin: &OfPlugin,
        kind: Kind,
        name: &str,
        labels: &[(String, String)],
    ) -> Result<Series, Reason> {
        if labels.len() > METRIC_LABELS_MAX {
            return Err("it has too many labels");
        }
        let find = |asked: &Asked<'_>| {
            let kept = of_plugin.kept.read();
            let kept = kept.unwrap_or_else(PoisonError::into_inner);
            kept.series.get(asked).cloned()
        };
        // As a plugin usually asks: in the order of names, with values that can stay as they are.
        if let Some(series) = find(&Asked { name, labels }) {
            return Ok(series);
        }
        let key = SeriesKey::new(name, labels)?;
        let as_asked = Asked {
            name,
            labels: &key.labels,
        };
        if let Some(series) = find(&as_asked) {
            return Ok(series);
        }
        self.begin(of_plugin, kind, key)
    }

    /// Begins a new series, if there is room for it and it fits what there is.
    fn begin(&self, of_plugin: &OfPlugin, kind: Kind, key: SeriesKey) -> Result<Series, Reason> {
        let kept = of_plugin.kept.write();
        let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = kept.series.get(&key) {
            return Ok(series.clone());
        }
        if kept.series.len() >= PLUGIN_SERIES_MAX {
            return Err("the plugin has too many series");
        }
        let named = || key.labels.iter().map(|(name, _)| name);
        if let Some(names) = kept.label_names.get(&key.name)
            && !names.iter().eq(named())
        {
            return Err("the metric has other labels");
        }
        let names = self.names.write();
        names
            .unwrap_or_else(PoisonError::into_inner)
            .claim(&key.name, kind)?;
        if !kept.label_names.contains_key(&key.name) {
            let names = named().cloned().collect();
            kept.label_names.insert(key.name.clone(), names);
        }
        let series = match kind {
            Kind::Counter => Series::Counter(Counter::default()),
            Kind::Histogram => Series::Histogram(Histogram::new(PLUGIN_METRIC_BUCKETS)),
        };
        kept.series.insert(Arc::new(key), series.clone());
        Ok(series)
    }

    /// What is kept now of all plugins, in the order of their names.
    fn all(&self) -> BTreeMap<Arc<str>, Arc<OfPlugin>> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        let plugins = plugins.iter();
        plugins
            .map(|(name, it)| (Arc::clone(name), Arc::clone(it)))
            .collect()
    }
}

impl OfPlugin {
    /// The series, without holding the lock while they are written out.
    fn series(&self) -> Vec<(Arc<SeriesKey>, Series)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let series = kept.series.iter();
        series
            .map(|(key, series)| (Arc::clone(key), series.clone()))
            .collect()
    }
}

impl Collector for PluginMetrics {
    /// Each family in one piece, with the series of all plugins that have it.
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let plugins = self.all();
        let mut families: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (plugin, of_plugin) in &plugins {
            for (key, series) in of_plugin.series() {
                let family = families.entry(key.name.clone()).or_default();
                family.push((plugin, key, series));
            }
        }
        for (name, all) in &families {
            let Some((_, _, first)) = all.first() else {
                continue;
            };
            let name = format!("plugin_{name}");
            let mut family =
                encoder.encode_descriptor(&name, "From plugins.", None, first.metric_type())?;
            for (plugin, key, series) in all {
                let labels = Labelled {
                    plugin,
                    labels: &key.labels,
                };
                series.encode(family.encode_family(&labels)?)?;
            }
        }
        if plugins.is_empty() {
            return Ok(());
        }
        let name = format!("plugin_{DROPPED}");
        let help = "Measurements of plugins that were out of bounds or did not fit.";
        let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
        for (plugin, of_plugin) in &plugins {
            let labels = Labelled {
                plugin,
                labels: &[],
            };
            of_plugin.dropped.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
