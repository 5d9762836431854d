//! What routes count.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds. From a cached answer to a patient client.
const REQUEST_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// By the first digit of the status; the first is for none.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

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

/// The series of all routes.
pub(super) struct Routes {
    requests: Family<RouteStatus, Counter>,
    seconds: Family<RouteLabel, Histogram>,
    known: Mutex<HashMap<Arc<str>, RouteMetrics>>,
}

/// What one route counts.
#[derive(Clone)]
pub struct RouteMetrics {
    /// In the order of [`CLASSES`].
    by_class: [Counter; CLASSES.len()],
    seconds: Histogram,
}

impl Routes {
    pub fn register(registry: &mut Registry) -> Self {
        let routes = Routes {
            requests: Family::default(),
            seconds: Family::new_with_constructor(
                (|| Histogram::new(REQUEST_BUCKETS)) as fn() -> Histogram,
            ),
            known: Mutex::default(),
        };
        registry.register("requests", "Requests answered", routes.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From the request's head to the end of the answer's body",
            Unit::Seconds,
            routes.seconds.clone(),
        );
        routes
    }

    /// The counters of a route: of the same name the same ones, whichever gateway asks.
    pub fn route(&self, route: &Arc<str>) -> RouteMetrics {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = known.get(route) {
            return metrics.clone();
        }
        let class = |status| self.requests.get_or_create_owned(&on_status(route, status));
        let metrics = RouteMetrics {
            by_class: CLASSES.map(class),
            seconds: self.seconds.get_or_create_owned(&labelled(route)),
        };
        known.insert(Arc::clone(route), metrics.clone());
        metrics
    }

    /// Ends the series of all routes but these, and those of requests that had none.
    pub fn keep(&self, names: &HashSet<Arc<str>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|route, _| {
            if route.is_empty() || names.contains(route) {
                return true;
            }
            for status in CLASSES {
                self.requests.remove(&on_status(route, status));
            }
            self.seconds.remove(&labelled(route));
            false
        });
    }
}

fn on_status(route: &str, status: &'static str) -> RouteStatus {
    RouteStatus {
        route: route.to_owned(),
        status,
    }
}

fn labelled(route: &str) -> RouteLabel {
    RouteLabel {
        route: route.to_owned(),
    }
}

impl RouteMetrics {
    pub fn count(&self, status: u16, seconds: f64) {
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        self.by_class[class].inc();
        self.seconds.observe(seconds);
    }
}
