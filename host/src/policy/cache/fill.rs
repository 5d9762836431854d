//! A fetch on its way out: handling the response for the store, for the client that asked, and for waiting
//! requests (RFC 9111, sections 3 and 4.3).

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{
    CONTENT_LENGTH, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{Method, StatusCode};

use super::answer::Served;
use super::bodies::body::CacheBody;
use super::kept::flight::{Followers, Landing, Lead};
use super::kept::store::{StoredResponse, Watch};
use super::rules::conditions::CLIENTS_OWN;
use super::rules::directives::RequestDirectives;
use super::rules::head::merge;
use super::rules::range;
use super::rules::status::{Forward, Report};
use super::rules::storage::Storage;
use super::serve::{Client, Whole};
use super::shared::Cache;
use crate::http::body::BoxBody;

/// A fetch whose response the cache wants to see. If it is dropped unanswered (the client has gone, a plugin
/// failed), one of the waiting requests takes its place.
pub struct Fill {
    pub(super) cache: Arc<Cache>,
    pub(super) watch: Watch,
    pub(super) is_head: bool,
    /// The client's request.
    pub(super) request: HeaderMap,
    pub(super) requested: SystemTime,
    pub(super) forward: Forward,
    /// The stored response, which is too old.
    pub(super) stale: Option<StoredResponse>,
    /// The client's conditions and range go inwards as they are.
    pub(super) conditions_pass: bool,
    pub(super) lead: Option<Lead>,
}

/// The outcome of the way out.
pub enum Filled {
    Served(Served),
    /// The response is of no use to the client: send the request of this [`Fill`] and answer with its
    /// response.
    AskAgain(Fill),
}

impl Fill {
    /// Changes the request that goes inwards: removes the client's conditions and range, which are met on the
    /// way out, and adds the validators of the stored response.
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

    /// Returns the requests that wait for this fetch, now or later; `None` if it is for its own client alone.
    pub fn followers(&self) -> Option<Followers> {
        self.lead.as_ref().map(Lead::followers)
    }

    /// Returns the stored response that is being validated: a success with a validator.
    pub(super) fn validated(&self) -> Option<&StoredResponse> {
        let stale = self.stale.as_ref().filter(|_| !self.conditions_pass)?;
        is_validatable(stale).then_some(stale)
    }

    /// Returns the head that a 304 of the inner chain stands for: the stored one, freshened. The plugin's
    /// hook should judge that and not the 304. `None` if the response stands for itself.
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
        body: BoxBody,
        storage: Storage,
        gateway_error: bool,
        now: SystemTime,
    ) -> Filled {
        if gateway_error || STALE_IF_ERROR.contains(&status) {
            if let Some(answer) = self.stand_in(status, now) {
                return Filled::Served(answer);
            }
        } else if status == StatusCode::NOT_MODIFIED
            && let Some(stale) = self.validated().cloned()
        {
            return self.not_modified(&stale, &headers, &storage, now);
        }
        if self.is_head && !gateway_error && storage != Storage::Unjudged {
            self.freshen_by_head(status, &headers, &storage, now);
        }
        let judged = if self.is_head || gateway_error {
            None
        } else {
            self.judge(status, &headers, &storage, now)
        };
        let length = if self.is_head {
            None
        } else {
            content_length(&headers, &body)
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
                // Otherwise another request leads: this failure need not befall the waiting requests.
                if !gateway_error && storage != Storage::Unjudged {
                    self.note_unshared(status, now);
                }
                self.pass_on(response, body, now)
            }
        }
    }

    pub(super) fn client(&self) -> Client<'_> {
        Client {
            is_head: self.is_head,
            headers: &self.request,
        }
    }

    pub(super) fn land(&self, landing: Landing) {
        if let Some(lead) = &self.lead {
            lead.land(landing);
        }
    }

    /// Answers an upstream's failure with the stored response, if allowed (RFC 9111, section 4.2.4; RFC 5861,
    /// section 4).
    fn stand_in(&self, status: StatusCode, now: SystemTime) -> Option<Served> {
        // A stored failure says less than the current one.
        let stale = self.stale.as_ref();
        let stale = stale.filter(|stale| !stale.head.status.is_server_error())?;
        let lifetime = &stale.head.lifetime;
        let wish = RequestDirectives::of(&self.request).stale_if_error;
        if !lifetime.may_answer_for_failure(now, wish) {
            return None;
        }
        // The waiting requests may not have that wish.
        if lifetime.may_answer_for_failure(now, None) {
            self.land(Landing::Shared(stale.clone()));
        }
        let report = Report {
            forward: Some(self.forward),
            forward_status: Some(status),
            detail: Some("stale-if-error"),
            ..Report::default()
        };
        stale.serve(self.client(), now, report)
    }

    /// Sends the response on as it arrives, unless the client is better served by its own range.
    pub(super) fn pass_on(self, mut response: Whole, body: BoxBody, now: SystemTime) -> Filled {
        if self.is_far_off(&response, false) {
            return Filled::AskAgain(self.of_its_own(now));
        }
        response.body = CacheBody::through(body);
        let report = Report {
            forward: Some(self.forward),
            ..Report::default()
        };
        if self.conditions_pass {
            report.write(&mut response.headers);
            return Filled::Served(Served {
                status: response.status,
                headers: response.headers,
                body: response.body,
            });
        }
        Filled::Served(response.finish(self.client(), report))
    }

    /// Whether the range that was removed from the request is too far off to be cut from this response.
    pub(super) fn is_far_off(&self, response: &Whole, is_stored: bool) -> bool {
        let Whole {
            status, headers, ..
        } = response;
        !self.conditions_pass
            && !self.is_head
            && range::is_far_off(&self.request, *status, headers, response.length, is_stored)
    }

    /// Returns the same request for its client alone, as the client made it.
    pub(super) fn of_its_own(&self, now: SystemTime) -> Fill {
        Fill {
            cache: Arc::clone(&self.cache),
            watch: self.cache.store.watch(&self.watch.key),
            is_head: self.is_head,
            request: self.request.clone(),
            requested: now,
            forward: self.forward,
            stale: None,
            conditions_pass: true,
            lead: None,
        }
    }
}

/// RFC 5861, section 4.
const STALE_IF_ERROR: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

pub(super) fn is_validatable(kept: &StoredResponse) -> bool {
    let headers = &kept.head.headers;
    let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    kept.head.status.is_success() && has_validator
}

/// Returns the length of the body, if it is known.
fn content_length(headers: &HeaderMap, body: &BoxBody) -> Option<u64> {
    let stated = headers.get(CONTENT_LENGTH);
    let stated = stated.and_then(|value| value.to_str().ok()?.parse().ok());
    http_body::Body::size_hint(body).exact().or(stated)
}
