//! Bodies on their way through the gateway: streamed piece by piece, or, where a plugin asked for one,
//! held whole. The client's is counted, and held to a pace.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::cause::Cause;
pub use super::content::Content;
use super::gathered::Gathered;
use super::held::HeldBodies;
pub use super::upload::Upload;
use crate::limits;
use crate::pace::{Barren, Patience};

/// A body whose source does not matter.
pub type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = io::Error> + Send>>;

/// Why a body is not there whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomplete {
    /// It has more bytes than were asked for. Nothing of it is lost: it can still be streamed.
    TooLarge,
    /// Its sender broke off, and so does whoever reads on.
    Broken(String),
    /// Its sender took too long.
    Late,
    /// So much is held of other bodies that there is no room for it. Nothing of it is lost.
    NoRoom,
}

impl From<io::Error> for Incomplete {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Incomplete::Late,
            _ => Incomplete::Broken(error.to_string()),
        }
    }
}

/// The same error once more: a body that broke off must never look as if it had ended.
pub fn again(error: &io::Error) -> io::Error {
    match Cause::of(error) {
        Some(cause) => cause.clone().into(),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The body of a request. Trailers are not forwarded: what they say could get around what the chain
/// decided on the headers.
pub struct RequestBody {
    /// What was taken from the client and not yet passed on.
    read: Gathered,
    /// None: there is no more than `read`.
    source: Option<Source>,
    upload: Arc<Upload>,
    /// Whether its end is that of the upload: not of one that goes through another.
    ends_upload: bool,
    patience: Patience,
    broken: Option<io::Error>,
}

enum Source {
    Client(Incoming, Arc<Barren>),
    /// Made of what the client sends.
    Made(BoxBody),
}

/// The error of a client's body. One that says that it is malformed has the kind `InvalidData`.
fn of_client(error: hyper::Error) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut kind = io::ErrorKind::Other;
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            // How hyper's decoder calls what it cannot decode.
            && matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        {
            kind = io::ErrorKind::InvalidData;
        }
        cause = error.source();
    }
    io::Error::new(kind, error)
}

impl Source {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self {
            Source::Client(incoming, barren) => {
                let polled = Pin::new(incoming).poll_frame(context);
                barren.await_body(polled.is_pending());
                let frame = ready!(polled);
                let frame = frame.map(|frame| frame.map_err(of_client));
                match &frame {
                    Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                        barren.note_malformed();
                    }
                    Some(Err(_)) => {}
                    Some(Ok(frame)) if frame.is_trailers() => barren.note_trailers(),
                    _ => barren.bore(),
                }
                Poll::Ready(frame)
            }
            Source::Made(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Source::Client(incoming, _) => incoming.is_end_stream(),
            Source::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Source::Client(incoming, _) => incoming.size_hint(),
            Source::Made(body) => body.size_hint(),
        }
    }
}

impl RequestBody {
    /// A client's. It must come at this pace, in bytes per second.
    pub fn new(
        incoming: Incoming,
        upload: Arc<Upload>,
        barren: &Arc<Barren>,
        least_pace: u64,
    ) -> Self {
        let ended = incoming.is_end_stream();
        if ended {
            upload.end();
            barren.end_body();
        } else {
            barren.open_body();
        }
        RequestBody {
            read: Gathered::default(),
            source: (!ended).then(|| Source::Client(incoming, Arc::clone(barren))),
            upload,
            ends_upload: true,
            patience: Patience::new(least_pace),
            broken: None,
        }
    }

    /// A body that is all there.
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

    /// For a request that is sent again: it had no body.
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

    /// Puts this body in the place of the client's, of which nothing more is read.
    pub fn replace(&mut self, bytes: Bytes) -> RequestBody {
        std::mem::replace(self, RequestBody::whole(bytes))
    }

    /// Puts a body in its place that is made of it.
    pub fn go_through(&mut self, make: impl FnOnce(RequestBody) -> BoxBody) {
        let made = self.empty_again();
        let mut inner = std::mem::replace(self, made);
        inner.ends_upload = false;
        self.source = Some(Source::Made(make(inner)));
    }

    /// Waits for the whole body, of at most `max` bytes. It is still there afterwards. May be dropped
    /// at any moment: what came so far is kept.
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

    /// What was read, and what the client says is still to come if it does, in bytes; and whether it does.
    fn known(&self) -> (usize, bool) {
        let hint = self.source.as_ref().and_then(|s| s.size_hint().exact());
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
            // What is made of the client's body notes what becomes of that itself.
            let is_clients = matches!(source, Source::Client(..));
            let polled = source.poll_frame(context);
            if is_clients {
                let waits = polled.is_pending();
                self.upload.waiting.store(waits, Ordering::Relaxed);
            }
            match polled {
                Poll::Ready(Some(Ok(frame))) => {
                    if source.is_end_stream() {
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

    /// Reads and drops what is left of a client's body, as far as it has come already: its connection can then be
    /// used again.
    pub async fn drop_rest(&mut self) {
        // hyper hands over the next piece at its next turn, and then knows whether it was the last.
        let mut turns = 2_u32;
        let mut bytes = 0;
        std::future::poll_fn(|context| {
            while bytes <= limits::UNWANTED_BYTES_MAX
                && matches!(self.source, Some(Source::Client(..)))
            {
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

    fn end(&mut self) {
        if let Some(Source::Client(_, barren)) = self.source.take() {
            barren.end_body();
        }
        if self.ends_upload {
            self.upload.end();
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if matches!(self.source, Some(Source::Client(..))) {
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
            && self.source.as_ref().is_none_or(Source::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.source.as_ref().map(Source::size_hint);
        after(&self.read, rest)
    }
}

/// The length of what was read and what is to come.
pub(super) fn after(read: &Gathered, rest: Option<SizeHint>) -> SizeHint {
    let read = read.len() as u64;
    let Some(rest) = rest else {
        return SizeHint::with_exact(read);
    };
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(read));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(read));
    }
    hint
}
