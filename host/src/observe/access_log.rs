//! Lines to standard output, by a thread of their own: a request never waits for the terminal, a
//! pipe or a disk.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use prometheus_client::metrics::counter::Counter;

use crate::limits;

/// Where lines go. Closing (and dropping) it writes what is left.
pub struct AccessLog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    dropped: Counter,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    closed: bool,
    /// The writer sleeps until it is told of a line.
    asleep: bool,
}

impl AccessLog {
    /// Writes to `output`; lines that do not fit the buffer are counted in `dropped`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        mut output: impl Write + Send + 'static,
        dropped: Counter,
    ) -> std::io::Result<Arc<AccessLog>> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            wake: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                let mut batch = Vec::new();
                while writer.next(&mut batch) {
                    // A closed pipe must not end the gateway; the lines are lost to whoever closed.
                    let _ = output.write_all(&batch).and_then(|()| output.flush());
                    batch.clear();
                    batch.shrink_to(limits::ACCESS_LOG_BATCH_BYTES);
                }
            })?;
        Ok(Arc::new(AccessLog {
            shared,
            thread: Mutex::new(Some(thread)),
            dropped,
        }))
    }

    /// Adds one line; its end is added.
    pub fn write(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.lines.len() + line.len() >= limits::ACCESS_LOG_BYTES_MAX {
            self.dropped.inc();
            return;
        }
        state.lines.extend_from_slice(line);
        state.lines.push(b'\n');
        if state.asleep {
            state.asleep = false;
            drop(state);
            self.shared.wake.notify_one();
        }
    }

    /// Writes what is left, and ends.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines; false at the end.
    fn next(&self, batch: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.lines.is_empty() {
            if state.closed {
                return false;
            }
            state.asleep = true;
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closed {
            // Under load, one write for many lines: the first line waits a moment for others.
            drop(state);
            std::thread::sleep(limits::ACCESS_LOG_DELAY);
            state = self.lock();
        }
        std::mem::swap(&mut state.lines, batch);
        true
    }
}
