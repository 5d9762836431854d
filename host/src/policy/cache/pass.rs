//! Requests that the cache has no part in, save that unsafe ones make obsolete what it has (RFC 9111,
//! section 4.4).

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_LOCATION, HeaderMap, LOCATION};

use super::Cache;
use super::key::{Key, Target};
use super::status::{Forward, Report};

/// A request that the cache has no part in.
pub struct Pass {
    pub(super) forward: Forward,
    pub(super) invalidates: Option<Box<Invalidates>>,
}

/// What an unsafe method makes obsolete.
pub(super) struct Invalidates {
    pub cache: Arc<Cache>,
    pub namespace: String,
    pub target: Target,
    /// The plugin's own key for the request.
    pub keyed: Option<Key>,
}

impl Pass {
    /// The way out: writes `Cache-Status`, and after an unsafe method that did not fail drops what it
    /// made obsolete.
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
        let store = &self.cache.store;
        if let Some(key) = &self.keyed {
            store.invalidate(key);
        }
        store.invalidate(&self.target.key(&self.namespace));
        for name in [LOCATION, CONTENT_LOCATION] {
            let referred = headers.get(name).and_then(|value| self.target.refer(value));
            if let Some(target) = referred {
                store.invalidate(&target.key(&self.namespace));
            }
        }
    }
}
