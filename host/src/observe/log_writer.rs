//! Lines to standard output or standard error, by a thread of their own: a request never waits for a
//! terminal, a pipe or a disk. Lines that cannot be written are lost, and counted.

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use crate::limits;

/// What a log is written with.
pub struct LogSettings {
    /// The name of the thread.
    pub thread: &'static str,
    /// Bytes that wait for the thread; lines beyond are lost.
    pub bytes_max: usize,
    /// How long the first line waits for others, to be written together.
    pub delay: Duration,
    /// Is told when lines begin to be lost, and when lines are written again.
    pub tell: fn(&LogState<'_>),
}

/// What the operator has to know of a log.
#[derive(Debug, PartialEq, Eq)]
pub enum LogState<'e> {
    /// Lines are lost from now on, for this reason.
    Losing(&'e str),
    /// Lines are written again; so many were lost.
    Written { lost: u64 },
    /// The log was closed, and so many lines could not be written.
    Closed { lost: u64 },
}

/// Where lines go. [`LogWriter::close`] writes what is left.
pub struct LogWriter {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<Queue>,
    /// There are lines, or it was closed.
    wake: Condvar,
    /// The thread has ended.
    ended: Condvar,
    settings: LogSettings,
    lost: Counter,
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// Lines that the thread has taken and not yet written.
    taken: u64,
    closed: bool,
    ended: bool,
    /// The closer has stopped waiting: what is left was counted as lost.
    abandoned: bool,
    /// The thread sleeps until it is told of a line.
    asleep: bool,
    loss: Loss,
}

/// Which losses the operator was told of.
#[derive(Default)]
struct Loss {
    /// Lines lost since it was last said how many.
    lines: u64,
    /// It was said that lines are lost, and not yet that they are written again.
    said: bool,
    said_at: Option<Instant>,
}

impl Loss {
    /// Counts lines; answers whether this is to be said now.
    fn add(&mut self, lines: u64, now: Instant) -> bool {
        self.lines += lines;
        let quiet = |at: Instant| now.duration_since(at) < limits::logs::LOG_LOSS_SAID_EVERY;
        if self.said || self.said_at.is_some_and(quiet) {
            return false;
        }
        self.said = true;
        self.said_at = Some(now);
        true
    }

    /// Lines are written; answers how many were lost, if that is to be said.
    fn end(&mut self) -> Option<u64> {
        std::mem::take(&mut self.said).then(|| std::mem::take(&mut self.lines))
    }
}

impl LogWriter {
    /// Writes to `output`; lines that it does not take are counted in `lost`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        output: impl Write + Send + 'static,
        lost: Counter,
        settings: LogSettings,
    ) -> std::io::Result<Arc<LogWriter>> {
        let thread = std::thread::Builder::new().name(settings.thread.to_owned());
        let shared = Arc::new(Shared {
            state: Mutex::new(Queue::default()),
            wake: Condvar::new(),
            ended: Condvar::new(),
            settings,
            lost,
        });
        let writer = Arc::clone(&shared);
        // Never joined: a thread that is stuck in a write must not keep the process.
        thread.spawn(move || writer.run(output))?;
        Ok(Arc::new(LogWriter { shared }))
    }

    /// How many lines were lost.
    pub fn lost(&self) -> Counter {
        self.shared.lost.clone()
    }

    /// Adds a line, or some; the end of the last one is added.
    pub fn write(&self, lines: &[u8]) {
        let mut state = self.shared.lock();
        // Whoever closed it has counted what was left, and nothing is written any more.
        let room = self.shared.settings.bytes_max.checked_sub(lines.len() + 1);
        if state.abandoned || room.is_none_or(|room| state.lines.len() > room) {
            let why = "they are written more slowly than they come, or not at all";
            self.shared.lose(state, count(lines) + 1, why);
            return;
        }
        state.lines.extend_from_slice(lines);
        state.lines.push(b'\n');
        if state.asleep {
            state.asleep = false;
            drop(state);
            self.shared.wake.notify_one();
        }
    }

    /// Writes what is left, and ends: within [`limits::logs::LOG_CLOSED_WITHIN`]. What is not written by then
    /// is lost.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.wake.notify_one();
        let ended = &self.shared.ended;
        let waited =
            ended.wait_timeout_while(state, limits::logs::LOG_CLOSED_WITHIN, |state| !state.ended);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.ended || state.abandoned {
            return;
        }
        state.abandoned = true;
        let lost = state.taken + count(&state.lines);
        state.lines = Vec::new();
        self.shared.lost.inc_by(lost);
        drop(state);
        if lost > 0 {
            (self.shared.settings.tell)(&LogState::Closed { lost });
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn run(&self, mut output: impl Write) {
        let mut batch = Vec::new();
        // Whether the output ends in a piece of a line: the next line must not be glued to it.
        let mut torn = false;
        while self.next(&mut batch, torn) {
            torn = self.put(&mut output, &batch, torn);
            batch.clear();
            batch.shrink_to(limits::logs::LOG_BATCH_BYTES);
        }
        self.lock().ended = true;
        self.ended.notify_all();
    }

    /// Waits for lines; false at the end.
    fn next(&self, batch: &mut Vec<u8>, torn: bool) -> bool {
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
        if !state.closed && !self.settings.delay.is_zero() {
            // Under load, one write for many lines: the first line waits a moment for others.
            drop(state);
            std::thread::sleep(self.settings.delay);
            state = self.lock();
        }
        std::mem::swap(&mut state.lines, batch);
        state.taken = count(batch);
        drop(state);
        if torn {
            batch.insert(0, b'\n');
        }
        true
    }

    /// Writes all that the output takes; answers whether it ends in a piece of a line, as it may have
    /// before.
    fn put(&self, output: &mut impl Write, batch: &[u8], torn: bool) -> bool {
        let mut done = 0;
        let mut left = self.lock().taken;
        let error = loop {
            let Some(rest) = batch.get(done..).filter(|rest| !rest.is_empty()) else {
                break None;
            };
            match output.write(piece(rest)) {
                Ok(0) => break Some(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    done += written;
                    left -= count(rest.get(..written).unwrap_or_default());
                    self.lock().taken = left;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares the output made it one that does not block.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(limits::logs::LOG_RETRY_EVERY);
                }
                Err(error) => break Some(error),
            }
            if self.lock().abandoned {
                return false;
            }
        };
        let error = error.or_else(|| output.flush().err());
        let mut state = self.lock();
        let missing = std::mem::take(&mut state.taken);
        match error {
            None => {
                let lost = state.loss.end();
                drop(state);
                if let Some(lost) = lost {
                    (self.settings.tell)(&LogState::Written { lost });
                }
            }
            // A closed pipe or a full disk must not end the gateway.
            Some(error) => self.lose(state, missing, &error.to_string()),
        }
        let written = batch.get(..done).unwrap_or_default();
        written.last().map_or(torn, |last| *last != b'\n')
    }

    /// Counts lines that are not written, and says so, but not each time.
    fn lose(&self, mut state: MutexGuard<'_, Queue>, lines: u64, why: &str) {
        self.lost.inc_by(lines);
        let say = state.loss.add(lines, Instant::now());
        // What is told may come back here as a line.
        drop(state);
        if say {
            (self.settings.tell)(&LogState::Losing(why));
        }
    }
}

/// What is written at once: some whole lines, or one that is longer.
fn piece(lines: &[u8]) -> &[u8] {
    let most = lines.len().min(limits::logs::LOG_WRITE_BYTES);
    let is_end = |byte: &u8| *byte == b'\n';
    let end = match lines
        .get(..most)
        .and_then(|all| all.iter().rposition(is_end))
    {
        Some(last) => Some(last),
        None => lines.iter().position(is_end),
    };
    lines.get(..=end.unwrap_or(lines.len())).unwrap_or(lines)
}

/// Ends of lines. Each byte of a log is looked at here twice, so many at once.
fn count(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
