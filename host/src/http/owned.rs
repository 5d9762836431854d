//! Copies for what outlives its exchange.
//!
//! What hyper reads are slices of a connection's read buffer, and one slice keeps the whole buffer: 8 KiB
//! after small messages, hundreds of KiB after large ones. Whatever is kept beyond its exchange is
//! therefore copied into memory of its own, so that it holds what it is counted as.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Uri, uri};

use crate::limits::message::FIELD_OVERHEAD_BYTES;

/// The same fields, their values in one allocation and the map as large as it needs to be.
pub fn fields(headers: &HeaderMap) -> HeaderMap {
    let mut text = Vec::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values() {
        text.extend_from_slice(value.as_bytes());
    }
    let mut text = Bytes::from(text);
    let mut copy = HeaderMap::new();
    for (name, value) in headers {
        // A value is as valid as what it was copied from.
        let Ok(mut own) = HeaderValue::from_maybe_shared(text.split_to(value.len())) else {
            continue;
        };
        own.set_sensitive(value.is_sensitive());
        copy.append(self::name(name), own);
    }
    // A clone has no spare room.
    copy.clone()
}

/// The same value.
pub fn value(value: &HeaderValue) -> HeaderValue {
    let own = Bytes::copy_from_slice(value.as_bytes());
    // A value is as valid as what it was copied from.
    let mut own = HeaderValue::from_maybe_shared(own).unwrap_or_else(|_| value.clone());
    own.set_sensitive(value.is_sensitive());
    own
}

/// The same name. Those that are not known to `http` have text of their own.
pub fn name(name: &HeaderName) -> HeaderName {
    HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone())
}

/// The same path and query; whatever else a URI has is left out.
pub fn path_and_query(uri: &Uri) -> Uri {
    let text = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let own = Bytes::copy_from_slice(text.as_bytes());
    let mut parts = uri::Parts::default();
    parts.path_and_query = PathAndQuery::from_maybe_shared(own).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

/// What such a map costs, in bytes.
pub fn weight(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    fields
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD_BYTES)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a slice lies in this buffer.
    fn is_within(buffer: &Bytes, slice: &[u8]) -> bool {
        buffer.as_ptr_range().contains(&slice.as_ptr())
    }

    #[test]
    fn no_copy_is_a_slice_of_what_it_was_read_from() {
        let buffer = Bytes::from(vec![b'a'; 64 << 10]);
        let slice = |from: usize, to: usize| {
            HeaderValue::from_maybe_shared(buffer.slice(from..to)).unwrap()
        };
        let mut headers = HeaderMap::new();
        headers.append("etag", slice(0, 10));
        headers.append("x-own", slice(10, 11));
        headers.append("x-own", slice(11, 30));
        headers.append("x-empty", slice(30, 30));
        let mut secret = slice(40, 50);
        secret.set_sensitive(true);
        headers.append("x-secret", secret);
        assert!(is_within(&buffer, headers["etag"].as_bytes()));

        let copy = fields(&headers);
        assert_eq!(copy, headers);
        assert!(copy["x-secret"].is_sensitive() && !copy["etag"].is_sensitive());
        assert!(
            copy.values()
                .all(|value| !is_within(&buffer, value.as_bytes()))
        );

        let target = Bytes::from_static(b"/a%20b/?c=d&e").to_vec();
        let target = Bytes::from(target);
        let parsed = PathAndQuery::from_maybe_shared(target.clone()).unwrap();
        let uri = Uri::from(parsed);
        assert!(is_within(&target, uri.path().as_bytes()));
        let own = path_and_query(&uri);
        assert_eq!(own, uri);
        assert!(!is_within(&target, own.path().as_bytes()));
    }
}
