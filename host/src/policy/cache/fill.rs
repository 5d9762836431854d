//! A fetch on its way out: what becomes of the response, in the store, for the client that asked, and
//! for those who wait (RFC 9111, sections 3 and 4.3).

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{
    AGE, CONTENT_LENGTH, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    SET_COOKIE,
};
use http::{Method, StatusCode};
use http_body::Body;

use super::body::CacheBody;
use super::conditions::CLIENTS_OWN;
use super::flight::{Landing, Lead};
use super::freshness::{self, Times};
use super::growing::Growing;
use super::head::{merge, stored_fields};
use super::object::Stored;
use super::pump::{Alone, pump};
use super::serve::{Client, Whole};
use super::status::{Forward, Report};
use super::store::{Content, Head, Kept, Watch};
use super::vary::Selection;
use super::{Answer, Cache, InnerBody, Storage};

/// A fetch that the cache wants to see the response of. Dropped unanswered (the client has gone, a
/// plugin failed), it lets one of those who wait take its place.
pub struct Fill {
    pub(super) cache: Arc<Cache>,
    pub(super) watch: Watch,
    pub(super) is_head: bool,
    /// The client's request.
    pub(super) request: HeaderMap,
    pub(super) requested: SystemTime,
    pub(super) forward: Forward,
    /// What is stored, and too old.
    pub(super) stale: Option<Kept>,
    /// The client's conditions and range go inwards as they are.
    pub(super) conditions_pass: bool,
    pub(super) lead: Option<Lead>,
}

impl Fill {
    /// Changes the request that goes inwards: the client's conditions and range are taken off, as
    /// they are met on the way out, and the validators of what is stored are put on.
    pub fn prepare(&self, method: &mut Method, headers: &mut HeaderMap) {
        if !self.is_head {
            *method = Method::GET;
        }
        if self.conditions_pass {
            return;
        }
        for name in CLIENTS_OWN {
            headers.remove(name);
        }
        let Some(stale) = self.validated() else {
            return;
        };
        for (validator, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            if let Some(value) = stale.head.headers.get(validator) {
                headers.insert(condition, value.clone());
            }
        }
    }

    /// What is being validated: a success with a validator.
    fn validated(&self) -> Option<&Kept> {
        let stale = self.stale.as_ref().filter(|_| !self.conditions_pass)?;
        is_validatable(stale).then_some(stale)
    }

    /// The head that a 304 of the inner chain stands for: what is stored, freshened. For the plugin's
    /// hook, which should judge that and not the 304. None where the response stands for itself.
    pub fn freshened(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, HeaderMap)> {
        let stale = self.validated()?;
        let merged = || (stale.head.status, merge(&stale.head.headers, headers));
        (status == StatusCode::NOT_MODIFIED).then(merged)
    }

    /// The way out, with the response of the inner chain. `gateway_error` says that the gateway made
    /// it because the upstream failed. Must be called within a tokio runtime.
    pub fn answer(
        self,
        status: StatusCode,
        headers: HeaderMap,
        body: InnerBody,
        storage: Storage,
        gateway_error: bool,
        now: SystemTime,
    ) -> Answer {
        if gateway_error || STALE_IF_ERROR.contains(&status) {
            if let Some(answer) = self.stand_in(status, now) {
                return answer;
            }
        } else if status == StatusCode::NOT_MODIFIED
            && let Some(stale) = self.validated()
        {
            let stale = stale.clone();
            return self.freshen(&stale, merge(&stale.head.headers, &headers), &storage, now);
        }
        let judged = match self.is_head || gateway_error {
            true => None,
            false => self.judge(status, &headers, &storage, now),
        };
        let length = match self.is_head {
            true => None,
            false => content_length(&headers, &body),
        };
        let response = Whole {
            status,
            headers,
            body: CacheBody::empty(),
            length,
            received: now,
        };
        match judged {
            Some(head) => self.keep(head, response, body, now),
            None => {
                if !gateway_error {
                    self.note_unshared(status, now);
                }
                self.pass_on(response, body)
            }
        }
    }

    fn client(&self) -> Client<'_> {
        Client {
            is_head: self.is_head,
            headers: &self.request,
        }
    }

    fn land(&self, landing: Landing) {
        if let Some(lead) = &self.lead {
            lead.land(landing);
        }
    }

    /// Answers with what is stored where the upstream fails, if it may (RFC 9111, section 4.2.4; RFC
    /// 5861, section 4).
    fn stand_in(&self, status: StatusCode, now: SystemTime) -> Option<Answer> {
        let stale = self.stale.as_ref()?;
        if !stale.head.lifetime.may_answer_for_failure(now) {
            return None;
        }
        self.land(Landing::Shared(stale.clone()));
        let report = Report {
            forward: Some(self.forward),
            forward_status: Some(status),
            detail: Some("stale-if-error"),
            ..Report::default()
        };
        stale.serve(self.client(), now, report)
    }

    /// RFC 9111, section 4.3.4: the stored body, under a head that is up to date.
    fn freshen(
        self,
        stale: &Kept,
        merged: HeaderMap,
        storage: &Storage,
        now: SystemTime,
    ) -> Answer {
        let status = stale.head.status;
        let mut head = self.judge(status, &merged, storage, now);
        if head.is_none() {
            // A cookie set with a 304 is this client's, unless the origin means all clients.
            let mut storable = merged.clone();
            storable.remove(SET_COOKIE);
            head = self.judge(status, &storable, storage, now);
        }
        let mut report = Report {
            forward: Some(self.forward),
            forward_status: Some(StatusCode::NOT_MODIFIED),
            ..Report::default()
        };
        let mut headers = merged;
        if let Some(head) = head {
            let kept = Kept {
                head: Arc::new(head),
                content: stale.content.clone(),
            };
            let store = &self.cache.store;
            report.stored = store.put(&self.watch, kept.clone());
            report.ttl = Some(kept.head.lifetime.ttl(now));
            headers.insert(AGE, kept.head.lifetime.age(now).as_secs().into());
            self.share(kept, now);
        } else {
            self.cache.store.drop_variant(&self.watch.key, stale);
            self.land(Landing::Alone);
        }
        // In the store all is complete.
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
        whole.finish(self.client(), report)
    }

    fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        storage: &Storage,
        now: SystemTime,
    ) -> Option<Head> {
        let times = Times {
            requested: self.requested,
            received: now,
        };
        let set_cookie = self.cache.settings.set_cookie;
        let storable =
            freshness::judge(&self.request, status, headers, storage, set_cookie, times)?;
        let selection = Selection::of(headers, &self.request)?;
        let tags = match storage {
            Storage::Retain(retention) => retention.tags.clone(),
            Storage::Standard | Storage::Never => Vec::new(),
        };
        Some(Head {
            status,
            headers: stored_fields(headers, &storable, now),
            selection,
            lifetime: storable.lifetime,
            for_authorized: storable.for_authorized,
            tags,
            requested: self.requested,
            received: now,
        })
    }

    /// Stores the response as it comes, and lets all who wait read along.
    fn keep(mut self, head: Head, mut response: Whole, body: InnerBody, now: SystemTime) -> Answer {
        let cache = Arc::clone(&self.cache);
        let bytes_max = cache.settings.entry_bytes_max;
        if response.length.is_some_and(|length| length > bytes_max) {
            self.note_unshared(response.status, now);
            return self.pass_on(response, body);
        }
        if response.length == Some(0) || body.is_end_stream() {
            // A body that has ended before its length is broken, and passed on as such.
            if response.length.is_some_and(|length| length > 0) {
                return self.pass_on(response, body);
            }
            response.length = Some(0);
            return self.keep_empty(head, response, now);
        }
        let Some(room) = cache.budgets.reserve(response.length.unwrap_or(0)) else {
            self.land(Landing::Alone);
            return self.pass_on(response, body);
        };
        let growing = Growing::new(response.length, room);
        response.body = match growing.subscribe() {
            Some(reader) => CacheBody::growing(reader),
            // It has only just begun.
            None => CacheBody::empty(),
        };
        let kept = Kept {
            head: Arc::new(head),
            content: Content::Growing(Arc::clone(&growing)),
        };
        let report = self.report_stored(&kept, now);
        self.share(kept.clone(), now);
        let shared = kept.head.lifetime.is_fresh(now);
        let lead = self.lead.take().filter(|_| shared);
        let (flights, key) = (Arc::clone(&cache.flights), Arc::clone(&self.watch.key));
        let alone = Alone::new(&cache.alone);
        let answer = response.finish(self.client(), report);
        let watch = self.watch;
        let keep = move |stored: Arc<Stored>| {
            let content = Content::Stored(stored);
            let kept = Kept { content, ..kept };
            cache.store.put(&watch, kept);
        };
        // Those who come while it grows are told to read along, until the lead is dropped: with this,
        // at the end of the pump.
        let give_up = move || {
            flights.note_unshared(&key, now);
            drop(lead);
        };
        tokio::spawn(pump(body, growing, alone, bytes_max, keep, give_up));
        answer
    }

    fn keep_empty(self, head: Head, mut response: Whole, now: SystemTime) -> Answer {
        let stored = Arc::new(Stored::default());
        response.body = CacheBody::stored(&stored);
        let kept = Kept {
            head: Arc::new(head),
            content: Content::Stored(stored),
        };
        let report = self.report_stored(&kept, now);
        self.cache.store.put(&self.watch, kept.clone());
        self.share(kept, now);
        response.finish(self.client(), report)
    }

    fn report_stored(&self, kept: &Kept, now: SystemTime) -> Report {
        Report {
            forward: Some(self.forward),
            stored: true,
            ttl: Some(kept.head.lifetime.ttl(now)),
            ..Report::default()
        }
    }

    /// Tells those who wait, if it may answer them.
    fn share(&self, kept: Kept, now: SystemTime) {
        if kept.head.lifetime.is_fresh(now) {
            self.cache.flights.note_shared(&self.watch.key);
            self.land(Landing::Shared(kept));
        } else {
            if self.lead.is_some() {
                self.cache.flights.note_unshared(&self.watch.key, now);
            }
            self.land(Landing::Alone);
        }
    }

    /// Remembers that the key's responses are each for one, and drops what this one replaces.
    fn note_unshared(&self, status: StatusCode, now: SystemTime) {
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

    /// Sends the response on as it comes.
    fn pass_on(self, mut response: Whole, body: InnerBody) -> Answer {
        response.body = CacheBody::through(body);
        let report = Report {
            forward: Some(self.forward),
            ..Report::default()
        };
        if self.conditions_pass {
            report.write(&mut response.headers);
            return Answer {
                status: response.status,
                headers: response.headers,
                body: response.body,
            };
        }
        response.finish(self.client(), report)
    }
}

/// RFC 5861, section 4.
const STALE_IF_ERROR: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

const GONE: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::GONE];

pub(super) fn is_validatable(kept: &Kept) -> bool {
    let headers = &kept.head.headers;
    let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    kept.head.status.is_success() && has_validator
}

/// How long the body will be, where that is known.
fn content_length(headers: &HeaderMap, body: &InnerBody) -> Option<u64> {
    let stated = headers.get(CONTENT_LENGTH);
    let stated = stated.and_then(|value| value.to_str().ok()?.parse().ok());
    body.size_hint().exact().or(stated)
}
