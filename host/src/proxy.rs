//! The life of one request: all control flow, nothing else. What it calls never calls back.

mod response;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;

use crate::chain;
use crate::error::{Failure, FailureKind};
use crate::gateway::{Gateway, Listener, Route};
use crate::http::body::{RequestBody, Upload};
use crate::http::exchange::{Attributes, Exchange, RequestHead, ResponseHead};
use crate::http::{fields, forwarded};
use crate::limits;
use crate::observe::UpstreamVisit;
use crate::route::Found;

pub use response::ResponseBody;
use response::{Content, Held, respond};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves one request.
pub async fn handle(
    gateway: &Arc<Gateway>,
    listener: &Listener,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let id = uuid::Uuid::now_v7().to_string();
    let mut record = gateway.record(listener, &id);
    record.client = peer.to_canonical().to_string();
    record.method = request.method().as_str().to_owned();
    record.path = request.uri().path().to_owned();
    record.host = host_as_sent(&request);

    let upload = Upload::new();
    let mut held = Box::new(Held {
        record,
        upload: Arc::clone(&upload),
        is_head: request.method() == Method::HEAD,
        permit: None,
    });
    let Ok(permit) = Arc::clone(&gateway.requests).try_acquire_owned() else {
        let failure = Failure::new(FailureKind::Overloaded, "all request permits are taken");
        return refuse(&failure, &id, held);
    };
    held.permit = Some(permit);
    let (head, incoming) = request.into_parts();
    match admit(gateway, listener, peer, id, head) {
        Ok((route, exchange)) => {
            let body = RequestBody::new(incoming, upload);
            exchange_over(route, exchange, body, held).await
        }
        Err((failure, id)) => refuse(&failure, &id, held),
    }
}

/// Whom the client says it wants, for the record: not checked yet, so cut to what a host can have.
fn host_as_sent(request: &Request<Incoming>) -> String {
    const HOST_BYTES_MAX: usize = 255;
    let sent = match request.uri().authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => request
            .headers()
            .get(HOST)
            .map_or(&b""[..], HeaderValue::as_bytes),
    };
    String::from_utf8_lossy(&sent[..sent.len().min(HOST_BYTES_MAX)]).into_owned()
}

/// Cleans a request's head and finds its route.
fn admit<'g>(
    gateway: &'g Gateway,
    listener: &Listener,
    peer: IpAddr,
    id: String,
    head: http::request::Parts,
) -> Result<(&'g Route, Box<Exchange>), (Failure, String)> {
    let mut headers = head.headers;
    if let Err(failure) = acceptable(&head.method, &head.uri, &headers) {
        return Err((failure, id));
    }
    let authority = match authority(&head.uri, head.version, &headers) {
        Ok(authority) => authority,
        Err(failure) => return Err((failure, id)),
    };
    fields::remove_hop_by_hop(&mut headers);
    fields::remove_expectation(&mut headers);
    // The body's length is known from its framing; a field that says something else must not reach
    // an upstream.
    headers.remove(CONTENT_LENGTH);
    let host = authority
        .as_ref()
        .and_then(|value| value.to_str().ok().map(str::to_owned));
    if let Some(authority) = authority {
        headers.insert(HOST, authority);
    }
    let client = forwarded::resolve(&mut headers, peer, &listener.trusted_proxies, "http");
    if let Ok(value) = HeaderValue::try_from(&id) {
        headers.insert(REQUEST_ID, value);
    }

    let (route, parameters) =
        match gateway
            .router
            .find(&head.method, host.as_deref(), head.uri.path())
        {
            Found::Route { index, parameters } => {
                let parameters = parameters
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.into_owned()))
                    .collect();
                (&gateway.routes[index], parameters)
            }
            Found::MethodNotAllowed { allow } => {
                let kind = FailureKind::MethodNotAllowed(allow);
                return Err((
                    Failure::new(kind, "the path has routes for other methods"),
                    id,
                ));
            }
            Found::Nothing => return Err((Failure::new(FailureKind::NoRoute, "no route"), id)),
            Found::BadPath(reason) => {
                return Err((Failure::new(FailureKind::BadRequest(reason), reason), id));
            }
        };
    let uri = match head.uri.into_parts().path_and_query {
        Some(target) => target.into(),
        None => http::Uri::from_static("/"),
    };
    Ok((
        route,
        Box::new(Exchange {
            id,
            scheme: "http",
            client,
            route: Arc::clone(&route.name),
            parameters,
            request: RequestHead {
                method: head.method,
                uri,
                headers,
            },
            response: None,
            grant: None,
            attributes: Attributes::default(),
        }),
    ))
}

/// Refuses what no route may see.
fn acceptable(method: &Method, uri: &http::Uri, headers: &http::HeaderMap) -> Result<(), Failure> {
    if method == Method::CONNECT {
        let text = "this is a gateway, not a tunnel";
        return Err(Failure::new(FailureKind::BadRequest(text), text));
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
    if uri.path().len() + uri.query().map_or(0, str::len) > limits::TARGET_BYTES_MAX {
        let detail = format!("more than {} bytes", limits::TARGET_BYTES_MAX);
        return Err(Failure::new(FailureKind::TargetTooLong, detail));
    }
    if fields::bytes(headers) > limits::MESSAGE_HEADER_BYTES_MAX {
        let detail = format!("more than {} bytes", limits::MESSAGE_HEADER_BYTES_MAX);
        return Err(Failure::new(FailureKind::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Whom the client wants: of an absolute target its authority, else `Host`, of which HTTP/1.1 has
/// exactly one (RFC 9112, section 3.2).
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

/// Chain in, upstream unless answered, chain out.
async fn exchange_over(
    route: &Route,
    exchange: Box<Exchange>,
    body: RequestBody,
    mut held: Box<Held>,
) -> Response<ResponseBody> {
    let record = &mut held.record;
    record.on_route(&route.name, &route.metrics);
    record.client = exchange.client.to_string();

    let inward = chain::inward(&route.chain, exchange, record).await;
    let mut exchange = inward.exchange;
    record.principal = exchange.grant.as_ref().map(|grant| grant.principal.clone());

    let mut body = match inward.answer {
        Some(answer) => Content::Whole(answer),
        None => match ask(route, &mut exchange, body, &held.upload).await {
            Ok((head, content, visit)) => {
                held.record.upstream = Some(UpstreamVisit {
                    first_byte: held.record.elapsed(),
                    ..visit
                });
                exchange.response = Some(head);
                content
            }
            Err(failure) => Content::Whole(chain::fail(&mut exchange, &failure, &mut held.record)),
        },
    };
    let entered = &route.chain[..inward.entered];
    let (exchange, replaced) = chain::outward(entered, exchange, &mut held.record).await;
    if let Some(replacement) = replaced {
        body = Content::Whole(replacement);
    }
    let head = exchange.response.unwrap_or_else(|| ResponseHead {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        headers: http::HeaderMap::new(),
    });
    finish(head, body, &exchange.id, held)
}

/// Asks the upstream.
async fn ask(
    route: &Route,
    exchange: &mut Exchange,
    body: RequestBody,
    upload: &Arc<Upload>,
) -> Result<(ResponseHead, Content, UpstreamVisit), Failure> {
    let mut request = Request::new(body);
    *request.method_mut() = exchange.request.method.clone();
    *request.uri_mut() = exchange.request.uri.clone();
    // The way out may read the request; where nothing runs there, its headers need no copy.
    let headers = &mut exchange.request.headers;
    *request.headers_mut() = if route.reads_on_way_out {
        headers.clone()
    } else {
        std::mem::take(headers)
    };
    if request.body().size_hint().exact().is_none() {
        // Of itself hyper sends a GET or HEAD without the body that it has.
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
    let answer = route.upstream.send(request, upload).await?;
    let (head, body) = answer.response.into_parts();
    let visit = UpstreamVisit {
        name: Arc::clone(&route.upstream.name),
        server: answer.server,
        status: head.status.as_u16(),
        first_byte: std::time::Duration::ZERO,
    };
    let mut headers = head.headers;
    if let Some(length) = body.size_hint().exact()
        && exchange.request.method != Method::HEAD
        && !matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        )
    {
        // One number, whatever the field said: `5, 5` is one answer to one reader and two to another.
        headers.insert(CONTENT_LENGTH, length.into());
    } else if headers.contains_key(TRANSFER_ENCODING) {
        // Chunks win over a length (RFC 9112, section 6.3), which must then not be passed on.
        headers.remove(CONTENT_LENGTH);
    }
    fields::remove_hop_by_hop(&mut headers);
    let head = ResponseHead {
        status: head.status,
        headers,
    };
    Ok((head, Content::Upstream(body), visit))
}

/// Answers a request that never reached a chain.
fn refuse(failure: &Failure, id: &str, mut held: Box<Held>) -> Response<ResponseBody> {
    held.record.fail(failure);
    let (head, body) = failure.respond(id);
    finish(head, Content::Whole(body), id, held)
}

/// Ties the record to the response's body.
fn finish(
    head: ResponseHead,
    body: Content,
    id: &str,
    mut held: Box<Held>,
) -> Response<ResponseBody> {
    let mut response = respond(head, body, id);
    held.record.status = response.status().as_u16();
    response.body_mut().held = Some(held);
    response
}
