//! The life of one request: all control flow, nothing else. What it calls never calls back.

mod admit;
mod led;
mod refused;
mod response;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, EXPECT, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;

use crate::chain::{self, Ended, Passage};
use crate::error::{Failure, FailureKind, allow};
use crate::gateway::{Destination, Gateway, Listener, Route};
use crate::http::body::{Content, RequestBody};
use crate::http::exchange::{Exchange, RequestHead, ResponseHead};
use crate::http::peer::Peer;
use crate::http::{fields, hops};
use crate::observe::{Arrival, Record, UpstreamVisit};
use crate::upstream::OutgoingRequest;

use led::{lead, refresh};
pub use refused::{BadHead, refuse_head};
pub use response::ResponseBody;
use response::{Held, respond};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn new_id() -> Arc<str> {
    let mut text = uuid::Uuid::encode_buffer();
    let id = uuid::Uuid::now_v7();
    Arc::from(&*id.hyphenated().encode_lower(&mut text))
}

/// Serves one request.
pub async fn handle(
    gateway: &Arc<Gateway>,
    listener: &Listener,
    peer: &Peer,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let id = new_id();
    let mut record = gateway.record(Arrival {
        listener: Arc::clone(&listener.name),
        id: Arc::clone(&id),
        client: Some(peer.address),
        method: request.method().clone(),
        target: request.uri().clone(),
    });
    record.host = admit::host_as_sent(&request);

    let upload = Arc::clone(request.body().upload());
    let mut held = Box::new(Held {
        record,
        upload: Arc::clone(&upload),
        is_head: request.method() == Method::HEAD,
        permit: None,
        charges: Vec::new(),
    });
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let expects = head.headers.contains_key(EXPECT);
    let is_old = head.version == Version::HTTP_10;
    // What follows such a head may be no request: the bytes of a tunnel, or of a body with another end.
    let is_unsure = head.method == Method::CONNECT || !fields::plain_framing(&head.headers);
    let admitted = match Arc::clone(&gateway.requests).try_acquire_owned() {
        Ok(permit) => {
            held.permit = Some(permit);
            admit::admit(gateway, listener, peer, &id, head, &mut body)
        }
        Err(_) => {
            let detail = "all request permits are taken";
            Err(Failure::new(FailureKind::Overloaded, detail))
        }
    };
    let mut response = match admitted {
        Ok((route, exchange)) => {
            let record = &mut held.record;
            record.on_route(&route.name, &route.metrics);
            record.client = exchange.client;
            let begun = Underway {
                exchange,
                passage: Passage::default(),
                held,
            };
            let done = self::exchange(gateway, &route, begun, 0).await;
            let exchange = done.exchange;
            held = done.held;
            held.charges = done.passage.charges;
            let head = exchange.response.unwrap_or_else(|| ResponseHead {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                headers: http::HeaderMap::new(),
            });
            body = Some(exchange.request_body);
            finish(head, exchange.response_body, &id, held)
        }
        Err(failure) => refuse(&failure, &id, held),
    };
    // A client that was not told to continue keeps its body.
    if let Some(body) = &mut body
        && !expects
    {
        body.drop_rest().await;
    }
    drop(body);
    let is_endless = is_old && response.body().size_hint().exact().is_none();
    if upload.is_abandoned()
        || Failure::of_upload(&upload).is_some()
        || is_unsure
        // It ends with the connection, and must not say that this stays.
        || is_endless
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// A request between its way in and its way out, with all that belongs to it.
struct Underway {
    exchange: Box<Exchange>,
    passage: Passage,
    held: Box<Held>,
}

/// The heart: the chain from an entry inwards, the route's end unless an entry answered, and the way
/// out through what was entered, of this call or of the passage before it.
async fn exchange(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    underway: Underway,
    mut from: usize,
) -> Underway {
    let chain = &route.chain;
    let Underway {
        mut exchange,
        mut passage,
        mut held,
    } = underway;
    loop {
        let record = &mut held.record;
        let mechanisms = &gateway.mechanisms;
        let (entered, ended) =
            chain::inward(chain, from, exchange, mechanisms, &mut passage, record).await;
        exchange = entered;
        record.principal = exchange.grant.as_ref().map(|grant| grant.principal.clone());
        match ended {
            Ended::Open => {
                if let Err(failure) = end(route, &mut exchange, record).await {
                    passage.fail(&mut exchange, &failure, record);
                }
            }
            Ended::Leads { index, followers } => {
                let underway = Underway {
                    exchange,
                    passage,
                    held,
                };
                return lead(gateway, route, underway, index + 1, followers).await;
            }
            Ended::Answered => {}
            Ended::AnsweredStale { index, fill } => {
                let refreshed = refresh(gateway, route, exchange.again(), index, *fill);
                tokio::spawn(refreshed);
            }
        }
        match chain::outward(chain, exchange, &mut passage, record).await {
            (exchange, None) => {
                return Underway {
                    exchange,
                    passage,
                    held,
                };
            }
            // A cache entry asks again, once.
            (again, Some(index)) => (exchange, from) = (again, index),
        }
    }
}

/// Where a request goes that no entry answered.
async fn end(route: &Route, exchange: &mut Exchange, record: &mut Record) -> Result<(), Failure> {
    if exchange.preflight.is_some() && !route.takes_options {
        // Nobody in the chain speaks CORS, so as far as the browser goes there is nothing here.
        let kind = FailureKind::MethodNotAllowed(route.allowed());
        return Err(Failure::new(
            kind,
            "no entry of the chain answers preflights",
        ));
    }
    match &route.destination {
        Destination::Upstream(_) => {
            let RequestHead {
                method, headers, ..
            } = &mut exchange.request;
            if !hops::may_go_on(method, headers) {
                exchange.answer(last_hop(route), Content::whole(Bytes::new()));
                return Ok(());
            }
            let (head, content, visit) = ask(route, exchange).await?;
            record.upstream = Some(visit);
            exchange.answer(head, content);
        }
        Destination::Respond(head, body) => {
            exchange.answer(head.clone(), Content::whole(body.clone()));
        }
    }
    Ok(())
}

/// The answer to an OPTIONS that may go no further: what may be asked of the route.
fn last_hop(route: &Route) -> ResponseHead {
    let mut headers = http::HeaderMap::new();
    if let Some(allow) = allow(&route.allowed()) {
        headers.insert(ALLOW, allow);
    }
    ResponseHead {
        status: StatusCode::OK,
        headers,
    }
}

/// Asks the upstream.
async fn ask(
    route: &Route,
    exchange: &mut Exchange,
) -> Result<(ResponseHead, Content, UpstreamVisit), Failure> {
    let Destination::Upstream(upstream) = &route.destination else {
        return Err(Failure::new(
            FailureKind::Unreachable,
            "the route has no upstream",
        ));
    };
    let rest = exchange.request_body.empty_again();
    let body = std::mem::replace(&mut exchange.request_body, rest);
    let RequestHead {
        method,
        target,
        headers,
        ..
    } = &mut exchange.request;
    let answer = upstream
        .send(OutgoingRequest {
            method,
            uri: target.uri(),
            headers,
            keeps_headers: route.reads_on_way_out,
            // A plugin of this chain reads the content.
            wants_identity: route.reads_responses,
            body,
        })
        .await?;
    let (head, body) = answer.response.into_parts();
    let visit = UpstreamVisit {
        name: Arc::clone(&upstream.name),
        server: answer.server,
        status: head.status.as_u16(),
        first_byte: answer.first_byte,
    };
    let mut headers = head.headers;
    fields::remove_hop_by_hop(&mut headers);
    hops::pass(&mut headers, head.version);
    let head = ResponseHead {
        status: head.status,
        headers,
    };
    Ok((head, Content::stream(Box::pin(body)), visit))
}

/// Answers a request that never reached a chain.
fn refuse(failure: &Failure, id: &str, mut held: Box<Held>) -> Response<ResponseBody> {
    held.record.fail(failure);
    let (head, body) = failure.respond(id);
    finish(head, Content::whole(body), id, held)
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
