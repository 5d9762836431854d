//! What happened to one request. Written when it ends, however it ends: `Drop` is the only writer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Uri};
use serde::Serialize;

use super::{CUTTING, LogWriter, Metrics, RouteMetrics, Unread};
use crate::error::{Failure, FailureKind};
use crate::http::side::Side;

/// What is known of a request when it arrives.
pub struct Arrival {
    pub listener: Arc<str>,
    pub id: Arc<str>,
    /// None: nobody who is believed says who it is.
    pub client: Option<IpAddr>,
    pub method: Method,
    pub target: Uri,
}

/// Collects what happens to a request, and writes it when dropped.
pub struct Record {
    metrics: Arc<Metrics>,
    log: Arc<LogWriter>,
    route_metrics: RouteMetrics,
    started: Instant,
    time: jiff::Timestamp,
    pub id: Arc<str>,
    pub listener: Arc<str>,
    /// None: nobody who is believed says who it is.
    pub client: Option<IpAddr>,
    pub method: Method,
    pub host: String,
    /// What was asked for. The log has it without the query, which may hold keys.
    pub target: Uri,
    pub route: Option<Arc<str>>,
    pub principal: Option<String>,
    pub entries: Vec<EntryVisit>,
    pub upstream: Option<UpstreamVisit>,
    /// 0 until a head was sent.
    pub status: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Whether the answer's last byte was handed to the connection.
    pub complete: bool,
    pub failure: Option<FailureNote>,
    /// What a head asked for that could not be read, in the place of `method`, `host` and `target`.
    pub unread: Option<Unread>,
    /// Whether it is no client's request, but a fetch of the gateway's own for its cache.
    pub background: bool,
}

/// One visit of a chain entry.
#[derive(Debug, Serialize)]
pub struct EntryVisit {
    pub policy: Arc<str>,
    pub side: Side,
    /// `allow`, `deny`, `limit`, `next`, `stream`, `respond`, or `fault`; of a cache policy `hit`, `stale`, `miss`
    /// or `pass`.
    pub verdict: &'static str,
    /// Whether the plugin was not asked, since the same was decided before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub remembered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    #[serde(rename = "us", serialize_with = "whole_microseconds")]
    pub elapsed: Duration,
    #[serde(
        rename = "cpu_us",
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_microseconds"
    )]
    pub cpu: Option<Duration>,
}

/// Who answered, and when its head was there.
#[derive(Debug, Serialize)]
pub struct UpstreamVisit {
    pub name: Arc<str>,
    pub server: Arc<str>,
    pub status: u16,
    #[serde(rename = "first_byte_us", serialize_with = "whole_microseconds")]
    pub first_byte: Duration,
}

/// Whose fault it was.
#[derive(Debug, Serialize)]
pub struct FailureNote {
    pub blame: &'static str,
    pub kind: &'static str,
    pub detail: String,
}

impl From<&Failure> for FailureNote {
    fn from(failure: &Failure) -> Self {
        FailureNote {
            blame: failure.blame().label(),
            kind: failure.label(),
            detail: failure.detail.clone(),
        }
    }
}

fn whole_microseconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn some_microseconds<S: serde::Serializer>(
    time: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    whole_microseconds(&time.unwrap_or_default(), to)
}

/// The line, in the order in which a person reads it.
#[derive(Serialize)]
struct Line<'a> {
    time: jiff::Timestamp,
    id: &'a str,
    listener: &'a str,
    client: Option<IpAddr>,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    status: u16,
    #[serde(rename = "us", serialize_with = "whole_microseconds")]
    elapsed: Duration,
    bytes_in: u64,
    bytes_out: u64,
    complete: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    background: bool,
    entries: &'a [EntryVisit],
    upstream: Option<&'a UpstreamVisit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a FailureNote>,
}

impl Record {
    pub fn start(
        metrics: Arc<Metrics>,
        log: Arc<LogWriter>,
        route_metrics: RouteMetrics,
        arrival: Arrival,
    ) -> Record {
        let Arrival {
            listener,
            id,
            client,
            method,
            target,
        } = arrival;
        metrics.requests_in_flight.inc();
        Record {
            metrics,
            log,
            route_metrics,
            started: Instant::now(),
            time: jiff::Timestamp::now(),
            id,
            listener,
            client,
            method,
            host: String::new(),
            target,
            route: None,
            principal: None,
            entries: Vec::new(),
            upstream: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            complete: false,
            failure: None,
            unread: None,
            background: false,
        }
    }

    /// From here on the request counts under this route.
    pub fn on_route(&mut self, route: &Arc<str>, metrics: &RouteMetrics) {
        self.route = Some(Arc::clone(route));
        self.route_metrics = metrics.clone();
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes a failure. The first is the cause, and holds.
    pub fn fail(&mut self, failure: &Failure) {
        if self.failure.is_none() {
            self.failure = Some(failure.into());
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        if !self.complete && self.failure.is_none() {
            // Nobody else ends an answer early: either we are cutting, or its connection is gone.
            let (kind, detail) = if self.metrics.stopping.get() == CUTTING {
                (FailureKind::Stopped, "the time to drain was over")
            } else {
                let detail = "the client took no more of the answer";
                (FailureKind::ClientGone, detail)
            };
            self.fail(&Failure::new(kind, detail));
        }
        self.metrics.requests_in_flight.dec();
        if !self.background {
            self.route_metrics.count(self.status, elapsed.as_secs_f64());
        }
        let (method, host, path) = match &self.unread {
            Some(unread) => (&*unread.method, &*unread.host, &*unread.path),
            None => (self.method.as_str(), &*self.host, self.target.path()),
        };
        let line = Line {
            time: self.time,
            id: &self.id,
            listener: &self.listener,
            client: self.client,
            method,
            host,
            path,
            route: self.route.as_deref(),
            principal: self.principal.as_deref(),
            status: self.status,
            elapsed,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            complete: self.complete,
            background: self.background,
            entries: &self.entries,
            upstream: self.upstream.as_ref(),
            failure: self.failure.as_ref(),
        };
        if let Ok(line) = serde_json::to_vec(&line) {
            self.log.write(&line);
        }
    }
}
