//! How much processor time a call may use, and how it gives way to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits;

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
        if self.host_work < limits::plugin::HOST_WORK_UNJUDGED {
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
    pub fn tick(&mut self) -> Result<Pause, OverBudget> {
        let slice = match &self.resumed_ns {
            None => 0,
            Some(resumed) => thread_cpu_ns().saturating_sub(resumed.load(Ordering::Relaxed)),
        };
        self.spent_ns = self.spent_ns.saturating_add(slice);
        if self.spent_ns >= self.budget_ns {
            return Err(OverBudget);
        }
        self.unrested_ns = self.unrested_ns.saturating_add(slice);
        let long = self.unrested_ns >= limits::plugin::REST_AFTER_NS;
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
    pub(super) long: bool,
}

impl Pause {
    /// At a tick a guest lets others go first. One that has used processor time since it last rested
    /// rests for a tick: a yield alone would let it run again before what others wait
    /// for has come, for a tick at each of their steps.
    pub async fn wait(self) {
        if self.long {
            tokio::time::sleep(limits::plugin::EPOCH_TICK).await;
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
