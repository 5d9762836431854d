//! WASI 0.2 for components that were built against it: every world that tool chains import is
//! linked, and nothing is in it. No files, no sockets, no environment, no arguments; standard output
//! and error go to the log.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rand_core::TryRng;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, ResourceTable, WasiCtx, WasiCtxBuilder};

use crate::limits;
use crate::plugin::spec::Identity;
use crate::quote::one_line;

/// Whether a guest asked for time or randomness while its snapshot was being prepared.
#[derive(Clone, Default)]
pub struct Witness(Arc<AtomicBool>);

impl Witness {
    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn saw_something(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a Store holds of WASI.
pub struct Wasi {
    pub context: WasiCtx,
    pub table: ResourceTable,
    /// What the call may still print, in bytes.
    pub output_left: Arc<AtomicUsize>,
}

fn builder(identity: &Identity) -> (WasiCtxBuilder, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(limits::plugin::LOG_CALL_BYTES_MAX));
    let output = || {
        LogStream(Arc::new(Output {
            identity: identity.clone(),
            left: Arc::clone(&left),
            line: Mutex::new(Vec::new()),
        }))
    };
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(output())
        .stderr(output())
        .max_random_size(u64::from(limits::plugin::RANDOM_BYTES_MAX))
        .allow_tcp(false)
        .allow_udp(false);
    (builder, left)
}

/// A guest that opens streams without end is stopped here.
fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits::plugin::PLUGIN_HANDLES_MAX);
    table
}

/// For a call.
pub fn context(identity: &Identity) -> Wasi {
    let (mut builder, output_left) = builder(identity);
    Wasi {
        context: builder.build(),
        table: table(),
        output_left,
    }
}

/// For `describe` and `configure`: what would be frozen into the snapshot is noted. The seed of
/// hash maps (`wasi:random/insecure-seed`) is drawn anew for each load, and may be frozen: it only
/// has to be unknown to clients.
pub fn watched_context(identity: &Identity, witness: &Witness) -> Wasi {
    let mut seed = [0; 16];
    // Without randomness the seed stays 0, which is what an instance without a seed would have.
    let _ = aws_lc_rs::rand::fill(&mut seed);
    let (mut builder, output_left) = builder(identity);
    let context = builder
        .secure_random(witness.clone())
        .insecure_random(witness.clone())
        .insecure_random_seed(u128::from_le_bytes(seed))
        .wall_clock(witness.clone())
        .monotonic_clock(witness.clone())
        .build();
    Wasi {
        context,
        table: table(),
        output_left,
    }
}

impl TryRng for Witness {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.note();
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.note();
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.note();
        bytes.fill(0);
        Ok(())
    }
}

impl HostWallClock for Witness {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.note();
        Duration::ZERO
    }
}

impl HostMonotonicClock for Witness {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.note();
        0
    }
}

/// Standard output or error: lines to the log, up to the bound of a call. What is beyond is taken and
/// dropped, so that a guest that prints too much is not made to fail.
#[derive(Clone)]
struct LogStream(Arc<Output>);

struct Output {
    identity: Identity,
    /// What the call may still print, in bytes, over both streams.
    left: Arc<AtomicUsize>,
    /// What was written of a line that has not ended: guests write in pieces.
    line: Mutex<Vec<u8>>,
}

impl Output {
    fn write(&self, bytes: &[u8]) {
        let left = self.left.load(Ordering::Relaxed);
        let kept = &bytes[..bytes.len().min(left)];
        let mut spent = kept.len();
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in kept.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                spent += limits::logs::LOG_LINE_OVERHEAD_BYTES;
                self.tell(&mut line);
            }
        }
        self.left
            .store(left.saturating_sub(spent), Ordering::Relaxed);
    }

    fn tell(&self, line: &mut Vec<u8>) {
        let text = one_line(String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']));
        let (plugin, policy) = (&*self.identity.plugin, &*self.identity.policy);
        tracing::info!(target: "plugin", plugin, policy, "{text}");
        line.clear();
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut line =
            std::mem::take(&mut *self.line.lock().unwrap_or_else(PoisonError::into_inner));
        if !line.is_empty() {
            self.tell(&mut line);
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
