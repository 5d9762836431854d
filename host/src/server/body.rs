//! The body of a client's request, as it comes from hyper: every piece, and its end, is noted for the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::body::{RequestBody, Upload};
use crate::pace::Barren;

/// The body of a request, which must come at this pace, in bytes per second.
pub(super) fn of_client(incoming: Incoming, barren: &Arc<Barren>, least_pace: u64) -> RequestBody {
    let upload = Upload::new();
    if incoming.is_end_stream() {
        barren.end_body();
        return RequestBody::of_client(None, upload, least_pace);
    }
    barren.open_body();
    let body = Box::pin(ClientBody {
        incoming,
        barren: Arc::clone(barren),
    });
    RequestBody::of_client(Some(body), upload, least_pace)
}

struct ClientBody {
    incoming: Incoming,
    barren: Arc<Barren>,
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        self.barren.await_body(polled.is_pending());
        let frame = ready!(polled).map(|frame| frame.map_err(error));
        match &frame {
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.barren.note_malformed();
            }
            Some(Err(_)) => {}
            Some(Ok(frame)) if frame.is_trailers() => self.barren.note_trailers(),
            _ => self.barren.bore(),
        }
        let has_ended = frame.is_none() || self.incoming.is_end_stream();
        if has_ended && !matches!(frame, Some(Err(_))) {
            self.barren.end_body();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The error of a client's body. One that says that it is malformed has the kind `InvalidData`.
fn error(error: hyper::Error) -> io::Error {
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
