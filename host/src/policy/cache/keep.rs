//! Keeps what a fetch brings: in the store, and for waiting requests (RFC 9111, sections 3 and 4).

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use http::header::{DATE, HeaderMap};
use http_body::Body;

use super::bodies::body::CacheBody;
use super::bodies::growing::Growing;
use super::bodies::object::Stored;
use super::bodies::pump::{Alone, pump};
use super::fill::{Fill, Filled};
use super::kept::flight::Landing;
use super::kept::store::{StoredContent, StoredHead, StoredResponse};
use super::rules::date::date;
use super::rules::freshness::{self, Times};
use super::rules::head::stored_fields;
use super::rules::status::Report;
use super::rules::storage::Storage;
use super::rules::vary::Selection;
use super::serve::Whole;
use crate::http::body::BoxBody;

impl Fill {
    /// Returns the head to store, or `None` if the response may not be stored.
    pub(super) fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        storage: &Storage,
        now: SystemTime,
    ) -> Option<StoredHead> {
        let times = Times {
            requested: self.requested,
            received: now,
        };
        let storable = freshness::judge(&self.request, status, headers, storage, times)?;
        let selection = Selection::of(headers, &self.request)?;
        let tags = match storage {
            Storage::Retain(retention) => retention.tags.clone(),
            _ => Vec::new(),
        };
        Some(StoredHead {
            status,
            headers: stored_fields(headers, &storable, now),
            selection,
            lifetime: storable.lifetime,
            for_authorized: storable.for_authorized,
            tags,
            requested: self.requested,
            received: now,
            dated: headers.get(DATE).and_then(date).unwrap_or(now),
        })
    }

    /// Stores the response as it arrives, and lets all waiting requests read along.
    pub(super) fn keep(
        mut self,
        head: StoredHead,
        mut response: Whole,
        body: BoxBody,
        now: SystemTime,
    ) -> Filled {
        let cache = Arc::clone(&self.cache);
        let bytes_max = cache.settings.entry_bytes_max;
        if response.length.is_some_and(|length| length > bytes_max) {
            self.note_unshared(response.status, now);
            return self.pass_on(response, body, now);
        }
        if response.length == Some(0) || body.is_end_stream() {
            // A body that ends before its stated length is broken, and is passed on as broken.
            if response.length.is_some_and(|length| length > 0) {
                return self.pass_on(response, body, now);
            }
            response.length = Some(0);
            return self.keep_empty(head, response, now);
        }
        let Some(room) = cache.budgets.reserve(response.length.unwrap_or(0)) else {
            self.land(Landing::Alone);
            return self.pass_on(response, body, now);
        };
        let growing = Growing::new(response.length, room);
        // The response is stored for other clients all the same.
        let own = self
            .is_far_off(&response, true)
            .then(|| self.of_its_own(now));
        response.body = match growing.subscribe() {
            Some(reader) if own.is_none() => CacheBody::growing(reader),
            // `subscribe` cannot fail here: the body has only just begun.
            _ => CacheBody::empty(),
        };
        let kept = StoredResponse {
            head: Arc::new(head),
            content: StoredContent::Growing(Arc::clone(&growing)),
        };
        let report = self.report_stored(&kept, now);
        let answer = match own {
            Some(own) => Filled::AskAgain(own),
            None => Filled::Served(response.finish(self.client(), report)),
        };
        self.share(kept.clone(), now);
        let lead = self.lead.take();
        let (flights, key) = (Arc::clone(&cache.flights), Arc::clone(&self.watch.key));
        let alone = Alone::new(&cache.alone);
        let (watch, stale) = (self.watch, self.stale);
        let keep = move |stored: Arc<Stored>| {
            let content = StoredContent::Stored(stored);
            cache
                .store
                .put_for(&watch, StoredResponse { content, ..kept }, stale.as_ref());
        };
        // Requests that come while the body grows read along until the lead is dropped: here, or when the
        // pump ends.
        let give_up = move || {
            flights.note_unshared(&key, now);
            drop(lead);
        };
        tokio::spawn(pump(body, growing, alone, bytes_max, keep, give_up));
        answer
    }

    fn keep_empty(mut self, head: StoredHead, mut response: Whole, now: SystemTime) -> Filled {
        let stored = Arc::new(Stored::default());
        response.body = CacheBody::stored(&stored);
        let kept = StoredResponse {
            head: Arc::new(head),
            content: StoredContent::Stored(stored),
        };
        let report = self.report_stored(&kept, now);
        let store = &self.cache.store;
        store.put_for(&self.watch, kept.clone(), self.stale.as_ref());
        self.share(kept, now);
        Filled::Served(response.finish(self.client(), report))
    }

    fn report_stored(&self, kept: &StoredResponse, now: SystemTime) -> Report {
        Report {
            forward: Some(self.forward),
            stored: true,
            ttl: Some(kept.head.lifetime.ttl(now)),
            ..Report::default()
        }
    }

    /// Hands the response to the waiting requests, if it may answer them. One that was fresh when it was made
    /// but no longer is answers only them, since they have waited since before; later requests do not get it.
    pub(super) fn share(&mut self, kept: StoredResponse, now: SystemTime) {
        let lifetime = &kept.head.lifetime;
        let flights = &self.cache.flights;
        if lifetime.is_fresh(now) {
            flights.note_shared(&self.watch.key);
            self.land(Landing::Shared(kept));
        } else if lifetime.was_fresh_when_made() {
            flights.note_shared(&self.watch.key);
            if let Some(lead) = self.lead.take() {
                lead.land_and_end(Landing::Shared(kept));
            }
        } else if let Some(lead) = self.lead.take() {
            flights.note_unshared(&self.watch.key, now);
            lead.land(Landing::Alone);
        }
    }

    /// Remembers that the key's responses cannot be shared, and drops the stored variant that this one
    /// replaces.
    pub(super) fn note_unshared(&self, status: StatusCode, now: SystemTime) {
        if self.lead.is_some() {
            self.cache.flights.note_unshared(&self.watch.key, now);
        }
        self.land(Landing::Alone);
        let replaces = status.is_success() || status.is_redirection() || GONE.contains(&status);
        if let Some(stale) = &self.stale
            && replaces
            && !self.is_head
            && status != StatusCode::NOT_MODIFIED
        {
            self.cache.store.drop_variant(&self.watch.key, stale);
        }
    }
}

const GONE: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::GONE];
