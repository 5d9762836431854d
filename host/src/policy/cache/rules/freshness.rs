//! Which responses may be stored, and how long they may answer (RFC 9111, sections 3 and 4.2; RFC 5861).

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, ETAG, EXPIRES, HeaderMap, HeaderName, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderValue, StatusCode};

use super::date::date;
use super::directives::ResponseDirectives;
use super::storage::{Retention, Storage};
use crate::limits::cache::{HEURISTIC_MAX, SECONDS_MAX};

/// A response's age, and how long it may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    received: SystemTime,
    /// Its age when it was received (RFC 9111, section 4.2.3).
    initial_age: Duration,
    /// Its age before its own fetch began, by its `Age` and its `Date`.
    earlier_age: Duration,
    fresh: Duration,
    /// How long beyond that it may answer while another is fetched.
    while_revalidate: Duration,
    /// How long beyond that it may answer when the upstream fails.
    if_error: Duration,
    /// Whether a client may take it stale.
    on_request: bool,
}

impl Lifetime {
    pub fn age(&self, now: SystemTime) -> Duration {
        let resident = now.duration_since(self.received).unwrap_or_default();
        self.initial_age.saturating_add(resident)
    }

    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.fresh > self.age(now)
    }

    /// Whether it is fresh for a request that waited for its fetch.
    pub fn was_fresh_when_made(&self) -> bool {
        self.fresh > self.earlier_age
    }

    /// Returns how long it stays fresh, in whole seconds; negative once it is stale.
    pub fn ttl(&self, now: SystemTime) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.fresh).saturating_sub(seconds(self.age(now)))
    }

    /// Returns how long it has been stale.
    pub fn staleness(&self, now: SystemTime) -> Duration {
        self.age(now).saturating_sub(self.fresh)
    }

    /// Returns how much longer it is fresh.
    pub fn freshness(&self, now: SystemTime) -> Duration {
        self.fresh.saturating_sub(self.age(now))
    }

    pub fn may_answer_while_revalidated(&self, now: SystemTime) -> bool {
        self.staleness(now) < self.while_revalidate
    }

    /// Whether it may stand in for a failure: for as long as it says itself, or as the client says (`wish`,
    /// in seconds; RFC 5861, section 4).
    pub fn may_answer_for_failure(&self, now: SystemTime, wish: Option<u64>) -> bool {
        let wished = wish
            .is_some_and(|wish| self.on_request && self.staleness(now) < Duration::from_secs(wish));
        wished || self.staleness(now) < self.if_error
    }

    pub fn may_answer_stale_on_request(&self, now: SystemTime, max_stale: u64) -> bool {
        self.on_request && self.staleness(now) <= Duration::from_secs(max_stale)
    }
}

/// A response that may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storable {
    pub lifetime: Lifetime,
    /// Fields that are not stored with it.
    pub withheld: Vec<HeaderName>,
    /// Whether it may answer requests with `Authorization`.
    pub for_authorized: bool,
}

/// When a response was asked for and received.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub requested: SystemTime,
    pub received: SystemTime,
}

impl Times {
    fn delay(self) -> Duration {
        let delay = self.received.duration_since(self.requested);
        delay.unwrap_or_default()
    }
}

/// Judges whether and for how long a shared cache may store the response to a GET with the fields `request`.
/// Whether it can be selected again is up to [`super::vary`].
pub fn judge(
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    storage: &Storage,
    times: Times,
) -> Option<Storable> {
    if status.is_informational() || DEPENDS_ON_REQUEST.contains(&status) {
        return None;
    }
    let mut directives = ResponseDirectives::of(response);
    let without = match storage {
        Storage::Never | Storage::Unjudged => return None,
        Storage::Standard => &[][..],
        Storage::StandardWithout(without) => without,
        Storage::Retain(retention) => &retention.without,
    };
    directives.withheld.extend_from_slice(without);
    // Frameworks add a cookie to any response, and a stored session cookie would log every client in as its
    // owner. RFC 9111, section 7.3 lets a cache store it; this one requires that the field is taken out.
    let is_taken_out = |name| directives.withheld.contains(name);
    if SETS_COOKIES
        .iter()
        .any(|name| response.contains_key(name) && !is_taken_out(name))
    {
        return None;
    }
    match storage {
        Storage::Retain(retention) => Some(retained(retention, directives, response, times)),
        _ => standard(request, status, response, directives, times),
    }
}

/// Fields by which a response marks its client.
pub const SETS_COOKIES: [HeaderName; 2] = [SET_COOKIE, HeaderName::from_static("set-cookie2")];

/// Parts, and answers to conditions: another request may need another response.
const DEPENDS_ON_REQUEST: [StatusCode; 4] = [
    StatusCode::PARTIAL_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::RANGE_NOT_SATISFIABLE,
];

fn retained(
    retention: &Retention,
    directives: ResponseDirectives,
    response: &HeaderMap,
    times: Times,
) -> Storable {
    let initial_age = initial_age(response, times);
    Storable {
        lifetime: Lifetime {
            received: times.received,
            initial_age,
            earlier_age: earlier_age(response, times),
            fresh: initial_age.saturating_add(retention.fresh),
            while_revalidate: retention.stale_while_revalidate,
            if_error: retention.stale_if_error,
            on_request: false,
        },
        withheld: directives.withheld,
        for_authorized: true,
    }
}

fn standard(
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    directives: ResponseDirectives,
    times: Times,
) -> Option<Storable> {
    if directives.private {
        return None;
    }
    match directives.must_understand {
        true if !UNDERSTOOD.contains(&status.as_u16()) => return None,
        false if directives.no_store => return None,
        _ => {}
    }
    let shared = directives.public || directives.s_maxage.is_some();
    // RFC 9111, section 3.5.
    let for_authorized = shared || directives.must_revalidate;
    if request.contains_key(http::header::AUTHORIZATION) && !for_authorized {
        return None;
    }
    let explicit = explicit_lifetime(&directives, response, times);
    let heuristic = HEURISTIC.contains(&status.as_u16()) || directives.public;
    let lifetime = match explicit {
        Some(lifetime) => lifetime,
        // With a cookie, a page without explicit freshness is likely to be personal.
        None if request.contains_key(http::header::COOKIE) => Duration::ZERO,
        None if heuristic => heuristic_lifetime(response, times),
        None if directives.no_cache => Duration::ZERO,
        None => return None,
    };
    let lifetime = lifetime_of(&directives, lifetime, response, times);
    // It may serve waiting requests, even if no later ones.
    let useful = lifetime.was_fresh_when_made()
        || lifetime.may_answer_while_revalidated(times.received)
        || lifetime.may_answer_for_failure(times.received, None)
        || (status.is_success() && has_validator(response));
    useful.then_some(Storable {
        lifetime,
        withheld: directives.withheld,
        for_authorized,
    })
}

/// Status codes whose meaning for caches is known here (RFC 9111, section 5.2.2.3).
const UNDERSTOOD: [u16; 24] = [
    200, 201, 202, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 409, 410, 414,
    500, 501, 502, 503, 504,
];

/// All status codes that may be stored without an explicit lifetime (RFC 9110, section 15.1).
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

fn has_validator(response: &HeaderMap) -> bool {
    response.contains_key(ETAG) || response.contains_key(LAST_MODIFIED)
}

fn lifetime_of(
    directives: &ResponseDirectives,
    fresh: Duration,
    response: &HeaderMap,
    times: Times,
) -> Lifetime {
    // RFC 9111, section 4.2.4. A cache may serve stale responses of its own accord while it cannot reach the
    // origin; this one requires permission from the origin or the plugin, since API clients are seldom people
    // who would notice. `s-maxage` alone forbids it too; an explicit `stale-...` beside it is more specific
    // and wins, as origins mean it and other shared caches read it.
    let never = directives.must_revalidate || directives.proxy_revalidate || directives.no_cache;
    let window = |seconds: Option<u64>| {
        if never {
            Duration::ZERO
        } else {
            Duration::from_secs(seconds.unwrap_or_default())
        }
    };
    Lifetime {
        received: times.received,
        initial_age: initial_age(response, times),
        earlier_age: earlier_age(response, times),
        fresh: if directives.no_cache {
            Duration::ZERO
        } else {
            fresh
        },
        while_revalidate: window(directives.stale_while_revalidate),
        if_error: window(directives.stale_if_error),
        on_request: !never && directives.s_maxage.is_none(),
    }
}

/// RFC 9111, section 4.2.1, except heuristics.
fn explicit_lifetime(
    directives: &ResponseDirectives,
    response: &HeaderMap,
    times: Times,
) -> Option<Duration> {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Some(Duration::from_secs(seconds));
    }
    // The earliest of several; an invalid date counts as past (section 5.3).
    let expires = response.get_all(EXPIRES).iter().map(date);
    let earliest = expires.min()?;
    let date = response.get(DATE).and_then(date).unwrap_or(times.received);
    let lifetime = earliest.and_then(|expires| expires.duration_since(date).ok());
    Some(lifetime.unwrap_or_default())
}

/// RFC 9111, section 4.2.2.
fn heuristic_lifetime(response: &HeaderMap, times: Times) -> Duration {
    let stated = response.get(DATE).and_then(date).unwrap_or(times.received);
    let modified = response.get(LAST_MODIFIED).and_then(date);
    let unchanged = modified.and_then(|modified| stated.duration_since(modified).ok());
    (unchanged.unwrap_or_default() / 10).min(HEURISTIC_MAX)
}

/// RFC 9111, section 4.2.3: `corrected_initial_age`.
fn initial_age(response: &HeaderMap, times: Times) -> Duration {
    let corrected = stated_age(response).saturating_add(times.delay());
    apparent_age(response, times).max(corrected)
}

/// The same without the time of the fetch: the response's age to a request that waited for it.
fn earlier_age(response: &HeaderMap, times: Times) -> Duration {
    let apparent = apparent_age(response, times).saturating_sub(times.delay());
    apparent.max(stated_age(response))
}

/// RFC 9111, section 4.2.3: `apparent_age`.
fn apparent_age(response: &HeaderMap, times: Times) -> Duration {
    let stated = response.get(DATE).and_then(date);
    let apparent = stated.and_then(|date| times.received.duration_since(date).ok());
    // A `Date` has whole seconds: ignore fractions of a second.
    Duration::from_secs(apparent.unwrap_or_default().as_secs())
}

fn stated_age(response: &HeaderMap) -> Duration {
    response.get(AGE).and_then(age_value).unwrap_or_default()
}

/// Reads `Age`: the first of several, ignored if it is no number (RFC 9111, section 5.1).
fn age_value(value: &HeaderValue) -> Option<Duration> {
    let first = value.to_str().ok()?.split(',').next()?.trim();
    if first.is_empty() || !first.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = first.parse().unwrap_or(SECONDS_MAX);
    Some(Duration::from_secs(seconds.min(SECONDS_MAX)))
}
