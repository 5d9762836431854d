//! One client's connection: served by hyper, answered also where that cannot read a head, closed in stages.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, DATE, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::door::{Door, OpenConnection};
use super::stall::StallGuard;
use super::turns::{TurnBody, Turns};
use super::wire::Wire;
use super::{body, linger};
use crate::http::peer::Peer;
use crate::limits;
use crate::pace::Barren;
use crate::proxy::{self, BadHead};

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: io::Result<TcpStream>,
    address: SocketAddr,
    door: Door,
    mut drained: watch::Receiver<bool>,
    _open: OpenConnection,
) {
    let Ok(stream) = stream else { return };
    let _ = stream.set_nodelay(true);
    let listener = Arc::clone(door.current.get().gateway.listener(door.number));
    let (peer, barren) = (Peer::plain(address.ip()), Barren::new());
    let least_pace = listener.least_pace;
    let turns = Arc::new(Turns::default());
    let guarded = StallGuard::new(stream, least_pace);
    let wire = Wire::new(guarded, &turns, &barren, listener.half_closed);
    let service = {
        let (door, barren, turns) = (door.clone(), Arc::clone(&barren), Arc::clone(&turns));
        service_fn(move |request: Request<Incoming>| {
            let turn = turns.begin(request.version());
            barren.bore();
            // Each request of a connection finds what is current when it begins.
            let assembly = door.current.get();
            let (barren, number) = (Arc::clone(&barren), door.number);
            // hyper moves the future of a service about; this one is large.
            Box::pin(async move {
                if barren.had_trailers() {
                    return Err(AfterTrailers);
                }
                let gateway = &assembly.gateway;
                let listener = gateway.listener(number);
                let request = request.map(|body| body::of_client(body, &barren, least_pace));
                let mut response = proxy::handle(gateway, listener, &peer, request).await;
                if barren.had_trailers() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok(response.map(|body| TurnBody { body, _turn: turn }))
            })
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::client::CLIENT_HEAD)
        .max_headers(limits::message::MESSAGE_HEADER_LINES_MAX)
        .max_buf_size(limits::client::CLIENT_BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(wire), service);
    let mut stops = false;
    let ended = tokio::select! {
        biased;
        _ = drained.changed() => {
            stops = true;
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
        ended = &mut connection => ended,
    };
    let parts = connection.into_parts();
    let ended = Ended {
        wire: parts.io.into_inner(),
        unread: parts.read_buf,
        result: ended,
        stops,
        looks_whole: turns.ends_look_whole(),
        barren,
    };
    // Not in the future of every connection for all its life.
    Box::pin(ended.close(&door, &peer)).await;
}

/// The error of a request behind a body with trailers (see [`Barren::note_trailers`]): its answer might be taken
/// for that to another.
#[derive(Debug)]
struct AfterTrailers;

impl std::fmt::Display for AfterTrailers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a request came behind a body with trailers")
    }
}

impl std::error::Error for AfterTrailers {}

/// A connection that hyper has done with.
struct Ended {
    wire: Wire,
    /// What hyper has read and not used.
    unread: Bytes,
    result: hyper::Result<()>,
    /// Whether the process stops.
    stops: bool,
    /// Whether the client would take an answer that is cut off for a whole one.
    looks_whole: bool,
    barren: Arc<Barren>,
}

impl Ended {
    async fn close(self, door: &Door, peer: &Peer) {
        if let Err(error) = &self.result {
            tracing::debug!(%error, peer = %peer.address, "a client's connection ended");
            let detail = error.to_string();
            if let Some(bad) = self.bad_head(error) {
                return self.refuse(bad, &detail, door, peer).await;
            }
        }
        // One that has nothing to tell is not waited for by a process that stops.
        let rests = self.stops && self.unread.is_empty() && self.barren.has_body_ended();
        let cut_by_us = self.result.as_ref().is_err_and(hyper::Error::is_user);
        if cut_by_us && self.looks_whole {
            let _ = self.wire.into_inner().set_zero_linger();
        } else if self.result.is_ok() && !rests && !self.wire.has_ended() {
            let bytes_max = if self.barren.is_body_malformed() {
                limits::client::LINGER_MALFORMED_BYTES_MAX
            } else {
                limits::client::LINGER_BYTES_MAX
            };
            linger::close(self.wire.into_inner(), bytes_max).await;
        }
    }

    /// What is wrong with the head that ended the connection, if one did and it can be answered.
    fn bad_head(&self, error: &hyper::Error) -> Option<BadHead> {
        if !self.wire.is_at_rest() {
            return None;
        }
        let mut seen = self.wire.seen().iter().chain(self.unread.iter());
        let has_begun = seen.any(|byte| !matches!(byte, b'\r' | b'\n'));
        match self.wire.refused() {
            Some(414) => Some(BadHead::LongTarget),
            // hyper says the same of a head and of a length, and takes the head only of the second.
            Some(431) if self.is_left_large() => Some(BadHead::TooLarge),
            Some(431) => Some(BadHead::LargeLength),
            // hyper tells this apart in words alone.
            Some(_) | None if error.is_parse() && error.to_string().contains("URI") => {
                Some(BadHead::Target)
            }
            Some(_) => Some(BadHead::Malformed),
            None if error.is_parse() => Some(BadHead::Malformed),
            None if error.is_timeout() && has_begun => Some(BadHead::Late),
            None if error.is_incomplete_message() && has_begun => Some(BadHead::BrokenOff),
            None => None,
        }
    }

    /// Whether what hyper left unread is beyond the bounds of a head.
    fn is_left_large(&self) -> bool {
        let feeds = self.unread.iter().filter(|byte| **byte == b'\n');
        self.unread.len() >= limits::message::MESSAGE_HEADER_BYTES_MAX
            || feeds.count() > limits::message::MESSAGE_HEADER_LINES_MAX
    }

    /// Answers a head that could not be read.
    async fn refuse(self, bad: BadHead, detail: &str, door: &Door, peer: &Peer) {
        let seen = match self.wire.seen() {
            [] => &self.unread[..self.unread.len().min(limits::client::HEAD_SEEN_BYTES_MAX)],
            seen => seen,
        };
        let refusal = {
            let gateway = &door.current.get().gateway;
            let listener = gateway.listener(door.number);
            proxy::refuse_head(gateway, listener, peer, bad, seen, detail)
        };
        let has_ended = self.wire.has_ended();
        let mut stream = self.wire.into_guarded();
        let written = write(&mut stream, &refusal.response).await;
        refusal.end(written.is_ok());
        if written.is_ok() && !has_ended {
            linger::close(
                stream.into_inner(),
                limits::client::LINGER_MALFORMED_BYTES_MAX,
            )
            .await;
        }
    }
}

/// Writes an answer after which the connection is closed.
async fn write(stream: &mut StallGuard, response: &Response<Bytes>) -> io::Result<()> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    let date = HeaderValue::try_from(httpdate::fmt_http_date(std::time::SystemTime::now()));
    let close = HeaderValue::from_static("close");
    let own = [(CONNECTION, Some(close)), (DATE, date.ok())];
    let own = own
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    for (name, value) in response.headers().iter().chain(own) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(response.body());
    stream.write_all(&bytes).await
}
