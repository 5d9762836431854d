//! The limits in responses: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers
//! (revision 11, May 2026, the latest), `Retry-After` (RFC 9110, section 10.2.3), and a problem document (RFC
//! 9457) of the draft's types (section 5).
//!
//! - Count-only limits are not shown: they restrict no client, and their numbers are the operator's trial.
//! - `concurrent` is shown in the draft's unit `concurrent-requests`, without a window: it has none.
//! - No partition key (`pk`) is sent; it is optional in the draft, and keys stay in the gateway.
//! - In a refusal `RateLimit` names only the limits that refused. `Retry-After` should not be before the end of
//!   an effective window (section 6), and a monthly quota that still has room would hold back a client that need
//!   only wait a second. `RateLimit-Policy` stays the same in every response, as section 3 asks.
//! - If waiting never helps, because the cost alone exceeds a bound, there is no `Retry-After`.

use std::fmt::Write;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::json;

use super::{Bound, Charge, Finding, Standing};
use crate::limits::limiter::RETRY_CONCURRENT_SECONDS;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The largest Integer of structured fields (RFC 9651, section 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// The usual size of a list in bytes, so that it is written without growing.
const LIST_BYTES: usize = 128;

const QUOTA_EXCEEDED: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "Request cannot be satisfied as assigned quota has been exceeded",
);
const REDUCED_CAPACITY: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "Request cannot be satisfied due to temporary server capacity constraints",
);

impl Charge {
    /// Returns the fields for the response, as the limits stood when they were charged or last settled.
    pub fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let refused = self.refused();
        let shown = || self.standings().filter(|standing| standing.enforce);
        // A limit that could not be counted does not know what is left.
        let refusing = |one: &&Standing| one.refuses() && one.finding != Finding::NoRoom;
        let current = shown().filter(|one| !refused || refusing(one));
        let lists = [
            (POLICY, list(shown(), write_policy)),
            (LIMIT, list(current, write_limit)),
        ];
        let fields = lists.into_iter().filter_map(|(name, list)| {
            // Names were checked and the rest is ours, so every list is a valid value.
            let value = HeaderValue::try_from(list).ok()?;
            (!value.is_empty()).then_some((name, value))
        });
        fields.collect()
    }

    /// Returns the whole response to a refused request; `None` if it was not refused.
    pub fn refusal(&self, request_id: &str) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let refusing: Vec<&Standing> = self.standings().filter(|one| one.refuses()).collect();
        let found = |finding| refusing.iter().any(|one| one.finding == finding);
        if refusing.is_empty() {
            return None;
        }
        let (status, (kind, title), detail) = if found(Finding::NoRoom) {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                REDUCED_CAPACITY,
                "the gateway cannot count this request at present",
            )
        } else if found(Finding::Never) {
            (
                StatusCode::TOO_MANY_REQUESTS,
                QUOTA_EXCEEDED,
                "this request costs more than a limit ever allows; it will not pass later either",
            )
        } else {
            (
                StatusCode::TOO_MANY_REQUESTS,
                QUOTA_EXCEEDED,
                "too many requests; Retry-After says when there is room for this one",
            )
        };
        let names: Vec<&str> = refusing.iter().map(|one| one.name.as_str()).collect();
        let body = json!({
            "type": kind,
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "violated-policies": names,
            "request-id": request_id,
        });
        let mut headers: HeaderMap = self.fields().into_iter().collect();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, problem);
        if let Some(seconds) = retry_after(&refusing) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Some((status, headers, body.to_string().into()))
    }
}

/// Returns the seconds, at least one, until all refusing limits would let the request pass, if they ever
/// would.
fn retry_after(refusing: &[&Standing]) -> Option<u64> {
    let waits = refusing.iter().map(|one| match one.finding {
        Finding::Never => None,
        Finding::NoRoom => Some(RETRY_CONCURRENT_SECONDS),
        Finding::Within | Finding::Over => {
            Some(one.more_seconds.unwrap_or(RETRY_CONCURRENT_SECONDS).max(1))
        }
    });
    let longest = waits.collect::<Option<Vec<u64>>>()?.into_iter().max();
    // As in the fields: no reader has room for more.
    longest.map(|seconds| seconds.min(INTEGER_MAX))
}

/// Returns a List of structured fields (RFC 9651, section 3.1).
fn list<'a>(
    standings: impl Iterator<Item = &'a Standing>,
    write: fn(&mut String, &Standing),
) -> String {
    let mut list = String::with_capacity(LIST_BYTES);
    for standing in standings {
        if !list.is_empty() {
            list.push_str(", ");
        }
        write_string(&mut list, &standing.name);
        write(&mut list, standing);
    }
    list
}

/// Writes a String of structured fields (RFC 9651, section 3.3.3), with escapes.
fn write_string(list: &mut String, text: &str) {
    list.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            list.push('\\');
        }
        list.push(char);
    }
    list.push('"');
}

/// Writes the parameters of a quota policy (section 3.1 of the draft).
fn write_policy(list: &mut String, standing: &Standing) {
    match standing.bound {
        Bound::Rate {
            amount, period_ms, ..
        } => {
            // Windows are whole seconds; the amount is scaled to the window, rounded down.
            let seconds = period_ms.div_ceil(1_000);
            let of_window = u128::from(amount) * u128::from(seconds) * 1_000;
            let amount = of_window / u128::from(period_ms.max(1));
            write_parameter(list, "q", u64::try_from(amount).unwrap_or(u64::MAX));
            write_parameter(list, "w", seconds);
        }
        Bound::Quota { amount, .. } => {
            write_parameter(list, "q", amount);
            if let Some(window) = standing.window {
                write_parameter(list, "w", window.seconds());
            }
        }
        Bound::Concurrent(amount) => {
            write_parameter(list, "q", amount);
            list.push_str(";qu=\"concurrent-requests\"");
        }
    }
}

/// Writes the parameters of a service limit (section 4.1 of the draft).
fn write_limit(list: &mut String, standing: &Standing) {
    write_parameter(list, "r", standing.left);
    if let Some(seconds) = standing.more_seconds {
        write_parameter(list, "t", seconds);
    }
}

fn write_parameter(list: &mut String, name: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = write!(list, ";{name}={}", value.min(INTEGER_MAX));
}
