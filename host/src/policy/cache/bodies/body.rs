//! The body to send: from the store, from a growing body, or straight through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::growing::BodyReader;
use super::object::Stored;
use crate::http::body::BoxBody;

/// The body of an [`super::Served`]. It shares the stored bytes and copies nothing.
pub struct CacheBody {
    source: Supply,
    /// Bytes to skip first.
    skip: u64,
    /// Bytes to send after that; `None` for all.
    take: Option<u64>,
}

enum Supply {
    Empty,
    Stored(Arc<Stored>, u64),
    Growing(BodyReader),
    Through(BoxBody),
}

impl CacheBody {
    pub fn empty() -> Self {
        CacheBody::new(Supply::Empty)
    }

    pub fn stored(stored: &Arc<Stored>) -> Self {
        CacheBody::new(Supply::Stored(Arc::clone(stored), 0))
    }

    pub fn growing(reader: BodyReader) -> Self {
        CacheBody::new(Supply::Growing(reader))
    }

    pub fn through(body: BoxBody) -> Self {
        CacheBody::new(Supply::Through(body))
    }

    fn new(source: Supply) -> Self {
        CacheBody {
            source,
            skip: 0,
            take: None,
        }
    }

    /// Restricts the body to `count` bytes from `from` on.
    pub fn part(mut self, from: u64, count: u64) -> Self {
        match &mut self.source {
            Supply::Stored(_, at) => *at = from,
            _ => self.skip = from,
        }
        self.take = Some(count);
        self
    }

    /// Returns how many bytes the source still has, if known.
    fn source_left(&self) -> Option<u64> {
        match &self.source {
            Supply::Empty => Some(0),
            Supply::Stored(stored, at) => Some(stored.length().saturating_sub(*at)),
            Supply::Growing(reader) => reader.left(),
            Supply::Through(body) => body.size_hint().exact(),
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.source {
            Supply::Empty => Poll::Ready(None),
            Supply::Stored(stored, at) => {
                let data = stored.from(*at);
                *at += data.len() as u64;
                Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
            }
            Supply::Growing(reader) => {
                let data = ready!(reader.poll(context));
                Poll::Ready(data.map(|data| data.map(Frame::data)))
            }
            Supply::Through(body) => body.as_mut().poll_frame(context),
        }
    }

    /// Returns the part of a frame to send, if any.
    fn cut(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let Some(take) = &mut self.take else {
            return Some(frame);
        };
        let mut data = frame.into_data().ok()?;
        let skipped = self.skip.min(data.len() as u64);
        self.skip -= skipped;
        // Both are at most the data's length, which is a usize.
        data = data.split_off(skipped as usize);
        data.truncate((*take).min(data.len() as u64) as usize);
        *take -= data.len() as u64;
        (!data.is_empty()).then(|| Frame::data(data))
    }
}

impl Body for CacheBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if self.take == Some(0) {
                self.source = Supply::Empty;
                return Poll::Ready(None);
            }
            match ready!(self.poll_source(context)) {
                Some(Ok(frame)) => {
                    if let Some(frame) = self.cut(frame) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Some(Err(error)) => {
                    *self = CacheBody::empty();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let short = self.take.is_some();
                    *self = CacheBody::empty();
                    let error = || Err(io::ErrorKind::UnexpectedEof.into());
                    return Poll::Ready(short.then(error));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            _ if self.take == Some(0) => true,
            Supply::Empty => self.take.is_none(),
            Supply::Through(body) => self.take.is_none() && body.is_end_stream(),
            Supply::Stored(stored, at) => *at >= stored.length(),
            Supply::Growing(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (self.take, &self.source) {
            (Some(take), _) => SizeHint::with_exact(take),
            (None, Supply::Through(body)) => body.size_hint(),
            (None, _) => self
                .source_left()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl std::fmt::Debug for CacheBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match &self.source {
            Supply::Empty => "empty",
            Supply::Stored(..) => "stored",
            Supply::Growing(_) => "growing",
            Supply::Through(_) => "through",
        };
        formatter.debug_tuple("CacheBody").field(&source).finish()
    }
}
