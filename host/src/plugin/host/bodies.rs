//! The contract's `bodies`: whole bodies, for plugins that were granted them.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::bodies::{self, BodyError};
use super::reads::Dependence;
use super::state::NO_WAITING;
use super::state::{
    MissedBody, RequestEditsHandle, RequestHandle, ResponseEditsHandle, ResponseHandle, State,
};
use crate::http::body::{Content, Incomplete};
use crate::http::inflate::{Inflated, Inflater};
use crate::http::representation::{self, codings};
use crate::limits;
use crate::quote::quoted;

impl State {
    /// What is held of a body for this plugin, in bytes. Without the grant the import is not linked.
    fn body_bytes_max(&self) -> Result<usize> {
        match self.grants.bodies {
            Some(bytes) => Ok(bytes),
            None => bail!("`bodies` is not granted to this plugin"),
        }
    }

    /// Holds a body that the plugin puts in the place of a message's, if it may be as large and there is room.
    fn hold(&mut self, body: Vec<u8>) -> Result<std::result::Result<Bytes, BodyError>> {
        self.works(body.len())?;
        let max = self.body_bytes_max()?;
        if body.len() > max {
            return Ok(Err(BodyError::TooLarge(max as u64)));
        }
        let held = self.grants.held_bodies.keep(body);
        if held.is_none() {
            self.missed = Some(MissedBody::NoRoom);
        }
        Ok(held.ok_or_else(|| Unread::NoRoom.told(0)))
    }
}

impl bodies::Host for State {
    async fn read_request(
        &mut self,
        _: Resource<RequestHandle>,
    ) -> Result<std::result::Result<Vec<u8>, BodyError>> {
        self.only_in_calls("bodies.read-request")?;
        self.depends_on(Dependence::Body);
        let max = self.body_bytes_max()?;
        if self.exchange()?.response.is_some() {
            let text = "the request's body is gone: it can be read on the way in";
            return Ok(Err(BodyError::Failed(text.to_owned())));
        }
        // Mostly it is here: what the gateway waits for, it waits for before the call.
        self.cpu.waits();
        let all = Arc::clone(&self.grants.held_bodies);
        let collected = self.exchange_mut()?.request_body.collect(max, &all).await;
        self.cpu.goes_on();
        let answer = match collected {
            Ok(body) => {
                let codings = codings(&self.exchange()?.request.headers);
                self.decode(codings, body, max).await?
            }
            Err(error) => Err(error.into()),
        };
        self.missed = match &answer {
            Ok(_) => None,
            Err(Unread::TooLarge) => Some(MissedBody::TooLarge),
            Err(Unread::Encoding(_)) => Some(MissedBody::Encoding),
            Err(Unread::Broken(_)) => Some(MissedBody::Broken),
            Err(Unread::NoRoom) => Some(MissedBody::NoRoom),
        };
        self.works(answer.as_ref().map_or(0, Vec::len))?;
        Ok(answer.map_err(|unread| unread.told(max)))
    }

    fn replace_request(
        &mut self,
        _: Resource<RequestEditsHandle>,
        body: Vec<u8>,
    ) -> Result<std::result::Result<(), BodyError>> {
        let body = match self.hold(body)? {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        representation::replace_request(&mut self.edit_request()?.headers);
        let before = self.exchange_mut()?.request_body.replace(body);
        self.undo.request_body.get_or_insert(before);
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
        let all = Arc::clone(&self.grants.held_bodies);
        let collected = self.exchange_mut()?.response_body.collect(max, &all).await;
        self.cpu.goes_on();
        let answer = match collected {
            Ok(body) => {
                let codings = codings(&self.response()?.headers);
                self.decode(codings, body, max).await?
            }
            Err(error) => Err(error.into()),
        };
        if let Err(Unread::NoRoom) = answer {
            self.missed = Some(MissedBody::NoRoom);
        }
        self.works(answer.as_ref().map_or(0, Vec::len))?;
        Ok(answer.map_err(|unread| unread.told(max)))
    }

    fn replace_response(
        &mut self,
        _: Resource<ResponseEditsHandle>,
        body: Vec<u8>,
    ) -> Result<std::result::Result<(), BodyError>> {
        let body = match self.hold(body)? {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let response = self.edit_response()?;
        if response.status == StatusCode::PARTIAL_CONTENT {
            // The plugin's body is a whole one, whatever part it was made from.
            response.status = StatusCode::OK;
        }
        representation::replace_response(&mut response.headers);
        let exchange = self.exchange_mut()?;
        let body = Content::whole(body);
        let before = std::mem::replace(&mut exchange.response_body, body);
        self.undo.response_body.get_or_insert(before);
        Ok(Ok(()))
    }
}

/// Why a plugin does not get a body.
enum Unread {
    TooLarge,
    Broken(String),
    /// It is not in the encoding that it says, or in one that is not undone.
    Encoding(String),
    NoRoom,
}

impl Unread {
    fn told(self, max: usize) -> BodyError {
        match self {
            Unread::TooLarge => BodyError::TooLarge(max as u64),
            Unread::Broken(text) | Unread::Encoding(text) => BodyError::Failed(text),
            Unread::NoRoom => {
                BodyError::Failed("the gateway holds as many bodies as it may".to_owned())
            }
        }
    }
}

impl From<Incomplete> for Unread {
    fn from(error: Incomplete) -> Self {
        match error {
            Incomplete::TooLarge => Unread::TooLarge,
            Incomplete::Broken(text) => Unread::Broken(text),
            Incomplete::Late => Unread::Broken("it did not come in time".to_owned()),
            Incomplete::NoRoom => Unread::NoRoom,
        }
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
    ) -> Result<std::result::Result<Vec<u8>, Unread>> {
        let codings = match codings {
            Ok(codings) => codings,
            Err(text) => return Ok(Err(Unread::Encoding(text))),
        };
        let mut decoded = body;
        for coding in codings.iter().rev() {
            if decoded.is_empty() {
                break;
            }
            let Some(mut inflater) = Inflater::new(coding) else {
                return Ok(Err(Unread::Encoding(format!(
                    "its content-encoding {} is not gzip or deflate",
                    quoted(coding)
                ))));
            };
            inflater.push(decoded);
            inflater.end();
            decoded = match self.inflate(inflater, max).await? {
                Ok(bytes) => bytes,
                Err(error) => return Ok(Err(error)),
            };
        }
        Ok(Ok(decoded.to_vec()))
    }

    async fn inflate(
        &mut self,
        mut inflater: Inflater,
        max: usize,
    ) -> Result<std::result::Result<Bytes, Unread>> {
        let mut decoded = Vec::new();
        let mut held = self.grants.held_bodies.begin();
        loop {
            match inflater.step(&mut decoded) {
                Err(text) => return Ok(Err(Unread::Encoding(text))),
                Ok(_) if decoded.len() > max => return Ok(Err(Unread::TooLarge)),
                Ok(Inflated::Ended) => return Ok(Ok(held.around(decoded.into()))),
                Ok(Inflated::Full) => decoded.reserve(limits::plugin::STREAM_PIECE_BYTES_MAX),
                // All that there is was given to it.
                Ok(Inflated::Some | Inflated::Starved) => {}
            }
            if !held.grow_to(decoded.capacity()) {
                return Ok(Err(Unread::NoRoom));
            }
            self.judge()?;
            self.cpu.waits();
            tokio::task::consume_budget().await;
            self.cpu.goes_on();
        }
    }
}
