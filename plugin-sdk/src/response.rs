use std::ops::Deref;

use crate::{BodyError, Error, Result};

#[cfg(target_family = "wasm")]
use crate::bindings::imports::tollgate::plugin::{bodies, http as backing};
#[cfg(not(target_family = "wasm"))]
use crate::testing::backing::{self, bodies};

/// A response on its way to the client.
#[repr(transparent)]
pub struct Response(backing::Response);

impl Response {
    pub(crate) fn wrap(handle: &backing::Response) -> &Self {
        // SAFETY: `Response` is `repr(transparent)` over the handle's type, so both references have
        // the same layout and the same lifetime.
        unsafe { &*std::ptr::from_ref(handle).cast::<Response>() }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// The first value of this header.
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.0.header(name)
    }

    /// The first value of this header, if it is there and is UTF-8.
    pub fn header_text(&self, name: &str) -> Option<String> {
        String::from_utf8(self.header(name)?).ok()
    }

    /// All values of this header, in order.
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        self.0.header_values(name)
    }

    /// The names of all headers, each once, in lower case.
    pub fn header_names(&self) -> Vec<String> {
        self.0.header_names()
    }

    /// All header lines. More expensive than asking for the headers you need.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.0.headers()
    }

    /// Waits for the whole body, with its content encoding (gzip or deflate) undone. The operator grants it,
    /// up to a size: `grant = { bodies = "64KiB" }`. The wait counts against the call's elapsed time. A body
    /// that is only read goes on as it came.
    ///
    /// It is a whole body and not a part of one: for a plugin that may read response bodies, the gateway
    /// removes `Range` and `If-Range` from requests when they enter its entry, and asks the upstream for
    /// `accept-encoding: identity`.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn read_body(&self) -> Result<Vec<u8>, BodyError> {
        Ok(bodies::read_response(&self.0)?)
    }
}

/// A [`Response`] that can be edited, under the rules of [`EditableRequest`](crate::EditableRequest)
/// (except that `host` is a header like any other).
pub struct EditableResponse<'a> {
    response: &'a Response,
    edits: &'a backing::ResponseEdits,
}

impl Deref for EditableResponse<'_> {
    type Target = Response;

    fn deref(&self) -> &Response {
        self.response
    }
}

impl<'a> EditableResponse<'a> {
    pub(crate) fn new(response: &'a Response, edits: &'a backing::ResponseEdits) -> Self {
        EditableResponse { response, edits }
    }

    /// Sets the status code.
    ///
    /// # Errors
    /// If it is not between 200 and 599.
    pub fn set_status(&mut self, status: u16) -> Result<()> {
        self.edits.set_status(status).map_err(Error::from)
    }

    /// Replaces all values of this header by one.
    ///
    /// # Errors
    /// See [`EditableRequest`](crate::EditableRequest).
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.edits
            .set_header(name, value.as_ref())
            .map_err(Error::from)
    }

    /// Adds a value after those that are there.
    ///
    /// # Errors
    /// See [`EditableRequest`](crate::EditableRequest).
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.edits
            .append_header(name, value.as_ref())
            .map_err(Error::from)
    }

    /// Removes all values of this header; fine if there are none.
    ///
    /// # Errors
    /// See [`EditableRequest`](crate::EditableRequest).
    pub fn remove_header(&mut self, name: &str) -> Result<()> {
        self.edits.remove_header(name).map_err(Error::from)
    }

    /// Replaces the body. The gateway sets the length and removes what was true of the old body alone:
    /// `content-encoding` (the new body is sent without one), `content-range`, `accept-ranges`, and digests
    /// (`content-md5`, `digest`, `content-digest`, `repr-digest`). A strong `ETag` becomes a weak one, and a
    /// 206 becomes a 200. `content-type` stays: set it if the new body is of another type. Granted as
    /// [`read_body`](Response::read_body) is.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn replace_body(&mut self, body: impl AsRef<[u8]>) -> Result<(), BodyError> {
        Ok(bodies::replace_response(self.edits, body.as_ref())?)
    }
}
