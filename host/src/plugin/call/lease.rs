//! A lease: one sandbox for one visit of an entry, and every bound of the calls in it.
//!
//! The message moves into the instance's Store for the visit, and out again: an instance between visits has
//! none. An instance waits for a peer only within a call that was granted to, or while a body goes through
//! it; so what the way in tells the way out is in attributes of the message. Bounds hold calls and not
//! instances, and dropping the future of a call ends the guest.

use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::Instance;

use super::guest_error::{fault_of, late, missed, report_dropped_log};
use super::hooks::{self, Answer, Hook};
use super::permits::permits;
use super::policy::Policy;
use super::sandbox::Sandbox;
use super::wasmtime_internal::checked_borrow::{HandleIndices, IndexMismatch};
use crate::http::exchange::Exchange;
use crate::limits;
use crate::plugin::engine::clock::Running;
use crate::plugin::fault::{Fault, FaultKind};
use crate::plugin::host::meter::CpuMeter;
use crate::plugin::host::reads::Reads;
use crate::plugin::host::state::{LogBudget, Phase, State};
use crate::quote::one_line;

/// The right to use a sandbox for one visit.
pub struct Lease<'p> {
    policy: &'p Policy,
    /// Gone once a call did not end well: such an instance is never used again.
    sandbox: Option<Sandbox>,
    /// Here when the instance is gone.
    exchange: Option<Box<Exchange>>,
    cpu_ns: u64,
    /// The most linear memory that the instance had, in bytes.
    memory: usize,
    /// One of the plugin's, and one of the process's.
    permits: [OwnedSemaphorePermit; 2],
    _running: Running<'p>,
}

/// `take` puts the message into the Store, `call` moves it into the lease as the instance dies, and there is no third
/// way: nothing that a guest does, and nothing that a call returns, leaves both places empty.
const IN_EITHER: &str = "the message is in the instance or in the lease";

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
            Some(sandbox) => Ok(sandbox),
            None => instantiate(policy).await,
        };
        match made {
            Ok(mut sandbox) => {
                sandbox.store.data_mut().exchange = Some(exchange);
                Ok(Lease {
                    policy,
                    sandbox: Some(sandbox),
                    exchange: None,
                    cpu_ns: 0,
                    memory: 0,
                    permits,
                    _running: running,
                })
            }
            Err(fault) => Err((exchange, fault)),
        }
    }

    /// Calls one hook, within the plugin's bounds.
    pub async fn call(&mut self, hook: Hook) -> Result<Answer, Fault> {
        let Some(mut sandbox) = self.sandbox.take() else {
            return Err(Fault::new(FaultKind::Instantiate, "the instance is gone"));
        };
        let spec = &self.policy.plugin.spec;
        let mut called = within(spec.wall, called(self.policy, &mut sandbox, hook)).await;
        if matches!(&called, Some(Err(error)) if error.is::<IndexMismatch>()) {
            let exchange = sandbox.store.data_mut().exchange.take();
            drop(sandbox);
            sandbox = match instantiate(self.policy).await {
                Ok(made) => made,
                Err(fault) => {
                    self.exchange = exchange;
                    return Err(fault);
                }
            };
            sandbox.store.data_mut().exchange = exchange;
            called = within(spec.wall, self::called(self.policy, &mut sandbox, hook)).await;
        }
        let state = sandbox.store.data_mut();
        self.cpu_ns += state.cpu.spent_ns;
        self.memory = self.memory.max(state.memory.used);
        let fault = match called {
            Some(Ok((Ok(answer), memory))) => {
                report_dropped_log(state);
                sandbox.memory = Some(memory);
                self.sandbox = Some(sandbox);
                return Ok(answer);
            }
            // The guest ended by itself and can serve again; its edits are undone like a trap's.
            Some(Ok((Err(text), memory))) => {
                sandbox.memory = Some(memory);
                undo(state);
                report_dropped_log(state);
                let kind = missed(state).unwrap_or(FaultKind::Error);
                self.sandbox = Some(sandbox);
                return Err(Fault::new(kind, one_line(&text)));
            }
            Some(Err(error)) => fault_of(&error, state, spec.cpu),
            None => Fault::new(
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
    pub fn exchange(&mut self) -> &mut Exchange {
        let place = match &mut self.sandbox {
            Some(sandbox) => &mut sandbox.store.data_mut().exchange,
            None => &mut self.exchange,
        };
        place.as_mut().expect(IN_EITHER)
    }

    /// What the last call looked at.
    pub fn reads(&mut self) -> Option<Reads> {
        self.sandbox.as_mut()?.store.data_mut().reads.take()
    }

    /// Takes back what the last call edited: it ended well, and what it answered was not HTTP.
    pub fn undo(&mut self) {
        if let Some(sandbox) = &mut self.sandbox {
            undo(sandbox.store.data_mut());
        }
    }

    /// Ends the visit: the instance goes back or dies, the message comes out.
    pub async fn finish(self, started: Instant) -> Visited {
        let policy = self.policy;
        let (visited, kept) = self.keep(started);
        if let Some((sandbox, _permits)) = kept {
            give_back(policy, sandbox).await;
        }
        visited
    }

    /// Ends the visit and keeps the instance, if there is one still, with its permits: the message
    /// comes out.
    pub fn keep(
        mut self,
        started: Instant,
    ) -> (Visited, Option<(Sandbox, [OwnedSemaphorePermit; 2])>) {
        let elapsed = started.elapsed();
        // The first tick of a call counts as a whole one, however short the call was before it.
        let cpu = (self.cpu_ns > 0).then(|| Duration::from_nanos(self.cpu_ns).min(elapsed));
        let (exchange, kept) = match self.sandbox.take() {
            Some(mut sandbox) => {
                sandbox.store.data_mut().undo.forget();
                let exchange = sandbox.store.data_mut().exchange.take();
                (exchange, Some((sandbox, self.permits)))
            }
            None => (self.exchange.take(), None),
        };
        let visited = Visited {
            exchange: exchange.expect(IN_EITHER),
            elapsed,
            cpu,
            memory: self.memory,
        };
        (visited, kept)
    }
}

/// Ends a visit: the sandbox waits for the next, or dies.
pub(super) async fn give_back(policy: &Policy, mut sandbox: Sandbox) {
    if reset(policy, &mut sandbox).await {
        policy.idle.give(sandbox);
    }
}

/// Makes a sandbox ready for another visit; false if it cannot serve one.
async fn reset(policy: &Policy, sandbox: &mut Sandbox) -> bool {
    sandbox.visits -= 1;
    if sandbox.visits > 0 {
        return true;
    }
    let (Some(pristine), Some(scan)) = (&policy.pristine, &policy.plugin.runtime.page_scan) else {
        return false;
    };
    let Some(memory) = sandbox.memory else {
        return false;
    };
    sandbox.visits = policy.instances.calls;
    if !sandbox.indices.put_back(policy.hooks.hand_one_then_more()) {
        return false;
    }
    pristine
        .restore(scan, &mut sandbox.store, &sandbox.instance, memory)
        .await
}

/// What is left of a visit.
#[derive(Debug)]
pub struct Visited {
    pub exchange: Box<Exchange>,
    pub elapsed: Duration,
    /// Processor time, where the visit was long enough for a tick of the clock to be seen.
    pub cpu: Option<Duration>,
    /// The most linear memory that the instance had, in bytes; 0 if no hook was called.
    pub memory: usize,
}

async fn instantiate(policy: &Policy) -> Result<Sandbox, Fault> {
    let plugin = &policy.plugin;
    let runtime = &plugin.runtime;
    let identity = policy.identity.clone();
    let state = State::new(&plugin.spec, identity, Phase::Call, plugin.spec.cpu);
    let mut store = runtime.store(state);
    arm(&mut store, plugin.spec.cpu);
    let made = within(plugin.spec.wall, start(policy, &mut store)).await;
    match made {
        Some(Ok(Ok(instance))) => Ok(Sandbox {
            store,
            instance,
            visits: policy.instances.calls,
            memory: None,
            indices: HandleIndices::default(),
        }),
        Some(Ok(Err(text))) => Err(Fault::new(
            FaultKind::Instantiate,
            format!("the plugin refuses its configuration: {}", one_line(&text)),
        )),
        Some(Err(error)) => {
            let mut fault = fault_of(&error, store.data_mut(), plugin.spec.cpu);
            if fault.kind == FaultKind::Trap {
                fault.kind = FaultKind::Instantiate;
            }
            Err(fault)
        }
        None => Err(Fault::new(
            FaultKind::Wall,
            format!("no instance was made within {:?}", plugin.spec.wall),
        )),
    }
}

/// Instantiates, and configures where there is no snapshot.
pub(in crate::plugin) async fn start(
    policy: &Policy,
    store: &mut Store<State>,
) -> wasmtime::Result<Result<Instance, String>> {
    let instance = policy.pre.instantiate_async(&mut *store).await?;
    if let Some(config) = &policy.configure_each {
        let guest = policy.lifecycle.load(&mut *store, &instance)?;
        if let Err(text) = guest.call_configure(&mut *store, config).await? {
            return Ok(Err(text));
        }
    }
    Ok(Ok(instance))
}

/// Gives a call its bounds. The epoch deadline is the Store's, so it is set before each.
pub(in crate::plugin) fn arm(store: &mut Store<State>, cpu: Duration) {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.cpu = CpuMeter::start(cpu);
    state.log = LogBudget::default();
    if let Some(wasi) = &state.wasi {
        wasi.output_left
            .store(limits::plugin::LOG_CALL_BYTES_MAX, Ordering::Relaxed);
    }
    state.memory.refused = false;
    state.undo.forget();
    state.reads = None;
    state.missed = None;
}

/// Runs a call within its elapsed time; none if that is over. Most calls end before they wait for the
/// first time, so only then is a timer set: it would cost a third of such a call. What came before is a
/// guest's processor time, which has a bound of its own and gives way at each tick.
pub(in crate::plugin) async fn within<T>(
    wall: Duration,
    call: impl Future<Output = T>,
) -> Option<T> {
    let mut call = std::pin::pin!(call);
    let first = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
    match first {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => tokio::time::timeout(wall, call).await.ok(),
    }
}

/// Calls a hook, armed with its bounds.
async fn called(
    policy: &Policy,
    sandbox: &mut Sandbox,
    hook: Hook,
) -> wasmtime::Result<hooks::Called> {
    arm(&mut sandbox.store, policy.plugin.spec.cpu);
    sandbox.store.data_mut().reads = (hook == Hook::Authorize).then(Reads::default);
    let Sandbox {
        store,
        instance,
        indices,
        ..
    } = sandbox;
    hooks::call(&policy.exports, store, instance, hook, indices).await
}

/// Takes back the edits of a call that faulted.
fn undo(state: &mut State) {
    if let Some(exchange) = &mut state.exchange {
        state.undo.restore(exchange);
    }
}
