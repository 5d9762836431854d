//! The cache's answers.

use http::{HeaderMap, StatusCode};

use super::bodies::body::CacheBody;

/// A response to send, with a complete head.
pub struct Served {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: CacheBody,
}

impl Served {
    pub(super) fn empty(status: StatusCode) -> Served {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_LENGTH, 0.into());
        Served {
            status,
            headers,
            body: CacheBody::empty(),
        }
    }
}
