//! What has become of a client's body.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::cause::Cause;

/// What has become of an upload, for the one who waits for the answer.
#[derive(Debug)]
pub struct Upload {
    started: Instant,
    pub bytes: AtomicU64,
    /// Milliseconds from the start to the last data.
    last_ms: AtomicU64,
    pub stalled: AtomicBool,
    pub broken: AtomicBool,
    /// What is wrong with it, if it is not what its framing says.
    malformed: OnceLock<String>,
    /// Whether the client's next data is awaited right now.
    pub(super) waiting: AtomicBool,
    /// Whether its reader has gone before its end.
    abandoned: AtomicBool,
    /// Whether all of it was passed on.
    ended: AtomicBool,
    /// What it was ended for, though the client could go on.
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

    /// When data last came.
    pub fn last(&self) -> Instant {
        self.started + std::time::Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }

    /// Whether it is the client that is waited for.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Notes why it goes no further, though the client could go on.
    pub fn end_for(&self, cause: Cause) {
        // The first is the cause of those that follow.
        let _ = self.cause.set(cause);
    }

    /// What it was ended for, if it was.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.get()
    }

    /// What is wrong with it, if it is not what its framing says.
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

    /// Whether its reader has gone before its end, so that the connection cannot be used again.
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

/// The text of an error that has no other behind it.
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
