use std::ops::Deref;

use crate::{BodyError, Error, Result};

#[cfg(target_family = "wasm")]
use crate::bindings::imports::tollgate::plugin::{bodies, http as backing};
#[cfg(not(target_family = "wasm"))]
use crate::testing::backing::{self, bodies};

/// A request on its way to the upstream.
///
/// Everything is read from the gateway when it is asked for, so a plugin pays only for what it
/// reads. Header names are case-insensitive. Header values are bytes: HTTP allows more than ASCII.
#[repr(transparent)]
pub struct Request(backing::Request);

impl Request {
    pub(crate) fn wrap(handle: &backing::Request) -> &Self {
        // SAFETY: `Request` is `repr(transparent)` over the handle's type, so both references have
        // the same layout and the same lifetime.
        unsafe { &*std::ptr::from_ref(handle).cast::<Request>() }
    }

    /// The method, for example `GET`.
    pub fn method(&self) -> String {
        self.0.method()
    }

    /// `http` or `https`: how the client reached the gateway, or the trusted proxy before it.
    pub fn scheme(&self) -> String {
        self.0.scheme()
    }

    /// The host the client asked for, with the port if it named one.
    pub fn authority(&self) -> String {
        self.0.authority()
    }

    /// The path as it will be sent to the upstream, percent-encoded.
    pub fn path(&self) -> String {
        self.0.path()
    }

    /// What follows the `?`, without it. `None` if there is no `?`.
    pub fn query(&self) -> Option<String> {
        self.0.query()
    }

    /// The first value of this query parameter, decoded as a form's (`+` is a space).
    pub fn query_parameter(&self, name: &str) -> Option<String> {
        self.0.query_parameter(name)
    }

    /// The value of a parameter of the route's path template (`/pets/{id}`), decoded.
    pub fn path_parameter(&self, name: &str) -> Option<String> {
        self.0.path_parameter(name)
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

    /// All header lines. More expensive than asking for the headers you need, and a decision that called it
    /// is not [remembered](crate::Decision::remember): the request's identifier is among them.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.0.headers()
    }

    /// The client's IP address, for example `192.0.2.1` or `2001:db8::1`; `unknown` if a trusted proxy does
    /// not say it.
    pub fn client_address(&self) -> String {
        self.0.client_address()
    }

    /// The client's certificate in DER, if it showed one that the listener accepted.
    pub fn client_certificate(&self) -> Option<Vec<u8>> {
        self.0.client_certificate()
    }

    /// This request's identifier, as in the access log and in `x-request-id`. A decision that called it is
    /// not [remembered](crate::Decision::remember).
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// The name of the route in the gateway's configuration.
    pub fn route_name(&self) -> String {
        self.0.route_name()
    }

    /// A variable of the route or its API, from the gateway's configuration.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }

    /// Who an authorizer said the caller is.
    pub fn principal(&self) -> Option<String> {
        self.0.principal()
    }

    /// What an authorizer said usage is counted under.
    pub fn usage_key(&self) -> Option<String> {
        self.0.usage_key()
    }

    /// What an authorizer said of the caller.
    ///
    /// ```
    /// use tollgate_plugin::testing;
    ///
    /// let request = testing::request("GET", "/").claim("age", 7).build();
    /// assert_eq!(request.claim::<u32>("age"), Ok(Some(7)));
    /// assert_eq!(request.claim::<u32>("size"), Ok(None));
    /// assert!(request.claim::<String>("age").is_err());
    /// ```
    ///
    /// # Errors
    /// If the claim is there but is not a `T`.
    pub fn claim<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        match self.0.claim(name) {
            None => Ok(None),
            Some(json) => match serde_json::from_str(&json) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(format!("claim `{name}`: {error}").into()),
            },
        }
    }

    /// A claim as its JSON text.
    pub(crate) fn claim_json(&self, name: &str) -> Option<String> {
        self.0.claim(name).map(|json| json.trim().to_owned())
    }

    /// A note that the plugin of this name (in the gateway's configuration) wrote.
    pub fn attribute(&self, plugin: &str, name: &str) -> Option<String> {
        self.0.attribute(plugin, name)
    }

    /// A note that this very chain entry wrote, on the way in or on the way out.
    pub fn own_attribute(&self, name: &str) -> Option<String> {
        self.0.own_attribute(name)
    }

    /// Writes a note, readable by this entry and, under this plugin's name, by later ones.
    ///
    /// # Errors
    /// If all notes of the request together exceed the gateway's bound (64 KiB).
    pub fn set_attribute(&self, name: &str, value: &str) -> Result<()> {
        self.0.set_attribute(name, value).map_err(Error::from)
    }

    /// The whole body, with its content encoding (gzip or deflate) undone. The operator grants it, up to a
    /// size: `grant = { bodies = "64KiB" }`. The gateway waits for the body before it calls the plugin. Only
    /// on the way in: on the way out it is gone. A body that is only read goes on as it came.
    ///
    /// ```
    /// use tollgate_plugin::{BodyError, Reply};
    /// # use tollgate_plugin::{EditableRequest, Outcome, Result};
    ///
    /// # fn example(request: &mut EditableRequest<'_>) -> Result<Outcome> {
    /// let body = match request.read_body() {
    ///     Ok(body) => body,
    ///     Err(BodyError::TooLarge(_)) => {
    ///         return Ok(Outcome::Respond(Reply::problem(413, "the body is too large")));
    ///     }
    ///     Err(error) => return Err(error.into()),
    /// };
    /// request.replace_body(body.to_ascii_lowercase())?;
    /// # Ok(Outcome::Next)
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn read_body(&self) -> Result<Vec<u8>, BodyError> {
        Ok(bodies::read_request(&self.0)?)
    }
}

/// A [`Request`] that can be edited. Edits take effect at once, and are undone if the call faults.
///
/// An edit is refused, with a text that says why, if the name or value is not valid HTTP, if the field
/// belongs to the connection or the framing (such as `connection` or `content-length`), if it is `host` (see
/// [`set_authority`](EditableRequest::set_authority)), or if the headers would exceed the gateway's bounds
/// (128 KiB and 200 lines a message).
pub struct EditableRequest<'a> {
    request: &'a Request,
    edits: &'a backing::RequestEdits,
}

impl Deref for EditableRequest<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.request
    }
}

impl<'a> EditableRequest<'a> {
    pub(crate) fn new(request: &'a Request, edits: &'a backing::RequestEdits) -> Self {
        EditableRequest { request, edits }
    }

    /// Sets the method, for example `POST`. `CONNECT` is refused.
    ///
    /// # Errors
    /// If it is not a method's name.
    pub fn set_method(&mut self, method: &str) -> Result<()> {
        self.edits.set_method(method).map_err(Error::from)
    }

    /// Sets the path: absolute, percent-encoded, without a query.
    ///
    /// # Errors
    /// If it is no such path, or one that the gateway refuses from clients too, for example with dot
    /// segments.
    pub fn set_path(&mut self, path: &str) -> Result<()> {
        self.edits.set_path(path).map_err(Error::from)
    }

    /// Sets the query, without its `?`. `None` removes it.
    ///
    /// # Errors
    /// If it has characters that a query cannot have.
    pub fn set_query(&mut self, query: Option<&str>) -> Result<()> {
        self.edits.set_query(query).map_err(Error::from)
    }

    /// Sets the `Host` that the upstream is told.
    ///
    /// # Errors
    /// If it is not a host with an optional port.
    pub fn set_authority(&mut self, authority: &str) -> Result<()> {
        self.edits.set_authority(authority).map_err(Error::from)
    }

    /// Replaces all values of this header by one.
    ///
    /// # Errors
    /// See [`EditableRequest`].
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.edits
            .set_header(name, value.as_ref())
            .map_err(Error::from)
    }

    /// Adds a value after those that are there.
    ///
    /// # Errors
    /// See [`EditableRequest`].
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.edits
            .append_header(name, value.as_ref())
            .map_err(Error::from)
    }

    /// Removes all values of this header; fine if there are none.
    ///
    /// # Errors
    /// See [`EditableRequest`].
    pub fn remove_header(&mut self, name: &str) -> Result<()> {
        self.edits.remove_header(name).map_err(Error::from)
    }

    /// Replaces the body. The gateway sets the length, removes `content-encoding` (the new body is sent
    /// without one) and digests of the old body (`content-md5`, `digest`, `content-digest`, `repr-digest`).
    /// `content-type` stays: set it if the new body is of another type. Granted as
    /// [`read_body`](Request::read_body) is.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn replace_body(&mut self, body: impl AsRef<[u8]>) -> Result<(), BodyError> {
        Ok(bodies::replace_request(self.edits, body.as_ref())?)
    }
}
