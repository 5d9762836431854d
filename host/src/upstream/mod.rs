//! Upstreams: which server, which connection, and how long to wait. The only code that knows hyper's
//! client.

mod balance;
mod connection;
mod deadline;
mod driver;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::error::{Failure, FailureKind};
use crate::http::body::{RequestBody, Upload};
use crate::http::fields;
use crate::limits;
use balance::Rotation;
use connection::{Connection, Server};
use deadline::Deadline;

pub use connection::{ResponseBody, keep_connections_as};

/// How long each step of an exchange may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    pub first_byte: Duration,
    pub total: Duration,
}

/// Servers that answer alike.
pub struct Upstream {
    pub name: Arc<str>,
    servers: Vec<Arc<Server>>,
    rotation: Rotation,
    timeouts: Timeouts,
}

/// An upstream's answer, and who gave it.
pub struct Answer {
    pub response: Response<ResponseBody>,
    pub server: Arc<str>,
}

impl Upstream {
    /// Servers are given with their weights; there is at least one.
    pub fn new(
        name: Arc<str>,
        servers: impl IntoIterator<Item = (http::uri::Authority, u32)>,
        timeouts: Timeouts,
        workers: usize,
    ) -> Self {
        let (servers, weights): (Vec<_>, Vec<_>) = servers
            .into_iter()
            .map(|(authority, weight)| (Arc::new(Server::new(&authority, workers)), weight))
            .unzip();
        Upstream {
            name,
            rotation: Rotation::new(&weights),
            servers,
            timeouts,
        }
    }

    /// Sends a request and waits for the head of the answer. The body of the answer is held to what
    /// is left of the total time.
    ///
    /// # Errors
    /// Whatever keeps an answer from coming. A server that accepts no connection is passed over for
    /// the next one: nothing was sent, so that is safe for every request.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        upload: &Arc<Upload>,
    ) -> Result<Answer, Failure> {
        let now = Instant::now();
        let first_byte = now + self.timeouts.first_byte;
        let mut deadline = Deadline::new(now + self.timeouts.total, first_byte);
        let first = self.rotation.next();
        let mut last_failure = None;
        for attempt in 0..self.servers.len() {
            let server = &self.servers[(first + attempt) % self.servers.len()];
            match self.send_to(server, request, upload, &mut deadline).await {
                Ok(response) => {
                    return Ok(Answer {
                        response: response.map(|(incoming, connection)| {
                            ResponseBody::new(incoming, connection, Arc::clone(upload), deadline)
                        }),
                        server: Arc::clone(&server.name),
                    });
                }
                Err((Some(unsent), failure)) => {
                    request = unsent;
                    last_failure = Some(failure);
                }
                Err((None, failure)) => return Err(failure),
            }
        }
        Err(last_failure
            .unwrap_or_else(|| Failure::new(FailureKind::Unreachable, "the upstream is empty")))
    }

    /// One server. A failure hands the request back if nothing of it was sent.
    async fn send_to(
        &self,
        server: &Arc<Server>,
        mut request: Request<RequestBody>,
        upload: &Upload,
        deadline: &mut Deadline,
    ) -> Result<Response<(Incoming, Connection)>, Unanswered> {
        if !request.headers().contains_key(HOST)
            && let Ok(name) = HeaderValue::try_from(&*server.name)
        {
            // A client of HTTP/1.0 may name no host; to HTTP/1.1 there must be one.
            request.headers_mut().insert(HOST, name);
        }
        let mut first_byte = deadline.first_step();
        loop {
            let mut connection = match server.reuse().await {
                Some(connection) => connection,
                None => {
                    let connecting = server.connect(self.timeouts.connect);
                    let connected = tokio::select! {
                        biased;
                        connected = connecting => connected,
                        () = std::future::poll_fn(|context| deadline.poll(context)) => {
                            let late = self.late(FailureKind::TotalTimeout, server, upload);
                            return Err((None, late));
                        }
                    };
                    first_byte = Instant::now() + self.timeouts.first_byte;
                    match connected {
                        Ok(connection) => connection,
                        Err(failure) => return Err((Some(request), failure)),
                    }
                }
            };
            let reused = connection.reused;
            let sent = self
                .answer(
                    connection.send(request),
                    server,
                    upload,
                    deadline,
                    first_byte,
                )
                .await
                .map_err(|failure| (None, failure))?;
            match sent {
                Ok(response) => {
                    return accept(response, connection, server).map_err(|failure| (None, failure));
                }
                // A kept connection that the server closed meanwhile: the next one, or a new one.
                Err((Some(unsent), _)) if reused => {
                    request = unsent;
                    first_byte = Instant::now() + self.timeouts.first_byte;
                }
                Err((unsent, error)) => {
                    return Err((unsent, broken(error.as_ref(), server, upload)));
                }
            }
        }
    }

    /// Waits for the head of an answer, within both time-outs.
    async fn answer<T>(
        &self,
        sending: impl Future<Output = T>,
        server: &Server,
        upload: &Upload,
        deadline: &mut Deadline,
        mut limit: Instant,
    ) -> Result<T, Failure> {
        tokio::pin!(sending);
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return Ok(sent),
                () = std::future::poll_fn(|context| deadline.poll_step(context, limit)) => {}
            }
            if deadline.is_over() {
                return Err(self.late(FailureKind::TotalTimeout, server, upload));
            }
            // A long upload is not the upstream's silence: the time counts from its last data, and not at
            // all while the client's next is awaited.
            let from = if upload.is_waiting() {
                Instant::now()
            } else {
                upload.last()
            };
            limit = from + self.timeouts.first_byte;
            if limit <= Instant::now() {
                return Err(self.late(FailureKind::FirstByteTimeout, server, upload));
            }
        }
    }

    fn late(&self, kind: FailureKind, server: &Server, upload: &Upload) -> Failure {
        if upload.stalled.load(Ordering::Relaxed) || upload.is_waiting() {
            return Failure::new(FailureKind::ClientStalled, "the upload stalled");
        }
        let bound = match kind {
            FailureKind::TotalTimeout => self.timeouts.total,
            _ => self.timeouts.first_byte,
        };
        Failure::new(
            kind,
            format!("{} gave no answer within {bound:?}", server.name),
        )
    }
}

/// A failure, with the request if nothing of it was sent.
type Unanswered = (Option<Request<RequestBody>>, Failure);

/// Checks an answer's head.
fn accept(
    response: Response<Incoming>,
    connection: Connection,
    server: &Server,
) -> Result<Response<(Incoming, Connection)>, Failure> {
    let bad = |text: String| Failure::new(FailureKind::BadGateway, text);
    if response.status().is_informational() {
        return Err(bad(format!(
            "{} switched protocols without being asked to",
            server.name
        )));
    }
    if !fields::plain_framing(response.headers()) {
        return Err(bad(format!(
            "{} sent a transfer coding that is not `chunked`",
            server.name
        )));
    }
    if fields::bytes(response.headers()) > limits::MESSAGE_HEADER_BYTES_MAX {
        return Err(bad(format!(
            "{} sent more than {} bytes of headers",
            server.name,
            limits::MESSAGE_HEADER_BYTES_MAX
        )));
    }
    Ok(response.map(|incoming| (incoming, connection)))
}

/// Why a connection ended without an answer: the upload's fault, or the server's. A plugin may have
/// failed of the upload.
fn broken(error: Option<&hyper::Error>, server: &Server, upload: &Upload) -> Failure {
    if let Some(failure) = Failure::of_upload(upload) {
        return failure;
    }
    let mut detail = server.name.to_string();
    let mut cause = error.map(|error| error as &dyn std::error::Error);
    while let Some(error) = cause {
        detail.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Failure::new(FailureKind::BadGateway, detail)
}
