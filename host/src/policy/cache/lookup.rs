//! The way in: whether a request is answered, waits, or goes inwards (RFC 9111, section 4).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::{Method, StatusCode, Uri};
use tokio::time::Instant;

use super::answer::Served;
use super::fill::{Fill, is_validatable};
use super::kept::flight::{Landing, Lead, Role, Waited};
use super::kept::store::{self, StoredContent, StoredHead, StoredResponse, Watch};
use super::pass::{Invalidates, Pass};
use super::rules::directives::RequestDirectives;
use super::rules::key::{self, StoreKey, Target};
use super::rules::status::{Forward, Report};
use super::rules::{conditions, range};
use super::serve::Client;
use super::shared::Cache;
use crate::http::owned;
use crate::limits::cache::COLLAPSE_ROUNDS;

/// The head of a request, as the entries so far have edited it.
#[derive(Debug, Clone, Copy)]
pub struct CacheRequest<'a> {
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    pub scheme: &'a str,
    pub authority: &'a str,
    pub headers: &'a HeaderMap,
}

/// The plugin's answer on the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMode {
    /// Neither read nor fill. An unsafe method still invalidates its URI.
    Bypass,
    /// Scheme, authority, path and query.
    Standard,
    /// These parts in place of the URI.
    Keyed(Vec<String>),
}

/// What to do with a request.
pub enum Found {
    /// Send this; the request goes no further inwards.
    Served(Served),
    /// Send this stale response, and run the inner chain beside it for the [`Fill`]; drop the fill's answer,
    /// which no client gets.
    AnswerAndRevalidate(Served, Fill),
    /// Go inwards; the response belongs to the [`Fill`].
    Fetch(Fill),
    /// Go inwards with the request as it is; the response's head belongs to the [`Pass`].
    Pass(Pass),
}

/// A request that the cache may answer.
struct Wanted<'a> {
    key: StoreKey,
    client: Client<'a>,
    wishes: RequestDirectives,
    /// The plugin vouches for the key, even if the request has `Authorization`.
    is_keyed: bool,
    /// The head of a response that another request fetched, of another variant.
    other: Option<Arc<StoredHead>>,
}

/// A request that the cache cannot answer.
struct Miss {
    forward: Forward,
    stale: Option<StoredResponse>,
    /// The secondary key: the fields that this key's responses vary by, with this request's values.
    secondary: Vec<u8>,
    /// The request must fetch for itself.
    alone: bool,
}

impl Cache {
    /// The way in. May wait, for a bounded time, for another request's fetch of the same key.
    pub async fn lookup(
        self: &Arc<Self>,
        request: &CacheRequest<'_>,
        mode: KeyMode,
        namespace: &str,
        start: SystemTime,
    ) -> Found {
        let mut wanted = match self.want(request, mode, namespace) {
            Ok(wanted) => wanted,
            Err(pass) => return Found::Pass(pass),
        };
        let began = Instant::now();
        let mut rounds = 0;
        loop {
            let now = start + began.elapsed();
            let miss = match self.hit(&wanted, now) {
                Ok(found) => return found,
                Err(miss) => miss,
            };
            let watch = self.store.watch(&wanted.key);
            if miss.alone || rounds == COLLAPSE_ROUNDS {
                return self.fetch(&wanted, miss, watch, None, now);
            }
            rounds += 1;
            let place = (Arc::clone(&wanted.key), miss.secondary.clone());
            let too_old = |kept: &StoredResponse| !kept.head.lifetime.is_fresh(now);
            let follower = match self.flights.join(place, watch.generation, too_old) {
                Role::Leads(lead) => return self.fetch(&wanted, miss, watch, Some(lead), now),
                Role::Crowded => return self.fetch(&wanted, miss, watch, None, now),
                Role::Follows(follower) => follower,
            };
            let waited = follower.wait().await;
            let now = start + began.elapsed();
            match waited {
                Waited::Landed(Landing::Shared(kept)) => {
                    if wanted.is_far_off(&kept) {
                        return self.fetch(&wanted, miss, watch, None, now);
                    }
                    if let Some(answer) = self.follow(&wanted, &miss, &kept, now) {
                        return Found::Served(answer);
                    }
                    wanted.other = Some(kept.head);
                }
                // All leaders gave up: join again, and perhaps lead.
                Waited::Landed(Landing::Waiting) => {}
                Waited::Landed(Landing::Alone) => {
                    return self.fetch(&wanted, miss, watch, None, now);
                }
                Waited::Lead(lead) => return self.fetch(&wanted, miss, watch, Some(lead), now),
            }
        }
    }

    fn want<'r>(
        self: &Arc<Self>,
        request: &CacheRequest<'r>,
        mode: KeyMode,
        namespace: &str,
    ) -> Result<Wanted<'r>, Pass> {
        let is_head = request.method == Method::HEAD;
        if request.method != Method::GET && !is_head {
            return Err(self.pass(request, mode, namespace));
        }
        let pass = |forward| Pass {
            forward,
            invalidates: None,
        };
        let wishes = RequestDirectives::of(request.headers);
        let (key, is_keyed) = match mode {
            KeyMode::Bypass => return Err(pass(Forward::Bypass)),
            // A request body is not part of the key.
            _ if wishes.no_store
                || conditions::is_for_origin(request.headers)
                || has_body(request.headers)
                || asks_for_another_method(request.headers) =>
            {
                return Err(pass(Forward::Request));
            }
            KeyMode::Standard => (target(request).key(namespace), false),
            KeyMode::Keyed(parts) => (key::keyed(namespace, &parts), true),
        };
        let client = Client {
            is_head,
            headers: request.headers,
        };
        Ok(Wanted {
            key,
            client,
            wishes,
            is_keyed,
            other: None,
        })
    }

    /// Returns the pass for a method whose responses are never stored.
    fn pass(self: &Arc<Self>, request: &CacheRequest<'_>, mode: KeyMode, namespace: &str) -> Pass {
        let is_safe = [Method::OPTIONS, Method::TRACE].contains(request.method);
        let (forward, keyed) = match mode {
            KeyMode::Bypass => (Forward::Bypass, None),
            KeyMode::Standard => (Forward::Method, None),
            KeyMode::Keyed(parts) => (Forward::Method, Some(parts)),
        };
        let invalidates = (!is_safe).then(|| {
            Box::new(Invalidates {
                cache: Arc::clone(self),
                namespace: namespace.to_owned(),
                others: Vec::new(),
                target: target(request),
                keyed,
            })
        });
        Pass {
            forward,
            invalidates,
        }
    }

    /// Answers from the store, if possible.
    fn hit(self: &Arc<Self>, wanted: &Wanted<'_>, now: SystemTime) -> Result<Found, Miss> {
        let variants = self.store.get(&wanted.key);
        let variants = variants.as_deref().unwrap_or_default();
        let best = store::best(variants, |kept| wanted.selects(kept), now);
        let insists = best.is_some_and(|kept| wanted.insists(kept, now));
        let offered = best.filter(|_| !insists);
        if let Some(kept) = offered
            && (kept.head.lifetime.is_fresh(now) || wanted.takes_stale(kept, now))
            && let Some(answer) = kept.serve(wanted.client, now, Report::default())
        {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Found::Served(answer));
        }
        let other = wanted.other.as_ref().map(|head| &head.selection);
        let varies_as = other.or_else(|| store::varies_as(variants));
        let secondary = varies_as.map(|selection| selection.secondary_key(wanted.client.headers));
        let miss = Miss {
            forward: match best {
                Some(_) if insists => Forward::Request,
                Some(_) => Forward::Stale,
                None if variants.iter().any(|kept| wanted.is_like(kept)) => Forward::Request,
                None if !variants.is_empty() => Forward::VaryMiss,
                None => Forward::UriMiss,
            },
            stale: best.cloned(),
            secondary: secondary.unwrap_or_default(),
            // A response to a request with `Authorization` can seldom be shared, so waiting for it would be
            // in vain; and a fetch that began earlier is not the validation that this request demands now.
            alone: insists
                || wanted.wishes.no_cache
                || wanted.client.is_head
                || wanted.is_authorized(),
        };
        if let Some(kept) = offered
            && kept.head.lifetime.may_answer_while_revalidated(now)
            && let Some(answer) = kept.serve(wanted.client, now, Report::default())
        {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(self.revalidate(wanted, miss, answer, now));
        }
        self.without_hit(wanted, miss, now)
    }

    /// Answers with the stale response, and has it fetched anew unless another request already does.
    fn revalidate(
        self: &Arc<Self>,
        wanted: &Wanted<'_>,
        mut miss: Miss,
        answer: Served,
        now: SystemTime,
    ) -> Found {
        let place = (Arc::clone(&wanted.key), std::mem::take(&mut miss.secondary));
        let watch = self.store.watch(&wanted.key);
        let too_old = |kept: &StoredResponse| !kept.head.lifetime.is_fresh(now);
        match self.flights.join(place, watch.generation, too_old) {
            Role::Leads(lead) => {
                let mut fill = self.fill(wanted, miss, watch, Some(lead), now);
                fill.is_head = false;
                // The fill outlives the request, whose client already has an answer.
                for name in conditions::CLIENTS_OWN {
                    fill.request.remove(name);
                }
                fill.request = owned::fields(&fill.request);
                Found::AnswerAndRevalidate(answer, fill)
            }
            Role::Follows(_) | Role::Crowded => Found::Served(answer),
        }
    }

    fn without_hit(
        &self,
        wanted: &Wanted<'_>,
        mut miss: Miss,
        now: SystemTime,
    ) -> Result<Found, Miss> {
        if wanted.wishes.only_if_cached {
            return Ok(Found::Served(Served::empty(StatusCode::GATEWAY_TIMEOUT)));
        }
        if wanted.client.is_head && miss.stale.is_none() {
            return Ok(Found::Pass(Pass {
                forward: miss.forward,
                invalidates: None,
            }));
        }
        miss.alone |= self.flights.is_unshared(&wanted.key, now);
        Err(miss)
    }

    fn follow(
        &self,
        wanted: &Wanted<'_>,
        miss: &Miss,
        kept: &StoredResponse,
        now: SystemTime,
    ) -> Option<Served> {
        if !wanted.selects(kept) {
            return None;
        }
        let report = Report {
            forward: Some(miss.forward),
            collapsed: true,
            ..Report::default()
        };
        let answer = kept.serve(wanted.client, now, report)?;
        self.counters.collapsed.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    fn fetch(
        self: &Arc<Self>,
        wanted: &Wanted<'_>,
        miss: Miss,
        watch: Watch,
        lead: Option<Lead>,
        now: SystemTime,
    ) -> Found {
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        Found::Fetch(self.fill(wanted, miss, watch, lead, now))
    }

    fn fill(
        self: &Arc<Self>,
        wanted: &Wanted<'_>,
        miss: Miss,
        watch: Watch,
        lead: Option<Lead>,
        now: SystemTime,
    ) -> Fill {
        Fill {
            cache: Arc::clone(self),
            watch,
            is_head: wanted.client.is_head,
            request: wanted.client.headers.clone(),
            requested: now,
            forward: miss.forward,
            // A fetch for one client gains nothing by fetching more than the client asked for, unless that
            // validates the stored response.
            conditions_pass: lead.is_none() && !miss.stale.as_ref().is_some_and(is_validatable),
            stale: miss.stale,
            lead,
        }
    }
}

impl Wanted<'_> {
    fn is_authorized(&self) -> bool {
        !self.is_keyed && self.client.headers.contains_key(AUTHORIZATION)
    }

    /// Whether the request selects this one of its key's variants.
    fn is_like(&self, kept: &StoredResponse) -> bool {
        let head = &kept.head;
        head.selection.selects(self.client.headers, &head.headers)
    }

    /// Whether the request selects this variant and may have it. The origin may have something else for a
    /// caller that it knows, so a request with `Authorization` only gets a response that says it may be
    /// shared with one.
    fn selects(&self, kept: &StoredResponse) -> bool {
        self.is_like(kept) && (kept.head.for_authorized || !self.is_authorized())
    }

    /// Whether the client would wait long for the part of this response that it wants.
    fn is_far_off(&self, kept: &StoredResponse) -> bool {
        let StoredContent::Growing(growing) = &kept.content else {
            return false;
        };
        let (head, length) = (&kept.head, growing.expected());
        let request = self.client.headers;
        self.selects(kept) && range::is_far_off(request, head.status, &head.headers, length, true)
    }

    /// Whether the client accepts this response although it is stale.
    fn takes_stale(&self, kept: &StoredResponse, now: SystemTime) -> bool {
        let lifetime = &kept.head.lifetime;
        let max_stale = self.wishes.max_stale;
        max_stale.is_some_and(|max| lifetime.may_answer_stale_on_request(now, max))
    }

    /// Whether the client refuses this response as it is (RFC 9111, section 5.2.1).
    fn insists(&self, kept: &StoredResponse, now: SystemTime) -> bool {
        let lifetime = &kept.head.lifetime;
        let older = |max| lifetime.age(now) > Duration::from_secs(max);
        let staler = |min| lifetime.freshness(now) < Duration::from_secs(min);
        self.wishes.no_cache
            || self.wishes.max_age.is_some_and(older)
            || self.wishes.min_fresh.is_some_and(staler)
    }
}

/// Whether a server may treat the request as another method: its answer would not be one to a GET.
fn asks_for_another_method(headers: &HeaderMap) -> bool {
    METHOD_OVERRIDES
        .iter()
        .any(|name| headers.contains_key(name))
}

const METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

fn target(request: &CacheRequest<'_>) -> Target {
    let path = request.uri.path_and_query();
    let path = path.map_or("", |path| path.as_str());
    Target::new(request.scheme, request.authority, path)
}
