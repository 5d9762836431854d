//! What a call changed, as it was: a call that faults leaves nothing of what it did.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::body::{Content, RequestBody};
use crate::http::exchange::{Attributes, Exchange, RequestHead, ResponseHead};
use crate::limits;

#[derive(Default)]
pub struct Undo {
    request: HeadBefore<RequestHead>,
    written: Option<Vec<HeaderName>>,
    pub request_body: Option<RequestBody>,
    response: HeadBefore<ResponseHead>,
    pub response_body: Option<Content>,
    attributes: Option<Attributes>,
}

/// A head before its first edit: the fields that were edited since, one by one, which is most of what
/// plugins do; and from some other edit on, all of it.
struct HeadBefore<H> {
    fields: Vec<(HeaderName, Vec<HeaderValue>)>,
    whole: Option<H>,
}

impl<H> Default for HeadBefore<H> {
    fn default() -> Self {
        HeadBefore {
            fields: Vec::new(),
            whole: None,
        }
    }
}

trait Fields: Clone {
    fn fields(&mut self) -> &mut HeaderMap;
}

impl Fields for RequestHead {
    fn fields(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}

impl Fields for ResponseHead {
    fn fields(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}

impl<H: Fields> HeadBefore<H> {
    fn keep(&mut self, head: &H) {
        if self.whole.is_none() {
            self.whole = Some(head.clone());
        }
    }

    fn keep_field(&mut self, head: &mut H, name: &HeaderName) {
        if self.whole.is_some() {
            return;
        }
        if self.fields.len() >= limits::plugin::FIELDS_KEPT_MAX {
            self.keep(head);
            return;
        }
        let values = head.fields().get_all(name).iter().cloned().collect();
        self.fields.push((name.clone(), values));
    }

    fn restore(&mut self, head: &mut H) {
        if let Some(whole) = self.whole.take() {
            *head = whole;
        }
        for (name, values) in self.fields.drain(..).rev() {
            let fields = head.fields();
            fields.remove(&name);
            for value in values {
                fields.append(&name, value);
            }
        }
    }

    fn forget(&mut self) {
        self.fields.clear();
        self.whole = None;
    }
}

impl Undo {
    /// Notes a request before an edit of any kind.
    pub fn request(&mut self, head: &RequestHead) {
        self.request.keep(head);
    }

    /// Notes a request before an edit of one field.
    pub fn request_field(&mut self, exchange: &mut Exchange, name: &HeaderName) {
        self.request.keep_field(&mut exchange.request, name);
        if self.written.is_none() {
            self.written = Some(exchange.written.clone());
        }
    }

    /// Notes a response before an edit of any kind.
    pub fn response(&mut self, head: &ResponseHead) {
        self.response.keep(head);
    }

    /// Notes a response before an edit of one field.
    pub fn response_field(&mut self, head: &mut ResponseHead, name: &HeaderName) {
        self.response.keep_field(head, name);
    }

    /// Remembers the notes before one is written.
    pub fn attributes(&mut self, attributes: &Attributes) {
        if self.attributes.is_none() {
            self.attributes = Some(attributes.clone());
        }
    }

    /// Takes back the edits and the notes of a call that faulted.
    pub fn restore(&mut self, exchange: &mut Exchange) {
        self.request.restore(&mut exchange.request);
        if let Some(written) = self.written.take() {
            exchange.written = written;
        }
        if let Some(body) = self.request_body.take() {
            exchange.request_body = body;
        }
        if let Some(response) = &mut exchange.response {
            self.response.restore(response);
        }
        if let Some(body) = self.response_body.take() {
            exchange.response_body = body;
        }
        if let Some(attributes) = self.attributes.take() {
            exchange.attributes = attributes;
        }
    }

    /// A new call begins, or none does.
    pub fn forget(&mut self) {
        self.request.forget();
        self.written = None;
        self.request_body = None;
        self.response.forget();
        self.response_body = None;
        self.attributes = None;
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;
    use crate::http::target::Target;

    fn head() -> RequestHead {
        let mut headers = HeaderMap::new();
        headers.append("a", HeaderValue::from_static("1"));
        headers.append("a", HeaderValue::from_static("2"));
        RequestHead {
            method: Method::GET,
            target: Target::root(),
            headers,
            asked: None,
        }
    }

    #[test]
    fn any_order_of_edits_is_taken_back() {
        let names: Vec<HeaderName> = (0..limits::plugin::FIELDS_KEPT_MAX + 3)
            .map(|number| HeaderName::try_from(format!("x-{}", number % 5)).unwrap())
            .collect();
        for whole_after in 0..names.len() + 1 {
            let (before, mut now) = (head(), head());
            let mut kept = HeadBefore::default();
            for (index, name) in names.iter().enumerate() {
                if index == whole_after {
                    kept.keep(&now);
                    now.method = Method::POST;
                }
                kept.keep_field(&mut now, name);
                now.headers.insert(name, HeaderValue::from_static("9"));
                let a = HeaderName::from_static("a");
                kept.keep_field(&mut now, &a);
                now.headers.remove(&a);
            }
            kept.restore(&mut now);
            assert_eq!(now.headers, before.headers);
            assert_eq!(now.method, before.method);
        }
    }

    #[test]
    fn responses_too() {
        let mut now = ResponseHead {
            status: StatusCode::OK,
            headers: head().headers,
        };
        let mut kept = HeadBefore::default();
        let a = HeaderName::from_static("a");
        kept.keep_field(&mut now, &a);
        now.headers.insert(&a, HeaderValue::from_static("3"));
        kept.keep(&now);
        now.status = StatusCode::NOT_FOUND;
        kept.restore(&mut now);
        assert_eq!(now.status, StatusCode::OK);
        assert_eq!(now.headers, head().headers);
    }
}
