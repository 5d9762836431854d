//! Shared progress of a request body.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::cause::Cause;

/// The progress of an upload, for the task that waits for the answer.
#[derive(Debug)]
pub struct Upload {
    started: Instant,
    pub bytes: AtomicU64,
    /// Milliseconds from the start to the last data.
    last_ms: AtomicU64,
    pub stalled: AtomicBool,
    pub broken: AtomicBool,
    /// The error, if the body does not follow its framing.
    malformed: OnceLock<String>,
    /// Whether the gateway is waiting for the client's next data.
    pub(super) waiting: AtomicBool,
    /// Whether its reader was dropped before its end.
    abandoned: AtomicBool,
    /// Whether all of it was passed on.
    ended: AtomicBool,
    /// Why the gateway ended it, though the client could go on.
    cause: OnceLock<Cause>,
}

impl Upload {
    pub fn new() -> Arc<Upload> {
        Arc::new(Upload {
            started: Instant::now(),
            bytes: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            malformed: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            cause: OnceLock::new(),
        })
    }

    /// Returns when data last arrived.
    pub fn last(&self) -> Instant {
        self.started + std::time::Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    /// Whether the gateway is waiting for the client.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Notes why the gateway ends it, though the client could go on.
    pub fn end_for(&self, cause: Cause) {
        // Keep the first cause: it causes the later ones.
        let _ = self.cause.set(cause);
    }

    /// Returns why the gateway ended it, if it did.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.get()
    }

    /// The error, if the body does not follow its framing.
    pub fn malformed(&self) -> Option<&str> {
        self.malformed.get().map(String::as_str)
    }

    /// Notes the error that ended it.
    pub(super) fn note_error(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            let text = innermost(error);
            let _ = self.malformed.set(text);
        } else {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    /// Whether its reader was dropped before its end, so that the connection cannot be reused.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn note(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let elapsed = self.started.elapsed().as_millis();
        self.last_ms.store(
            u64::try_from(elapsed).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

/// Returns the text of the error at the end of the source chain.
fn innermost(error: &io::Error) -> String {
    let mut last: &dyn Error = error;
    let carried = error.get_ref().map(|carried| carried as &dyn Error);
    let mut next = carried;
    while let Some(error) = next {
        last = error;
        next = error.source();
    }
    last.to_string()
}
