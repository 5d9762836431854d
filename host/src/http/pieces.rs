//! A body in pieces, as a plugin gets them.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;

use super::body_part::Gathered;
use super::source::BoxBody;
use crate::limits;

/// Reads a body only when asked, and no more than a piece ahead.
pub struct Pieces {
    /// `None` once it has ended.
    source: Option<BoxBody>,
    gathered: Gathered,
    /// The rest of a frame beyond a piece.
    left: Bytes,
    broken: Option<io::Error>,
}

impl Pieces {
    pub fn of(source: BoxBody) -> Pieces {
        Pieces {
            source: Some(source),
            gathered: Gathered::default(),
            left: Bytes::new(),
            broken: None,
        }
    }

    /// Waits for data, and takes all that has arrived by then, up to [`limits::plugin::STREAM_PIECE_BYTES_MAX`]:
    /// many small frames make one piece, which does not wait for later data. Also returns whether it is the last
    /// piece, which may be empty.
    ///
    /// # Errors
    /// If the body broke off, once all data before that was taken.
    pub async fn next(&mut self) -> io::Result<(Bytes, bool)> {
        if self.left.is_empty() {
            std::future::poll_fn(|context| self.poll_gather(context)).await?;
            self.left = self.gathered.take().unwrap_or_default();
        }
        let length = self.left.len().min(limits::plugin::STREAM_PIECE_BYTES_MAX);
        let piece = self.left.split_to(length);
        let last = self.left.is_empty() && self.source.is_none() && self.broken.is_none();
        Ok((piece, last))
    }

    fn poll_gather(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        while self.gathered.len() < limits::plugin::STREAM_PIECE_BYTES_MAX {
            let Some(source) = &mut self.source else {
                break;
            };
            let polled = source.as_mut().poll_frame(context);
            if polled.is_pending() && !self.gathered.is_empty() {
                break;
            }
            let frame = ready!(polled);
            if frame.is_none() || source.is_end_stream() {
                self.source = None;
            }
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.gathered.push(data);
                    }
                }
                Some(Err(error)) => {
                    self.source = None;
                    if self.gathered.is_empty() {
                        return Poll::Ready(Err(error));
                    }
                    self.broken = Some(error);
                    break;
                }
                None => {}
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::Waker;

    use http_body::Frame;

    use super::*;

    /// Gives these frames; a `None` is pending once.
    struct Scripted(VecDeque<Option<io::Result<Bytes>>>);

    impl Body for Scripted {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(data)) => Poll::Ready(Some(data.map(Frame::data))),
            }
        }
    }

    fn pieces(frames: Vec<Option<io::Result<Bytes>>>) -> Pieces {
        Pieces::of(Box::pin(Scripted(frames.into())))
    }

    /// Returns the next piece, polling as often as needed.
    fn next(pieces: &mut Pieces) -> io::Result<(Bytes, bool)> {
        let mut next = std::pin::pin!(pieces.next());
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(piece) = next.as_mut().poll(&mut context) {
                return piece;
            }
        }
    }

    fn data(bytes: &'static [u8]) -> Option<io::Result<Bytes>> {
        Some(Ok(Bytes::from_static(bytes)))
    }

    #[test]
    fn what_is_there_is_one_piece_and_what_is_not_is_not_waited_for() {
        let mut pieces = pieces(vec![None, data(b"a"), data(b"b"), None, data(b"c")]);
        assert_eq!(next(&mut pieces).unwrap(), (Bytes::from("ab"), false));
        assert_eq!(next(&mut pieces).unwrap(), (Bytes::from("c"), true));
    }

    #[test]
    fn an_empty_body_is_one_empty_piece() {
        assert_eq!(next(&mut pieces(vec![])).unwrap(), (Bytes::new(), true));
        assert_eq!(next(&mut pieces(vec![None])).unwrap(), (Bytes::new(), true));
    }

    #[test]
    fn large_frames_are_cut() {
        let large = vec![b'x'; 2 * limits::plugin::STREAM_PIECE_BYTES_MAX + 1];
        let mut pieces = pieces(vec![Some(Ok(large.into())), data(b"y")]);
        for (length, last) in [
            (limits::plugin::STREAM_PIECE_BYTES_MAX, false),
            (limits::plugin::STREAM_PIECE_BYTES_MAX, false),
            (1, false),
            (1, true),
        ] {
            let piece = next(&mut pieces).unwrap();
            assert_eq!((piece.0.len(), piece.1), (length, last));
        }
    }

    #[test]
    fn what_came_before_a_break_is_a_piece_and_never_the_last() {
        let broken = || Some(Err(io::Error::other("gone")));
        let mut pieces = pieces(vec![data(b"a"), broken()]);
        assert_eq!(next(&mut pieces).unwrap(), (Bytes::from("a"), false));
        assert!(next(&mut pieces).is_err());
    }
}
