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
use tokio::time::Sleep;

use crate::error::{Failure, FailureKind};
use crate::http::body::RequestBody;
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
    since: Instant,
}

/// A connection in use. Dropped before its answer has ended, it closes.
pub struct Connection {
    server: Arc<Server>,
    sender: SendRequest<RequestBody>,
    /// Whether it carried a request before, so that the server may be closing it right now.
    pub reused: bool,
    idle_for: Duration,
}

/// The request, if nothing of it was sent, and why.
type Unsent = (Option<Request<RequestBody>>, hyper::Error);

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
            let idle_for = kept.since.elapsed();
            if kept.sender.is_closed() || idle_for > limits::UPSTREAM_IDLE {
                continue;
            }
            // The end of the last answer may still be on its way through the connection's task.
            let ready = tokio::time::timeout(limits::UPSTREAM_SETTLE, kept.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(Connection {
                    server: Arc::clone(self),
                    sender: kept.sender,
                    reused: true,
                    idle_for,
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
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever waits for an answer on it is told by `send`.
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        Ok(Connection {
            server: Arc::clone(self),
            sender,
            reused: false,
            idle_for: Duration::ZERO,
        })
    }

    fn keep(&self, sender: SendRequest<RequestBody>) {
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
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                // A server may close a kept connection at the very moment that it is used. What is
                // idempotent and has no body may then be sent again (RFC 9110, section 9.2.2).
                let again = unsent.or_else(|| copy.filter(|_| error.is_incomplete_message()));
                Err((again, error))
            }
        }
    }

    /// A copy of a request that may be sent twice. Only after a pause: in the middle of traffic a
    /// server does not close a connection for being idle, and the copy would be paid by every
    /// request.
    fn copy(&self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        let repeatable = self.reused
            && self.idle_for > limits::UPSTREAM_PAUSE
            && request.method().is_idempotent()
            && request.body().is_end_stream();
        repeatable.then(|| {
            let mut copy = Request::new(request.body().empty_again());
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            copy.headers_mut().clone_from(request.headers());
            copy
        })
    }
}

/// The body of an answer. Its end gives the connection back; its loss closes it.
pub struct ResponseBody {
    incoming: Incoming,
    connection: Option<Connection>,
    total: Pin<Box<Sleep>>,
}

impl ResponseBody {
    pub fn new(incoming: Incoming, connection: Connection, total: Pin<Box<Sleep>>) -> Self {
        let mut body = ResponseBody {
            incoming,
            connection: Some(connection),
            total,
        };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some(Connection { server, sender, .. }) = self.connection.take()
            && !sender.is_closed()
        {
            server.keep(sender);
        }
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
                                self.give_back();
                            }
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Err(_trailers) => continue,
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.connection = None;
                    return Poll::Ready(Some(Err(std::io::Error::other(error))));
                }
                Poll::Ready(None) => {
                    self.give_back();
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
