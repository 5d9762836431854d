//! The onion: the entries of a route, inwards in the order written, outwards in reverse.

mod authorization;
mod inward;
mod lookup;
mod outward;
mod remember;
mod streams;

use std::sync::Arc;

use crate::error::{Failure, FailureKind};
use crate::http::body::Content;
use crate::http::exchange::{Exchange, RequestHead, ResponseHead};
use crate::http::owned;
use crate::http::side::Side;
use crate::observe::{EntryMetrics, EntryVisit, FailureNote, Record};
use crate::plugin::{Fault, FaultKind, Identity, Policy, Reply, Verdict, Visited};
use crate::policy::cache::{Cache, Fill, Followers, Pass, Served};
use crate::policy::decisions::{Memory, Weigh};
use crate::policy::limit::{Charge, Limiter};
use crate::route::Predicate;
use bytes::Bytes;

pub use inward::inward;
pub use outward::outward;

/// One place in a chain.
pub struct Entry {
    pub policy: Arc<Policy>,
    /// The requests it is for; `None` for all.
    pub when: Option<Predicate>,
    /// Its place in the configuration, which owns counters of the scope `entry`.
    pub place: Arc<str>,
    /// Whether the message passes when its plugin faults. Never true for an authorizer.
    pub fails_open: bool,
    /// Its namespaces in the cache.
    pub namespace: Namespace,
    /// Whether its own plugin, or that of an entry inside it, may edit the request to the upstream.
    pub edited_inside: bool,
    /// Its authorizer's remembered decisions.
    pub memory: Option<Arc<Memory<Decided>>>,
    pub metrics: Arc<EntryMetrics>,
}

/// An entry's namespaces in the cache.
pub struct Namespace {
    pub own: Arc<str>,
    /// Its own and those of the same policy on other routes, where an unsafe request may also have to
    /// invalidate.
    pub all: Arc<[Arc<str>]>,
}

/// The mechanisms behind plugins, shared by all chains.
#[derive(Clone)]
pub struct Mechanisms {
    pub limiter: Arc<Limiter>,
    pub cache: Arc<Cache>,
}

/// A remembered decision: the verdict, and the notes written with it.
pub struct Decided {
    pub verdict: Verdict,
    pub writes: Vec<(String, String)>,
}

impl Weigh for Decided {
    fn bytes(&self) -> usize {
        let verdict = match &self.verdict {
            Verdict::Allow(grant) => grant.bytes() + 2 * size_of::<String>() * grant.claims.len(),
            Verdict::Deny(reply) => owned::weight(&reply.headers) + reply.body.len(),
        };
        let writes = self
            .writes
            .iter()
            .map(|(name, value)| 2 * size_of::<String>() + name.len() + value.len());
        size_of::<Decided>() + verdict + writes.sum::<usize>()
    }
}

/// Which entries the request has passed, and what each must do on the way out.
#[derive(Default)]
pub struct Passage {
    entered: Vec<Entered>,
    /// The limiters' charges. Dropping one frees the concurrency that it holds.
    pub charges: Vec<Charge>,
    /// Whether the response is one of the gateway's own errors.
    failed: bool,
    /// The fill to send in place of the response, if the entry just left asks again.
    again: Option<Fill>,
}

/// How the way in ended.
pub enum Ended {
    /// No entry answered: ask the upstream.
    Open,
    /// The cache entry at this index fetches, also for its followers: the way in goes on inside it, and
    /// should survive the client.
    Leads { index: usize, followers: Followers },
    /// The response is in the exchange.
    Answered,
    /// A stale response from the cache is in the exchange; the entries inside the one at this index fetch a
    /// fresh one.
    AnsweredStale { index: usize, fill: Box<Fill> },
}

/// An entry that the response must pass.
struct Entered {
    index: usize,
    /// Index in [`Passage::charges`].
    charge: Option<usize>,
    cached: Option<Cached>,
    /// Whether it only stores a background fetch.
    only_stores: bool,
}

/// What a cache entry does on the way out.
enum Cached {
    /// May store the response; restores the request to what it was before.
    Fill {
        fill: Box<Fill>,
        request: Box<RequestHead>,
    },
    Pass(Pass),
}

impl Passage {
    /// Starts the passage of a background fetch for the cache entry at this index.
    pub fn storing(index: usize, fill: Fill, exchange: &mut Exchange) -> Passage {
        let mut passage = Passage::default();
        passage.enter_to_fill(index, None, fill, exchange);
        for entered in &mut passage.entered {
            entered.only_stores = true;
        }
        passage
    }

    fn enter(&mut self, index: usize, charge: Option<usize>, cached: Option<Cached>) {
        self.entered.push(Entered {
            index,
            charge,
            cached,
            only_stores: false,
        });
    }

    fn enter_to_fill(
        &mut self,
        index: usize,
        charge: Option<usize>,
        fill: Fill,
        exchange: &mut Exchange,
    ) {
        let request = Box::new(exchange.request.clone());
        fill.prepare(&mut exchange.request.method, &mut exchange.request.headers);
        let fill = Box::new(fill);
        self.enter(index, charge, Some(Cached::Fill { fill, request }));
    }

    /// Makes one of the gateway's failures the response.
    pub fn fail(&mut self, exchange: &mut Exchange, failure: &Failure, record: &mut Record) {
        record.fail(failure);
        let (head, body) = failure.respond(&exchange.id);
        exchange.answer(head, Content::whole(body));
        self.failed = true;
    }

    /// Makes a plugin's reply the response.
    fn reply(&mut self, exchange: &mut Exchange, reply: Reply) {
        self.answer(exchange, (reply.status, reply.headers), reply.body);
    }

    fn answer(
        &mut self,
        exchange: &mut Exchange,
        (status, headers): (http::StatusCode, http::HeaderMap),
        body: Bytes,
    ) {
        exchange.answer(ResponseHead { status, headers }, Content::whole(body));
        self.failed = false;
    }

    /// Writes the standings of the charged limits into the response.
    fn tell_limits(&self, exchange: &mut Exchange, charge: Option<usize>) {
        if let Some(charge) = charge.and_then(|index| self.charges.get(index))
            && let Some(response) = &mut exchange.response
        {
            for (name, value) in charge.fields() {
                response.headers.append(name, value);
            }
        }
    }

    fn answer_cached(&mut self, exchange: &mut Exchange, answer: Served) {
        let head = ResponseHead {
            status: answer.status,
            headers: answer.headers,
        };
        exchange.answer(head, Content::stream(Box::pin(answer.body)));
        self.failed = false;
    }
}

impl Entry {
    /// Whether the entry is for this request, as edited so far.
    fn is_for(&self, exchange: &Exchange) -> bool {
        let Some(when) = &self.when else { return true };
        let request = &exchange.request;
        let holds_at = |host| {
            when.holds(
                &request.method,
                exchange.preflight.as_ref(),
                host,
                &request.target,
                &request.headers,
            )
        };
        // A proxy may pass on its client's word about the host: check both, so that neither gets around the
        // entry.
        holds_at(request.authority()) || (request.asked.is_some() && holds_at(request.host()))
    }

    fn failure(&self, fault: &Fault) -> Failure {
        let kind = match fault.kind {
            FaultKind::Busy => FailureKind::PluginBusy,
            FaultKind::BodiesFull => FailureKind::BodiesFull,
            FaultKind::BodyTooLarge => FailureKind::BodyTooLarge,
            FaultKind::BodyBroken => FailureKind::ClientStalled,
            FaultKind::Unreadable => FailureKind::BadGateway,
            FaultKind::BodyEncoding => {
                FailureKind::BadRequest("the request's content-encoding cannot be undone")
            }
            _ => FailureKind::Plugin,
        };
        let policy = &self.policy.identity.policy;
        Failure::new(kind, format!("{policy}: {}: {}", fault.kind, fault.summary))
    }

    /// Whether the message passes after this fault. A client's broken body is never passed on.
    fn passes(&self, fault: &Fault) -> bool {
        self.fails_open && !fault.kind.is_clients()
    }

    /// Records, counts and logs a visit.
    fn note(
        &self,
        side: Side,
        verdict: &'static str,
        visited: &Visited,
        fault: Option<&Fault>,
        record: &mut Record,
    ) {
        let kind = fault.map(|fault| fault.kind);
        self.metrics
            .count(side, visited.elapsed.as_secs_f64(), kind);
        self.metrics.count_use(visited.cpu, visited.memory);
        record.entries.push(EntryVisit {
            policy: Arc::clone(&self.policy.identity.policy),
            side,
            verdict,
            remembered: false,
            fault: kind.map(FaultKind::label),
            elapsed: visited.elapsed,
            cpu: visited.cpu,
        });
        let Some(fault) = fault else { return };
        if fault.kind.is_clients() {
            return;
        }
        let exchange = &visited.exchange;
        log_fault(&self.policy.identity, &exchange.route, &exchange.id, fault);
        if self.passes(fault) && record.failure.is_none() {
            // The request goes on; the record still says whose fault it was.
            record.failure = Some(FailureNote::from(&self.failure(fault)));
        }
    }
}

/// Logs a plugin's fault for the operator.
fn log_fault(of: &Identity, route: &str, request: &str, fault: &Fault) {
    tracing::error!(
        target: "plugin",
        plugin = &*of.plugin,
        policy = &*of.policy,
        route,
        request,
        fault = fault.kind.label(),
        "{}\n{}",
        fault.summary,
        // Indented, so that none of its lines can look like another log line.
        fault.backtrace.replace('\n', "\n    ")
    );
}
