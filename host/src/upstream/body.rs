//! The body of a response from an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::deadline::Deadline;
use super::framing::Reuse;
use crate::http::body::Upload;
use crate::limits;

/// The body of an answer. Its end gives the connection back; its loss closes it.
pub struct ResponseBody {
    incoming: Incoming,
    connection: Option<Connection>,
    upload: Arc<Upload>,
    deadline: Deadline,
    /// Whether data was given out since the reader last had to wait.
    gave: bool,
    broken: Option<hyper::Error>,
}

impl ResponseBody {
    pub fn new(
        incoming: Incoming,
        connection: Connection,
        upload: Arc<Upload>,
        deadline: Deadline,
    ) -> Self {
        let mut body = ResponseBody {
            incoming,
            connection: Some(connection),
            upload,
            deadline,
            gave: false,
            broken: None,
        };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let incoming = &mut self.incoming;
        let mut poll = |context: &mut Context<'_>| Pin::new(&mut *incoming).poll_frame(context);
        match &mut self.connection {
            Some(connection) => connection.poll(context, poll),
            None => poll(context),
        }
    }

    /// The answer has ended. A connection on which the upload has not cannot be used again.
    fn end(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if self.upload.has_ended() {
            connection.give_back();
            return;
        }
        // An answer before the end of the upload, as a refusal is. Cut at once, the client might never
        // read the answer, so the rest is still taken for a moment.
        let linger = tokio::time::Instant::now() + limits::upstream::UPLOAD_LINGER;
        let until = self.deadline.total().min(linger);
        let upload = Arc::clone(&self.upload);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            if upload.has_ended() {
                connection.give_back();
            }
        });
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        loop {
            match self.poll_incoming(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(connection) = &self.connection {
                        connection.note_piece();
                    }
                    // A client that takes little at a time must not outlive the bound either.
                    if self.deadline.is_over() {
                        return Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())));
                    }
                    match frame.into_data() {
                        Ok(data) => {
                            if self.incoming.is_end_stream() {
                                self.end();
                            }
                            self.gave = true;
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Err(_trailers) => {
                            // hyper drops what it does not understand of a trailer section, and that may be
                            // the beginning of what another reader takes for the next response.
                            if let Some(connection) = &mut self.connection {
                                connection.reuse = Reuse::Never;
                            }
                        }
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.connection = None;
                    if std::mem::take(&mut self.gave) {
                        // What was read is sent on before the error that came with it breaks off the
                        // client's connection.
                        self.broken = Some(error);
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    // Where the upload ended the connection, the server is not to blame.
                    let error = match self.upload.cause() {
                        Some(cause) => cause.clone().into(),
                        None => std::io::Error::other(super::with_causes(&error)),
                    };
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    self.gave = false;
                    std::task::ready!(self.deadline.poll(context));
                    self.connection = None;
                    return Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
