//! Bodies that go through plugins, piece by piece, on their way to their readers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{IF_RANGE, RANGE};
use http::{Method, StatusCode};
use http_body::{Body, Frame};

use super::{Entry, log_fault};
use crate::error::{Failure, FailureKind};
use crate::http::body::{BoxBody, Content, Upload};
use crate::http::cause::Cause;
use crate::http::exchange::Exchange;
use crate::http::inflate::{Inflated, Inflater};
use crate::http::pieces::Pieces;
use crate::http::representation;
use crate::http::side::Side;
use crate::limits;
use crate::observe::{EntryMetrics, StreamGauge};
use crate::plugin::{Fault, FaultKind, Policy, Stream, Streaming, Visit, Visited};
use crate::quote::quoted;

/// A body that its plugin wants to go through it.
pub(super) struct Opened {
    side: Side,
    streaming: Streaming,
    inflater: Option<Inflater>,
}

/// Removes the range from a request before it enters: a plugin that may read responses must see whole bodies,
/// since a part may not show all that it looks for.
pub(super) fn ask_for_whole(entry: &Entry, exchange: &mut Exchange) {
    if entry.policy.reads_responses() {
        exchange.request.headers.remove(RANGE);
        exchange.request.headers.remove(IF_RANGE);
    }
}

/// Whether a request has a body that can go through this entry.
pub(super) fn takes_request(entry: &Entry, exchange: &Exchange) -> bool {
    entry.policy.hooks.request_stream && !exchange.request_body.is_end_stream()
}

/// Whether a response has a body, or a head that describes one, that can go through an entry.
pub(super) fn takes_response(exchange: &Exchange) -> bool {
    let response = exchange.response.as_ref();
    response.is_some_and(|response| !representation::is_bodiless(response.status))
}

/// Weakens the validator of a 304: the body that it stands for may go through the entry whenever it is sent.
pub(super) fn alter_not_modified(exchange: &mut Exchange) {
    if let Some(response) = &mut exchange.response
        && response.status == StatusCode::NOT_MODIFIED
    {
        representation::alter(&mut response.headers);
    }
}

/// Asks the plugin whether the request's body goes through it.
pub(super) async fn open_request(visit: &mut Visit<'_>) -> Result<Option<Opened>, Fault> {
    let Some(streaming) = visit.open(Side::Request).await? else {
        return Ok(None);
    };
    let inflater = inflater(&visit.exchange().request.headers).map_err(|text| {
        visit.undo();
        Fault::new(FaultKind::BodyEncoding, text)
    })?;
    let side = Side::Request;
    Ok(Some(Opened {
        side,
        streaming,
        inflater,
    }))
}

/// Asks the plugin whether the response's body goes through it. An answer to HEAD only gets the head that a
/// GET would get.
pub(super) async fn open_response(visit: &mut Visit<'_>) -> Result<Option<Opened>, Fault> {
    let unreadable = |text: &str| Fault::new(FaultKind::Unreadable, text);
    let response = &visit.exchange().response;
    if response.as_ref().map(|head| head.status) == Some(StatusCode::PARTIAL_CONTENT) {
        let text = "the response is a part (206) that nobody asked for: it cannot be told whole";
        return Err(unreadable(text));
    }
    let Some(streaming) = visit.open(Side::Response).await? else {
        return Ok(None);
    };
    let exchange = visit.exchange();
    let Some(response) = &mut exchange.response else {
        return Ok(None);
    };
    if exchange.request.method == Method::HEAD {
        representation::replace_response(&mut response.headers);
        // A body that we made has a length, which is not the length that a GET would get.
        exchange.response_body = Content::default();
        return Ok(None);
    }
    let inflater = decodable(&response.headers, &mut exchange.response_body).await;
    let inflater = inflater.map_err(|text| {
        visit.undo();
        unreadable(&text)
    })?;
    let side = Side::Response;
    Ok(Some(Opened {
        side,
        streaming,
        inflater,
    }))
}

/// Returns the inflater for the content encoding of a response, if it has one, after trying it on the body.
async fn decodable(
    headers: &http::HeaderMap,
    body: &mut Content,
) -> Result<Option<Inflater>, String> {
    if let Some(trial) = inflater(headers)? {
        begins(trial, body).await?;
    }
    inflater(headers)
}

/// Checks that a body can be decoded from its beginning: once its head is on its way to the client, it is too
/// late to refuse it. Reads until the first decoded bytes come out.
async fn begins(mut trial: Inflater, body: &mut Content) -> Result<(), String> {
    let mut decoded = Vec::with_capacity(limits::message::DECODED_TRIAL_BYTES_MAX);
    let mut tried = 0;
    while decoded.is_empty() && tried < limits::message::CODED_TRIAL_BYTES_MAX {
        let read = body.read_beyond(tried).await;
        let (mut read, whole) = read.map_err(|error| format!("the body broke off: {error}"))?;
        read.truncate(limits::message::CODED_TRIAL_BYTES_MAX);
        trial.push(read.slice(tried.min(read.len())..));
        tried = read.len();
        loop {
            match trial.step(&mut decoded)? {
                Inflated::Some => {}
                Inflated::Starved if whole && tried < limits::message::CODED_TRIAL_BYTES_MAX => {
                    trial.end()
                }
                Inflated::Starved => break,
                Inflated::Full | Inflated::Ended => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Returns the inflater for the content encoding, if there is one.
fn inflater(headers: &http::HeaderMap) -> Result<Option<Inflater>, String> {
    match representation::codings(headers)?.as_slice() {
        [] => Ok(None),
        [coding] => match Inflater::new(coding) {
            Some(inflater) => Ok(Some(inflater)),
            None => Err(format!(
                "the body's content-encoding {} is not gzip or deflate",
                quoted(coding)
            )),
        },
        _ => Err("the body has more than one content-encoding".to_owned()),
    }
}

/// Ends the visit, and replaces the message's body by one that goes through the plugin.
pub(super) fn go_through(entry: &Entry, visit: Visit<'_>, opened: Opened) -> Visited {
    let Opened {
        side,
        streaming,
        inflater,
    } = opened;
    let (mut visited, stream) = visit.end_open(side, &entry.policy, streaming);
    let exchange = &mut visited.exchange;
    let teller = Teller {
        side,
        policy: Arc::clone(&entry.policy),
        metrics: Arc::clone(&entry.metrics),
        route: Arc::clone(&exchange.route),
        request: Arc::clone(&exchange.id),
        upload: (side == Side::Request).then(|| Arc::clone(exchange.request_body.upload())),
        _open: entry.metrics.open_stream(),
    };
    let through = |body: BoxBody| -> BoxBody {
        Box::pin(Streamed(Progress::Rests(Box::new(Through {
            pieces: Pieces::of(body),
            coded: inflater.map(|inflater| Coded {
                inflater,
                last: false,
            }),
            stream,
            teller,
        }))))
    };
    match side {
        Side::Request => {
            representation::replace_request(&mut exchange.request.headers);
            exchange
                .request_body
                .go_through(|body| through(Box::pin(body)));
        }
        Side::Response => {
            if let Some(response) = &mut exchange.response {
                representation::replace_response(&mut response.headers);
            }
            let body = std::mem::take(&mut exchange.response_body);
            exchange.response_body = Content::stream(through(Box::pin(body)));
        }
    }
    visited
}

/// A body that comes out of a plugin. It reads and calls nothing until its reader polls it; dropping it
/// cancels a call under way.
struct Streamed(Progress);

enum Progress {
    Rests(Box<Through>),
    Works(Pin<Box<dyn Future<Output = Given> + Send>>),
    Over,
}

/// The state to go on with, if any, and the next output.
type Given = (Option<Box<Through>>, Option<io::Result<Bytes>>);

/// The stages that a body goes through.
struct Through {
    pieces: Pieces,
    coded: Option<Coded>,
    stream: Stream,
    teller: Teller,
}

/// The content encoding to undo first.
struct Coded {
    inflater: Inflater,
    /// Whether the inflater has all of the body.
    last: bool,
}

/// Counts and logs a stream's calls.
struct Teller {
    side: Side,
    policy: Arc<Policy>,
    metrics: Arc<EntryMetrics>,
    route: Arc<str>,
    request: Arc<str>,
    upload: Option<Arc<Upload>>,
    _open: StreamGauge,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.0, Progress::Over) {
                Progress::Rests(through) => self.0 = Progress::Works(Box::pin(through.next())),
                Progress::Works(mut work) => {
                    let polled = work.as_mut().poll(context);
                    if polled.is_pending() {
                        self.0 = Progress::Works(work);
                    }
                    let (through, given) = ready!(polled);
                    if let Some(through) = through {
                        self.0 = Progress::Rests(through);
                    }
                    return Poll::Ready(given.map(|data| data.map(Frame::data)));
                }
                Progress::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Progress::Over)
    }
}

impl Through {
    /// Hands pieces to the plugin until it gives output.
    async fn next(mut self: Box<Self>) -> Given {
        loop {
            // A plugin without output, over a source that is always ready, must not keep the thread.
            tokio::task::consume_budget().await;
            let (piece, last) = match self.piece().await {
                Ok(piece) => piece,
                Err(error) => return (None, Some(Err(error))),
            };
            let started = Instant::now();
            let called = self.stream.call(&piece, last).await;
            let elapsed = started.elapsed();
            let data = match called {
                Ok(data) => {
                    self.teller.tell(elapsed, None);
                    data
                }
                Err(fault) => return (None, Some(Err(self.teller.fail(elapsed, &fault)))),
            };
            match (last, data.is_empty()) {
                (true, true) => return (None, None),
                (true, false) => return (None, Some(Ok(data))),
                (false, true) => {}
                (false, false) => return (Some(self), Some(Ok(data))),
            }
        }
    }

    /// Returns the next piece as the plugin sees it, and whether it is the last.
    async fn piece(&mut self) -> io::Result<(Bytes, bool)> {
        let Some(coded) = &mut self.coded else {
            return self.pieces.next().await;
        };
        let mut decoded = Vec::with_capacity(limits::plugin::STREAM_PIECE_BYTES_MAX);
        loop {
            let inflated = match self.stream.inflate(&mut coded.inflater, &mut decoded).await {
                Ok(Ok(inflated)) => inflated,
                Ok(Err(text)) => return Err(self.teller.broken(text)),
                Err(fault) => return Err(self.teller.fail(Duration::ZERO, &fault)),
            };
            match inflated {
                Inflated::Ended => return Ok((decoded.into(), true)),
                // Do not hold decoded data back for more.
                Inflated::Full => return Ok((decoded.into(), false)),
                Inflated::Starved if !decoded.is_empty() => return Ok((decoded.into(), false)),
                Inflated::Starved | Inflated::Some if coded.last => coded.inflater.end(),
                Inflated::Starved | Inflated::Some => {
                    let (piece, last) = self.pieces.next().await?;
                    coded.last = last;
                    coded.inflater.push(piece);
                }
            }
        }
    }
}

impl Teller {
    fn tell(&self, elapsed: Duration, fault: Option<FaultKind>) {
        self.metrics.count(self.side, elapsed.as_secs_f64(), fault);
    }

    /// Ends the body for a fault in the middle. What was passed on cannot be taken back, so whatever the
    /// entry's `on-fault` says, the body ends here and must not look whole.
    fn fail(&self, elapsed: Duration, fault: &Fault) -> io::Error {
        self.tell(elapsed, Some(fault.kind));
        let identity = &self.policy.identity;
        log_fault(identity, &self.route, &self.request, fault);
        let detail = format!("{}: {}: {}", identity.policy, fault.kind, fault.summary);
        self.end(Failure::new(FailureKind::Plugin, detail))
    }

    /// Ends the body for its broken content encoding.
    fn broken(&self, text: String) -> io::Error {
        self.end(match self.side {
            Side::Request => {
                let kind = "the request's content-encoding cannot be undone";
                Failure::new(FailureKind::BadRequest(kind), text)
            }
            Side::Response => Failure::new(FailureKind::BadGateway, text),
        })
    }

    fn end(&self, failure: Failure) -> io::Error {
        let cause = Cause::new(failure);
        if let Some(upload) = &self.upload {
            upload.end_for(cause.clone());
        }
        cause.into()
    }
}
