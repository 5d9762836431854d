//! The identifier of a request in logs, to its upstream and to its client.

use std::sync::Arc;

use http::HeaderName;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the identifier of a new request: a version 7 UUID, so that they sort by time (RFC 9562, section
/// 5.7).
pub fn new() -> Arc<str> {
    let mut text = uuid::Uuid::encode_buffer();
    let id = uuid::Uuid::now_v7();
    Arc::from(&*id.hyphenated().encode_lower(&mut text))
}
