use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use super::backing;
use crate::{EditableRequest, EditableResponse, Request, Response};

/// Starts a request to this target (a path, with or without a query).
pub fn request(method: &str, target: &str) -> RequestBuilder {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    RequestBuilder(backing::RequestState {
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        scheme: "http".to_owned(),
        authority: "api.example".to_owned(),
        client_address: "192.0.2.1".to_owned(),
        id: "test-request".to_owned(),
        route_name: "test-route".to_owned(),
        ..Default::default()
    })
}

/// Starts a response.
pub fn response(status: u16) -> ResponseBuilder {
    ResponseBuilder(backing::ResponseState {
        status,
        headers: Vec::new(),
        body: backing::Body::default(),
    })
}

/// A request in the making; see [`request`].
#[must_use]
pub struct RequestBuilder(backing::RequestState);

impl RequestBuilder {
    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0
            .headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_owned()));
        self
    }

    /// Sets the body that [`Request::read_body`] answers; empty if not called.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = backing::Body::Whole(body.into());
        self
    }

    /// Lets reading the body fail, as when the client breaks off.
    pub fn broken_body(mut self, reason: &str) -> Self {
        self.0.body = backing::Body::Broken(reason.to_owned());
        self
    }

    /// Sets how the client reached the gateway; `http` if not called.
    pub fn scheme(mut self, scheme: &str) -> Self {
        scheme.clone_into(&mut self.0.scheme);
        self
    }

    /// Sets the host the client asked for; `api.example` if not called.
    pub fn authority(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.0.authority);
        self
    }

    /// Sets a parameter of the route's path template.
    pub fn path_parameter(mut self, name: &str, value: &str) -> Self {
        self.0.path_parameters.insert(name.into(), value.into());
        self
    }

    /// Sets the client's address; `192.0.2.1` if not called.
    pub fn client_address(mut self, address: &str) -> Self {
        address.clone_into(&mut self.0.client_address);
        self
    }

    /// Sets the certificate that the client showed, in DER.
    pub fn client_certificate(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.0.client_certificate = Some(der.into());
        self
    }

    /// Sets the request's identifier; `test-request` if not called.
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.0.id);
        self
    }

    /// Sets the route's name; `test-route` if not called.
    pub fn route_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.0.route_name);
        self
    }

    /// Sets a variable of the route.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.0.variables.insert(name.into(), value.into());
        self
    }

    /// Sets the principal that an authorizer granted.
    pub fn principal(mut self, principal: &str) -> Self {
        self.0.principal = Some(principal.to_owned());
        self
    }

    /// Sets the usage key that an authorizer granted.
    pub fn usage_key(mut self, key: &str) -> Self {
        self.0.usage_key = Some(key.to_owned());
        self
    }

    /// Sets a claim that an authorizer granted.
    pub fn claim(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.0.claims.insert(name.into(), value.into().to_string());
        self
    }

    /// Sets a claim to JSON text as an authorizer may have written it, valid or not.
    pub fn claim_text(mut self, name: &str, json: &str) -> Self {
        self.0.claims.insert(name.into(), json.into());
        self
    }

    /// Sets a note of another plugin.
    pub fn attribute(mut self, plugin: &str, name: &str, value: &str) -> Self {
        self.0
            .attributes
            .insert((plugin.into(), name.into()), value.into());
        self
    }

    /// Finishes the request.
    pub fn build(self) -> TestRequest {
        TestRequest(backing::Request(Rc::new(RefCell::new(self.0))))
    }
}

/// A request to call hooks with: a [`Request`] by dereference.
pub struct TestRequest(backing::Request);

impl Deref for TestRequest {
    type Target = Request;

    fn deref(&self) -> &Request {
        Request::wrap(&self.0)
    }
}

impl TestRequest {
    pub(super) fn state(&self) -> &RefCell<backing::RequestState> {
        &self.0.0
    }

    /// The request is with the upstream: on the way out its body can no longer be read.
    pub(super) fn send(&self) {
        let reason = "the request's body is gone: it can be read on the way in";
        self.state().borrow_mut().body = backing::Body::Broken(reason.to_owned());
    }

    /// Calls a hook that edits the request; what it did can be read from the request afterwards.
    pub fn edit<T>(&mut self, hook: impl FnOnce(&mut EditableRequest<'_>) -> T) -> T {
        let edits = backing::RequestEdits(Rc::clone(&self.0.0));
        hook(&mut EditableRequest::new(Request::wrap(&self.0), &edits))
    }
}

/// A response in the making; see [`response`].
#[must_use]
pub struct ResponseBuilder(backing::ResponseState);

impl ResponseBuilder {
    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0
            .headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_owned()));
        self
    }

    /// Sets the body that [`Response::read_body`] answers; empty if not called.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = backing::Body::Whole(body.into());
        self
    }

    /// Lets reading the body fail, as when the upstream breaks off.
    pub fn broken_body(mut self, reason: &str) -> Self {
        self.0.body = backing::Body::Broken(reason.to_owned());
        self
    }

    /// Finishes the response.
    pub fn build(self) -> TestResponse {
        TestResponse(backing::Response(Rc::new(RefCell::new(self.0))))
    }
}

/// A response to call hooks with: a [`Response`] by dereference.
pub struct TestResponse(backing::Response);

impl Deref for TestResponse {
    type Target = Response;

    fn deref(&self) -> &Response {
        Response::wrap(&self.0)
    }
}

impl TestResponse {
    pub(super) fn state(&self) -> &RefCell<backing::ResponseState> {
        &self.0.0
    }

    /// Calls a hook that edits the response; what it did can be read from the response afterwards.
    pub fn edit<T>(&mut self, hook: impl FnOnce(&mut EditableResponse<'_>) -> T) -> T {
        let edits = backing::ResponseEdits(Rc::clone(&self.0.0));
        hook(&mut EditableResponse::new(Response::wrap(&self.0), &edits))
    }
}
