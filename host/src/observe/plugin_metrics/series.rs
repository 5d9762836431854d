//! One series of a plugin: its name and labels, made fit for the exposition, and the names that it
//! takes there.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::Equivalent;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, EncodeMetric};
use prometheus_client::encoding::{LabelSetEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::limits::metrics::{METRIC_LABEL_BYTES_MAX, METRIC_NAME_BYTES_MAX};
use crate::quote::clear;

/// Why a measurement is not kept.
pub type Reason = &'static str;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Histogram,
}

#[derive(Debug, Clone)]
pub enum Series {
    Counter(Counter),
    Histogram(Histogram),
}

impl Series {
    pub fn kind(&self) -> Kind {
        match self {
            Series::Counter(_) => Kind::Counter,
            Series::Histogram(_) => Kind::Histogram,
        }
    }
}

impl EncodeMetric for Series {
    fn encode(&self, encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        match self {
            Series::Counter(counter) => counter.encode(encoder),
            Series::Histogram(histogram) => histogram.encode(encoder),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self {
            Series::Counter(_) => MetricType::Counter,
            Series::Histogram(_) => MetricType::Histogram,
        }
    }
}

/// What a series is found by: within its plugin, a name, and labels in the order of their names.
#[derive(Debug, PartialEq, Eq)]
pub struct SeriesKey {
    pub name: String,
    pub labels: Vec<(String, String)>,
}

/// The same, borrowed from the one who asks.
#[derive(Hash)]
pub struct Asked<'a> {
    pub name: &'a str,
    pub labels: &'a [(String, String)],
}

impl Hash for SeriesKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let SeriesKey { name, labels } = self;
        Asked { name, labels }.hash(state);
    }
}

impl Equivalent<Arc<SeriesKey>> for Asked<'_> {
    fn equivalent(&self, key: &Arc<SeriesKey>) -> bool {
        self.name == key.name && self.labels == key.labels
    }
}

impl SeriesKey {
    /// # Errors
    /// If a name is none, or is the host's.
    pub fn new(name: &str, labels: &[(String, String)]) -> Result<SeriesKey, Reason> {
        if !is_name(name) {
            return Err("its name does not match `[a-z][a-z0-9_]*`, or is too long");
        }
        // Checked before anything is copied.
        for (name, _) in labels {
            if !is_name(name) {
                return Err("a label's name does not match `[a-z][a-z0-9_]*`, or is too long");
            }
            if name == "plugin" || name == "le" {
                return Err("the labels `plugin` and `le` are the host's");
            }
        }
        let labels = labels.iter();
        let mut labels: Vec<_> = labels
            .map(|(name, value)| (name.clone(), printable(value)))
            .collect();
        labels.sort_unstable();
        if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("two of its labels have one name");
        }
        Ok(SeriesKey {
            name: name.to_owned(),
            labels,
        })
    }
}

/// `[a-z][a-z0-9_]*`, within the bound.
fn is_name(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= METRIC_NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(rest)
}

/// A label's value without control characters, cut to the bound.
fn printable(value: &str) -> String {
    let mut text = String::new();
    for character in value.chars().map(clear) {
        if text.len() + character.len_utf8() > METRIC_LABEL_BYTES_MAX {
            break;
        }
        text.push(character);
    }
    text
}

/// The labels of a series, the plugin's name first.
#[derive(Debug)]
pub struct Labelled<'a> {
    pub plugin: &'a str,
    pub labels: &'a [(String, String)],
}

impl EncodeLabelSet for Labelled<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), std::fmt::Error> {
        ("plugin", self.plugin).encode(encoder.encode_label())?;
        for (name, value) in self.labels {
            (name.as_str(), value.as_str()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// The names that families take in the exposition. A histogram `x` has samples `x_count`, so that no
/// other family may be called so.
#[derive(Debug)]
pub struct Names {
    /// By each name taken, the family that takes it.
    taken: HashMap<String, Family>,
}

#[derive(Debug, Clone)]
struct Family {
    name: String,
    kind: Kind,
    ours: bool,
}

impl Names {
    pub fn new(ours: &[(&str, Kind)]) -> Self {
        let mut names = Names {
            taken: HashMap::new(),
        };
        for (name, kind) in ours {
            names.take(name, *kind, true);
        }
        names
    }

    /// Takes what a family needs, unless it has it already.
    ///
    /// # Errors
    /// If another family is in the way.
    pub fn claim(&mut self, name: &str, kind: Kind) -> Result<(), Reason> {
        match self.taken.get(name) {
            Some(family) if family.ours => return Err("the name is the gateway's"),
            Some(family) if family.name == name && family.kind == kind => return Ok(()),
            Some(_) => return Err("the name is taken by a metric of another type"),
            None => {}
        }
        if samples(name, kind).any(|name| self.taken.contains_key(&name)) {
            return Err("the names of its samples are taken by another metric");
        }
        self.take(name, kind, false);
        Ok(())
    }

    fn take(&mut self, name: &str, kind: Kind, ours: bool) {
        let family = Family {
            name: name.to_owned(),
            kind,
            ours,
        };
        for sample in samples(name, kind) {
            self.taken.insert(sample, family.clone());
        }
        self.taken.insert(name.to_owned(), family);
    }
}

/// The names of a family's samples (OpenMetrics 1.0, "Suffixes"), whether or not we write all of them.
fn samples(name: &str, kind: Kind) -> impl Iterator<Item = String> {
    let suffixes: &[&str] = match kind {
        Kind::Counter => &["total", "created"],
        Kind::Histogram => &["count", "sum", "bucket", "created"],
    };
    suffixes
        .iter()
        .map(move |suffix| format!("{name}_{suffix}"))
}
