//! What a Store holds beside the guest: the message being visited, and the bounds of the call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{ResourceLimiter, Result, bail};
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::meter::{CpuMeter, OverBudget, Pause};
use super::reads::{Dependence, Reads};
use super::undo::Undo;
use super::wasi::{self, Wasi};
use crate::http::exchange::{Exchange, ResponseHead};
use crate::http::facts::{Fact, Facts};
use crate::limits;
use crate::plugin::grants::Grants;
use crate::plugin::spec::{Identity, PluginSpec};

/// What a plugin is told that may not wait.
pub(super) const NO_WAITING: &str = "as many calls of plugins wait for peers as may";

// A Store serves one message at a time, so a handle needs no number: the guest holds a borrow of
// "the request", and the exchange in the Store is what it means.

pub struct RequestHandle;
pub struct RequestEditsHandle;
pub struct ResponseHandle;
pub struct ResponseEditsHandle;

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
    pub grants: Arc<Grants>,
    /// Whether `configure` read a secret: the snapshot then holds it.
    pub secret_was_read: bool,
    /// The message of the call in progress.
    pub exchange: Option<Box<Exchange>>,
    /// The identifier of the request whose body goes through the instance.
    pub body_of: Option<Arc<str>>,
    /// What was before the first edit of the call, should the call fault.
    pub undo: Undo,
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
            grants: Arc::clone(&spec.grants),
            secret_was_read: false,
            exchange: None,
            body_of: None,
            undo: Undo::default(),
            reads: None,
            missed: None,
            log: LogBudget::default(),
            memory: MemoryBound::new(spec.memory),
            cpu: CpuMeter::start(cpu),
            wasi: None,
        }
    }

    /// Notes a tick of the epoch. A guest that is being loaded has its thread to itself.
    pub fn tick(&mut self) -> std::result::Result<Pause, OverBudget> {
        let mut pause = self.cpu.tick()?;
        pause.long &= self.phase == Phase::Call;
        Ok(pause)
    }
}

// What every call of a guest is made of.
impl State {
    /// The message of the call in progress. Handles exist only during one, so its absence is a bug
    /// in the host, which must not become a panic in the gateway.
    pub(in crate::plugin) fn exchange(&self) -> Result<&Exchange> {
        match &self.exchange {
            Some(exchange) => Ok(exchange),
            None => bail!("there is no message outside of a call"),
        }
    }

    pub(super) fn exchange_mut(&mut self) -> Result<&mut Exchange> {
        match &mut self.exchange {
            Some(exchange) => Ok(exchange),
            None => bail!("there is no message outside of a call"),
        }
    }

    pub(super) fn response(&self) -> Result<&ResponseHead> {
        match &self.exchange()?.response {
            Some(response) => Ok(response),
            None => bail!("there is no response on the way in"),
        }
    }

    /// Counts what a host call does against the call's processor time. Every one begins with it, with
    /// the bytes that the guest handed over: they were copied before it could be refused.
    pub(in crate::plugin) fn works(&mut self, bytes: usize) -> Result<()> {
        match self.cpu.host_works(bytes) {
            Ok(()) => Ok(()),
            Err(_) => Err(wasmtime::Trap::Interrupt.into()),
        }
    }

    /// What may be asked of the request of the call in progress.
    pub(super) fn facts(&self) -> Result<Facts<'_>> {
        Ok(Facts::of(self.exchange()?))
    }

    /// Notes a getter that the call used, where its decision may be remembered.
    pub(super) fn looks_at(&mut self, fact: impl FnOnce() -> Fact) {
        if let Some(reads) = &mut self.reads {
            reads.note(fact());
        }
    }

    /// Notes that what the call answers depends on more than the request shows.
    pub(super) fn depends_on(&mut self, source: Dependence) {
        if let Some(reads) = &mut self.reads {
            reads.depends_on(source);
        }
    }

    /// Judges the call's processor time now.
    pub(super) fn judge(&mut self) -> Result<()> {
        match self.cpu.judge() {
            Ok(()) => Ok(()),
            Err(_) => Err(wasmtime::Trap::Interrupt.into()),
        }
    }

    /// Leave to wait for a peer, for a bounded time: only a part of the instances may, so that some are
    /// left for calls that do not.
    pub(super) async fn may_wait(&mut self) -> Option<OwnedSemaphorePermit> {
        let waiting = Arc::clone(&self.grants.waiting);
        if let Ok(permit) = Arc::clone(&waiting).try_acquire_owned() {
            return Some(permit);
        }
        self.cpu.waits();
        let permit =
            tokio::time::timeout(limits::plugin::INSTANCE_WAIT, waiting.acquire_owned()).await;
        self.cpu.goes_on();
        permit.ok()?.ok()
    }

    /// Refuses what must not be frozen into a snapshot.
    pub(in crate::plugin) fn only_in_calls(&self, import: &str) -> Result<()> {
        if self.phase != Phase::Call {
            bail!(
                "`{import}` was called during `{}`: its answer would be frozen into the snapshot; \
                 call it in a hook, or set `snapshot = false` for this plugin",
                self.phase.name()
            );
        }
        Ok(())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Its clocks and randomness are behind here, as is what depends on neither.
        if let Some(reads) = &mut self.reads {
            reads.depends_on(Dependence::Wasi);
        }
        let wasi = self
            .wasi
            .get_or_insert_with(|| Box::new(wasi::context(&self.identity)));
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
    ) -> Result<bool> {
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
    ) -> Result<bool> {
        let fits = desired <= limits::pool::PLUGIN_TABLE_ELEMENTS_MAX;
        self.refused |= !fits;
        Ok(fits)
    }
}
