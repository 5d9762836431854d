//! Unit tests without a gateway: messages to call hooks with, and a stand-in for the host's
//! functions.
//!
//! ```
//! use tollgate_plugin::{testing, Authorizer, Decision, Plugin, Reply, Request, Result};
//!
//! struct Doorkeeper;
//! # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Empty {}
//! impl Plugin for Doorkeeper {
//!     type Config = Empty;
//!     fn configure(_: Empty) -> Result<Self> { Ok(Doorkeeper) }
//! }
//! impl Authorizer for Doorkeeper {
//!     fn authorize(&self, request: &Request) -> Result<Decision> {
//!         match request.header("x-door") {
//!             Some(_) => Ok(Decision::allow("guest")),
//!             None => Ok(Decision::deny(Reply::new(401))),
//!         }
//!     }
//! }
//!
//! let plugin = testing::configure::<Doorkeeper>(serde_json::json!({})).unwrap();
//! let request = testing::request("GET", "/pets/7").header("x-door", "open").build();
//! assert!(plugin.authorize(&request).unwrap().is_allowed());
//! ```
//!
//! # Calling hooks
//!
//! A [`TestRequest`] is a [`Request`](crate::Request) by dereference, so a hook that only reads is
//! called as it is: `plugin.authorize(&request)`. A hook that edits is called in
//! [`TestRequest::edit`]. The functions named after hooks ([`authorize()`], [`limits()`],
//! [`transform_request()`] and so on) do that too, and hold the answer to what the gateway would refuse:
//!
//! ```
//! use tollgate_plugin::{EditableRequest, Outcome, RequestTransformer, Result, testing};
//! # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Empty {}
//!
//! struct Shout;
//! # impl tollgate_plugin::Plugin for Shout {
//! #     type Config = Empty;
//! #     fn configure(_: Empty) -> Result<Self> { Ok(Shout) }
//! # }
//! impl RequestTransformer for Shout {
//!     fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
//!         let body = request.read_body()?;
//!         request.replace_body(body.to_ascii_uppercase())?;
//!         Ok(Outcome::Next)
//!     }
//! }
//!
//! let mut request = testing::request("POST", "/").body("hello").build();
//! let outcome = testing::transform_request(&Shout, &mut request).unwrap();
//! assert_eq!(outcome, Outcome::Next);
//! assert_eq!(request.read_body().unwrap(), b"HELLO");
//! ```
//!
//! A body that goes through a plugin is driven piece by piece: see [`TestStream`], and the example at
//! [`ResponseStream`](crate::ResponseStream).
//!
//! # What stands in for the host
//!
//! | module | in a test |
//! |---|---|
//! | [`log`](crate::log) | standard error, and [`logged`] |
//! | [`clock`](crate::clock) | the machine's, until [`set_clock`] or [`advance`] stops it |
//! | [`random`](crate::random), [`crypto`](crate::crypto) | the real thing |
//! | [`secrets`](crate::secrets) | what [`secret`] set |
//! | [`signatures`](crate::signatures) | accepts what [`token()`] made; else [`key_set`] and [`verifier`] |
//! | [`metrics`](crate::metrics) | recorded for [`counter`] and [`histogram`] |
//! | bodies | those of the messages; [`body_limit`] is the grant |
//! | [`fetch`](crate::fetch) | answered by [`upstream`] or [`answers`], recorded for [`fetched`] |
//! | [`kv`](crate::kv) | in memory; a test calls the same functions, and [`kv_fault`] |
//!
//! All of it belongs to one thread, and the test runner gives each test its own, unless it is told to
//! use a single one: then begin with [`reset`].

mod hooks;
mod host;
mod http;
pub(crate) mod kv;
mod message;
mod script;
mod sources;
mod stream;
mod token;

pub use hooks::{authorize, limits, lookup, settle, store, transform_request, transform_response};
pub use message::{RequestBuilder, ResponseBuilder, TestRequest, TestResponse, request, response};
pub use script::{
    advance, answers, body_limit, counter, fetched, histogram, key_set, kv_fault, logged, reset,
    secret, set_clock, upstream, verifier,
};
pub use stream::{TestStream, open_request, open_response};
pub use token::token;

use crate::{Plugin, Result};

/// The same functions as the generated bindings have, without a host behind them.
pub(crate) mod backing {
    pub use super::host::{
        bodies, clock, crypto, fetch, log, metrics, random, secrets, signatures,
    };
    pub use super::http::*;
    pub(crate) use super::kv;
}

/// Makes a plugin from a configuration, as the gateway does.
///
/// # Panics
/// If `configure` calls what the gateway refuses there: anything but [`log`](crate::log) and
/// [`secrets`](crate::secrets).
///
/// # Errors
/// If the configuration does not fit its type, or the plugin refuses it.
pub fn configure<P: Plugin>(config: serde_json::Value) -> Result<P> {
    let _configuring = host::Configuring::begin();
    P::configure(serde_json::from_value(config)?)
}

#[cfg(test)]
mod tests;
