//! A request to an upstream. Its head stays with the caller, so that it can be sent to another server, or once
//! more, without a copy for the case that it has to be.

use http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use http::{Method, Request, Uri};
use http_body::Body;

use crate::http::body::RequestBody;

/// What an upstream is asked.
pub struct OutgoingRequest<'h> {
    pub method: &'h Method,
    /// In origin-form.
    pub uri: &'h Uri,
    pub headers: &'h mut HeaderMap,
    /// Whether the caller reads the headers afterwards; else they may be gone.
    pub keeps_headers: bool,
    /// Whether the content of the response is to come as it is, without a coding.
    pub wants_identity: bool,
    /// What is left of it to send.
    pub body: RequestBody,
}

impl OutgoingRequest<'_> {
    /// The request as this server is sent it, with the framing of HTTP/1.1. The body goes with it.
    pub fn take(&mut self, server: &str) -> Request<RequestBody> {
        let rest = self.body.empty_again();
        let mut request = Request::new(std::mem::replace(&mut self.body, rest));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let is_empty = request.body().is_end_stream();
        let mut headers = if self.keeps_headers || is_empty {
            self.headers.clone()
        } else {
            std::mem::take(self.headers)
        };
        if !headers.contains_key(HOST)
            && let Ok(name) = HeaderValue::try_from(server)
        {
            // A client of HTTP/1.0 may name no host; to HTTP/1.1 there must be one.
            headers.insert(HOST, name);
        }
        if self.wants_identity {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        match request.body().size_hint().exact() {
            // Of itself hyper sends a GET or HEAD without the body that it has.
            None => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
            Some(0) if means_content(self.method) => drop(headers.insert(CONTENT_LENGTH, 0.into())),
            Some(_) => {}
        }
        *request.headers_mut() = headers;
        request
    }

    /// Takes back a request of which nothing was sent.
    pub fn give_back(&mut self, request: Request<RequestBody>) {
        let (head, body) = request.into_parts();
        if !self.keeps_headers && self.headers.is_empty() {
            *self.headers = head.headers;
        }
        self.body = body;
    }
}

/// Methods whose requests have content, so that one without says so (RFC 9110, section 8.6).
fn means_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn sent(method: &Method, body: &'static [u8], keeps_headers: bool) -> (HeaderMap, HeaderMap) {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("b"));
        let mut outgoing = OutgoingRequest {
            method,
            uri: &Uri::from_static("/"),
            headers: &mut headers,
            keeps_headers,
            wants_identity: false,
            body: RequestBody::whole(Bytes::from_static(body)),
        };
        let first = outgoing.take("a.example");
        let sent = first.headers().clone();
        // Unsent, it is taken back whole and can go to another server.
        outgoing.give_back(first);
        let second = outgoing.take("b.example");
        assert_eq!(second.headers().len(), sent.len());
        assert_eq!(second.headers()["x-a"], "b");
        assert_eq!(second.body().size_hint().exact(), Some(body.len() as u64));
        (sent, headers)
    }

    #[test]
    fn a_request_says_that_it_has_no_content_where_one_is_meant() {
        assert_eq!(sent(&Method::POST, b"", true).0[CONTENT_LENGTH], "0");
        assert!(!sent(&Method::GET, b"", true).0.contains_key(CONTENT_LENGTH));
        assert!(
            !sent(&Method::POST, b"x", true)
                .0
                .contains_key(CONTENT_LENGTH)
        );
        assert_eq!(sent(&Method::GET, b"", false).0[HOST], "a.example");
    }

    #[test]
    fn headers_stay_where_they_are_read_again() {
        for (body, keeps, left) in [
            (&b"x"[..], true, 1),
            (b"", true, 1),
            (b"", false, 1),
            (b"x", false, 0),
        ] {
            let (_, headers) = sent(&Method::PUT, body, keeps);
            assert_eq!(headers.len(), left, "{body:?} {keeps}");
            assert!(!headers.contains_key(CONTENT_LENGTH));
        }
    }
}
