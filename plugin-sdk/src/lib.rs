#![doc = include_str!("../README.md")]

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

/// Compiles the plugin on the project's first page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FirstPage;

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
