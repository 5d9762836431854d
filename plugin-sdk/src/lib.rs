//! Write plugins for the Tollgate API gateway.
//!
//! A plugin is a WebAssembly component that the gateway runs on the routes whose chain names it. It
//! decides who may pass ([`Authorizer`]), or changes messages ([`RequestTransformer`],
//! [`ResponseTransformer`]). It is sandboxed: it sees one request at a time, and nothing of the
//! machine.
//!
//! # A whole plugin
//!
//! ```
//! use tollgate_plugin::{Authorizer, Decision, Plugin, Reply, Request, Result, export};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// The value that `x-door` must have.
//!     word: String,
//! }
//!
//! struct Doorkeeper {
//!     word: String,
//! }
//!
//! impl Plugin for Doorkeeper {
//!     type Config = Config;
//!     fn configure(config: Config) -> Result<Self> {
//!         if config.word.is_empty() {
//!             return Err("`word` is empty: every request would be refused".into());
//!         }
//!         Ok(Doorkeeper { word: config.word })
//!     }
//! }
//!
//! impl Authorizer for Doorkeeper {
//!     fn authorize(&self, request: &Request) -> Result<Decision> {
//!         match request.header("x-door") {
//!             Some(word) if word == self.word.as_bytes() => Ok(Decision::allow("guest")),
//!             _ => Ok(Decision::deny(Reply::problem(401, "say the word in `x-door`"))),
//!         }
//!     }
//! }
//!
//! export!(Doorkeeper: Authorizer);
//! # fn main() {}
//! ```
//!
//! # Its life
//!
//! [`Plugin::configure`] runs **once, when the gateway loads its configuration**. The memory of the
//! instance is then captured, and every request starts from a fresh copy of it. So prepare in
//! `configure` all that requests need (parse, compile, build maps): it costs nothing per request. And
//! do not try to count or remember in the plugin itself: whatever a call leaves behind is gone with
//! it, which is also why nothing leaks from one request to another. State that must outlive a call
//! belongs to the host.
//!
//! During `configure` only [`log`] and [`secrets`] may be called; the clock, randomness and
//! [`crypto`] are refused there, since their answers would be frozen into the copy.
//!
//! Between the way in and the way out, a plugin that has hooks on both keeps notes with
//! [`Request::set_attribute`] and [`Request::own_attribute`].
//!
//! # Errors
//!
//! A hook returns [`Result`]. `Err` (and a panic) is a *fault*: the operator finds the text in the
//! log, and the client gets a 5xx (or, where the operator wrote `on-fault = "open"`, the hook counts
//! as not run). To refuse a request is not an error: return [`Decision::deny`] or
//! [`Outcome::Respond`]. Anything that implements [`std::error::Error`] converts with `?`.
//!
//! An `Err` of `configure` refuses the load, with your text beside the operator's configuration.
//!
//! # Build and test
//!
//! The crate is a `cdylib` (what the gateway loads) and an `rlib` (what tests link):
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//! ```
//!
//! `tollgate plugin build` (or `cargo build --release --target wasm32-unknown-unknown`) makes the
//! `.wasm`. The logic is tested natively, without a gateway: see [`testing`].

#[doc(hidden)]
pub mod bindings;
mod decision;
mod error;
mod export;
mod host;
mod reply;
mod request;
mod response;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use decision::{Decision, Grant, Verdict};
pub use error::{Error, Result};
pub use host::{clock, crypto, log, random, secrets};
pub use reply::Reply;
pub use request::{EditableRequest, Request};
pub use response::{EditableResponse, Response};

#[doc(hidden)]
pub use export::__private;

/// Every plugin: its configuration, and how it is made from one.
pub trait Plugin: Sized + 'static {
    /// What the operator writes under `config`. The gateway checks it against the JSON Schema that
    /// is derived from this type, and points at the line of the file where it does not fit; doc
    /// comments become the schema's descriptions. `#[serde(deny_unknown_fields)]` makes typing
    /// errors visible. Use `()`-like empty structs for plugins without configuration.
    type Config: serde::de::DeserializeOwned + schemars::JsonSchema;

    /// Makes the plugin, once per configuration.
    ///
    /// # Errors
    /// Refuses the load, with this text for the operator.
    fn configure(config: Self::Config) -> Result<Self>;
}

/// Decides whether a request may go on, and says who the caller is.
pub trait Authorizer: Plugin {
    /// Called on the way in.
    ///
    /// # Errors
    /// A fault: the request is answered with a 5xx. An authorizer never fails open.
    fn authorize(&self, request: &Request) -> Result<Decision>;
}

/// Changes a request, or answers it.
pub trait RequestTransformer: Plugin {
    /// Called on the way in. `request` is a [`Request`] with a pen.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`; the edits are undone.
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome>;
}

/// Changes a response, or replaces it.
pub trait ResponseTransformer: Plugin {
    /// Called on the way out, before the response's head is sent.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`; the edits are undone.
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome>;
}

/// What a transformer wants to happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The message goes on, as edited.
    Next,
    /// This reply is sent instead.
    Respond(Reply),
}
