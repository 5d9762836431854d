//! Connections to one server: opened, kept, and given back when an answer's body has ended.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::deadline::Deadline;
use super::driver::Driver;
use crate::error::{Failure, FailureKind};
use crate::http::body::{RequestBody, Upload};
use crate::limits;

/// One server, and the connections to it that wait for work.
pub struct Server {
    /// Host and port.
    pub name: Arc<str>,
    host: String,
    port: u16,
    /// By the worker whose reactor they belong to.
    idle: Box<[Mutex<Vec<Idle>>]>,
}

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// Tells this thread which of the workers it is, so that it keeps connections of its own.
pub fn keep_connections_as(worker: usize) {
    WORKER.set(worker);
}

struct Idle {
    open: Open,
    since: Instant,
}

/// A connection that has not ended, as far as that has been heard.
struct Open {
    sender: SendRequest<RequestBody>,
    driver: Driver,
}

impl Open {
    /// Comes to rest; false if its server has ended it.
    fn rests(&mut self) -> bool {
        self.driver.rest();
        !self.sender.is_closed()
    }

    async fn is_ready(&mut self) -> bool {
        match self.driver {
            Driver::Here(_) => self.sender.is_ready(),
            // The end of the last answer may still be on its way through the connection's task.
            Driver::Task(_) => {
                let ready = self.sender.ready();
                let ready = tokio::time::timeout(limits::UPSTREAM_SETTLE, ready).await;
                matches!(ready, Ok(Ok(())))
            }
        }
    }
}

/// A connection in use. Dropped before its answer has ended, it closes.
pub struct Connection {
    server: Arc<Server>,
    /// Gone once given back.
    open: Option<Open>,
    /// Whether it carried a request before, so that the server may be closing it right now.
    pub reused: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropping the sender alone would leave an unfinished upload to a server that takes none.
        if let Some(Driver::Task(task)) = self.open.as_ref().map(|open| &open.driver) {
            task.abort();
        }
    }
}

/// The request, if nothing of it was sent, and why.
type Unsent = (Option<Request<RequestBody>>, Option<hyper::Error>);

impl Server {
    pub fn new(authority: &http::uri::Authority, workers: usize) -> Self {
        let host = authority.host();
        Server {
            name: authority.as_str().into(),
            // The brackets of an IPv6 address belong to the URL, not to the address.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            idle: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The connections of this thread that wait for work.
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        let own = &self.idle[WORKER.get() % self.idle.len()];
        own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last and still stands.
    pub async fn reuse(self: &Arc<Self>) -> Option<Connection> {
        loop {
            let mut kept = self.idle().pop()?;
            if kept.since.elapsed() <= limits::UPSTREAM_IDLE
                && (!kept.open.driver.was_disturbed() || kept.open.rests())
                && kept.open.is_ready().await
            {
                return Some(Connection {
                    server: Arc::clone(self),
                    open: Some(kept.open),
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
        Ok(Connection {
            server: Arc::clone(self),
            open: Some(Open {
                sender,
                driver: Driver::here(connection, Arc::downgrade(self)),
            }),
            reused: false,
        })
    }

    /// Drops the connections that their server has ended.
    pub fn drop_ended(&self) {
        self.idle().retain_mut(|kept| kept.open.rests());
    }

    fn keep(&self, mut open: Open) {
        if !open.rests() {
            return;
        }
        let mut idle = self.idle();
        // The oldest stand first; the newest are taken first.
        let stale = idle
            .iter()
            .take_while(|kept| kept.since.elapsed() > limits::UPSTREAM_IDLE)
            .count();
        idle.drain(..stale);
        if idle.len() < limits::UPSTREAM_IDLE_CONNECTIONS_MAX.div_ceil(self.idle.len()) {
            idle.push(Idle {
                open,
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
        let Some(Open { sender, driver }) = &mut self.open else {
            return Err((Some(request), None));
        };
        if !request.body().is_end_stream() {
            driver.spawn();
        }
        driver.begin();
        let mut sending = std::pin::pin!(sender.try_send_request(request));
        let sent = std::future::poll_fn(|context| {
            driver.poll(context, |context| sending.as_mut().poll(context))
        });
        match sent.await {
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
        if let Some(open) = self.open.take() {
            self.server.keep(open);
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
        match self.connection.as_mut().and_then(|c| c.open.as_mut()) {
            Some(open) => open.driver.poll(context, poll),
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
        let linger = tokio::time::Instant::now() + limits::UPLOAD_LINGER;
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
                        Err(_trailers) => continue,
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
                        None => std::io::Error::other(error),
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
