//! Unreadable heads: answered and recorded like every other request.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, Uri};

use super::request_id::{self, REQUEST_ID};
use crate::error::{Failure, FailureKind};
use crate::gateway::{Gateway, Listener};
use crate::http::peer::Peer;
use crate::observe::{Arrival, Record, Unread};

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHead {
    /// It is not HTTP/1.1.
    Malformed,
    LongTarget,
    /// Its target is not a URI.
    Target,
    TooLarge,
    /// It states a length that no body can have.
    LargeLength,
    /// Its end did not come in time.
    Late,
    /// The connection ended in the middle of it.
    BrokenOff,
}

/// The answer to a head that cannot be read, and the record of it.
pub struct Refusal {
    pub response: Response<Bytes>,
    record: Record,
}

impl Refusal {
    /// Writes the record.
    pub fn end(mut self, complete: bool) {
        self.record.complete = complete;
        if complete {
            self.record.bytes_out = self.response.body().len() as u64;
        }
    }
}

/// Answers a head that cannot be read. `seen` is its beginning, as far as it is known, and `detail` the
/// parser's error.
pub fn refuse_head(
    gateway: &Arc<Gateway>,
    listener: &Listener,
    peer: &Peer,
    bad: BadHead,
    seen: &[u8],
    detail: &str,
) -> Refusal {
    let id = request_id::new();
    let unread = Unread::of(seen);
    let mut record = gateway.record(Arrival {
        listener: Arc::clone(&listener.name),
        id: Arc::clone(&id),
        client: Some(peer.address),
        method: Method::from_bytes(unread.method.as_bytes()).unwrap_or_default(),
        target: Uri::default(),
    });
    let failure = Failure::new(kind(bad, seen), detail);
    record.fail(&failure);
    let (head, mut body) = failure.respond(&id);
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, body.len().into());
    if let Ok(value) = HeaderValue::try_from(&*id) {
        headers.insert(REQUEST_ID, value);
    }
    if record.method == Method::HEAD {
        body = Bytes::new();
    }
    *response.body_mut() = body;
    record.status = head.status.as_u16();
    record.unread = Some(unread);
    Refusal { response, record }
}

fn kind(bad: BadHead, seen: &[u8]) -> FailureKind {
    /// A TLS record with a handshake, of any version.
    const TLS: &[u8] = &[0x16, 0x03];
    match bad {
        BadHead::LongTarget => FailureKind::TargetTooLong,
        BadHead::Target => FailureKind::BadRequest(
            "the request's target has characters that must be percent-encoded, or is no URI",
        ),
        BadHead::LargeLength => {
            FailureKind::BadRequest("the request's content-length is too large")
        }
        BadHead::TooLarge => FailureKind::HeadersTooLarge,
        BadHead::Late => FailureKind::ClientStalled,
        BadHead::BrokenOff => FailureKind::BadRequest("the request's head is not complete"),
        BadHead::Malformed if seen.starts_with(TLS) => {
            FailureKind::BadRequest("this port speaks plain HTTP, not TLS")
        }
        BadHead::Malformed if seen.starts_with(b"PRI * HTTP/2") => {
            FailureKind::BadRequest("this port speaks HTTP/1.1, not HTTP/2")
        }
        BadHead::Malformed => FailureKind::BadRequest("the request's head is not HTTP/1.1"),
    }
}
