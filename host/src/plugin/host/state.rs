//! What a Store holds beside the guest: the message being visited, and the bounds of the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::reads::{Reads, Source};
use super::undo::Before;
use crate::http::exchange::Exchange;
use crate::limits;
use crate::plugin::grants::Granted;
use crate::plugin::load::plugin::PluginSpec;

// A Store serves one message at a time, so a handle needs no number: the guest holds a borrow of
// "the request", and the exchange in the Store is what it means.

pub struct RequestHandle;
pub struct RequestEditsHandle;
pub struct ResponseHandle;
pub struct ResponseEditsHandle;

/// Who a guest is, for what it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// The policy's name in the configuration.
    pub policy: Arc<str>,
}

/// Why a plugin did not get the body of a message, or could not replace it. On the way in it is mostly the
/// client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissedBody {
    TooLarge,
    Broken,
    /// Its content encoding is broken, or not one that is undone.
    Encoding,
    /// What is held of bodies, all together, is as much as may be.
    NoRoom,
}

/// Where in its life the guest is: what it may call depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Describe,
    Configure,
    Call,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Describe => "describe",
            Phase::Configure => "configure",
            Phase::Call => "a call",
        }
    }
}

pub struct State {
    pub identity: Identity,
    pub phase: Phase,
    pub granted: Arc<Granted>,
    /// Whether `configure` read a secret: the snapshot then holds it.
    pub secret_was_read: bool,
    /// The message of the call in progress.
    pub exchange: Option<Box<Exchange>>,
    /// The identifier of the request whose body goes through the instance.
    pub body_of: Option<Arc<str>>,
    /// What was before the first edit of the call, should the call fault.
    pub before: Before,
    /// What the call looked at, where a decision may be remembered.
    pub reads: Option<Reads>,
    /// Why the call did not get a body that it asked for.
    pub missed: Option<MissedBody>,
    pub log: LogBudget,
    pub memory: MemoryBound,
    pub cpu: CpuMeter,
    /// Only for components that import WASI.
    pub wasi: Option<Box<Wasi>>,
}

impl State {
    /// The state of a new Store, before its first message.
    pub fn new(spec: &PluginSpec, identity: Identity, phase: Phase, cpu: Duration) -> Self {
        State {
            identity,
            phase,
            granted: Arc::clone(&spec.granted),
            secret_was_read: false,
            exchange: None,
            body_of: None,
            before: Before::default(),
            reads: None,
            missed: None,
            log: LogBudget::default(),
            memory: MemoryBound::new(spec.memory),
            cpu: CpuMeter::start(cpu),
            wasi: None,
        }
    }

    /// Notes a tick of the epoch. A guest that is being loaded has its thread to itself.
    pub fn tick(&mut self) -> Result<Pause, OverBudget> {
        let mut pause = self.cpu.tick()?;
        pause.long &= self.phase == Phase::Call;
        Ok(pause)
    }
}

pub struct Wasi {
    pub context: WasiCtx,
    pub table: ResourceTable,
    /// What the call may still print, in bytes.
    pub output_left: Arc<AtomicUsize>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Its clocks and randomness are behind here, as is what depends on neither.
        if let Some(reads) = &mut self.reads {
            reads.depends_on(Source::Wasi);
        }
        let wasi = self
            .wasi
            .get_or_insert_with(|| Box::new(super::wasi::context(&self.identity)));
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut wasi.table,
        }
    }
}

/// Bytes of log left to the call in progress.
#[derive(Debug, Default)]
pub struct LogBudget {
    pub spent: usize,
    pub dropped: usize,
    /// The last message at level error: after a trap it is the text of the panic.
    pub last_error: Option<String>,
}

/// Holds a guest to its memory.
#[derive(Debug)]
pub struct MemoryBound {
    /// In bytes, of all linear memories together.
    pub max: usize,
    pub used: usize,
    /// Whether a growth was refused during the call in progress.
    pub refused: bool,
}

impl MemoryBound {
    pub fn new(max: usize) -> Self {
        MemoryBound {
            max,
            used: 0,
            refused: false,
        }
    }
}

impl ResourceLimiter for MemoryBound {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        if wanted > self.max {
            self.refused = true;
            return Ok(false);
        }
        self.used = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= limits::PLUGIN_TABLE_ELEMENTS_MAX;
        self.refused |= !fits;
        Ok(fits)
    }
}

/// Measures the processor time of one call, from the epoch's ticks.
///
/// The clock is read at ticks alone: most calls end before the first one, and the system call costs
/// more than such a call does. The time before the first tick is not known. It is at most one tick, and
/// is not charged, so that no call is ended before its budget.
#[derive(Debug)]
pub struct CpuMeter {
    pub budget_ns: u64,
    pub spent_ns: u64,
    /// The thread's clock when the guest last went on. There from the first look at it in a call.
    resumed_ns: Option<Arc<AtomicU64>>,
    /// Spent since the guest last rested.
    unrested_ns: u64,
    /// What the host did for the guest since the clock was last read, in calls and KiB.
    host_work: usize,
}

impl CpuMeter {
    /// Starts a call.
    pub fn start(budget: Duration) -> Self {
        CpuMeter {
            budget_ns: u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX),
            spent_ns: 0,
            resumed_ns: None,
            unrested_ns: 0,
            host_work: 0,
        }
    }

    /// Notes that the host works for the guest. Compiled code looks at the epoch in loops and at the
    /// beginning of functions, and host calls in a straight line pass neither; so every so much of
    /// them is judged here.
    pub fn host_works(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.host_work += 1 + bytes / 1024;
        if self.host_work < limits::HOST_WORK_UNJUDGED {
            return Ok(());
        }
        self.judge()
    }

    /// Looks at the processor time now.
    pub fn judge(&mut self) -> Result<(), OverBudget> {
        self.host_work = 0;
        let now = thread_cpu_ns();
        let resumed = self
            .resumed_ns
            .get_or_insert_with(|| Arc::new(AtomicU64::new(now)))
            .load(Ordering::Relaxed);
        if self.spent_ns.saturating_add(now.saturating_sub(resumed)) >= self.budget_ns {
            return Err(OverBudget);
        }
        Ok(())
    }

    /// Notes that the guest waits for a peer: until [`CpuMeter::goes_on`] the thread's time is others'.
    pub fn waits(&mut self) {
        if let Some(resumed) = &self.resumed_ns {
            let slice = thread_cpu_ns().saturating_sub(resumed.load(Ordering::Relaxed));
            self.spent_ns = self.spent_ns.saturating_add(slice);
        }
    }

    /// The guest goes on, perhaps on another thread.
    pub fn goes_on(&mut self) {
        if let Some(resumed) = &self.resumed_ns {
            resumed.store(thread_cpu_ns(), Ordering::Relaxed);
        }
    }

    /// Notes a tick; answers the budget's end, or how the guest gives way.
    fn tick(&mut self) -> Result<Pause, OverBudget> {
        let slice = match &self.resumed_ns {
            None => 0,
            Some(resumed) => thread_cpu_ns().saturating_sub(resumed.load(Ordering::Relaxed)),
        };
        self.spent_ns = self.spent_ns.saturating_add(slice);
        if self.spent_ns >= self.budget_ns {
            return Err(OverBudget);
        }
        self.unrested_ns = self.unrested_ns.saturating_add(slice);
        let long = self.unrested_ns >= limits::REST_AFTER_NS;
        if long {
            self.unrested_ns = 0;
        }
        Ok(Pause {
            clock: Arc::clone(self.resumed_ns.get_or_insert_default()),
            long,
        })
    }
}

/// How a guest gives way to others on its thread.
pub struct Pause {
    clock: Arc<AtomicU64>,
    long: bool,
}

impl Pause {
    /// At a tick a guest lets others go first. One that has used processor time since it last rested
    /// rests for a tick: a yield alone would let it run again before what others wait
    /// for has come, for a tick at each of their steps.
    pub async fn wait(self) {
        if self.long {
            tokio::time::sleep(limits::EPOCH_TICK).await;
        } else {
            // Twice: what the first wakes runs before the second returns.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        self.clock.store(thread_cpu_ns(), Ordering::Relaxed);
    }
}

/// The call's processor-time budget is spent.
#[derive(Debug, Clone, Copy)]
pub struct OverBudget;

fn thread_cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
