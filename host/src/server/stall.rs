//! A connection whose peer must take what it is sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::pace::Patience;

/// Fails a write once the peer has kept it waiting for too long, so that a client that reads nothing, or next to
/// nothing, does not hold an answer, its upstream and its permits.
pub struct StallGuard {
    stream: TcpStream,
    patience: Patience,
}

impl StallGuard {
    /// The peer must take this many bytes per second; with 0, any within each [`crate::limits::client::CLIENT_STALL`].
    pub fn new(stream: TcpStream, least_pace: u64) -> Self {
        StallGuard {
            stream,
            patience: Patience::new(least_pace),
        }
    }

    /// Whether a write waits for the peer.
    pub fn is_waiting(&self) -> bool {
        self.patience.is_tried()
    }

    pub fn into_inner(self) -> TcpStream {
        self.stream
    }

    fn guard(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let result = write(Pin::new(&mut self.stream), context);
        if let Poll::Ready(result) = result {
            if let Ok(bytes) = result {
                self.patience.restore(bytes);
            }
            return Poll::Ready(result);
        }
        ready!(self.patience.poll_end(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for StallGuard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for StallGuard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.guard(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.guard(context, |stream, context| {
            stream.poll_write_vectored(context, slices)
        })
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
