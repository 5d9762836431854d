//! What a peer's bytes come to. A parser reads on for as long as its socket gives, and a peer can send for
//! ever what never becomes a message: neither may take the thread from its neighbours, or the clock from
//! those who wait.

use std::error::Error;
use std::fmt::{Display, Formatter};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits;

/// Bytes that a peer has sent since they last came to something. Shared by the [`Paced`] stream, which counts,
/// and by whoever takes heads and pieces of bodies from the parser above it.
#[derive(Debug, Default)]
pub struct Barren(AtomicUsize);

impl Barren {
    pub fn new() -> Arc<Barren> {
        Arc::default()
    }

    /// Notes that a head, or a piece of a body, came of what was read.
    pub fn bore(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Answers whether it is too much.
    fn add(&self, bytes: usize) -> bool {
        // One connection is one task's at a time, so nobody else adds.
        let sum = self.0.load(Ordering::Relaxed).saturating_add(bytes);
        self.0.store(sum, Ordering::Relaxed);
        sum > limits::PEER_BARREN_BYTES_MAX
    }
}

/// The error of a read from a peer that has sent more than [`limits::PEER_BARREN_BYTES_MAX`] in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood;

impl Flood {
    /// Whether an error, or what caused it, is this one.
    pub fn is_cause_of(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Flood>() {
                return true;
            }
            // The source of an `io::Error` is that of what it carries, which would be passed over.
            next = match error.downcast_ref::<io::Error>() {
                Some(error) => error.get_ref().map(|carried| carried as &dyn Error),
                None => error.source(),
            };
        }
        false
    }
}

impl Display for Flood {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let bytes = limits::PEER_BARREN_BYTES_MAX;
        write!(f, "more than {bytes} bytes came without a message in them")
    }
}

impl Error for Flood {}

/// A peer's stream. It gives way after [`limits::PEER_TURN_BYTES`], and fails with [`Flood`] once
/// [`Barren`] is more than a peer may send.
#[derive(Debug)]
pub struct Paced<S> {
    stream: S,
    barren: Arc<Barren>,
    /// Bytes read since the reader last had to wait.
    turn: usize,
}

impl<S> Paced<S> {
    pub fn new(stream: S, barren: Arc<Barren>) -> Self {
        Paced {
            stream,
            barren,
            turn: 0,
        }
    }

    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn >= limits::PEER_TURN_BYTES {
            self.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            self.turn = 0;
        }
        ready!(read)?;
        let bytes = buffer.filled().len() - before;
        self.turn += bytes;
        if self.barren.add(bytes) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, Flood)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Reads pieces of this size from a peer that never stops, and answers how much was read at once, and in
    /// all, before it failed.
    fn read(piece: usize, bears: impl Fn(usize) -> bool) -> (usize, usize, io::Error) {
        let barren = Barren::new();
        let mut stream = Paced::new(tokio::io::repeat(b'0'), Arc::clone(&barren));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (mut turn, mut longest, mut all) = (0, 0, 0);
        let mut bytes = vec![0; piece];
        loop {
            let mut reading = std::pin::pin!(stream.read(&mut bytes));
            match reading.as_mut().poll(&mut context) {
                Poll::Pending => turn = 0,
                Poll::Ready(Ok(read)) => {
                    turn += read;
                    all += read;
                    longest = longest.max(turn);
                    if bears(all) {
                        barren.bore();
                    }
                }
                Poll::Ready(Err(error)) => return (longest, all, error),
            }
        }
    }

    #[test]
    fn a_peer_that_never_stops_gives_way_and_is_ended() {
        for piece in [1, 8 << 10, 96 << 10] {
            let (longest, all, error) = read(piece, |_| false);
            assert!(longest < limits::PEER_TURN_BYTES + piece, "{piece}");
            assert!(all <= limits::PEER_BARREN_BYTES_MAX, "{piece}");
            assert!(all + piece >= limits::PEER_BARREN_BYTES_MAX, "{piece}");
            assert!(Flood::is_cause_of(&error));
        }
    }

    #[test]
    fn what_bears_goes_on() {
        let last = 16 * limits::PEER_BARREN_BYTES_MAX;
        let (_, all, _) = read(8 << 10, |all| all <= last && all % (512 << 10) == 0);
        assert_eq!(all, last + limits::PEER_BARREN_BYTES_MAX);
    }

    #[test]
    fn a_flood_is_found_below_other_errors() {
        let flood = io::Error::new(io::ErrorKind::InvalidData, Flood);
        assert!(Flood::is_cause_of(&io::Error::other(flood)));
        assert!(Flood::is_cause_of(&Flood));
        assert!(!Flood::is_cause_of(&io::Error::other("else")));
    }
}
