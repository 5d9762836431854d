//! Freshening a stored response by one without a body (RFC 9111, sections 4.3.4 and 4.3.5).

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use http::header::{AGE, CONTENT_LENGTH, ETAG, HeaderMap, LAST_MODIFIED};

use super::bodies::body::CacheBody;
use super::fill::{Fill, Filled};
use super::kept::flight::Landing;
use super::kept::store::{StoredContent, StoredHead, StoredResponse};
use super::rules::conditions::weakly_equal;
use super::rules::freshness::SETS_COOKIES;
use super::rules::head::merge;
use super::rules::status::Report;
use super::rules::storage::Storage;
use super::serve::Whole;

impl Fill {
    /// Handles a 304 to a condition made from the stored response. If the 304 is about another response, the
    /// origin no longer has the stored one, and is asked again without a condition.
    pub(super) fn not_modified(
        mut self,
        stale: &StoredResponse,
        headers: &HeaderMap,
        storage: &Storage,
        now: SystemTime,
    ) -> Filled {
        if !is_about(&stale.head.headers, headers) {
            self.cache.store.drop_variant(&self.watch.key, stale);
            self.stale = None;
            self.requested = now;
            return Filled::AskAgain(self);
        }
        self.freshen(stale, merge(&stale.head.headers, headers), storage, now)
    }

    /// Answers with the stored body under the updated head.
    fn freshen(
        mut self,
        stale: &StoredResponse,
        merged: HeaderMap,
        storage: &Storage,
        now: SystemTime,
    ) -> Filled {
        let status = stale.head.status;
        let mut report = Report {
            forward: Some(self.forward),
            forward_status: Some(StatusCode::NOT_MODIFIED),
            ..Report::default()
        };
        let mut headers = merged;
        if let Some(head) = self.judge_freshened(status, &headers, storage, now) {
            let kept = StoredResponse {
                head: Arc::new(head),
                content: stale.content.clone(),
            };
            report.stored = self.cache.store.put(&self.watch, kept.clone());
            report.ttl = Some(kept.head.lifetime.ttl(now));
            headers.insert(AGE, kept.head.lifetime.age(now).as_secs().into());
            self.share(kept, now);
        } else if *storage != Storage::Unjudged {
            self.cache.store.drop_variant(&self.watch.key, stale);
            self.land(Landing::Alone);
        }
        // Never `None`: stored bodies are complete.
        let (body, length) = stale
            .content
            .open()
            .unwrap_or((CacheBody::empty(), Some(0)));
        let whole = Whole {
            status,
            headers,
            body,
            length,
            received: now,
        };
        Filled::Served(whole.finish(self.client(), report))
    }

    /// Judges the head without cookies: one set by a 304 or an answer to HEAD is for this client only.
    fn judge_freshened(
        &self,
        status: StatusCode,
        merged: &HeaderMap,
        storage: &Storage,
        now: SystemTime,
    ) -> Option<StoredHead> {
        let mut storable = merged.clone();
        for name in SETS_COOKIES {
            storable.remove(name);
        }
        self.judge(status, &storable, storage, now)
    }

    /// Freshens or drops the stored response to GET: an answer to HEAD tells whether the origin still has it.
    pub(super) fn freshen_by_head(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        storage: &Storage,
        now: SystemTime,
    ) {
        let Some(stale) = self.stale.as_ref().filter(|_| status == StatusCode::OK) else {
            return;
        };
        let merged = merge(&stale.head.headers, headers);
        let head = is_same(stale, headers)
            .then(|| self.judge_freshened(stale.head.status, &merged, storage, now));
        match head.flatten() {
            Some(head) => {
                let kept = StoredResponse {
                    head: Arc::new(head),
                    content: stale.content.clone(),
                };
                self.cache.store.put(&self.watch, kept);
            }
            None => self.cache.store.drop_variant(&self.watch.key, stale),
        }
    }
}

/// Whether a 304 is about the stored response. Without a validator, or with one that the stored response
/// lacks, it can only be about what was asked. An entity tag is compared weakly: servers that compress make
/// it weak in a 200, and not in a 304.
fn is_about(stored: &HeaderMap, update: &HeaderMap) -> bool {
    match (stored.get(ETAG), update.get(ETAG)) {
        (Some(stored), Some(updated)) => weakly_equal(stored.as_bytes(), updated.as_bytes()),
        (_, None) => true,
        (None, Some(_)) => stored.get(LAST_MODIFIED) == update.get(LAST_MODIFIED),
    }
}

/// Whether an answer to HEAD is about the stored response: its validators and length all match.
fn is_same(stale: &StoredResponse, update: &HeaderMap) -> bool {
    let stored = &stale.head.headers;
    let tags = match (stored.get(ETAG), update.get(ETAG)) {
        (Some(stored), Some(updated)) => weakly_equal(stored.as_bytes(), updated.as_bytes()),
        (stored, updated) => updated.is_none() || stored == updated,
    };
    let modified = update.get(LAST_MODIFIED);
    let length = update.get(CONTENT_LENGTH).map(|length| length.to_str());
    let stored_length = match &stale.content {
        StoredContent::Stored(stored) => stored.length(),
        StoredContent::Growing(_) => return false,
    };
    tags && modified.is_none_or(|modified| stored.get(LAST_MODIFIED) == Some(modified))
        && length.is_none_or(|length| length.is_ok_and(|text| text.parse() == Ok(stored_length)))
}
