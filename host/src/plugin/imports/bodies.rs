//! The contract's `bodies`: whole bodies, for plugins that were granted them.

use std::io::Read;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue,
};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::super::bindings::tollgate::plugin::bodies::{self, BodyError};
use super::super::state::{
    MissedBody, RequestEditsHandle, RequestHandle, ResponseEditsHandle, ResponseHandle, State,
};
use crate::http::body::{Content, Incomplete};

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
        self.cpu.waits();
        let exchange = self.exchange_mut()?;
        let collected = exchange.request_body.collect(max).await;
        let answer = match collected {
            Ok(body) => decode(&exchange.request.headers, &body, max),
            Err(Incomplete::TooLarge) => Err(BodyError::TooLarge(max as u64)),
            Err(Incomplete::Broken(text)) => Err(BodyError::Failed(text)),
        };
        self.cpu.goes_on();
        self.missed = match &answer {
            Ok(_) => None,
            Err(BodyError::TooLarge(_)) => Some(MissedBody::RequestTooLarge),
            Err(BodyError::Failed(_)) => Some(MissedBody::RequestBroken),
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
        self.cpu.waits();
        let exchange = self.exchange_mut()?;
        let collected = exchange.response_body.collect(max).await;
        let answer = match (collected, &exchange.response) {
            (Ok(body), Some(response)) => decode(&response.headers, &body, max),
            (Ok(body), None) => Ok(body.to_vec()),
            (Err(Incomplete::TooLarge), _) => Err(BodyError::TooLarge(max as u64)),
            (Err(Incomplete::Broken(text)), _) => Err(BodyError::Failed(text)),
        };
        self.cpu.goes_on();
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
        let headers = &mut self.edit_response()?.headers;
        for name in DIGESTS {
            headers.remove(name);
        }
        for name in [CONTENT_ENCODING, CONTENT_LENGTH, ACCEPT_RANGES] {
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

/// Undoes the content encodings that the headers name, the last one first (RFC 9110, section 8.4).
fn decode(
    headers: &HeaderMap,
    body: &Bytes,
    max: usize,
) -> std::result::Result<Vec<u8>, BodyError> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = value
            .to_str()
            .map_err(|_| BodyError::Failed("its content-encoding is not text".to_owned()))?;
        codings.extend(
            text.split(',')
                .map(|coding| coding.trim().to_ascii_lowercase()),
        );
    }
    let mut decoded = body.to_vec();
    for coding in codings.iter().rev() {
        decoded = match coding.as_str() {
            "" | "identity" => decoded,
            _ if decoded.is_empty() => decoded,
            "gzip" | "x-gzip" => inflate(flate2::read::MultiGzDecoder::new(&decoded[..]), max)?,
            "deflate" => inflate(flate2::read::ZlibDecoder::new(&decoded[..]), max)?,
            other => {
                return Err(BodyError::Failed(format!(
                    "its content-encoding `{}` is not gzip or deflate",
                    other.escape_debug()
                )));
            }
        };
    }
    Ok(decoded)
}

fn inflate(decoder: impl Read, max: usize) -> std::result::Result<Vec<u8>, BodyError> {
    let mut decoded = Vec::new();
    let bound = (max as u64).saturating_add(1);
    decoder
        .take(bound)
        .read_to_end(&mut decoded)
        .map_err(|error| BodyError::Failed(format!("its content-encoding is broken: {error}")))?;
    if decoded.len() > max {
        return Err(BodyError::TooLarge(max as u64));
    }
    Ok(decoded)
}
