//! Whose turn it is on a connection: its client's, or ours to answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::Version;
use http_body::{Body, Frame, SizeHint};

/// Requests of a connection, and their answers. All are one task's, so that no order is needed.
#[derive(Debug, Default)]
pub struct Turns {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Whether the last one came in HTTP/1.0.
    old: AtomicBool,
}

impl Turns {
    /// Notes that a head was read.
    pub fn begin(self: &Arc<Self>, version: Version) -> Turn {
        self.old
            .store(version == Version::HTTP_10, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(self))
    }

    /// Whether an answer may look whole that is cut off: to HTTP/1.0 the end of the connection is that of an answer
    /// whose length is not known.
    pub fn ends_look_whole(&self) -> bool {
        self.old.load(Ordering::Relaxed)
    }

    /// How many requests have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How many requests have begun, if hyper was handed the whole answer to each.
    pub fn all_answered(&self) -> Option<u64> {
        let begun = self.begun();
        (self.ended.load(Ordering::Relaxed) == begun).then_some(begun)
    }
}

/// One request, until hyper drops the body of its answer. That it does once it has all of it buffered.
pub struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
pub struct TurnBody<B> {
    pub body: B,
    pub _turn: Turn,
}

impl<B: Body + Unpin> Body for TurnBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
