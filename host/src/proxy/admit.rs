//! Cleaning a request's head, and finding its route.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, HOST, HeaderValue, ORIGIN};
use http::{HeaderMap, Method, Request, Version};

use super::request_id::REQUEST_ID;
use crate::error::{Failure, FailureKind};
use crate::gateway::{Gateway, Listener, Route};
use crate::http::body::{Content, RequestBody};
use crate::http::exchange::{Attributes, Exchange, RequestHead};
use crate::http::peer::Peer;
use crate::http::target::Target;
use crate::http::{fields, forwarded, hops};
use crate::limits;
use crate::route::Routed;

/// Returns the host that the client asked for, for the record. It is not checked yet, so it is cut to the
/// length that a host can have.
pub(super) fn host_as_sent(request: &Request<RequestBody>) -> String {
    let sent = match request.uri().authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => request
            .headers()
            .get(HOST)
            .map_or(&b""[..], HeaderValue::as_bytes),
    };
    String::from_utf8_lossy(&sent[..sent.len().min(limits::logs::HOST_BYTES_SHOWN)]).into_owned()
}

/// Cleans a request's head and finds its route. Takes the body if there is one.
pub(super) fn admit(
    gateway: &Gateway,
    listener: &Listener,
    peer: &Peer,
    id: &Arc<str>,
    head: http::request::Parts,
    body: &mut Option<RequestBody>,
) -> Result<(Arc<Route>, Box<Exchange>), Failure> {
    let mut headers = head.headers;
    acceptable(&head.method, &head.uri, &headers)?;
    let authority = authority(&head.uri, head.version, &headers)?;
    fields::remove_hop_by_hop(&mut headers);
    fields::remove_expectation(&mut headers);
    // The framing states the body's length; a field that says something else must not reach an upstream.
    headers.remove(CONTENT_LENGTH);
    let host = authority
        .as_ref()
        .and_then(|value| value.to_str().ok().map(str::to_owned));
    if let Some(authority) = authority {
        headers.insert(HOST, authority);
    }
    hops::pass(&mut headers, head.version);
    let passes = hops::passes(&headers);
    let settled = forwarded::settle(&mut headers, peer, &listener.trusted_proxies);
    fields::remove_shadows(&mut headers);
    if let Ok(value) = HeaderValue::try_from(&**id) {
        headers.insert(REQUEST_ID, value);
    }

    let preflight = preflight(&head.method, &headers);
    let asked = preflight.as_ref().unwrap_or(&head.method);
    let Some(target) = Target::of_request(&head.uri) else {
        return Err(no_target(&head.method, &head.uri));
    };
    let found = gateway.router.find(asked, host.as_deref(), target.path());
    let (route, parameters) = match found {
        Routed::Route { index, parameters } => {
            let parameters = parameters
                .iter()
                .map(|(name, value)| (name.to_owned(), value.into_owned()))
                .collect();
            (Arc::clone(&gateway.routes[index]), parameters)
        }
        Routed::MethodNotAllowed { allow } => {
            let kind = FailureKind::MethodNotAllowed(allow);
            return Err(Failure::new(kind, "the path has routes for other methods"));
        }
        Routed::Nothing => return Err(Failure::new(FailureKind::NoRoute, "no route")),
        Routed::BadPath(reason) => {
            return Err(Failure::new(FailureKind::BadRequest(reason), reason));
        }
    };
    let exchange = Box::new(Exchange {
        id: Arc::clone(id),
        scheme: settled.scheme,
        client: settled.client,
        route: Arc::clone(&route.name),
        variables: Arc::clone(&route.variables),
        parameters,
        preflight,
        request: RequestHead {
            method: head.method,
            target,
            headers,
            asked: settled.asked,
        },
        passes,
        written: Vec::new(),
        request_body: body
            .take()
            .unwrap_or_else(|| RequestBody::whole(Bytes::new())),
        response: None,
        response_body: Content::default(),
        caller: None,
        attributes: Attributes::default(),
    });
    Ok((route, exchange))
}

/// Returns the method that a CORS preflight asks for (the Fetch standard, "CORS-preflight request"). It takes
/// that method's route, so that the chain that guards the one also answers the other.
fn preflight(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// Returns the failure of a request without a path: it is for the server as a whole (RFC 9112, section
/// 3.2.4), or asks for a tunnel with another method.
fn no_target(method: &Method, uri: &http::Uri) -> Failure {
    if method == Method::OPTIONS && uri == "*" {
        return Failure::new(FailureKind::NoRoute, "no route");
    }
    let text = "the path does not begin with a slash";
    Failure::new(FailureKind::BadRequest(text), text)
}

/// Refuses requests that no route may see.
fn acceptable(method: &Method, uri: &http::Uri, headers: &http::HeaderMap) -> Result<(), Failure> {
    if method == Method::CONNECT {
        let text = "this is a gateway, not a tunnel";
        return Err(Failure::new(FailureKind::BadRequest(text), text));
    }
    if method == Method::TRACE {
        let detail =
            "TRACE is not forwarded: its answer would show what policies add to the request";
        return Err(Failure::new(FailureKind::NotImplemented, detail));
    }
    if hops::passes(headers) >= limits::message::PASSES_MAX {
        let detail = format!(
            "{} passes, by its `Via`: a route's upstream leads back here",
            limits::message::PASSES_MAX
        );
        return Err(Failure::new(FailureKind::Loop, detail));
    }
    if !fields::plain_framing(headers) {
        let text = "the request has a transfer coding that is not `chunked`";
        return Err(Failure::new(FailureKind::BadRequest(text), text));
    }
    if uri
        .scheme_str()
        .is_some_and(|scheme| !matches!(scheme, "http" | "https"))
    {
        let text = "the target's scheme is neither http nor https";
        return Err(Failure::new(FailureKind::BadRequest(text), text));
    }
    if uri.path().len() + uri.query().map_or(0, str::len) > limits::message::TARGET_BYTES_MAX {
        let detail = format!("more than {} bytes", limits::message::TARGET_BYTES_MAX);
        return Err(Failure::new(FailureKind::TargetTooLong, detail));
    }
    if fields::bytes(headers) > limits::message::MESSAGE_HEADER_BYTES_MAX {
        let detail = format!(
            "more than {} bytes",
            limits::message::MESSAGE_HEADER_BYTES_MAX
        );
        return Err(Failure::new(FailureKind::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Returns the host that the client asks for: the authority of an absolute target, else `Host`, of which
/// HTTP/1.1 has exactly one (RFC 9112, section 3.2).
fn authority(
    uri: &http::Uri,
    version: Version,
    headers: &http::HeaderMap,
) -> Result<Option<HeaderValue>, Failure> {
    let bad = |text: &'static str| Failure::new(FailureKind::BadRequest(text), text);
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("the request has more than one Host"));
    }
    if host.is_none() && version != Version::HTTP_10 {
        return Err(bad("the request has no Host"));
    }
    let valid = fields::is_authority;
    if let Some(host) = host
        && !host
            .to_str()
            .is_ok_and(|text| text.is_empty() || valid(text))
    {
        return Err(bad("the request's Host is not a host with a port"));
    }
    match uri.authority() {
        Some(authority) if valid(authority.as_str()) => {
            Ok(HeaderValue::try_from(authority.as_str()).ok())
        }
        Some(_) => Err(bad("the target's authority is not a host with a port")),
        None => Ok(host.cloned()),
    }
}
