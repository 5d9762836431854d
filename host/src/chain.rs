//! The onion: the entries of a route, inwards in the order written, outwards in reverse.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Failure, FailureKind};
use crate::http::exchange::{Exchange, ResponseHead};
use crate::observe::{EntryMetrics, EntryVisit, FailureNote, Record, Side};
use crate::plugin::{Fault, FaultKind, Policy, Reply, Visit, WayIn, WayOut};

/// One place in a chain.
pub struct Entry {
    pub policy: Arc<Policy>,
    /// Whether a fault of it lets the message pass. Never true of an authorizer.
    pub fails_open: bool,
    pub metrics: EntryMetrics,
}

/// How the way in ended.
pub struct Inward {
    pub exchange: Box<Exchange>,
    /// How many entries, from the outermost, will see the response.
    pub entered: usize,
    /// The answer of the entry that ended it; none if the upstream is to be asked.
    pub answer: Option<Body>,
}

/// The body of a response that was not the upstream's.
pub type Body = Bytes;

/// Runs the way in. An entry that answers, or fails closed, ends it: what it put in the exchange as
/// the response then passes the entries before it, and not itself.
pub async fn inward(chain: &[Entry], mut exchange: Box<Exchange>, record: &mut Record) -> Inward {
    for (index, entry) in chain.iter().enumerate() {
        let visit = entry.policy.way_in(exchange).await;
        let verdict = match &visit.result {
            Ok(WayIn::Allowed) => "allow",
            Ok(WayIn::Denied(_)) => "deny",
            Ok(WayIn::Passed) => "next",
            Ok(WayIn::Responded(_)) => "respond",
            Err(_) => "fault",
        };
        note(entry, Side::In, verdict, &visit, record);
        exchange = visit.exchange;
        let answer = match visit.result {
            Ok(WayIn::Allowed | WayIn::Passed) => continue,
            Ok(WayIn::Denied(reply) | WayIn::Responded(reply)) => answer(&mut exchange, reply),
            Err(_) if entry.fails_open => continue,
            Err(fault) => fail(&mut exchange, &failure_of(entry, &fault), record),
        };
        return Inward {
            exchange,
            entered: index,
            answer: Some(answer),
        };
    }
    Inward {
        exchange,
        entered: chain.len(),
        answer: None,
    }
}

/// Runs the way out over the response in the exchange, through the entries that were entered.
/// Answers the body that takes the place of the response's own, if an entry replaced it.
pub async fn outward(
    entered: &[Entry],
    mut exchange: Box<Exchange>,
    record: &mut Record,
) -> (Box<Exchange>, Option<Body>) {
    let mut replaced = None;
    for entry in entered.iter().rev() {
        if !entry.policy.hooks.on_way_out() {
            continue;
        }
        let visit = entry.policy.way_out(exchange).await;
        let verdict = match &visit.result {
            Ok(WayOut::Passed) => "next",
            Ok(WayOut::Replaced(_)) => "respond",
            Err(_) => "fault",
        };
        note(entry, Side::Out, verdict, &visit, record);
        exchange = visit.exchange;
        match visit.result {
            Ok(WayOut::Passed) => {}
            Ok(WayOut::Replaced(reply)) => replaced = Some(answer(&mut exchange, reply)),
            Err(_) if entry.fails_open => {}
            Err(fault) => {
                replaced = Some(fail(&mut exchange, &failure_of(entry, &fault), record));
            }
        }
    }
    (exchange, replaced)
}

/// Makes a plugin's reply the response.
fn answer(exchange: &mut Exchange, reply: Reply) -> Body {
    exchange.response = Some(ResponseHead {
        status: reply.status,
        headers: reply.headers,
    });
    reply.body
}

/// Makes a failure of ours the response.
pub fn fail(exchange: &mut Exchange, failure: &Failure, record: &mut Record) -> Body {
    record.fail(failure);
    let (head, body) = failure.respond(&exchange.id);
    exchange.response = Some(head);
    body
}

fn failure_of(entry: &Entry, fault: &Fault) -> Failure {
    let kind = match fault.kind {
        FaultKind::Busy => FailureKind::PluginBusy,
        _ => FailureKind::Plugin,
    };
    let policy = &entry.policy.identity.policy;
    Failure::new(kind, format!("{policy}: {}: {}", fault.kind, fault.summary))
}

/// Records, counts and logs a visit.
fn note<T>(
    entry: &Entry,
    side: Side,
    verdict: &'static str,
    visit: &Visit<T>,
    record: &mut Record,
) {
    let fault = visit.result.as_ref().err();
    let kind = fault.map(|fault| fault.kind);
    entry.metrics.count(side, visit.elapsed.as_secs_f64(), kind);
    record.entries.push(EntryVisit {
        policy: Arc::clone(&entry.policy.identity.policy),
        side,
        verdict,
        fault: kind.map(FaultKind::label),
        elapsed: visit.elapsed,
        cpu: visit.cpu,
    });
    let Some(fault) = fault else { return };
    tracing::error!(
        target: "plugin",
        plugin = &*entry.policy.identity.plugin,
        policy = &*entry.policy.identity.policy,
        route = &*visit.exchange.route,
        request = visit.exchange.id,
        fault = fault.kind.label(),
        "{}\n{}",
        fault.summary,
        // Indented, no line of it can look like another line of the log.
        fault.backtrace.replace('\n', "\n    ")
    );
    if entry.fails_open && record.failure.is_none() {
        // The request goes on, and the record still says whose fault it was.
        record.failure = Some(FailureNote::from(&failure_of(entry, fault)));
    }
}
