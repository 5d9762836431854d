//! Upstreams: which server, which connection, and how long to wait. The only code that knows hyper's
//! client.

mod balance;
mod body;
mod connection;
mod deadline;
mod driver;
mod framing;
mod open;
mod request;
mod server;
mod servers;
mod socket;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::error::{Failure, FailureKind};
use crate::http::body::Upload;
use crate::http::fields;
use crate::limits;
use balance::Rotation;
use connection::{Connection, Lost};
use deadline::Deadline;
use framing::Framing;
use server::Server;

pub use body::ResponseBody;
pub use request::OutgoingRequest;
pub use server::keep_connections_as;
pub use servers::Servers;

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
pub struct Received {
    pub response: Response<ResponseBody>,
    pub server: Arc<str>,
    /// From when the request was given to the connection, with what there was of its body, to the head of
    /// the response.
    pub first_byte: Duration,
}

/// The head of a response, and the connection that the rest of it comes on.
struct Answered {
    response: Response<Incoming>,
    connection: Connection,
    first_byte: Duration,
}

impl Upstream {
    /// Servers are given with their weights; there is at least one. Those that are known keep their connections.
    pub fn new(
        name: Arc<str>,
        servers: impl IntoIterator<Item = (http::uri::Authority, u32)>,
        timeouts: Timeouts,
        known: &Servers,
    ) -> Self {
        let (servers, weights): (Vec<_>, Vec<_>) = servers
            .into_iter()
            .map(|(authority, weight)| (known.get(&name, authority), weight))
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
    pub async fn send(&self, mut request: OutgoingRequest<'_>) -> Result<Received, Failure> {
        let upload = &Arc::clone(request.body.upload());
        let now = Instant::now();
        let first_byte = now + self.timeouts.first_byte;
        let mut deadline = Deadline::new(now + self.timeouts.total, first_byte);
        let first = self.rotation.next();
        let mut last_failure = None;
        let mut repeated = false;
        for attempt in 0..self.servers.len() {
            let server = &self.servers[(first + attempt) % self.servers.len()];
            let sent = self
                .send_to(server, &mut request, upload, &mut deadline, &mut repeated)
                .await;
            match sent {
                Ok(answered) => {
                    let Answered {
                        response,
                        connection,
                        first_byte,
                    } = answered;
                    return Ok(Received {
                        response: response.map(|incoming| {
                            ResponseBody::new(incoming, connection, Arc::clone(upload), deadline)
                        }),
                        server: Arc::clone(&server.name),
                        first_byte,
                    });
                }
                Err(Unanswered::NotSent(failure)) => last_failure = Some(failure),
                Err(Unanswered::Lost(failure)) => return Err(failure),
            }
        }
        Err(last_failure
            .unwrap_or_else(|| Failure::new(FailureKind::Unreachable, "the upstream is empty")))
    }

    /// One server. `repeated` tells whether the request may have been received already: then it is sent only
    /// once more, on a new connection.
    async fn send_to(
        &self,
        server: &Arc<Server>,
        request: &mut OutgoingRequest<'_>,
        upload: &Upload,
        deadline: &mut Deadline,
        repeated: &mut bool,
    ) -> Result<Answered, Unanswered> {
        // Over a kept connection there is no step before it.
        let mut limit = deadline.first_step();
        loop {
            let kept = if *repeated {
                None
            } else {
                Connection::reuse(server)
            };
            let mut connection = match kept {
                Some(connection) => connection,
                None => match self.connect(server, upload, deadline).await {
                    Ok(connection) => {
                        limit = Instant::now() + self.timeouts.first_byte;
                        connection
                    }
                    Err(unanswered) => return Err(unanswered),
                },
            };
            let reused = connection.reused;
            let given = Instant::now();
            let sending = connection.send(request.take(&server.name));
            let sent = self.answer(sending, server, upload, deadline, limit).await;
            let lost = match sent.map_err(Unanswered::Lost)? {
                Ok(response) => {
                    let first_byte = given.max(upload.last()).elapsed();
                    return accept(request.method, response, connection, server, first_byte)
                        .map_err(Unanswered::Lost);
                }
                Err(lost) => lost,
            };
            match lost {
                Lost::Unsent(unsent, error) => {
                    if let Some(unsent) = unsent {
                        request.give_back(*unsent);
                    }
                    if !reused {
                        let failure = broken(error.as_ref(), server, upload);
                        return Err(Unanswered::NotSent(failure));
                    }
                    // A kept connection that the server closed meanwhile: the next one, or a new one.
                    limit = Instant::now() + self.timeouts.first_byte;
                }
                Lost::Repeatable(_) => *repeated = true,
                Lost::Gone(error) => {
                    return Err(Unanswered::Lost(broken(error.as_ref(), server, upload)));
                }
            }
        }
    }

    /// Opens a connection within both time-outs.
    async fn connect(
        &self,
        server: &Arc<Server>,
        upload: &Upload,
        deadline: &mut Deadline,
    ) -> Result<Connection, Unanswered> {
        let connecting = Connection::open(server, self.timeouts.connect);
        tokio::select! {
            biased;
            connected = connecting => connected.map_err(Unanswered::NotSent),
            () = std::future::poll_fn(|context| deadline.poll(context)) => {
                Err(Unanswered::Lost(self.late(FailureKind::TotalTimeout, server, upload)))
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

/// What came of an attempt that got no response.
enum Unanswered {
    /// Nothing of the request was sent: another server may be asked.
    NotSent(Failure),
    Lost(Failure),
}

/// Checks a response's head, and makes its framing one that every reader understands alike.
fn accept(
    method: &Method,
    mut response: Response<Incoming>,
    mut connection: Connection,
    server: &Server,
    first_byte: Duration,
) -> Result<Answered, Failure> {
    let bad = |text: &dyn std::fmt::Display| {
        let text = format!("the response of {} was refused: {text}", server.name);
        Failure::new(FailureKind::BadGateway, text)
    };
    connection.check_interim().map_err(|error| bad(&error))?;
    if response.status().is_informational() {
        return Err(bad(&"it switches protocols without being asked to"));
    }
    let framing = Framing::of(
        method,
        response.version(),
        response.status(),
        response.headers(),
    )
    .map_err(|reason| bad(&format_args!("it has {reason}")))?;
    if fields::bytes(response.headers()) > limits::message::MESSAGE_HEADER_BYTES_MAX {
        return Err(bad(&format_args!(
            "it has more than {} bytes of headers",
            limits::message::MESSAGE_HEADER_BYTES_MAX
        )));
    }
    match framing.length {
        Some(length) => drop(response.headers_mut().insert(CONTENT_LENGTH, length.into())),
        None => drop(response.headers_mut().remove(CONTENT_LENGTH)),
    }
    connection.reuse = framing.reuse;
    Ok(Answered {
        response,
        connection,
        first_byte,
    })
}

/// Why a connection ended without an answer: the upload's fault, or the server's. A plugin may have
/// failed of the upload.
fn broken(error: Option<&hyper::Error>, server: &Server, upload: &Upload) -> Failure {
    if let Some(failure) = Failure::of_upload(upload) {
        return failure;
    }
    let mut detail = server.name.to_string();
    if let Some(error) = error {
        detail.push_str(&format!(": {}", with_causes(error)));
    }
    if error.is_some_and(hyper::Error::is_parse_too_large) {
        detail.push_str(&format!(
            " (at most {} lines, and {} bytes, of headers)",
            limits::message::MESSAGE_HEADER_LINES_MAX,
            limits::message::MESSAGE_HEADER_BYTES_MAX
        ));
    }
    if error.is_none() {
        detail.push_str(": sent what answers no request, or closed");
    }
    Failure::new(FailureKind::BadGateway, detail)
}

/// An error, and what caused it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
