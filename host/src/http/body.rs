//! The client's body on its way to an upstream: counted, and held to a pace.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::limits;

/// What has become of an upload, for the one who waits for the answer.
#[derive(Debug)]
pub struct Upload {
    started: Instant,
    pub bytes: AtomicU64,
    /// Milliseconds from the start to the last data.
    last_ms: AtomicU64,
    pub stalled: AtomicBool,
    pub broken: AtomicBool,
    /// Whether the client's next data is awaited right now.
    waiting: AtomicBool,
    /// Whether all of it was passed on.
    ended: AtomicBool,
}

impl Upload {
    pub fn new() -> Arc<Upload> {
        Arc::new(Upload {
            started: Instant::now(),
            bytes: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            ended: AtomicBool::new(false),
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

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn note(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let elapsed = self.started.elapsed().as_millis();
        self.last_ms.store(
            u64::try_from(elapsed).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

/// The body of a request. Trailers are not forwarded: what they say could get around what the chain
/// decided on the headers.
pub struct RequestBody {
    /// None: empty.
    incoming: Option<Incoming>,
    upload: Arc<Upload>,
    stall: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub fn new(incoming: Incoming, upload: Arc<Upload>) -> Self {
        if incoming.is_end_stream() {
            upload.end();
        }
        RequestBody {
            incoming: Some(incoming),
            upload,
            stall: None,
        }
    }

    /// For a request that is sent again: it had no body.
    pub fn empty_again(&self) -> Self {
        RequestBody {
            incoming: None,
            upload: Arc::clone(&self.upload),
            stall: None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        loop {
            let Some(incoming) = &mut self.incoming else {
                return Poll::Ready(None);
            };
            match Pin::new(&mut *incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let last = incoming.is_end_stream();
                    self.stall = None;
                    self.upload.waiting.store(false, Ordering::Relaxed);
                    if last {
                        self.upload.end();
                    }
                    match frame.into_data() {
                        Ok(data) => {
                            self.upload.note(data.len());
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Err(_trailers) => continue,
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.upload.broken.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(std::io::Error::other(error))));
                }
                Poll::Ready(None) => {
                    self.upload.end();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    self.upload.waiting.store(true, Ordering::Relaxed);
                    let stall = self
                        .stall
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::CLIENT_STALL)));
                    std::task::ready!(stall.as_mut().poll(context));
                    self.upload.stalled.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
