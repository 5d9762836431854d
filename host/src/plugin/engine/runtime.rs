//! The one wasmtime engine of the process: its settings, its pool, its clock.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{
    CacheStore, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    Result, Store, UpdateDeadline, WasmFeatures,
};

use super::artefacts::Artefacts;
use super::clock::EpochClock;
use super::code_cache::CodeCache;
use super::compilers::Compilers;
use super::pages::PageScan;
use super::pool::{Places, PoolSize};
use crate::limits;
use crate::plugin::host::bindings::Gateway;
use crate::plugin::host::state::State;

/// Everything that plugins share. One per process: a pool reserves address space by the terabyte.
pub struct Runtime {
    pub engine: Engine,
    pub linker: Linker<State>,
    /// For components that import WASI.
    pub wasi_linker: Linker<State>,
    pub artefacts: Artefacts,
    pub code_cache: CodeCache,
    /// One permit for each instance at work.
    pub calls: Arc<Semaphore>,
    /// One for each instance that waits.
    pub idle: Arc<Places>,
    pub clock: Arc<EpochClock>,
    pub idle_per_policy: usize,
    /// Where the kernel has it, and may be asked.
    pub page_scan: Option<PageScan>,
    pub compilers: Compilers,
}

impl Runtime {
    /// # Errors
    /// If the pool's address space cannot be had.
    pub fn new(size: PoolSize, artefacts: Artefacts) -> Result<Arc<Runtime>> {
        let engine = Engine::new(&config(size)?)?;
        let mut linker = Linker::new(&engine);
        Gateway::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        let mut wasi_linker = linker.clone();
        // Never the `_sync` twin: it blocks on the runtime that it runs in, and panics.
        wasmtime_wasi::p2::add_to_linker_async(&mut wasi_linker)?;
        let clock = EpochClock::start(&engine)?;
        Ok(Arc::new(Runtime {
            engine,
            linker,
            wasi_linker,
            artefacts,
            code_cache: CodeCache::default(),
            calls: Arc::new(Semaphore::new(size.calls)),
            idle: Places::new(size.idle),
            clock,
            idle_per_policy: size.idle_per_policy,
            page_scan: size.page_scan.then(PageScan::open).flatten(),
            compilers: Compilers::default(),
        }))
    }

    /// Lets go of what only loading needs, and of what was for code that is gone.
    pub fn tidy(&self) {
        self.compilers.dismiss();
        self.code_cache.tidy();
        self.artefacts.prune();
    }

    /// What the slots of a pool keep in memory between calls at most, in bytes.
    pub fn resident_bytes(size: &PoolSize) -> u64 {
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            size.resident_bytes(
                limits::pool::KEEP_RESIDENT_BYTES,
                limits::pool::KEEP_RESIDENT_TABLE_BYTES,
            )
        } else {
            size.resident_bytes(limits::pool::KEEP_RESIDENT_BYTES_WITHOUT_SCAN, 0)
        }
    }

    /// Instances alive: at work, waiting, or being loaded.
    pub fn instances(&self) -> u64 {
        let pool = self.engine.pooling_allocator_metrics();
        pool.map_or(0, |pool| pool.component_instances())
    }

    /// A Store with the bounds of every call. The epoch deadline is the Store's, so it is armed
    /// again before each call.
    pub fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        // A body that was granted is handed over in one call.
        let bodies = store.data().grants.bodies.unwrap_or(0);
        store.set_hostcall_fuel(limits::plugin::HOST_CALL_BYTES_MAX.saturating_add(bodies));
        store.set_max_component_handles(limits::plugin::PLUGIN_HANDLES_MAX);
        store.epoch_deadline_callback(|mut context| match context.data_mut().tick() {
            Err(_) => Ok(UpdateDeadline::Interrupt),
            // A plain `Yield` may be polled again at once, before anyone else on the thread.
            Ok(pause) => Ok(UpdateDeadline::YieldCustom(1, Box::pin(pause.wait()))),
        });
        store
    }
}

/// WebAssembly that this release runs. What is left out has no use in a policy and is surface:
/// threads, 64-bit memories, garbage collection, exceptions.
fn features(config: &mut Config) {
    for (feature, enable) in [
        (WasmFeatures::THREADS, false),
        (WasmFeatures::SHARED_EVERYTHING_THREADS, false),
        (WasmFeatures::MEMORY64, false),
        (WasmFeatures::GC, false),
        (WasmFeatures::FUNCTION_REFERENCES, false),
        (WasmFeatures::EXCEPTIONS, false),
        (WasmFeatures::LEGACY_EXCEPTIONS, false),
        (WasmFeatures::STACK_SWITCHING, false),
        (WasmFeatures::CUSTOM_PAGE_SIZES, false),
        (WasmFeatures::CM_ASYNC, false),
    ] {
        config.wasm_features(feature, enable);
    }
}

/// An engine that compiles for that of the process which serves, and has no pool.
///
/// # Errors
/// If this is no machine that it compiles for.
pub fn compiling(functions: &Arc<FunctionCache>) -> Result<Engine> {
    let mut config = settings();
    config.enable_incremental_compilation(Arc::clone(functions) as Arc<dyn CacheStore>)?;
    Engine::new(&config)
}

/// What code is compiled for.
fn settings() -> Config {
    let mut config = Config::new();
    features(&mut config);
    config.epoch_interruption(true);
    // With it on, dropping a `call_async` future does not cancel the guest, and calls are dearer.
    config.concurrency_support(false);
    config.max_wasm_stack(limits::pool::GUEST_STACK_BYTES_MAX);
    config.async_stack_size(limits::pool::GUEST_STACK_BYTES_MAX + limits::pool::HOST_STACK_BYTES);
    config
}

fn config(size: PoolSize) -> Result<Config> {
    let mut config = settings();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(size)?));
    Ok(config)
}

fn pool(size: PoolSize) -> Result<PoolingAllocationConfig> {
    let count = |number: usize| u32::try_from(number).map_err(wasmtime::Error::from);
    let (instances, memories) = (count(size.instances())?, count(size.memories())?);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .max_core_instances_per_component(limits::pool::PLUGIN_CORE_INSTANCES_MAX)
        .max_memories_per_component(limits::pool::PLUGIN_MEMORIES_MAX)
        .max_tables_per_component(limits::pool::PLUGIN_TABLES_MAX)
        .total_core_instances(instances * limits::pool::PLUGIN_CORE_INSTANCES_MAX)
        .total_memories(memories)
        .total_tables(instances * limits::pool::PLUGIN_TABLES_MAX)
        .total_stacks(instances)
        .max_memories_per_module(limits::pool::PLUGIN_MEMORIES_MAX)
        .max_tables_per_module(limits::pool::PLUGIN_TABLES_MAX)
        .table_elements(limits::pool::PLUGIN_TABLE_ELEMENTS_MAX)
        // The Store's own bound holds a plugin to its memory; the slot must only not be the smaller.
        .max_memory_size(usize::try_from(limits::pool::SLOT_BYTES)?)
        .max_unused_warm_slots(memories);
    if size.page_scan && PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(limits::pool::KEEP_RESIDENT_BYTES)
            .table_keep_resident(limits::pool::KEEP_RESIDENT_TABLE_BYTES);
    } else {
        if size.page_scan {
            tracing::warn!(
                "this kernel has no PAGEMAP_SCAN (it came with Linux 6.7): a fresh instance costs \
                 some 50 us more; a newer kernel helps, and so does `instances = {{ calls = N }}`"
            );
        }
        pool.linear_memory_keep_resident(limits::pool::KEEP_RESIDENT_BYTES_WITHOUT_SCAN);
    }
    Ok(pool)
}

/// Compiled functions, shared by the configurations of one plugin while they load.
#[derive(Debug, Default)]
pub struct FunctionCache(Mutex<Functions>);

#[derive(Debug, Default)]
struct Functions {
    by_key: HashMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl CacheStore for FunctionCache {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let functions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        functions
            .by_key
            .get(key)
            .map(|code| Cow::Owned(code.clone()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let mut functions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if functions.bytes + value.len() > limits::loading::FUNCTION_CACHE_BYTES_MAX {
            *functions = Functions::default();
        }
        functions.bytes += value.len();
        functions.by_key.insert(key.to_owned(), value);
        true
    }
}
