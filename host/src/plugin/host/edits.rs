//! What guests may call: the host's side of every interface that the contract lets them import.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::http as wit;
use super::reads::Source;
use super::state::{Phase, State};
use crate::http::exchange::{Exchange, RequestHead, ResponseHead};
use crate::http::facts::{Fact, Facts};
use crate::http::fields::{self, Side};
use crate::limits;

pub(super) type Edit = Result<Result<(), String>>;

/// What a plugin is told that may not wait.
pub(super) const NO_WAITING: &str = "as many calls of plugins wait for peers as may";

/// What an edit is counted as: it looks at all of a message's headers, and may be of any size up to
/// their bound.
pub(super) const EDIT_BYTES: usize = 4 << 10;

impl State {
    /// The message of the call in progress. Handles exist only during one, so its absence is a bug
    /// in the host, which must not become a panic in the gateway.
    pub(in crate::plugin) fn exchange(&self) -> Result<&Exchange> {
        match &self.exchange {
            Some(exchange) => Ok(exchange),
            None => bail!("there is no message outside of a call"),
        }
    }

    pub(super) fn exchange_mut(&mut self) -> Result<&mut Exchange> {
        match &mut self.exchange {
            Some(exchange) => Ok(exchange),
            None => bail!("there is no message outside of a call"),
        }
    }

    pub(super) fn response(&self) -> Result<&ResponseHead> {
        match &self.exchange()?.response {
            Some(response) => Ok(response),
            None => bail!("there is no response on the way in"),
        }
    }

    /// The request, for an edit: remembers what it was, should the call fault.
    pub(super) fn edit_request(&mut self) -> Result<&mut RequestHead> {
        let Some(exchange) = &mut self.exchange else {
            bail!("there is no message outside of a call");
        };
        self.before.request(&exchange.request);
        Ok(&mut exchange.request)
    }

    /// The response, for an edit: remembers what it was, should the call fault.
    pub(super) fn edit_response(&mut self) -> Result<&mut ResponseHead> {
        let Some(response) = self.exchange.as_mut().and_then(|e| e.response.as_mut()) else {
            bail!("there is no response on the way in");
        };
        self.before.response(response);
        Ok(response)
    }

    /// The fields of a message, for an edit of one of them.
    pub(super) fn edit_field(&mut self, side: Side, name: &HeaderName) -> Result<&mut HeaderMap> {
        let Some(exchange) = &mut self.exchange else {
            bail!("there is no message outside of a call");
        };
        if side == Side::Request {
            self.before.request_field(exchange, name);
            return Ok(&mut exchange.request.headers);
        }
        let Some(response) = &mut exchange.response else {
            bail!("there is no response on the way in");
        };
        self.before.response_field(response, name);
        Ok(&mut response.headers)
    }

    /// After an edit of a request's field, removes what its client sent that a server may take for it: else
    /// the client would say it in the plugin's place. What plugins wrote stays, under any name.
    pub(super) fn remove_shadows(&mut self, side: Side, name: HeaderName) -> Result<()> {
        if side == Side::Response {
            return Ok(());
        }
        let exchange = self.exchange_mut()?;
        let headers = &exchange.request.headers;
        let mut shadows = fields::shadows(headers, &name);
        shadows.retain(|shadow| !exchange.written.contains(shadow));
        match headers.contains_key(&name) {
            true if exchange.written.contains(&name) => {}
            true => exchange.written.push(name),
            false => exchange.written.retain(|written| *written != name),
        }
        for shadow in shadows {
            self.edit_field(side, &shadow)?.remove(shadow);
        }
        Ok(())
    }

    pub(super) fn set_field(&mut self, side: Side, name: &str, value: &[u8]) -> Edit {
        self.works(EDIT_BYTES + name.len() + value.len())?;
        let (name, value) = match field(side, name, value) {
            Ok(field) => field,
            Err(text) => return Ok(Err(text)),
        };
        let headers = self.edit_field(side, &name)?;
        let replaced: usize = headers
            .get_all(&name)
            .iter()
            .map(|old| name.as_str().len() + old.len())
            .sum();
        let room = fields::room_for_edit(headers, replaced, name.as_str().len() + value.len());
        if let Err(text) = room {
            return Ok(Err(text));
        }
        headers.insert(name.clone(), value);
        self.remove_shadows(side, name)?;
        Ok(Ok(()))
    }

    pub(super) fn append_field(&mut self, side: Side, name: &str, value: &[u8]) -> Edit {
        self.works(EDIT_BYTES + name.len() + value.len())?;
        let (name, value) = match field(side, name, value) {
            Ok(field) => field,
            Err(text) => return Ok(Err(text)),
        };
        let headers = self.edit_field(side, &name)?;
        let room = fields::room_for_edit(headers, 0, name.as_str().len() + value.len());
        if let Err(text) = room {
            return Ok(Err(text));
        }
        headers.append(name.clone(), value);
        self.remove_shadows(side, name)?;
        Ok(Ok(()))
    }

    pub(super) fn remove_field(&mut self, side: Side, name: &str) -> Edit {
        self.works(EDIT_BYTES + name.len())?;
        let name = match fields::editable(side, name) {
            Ok(name) => name,
            Err(text) => return Ok(Err(text)),
        };
        self.edit_field(side, &name)?.remove(&name);
        self.remove_shadows(side, name)?;
        Ok(Ok(()))
    }

    /// Counts what a host call does against the call's processor time. Every one begins with it, with
    /// the bytes that the guest handed over: they were copied before it could be refused.
    pub(in crate::plugin) fn works(&mut self, bytes: usize) -> Result<()> {
        match self.cpu.host_works(bytes) {
            Ok(()) => Ok(()),
            Err(_) => Err(wasmtime::Trap::Interrupt.into()),
        }
    }

    /// What may be asked of the request of the call in progress.
    pub(super) fn facts(&self) -> Result<Facts<'_>> {
        Ok(Facts::of(self.exchange()?))
    }

    /// Notes a getter that the call used, where its decision may be remembered.
    pub(super) fn looks_at(&mut self, fact: impl FnOnce() -> Fact) {
        if let Some(reads) = &mut self.reads {
            reads.note(fact());
        }
    }

    /// Notes that what the call answers depends on more than the request shows.
    pub(super) fn depends_on(&mut self, source: Source) {
        if let Some(reads) = &mut self.reads {
            reads.depends_on(source);
        }
    }

    /// Judges the call's processor time now.
    pub(super) fn judge(&mut self) -> Result<()> {
        match self.cpu.judge() {
            Ok(()) => Ok(()),
            Err(_) => Err(wasmtime::Trap::Interrupt.into()),
        }
    }

    /// Leave to wait for a peer, for a bounded time: only a part of the instances may, so that some are
    /// left for calls that do not.
    pub(super) async fn may_wait(&mut self) -> Option<OwnedSemaphorePermit> {
        let waiting = Arc::clone(&self.granted.waiting);
        if let Ok(permit) = Arc::clone(&waiting).try_acquire_owned() {
            return Some(permit);
        }
        self.cpu.waits();
        let permit = tokio::time::timeout(limits::INSTANCE_WAIT, waiting.acquire_owned()).await;
        self.cpu.goes_on();
        permit.ok()?.ok()
    }

    /// Refuses what must not be frozen into a snapshot.
    pub(in crate::plugin) fn only_in_calls(&self, import: &str) -> Result<()> {
        if self.phase != Phase::Call {
            bail!(
                "`{import}` was called during `{}`: its answer would be frozen into the snapshot; \
                 call it in a hook, or set `snapshot = false` for this plugin",
                self.phase.name()
            );
        }
        Ok(())
    }
}

pub(super) fn first(headers: &http::HeaderMap, name: &str) -> Option<Vec<u8>> {
    headers.get(name).map(|value| value.as_bytes().to_vec())
}

pub(super) fn values(headers: &http::HeaderMap, name: &str) -> Vec<Vec<u8>> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().to_vec())
        .collect()
}

pub(super) fn names(headers: &http::HeaderMap) -> Vec<String> {
    headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect()
}

pub(super) fn lines(headers: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

pub(super) fn field(
    side: Side,
    name: &str,
    value: &[u8],
) -> Result<(HeaderName, HeaderValue), String> {
    let name = fields::editable(side, name)?;
    let value = fields::value(&name, value)?;
    Ok((name, value))
}

impl wit::Host for State {}
