//! Standard error, which the log shares with the progress of loading if it is a terminal.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::assembly::Progress;
use crate::limits;

/// What stands in the last line, below the log, and is written over.
static LAST_LINE: Mutex<String> = Mutex::new(String::new());

/// To the start of the line, and erase it (ECMA-48: CR, EL).
const ERASE: &str = "\r\x1b[K";

/// Writes whole lines above the last one.
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let last = LAST_LINE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut terminal = std::io::stderr().lock();
        if last.is_empty() {
            return terminal.write(bytes);
        }
        terminal.write_all(ERASE.as_bytes())?;
        terminal.write_all(bytes)?;
        terminal.write_all(last.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

fn draw(line: String) {
    let mut last = LAST_LINE.lock().unwrap_or_else(PoisonError::into_inner);
    if *last != line {
        // A closed terminal has nobody to tell.
        let _ = write!(std::io::stderr(), "{ERASE}{line}");
        *last = line;
    }
}

/// Shows the progress of loading until dropped: only on a terminal, and only if it takes long.
pub struct Shown {
    ended: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Shown {
    pub fn start(progress: &Arc<Progress>) -> Shown {
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let mut thread = None;
        if std::io::stderr().is_terminal() {
            let (progress, ended) = (Arc::clone(progress), Arc::clone(&ended));
            let show = move || show(&progress, &ended);
            // Without a thread for it, loading goes on unseen.
            thread = std::thread::Builder::new().spawn(show).ok();
        }
        Shown { ended, thread }
    }
}

fn show(progress: &Progress, (ended, changed): &(Mutex<bool>, Condvar)) {
    let mut pause = limits::process::PROGRESS_AFTER;
    let mut guard = ended.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let waited = changed.wait_timeout_while(guard, pause, |ended| !*ended);
        guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        if *guard {
            return;
        }
        let (done, all) = progress.get();
        draw(format!("compiling plugins {done}/{all}"));
        pause = limits::process::PROGRESS_EVERY;
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let (ended, changed) = &*self.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        let _ = thread.join();
        draw(String::new());
    }
}
