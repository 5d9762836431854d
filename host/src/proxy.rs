//! The life of one request: all of the control flow, and nothing else. The code it calls never calls back.

mod admit;
mod passing;
mod refused;
mod request_id;
mod response;

use std::sync::Arc;

use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;

use crate::chain::Passage;
use crate::error::{Failure, FailureKind};
use crate::gateway::{Gateway, Listener};
use crate::http::body::{Content, RequestBody};
use crate::http::exchange::ResponseHead;
use crate::http::fields;
use crate::http::peer::Peer;
use crate::observe::Arrival;

use passing::{Underway, pass};
pub use refused::{BadHead, refuse_head};
pub use response::ResponseBody;
use response::{Held, respond};

/// Serves one request.
pub async fn handle(
    gateway: &Arc<Gateway>,
    listener: &Listener,
    peer: &Peer,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let id = request_id::new();
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
    // The bytes after such a head may not be a request: they may be a tunnel's, or a body's with another end.
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
            let done = pass(gateway, &route, begun, 0).await;
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
    // A client that was not told to continue does not send its body.
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
        // Such a response ends with the connection, and must not say that it persists.
        || is_endless
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        if is_old {
            // hyper adds `keep-alive` to an HTTP/1.1 response even if it says `close`.
            *response.version_mut() = Version::HTTP_10;
        }
    }
    response
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
