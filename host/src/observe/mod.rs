//! What is seen from outside: one access-log line per request, metrics, and the record both are
//! written from.

mod log_writer;
mod metrics;
mod plugin_metrics;
mod record;
mod unread;

pub use prometheus_client::metrics::counter::Counter;

pub use log_writer::{LogSettings, LogState, LogWriter};
pub use metrics::{
    CUTTING, DRAINING, EntryMetrics, EntryName, LimitOutcome, Metrics, PluginInstances, Reloaded,
    RouteMetrics, StreamGauge,
};
pub use plugin_metrics::PluginMetrics;
pub use record::{Arrival, EntryVisit, FailureNote, Record, UpstreamVisit};
pub use unread::Unread;
