//! What a peer's bytes come to. A parser reads on for as long as its socket gives, and a peer can send for
//! ever what never becomes a message: neither may take the thread from its neighbours, or the clock from
//! those who wait.

use std::error::Error;
use std::fmt::{Display, Formatter};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits;

/// Bytes that a peer has sent since they last came to something. Shared by the [`Paced`] stream, which counts,
/// and by whoever takes heads and pieces of bodies from the parser above it.
#[derive(Debug, Default)]
pub struct Barren {
    bytes: AtomicUsize,
    body: AtomicU8,
    trailers: AtomicBool,
}

/// There is none, or it has ended.
const BODY_ENDED: u8 = 0;
const BODY_OPEN: u8 = 1;
/// Whoever takes it found nothing.
const BODY_AWAITED: u8 = 2;
/// It is not what its framing says.
const BODY_MALFORMED: u8 = 3;

impl Barren {
    pub fn new() -> Arc<Barren> {
        Arc::default()
    }

    /// Notes that a head, or a piece of a body, came of what was read.
    pub fn bore(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Answers whether it is too much.
    fn add(&self, bytes: usize) -> bool {
        // One connection is one task's at a time, so nobody else adds.
        let sum = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        self.bytes.store(sum, Ordering::Relaxed);
        sum > limits::client::PEER_BARREN_BYTES_MAX
    }

    /// Notes that a body follows.
    pub fn open_body(&self) {
        self.body.store(BODY_OPEN, Ordering::Relaxed);
    }

    /// Notes whether the next piece of the body is waited for.
    pub fn await_body(&self, awaited: bool) {
        let state = if awaited { BODY_AWAITED } else { BODY_OPEN };
        self.body.store(state, Ordering::Relaxed);
    }

    /// Notes that the body has ended.
    pub fn end_body(&self) {
        self.body.store(BODY_ENDED, Ordering::Relaxed);
    }

    /// Notes that the body is not what its framing says.
    pub fn note_malformed(&self) {
        self.body.store(BODY_MALFORMED, Ordering::Relaxed);
    }

    /// Notes that trailers came behind a body. hyper drops what it does not understand of them, and that may be
    /// the beginning of what another reader takes for the next message: none may follow on this connection.
    pub fn note_trailers(&self) {
        self.trailers.store(true, Ordering::Relaxed);
    }

    /// Whether a body had trailers.
    pub fn had_trailers(&self) -> bool {
        self.trailers.load(Ordering::Relaxed)
    }

    /// Whether the body is not what its framing says.
    pub fn is_body_malformed(&self) -> bool {
        self.body.load(Ordering::Relaxed) == BODY_MALFORMED
    }

    /// Whether the next piece of the body was waited for when it was last asked for.
    pub fn is_body_awaited(&self) -> bool {
        self.body.load(Ordering::Relaxed) == BODY_AWAITED
    }

    /// Whether nothing of a body is left to come.
    pub fn has_body_ended(&self) -> bool {
        self.body.load(Ordering::Relaxed) == BODY_ENDED
    }
}

/// The error of a read from a peer that has sent more than [`limits::client::PEER_BARREN_BYTES_MAX`] in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood;

impl Display for Flood {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let bytes = limits::client::PEER_BARREN_BYTES_MAX;
        write!(f, "more than {bytes} bytes came without a message in them")
    }
}

impl Error for Flood {}

/// How long a peer may keep others waiting: [`limits::client::CLIENT_STALL`] in all, of which it earns back a second with
/// as many bytes as it must move in one. The clock is asked beside the timer, which a task that has spent its
/// budget does not see.
#[derive(Debug)]
pub struct Patience {
    /// Bytes per second. With 0 each byte earns back everything.
    least: u64,
    /// What was waited before the present wait, and not earned back.
    waited: Duration,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub fn new(least: u64) -> Self {
        Patience {
            least,
            waited: Duration::ZERO,
            since: None,
            sleep: None,
        }
    }

    /// Whether the peer is waited for right now.
    pub fn is_tried(&self) -> bool {
        self.since.is_some()
    }

    /// Waits for the end of it. Asked each time that the peer has nothing, or takes nothing.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let end = *self.since.get_or_insert(now)
            + limits::client::CLIENT_STALL.saturating_sub(self.waited);
        if end <= now {
            return Poll::Ready(());
        }
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if sleep.deadline() != end {
            sleep.as_mut().reset(end);
        }
        sleep.as_mut().poll(context)
    }

    /// Notes that the peer has moved this much, or that nothing is to be moved.
    pub fn restore(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        } else if self.waited.is_zero() {
            return;
        }
        let earned = (bytes as u64).saturating_mul(1_000).checked_div(self.least);
        let earned = earned.map_or(Duration::MAX, Duration::from_millis);
        self.waited = self.waited.saturating_sub(earned);
    }
}

/// A peer's stream. It gives way after [`limits::client::PEER_TURN_BYTES`], and fails with [`Flood`] once
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
        if self.turn >= limits::client::PEER_TURN_BYTES {
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
            assert!(longest < limits::client::PEER_TURN_BYTES + piece, "{piece}");
            assert!(all <= limits::client::PEER_BARREN_BYTES_MAX, "{piece}");
            assert!(
                all + piece >= limits::client::PEER_BARREN_BYTES_MAX,
                "{piece}"
            );
            assert!(error.get_ref().is_some_and(|carried| carried.is::<Flood>()));
        }
    }

    #[test]
    fn what_bears_goes_on() {
        let last = 16 * limits::client::PEER_BARREN_BYTES_MAX;
        let (_, all, _) = read(8 << 10, |all| all <= last && all % (512 << 10) == 0);
        assert_eq!(all, last + limits::client::PEER_BARREN_BYTES_MAX);
    }

    /// A peer that waits this long before it moves each of these: how often it may, of a hundred times.
    fn times(least: u64, pause: Duration, bytes: usize) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut patience = Patience::new(least);
            for time in 0..100 {
                let late = std::future::poll_fn(|context| patience.poll_end(context));
                if tokio::time::timeout(pause, late).await.is_ok() {
                    return time;
                }
                assert!(patience.is_tried());
                patience.restore(bytes);
                assert!(!patience.is_tried());
            }
            100
        })
    }

    #[test]
    fn patience_ends_by_the_least_pace() {
        let second = Duration::from_secs(1);
        assert_eq!(times(0, 29 * second, 1), 100);
        assert_eq!(times(0, 31 * second, 1_000_000), 0);
        assert_eq!(times(100, 29 * second, 2_900), 100);
        assert_eq!(times(100, 29 * second, 100), 1);
        // Nine of ten seconds are left each time, until thirty are gone.
        assert_eq!(times(100, 10 * second, 100), 3);
        assert_eq!(times(100, 31 * second, 1_000_000), 0);
    }
}
