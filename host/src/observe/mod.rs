//! What is seen from outside: one access-log line per request, metrics, and the record both are
//! written from.

mod access_log;
mod metrics;
mod plugin_metrics;
mod record;
mod unread;

pub use access_log::AccessLog;
pub use metrics::{
    CUTTING, DRAINING, EntryMetrics, EntryName, LimitOutcome, Metrics, PluginInstances, Reloaded,
    RouteMetrics, StreamGauge,
};
pub use plugin_metrics::PluginMetrics;
pub use record::{Arrival, EntryVisit, FailureNote, Record, Side, UpstreamVisit};
pub use unread::Unread;
