//! The way out: the entries that were entered, the innermost first.

use std::time::SystemTime;

use http::Method;

use super::streams::{self, Opened};
use super::{Cached, Entered, Entry, Passage};
use crate::http::exchange::{Exchange, ResponseHead};
use crate::http::representation;
use crate::http::side::Side;
use crate::observe::Record;
use crate::plugin::{Fault, FaultKind, Visit};
use crate::policy::cache::{Filled, Storage, may_vary_inside};
use crate::policy::limit::Now;

/// Runs the way out over the response in the exchange, through the entries that were entered. If a cache
/// entry has no use for that response, it is entered anew with another request: then the way in goes on from
/// the entry at the returned index.
pub async fn outward(
    chain: &[Entry],
    mut exchange: Box<Exchange>,
    passage: &mut Passage,
    record: &mut Record,
) -> (Box<Exchange>, Option<usize>) {
    while let Some(entered) = passage.entered.pop() {
        let Some(entry) = chain.get(entered.index) else {
            continue;
        };
        let (index, charge, only_stores) = (entered.index, entered.charge, entered.only_stores);
        exchange = leave(entry, entered, exchange, passage, record).await;
        // If the entry's plugin faulted and fails closed, there already is a response.
        let again = passage.again.take().filter(|_| exchange.response.is_none());
        if let Some(fill) = again {
            passage.enter_to_fill(index, charge, fill, &mut exchange);
            if let Some(entered) = passage.entered.last_mut() {
                entered.only_stores = only_stores;
            }
            return (exchange, Some(index + 1));
        }
    }
    (exchange, None)
}

async fn leave(
    entry: &Entry,
    mut entered: Entered,
    exchange: Box<Exchange>,
    passage: &mut Passage,
    record: &mut Record,
) -> Box<Exchange> {
    let hooks = entry.policy.hooks;
    let cached = entered.cached.take();
    let fills = matches!(cached, Some(Cached::Fill { .. }));
    let stores = hooks.cache_store && fills && !passage.failed;
    let transforms = hooks.response_transformer && !entered.only_stores;
    let settles = hooks.limiter_settle && entered.charge.is_some();
    let streams = hooks.response_stream && !entered.only_stores;
    let mut exchange = exchange;
    if stores || transforms || settles || streams && streams::takes_response(&exchange) {
        let calls = Calls {
            cached,
            stores,
            transforms,
            streams,
            settles: entered.charge.filter(|_| settles),
        };
        exchange = call(entry, calls, exchange, passage, record).await;
    } else {
        fill(entry, cached, &mut exchange, passage, Storage::Standard);
    }
    if passage.again.is_some() {
        return exchange;
    }
    if streams {
        streams::alter_not_modified(&mut exchange);
    }
    if transforms
        && entry.policy.replaces_responses()
        && exchange.request.method == Method::HEAD
        && let Some(response) = &mut exchange.response
    {
        // A GET would have had the plugin's body and its length (RFC 9110, section 8.6).
        representation::forget_content(&mut response.headers);
    }
    passage.tell_limits(&mut exchange, entered.charge);
    exchange
}

/// The hooks to call on the way out.
struct Calls {
    cached: Option<Cached>,
    stores: bool,
    transforms: bool,
    streams: bool,
    /// Index in [`Passage::charges`].
    settles: Option<usize>,
}

async fn call(
    entry: &Entry,
    calls: Calls,
    exchange: Box<Exchange>,
    passage: &mut Passage,
    record: &mut Record,
) -> Box<Exchange> {
    let (mut visited, said) = match entry.policy.visit(exchange).await {
        Err((mut visited, fault)) => {
            let exchange = &mut visited.exchange;
            fill(entry, calls.cached, exchange, passage, Storage::Unjudged);
            (visited, Err(fault))
        }
        Ok(mut visit) => match ask(entry, &mut visit, calls, passage).await {
            Ok(SaidOut {
                verdict,
                opened: Some(opened),
            }) => (streams::go_through(entry, visit, opened), Ok(verdict)),
            Ok(said) => (visit.end().await, Ok(said.verdict)),
            Err(fault) => (visit.end().await, Err(fault)),
        },
    };
    let (verdict, fault) = match said {
        Ok(verdict) => (verdict, None),
        Err(fault) => {
            if !entry.passes(&fault) {
                passage.fail(&mut visited.exchange, &entry.failure(&fault), record);
            }
            ("fault", Some(fault))
        }
    };
    entry.note(Side::Response, verdict, &visited, fault.as_ref(), record);
    visited.exchange
}

/// The plugin's answer on the way out.
struct SaidOut {
    verdict: &'static str,
    /// The body goes through the plugin.
    opened: Option<Opened>,
}

/// Calls the plugin's hooks of the way out, in one visit. The entry caches the response as it came from
/// inside, before its own transformer and stream.
async fn ask(
    entry: &Entry,
    visit: &mut Visit<'_>,
    calls: Calls,
    passage: &mut Passage,
) -> Result<SaidOut, Fault> {
    let storage = if calls.stores {
        judge(visit, &calls.cached).await
    } else {
        Ok(Storage::Standard)
    };
    // The cache took the client's conditions off the request, so it must finish the response even if the
    // plugin faulted.
    let (storage, fault) = match storage {
        Ok(storage) => (storage, None),
        Err(fault) => (Storage::Unjudged, Some(fault)),
    };
    fill(entry, calls.cached, visit.exchange(), passage, storage);
    if let Some(fault) = fault {
        return Err(fault);
    }
    if passage.again.is_some() {
        return Ok(SaidOut {
            verdict: "next",
            opened: None,
        });
    }
    let mut replaced = false;
    if calls.transforms
        && let Some(reply) = visit.transform_response().await?
    {
        replaced = true;
        passage.reply(visit.exchange(), reply);
    }
    if let Some(index) = calls.settles {
        let settlements = visit.settle().await?;
        if let Some(charge) = passage.charges.get_mut(index) {
            for (limit, cost) in settlements {
                charge.settle(&limit, cost, Now::read()).map_err(|text| {
                    visit.undo();
                    Fault::new(FaultKind::BadReply, text)
                })?;
            }
        }
    }
    let mut opened = None;
    if calls.streams && streams::takes_response(visit.exchange()) {
        opened = streams::open_response(visit).await?;
    }
    let verdict = match (replaced, &opened) {
        (true, _) => "respond",
        (false, Some(_)) => "stream",
        (false, None) => "next",
    };
    Ok(SaidOut { verdict, opened })
}

/// Asks whether and how to store the response. If it is a 304 to our own condition, the plugin judges the
/// response that it stands for.
async fn judge(visit: &mut Visit<'_>, cached: &Option<Cached>) -> Result<Storage, Fault> {
    let mut not_modified = None;
    if let Some(Cached::Fill { fill, .. }) = cached
        && let Some(response) = &mut visit.exchange().response
        && let Some((status, headers)) = fill.freshened(response.status, &response.headers)
    {
        not_modified = Some(std::mem::replace(
            response,
            ResponseHead { status, headers },
        ));
    }
    let storage = visit.store().await;
    if let Some(head) = not_modified {
        visit.exchange().response = Some(head);
    }
    storage
}

/// Hands the response to the cache, which returns the one to send on.
fn fill(
    entry: &Entry,
    cached: Option<Cached>,
    exchange: &mut Exchange,
    passage: &mut Passage,
    mut storage: Storage,
) {
    let Some(cached) = cached else { return };
    if let Cached::Fill { request, .. } = &cached {
        if entry.edited_inside
            && storage != Storage::Unjudged
            && let Some(response) = &exchange.response
            && may_vary_inside(
                &response.headers,
                &request.headers,
                &exchange.request.headers,
            )
        {
            storage = Storage::Never;
        }
        exchange.request.clone_from(request);
    }
    let Some(mut response) = exchange.response.take() else {
        return;
    };
    match cached {
        Cached::Fill { fill, .. } => {
            let body = Box::pin(std::mem::take(&mut exchange.response_body));
            let (status, headers) = (response.status, response.headers);
            let now = SystemTime::now();
            match fill.answer(status, headers, body, storage, passage.failed, now) {
                Filled::Served(answer) => {
                    let failed = passage.failed && answer.status == status;
                    passage.answer_cached(exchange, answer);
                    passage.failed = failed;
                }
                Filled::AskAgain(fill) => passage.again = Some(fill),
            }
        }
        Cached::Pass(pass) => {
            pass.answer(response.status, &mut response.headers);
            exchange.response = Some(response);
        }
    }
}
