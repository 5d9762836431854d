//! A lease: one instance for one visit of an entry, and every bound of the calls in it.

use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::Instance;

use super::guest_error::{fault_of, late, missed, report_dropped_log};
use super::hooks::{self, Answer, Hook};
use super::permits::permits;
use super::wasmtime_internal::checked_borrow::{Numbers, Renumbered};
use super::wasmtime_internal::with_memory::GuestMemory;
use crate::http::exchange::Exchange;
use crate::limits;
use crate::plugin::engine::runtime::Running;
use crate::plugin::fault::{Fault, FaultKind};
use crate::plugin::host::reads::Reads;
use crate::plugin::host::state::{CpuMeter, LogBudget, Phase, State};
use crate::plugin::load::policy::Policy;
use crate::shown::one_line;

/// An instance between calls, or in one.
pub struct Leased {
    pub(in crate::plugin) store: Store<State>,
    pub(in crate::plugin) instance: Instance,
    /// Visits left to it.
    visits: u32,
    /// Where its memory is; known from the first answer on.
    memory: Option<GuestMemory>,
    numbers: Numbers,
}

impl Leased {
    /// Ends a visit: the instance waits for the next, or dies.
    pub(in crate::plugin) async fn give_back(mut self, policy: &Policy) {
        if self.serves_on(policy).await {
            policy.idle.give(self);
        }
    }

    /// Makes ready for another visit; false if it cannot serve one.
    async fn serves_on(&mut self, policy: &Policy) -> bool {
        self.visits -= 1;
        if self.visits > 0 {
            return true;
        }
        let (Some(pristine), Some(scan)) = (&policy.pristine, &policy.plugin.runtime.page_scan)
        else {
            return false;
        };
        let Some(memory) = self.memory else {
            return false;
        };
        self.visits = policy.instances.calls;
        if !self.numbers.put_back(policy.hooks.hand_one_then_more()) {
            return false;
        }
        pristine
            .restore(scan, &mut self.store, &self.instance, memory)
            .await
    }
}

pub struct Lease<'p> {
    policy: &'p Policy,
    /// Gone once a call did not end well: such an instance is never used again.
    leased: Option<Leased>,
    /// Here when the instance is gone.
    exchange: Option<Box<Exchange>>,
    cpu_ns: u64,
    /// The most linear memory that the instance had, in bytes.
    memory: usize,
    /// One of the plugin's, and one of the process's.
    permits: [OwnedSemaphorePermit; 2],
    _running: Running<'p>,
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
        let Some(mut leased) = self.leased.take() else {
            return Err(Fault::new(FaultKind::Instantiate, "the instance is gone"));
        };
        let spec = &self.policy.plugin.spec;
        let mut called = within(spec.wall, called(self.policy, &mut leased, hook)).await;
        if matches!(&called, Some(Err(error)) if error.is::<Renumbered>()) {
            let exchange = leased.store.data_mut().exchange.take();
            drop(leased);
            leased = match instantiate(self.policy).await {
                Ok(made) => made,
                Err(fault) => {
                    self.exchange = exchange;
                    return Err(fault);
                }
            };
            leased.store.data_mut().exchange = exchange;
            called = within(spec.wall, self::called(self.policy, &mut leased, hook)).await;
        }
        let state = leased.store.data_mut();
        self.cpu_ns += state.cpu.spent_ns;
        self.memory = self.memory.max(state.memory.used);
        let fault = match called {
            Some(Ok((Ok(answer), memory))) => {
                report_dropped_log(state);
                leased.memory = Some(memory);
                self.leased = Some(leased);
                return Ok(answer);
            }
            // The guest ended by itself and can serve again; its edits are undone like a trap's.
            Some(Ok((Err(text), memory))) => {
                leased.memory = Some(memory);
                undo(state);
                report_dropped_log(state);
                let kind = missed(state).unwrap_or(FaultKind::Error);
                self.leased = Some(leased);
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
    pub async fn finish(self, started: Instant) -> Visited {
        let policy = self.policy;
        let (visited, kept) = self.keep(started);
        if let Some((leased, _permits)) = kept {
            leased.give_back(policy).await;
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
                leased.store.data_mut().before.forget();
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
            memory: self.memory,
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
    /// The most linear memory that the instance had, in bytes; 0 if no hook was called.
    pub memory: usize,
}

async fn instantiate(policy: &Policy) -> Result<Leased, Fault> {
    let plugin = &policy.plugin;
    let runtime = &plugin.runtime;
    let identity = policy.identity.clone();
    let state = State::new(&plugin.spec, identity, Phase::Call, plugin.spec.cpu);
    let mut store = runtime.store(state);
    arm(&mut store, plugin.spec.cpu);
    let made = within(plugin.spec.wall, start(policy, &mut store)).await;
    match made {
        Some(Ok(Ok(instance))) => Ok(Leased {
            store,
            instance,
            visits: policy.instances.calls,
            memory: None,
            numbers: Numbers::default(),
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
            .store(limits::LOG_CALL_BYTES_MAX, Ordering::Relaxed);
    }
    state.memory.refused = false;
    state.before.forget();
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
    leased: &mut Leased,
    hook: Hook,
) -> wasmtime::Result<hooks::Called> {
    arm(&mut leased.store, policy.plugin.spec.cpu);
    leased.store.data_mut().reads = (hook == Hook::Authorize).then(Reads::default);
    let Leased {
        store,
        instance,
        numbers,
        ..
    } = leased;
    hooks::call(&policy.exports, store, instance, hook, numbers).await
}

/// Takes back the edits of a call that faulted.
fn undo(state: &mut State) {
    if let Some(exchange) = &mut state.exchange {
        state.before.restore(exchange);
    }
}
