//! Write plugins for the Tollgate API gateway.
//!
//! A plugin is a WebAssembly component that the gateway runs on the routes whose chain names it. It is
//! sandboxed: it sees one request at a time, and nothing of the machine but what the operator grants.
//!
//! # What it can do
//!
//! A plugin implements [`Plugin`] and one or more *hooks*, and names them in [`export!`]:
//!
//! | hook | called | says |
//! |---|---|---|
//! | [`Authorizer`] | on the way in | whether the request may go on, and who the caller is |
//! | [`Limiter`] | on the way in | which limits the request counts against |
//! | [`CacheLookup`] | on the way in | whether the cache may answer, and under which key |
//! | [`RequestTransformer`] | on the way in | how the request is changed, or what answers it |
//! | [`ResponseTransformer`] | on the way out | how the response is changed, or replaced |
//! | [`LimiterSettle`] | on the way out | what the request really cost |
//! | [`CacheStore`] | on the way out, on a miss | whether and for how long the response is kept |
//! | [`RequestStream`] | on the way in | what becomes of the body, piece by piece |
//! | [`ResponseStream`] | on the way out | the same |
//!
//! A plugin decides; the gateway keeps counters, the cache, keys and connections. So a limiter says
//! *which* limits apply and never counts, and a cache policy never stores.
//!
//! A plugin may have several hooks. On each side of one request they are called in this order, whatever
//! order [`export!`] names them in, and all in one instance:
//!
//! - way in: [`Authorizer`], [`Limiter`], [`RequestTransformer`], [`CacheLookup`], [`RequestStream`];
//! - way out: [`CacheStore`], [`ResponseTransformer`], [`LimiterSettle`], [`ResponseStream`].
//!
//! **A hook that ends the way in is the last one called**: after a denial, a limit that refuses, a reply or
//! an answer from the cache, neither the plugin's later hooks nor the entries further in are called, and on
//! the way out this entry is passed over. On the way out nothing ends by a reply: the plugin's later hooks
//! see it as the response. A fault ends the plugin's hooks on that side.
//!
//! A remembered decision stands for the call of [`Authorizer`] alone: the other hooks are called as always.
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
//! it, which is also why nothing leaks from one request to another. State that must outlive a call goes
//! into [`kv`].
//!
//! During `configure` only [`log`] and [`secrets`] may be called. Everything else is refused there
//! and fails the load, since its answers would be frozen into the copy.
//!
//! Between the way in and the way out, a plugin that has hooks on both keeps notes with
//! [`Request::set_attribute`] and [`Request::own_attribute`].
//!
//! # What the gateway offers
//!
//! | | what | the operator's grant |
//! |---|---|---|
//! | [`log`] | lines in the gateway's log | |
//! | [`clock`] | the time, in place of `std::time` | |
//! | [`random`] | randomness fit for secrets | |
//! | [`crypto`] | digests, HMAC, hexadecimal, comparison in constant time | |
//! | [`signatures`] | tokens and signatures, verified with keys that the gateway holds | |
//! | [`metrics`] | counters and histograms of the plugin's own | |
//! | [`secrets`] | secrets by name | `secrets = ["NAME"]` |
//! | [`Request::read_body`], [`Response::read_body`], `replace_body` | whole bodies | `bodies = "64KiB"` |
//! | [`RequestStream`], [`ResponseStream`] | bodies of any size, piece by piece | `streams = true` |
//! | [`fetch`] | requests to upstreams | `fetch = ["UPSTREAM"]` |
//! | [`kv`] | state that calls share | `kv = true` |
//!
//! Only the rows with a grant need one, and only in a plugin that calls them. A plugin that uses what was
//! not granted is refused when the gateway loads it, with the line that is missing.
//!
//! Some of this has a price of its own. An authorizer's decision that depended on a body, [`fetch`], [`kv`],
//! the clock or randomness is not remembered unless the plugin can answer for it (see
//! [`Decision::remember`]). A body that is read is held in memory; otherwise it streams.
//!
//! **The standard library's doors to the machine are closed.** They compile, and they work in native tests,
//! but in the sandbox there is no machine behind them:
//!
//! | in place of | which there | use |
//! |---|---|---|
//! | `SystemTime::now`, `Instant::now` | panics: each request ends in a fault | [`clock`] |
//! | `println!`, `eprintln!`, `dbg!` | prints nothing | [`log`] |
//! | `std::env`, `std::fs` | finds nothing, or panics | the plugin's configuration, [`secrets`] |
//! | `std::thread`, `thread::sleep` | panics | nothing: a call has one thread |
//! | `std::net` | fails | [`fetch`] |
//!
//! `tollgate plugin build` warns of them.
//!
//! # Errors
//!
//! A hook returns [`Result`]. `Err` (and a panic) is a *fault*: the operator finds the text in the
//! log, and the client gets a 5xx (or, where the operator wrote `on-fault = "open"`, the hook counts
//! as not run). To refuse a request is not an error: return [`Decision::deny`] or
//! [`Outcome::Respond`]. Anything that implements [`std::error::Error`] converts with `?`. Do not use `?`
//! on an error that a client can cause: what a client sends must end in a denial or a 4xx, never in a
//! fault. [`signatures::NotVerified`] does not convert, for that reason.
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
//! `.wasm`. The logic is tested natively, without a gateway: see [`testing`]. The crate re-exports
//! [`serde_json`], whose values stand in its signatures; `serde` and `schemars` you add yourself, for
//! their derives.

#[doc(hidden)]
pub mod bindings;
mod body;
mod cache;
#[cfg(target_family = "wasm")]
mod component;
mod decision;
mod error;
mod export;
mod host;
mod limit;
mod reply;
mod request;
mod response;
mod stream;
pub mod template;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use body::BodyError;
pub use cache::{EntryKey, Retention, Storage};
pub use decision::{Decision, Grant, Source, Verdict};
pub use error::{Error, Result};
pub use host::{clock, crypto, fetch, kv, log, metrics, random, secrets, signatures};
pub use limit::{Bound, Effect, Limit, Period, Scope, Settlement};
pub use reply::Reply;
pub use request::{EditableRequest, Request};
pub use response::{EditableResponse, Response};
pub use stream::{BodyStream, RequestStream, ResponseStream};
/// What lenient servers may take a path or a query for, as the gateway itself asks it: for plugins with
/// conditions of their own, so that no spelling gets around them.
pub use tollgate_readings as readings;

pub use serde_json;

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
    /// Called on the way in. `request` is a [`Request`] that can also be edited.
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

/// Says which limits a request counts against. The gateway keeps the counters, and refuses with 429.
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::{Limit, Limiter, Plugin, Request, Result, export};
///
/// # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Config { per_second: u64 }
/// struct PerCaller {
///     per_second: u64,
/// }
/// # impl Plugin for PerCaller {
/// #     type Config = Config;
/// #     fn configure(config: Config) -> Result<Self> {
/// #         Ok(PerCaller { per_second: config.per_second })
/// #     }
/// # }
///
/// impl Limiter for PerCaller {
///     fn limits(&self, request: &Request) -> Result<Vec<Limit>> {
///         let limit = Limit::rate("second", self.per_second, Duration::from_secs(1));
///         Ok(vec![match request.principal() {
///             Some(principal) => limit.key(["principal", &principal]),
///             None => limit.key(["address", &request.client_address()]),
///         }])
///     }
/// }
///
/// export!(PerCaller: Limiter);
/// # fn main() {}
/// ```
pub trait Limiter: Plugin {
    /// Called on the way in. Either all limits are charged or, if one refuses, none.
    ///
    /// Names are unique within the list (at most 16), and so are counters. A counter is named by scope, kind
    /// of bound, period and key, and not by amounts: a caller who moves to another tier keeps what is used.
    ///
    /// A limiter refuses through its limits alone. To refuse a request for another reason, such as a missing
    /// header, return a limit in which nothing ever has room, and no other: `Limit::quota(name, 0,
    /// Period::Minute)` is a 429 without `Retry-After`. For any other answer implement [`Authorizer`], which
    /// is called before, or [`RequestTransformer`], which is called once the limits are charged.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`; nothing is charged.
    fn limits(&self, request: &Request) -> Result<Vec<Limit>>;
}

/// Corrects what a [`Limiter`] charged, once the response is known.
///
/// ```
/// # use tollgate_plugin::{Limit, Limiter, LimiterSettle, Period, Plugin, Request, Response, Result};
/// # use tollgate_plugin::{Settlement, export};
/// # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Config {}
/// struct Tokens;
/// # impl Plugin for Tokens {
/// #     type Config = Config;
/// #     fn configure(_: Config) -> Result<Self> { Ok(Tokens) }
/// # }
///
/// impl Limiter for Tokens {
///     fn limits(&self, request: &Request) -> Result<Vec<Limit>> {
///         // One in advance, so that who has none left is refused.
///         let limit = Limit::quota("tokens", 100_000, Period::Day);
///         Ok(vec![limit.key(request.principal())])
///     }
/// }
///
/// impl LimiterSettle for Tokens {
///     fn settle(&self, _: &Request, response: &Response) -> Result<Vec<Settlement>> {
///         let used = response.header_text("x-tokens-used").and_then(|used| used.parse().ok());
///         Ok(vec![Settlement::new("tokens", used.unwrap_or(1))])
///     }
/// }
///
/// export!(Tokens: Limiter, LimiterSettle);
///
/// # fn main() {
/// use tollgate_plugin::testing;
///
/// let request = testing::request("POST", "/").principal("alice").build();
/// let charged = testing::limits(&Tokens, &request).unwrap();
/// let response = testing::response(200).header("x-tokens-used", "41").build();
/// let settled = testing::settle(&Tokens, &request, &response, &charged).unwrap();
/// assert_eq!(settled, [Settlement::new("tokens", 41)]);
/// # }
/// ```
pub trait LimiterSettle: Limiter {
    /// Called on the way out, before the response's head is sent. Limits that are not named stay as
    /// they were charged.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`; what was charged stays.
    fn settle(&self, request: &Request, response: &Response) -> Result<Vec<Settlement>>;
}

/// Says whether a request may be answered from the cache, and under which key. The gateway keeps the
/// responses.
///
/// ```
/// # use std::time::Duration;
/// # use tollgate_plugin::{CacheLookup, CacheStore, EntryKey, Plugin, Request, Response, Result};
/// # use tollgate_plugin::{Retention, Storage, export};
/// # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Config {}
/// struct ByTenant;
/// # impl Plugin for ByTenant {
/// #     type Config = Config;
/// #     fn configure(_: Config) -> Result<Self> { Ok(ByTenant) }
/// # }
///
/// impl CacheLookup for ByTenant {
///     fn lookup(&self, request: &Request) -> Result<EntryKey> {
///         match (request.method().as_str(), request.principal()) {
///             ("GET", Some(tenant)) => Ok(EntryKey::keyed([tenant, request.path()])),
///             _ => Ok(EntryKey::Bypass),
///         }
///     }
/// }
///
/// impl CacheStore for ByTenant {
///     fn store(&self, _: &Request, response: &Response) -> Result<Storage> {
///         match response.status() {
///             200 => Ok(Retention::fresh(Duration::from_secs(60)).tag("by-tenant").into()),
///             _ => Ok(Storage::Never),
///         }
///     }
/// }
///
/// export!(ByTenant: CacheLookup, CacheStore);
/// # fn main() {}
/// ```
pub trait CacheLookup: Plugin {
    /// Called on the way in.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`.
    fn lookup(&self, request: &Request) -> Result<EntryKey>;
}

/// Says whether and for how long a response is kept.
pub trait CacheStore: CacheLookup {
    /// Called on the way out, on a miss.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`; nothing is kept.
    fn store(&self, request: &Request, response: &Response) -> Result<Storage>;
}
