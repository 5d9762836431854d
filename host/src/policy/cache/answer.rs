//! What the cache answers.

use http::{HeaderMap, StatusCode};

use super::bodies::body::CacheBody;

/// A response to send on, its head complete.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: CacheBody,
}

impl Answer {
    pub(super) fn empty(status: StatusCode) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_LENGTH, 0.into());
        Answer {
            status,
            headers,
            body: CacheBody::empty(),
        }
    }
}
