//! The contract's `bodies`: whole bodies, for plugins that were granted them.

use bytes::Bytes;
use http::StatusCode;
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::super::bindings::tollgate::plugin::bodies::{self, BodyError};
use super::super::reads::Source;
use super::super::state::{
    MissedBody, RequestEditsHandle, RequestHandle, ResponseEditsHandle, ResponseHandle, State,
};
use super::NO_WAITING;
use crate::http::body::{Content, Incomplete};
use crate::http::inflate::{Inflated, Inflater};
use crate::http::representation::{self, codings};
use crate::limits;
use crate::shown::quoted;

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
        self.depends_on(Source::Body);
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
        representation::replace_request(&mut self.edit_request()?.headers);
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
        representation::replace_response(&mut response.headers);
        let exchange = self.exchange_mut()?;
        let body = Content::whole(body.into());
        let before = std::mem::replace(&mut exchange.response_body, body);
        self.before.response_body.get_or_insert(before);
        Ok(Ok(()))
    }
}

fn incomplete(error: Incomplete, max: usize) -> BodyError {
    match error {
        Incomplete::TooLarge => BodyError::TooLarge(max as u64),
        Incomplete::Broken(text) => BodyError::Failed(text),
        Incomplete::Late => BodyError::Failed("it did not come in time".to_owned()),
    }
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
            let Some(mut inflater) = Inflater::new(coding) else {
                return Ok(Err(BodyError::Failed(format!(
                    "its content-encoding {} is not gzip or deflate",
                    quoted(coding)
                ))));
            };
            inflater.push(decoded);
            inflater.end();
            decoded = match self.inflate(inflater, max).await? {
                Ok(bytes) => bytes.into(),
                Err(error) => return Ok(Err(error)),
            };
        }
        Ok(Ok(decoded.to_vec()))
    }

    async fn inflate(
        &mut self,
        mut inflater: Inflater,
        max: usize,
    ) -> Result<std::result::Result<Vec<u8>, BodyError>> {
        let mut decoded = Vec::new();
        loop {
            match inflater.step(&mut decoded) {
                Err(text) => return Ok(Err(BodyError::Failed(text))),
                Ok(_) if decoded.len() > max => return Ok(Err(BodyError::TooLarge(max as u64))),
                Ok(Inflated::Ended) => return Ok(Ok(decoded)),
                Ok(Inflated::Full) => decoded.reserve(limits::STREAM_PIECE_BYTES_MAX),
                // All that there is was given to it.
                Ok(Inflated::Some | Inflated::Starved) => {}
            }
            self.judge()?;
            self.cpu.waits();
            tokio::task::consume_budget().await;
            self.cpu.goes_on();
        }
    }
}
