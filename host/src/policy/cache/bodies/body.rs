//! The body that is sent on: from the store, from a growing one, or straight through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::growing::Reader;
use super::object::Stored;
use crate::http::body::BoxBody;

/// The body of an [`super::Answer`]. It shares what is stored, and copies nothing.
pub struct CacheBody {
    source: Source,
    /// Bytes to leave out first.
    skip: u64,
    /// Bytes to send then. None: all.
    take: Option<u64>,
}

enum Source {
    Empty,
    Stored(Arc<Stored>, u64),
    Growing(Reader),
    Through(BoxBody),
}

impl CacheBody {
    pub fn empty() -> Self {
        CacheBody::new(Source::Empty)
    }

    pub fn stored(stored: &Arc<Stored>) -> Self {
        CacheBody::new(Source::Stored(Arc::clone(stored), 0))
    }

    pub fn growing(reader: Reader) -> Self {
        CacheBody::new(Source::Growing(reader))
    }

    pub fn through(body: BoxBody) -> Self {
        CacheBody::new(Source::Through(body))
    }

    fn new(source: Source) -> Self {
        CacheBody {
            source,
            skip: 0,
            take: None,
        }
    }

    /// Only `count` bytes from `from` on.
    pub fn part(mut self, from: u64, count: u64) -> Self {
        match &mut self.source {
            Source::Stored(_, at) => *at = from,
            _ => self.skip = from,
        }
        self.take = Some(count);
        self
    }

    /// How many bytes the source still has, where that is known.
    fn source_left(&self) -> Option<u64> {
        match &self.source {
            Source::Empty => Some(0),
            Source::Stored(stored, at) => Some(stored.length().saturating_sub(*at)),
            Source::Growing(reader) => reader.left(),
            Source::Through(body) => body.size_hint().exact(),
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Stored(stored, at) => {
                let data = stored.from(*at);
                *at += data.len() as u64;
                Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
            }
            Source::Growing(reader) => {
                let data = ready!(reader.poll(context));
                Poll::Ready(data.map(|data| data.map(Frame::data)))
            }
            Source::Through(body) => body.as_mut().poll_frame(context),
        }
    }

    /// What of a frame is to be sent, if anything.
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
                self.source = Source::Empty;
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
            Source::Empty => self.take.is_none(),
            Source::Through(body) => self.take.is_none() && body.is_end_stream(),
            Source::Stored(stored, at) => *at >= stored.length(),
            Source::Growing(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (self.take, &self.source) {
            (Some(take), _) => SizeHint::with_exact(take),
            (None, Source::Through(body)) => body.size_hint(),
            (None, _) => self
                .source_left()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl std::fmt::Debug for CacheBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match &self.source {
            Source::Empty => "empty",
            Source::Stored(..) => "stored",
            Source::Growing(_) => "growing",
            Source::Through(_) => "through",
        };
        formatter.debug_tuple("CacheBody").field(&source).finish()
    }
}
