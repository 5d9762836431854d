//! Requests that the cache does not answer or store; unsafe ones invalidate what it has (RFC 9111, section
//! 4.4).

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_LOCATION, HeaderMap, LOCATION};

use super::rules::key::{self, Target};
use super::rules::status::{Forward, Report};
use super::shared::Cache;

/// A request that the cache does not answer or store.
pub struct Pass {
    pub(super) forward: Forward,
    pub(super) invalidates: Option<Box<Invalidates>>,
}

/// What an unsafe method invalidates.
pub(super) struct Invalidates {
    pub cache: Arc<Cache>,
    pub namespace: String,
    /// Other namespaces in which the same target may be stored.
    pub others: Vec<Arc<str>>,
    pub target: Target,
    /// The plugin's own key for the request.
    pub keyed: Option<Vec<String>>,
}

impl Pass {
    /// Lets an unsafe method also invalidate its target in other namespaces.
    pub fn also_in(mut self, namespaces: &[Arc<str>]) -> Pass {
        if let Some(invalidates) = &mut self.invalidates {
            invalidates.others.extend_from_slice(namespaces);
        }
        self
    }

    /// The way out: writes `Cache-Status`, and after an unsafe method that did not fail drops what it
    /// invalidates.
    pub fn answer(self, status: StatusCode, headers: &mut HeaderMap) {
        if let Some(invalidates) = self.invalidates
            && (status.is_success() || status.is_redirection())
        {
            invalidates.run(headers);
        }
        let report = Report {
            forward: Some(self.forward),
            ..Report::default()
        };
        report.write(headers);
    }
}

impl Invalidates {
    fn run(self, headers: &HeaderMap) {
        let referred = [LOCATION, CONTENT_LOCATION]
            .iter()
            .filter_map(|name| headers.get(name))
            .filter_map(|value| self.target.refer(value));
        let targets: Vec<Target> = referred.chain([self.target.clone()]).collect();
        let others = self.others.iter().map(|other| &**other);
        for namespace in others.chain([&*self.namespace]) {
            if let Some(parts) = &self.keyed {
                self.cache.store.invalidate(&key::keyed(namespace, parts));
            }
            for target in &targets {
                self.cache.store.invalidate(&target.key(namespace));
            }
        }
    }
}
