//! Bounds of the series that plugins make.

/// The greatest value that a histogram of a plugin takes; more counts as this. Its sum, which never ends,
/// stays a number.
pub const METRIC_VALUE_MAX: f64 = 1e280;
/// Names of limits that one chain entry counts by in the metrics; what is beyond counts as `other`. Names
/// are a plugin's to choose, and each is three series.
pub const LIMIT_METRIC_NAMES_MAX: usize = 32;
/// Series of one plugin: what the contract says. A label with a value for each caller meets it soon.
pub const PLUGIN_SERIES_MAX: usize = 100;
/// Labels of one series, beside the plugin's name.
pub const METRIC_LABELS_MAX: usize = 8;
/// The value of a label, in bytes; the rest is cut.
pub const METRIC_LABEL_BYTES_MAX: usize = 128;
/// The name of a metric or of a label, in bytes: as names in the configuration.
pub const METRIC_NAME_BYTES_MAX: usize = 64;
