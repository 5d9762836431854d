//! A lease: one instance for one visit of an entry, and every bound of the calls in it.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::{Instance, Resource};

use super::bindings::exports::tollgate::plugin::{
    authorizer, cache_lookup, cache_store, limiter, limiter_settle, request_transformer,
    response_transformer,
};
use super::bindings::tollgate::plugin::http as wit;
use super::blame::{fault_of, late, missed, report_dropped_log};
use super::engine::Running;
use super::fault::{Fault, FaultKind};
use super::imports::one_line;
use super::permits::permits;
use super::policy::Policy;
use super::reads::Reads;
use super::state::{
    Before, CpuMeter, LogBudget, Phase, RequestEditsHandle, RequestHandle, ResponseEditsHandle,
    ResponseHandle, State,
};
use super::stream;
use crate::http::exchange::Exchange;
use crate::limits;

/// Which export to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Authorize,
    Limits,
    Lookup,
    TransformRequest,
    TransformResponse,
    Store,
    Settle,
    OpenRequest,
    OpenResponse,
}

/// What a hook answered, as it stands in the contract.
pub enum Answer {
    Decision(authorizer::Decision),
    Limits(Vec<limiter::Limit>),
    Settlements(Vec<limiter_settle::Settlement>),
    Key(cache_lookup::EntryKey),
    Storage(cache_store::Storage),
    Next,
    Respond(wit::Reply),
    /// Whether the body goes through the plugin.
    Through(bool),
}

/// An instance between calls, or in one.
pub struct Leased {
    pub(super) store: Store<State>,
    pub(super) instance: Instance,
    /// Visits left to it.
    visits: u32,
}

impl Leased {
    /// Ends a visit: the instance waits for the next, or dies.
    pub(super) fn give_back(mut self, policy: &Policy) {
        self.visits -= 1;
        if self.visits > 0 {
            policy.idle.give(self);
        }
    }
}

/// Instances of one policy that wait for their next call, warmest last. The pool has places for them
/// beside those of the calls in progress.
pub struct Idle {
    instances: Mutex<Vec<Leased>>,
    max: usize,
}

impl Idle {
    pub fn new(max: usize) -> Self {
        Idle {
            instances: Mutex::new(Vec::new()),
            max,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Leased>> {
        self.instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Leased> {
        self.lock().pop()
    }

    fn give(&self, leased: Leased) {
        let mut instances = self.lock();
        if instances.len() < self.max {
            instances.push(leased);
        }
    }
}

pub struct Lease<'p> {
    policy: &'p Policy,
    /// Gone once a call did not end well: such an instance is never used again.
    leased: Option<Leased>,
    /// Here when the instance is gone.
    exchange: Option<Box<Exchange>>,
    cpu_ns: u64,
    /// One of the plugin's, and one of the process's.
    permits: [OwnedSemaphorePermit; 2],
    _running: Running,
}

impl<'p> Lease<'p> {
    /// Waits a bounded time for a place, and takes an idle instance or makes one.
    pub async fn take(
        policy: &'p Policy,
        exchange: Box<Exchange>,
    ) -> Result<Lease<'p>, (Box<Exchange>, Fault)> {
        let permits = match permits(policy).await {
            Ok(permits) => permits,
            Err(fault) => return Err((exchange, fault)),
        };
        let running = policy.plugin.runtime.clock.run();
        let made = match policy.idle.take() {
            Some(leased) => Ok(leased),
            None => instantiate(policy).await,
        };
        match made {
            Ok(mut leased) => {
                leased.store.data_mut().exchange = Some(exchange);
                Ok(Lease {
                    policy,
                    leased: Some(leased),
                    exchange: None,
                    cpu_ns: 0,
                    permits,
                    _running: running,
                })
            }
            Err(fault) => Err((exchange, fault)),
        }
    }

    /// Calls one hook, within the plugin's bounds.
    pub async fn call(&mut self, hook: Hook) -> Result<Answer, Fault> {
        let Some(mut leased) = self.leased.take() else {
            return Err(Fault::new(FaultKind::Instantiate, "the instance is gone"));
        };
        let spec = &self.policy.plugin.spec;
        arm(&mut leased.store, spec.cpu);
        leased.store.data_mut().reads = (hook == Hook::Authorize).then(Reads::default);
        let called =
            tokio::time::timeout(spec.wall, dispatch(self.policy, &mut leased, hook)).await;
        let state = leased.store.data_mut();
        self.cpu_ns += state.cpu.spent_ns;
        let fault = match called {
            Ok(Ok(Ok(answer))) => {
                report_dropped_log(state);
                self.leased = Some(leased);
                return Ok(answer);
            }
            // The guest ended by itself and can serve again; its edits are undone like a trap's.
            Ok(Ok(Err(text))) => {
                undo(state);
                report_dropped_log(state);
                let kind = missed(state).unwrap_or(FaultKind::Error);
                self.leased = Some(leased);
                return Err(Fault::new(kind, one_line(&text)));
            }
            Ok(Err(error)) => fault_of(&error, state, spec.cpu),
            Err(_) => Fault::new(
                late(state),
                format!("the call took longer than {:?} (`limits.wall`)", spec.wall),
            ),
        };
        undo(state);
        self.exchange = state.exchange.take();
        Err(fault)
    }

    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// The message being visited.
    pub fn exchange(&mut self) -> Option<&mut Exchange> {
        match &mut self.leased {
            Some(leased) => leased.store.data_mut().exchange.as_deref_mut(),
            None => self.exchange.as_deref_mut(),
        }
    }

    /// What the last call looked at.
    pub fn reads(&mut self) -> Option<Reads> {
        self.leased.as_mut()?.store.data_mut().reads.take()
    }

    /// Takes back what the last call edited: it ended well, and what it answered was not HTTP.
    pub fn undo(&mut self) {
        if let Some(leased) = &mut self.leased {
            undo(leased.store.data_mut());
        }
    }

    /// Ends the visit: the instance goes back or dies, the message comes out.
    pub fn finish(self, started: Instant) -> Visited {
        let policy = self.policy;
        let (visited, kept) = self.keep(started);
        if let Some((leased, _permits)) = kept {
            leased.give_back(policy);
        }
        visited
    }

    /// Ends the visit and keeps the instance, if there is one still, with its permits: the message
    /// comes out.
    pub fn keep(
        mut self,
        started: Instant,
    ) -> (Visited, Option<(Leased, [OwnedSemaphorePermit; 2])>) {
        let elapsed = started.elapsed();
        // The first tick of a call counts as a whole one, however short the call was before it.
        let cpu = (self.cpu_ns > 0).then(|| Duration::from_nanos(self.cpu_ns).min(elapsed));
        let (exchange, kept) = match self.leased.take() {
            Some(mut leased) => {
                leased.store.data_mut().before = Before::default();
                let exchange = leased.store.data_mut().exchange.take();
                (exchange, Some((leased, self.permits)))
            }
            None => (self.exchange.take(), None),
        };
        let visited = Visited {
            // Either place holds it: it is put into the Store in `take` and moved here in `call`.
            exchange: exchange.expect("the message is in the instance or in the lease"),
            elapsed,
            cpu,
        };
        (visited, kept)
    }
}

/// What is left of a visit.
#[derive(Debug)]
pub struct Visited {
    pub exchange: Box<Exchange>,
    pub elapsed: Duration,
    /// Processor time, where the visit was long enough for a tick of the clock to be seen.
    pub cpu: Option<Duration>,
}

async fn instantiate(policy: &Policy) -> Result<Leased, Fault> {
    let plugin = &policy.plugin;
    let runtime = &plugin.runtime;
    let identity = policy.identity.clone();
    let state = State::new(&plugin.spec, identity, Phase::Call, plugin.spec.cpu);
    let mut store = runtime.store(state);
    arm(&mut store, plugin.spec.cpu);
    let made = tokio::time::timeout(plugin.spec.wall, start(policy, &mut store)).await;
    match made {
        Ok(Ok(Ok(instance))) => Ok(Leased {
            store,
            instance,
            visits: policy.instances.calls,
        }),
        Ok(Ok(Err(text))) => Err(Fault::new(
            FaultKind::Instantiate,
            format!("the plugin refuses its configuration: {}", one_line(&text)),
        )),
        Ok(Err(error)) => {
            let mut fault = fault_of(&error, store.data_mut(), plugin.spec.cpu);
            if fault.kind == FaultKind::Trap {
                fault.kind = FaultKind::Instantiate;
            }
            Err(fault)
        }
        Err(_) => Err(Fault::new(
            FaultKind::Wall,
            format!("no instance was made within {:?}", plugin.spec.wall),
        )),
    }
}

/// Instantiates, and configures where there is no snapshot.
pub(super) async fn start(
    policy: &Policy,
    store: &mut Store<State>,
) -> wasmtime::Result<Result<Instance, String>> {
    let instance = policy.pre.instantiate_async(&mut *store).await?;
    if let Some(config) = &policy.configure_each {
        let guest = policy.exports.lifecycle.load(&mut *store, &instance)?;
        if let Err(text) = guest.call_configure(&mut *store, config).await? {
            return Ok(Err(text));
        }
    }
    Ok(Ok(instance))
}

/// Gives a call its bounds. The epoch deadline is the Store's, so it is set before each.
pub(super) fn arm(store: &mut Store<State>, cpu: Duration) {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.cpu = CpuMeter::start(cpu);
    state.log = LogBudget::default();
    if let Some(wasi) = &state.wasi {
        wasi.output_left
            .store(limits::LOG_CALL_BYTES_MAX, Ordering::Relaxed);
    }
    state.memory.refused = false;
    state.before = Before::default();
    state.reads = None;
    state.missed = None;
}

/// The typed calls.
async fn dispatch(
    policy: &Policy,
    leased: &mut Leased,
    hook: Hook,
) -> wasmtime::Result<Result<Answer, String>> {
    let Leased {
        store, instance, ..
    } = leased;
    let exports = &policy.exports;
    let request = Resource::<RequestHandle>::new_borrow(0);
    let response = Resource::<ResponseHandle>::new_borrow(0);
    /// Looks the hook's function up in the instance.
    macro_rules! guest {
        ($hook:ident) => {
            match &exports.$hook {
                Some(exports) => exports.load(&mut *store, instance)?,
                None => wasmtime::bail!("the component has no {hook:?}"),
            }
        };
    }
    Ok(match hook {
        Hook::Authorize => {
            let guest = guest!(authorizer);
            let decision = guest.call_authorize(&mut *store, request).await?;
            decision.map(Answer::Decision)
        }
        Hook::Limits => {
            let guest = guest!(limiter);
            let limits = guest.call_limits(&mut *store, request).await?;
            limits.map(Answer::Limits)
        }
        Hook::Lookup => {
            let guest = guest!(cache_lookup);
            let key = guest.call_lookup(&mut *store, request).await?;
            key.map(Answer::Key)
        }
        Hook::TransformRequest => {
            let guest = guest!(request_transformer);
            let edits = Resource::<RequestEditsHandle>::new_borrow(0);
            let outcome = guest.call_transform_request(&mut *store, request, edits);
            outcome.await?.map(|outcome| match outcome {
                request_transformer::Outcome::Next => Answer::Next,
                request_transformer::Outcome::Respond(reply) => Answer::Respond(reply),
            })
        }
        Hook::TransformResponse => {
            let guest = guest!(response_transformer);
            let edits = Resource::<ResponseEditsHandle>::new_borrow(0);
            let outcome = guest.call_transform_response(&mut *store, request, response, edits);
            outcome.await?.map(|outcome| match outcome {
                response_transformer::Outcome::Next => Answer::Next,
                response_transformer::Outcome::Respond(reply) => Answer::Respond(reply),
            })
        }
        Hook::Store => {
            let guest = guest!(cache_store);
            let storage = guest.call_store(&mut *store, request, response).await?;
            storage.map(Answer::Storage)
        }
        Hook::Settle => {
            let guest = guest!(limiter_settle);
            let settlements = guest.call_settle(&mut *store, request, response).await?;
            settlements.map(Answer::Settlements)
        }
        Hook::OpenRequest | Hook::OpenResponse => stream::open(policy, leased, hook)
            .await?
            .map(Answer::Through),
    })
}

/// Takes back the edits of a call that faulted.
fn undo(state: &mut State) {
    if let Some(exchange) = &mut state.exchange {
        state.before.restore(exchange);
    }
}
