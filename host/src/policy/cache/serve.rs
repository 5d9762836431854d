//! From a stored or fetched response to what this client gets (RFC 9111, section 4; RFC 9110, section 13).

use std::time::SystemTime;

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HeaderMap, HeaderName,
};
use http::{HeaderValue, StatusCode};

use super::answer::Served;
use super::bodies::body::CacheBody;
use super::kept::store::{StoredContent, StoredResponse};
use super::rules::conditions::is_not_modified;
use super::rules::range::{self, Asked};
use super::rules::status::Report;

/// The client's part of a request.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    pub is_head: bool,
    pub headers: &'a HeaderMap,
}

/// A response before the client's conditions and range.
pub struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: CacheBody,
    /// The body's length, if known.
    pub length: Option<u64>,
    pub received: SystemTime,
}

impl StoredContent {
    /// Returns a body to send, from its beginning, and its length; `None` if the beginning is no longer kept.
    pub fn open(&self) -> Option<(CacheBody, Option<u64>)> {
        match self {
            StoredContent::Stored(stored) => {
                Some((CacheBody::stored(stored), Some(stored.length())))
            }
            StoredContent::Growing(growing) => {
                let reader = growing.subscribe()?;
                Some((CacheBody::growing(reader), growing.expected()))
            }
        }
    }
}

impl StoredResponse {
    /// Answers with this response; `None` if the beginning of its body is no longer kept.
    pub fn serve(&self, client: Client<'_>, now: SystemTime, mut report: Report) -> Option<Served> {
        let head = &self.head;
        let (body, length) = self.content.open()?;
        let mut headers = head.headers.clone();
        headers.insert(AGE, head.lifetime.age(now).as_secs().into());
        report.ttl = Some(head.lifetime.ttl(now));
        let whole = Whole {
            status: head.status,
            headers,
            body,
            length,
            received: head.received,
        };
        Some(whole.finish(client, report))
    }
}

impl Whole {
    /// Applies the client's conditions and range, and writes the report.
    pub fn finish(mut self, client: Client<'_>, mut report: Report) -> Served {
        if is_not_modified(client.headers, self.status, &self.headers, self.received) {
            for name in REPRESENTATION {
                self.headers.remove(name);
            }
            report.forward_status = report
                .forward
                .and(report.forward_status.or(Some(self.status)));
            self.status = StatusCode::NOT_MODIFIED;
            self.body = CacheBody::empty();
        } else if let Some(length) = self.length {
            self.cut(client, length);
        }
        if client.is_head {
            self.body = CacheBody::empty();
        }
        report.write(&mut self.headers);
        Served {
            status: self.status,
            headers: self.headers,
            body: self.body,
        }
    }

    fn cut(&mut self, client: Client<'_>, length: u64) {
        let asked = if client.is_head {
            Asked::Whole
        } else {
            range::asked(client.headers, self.status, &self.headers, length)
        };
        let length = match asked {
            Asked::Whole => length,
            Asked::Part(from, count) => {
                let body = std::mem::replace(&mut self.body, CacheBody::empty());
                self.body = body.part(from, count);
                self.status = StatusCode::PARTIAL_CONTENT;
                count
            }
            Asked::Unsatisfiable => {
                self.body = CacheBody::empty();
                self.status = StatusCode::RANGE_NOT_SATISFIABLE;
                0
            }
        };
        if let Some(content_range) = range::content_range(asked, self.length.unwrap_or(length)) {
            self.headers.insert(CONTENT_RANGE, content_range);
        }
        // RFC 9110, section 8.6.
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        if !bodiless.contains(&self.status) {
            self.headers
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
}

/// Fields about a body, which a 304 does not have (RFC 9110, section 15.4.5).
const REPRESENTATION: [HeaderName; 5] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
];
