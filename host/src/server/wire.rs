//! A client's stream, as hyper has it. It holds back what hyper would answer of itself to a head that it cannot
//! read, and for a while the end of what a client sends that may still be waiting for its answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::stall::StallGuard;
use super::turns::Turns;
use crate::limits;
use crate::pace::{Barren, Paced};

pub struct Wire {
    stream: Paced<StallGuard>,
    turns: Arc<Turns>,
    barren: Arc<Barren>,
    /// How long an answer is made for a client that has closed its side and takes nothing.
    half_closed: Duration,
    /// Requests that had begun when hyper last wrote or flushed, if it had all of their answers then. What it
    /// buffers after that, before the next request, it makes of itself.
    answered: Option<u64>,
    /// The same, if nothing of those answers was left to write.
    at_rest: Option<u64>,
    /// Bytes that hyper offered last, and that were not taken.
    left: usize,
    /// Bytes of an answer of hyper's own, at the end of the first slice that it offers.
    own: usize,
    /// The status of that answer, once it was held back.
    refused: Option<u16>,
    /// Set when the client has closed its side.
    end: Option<End>,
    /// The beginning of what has come since the connection was at rest, and after how many requests that was.
    seen: Vec<u8>,
    seen_after: u64,
}

/// The end of what a client sends.
struct End {
    /// When it came, or when the client last took something after it.
    since: Instant,
    /// Whether whoever takes the body has had its turn since then.
    settled: bool,
    sleep: Pin<Box<Sleep>>,
}

impl Wire {
    pub fn new(
        stream: StallGuard,
        turns: &Arc<Turns>,
        barren: &Arc<Barren>,
        half_closed: Duration,
    ) -> Self {
        Wire {
            stream: Paced::new(stream, Arc::clone(barren)),
            turns: Arc::clone(turns),
            barren: Arc::clone(barren),
            half_closed,
            answered: Some(0),
            at_rest: Some(0),
            left: 0,
            own: 0,
            refused: None,
            end: None,
            seen: Vec::new(),
            seen_after: 0,
        }
    }

    /// Whether each request was answered, and each answer was written: something of ours can follow.
    pub fn is_at_rest(&self) -> bool {
        self.at_rest == Some(self.turns.begun())
    }

    /// The status that hyper would have answered to what is no head.
    pub fn refused(&self) -> Option<u16> {
        self.refused
    }

    /// Whether the client has closed its side.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The beginning of what came since the last request, if that is known.
    pub fn seen(&self) -> &[u8] {
        if self.seen_after == self.turns.begun() {
            &self.seen
        } else {
            &[]
        }
    }

    pub fn into_guarded(self) -> StallGuard {
        self.stream.into_inner()
    }

    pub fn into_inner(self) -> TcpStream {
        self.into_guarded().into_inner()
    }

    fn note_seen(&mut self, bytes: &[u8]) {
        let begun = self.turns.begun();
        if self.seen_after != begun {
            self.seen_after = begun;
            self.seen.clear();
        }
        let room = limits::client::HEAD_SEEN_BYTES_MAX.saturating_sub(self.seen.len());
        self.seen.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Whether hyper is told of the end. It would give up an answer that is under way, and a client that has only
    /// closed its own side waits for that.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let at_rest = self.is_at_rest();
        let waiting = self.stream.get_ref().is_waiting();
        let Some(end) = &mut self.end else {
            return Poll::Pending;
        };
        if at_rest {
            return Poll::Ready(());
        }
        if !end.settled {
            end.settled = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.barren.is_body_awaited() {
            // In the middle of its body, so that there is nothing to wait for.
            return Poll::Ready(());
        }
        loop {
            let now = Instant::now();
            let due = end.since + self.half_closed;
            if due <= now && !waiting {
                return Poll::Ready(());
            }
            // How long a write may wait is for the guard to say.
            let again = if due <= now {
                now + limits::client::WRITE_RECHECK
            } else {
                due
            };
            end.sleep.as_mut().reset(again);
            ready!(end.sleep.as_mut().poll(context));
        }
    }

    /// Writes, but for what hyper answers of itself.
    fn poll_write_slices(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.answered == Some(self.turns.begun()) {
            self.own += offered.saturating_sub(self.left);
        }
        let first = slices.first().map_or(0, |slice| slice.len());
        if self.own > first {
            // Not where hyper puts heads, so it is none.
            self.own = 0;
        }
        self.left = offered;
        self.answered = self.turns.all_answered();
        if self.own > 0 && self.own == first {
            self.refused = slices.first().and_then(|slice| status_of(slice));
            self.own = 0;
            self.left -= first;
            return Poll::Ready(Ok(first));
        }
        self.at_rest = None;
        let stream = Pin::new(&mut self.stream);
        let written = match slices.first() {
            Some(slice) if self.own > 0 => stream.poll_write(context, &slice[..first - self.own]),
            _ => stream.poll_write_vectored(context, slices),
        };
        let written = ready!(written)?;
        self.left = self.left.saturating_sub(written);
        if let Some(end) = &mut self.end {
            end.since = Instant::now();
        }
        Poll::Ready(Ok(written))
    }
}

/// The status of a head: `HTTP/1.1 400 ...`.
fn status_of(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.is_some() {
            return self.poll_end(context).map(Ok);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() && buffer.remaining() > 0 {
            let since = Instant::now();
            self.end = Some(End {
                since,
                settled: false,
                sleep: Box::pin(tokio::time::sleep_until(since)),
            });
            return self.poll_end(context).map(Ok);
        }
        if self.is_at_rest() {
            self.note_seen(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes what it has written, once nothing of it is left.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.left = 0;
        self.answered = self.turns.all_answered();
        self.at_rest = self.answered;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// The connection is closed in stages, once hyper is done with it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
