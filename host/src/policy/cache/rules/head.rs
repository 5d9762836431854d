//! Heads as they are stored and updated (RFC 9111, sections 3.1 and 3.2).

use std::time::SystemTime;

use http::HeaderValue;
use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap,
    HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::freshness::Storable;
use crate::http::owned;

/// Returns the fields of a head to store (RFC 9111, section 3.1), copied into their own memory: the received
/// ones are slices of a connection's buffer.
pub fn stored_fields(headers: &HeaderMap, storable: &Storable, now: SystemTime) -> HeaderMap {
    let mut fields = headers.clone();
    for name in &storable.withheld {
        fields.remove(name);
    }
    for name in NOT_STORED {
        fields.remove(name);
    }
    // RFC 9110, section 6.6.1: a recipient that stores a response without a date adds one.
    if !fields.contains_key(DATE)
        && now.duration_since(SystemTime::UNIX_EPOCH).is_ok()
        && let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now))
    {
        fields.insert(DATE, date);
    }
    owned::fields(&fields)
}

/// Fields of one connection or one proxy, fields computed anew for each answer, and what a limiter further
/// inwards tells one client about its remaining quota.
const NOT_STORED: [HeaderName; 13] = [
    AGE,
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Returns a stored head updated by that of a 304 (RFC 9111, section 3.2), except for fields that the stored
/// body depends on.
pub fn merge(stored: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let mut merged = stored.clone();
    // With the old date it would stay as old as it was.
    merged.remove(DATE);
    for name in update.keys().filter(|name| !OF_THE_BODY.contains(name)) {
        merged.remove(name);
        for value in update.get_all(name) {
            merged.append(name, value.clone());
        }
    }
    merged
}

const OF_THE_BODY: [HeaderName; 5] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    ETAG,
];
