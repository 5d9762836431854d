//! How a request passes its chain: inwards, to its end, and out again; for itself, for followers, or in the
//! background.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http::header::ALLOW;

use super::response::Held;
use crate::chain::{self, Ended, Passage};
use crate::error::{Failure, FailureKind, allow};
use crate::gateway::{Destination, Gateway, Route};
use crate::http::body::{Content, Upload};
use crate::http::exchange::{Exchange, RequestHead, ResponseHead};
use crate::http::{fields, hops};
use crate::observe::{Arrival, Record, UpstreamVisit};
use crate::policy::cache::{Fill, Followers};
use crate::upstream::OutgoingRequest;

/// A request between its way in and its way out, with all its state.
pub(super) struct Underway {
    pub exchange: Box<Exchange>,
    pub passage: Passage,
    pub held: Box<Held>,
}

/// The core: runs the chain from an entry inwards, the route's end unless an entry answered, and the way out
/// through the entries entered in this call or before it.
pub(super) async fn pass(
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
        record.principal = exchange
            .caller
            .as_ref()
            .map(|caller| caller.principal.clone());
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
            // A cache entry asks again, at most once.
            (again, Some(index)) => (exchange, from) = (again, index),
        }
    }
}

type Going = Pin<Box<dyn Future<Output = Underway> + Send>>;

/// Runs the rest of a request that leads a fetch: from an entry inwards, and the way out. If its client goes
/// away first and followers wait for the fetch, it goes on for them.
fn lead(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    underway: Underway,
    from: usize,
    followers: Followers,
) -> Led {
    let (gateway, route) = (Arc::clone(gateway), Arc::clone(route));
    let going = Box::pin(async move { pass(&gateway, &route, underway, from).await });
    Led(Some((going, followers)))
}

/// A led fetch. If dropped early, it goes on in a task of its own while it has followers. It and each
/// follower hold a permit, so upstreams get no more requests than from as many clients that stay.
struct Led(Option<(Going, Followers)>);

impl Future for Led {
    type Output = Underway;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Underway> {
        let Some((going, _)) = &mut self.0 else {
            return Poll::Pending;
        };
        let polled = going.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        let Some((going, followers)) = self.0.take() else {
            return;
        };
        if followers.are_waiting()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(go_on(going, followers));
        }
    }
}

/// Runs a led fetch until its followers have its response or have left too.
async fn go_on(going: Going, followers: Followers) {
    let done = tokio::select! {
        biased;
        done = going => done,
        () = followers.gone() => return,
    };
    // Holding it keeps a reader on the body until the followers that were told begin to read.
    followers.told().await;
    drop(done);
}

/// Fetches in the background what a cache entry answered stale: the same exchange, from inside that entry. It
/// needs a permit like every request; if none is free, it is left to a later request.
fn refresh(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    mut again: Exchange,
    index: usize,
    fill: Fill,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let (gateway, route) = (Arc::clone(gateway), Arc::clone(route));
    Box::pin(async move {
        let Ok(permit) = Arc::clone(&gateway.requests).try_acquire_owned() else {
            return;
        };
        let mut record = gateway.record(Arrival {
            listener: "background".into(),
            id: Arc::clone(&again.id),
            client: again.client,
            method: again.request.method.clone(),
            target: again.request.target.uri().clone(),
        });
        record.background = true;
        record.on_route(&route.name, &route.metrics);
        let begun = Underway {
            passage: Passage::storing(index, fill, &mut again),
            exchange: Box::new(again),
            held: Box::new(Held {
                record,
                upload: Upload::new(),
                is_head: false,
                permit: Some(permit),
                charges: Vec::new(),
            }),
        };
        let mut done = pass(&gateway, &route, begun, index + 1).await;
        let record = &mut done.held.record;
        if let Some(response) = &done.exchange.response {
            record.status = response.status.as_u16();
        }
        record.complete = true;
    })
}

/// Answers a request that no entry answered, at the route's destination.
async fn end(route: &Route, exchange: &mut Exchange, record: &mut Record) -> Result<(), Failure> {
    if exchange.preflight.is_some() && !route.takes_options {
        // No entry in the chain speaks CORS, so for a browser the method is not allowed here.
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

/// Returns the answer to an OPTIONS that may go no further: the methods that the route allows.
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
    hops::say(&mut exchange.request.headers, exchange.passes);
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
            // Whether a plugin of this chain reads the content.
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
