//! The bodies of responses.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body_budget::HeldBodies;
use super::body_part::Gathered;
use super::source::{BoxBody, Incomplete, after, again};

/// The body of a response.
#[derive(Default)]
pub struct Content {
    /// Data received but not yet passed on.
    read: Gathered,
    /// `None` if there is no more than `read`.
    source: Option<BoxBody>,
    broken: Option<io::Error>,
}

impl Content {
    pub fn whole(bytes: Bytes) -> Self {
        Content {
            read: Gathered::from(bytes),
            source: None,
            broken: None,
        }
    }

    pub fn stream(source: BoxBody) -> Self {
        let ended = source.is_end_stream();
        Content {
            read: Gathered::default(),
            source: (!ended).then_some(source),
            broken: None,
        }
    }

    /// Whether all of it has arrived, so that its length is known.
    pub fn is_whole(&self) -> bool {
        self.source.is_none()
    }

    /// Waits for the whole body, of at most `max` bytes, and keeps it for later readers too. Cancel-safe:
    /// data received so far is kept.
    ///
    /// # Errors
    /// If it is larger, its source broke off, or there is no room for it.
    pub async fn collect(
        &mut self,
        max: usize,
        all: &Arc<HeldBodies>,
    ) -> Result<Bytes, Incomplete> {
        loop {
            let exact = self.size_hint().exact();
            if self.read.len() > max || exact.is_some_and(|exact| exact > max as u64) {
                return Err(Incomplete::TooLarge);
            }
            match std::future::poll_fn(|context| self.poll_source(context)).await {
                Some(Ok(data)) => {
                    let most = exact.and_then(|exact| usize::try_from(exact).ok());
                    let more = self.source.is_some();
                    if !self.read.push_held(data, more, most.unwrap_or(max), all) {
                        return Err(Incomplete::NoRoom);
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(self.read.join()),
            }
        }
    }

    /// Waits until more than `had` bytes, or all, have arrived. Returns them, and whether that is all; keeps
    /// them too.
    ///
    /// # Errors
    /// If its source broke off.
    pub async fn read_beyond(&mut self, had: usize) -> io::Result<(Bytes, bool)> {
        while self.read.len() <= had {
            match std::future::poll_fn(|context| self.poll_source(context)).await {
                Some(data) => self.read.push(data?),
                None => break,
            }
        }
        Ok((self.read.join(), self.is_whole()))
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(error) = &self.broken {
            return Poll::Ready(Some(Err(again(error))));
        }
        loop {
            let Some(source) = &mut self.source else {
                return Poll::Ready(None);
            };
            let frame = ready!(source.as_mut().poll_frame(context));
            let last = source.is_end_stream();
            match frame {
                Some(Ok(frame)) => {
                    if last {
                        self.source = None;
                    }
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    self.broken = Some(again(&error));
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.source = None,
            }
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("read", &self.read.len())
            .field("whole", &self.is_whole())
            .finish()
    }
}

impl Body for Content {
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
            && self.source.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.source.as_ref().map(|body| body.size_hint());
        after(&self.read, rest)
    }
}
