//! Bodies on their way through the gateway: streamed piece by piece, or held whole if a plugin wants that. A
//! client's body is counted, and must keep a minimum pace.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body_budget::HeldBodies;
use super::body_part::Gathered;
pub use super::content::Content;
use super::source::after;
pub use super::source::{BoxBody, Incomplete, again};
pub use super::upload::Upload;
use crate::limits;
use crate::pace::Patience;

/// The body of a request. Trailers are not forwarded: they could get around the chain's decisions on the
/// headers.
pub struct RequestBody {
    /// Data received but not yet passed on.
    read: Gathered,
    /// `None` if there is no more than `read`.
    source: Option<Rest>,
    upload: Arc<Upload>,
    /// Whether its end also ends the upload. False inside a body that is made of it.
    ends_upload: bool,
    patience: Patience,
    broken: Option<io::Error>,
}

/// The source of the rest of a body.
struct Rest {
    body: BoxBody,
    /// Whether the source is the client itself, not a body made of what the client sends.
    is_clients: bool,
}

impl RequestBody {
    /// Makes the body of a client's request (`None`: it has none), sent at `least_pace` bytes per second or
    /// more.
    pub fn of_client(body: Option<BoxBody>, upload: Arc<Upload>, least_pace: u64) -> Self {
        if body.is_none() {
            upload.end();
        }
        RequestBody {
            read: Gathered::default(),
            source: body.map(|body| Rest {
                body,
                is_clients: true,
            }),
            upload,
            ends_upload: true,
            patience: Patience::new(least_pace),
            broken: None,
        }
    }

    /// Makes a body from complete data.
    pub fn whole(bytes: Bytes) -> Self {
        let upload = Upload::new();
        upload.end();
        RequestBody {
            read: Gathered::from(bytes),
            source: None,
            upload,
            ends_upload: true,
            patience: Patience::new(0),
            broken: None,
        }
    }

    /// Makes an empty body that shares this one's upload.
    pub fn empty_again(&self) -> Self {
        RequestBody {
            read: Gathered::default(),
            source: None,
            upload: Arc::clone(&self.upload),
            ends_upload: true,
            patience: Patience::new(0),
            broken: None,
        }
    }

    pub fn upload(&self) -> &Arc<Upload> {
        &self.upload
    }

    /// Replaces this body by `bytes` and returns the old one, of which no more is read.
    pub fn replace(&mut self, bytes: Bytes) -> RequestBody {
        std::mem::replace(self, RequestBody::whole(bytes))
    }

    /// Replaces this body by one that is made of it.
    pub fn go_through(&mut self, make: impl FnOnce(RequestBody) -> BoxBody) {
        let made = self.empty_again();
        let mut inner = std::mem::replace(self, made);
        inner.ends_upload = false;
        self.source = Some(Rest {
            body: make(inner),
            is_clients: false,
        });
    }

    /// Waits for the whole body, of at most `max` bytes, and keeps it for later readers too. Cancel-safe:
    /// data received so far is kept.
    ///
    /// # Errors
    /// If it is larger, its client broke off, or there is no room for it.
    pub async fn collect(
        &mut self,
        max: usize,
        all: &Arc<HeldBodies>,
    ) -> Result<Bytes, Incomplete> {
        loop {
            let (length, is_whole) = self.known();
            if length > max {
                return Err(Incomplete::TooLarge);
            }
            match std::future::poll_fn(|context| self.poll_source(context)).await {
                Some(Ok(data)) => {
                    let most = if is_whole { length } else { max };
                    let more = self.source.is_some();
                    if !self.read.push_held(data, more, most, all) {
                        return Err(Incomplete::NoRoom);
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(self.read.join()),
            }
        }
    }

    /// Returns the bytes read plus those that the client says are still to come, and whether it says so.
    fn known(&self) -> (usize, bool) {
        let hint = self
            .source
            .as_ref()
            .and_then(|s| s.body.size_hint().exact());
        let more = usize::try_from(hint.unwrap_or(0)).unwrap_or(usize::MAX);
        (self.read.len().saturating_add(more), hint.is_some())
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(error) = &self.broken {
            return Poll::Ready(Some(Err(again(error))));
        }
        loop {
            let Some(source) = &mut self.source else {
                return Poll::Ready(None);
            };
            // A body made of the client's records the upload's progress itself.
            let is_clients = source.is_clients;
            let polled = source.body.as_mut().poll_frame(context);
            if is_clients {
                let waits = polled.is_pending();
                self.upload.waiting.store(waits, Ordering::Relaxed);
            }
            match polled {
                Poll::Ready(Some(Ok(frame))) => {
                    if source.body.is_end_stream() {
                        self.end();
                    }
                    let Ok(data) = frame.into_data() else {
                        continue; // Trailers.
                    };
                    if is_clients {
                        self.patience.restore(data.len());
                        self.upload.note(data.len());
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Ready(Some(Err(error))) => {
                    if is_clients {
                        self.upload.note_error(&error);
                    }
                    self.broken = Some(again(&error));
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Poll::Pending if is_clients => {
                    ready!(self.patience.poll_end(context));
                    self.upload.stalled.store(true, Ordering::Relaxed);
                    let error = io::Error::from(io::ErrorKind::TimedOut);
                    self.broken = Some(again(&error));
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads and drops the rest of a client's body that has already arrived, so that its connection can be
    /// reused.
    pub async fn drop_rest(&mut self) {
        // hyper hands over the next piece at its next poll, and then knows whether it was the last.
        let mut turns = 2_u32;
        let mut bytes = 0;
        std::future::poll_fn(|context| {
            while bytes <= limits::client::UNWANTED_BYTES_MAX && self.is_clients() {
                match self.poll_source(context) {
                    Poll::Ready(Some(Ok(data))) => bytes += data.len(),
                    Poll::Ready(_) => break,
                    Poll::Pending if turns == 0 => break,
                    Poll::Pending => {
                        turns -= 1;
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Whether more is to come from the client itself.
    fn is_clients(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.is_clients)
    }

    fn end(&mut self) {
        self.source = None;
        if self.ends_upload {
            self.upload.end();
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.is_clients() {
            self.upload.abandon();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(data) = self.read.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let data = ready!(self.poll_source(context));
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none()
            && self.read.is_empty()
            && self.source.as_ref().is_none_or(|s| s.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.source.as_ref().map(|source| source.body.size_hint());
        after(&self.read, rest)
    }
}
