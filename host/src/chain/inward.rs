//! The way in: each entry's plugin is asked, and the mechanisms do what it says.

use std::sync::Arc;
use std::time::Duration;

use super::lookup::look_up;
use super::remember::remember;
use super::streams;
use super::{Decided, Ended, Entry, Mechanisms, Passage};
use crate::error::{Failure, FailureKind};
use crate::http::body::Incomplete;
use crate::http::exchange::{Exchange, Grant};
use crate::http::facts::Facts;
use crate::observe::{EntryVisit, LimitOutcome, Record, Side};
use crate::plugin::{Fault, FaultKind, Lookup, Reply, Verdict, Visit, Visited};
use crate::policy::decisions::{Asking, Recalled};
use crate::policy::limit::{Charge, Finding, Now, Place};

/// What an entry's plugin said.
enum Said {
    Next,
    /// The body goes through it.
    Streams,
    Lookup(Lookup),
    Denied(Reply),
    Responded(Reply),
    /// A limit refused; the charge has the refusal.
    Limited(Box<Charge>),
}

/// Runs the way in from an entry inwards. An entry that answers, or fails closed, ends it: the
/// response then passes the entries before it, and not itself.
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
        let asking = match recall(entry, &mut exchange, record).await {
            Memory::Allowed if !entry.asks_more(&exchange) => {
                passage.enter(index, None, None);
                continue;
            }
            Memory::Allowed => None,
            Memory::Denied(reply) => {
                passage.reply(&mut exchange, reply);
                return (exchange, Ended::Answered);
            }
            Memory::Empty => Some(None),
            Memory::Ask(asking) => Some(Some(asking)),
        };
        let (visited, ended) =
            enter(entry, index, exchange, asking, mechanisms, passage, record).await;
        exchange = visited;
        if let Some(ended) = ended {
            return (exchange, ended);
        }
    }
    (exchange, Ended::Open)
}

/// What is known of an authorizer's decision before it is asked.
enum Memory<'m> {
    /// It was remembered, and the grant is in the exchange.
    Allowed,
    Denied(Reply),
    /// The entry has no authorizer, or no memory.
    Empty,
    Ask(Asking<'m, Decided>),
}

async fn recall<'m>(entry: &'m Entry, exchange: &mut Exchange, record: &mut Record) -> Memory<'m> {
    let Some(memory) = &entry.memory else {
        return Memory::Empty;
    };
    let decided = match memory.recall(Facts::of(exchange)).await {
        Recalled::Ask(asking) => return Memory::Ask(asking),
        Recalled::Known(decided) => decided,
    };
    let identity = &entry.policy.identity;
    if !decided.writes.is_empty() {
        let mut attributes = exchange.attributes.clone();
        let mut write = |(name, value): &(String, String)| {
            attributes.set(&identity.plugin, &identity.policy, name, value)
        };
        if decided.writes.iter().any(|note| write(note).is_err()) {
            // There is no room for a note that belongs to the decision: the plugin sees to that.
            return Memory::Empty;
        }
        exchange.attributes = attributes;
    }
    let (verdict, outcome) = match &decided.verdict {
        Verdict::Allow(grant) => {
            allow(exchange, grant.clone());
            ("allow", Memory::Allowed)
        }
        Verdict::Deny(reply) => ("deny", Memory::Denied(reply.clone())),
    };
    entry.metrics.count_remembered();
    record.entries.push(EntryVisit {
        policy: Arc::clone(&identity.policy),
        side: Side::In,
        verdict,
        remembered: true,
        fault: None,
        elapsed: Duration::ZERO,
        cpu: None,
    });
    outcome
}

fn allow(exchange: &mut Exchange, granted: Grant) {
    match &mut exchange.grant {
        Some(earlier) => earlier.extend(granted),
        None => exchange.grant = Some(granted),
    }
}

impl Entry {
    /// Whether the plugin has more to say on the way in than its authorizer does.
    fn asks_more(&self, exchange: &Exchange) -> bool {
        let hooks = self.policy.hooks;
        hooks.limiter
            || hooks.request_transformer
            || hooks.cache_lookup
            || streams::takes_request(self, exchange)
    }
}

/// One entry. `authorizes` is none where its decision is known already.
async fn enter(
    entry: &Entry,
    index: usize,
    exchange: Box<Exchange>,
    authorizes: Option<Option<Asking<'_, Decided>>>,
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
    let mut charged = None;
    let (mut visited, said) = match entry.policy.visit(exchange).await {
        Err((visited, fault)) => (visited, Err(fault)),
        Ok(mut visit) => {
            let said = ask(entry, &mut visit, authorizes, mechanisms, &mut charged).await;
            end(entry, visit, said).await
        }
    };
    // What was charged stays charged, and what is held is held, whatever comes of the request.
    let charge = charged.map(|charge| {
        passage.charges.push(charge);
        passage.charges.len() - 1
    });
    let exchange = &mut visited.exchange;
    let (verdict, ended) = match &said {
        Ok(Said::Next) if entry.policy.hooks.authorizer => ("allow", None),
        Ok(Said::Streams) => ("stream", None),
        Ok(Said::Next | Said::Lookup(_)) => ("next", None),
        Ok(Said::Denied(_)) => ("deny", Some(Ended::Answered)),
        Ok(Said::Responded(_)) => ("respond", Some(Ended::Answered)),
        Ok(Said::Limited(_)) => ("limit", Some(Ended::Answered)),
        Err(fault) if entry.passes(fault) => ("fault", None),
        Err(_) => ("fault", Some(Ended::Answered)),
    };
    let mut fault = None;
    match said {
        Ok(Said::Next | Said::Streams) => passage.enter(index, charge, None),
        Ok(Said::Lookup(lookup)) => {
            let (verdict, ended) =
                look_up(entry, index, exchange, lookup, charge, mechanisms, passage).await;
            entry.note(Side::In, verdict, &visited, None, record);
            return (visited.exchange, ended);
        }
        Ok(Said::Denied(reply) | Said::Responded(reply)) => {
            passage.reply(exchange, reply);
            passage.tell_limits(exchange, charge);
        }
        Ok(Said::Limited(charge)) => {
            if let Some((status, headers, body)) = charge.refusal(&exchange.id) {
                passage.answer(exchange, (status, headers), body);
            }
        }
        Err(error) => {
            if entry.passes(&error) {
                passage.enter(index, charge, None);
            } else {
                passage.fail(exchange, &entry.failure(&error), record);
                passage.tell_limits(exchange, charge);
            }
            fault = Some(error);
        }
    }
    entry.note(Side::In, verdict, &visited, fault.as_ref(), record);
    (visited.exchange, ended)
}

/// Waits for the body that the plugin may read, before it has an instance: a slow client holds none. A
/// larger one is left to the plugin, which may not want it. The plugin's elapsed time is also that of
/// its body.
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

/// Calls the plugin's hooks of the way in, in one instance.
async fn ask(
    entry: &Entry,
    visit: &mut Visit<'_>,
    authorizes: Option<Option<Asking<'_, Decided>>>,
    mechanisms: &Mechanisms,
    charged: &mut Option<Charge>,
) -> Result<Said, Fault> {
    let hooks = entry.policy.hooks;
    if let Some(asking) = authorizes
        && hooks.authorizer
        && let Some(denied) = authorize(entry, visit, asking).await?
    {
        return Ok(Said::Denied(denied));
    }
    if hooks.limiter {
        let limits = visit.limits().await?;
        let place = Place {
            entry: &entry.place,
            route: &visit
                .exchange()
                .map(|e| Arc::clone(&e.route))
                .unwrap_or_default(),
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
        if charge.refused() {
            return Ok(Said::Limited(Box::new(charge)));
        }
        *charged = Some(charge);
    }
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

/// Ends the visit. Where the request goes on, its body goes through the plugin if that wants it.
async fn end(
    entry: &Entry,
    mut visit: Visit<'_>,
    said: Result<Said, Fault>,
) -> (Visited, Result<Said, Fault>) {
    let goes_on = matches!(said, Ok(Said::Next | Said::Lookup(_)));
    let takes = |exchange: &mut Exchange| streams::takes_request(entry, exchange);
    if !goes_on || !visit.exchange().is_some_and(takes) {
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

/// Asks the authorizer; answers the reply of a denial.
async fn authorize(
    entry: &Entry,
    visit: &mut Visit<'_>,
    asking: Option<Asking<'_, Decided>>,
) -> Result<Option<Reply>, Fault> {
    let decision = match visit.authorize().await {
        Ok(decision) => decision,
        Err(fault) => {
            if let Some(asking) = asking {
                asking.decline(None);
            }
            return Err(fault);
        }
    };
    if let Some(exchange) = visit.exchange() {
        if let Some(asking) = asking {
            remember(
                entry,
                asking,
                exchange,
                decision.reads,
                decision.remember,
                &decision.verdict,
            );
        }
        if let Verdict::Allow(grant) = &decision.verdict {
            allow(exchange, grant.clone());
        }
    }
    Ok(match decision.verdict {
        Verdict::Allow(_) => None,
        Verdict::Deny(reply) => Some(reply),
    })
}
