//! The contract's `bodies`: whole bodies, for plugins that were granted them.

use std::io::Write;

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue,
};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::super::bindings::tollgate::plugin::bodies::{self, BodyError};
use super::super::state::{
    MissedBody, RequestEditsHandle, RequestHandle, ResponseEditsHandle, ResponseHandle, State,
};
use super::NO_WAITING;
use crate::http::body::{Content, Incomplete};
use crate::limits;

/// Digests of a body that is no longer the one they were made of (RFC 9530, RFC 1864).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

impl State {
    /// What is held of a body for this plugin, in bytes. Without the grant the import is not linked.
    fn body_bytes_max(&self) -> Result<usize> {
        match self.granted.bodies {
            Some(bytes) => Ok(bytes),
            None => bail!("`bodies` is not granted to this plugin"),
        }
    }

    fn fits(&self, body: &[u8]) -> Result<std::result::Result<(), BodyError>> {
        let max = self.body_bytes_max()?;
        Ok(if body.len() > max {
            Err(BodyError::TooLarge(max as u64))
        } else {
            Ok(())
        })
    }
}

impl bodies::Host for State {
    async fn read_request(
        &mut self,
        _: Resource<RequestHandle>,
    ) -> Result<std::result::Result<Vec<u8>, BodyError>> {
        self.only_in_calls("bodies.read-request")?;
        self.spoil_reads();
        let max = self.body_bytes_max()?;
        if self.exchange()?.response.is_some() {
            let text = "the request's body is gone: it can be read on the way in";
            return Ok(Err(BodyError::Failed(text.to_owned())));
        }
        // Mostly it is here: what the gateway waits for, it waits for before the call.
        self.cpu.waits();
        let collected = self.exchange_mut()?.request_body.collect(max).await;
        self.cpu.goes_on();
        let came = collected.is_ok();
        let answer = match collected {
            Ok(body) => {
                let codings = codings(&self.exchange()?.request.headers);
                self.decode(codings, body, max).await?
            }
            Err(error) => Err(incomplete(error, max)),
        };
        self.missed = match &answer {
            Ok(_) => None,
            Err(BodyError::TooLarge(_)) => Some(MissedBody::TooLarge),
            Err(BodyError::Failed(_)) if came => Some(MissedBody::Encoding),
            Err(BodyError::Failed(_)) => Some(MissedBody::Broken),
        };
        self.works(answer.as_ref().map_or(0, Vec::len))?;
        Ok(answer)
    }

    fn replace_request(
        &mut self,
        _: Resource<RequestEditsHandle>,
        body: Vec<u8>,
    ) -> Result<std::result::Result<(), BodyError>> {
        self.works(body.len())?;
        if let Err(error) = self.fits(&body)? {
            return Ok(Err(error));
        }
        let headers = &mut self.edit_request()?.headers;
        headers.remove(CONTENT_ENCODING);
        for name in DIGESTS {
            headers.remove(name);
        }
        let before = self.exchange_mut()?.request_body.replace(body.into());
        self.before.request_body.get_or_insert(before);
        Ok(Ok(()))
    }

    async fn read_response(
        &mut self,
        _: Resource<ResponseHandle>,
    ) -> Result<std::result::Result<Vec<u8>, BodyError>> {
        self.only_in_calls("bodies.read-response")?;
        let max = self.body_bytes_max()?;
        self.response()?;
        let Some(_waiting) = self.may_wait().await else {
            return Ok(Err(BodyError::Failed(NO_WAITING.to_owned())));
        };
        self.cpu.waits();
        let collected = self.exchange_mut()?.response_body.collect(max).await;
        self.cpu.goes_on();
        let answer = match collected {
            Ok(body) => {
                let codings = codings(&self.response()?.headers);
                self.decode(codings, body, max).await?
            }
            Err(error) => Err(incomplete(error, max)),
        };
        self.works(answer.as_ref().map_or(0, Vec::len))?;
        Ok(answer)
    }

    fn replace_response(
        &mut self,
        _: Resource<ResponseEditsHandle>,
        body: Vec<u8>,
    ) -> Result<std::result::Result<(), BodyError>> {
        self.works(body.len())?;
        if let Err(error) = self.fits(&body)? {
            return Ok(Err(error));
        }
        let response = self.edit_response()?;
        if response.status == StatusCode::PARTIAL_CONTENT {
            // The plugin's body is a whole one, whatever part it was made from.
            response.status = StatusCode::OK;
        }
        let headers = &mut response.headers;
        for name in DIGESTS {
            headers.remove(name);
        }
        for name in [
            CONTENT_ENCODING,
            CONTENT_LENGTH,
            CONTENT_RANGE,
            ACCEPT_RANGES,
        ] {
            headers.remove(name);
        }
        weaken(headers);
        let exchange = self.exchange_mut()?;
        let body = Content::whole(body.into());
        let before = std::mem::replace(&mut exchange.response_body, body);
        self.before.response_body.get_or_insert(before);
        Ok(Ok(()))
    }
}

/// Another body is another representation: of a strong validator only the weak promise is left
/// (RFC 9110, section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else { return };
    if tag.as_bytes().starts_with(b"W/") {
        return;
    }
    let weak = [b"W/", tag.as_bytes()].concat();
    match HeaderValue::from_bytes(&weak) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_) => headers.remove(ETAG),
    };
}

fn incomplete(error: Incomplete, max: usize) -> BodyError {
    match error {
        Incomplete::TooLarge => BodyError::TooLarge(max as u64),
        Incomplete::Broken(text) => BodyError::Failed(text),
        Incomplete::Late => BodyError::Failed("it did not come in time".to_owned()),
    }
}

/// The content encodings that the headers name, in the order in which they were applied (RFC 9110,
/// section 8.4).
fn codings(headers: &HeaderMap) -> std::result::Result<Vec<String>, String> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = value
            .to_str()
            .map_err(|_| "its content-encoding is not text".to_owned())?;
        let named = text.split(',').map(str::trim);
        let named = named.filter(|coding| !coding.is_empty() && *coding != "identity");
        codings.extend(named.map(str::to_ascii_lowercase));
        if codings.len() > limits::CONTENT_CODINGS_MAX {
            return Err(format!(
                "it has more than {} content encodings",
                limits::CONTENT_CODINGS_MAX
            ));
        }
    }
    Ok(codings)
}

impl State {
    /// Undoes content encodings. What that costs depends on the body alone, whoever wrote it, so each
    /// piece is judged against the call's processor time, and others go in between.
    async fn decode(
        &mut self,
        codings: std::result::Result<Vec<String>, String>,
        body: Bytes,
        max: usize,
    ) -> Result<std::result::Result<Vec<u8>, BodyError>> {
        let codings = match codings {
            Ok(codings) => codings,
            Err(text) => return Ok(Err(BodyError::Failed(text))),
        };
        let mut decoded = body;
        for coding in codings.iter().rev() {
            if decoded.is_empty() {
                break;
            }
            let Some(mut inflater) = Inflater::new(coding, max) else {
                return Ok(Err(BodyError::Failed(format!(
                    "its content-encoding `{}` is not gzip or deflate",
                    coding.escape_debug()
                ))));
            };
            for piece in decoded.chunks(limits::INFLATE_PIECE_BYTES) {
                if let Err(error) = inflater.push(piece) {
                    return Ok(Err(error));
                }
                self.judge()?;
                self.cpu.waits();
                tokio::task::consume_budget().await;
                self.cpu.goes_on();
            }
            decoded = match inflater.finish() {
                Ok(bytes) => bytes.into(),
                Err(error) => return Ok(Err(error)),
            };
        }
        Ok(Ok(decoded.to_vec()))
    }
}

enum Inflater {
    Gzip(MultiGzDecoder<Bounded>),
    Zlib(ZlibDecoder<Bounded>),
}

impl Inflater {
    fn new(coding: &str, max: usize) -> Option<Inflater> {
        let sink = Bounded {
            bytes: Vec::new(),
            max,
        };
        match coding {
            "gzip" | "x-gzip" => Some(Inflater::Gzip(MultiGzDecoder::new(sink))),
            "deflate" => Some(Inflater::Zlib(ZlibDecoder::new(sink))),
            _ => None,
        }
    }

    fn push(&mut self, piece: &[u8]) -> std::result::Result<(), BodyError> {
        let (pushed, sink) = match self {
            Inflater::Gzip(decoder) => (decoder.write_all(piece), decoder.get_ref()),
            Inflater::Zlib(decoder) => (decoder.write_all(piece), decoder.get_ref()),
        };
        pushed.map_err(|error| sink.explain(&error))
    }

    fn finish(self) -> std::result::Result<Vec<u8>, BodyError> {
        let (finished, max) = match self {
            Inflater::Gzip(decoder) => {
                let max = decoder.get_ref().max;
                (decoder.finish(), max)
            }
            Inflater::Zlib(decoder) => {
                let max = decoder.get_ref().max;
                (decoder.finish(), max)
            }
        };
        let sink = finished.map_err(|error| BodyError::Failed(broken(&error)))?;
        if sink.is_full() {
            return Err(BodyError::TooLarge(max as u64));
        }
        Ok(sink.bytes)
    }
}

fn broken(error: &std::io::Error) -> String {
    format!("its content-encoding is broken: {error}")
}

/// Takes one byte more than it may, and no more.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl Bounded {
    fn is_full(&self) -> bool {
        self.bytes.len() > self.max
    }

    fn explain(&self, error: &std::io::Error) -> BodyError {
        if self.is_full() {
            return BodyError::TooLarge(self.max as u64);
        }
        BodyError::Failed(broken(error))
    }
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        if self.is_full() {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let room = self.max + 1 - self.bytes.len();
        let taken = data.len().min(room);
        self.bytes.extend_from_slice(&data[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
