//! Clients' conditions, evaluated against a stored response (RFC 9110, section 13; RFC 9111, section 4.3.2).

use std::time::{Duration, SystemTime};

use http::header::{
    DATE, ETAG, HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderValue, StatusCode};

use super::date::date;
use super::directives::members;

/// Whether the request has conditions that only the origin can judge.
pub fn is_for_origin(request: &HeaderMap) -> bool {
    request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE)
}

/// Conditions and ranges of a client's GET that the cache answers itself.
pub const CLIENTS_OWN: [HeaderName; 4] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE];

/// Whether the client already has this representation.
pub fn is_not_modified(
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    received: SystemTime,
) -> bool {
    // Conditions only apply to an otherwise successful response (RFC 9110, section 13.2.1).
    if !status.is_success() {
        return false;
    }
    let mut wanted = request.get_all(IF_NONE_MATCH).iter().peekable();
    if wanted.peek().is_some() {
        let tag = response.get(ETAG).map(HeaderValue::as_bytes);
        return wanted
            .flat_map(|line| members(line.as_bytes()))
            .any(|wanted| wanted == b"*" || tag.is_some_and(|tag| weakly_equal(wanted, tag)));
    }
    let Some(since) = request.get(IF_MODIFIED_SINCE).and_then(date) else {
        return false;
    };
    let changed = response.get(LAST_MODIFIED).and_then(date);
    let changed = changed
        .or_else(|| response.get(DATE).and_then(date))
        .unwrap_or(received);
    changed <= since
}

/// RFC 9110, section 8.8.3.2. A value that is no entity tag is compared as it is.
pub fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    opaque(one) == opaque(other)
}

/// Whether a range may be cut from the response (RFC 9110, section 13.1.5): there is no `If-Range`, or it
/// matches exactly.
pub fn range_holds(request: &HeaderMap, response: &HeaderMap) -> bool {
    let Some(wanted) = request.get(IF_RANGE) else {
        return true;
    };
    if wanted.as_bytes().starts_with(b"\"") {
        return response.get(ETAG) == Some(wanted);
    }
    let modified = response.get(LAST_MODIFIED);
    let (Some(wanted), Some(modified)) = (date(wanted), modified.and_then(date)) else {
        return false;
    };
    // A change within the second of its date would not show (RFC 9110, section 8.8.2.2).
    let stated = response.get(DATE).and_then(date);
    let strong = stated.is_some_and(|stated| stated >= modified + Duration::from_secs(1));
    wanted == modified && strong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    const OLD: &str = "Sat, 29 Oct 1994 19:43:31 GMT";
    const OLD_850: &str = "Saturday, 29-Oct-94 19:43:31 GMT";
    const NEW: &str = "Sun, 30 Oct 1994 19:43:31 GMT";

    fn not_modified(request: &[(HeaderName, &str)], response: &[(HeaderName, &str)]) -> bool {
        let (request, response) = (headers(request), headers(response));
        is_not_modified(&request, StatusCode::OK, &response, SystemTime::now())
    }

    /// The suite's conditional-etag: (ETag, If-None-Match, whether it is 304).
    #[test]
    fn entity_tags() {
        for (tag, wanted, same) in [
            ("\"abcdef\"", "\"abcdef\"", true),
            ("\"abcdef\"", "*", true),
            ("\"abcdef\u{fc}\"", "\"abcdef\u{fc}\"", true),
            ("W/\"abcdef\"", "W/\"abcdef\"", true),
            ("W/\"abcdef\"", "\"abcdef\"", true),
            ("\"abcdef\"", "W/\"abcdef\"", true),
            ("w/\"abcdef\"", "w/\"abcdef\"", true),
            ("\"abcdef\"", "\"abcdef\", \"1234\", \"5678\"", true),
            ("\"abcdef\"", "\"1234\", \"abcdef\", \"5678\"", true),
            ("\"abcdef\"", "\"1234\", \"5678\", \"abcdef\"", true),
            ("\"a,b\"", "\"a,b\"", true),
            ("abcdef", "abcdef", true),
            ("\"abcdef\"", "abcdef", false),
            ("abcdef", "\"abcdef\"", false),
            ("\"abcdef\"", "\"abcde\"", false),
            ("\"a\"", "\"x, \"a\"", false),
        ] {
            let found = not_modified(&[(IF_NONE_MATCH, wanted)], &[(ETAG, tag)]);
            assert_eq!(found, same, "{tag} {wanted}");
        }
        // It has precedence over the date, also where it does not match.
        let both = [(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, NEW)];
        assert!(!not_modified(
            &both,
            &[(ETAG, "\"y\""), (LAST_MODIFIED, OLD)]
        ));
        assert!(!not_modified(&[(IF_NONE_MATCH, "\"x\"")], &[]));
    }

    /// The suite's conditional-lm.
    #[test]
    fn dates() {
        let since = |date| [(IF_MODIFIED_SINCE, date)];
        assert!(not_modified(&since(OLD), &[(LAST_MODIFIED, OLD)]));
        assert!(not_modified(&since(NEW), &[(LAST_MODIFIED, OLD)]));
        assert!(not_modified(&since(OLD_850), &[(LAST_MODIFIED, OLD)]));
        assert!(!not_modified(&since(OLD), &[(LAST_MODIFIED, NEW)]));
        assert!(not_modified(&since(OLD), &[(DATE, OLD)]));
        assert!(!not_modified(&since(OLD), &[(DATE, NEW)]));
        assert!(!not_modified(&since(OLD), &[]));
        assert!(!not_modified(&since("yesterday"), &[(LAST_MODIFIED, OLD)]));
        assert!(!not_modified(&[], &[(LAST_MODIFIED, OLD)]));
    }

    #[test]
    fn only_successes_are_not_modified() {
        let (request, response) = (
            headers(&[(IF_NONE_MATCH, "\"a\"")]),
            headers(&[(ETAG, "\"a\"")]),
        );
        let found = |status| is_not_modified(&request, status, &response, SystemTime::now());
        assert!(found(StatusCode::OK));
        assert!(!found(StatusCode::NOT_FOUND));
        assert!(!found(StatusCode::FOUND));
    }

    #[test]
    fn if_range() {
        let holds = |wanted, response: &[(HeaderName, &str)]| {
            range_holds(&headers(&[(IF_RANGE, wanted)]), &headers(response))
        };
        assert!(holds("\"a\"", &[(ETAG, "\"a\"")]));
        assert!(!holds("\"a\"", &[(ETAG, "\"b\"")]));
        assert!(!holds("W/\"a\"", &[(ETAG, "W/\"a\"")]));
        assert!(!holds("\"a\"", &[(ETAG, "W/\"a\"")]));
        assert!(holds(OLD, &[(LAST_MODIFIED, OLD), (DATE, NEW)]));
        assert!(!holds(OLD, &[(LAST_MODIFIED, OLD), (DATE, OLD)]));
        assert!(!holds(OLD, &[(LAST_MODIFIED, OLD)]));
        assert!(!holds(NEW, &[(LAST_MODIFIED, OLD), (DATE, NEW)]));
        assert!(!holds("nonsense", &[(ETAG, "nonsense")]));
        assert!(range_holds(&HeaderMap::new(), &HeaderMap::new()));
    }
}
