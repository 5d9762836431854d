//! The epoch, by which guests are interrupted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use wasmtime::{Engine, Result};

use crate::limits;

/// Advances the epoch while guests run, and sleeps while none does.
pub struct EpochClock {
    running: AtomicUsize,
    asleep: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl EpochClock {
    pub fn start(engine: &Engine) -> Result<Arc<EpochClock>> {
        let clock = Arc::new(EpochClock {
            running: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let (weak_clock, weak_engine) = (Arc::downgrade(&clock), engine.weak());
        let handle = std::thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || {
                let mut idle_ticks = 0;
                // Ends with the engine: it holds neither it nor the clock alive.
                while let (Some(engine), Some(clock)) =
                    (weak_engine.upgrade(), weak_clock.upgrade())
                {
                    engine.increment_epoch();
                    drop(engine);
                    if clock.running.load(Ordering::SeqCst) > 0 {
                        idle_ticks = 0;
                    } else {
                        idle_ticks += 1;
                    }
                    if idle_ticks < limits::pool::EPOCH_IDLE_TICKS {
                        drop(clock);
                        std::thread::sleep(limits::plugin::EPOCH_TICK);
                        continue;
                    }
                    // Either this sees the call that is starting, or that call sees `asleep`.
                    clock.asleep.store(true, Ordering::SeqCst);
                    let wait = clock.running.load(Ordering::SeqCst) == 0;
                    if wait {
                        std::thread::park_timeout(limits::pool::EPOCH_SLEEP);
                    }
                    clock.asleep.store(false, Ordering::SeqCst);
                    idle_ticks = 0;
                }
            })?;
        *clock.thread.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(handle.thread().clone());
        Ok(clock)
    }

    /// Keeps the epoch advancing until the guard is dropped.
    pub fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner)
        {
            thread.unpark();
        }
        Running(self)
    }
}

/// A guest is running.
pub struct Running<'c>(&'c EpochClock);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
