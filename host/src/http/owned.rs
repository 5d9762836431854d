//! Copies of data that outlives its exchange.
//!
//! hyper returns slices of a connection's read buffer, and one slice keeps the whole buffer: 8 KiB after
//! small messages, hundreds of KiB after large ones. Data kept beyond its exchange is therefore copied into
//! its own memory, so that it holds no more than is counted for it.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Uri, uri};

use crate::limits::message::FIELD_OVERHEAD_BYTES;

/// Copies the fields, their values in one allocation and the map without spare room.
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

/// Copies the value.
pub fn value(value: &HeaderValue) -> HeaderValue {
    let own = Bytes::copy_from_slice(value.as_bytes());
    // A value is as valid as what it was copied from.
    let mut own = HeaderValue::from_maybe_shared(own).unwrap_or_else(|_| value.clone());
    own.set_sensitive(value.is_sensitive());
    own
}

/// Copies the name. Names that `http` does not know have text of their own.
pub fn name(name: &HeaderName) -> HeaderName {
    HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone())
}

/// Copies path and query, and leaves out the rest of the URI.
pub fn path_and_query(uri: &Uri) -> Uri {
    let text = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let own = Bytes::copy_from_slice(text.as_bytes());
    let mut parts = uri::Parts::default();
    parts.path_and_query = PathAndQuery::from_maybe_shared(own).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

/// Returns the cost of such a map, in bytes.
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
