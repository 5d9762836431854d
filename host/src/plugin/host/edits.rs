//! Edits of a message by a guest, and its fields in the form in which guests are told of them.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::http as wit;
use super::state::State;
use crate::http::exchange::{RequestHead, ResponseHead};
use crate::http::fields;
use crate::http::side::Side;
use crate::limits::plugin::EDIT_BYTES;

pub(super) type Edit = Result<Result<(), String>>;

impl State {
    /// The request, for an edit: remembers what it was, should the call fault.
    pub(super) fn edit_request(&mut self) -> Result<&mut RequestHead> {
        let Some(exchange) = &mut self.exchange else {
            bail!("there is no message outside of a call");
        };
        self.undo.request(&exchange.request);
        Ok(&mut exchange.request)
    }

    /// The response, for an edit: remembers what it was, should the call fault.
    pub(super) fn edit_response(&mut self) -> Result<&mut ResponseHead> {
        let Some(response) = self.exchange.as_mut().and_then(|e| e.response.as_mut()) else {
            bail!("there is no response on the way in");
        };
        self.undo.response(response);
        Ok(response)
    }

    /// The fields of a message, for an edit of one of them.
    pub(super) fn edit_field(&mut self, side: Side, name: &HeaderName) -> Result<&mut HeaderMap> {
        let Some(exchange) = &mut self.exchange else {
            bail!("there is no message outside of a call");
        };
        if side == Side::Request {
            self.undo.request_field(exchange, name);
            return Ok(&mut exchange.request.headers);
        }
        let Some(response) = &mut exchange.response else {
            bail!("there is no response on the way in");
        };
        self.undo.response_field(response, name);
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
