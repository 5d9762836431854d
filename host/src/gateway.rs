//! What exchanges are served from: everything that a request looks at, made by `assembly` from one configuration
//! and never changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::chain::{Entry, Mechanisms};
use crate::http::exchange::ResponseHead;
use crate::observe::{Arrival, EntryName, LogWriter, Metrics, Record, RouteMetrics};
use crate::route::Router;
use crate::upstream::Upstream;

/// Everything that requests are served from.
pub struct Gateway {
    pub router: Router,
    /// In the order of the router's indices.
    pub routes: Vec<Arc<Route>>,
    pub mechanisms: Mechanisms,
    /// One permit for each request in flight.
    pub requests: Arc<Semaphore>,
    /// In the order of the sockets.
    pub listeners: Vec<Arc<Listener>>,
    /// What requests without a route are counted by.
    pub no_route: RouteMetrics,
    pub metrics: Arc<Metrics>,
    pub log: Arc<LogWriter>,
}

impl Gateway {
    /// Where a request came in, by the number of its socket. Gateway and sockets are made from the same
    /// listeners, so that there is one.
    pub fn listener(&self, socket: usize) -> &Arc<Listener> {
        &self.listeners[socket]
    }

    /// Starts the record of a request.
    pub fn record(&self, arrival: Arrival) -> Record {
        Record::start(
            Arc::clone(&self.metrics),
            Arc::clone(&self.log),
            self.no_route.clone(),
            arrival,
        )
    }
}

pub struct Route {
    pub name: Arc<str>,
    pub variables: Arc<BTreeMap<String, String>>,
    /// As written; empty: any.
    pub methods: Vec<Method>,
    /// Whether it names OPTIONS, so that what no entry answers of preflights is the upstream's to
    /// answer.
    pub takes_options: bool,
    pub chain: Vec<Entry>,
    /// Whether any entry has a hook on the way out.
    pub reads_on_way_out: bool,
    /// Whether a plugin of the chain may read the bodies of responses.
    pub reads_responses: bool,
    pub destination: Destination,
    pub metrics: RouteMetrics,
}

impl Route {
    /// What tells the series of its entries.
    pub fn entry_names(&self) -> impl Iterator<Item = EntryName> {
        let entries = self.chain.iter();
        entries.map(|entry| EntryName {
            plugin: Arc::clone(&entry.policy.identity.plugin),
            policy: Arc::clone(&entry.policy.identity.policy),
            route: Arc::clone(&self.name),
        })
    }

    /// The methods that it takes, for `Allow` (RFC 9110, section 10.2.1). Of any, those that are common.
    pub fn allowed(&self) -> Vec<Method> {
        if !self.methods.is_empty() {
            return self.methods.clone();
        }
        let common = [
            Method::DELETE,
            Method::GET,
            Method::HEAD,
            Method::PATCH,
            Method::POST,
            Method::PUT,
        ];
        common.to_vec()
    }
}

/// What a request comes to that no entry answered.
pub enum Destination {
    Upstream(Arc<Upstream>),
    Respond(ResponseHead, Bytes),
}

/// What a request needs to know of where it came in.
pub struct Listener {
    pub name: Arc<str>,
    pub trusted_proxies: Vec<IpNet>,
    /// What a client must send of a body, or take of an answer, in bytes per second.
    pub least_pace: u64,
    /// How long an answer is still made for a client that has closed its side and takes nothing.
    pub half_closed: Duration,
}
