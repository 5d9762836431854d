//! The response's body, and the state that lives as long as the request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::request_id::REQUEST_ID;
use crate::error::{Failure, FailureKind};
use crate::http::body::{Content, Upload};
use crate::http::exchange::ResponseHead;
use crate::http::representation;
use crate::observe::Record;
use crate::policy::limit::Charge;

/// Cleans a response.
pub(super) fn respond(head: ResponseHead, mut body: Content, id: &str) -> Response<ResponseBody> {
    let mut headers = head.headers;
    if representation::is_bodiless(head.status) && !body.is_end_stream() {
        // A plugin gave a response with a body a status that has none.
        body = Content::default();
    }
    // hyper writes the length of a whole body. An empty one may belong to a HEAD, whose length stays.
    if body.is_whole() && !body.is_end_stream() || head.status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    if let Ok(value) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, value);
    }
    let mut response = Response::new(ResponseBody {
        left: body.size_hint().exact(),
        content: body,
        // Starts with the head, which is written with the first data or when there is none yet.
        gave: true,
        broken: None,
        held: None,
    });
    *response.status_mut() = head.status;
    *response.headers_mut() = headers;
    response
}

/// State that lives as long as the request.
pub(super) struct Held {
    pub record: Record,
    pub upload: Arc<Upload>,
    pub is_head: bool,
    /// `None` for a request that found none free.
    pub permit: Option<OwnedSemaphorePermit>,
    /// The limiters' charges; those of concurrency are held until the end.
    pub charges: Vec<Charge>,
}

/// The body that the client gets. Its end is the end of the request.
pub struct ResponseBody {
    content: Content,
    /// Bytes still to be handed over, if known: hyper does not poll after them, and not every source knows
    /// that it has ended before it is polled again.
    left: Option<u64>,
    /// Whether anything was handed over since hyper last had to wait.
    gave: bool,
    broken: Option<std::io::Error>,
    pub(super) held: Option<Box<Held>>,
}

impl ResponseBody {
    fn count(&mut self, bytes: usize) {
        self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        if let Some(held) = &mut self.held {
            held.record.bytes_out += bytes as u64;
        }
    }

    /// Ends the request: writes the record and frees the permit.
    fn end(&mut self, complete: bool, failure: Option<&Failure>) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        held.record.complete = complete;
        held.record.bytes_in = held.upload.bytes.load(Ordering::Relaxed);
        if let Some(failure) = failure {
            held.record.fail(failure);
        }
        drop(held.permit.take());
    }
}

/// Returns the failure behind a response that ended early.
fn broke_off(error: &std::io::Error) -> Failure {
    if let Some(failure) = Failure::of_body(error) {
        return failure;
    }
    let kind = match error.kind() {
        std::io::ErrorKind::TimedOut => FailureKind::TotalTimeout,
        _ => FailureKind::BadGateway,
    };
    Failure::new(kind, format!("the answer broke off: {error}"))
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // hyper does not poll a body that has no bytes: that of a HEAD, or an empty one.
        let is_head = self.held.as_ref().is_some_and(|held| held.is_head);
        self.end(is_head || self.is_end_stream(), None);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let polled = match self.broken.take() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None => Pin::new(&mut self.content).poll_frame(context),
        };
        let frame = match polled {
            // hyper sends its buffer when it has to wait, but discards it on an error.
            Poll::Ready(Some(Err(error))) if self.gave => {
                self.broken = Some(error);
                context.waker().wake_by_ref();
                self.gave = false;
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                self.gave = false;
                return Poll::Pending;
            }
        };
        match &frame {
            Some(Ok(data)) => {
                self.gave = true;
                self.count(data.data_ref().map_or(0, Bytes::len));
                if self.is_end_stream() {
                    self.end(true, None);
                }
            }
            // The head is sent, so only a broken connection can tell the client.
            Some(Err(error)) => {
                let failure = broke_off(error);
                self.end(false, Some(&failure));
            }
            None => self.end(true, None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && (self.left == Some(0) || self.content.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
