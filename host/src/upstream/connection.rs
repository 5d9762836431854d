//! Connections to one server: opened, kept, and given back when an answer's body has ended.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use crate::error::{Failure, FailureKind};
use crate::http::body::{RequestBody, Upload};
use crate::limits;

/// One server, and the connections to it that wait for work.
pub struct Server {
    /// Host and port.
    pub name: Arc<str>,
    host: String,
    port: u16,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    task: AbortHandle,
    since: Instant,
}

/// A connection in use. Dropped before its answer has ended, it closes.
pub struct Connection {
    server: Arc<Server>,
    /// Gone once given back.
    sender: Option<SendRequest<RequestBody>>,
    /// What reads and writes it.
    task: AbortHandle,
    /// Whether it carried a request before, so that the server may be closing it right now.
    pub reused: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropping the sender alone would leave an unfinished upload to a server that takes none.
        if self.sender.is_some() {
            self.task.abort();
        }
    }
}

/// The request, if nothing of it was sent, and why.
type Unsent = (Option<Request<RequestBody>>, Option<hyper::Error>);

impl Server {
    pub fn new(authority: &http::uri::Authority) -> Self {
        let host = authority.host();
        Server {
            name: authority.as_str().into(),
            // The brackets of an IPv6 address belong to the URL, not to the address.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The connection that was used last and still stands.
    pub async fn idle(self: &Arc<Self>) -> Option<Connection> {
        loop {
            let mut kept = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()?;
            if kept.sender.is_closed() || kept.since.elapsed() > limits::UPSTREAM_IDLE {
                continue;
            }
            // The end of the last answer may still be on its way through the connection's task.
            let ready = tokio::time::timeout(limits::UPSTREAM_SETTLE, kept.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(Connection {
                    server: Arc::clone(self),
                    sender: Some(kept.sender),
                    task: kept.task,
                    reused: true,
                });
            }
        }
    }

    /// Opens a connection.
    pub async fn connect(self: &Arc<Self>, within: Duration) -> Result<Connection, Failure> {
        let opening = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = match tokio::time::timeout(within, opening).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let detail = format!("{}: {error}", self.name);
                return Err(Failure::new(FailureKind::Unreachable, detail));
            }
            Err(_) => {
                let detail = format!("{} accepted no connection within {within:?}", self.name);
                return Err(Failure::new(FailureKind::ConnectTimeout, detail));
            }
        };
        let handshake = http1::Builder::new()
            .max_headers(limits::MESSAGE_HEADER_LINES_MAX)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|error| {
            Failure::new(FailureKind::Unreachable, format!("{}: {error}", self.name))
        })?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever waits for an answer on it is told by `send`.
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        Ok(Connection {
            server: Arc::clone(self),
            sender: Some(sender),
            task: task.abort_handle(),
            reused: false,
        })
    }

    fn keep(&self, sender: SendRequest<RequestBody>, task: AbortHandle) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest stand first; the newest are taken first.
        let stale = idle
            .iter()
            .take_while(|kept| kept.since.elapsed() > limits::UPSTREAM_IDLE)
            .count();
        idle.drain(..stale);
        if idle.len() < limits::UPSTREAM_IDLE_CONNECTIONS_MAX {
            idle.push(Idle {
                sender,
                task,
                since: Instant::now(),
            });
        }
    }
}

impl Connection {
    /// Sends a request and waits for the head of its answer.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unsent> {
        let copy = self.copy(&request);
        let Some(sender) = &mut self.sender else {
            return Err((Some(request), None));
        };
        match sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                // A server may close a kept connection at the very moment that it is used. What is
                // idempotent and has no body may then be sent again (RFC 9110, section 9.2.2).
                let again = unsent.or_else(|| copy.filter(|_| was_closed(&error)));
                Err((again, Some(error)))
            }
        }
    }

    /// A copy of a request that may be sent twice.
    fn copy(&self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        let repeatable =
            self.reused && request.method().is_idempotent() && request.body().is_end_stream();
        repeatable.then(|| {
            let mut copy = Request::new(request.body().empty_again());
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            copy.headers_mut().clone_from(request.headers());
            copy
        })
    }

    fn give_back(mut self) {
        if let Some(sender) = self.sender.take()
            && !sender.is_closed()
        {
            self.server.keep(sender, self.task.clone());
        }
    }
}

/// Whether the peer closed a connection before it answered, in one of the ways in which that shows.
fn was_closed(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    if error.is_incomplete_message() || error.is_canceled() {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
            );
        }
        cause = error.source();
    }
    false
}

/// The body of an answer. Its end gives the connection back; its loss closes it.
pub struct ResponseBody {
    incoming: Incoming,
    connection: Option<Connection>,
    upload: Arc<Upload>,
    total: Pin<Box<Sleep>>,
}

impl ResponseBody {
    pub fn new(
        incoming: Incoming,
        connection: Connection,
        upload: Arc<Upload>,
        total: Pin<Box<Sleep>>,
    ) -> Self {
        let mut body = ResponseBody {
            incoming,
            connection: Some(connection),
            upload,
            total,
        };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
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
        let until = self
            .total
            .deadline()
            .min(tokio::time::Instant::now() + limits::UPLOAD_LINGER);
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
            match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // A client that takes little at a time must not outlive the bound either.
                    if self.total.is_elapsed()
                        || self.total.deadline() <= tokio::time::Instant::now()
                    {
                        return Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())));
                    }
                    match frame.into_data() {
                        Ok(data) => {
                            if self.incoming.is_end_stream() {
                                self.end();
                            }
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Err(_trailers) => continue,
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.connection = None;
                    // Where the upload ended the connection, the server is not to blame.
                    let error = match self.upload.cause() {
                        Some(cause) => cause.clone().into(),
                        None => std::io::Error::other(error),
                    };
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    std::task::ready!(self.total.as_mut().poll(context));
                    self.connection = None;
                    return Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
