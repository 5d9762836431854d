//! The socket of a connection to an upstream: what of a request it took, and what comes on it that belongs to
//! no response.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::framing;
use crate::limits;

/// What a connection and its socket tell each other. Of one exchange, until [`Wire::begin`].
#[derive(Debug, Default)]
pub struct Wire {
    /// Whether the kernel took any byte of the request.
    sent: AtomicBool,
    /// Whether a write failed: the server takes nothing more.
    deaf: AtomicBool,
    /// Whether the next read asks the kernel, though the reactor has not heard of anything to read.
    look: AtomicBool,
    /// Interim responses to the request.
    interim: AtomicUsize,
    /// Whether one of them announced content.
    contradicted: AtomicBool,
}

impl Wire {
    /// Begins an exchange.
    pub fn begin(&self) {
        self.sent.store(false, Ordering::Relaxed);
        self.interim.store(0, Ordering::Relaxed);
    }

    /// Whether any byte of the request may have reached the server.
    pub fn has_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether the server takes nothing more.
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// Has reads ask the kernel, or the reactor alone.
    pub fn look(&self, look: bool) {
        self.look.store(look, Ordering::Relaxed);
    }

    /// Notes an interim response (1xx).
    pub fn note_interim(&self, headers: &HeaderMap) {
        self.interim.fetch_add(1, Ordering::Relaxed);
        if framing::announces_content(headers) {
            self.contradicted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether an interim response announced content, which it cannot have: nobody knows where it ends.
    pub fn is_contradicted(&self) -> bool {
        self.contradicted.load(Ordering::Relaxed)
    }

    /// Checks the number of interim responses.
    ///
    /// # Errors
    /// If there are more than [`limits::upstream::INTERIM_RESPONSES_MAX`].
    pub fn check_interim(&self) -> io::Result<()> {
        if self.interim.load(Ordering::Relaxed) <= limits::upstream::INTERIM_RESPONSES_MAX {
            return Ok(());
        }
        let text = format!(
            "more than {} interim responses came before the response",
            limits::upstream::INTERIM_RESPONSES_MAX
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

/// A stream to a server. Once the server takes nothing more, what is written is thrown away: a server that
/// refuses an upload answers and closes, and its answer can still be read, though every write fails.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl Socket {
    pub fn new(stream: TcpStream, wire: Arc<Wire>) -> Self {
        Socket { stream, wire }
    }

    /// Writes `bytes` bytes, or a part of them.
    fn write(
        &mut self,
        context: &mut Context<'_>,
        bytes: usize,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.wire.is_deaf() {
            return Poll::Ready(Ok(bytes));
        }
        match ready!(write(Pin::new(&mut self.stream), context)) {
            Ok(written) => {
                self.wire.sent.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(written))
            }
            Err(error) if is_end(&error) => {
                self.wire.deaf.store(true, Ordering::Relaxed);
                // Whatever ended the connection can be read, and was perhaps not there at the last look.
                context.waker().wake_by_ref();
                Poll::Ready(Ok(bytes))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Reads what the kernel has, be it only that the server has closed.
    fn read_unheard(&self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // One byte is enough: whatever comes on a connection at rest ends it.
        let mut byte = [0; 1];
        match rustix::net::recv(&self.stream, &mut byte, RecvFlags::DONTWAIT) {
            Ok((read, _)) => {
                buffer.put_slice(&byte[..read.min(1)]);
                Poll::Ready(Ok(()))
            }
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

/// Whether an error says that the peer has ended the connection.
pub fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
    )
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.check_interim()?;
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() && self.wire.look.load(Ordering::Relaxed) {
            return self.read_unheard(buffer);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, bytes.len(), |stream, context| {
            stream.poll_write(context, bytes)
        })
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.write(context, bytes, |stream, context| {
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
        if self.wire.is_deaf() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
