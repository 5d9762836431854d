//! How large the pool of instances is. It is made once, for whatever the process will load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits;

/// What the pool is made for.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    /// Instances at work at once.
    pub calls: usize,
    /// Instances that wait for their next call.
    pub idle: usize,
    /// Of these, instances of one policy.
    pub idle_per_policy: usize,
    /// Policies, each with a snapshot whose memory stays mapped in a slot.
    pub policies: usize,
    /// Threads that instantiate: workers, and those that load.
    pub threads: usize,
    /// Whether the kernel may be asked which pages a guest wrote.
    pub page_scan: bool,
}

impl PoolSize {
    /// For a process that starts with so many policies. Later configurations may have more, and while
    /// one is replaced there are those of both.
    pub fn new(
        calls: usize,
        workers: usize,
        loading: usize,
        policies: usize,
        page_scan: bool,
    ) -> PoolSize {
        let policies = (2 * policies).max(limits::pool::POLICIES_ROOM);
        // As many as can run at once without one of them waiting.
        let idle_per_policy = workers.min(limits::pool::IDLE_INSTANCES_MAX);
        PoolSize {
            calls,
            idle: (idle_per_policy * policies).min(limits::pool::IDLE_INSTANCES_ALL_MAX),
            idle_per_policy,
            policies,
            threads: workers + loading,
            page_scan,
        }
    }

    /// Instances alive at once: at work, waiting, and those that loading threads make without a call's
    /// permit.
    pub fn instances(&self) -> usize {
        self.calls + self.idle + self.threads
    }

    /// Slots for memories: of all instances, and enough that every policy finds one that still has its
    /// image, on every thread.
    pub fn memories(&self) -> usize {
        let warm = (self.threads * self.policies).min(limits::pool::WARM_SLOTS_MAX);
        self.instances() * limits::pool::PLUGIN_MEMORIES_MAX as usize + warm
    }

    /// Addresses that the pool reserves, in bytes.
    pub fn address_bytes(&self) -> u64 {
        self.memories() as u64 * (limits::pool::SLOT_BYTES + limits::pool::SLOT_GUARD_BYTES)
    }

    /// What slots keep in memory between calls, in bytes, if every one was used.
    pub fn resident_bytes(&self, per_memory: usize, per_table: usize) -> u64 {
        let tables = self.instances() * limits::pool::PLUGIN_TABLES_MAX as usize;
        (self.memories() * per_memory + tables * per_table) as u64
    }
}

/// Places for waiting instances: of all policies of all gateways of the process, since during a reload
/// there are two of each. The pool has as many beside those of the calls in progress, so that it can
/// never run out, whatever is loaded.
pub struct Places(AtomicUsize);

impl Places {
    pub fn new(count: usize) -> Arc<Places> {
        Arc::new(Places(AtomicUsize::new(count)))
    }

    pub fn take(&self) -> bool {
        let one_less = |free: usize| free.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.is_ok()
    }

    pub fn give_back(&self, count: usize) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}
