//! The way in: asks each entry's plugin, and has the mechanisms do what it says.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::authorization::{Authorization, authorize, recall};
use super::lookup::look_up;
use super::streams;
use super::{Ended, Entry, Mechanisms, Passage};
use crate::error::{Failure, FailureKind};
use crate::http::body::Incomplete;
use crate::http::exchange::Exchange;
use crate::http::side::Side;
use crate::observe::{LimitOutcome, Record};
use crate::plugin::{Fault, FaultKind, Lookup, Reply, Visit, Visited};
use crate::policy::limit::{Charge, Finding, Now, ScopeNames};

/// The plugin's answer on the way in.
enum Said {
    Next,
    /// The body goes through the plugin.
    Streams,
    Lookup(Lookup),
    Denied(Reply),
    Responded(Reply),
    /// A limit refused.
    Limited(Box<Refusal>),
}

/// The response to a request that a limit refused.
type Refusal = (StatusCode, HeaderMap, Bytes);

/// The outcome of an entry's visit on the way in.
struct Outcome {
    /// For the record.
    verdict: &'static str,
    /// Set if the way in ends here.
    ended: Option<Ended>,
    fault: Option<Fault>,
}

impl Outcome {
    fn goes_on(verdict: &'static str) -> Outcome {
        Outcome {
            verdict,
            ended: None,
            fault: None,
        }
    }

    fn answered(verdict: &'static str) -> Outcome {
        Outcome {
            ended: Some(Ended::Answered),
            ..Outcome::goes_on(verdict)
        }
    }
}

/// Runs the way in from an entry inwards. An entry that answers, or fails closed, ends it: the response then
/// passes the entries before it, but not this one.
pub async fn inward(
    chain: &[Entry],
    from: usize,
    mut exchange: Box<Exchange>,
    mechanisms: &Mechanisms,
    passage: &mut Passage,
    record: &mut Record,
) -> (Box<Exchange>, Ended) {
    for (index, entry) in chain.iter().enumerate().skip(from) {
        if !entry.is_for(&exchange) {
            continue;
        }
        streams::ask_for_whole(entry, &mut exchange);
        let authorization = match recall(entry, &mut exchange, record).await {
            Ok(Authorization::Known) if !entry.asks_more(&exchange) => {
                passage.enter(index, None, None);
                continue;
            }
            Ok(authorization) => authorization,
            Err(denied) => {
                passage.reply(&mut exchange, denied);
                return (exchange, Ended::Answered);
            }
        };
        let entered = enter(
            entry,
            index,
            exchange,
            authorization,
            mechanisms,
            passage,
            record,
        );
        let (visited, ended) = entered.await;
        exchange = visited;
        if let Some(ended) = ended {
            return (exchange, ended);
        }
    }
    (exchange, Ended::Open)
}

impl Entry {
    /// Whether the plugin has hooks to call on the way in other than its authorizer.
    fn asks_more(&self, exchange: &Exchange) -> bool {
        let hooks = self.policy.hooks;
        hooks.limiter
            || hooks.request_transformer
            || hooks.cache_lookup
            || streams::takes_request(self, exchange)
    }
}

/// Runs one entry.
async fn enter(
    entry: &Entry,
    index: usize,
    exchange: Box<Exchange>,
    authorization: Authorization<'_>,
    mechanisms: &Mechanisms,
    passage: &mut Passage,
    record: &mut Record,
) -> (Box<Exchange>, Option<Ended>) {
    if !entry.policy.hooks.on_way_in() && !streams::takes_request(entry, &exchange) {
        passage.enter(index, None, None);
        return (exchange, None);
    }
    let mut exchange = exchange;
    if let Err(failure) = collect(entry, &mut exchange).await {
        passage.fail(&mut exchange, &failure, record);
        return (exchange, Some(Ended::Answered));
    }
    let (mut visited, charge, said) = match entry.policy.visit(exchange).await {
        Err((visited, fault)) => (visited, None, Err(fault)),
        Ok(mut visit) => {
            let (charge, said) = ask(entry, &mut visit, authorization, mechanisms).await;
            let (visited, said) = end(entry, visit, said).await;
            (visited, charge, said)
        }
    };
    // Charges stay, and what they hold stays held, whatever the outcome of the request.
    let charge = charge.map(|charge| {
        passage.charges.push(charge);
        passage.charges.len() - 1
    });
    let exchange = &mut visited.exchange;
    let outcome = match said {
        Ok(Said::Next) => {
            passage.enter(index, charge, None);
            Outcome::goes_on(if entry.policy.hooks.authorizer {
                "allow"
            } else {
                "next"
            })
        }
        Ok(Said::Streams) => {
            passage.enter(index, charge, None);
            Outcome::goes_on("stream")
        }
        Ok(Said::Lookup(lookup)) => {
            let (verdict, ended) =
                look_up(entry, index, exchange, lookup, charge, mechanisms, passage).await;
            Outcome {
                ended,
                ..Outcome::goes_on(verdict)
            }
        }
        Ok(Said::Denied(reply)) => {
            passage.reply(exchange, reply);
            passage.tell_limits(exchange, charge);
            Outcome::answered("deny")
        }
        Ok(Said::Responded(reply)) => {
            passage.reply(exchange, reply);
            passage.tell_limits(exchange, charge);
            Outcome::answered("respond")
        }
        Ok(Said::Limited(refusal)) => {
            let (status, headers, body) = *refusal;
            passage.answer(exchange, (status, headers), body);
            Outcome::answered("limit")
        }
        Err(fault) => {
            let ended = if entry.passes(&fault) {
                passage.enter(index, charge, None);
                None
            } else {
                passage.fail(exchange, &entry.failure(&fault), record);
                passage.tell_limits(exchange, charge);
                Some(Ended::Answered)
            };
            Outcome {
                verdict: "fault",
                ended,
                fault: Some(fault),
            }
        }
    };
    let Outcome {
        verdict,
        ended,
        fault,
    } = outcome;
    entry.note(Side::Request, verdict, &visited, fault.as_ref(), record);
    (visited.exchange, ended)
}

/// Waits for the body that the plugin may read before it gets a sandbox, so that a slow client holds none. A
/// body that is too large is left to the plugin, which may not want it. The plugin's time limit also applies
/// to its body.
async fn collect(entry: &Entry, exchange: &mut Exchange) -> Result<(), Failure> {
    let Some((max, all, wall)) = entry.policy.reads_requests() else {
        return Ok(());
    };
    let upload = Arc::clone(exchange.request_body.upload());
    let collected = tokio::time::timeout(wall, exchange.request_body.collect(max, all));
    let collected = collected.await;
    if let Some(failure) = Failure::of_upload(&upload) {
        return Err(failure);
    }
    match collected {
        Ok(Ok(_) | Err(Incomplete::TooLarge)) => Ok(()),
        Ok(Err(Incomplete::NoRoom)) => {
            let text = "there is no room to hold the body that a policy reads (`runtime.bodies`)";
            Err(Failure::new(FailureKind::BodiesFull, text))
        }
        _ => Err(Failure::new(
            FailureKind::ClientStalled,
            "the body that a policy reads did not come",
        )),
    }
}

/// Calls the plugin's hooks of the way in, in one visit. Charges stay, whatever a later hook says.
async fn ask(
    entry: &Entry,
    visit: &mut Visit<'_>,
    authorization: Authorization<'_>,
    mechanisms: &Mechanisms,
) -> (Option<Charge>, Result<Said, Fault>) {
    let hooks = entry.policy.hooks;
    if hooks.authorizer {
        match authorize(entry, visit, authorization).await {
            Ok(None) => {}
            Ok(Some(denied)) => return (None, Ok(Said::Denied(denied))),
            Err(fault) => return (None, Err(fault)),
        }
    }
    let mut charge = None;
    if hooks.limiter {
        match limit(entry, visit, mechanisms).await {
            Ok(Ok(charged)) => charge = Some(charged),
            Ok(Err(refusal)) => return (None, Ok(Said::Limited(Box::new(refusal)))),
            Err(fault) => return (None, Err(fault)),
        }
    }
    (charge, transform_or_look_up(entry, visit).await)
}

/// Asks for the limits and charges them, or returns the refusal of one.
async fn limit(
    entry: &Entry,
    visit: &mut Visit<'_>,
    mechanisms: &Mechanisms,
) -> Result<Result<Charge, Refusal>, Fault> {
    let limits = visit.limits().await?;
    let exchange = visit.exchange();
    let (id, route) = (Arc::clone(&exchange.id), Arc::clone(&exchange.route));
    let place = ScopeNames {
        entry: &entry.place,
        route: &route,
    };
    let charge = mechanisms
        .limiter
        .charge(place, &limits, Now::read())
        .map_err(|bad| {
            visit.undo();
            Fault::new(FaultKind::BadReply, bad.0)
        })?;
    for standing in charge.standings() {
        let outcome = match standing.finding {
            Finding::Within => LimitOutcome::Within,
            _ if standing.enforce => LimitOutcome::Refused,
            _ => LimitOutcome::Over,
        };
        entry.metrics.count_limit(&standing.name, outcome);
    }
    Ok(match charge.refusal(&id) {
        Some(refusal) => Err(refusal),
        None => Ok(charge),
    })
}

async fn transform_or_look_up(entry: &Entry, visit: &mut Visit<'_>) -> Result<Said, Fault> {
    let hooks = entry.policy.hooks;
    if hooks.request_transformer
        && let Some(reply) = visit.transform_request().await?
    {
        return Ok(Said::Responded(reply));
    }
    if hooks.cache_lookup {
        return Ok(Said::Lookup(visit.lookup().await?));
    }
    Ok(Said::Next)
}

/// Ends the visit. If the request goes on, its body goes through the plugin if the plugin wants it.
async fn end(
    entry: &Entry,
    mut visit: Visit<'_>,
    said: Result<Said, Fault>,
) -> (Visited, Result<Said, Fault>) {
    let goes_on = matches!(said, Ok(Said::Next | Said::Lookup(_)));
    if !goes_on || !streams::takes_request(entry, visit.exchange()) {
        return (visit.end().await, said);
    }
    match streams::open_request(&mut visit).await {
        Err(fault) => (visit.end().await, Err(fault)),
        Ok(None) => (visit.end().await, said),
        Ok(Some(opened)) => {
            let said = match said {
                Ok(Said::Next) => Ok(Said::Streams),
                said => said,
            };
            (streams::go_through(entry, visit, opened), said)
        }
    }
}
