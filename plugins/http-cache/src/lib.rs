//! Says what the gateway's HTTP cache may answer, and what it keeps. README.md says how it is
//! configured.
//!
//! Without a configuration RFC 9111 decides everything, and the gateway does what it says; the one
//! thing that is said here then is that an answer to a caller whom an authorizer knows is not for
//! others (see `store.rs`).

mod directives;
mod key;
mod personal;
mod query;
mod store;

use key::{Key, KeyConfig};
use personal::{Personal, PersonalConfig};
use store::{Store, StoreConfig, Ttl};
use tollgate_plugin::{
    CacheLookup, CacheStore, EntryKey, Plugin, Request, Response, Result, Storage, export,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// Which methods are answered from the cache: GET and HEAD, or one of them.
    methods: Option<Vec<String>>,
    /// What answers are kept under, in place of the URI.
    #[serde(default)]
    #[schemars(with = "KeyConfig")]
    key: Option<KeyConfig>,
    /// Requests that are neither answered from the cache nor kept.
    #[serde(default)]
    bypass: Bypass,
    /// How long answers are kept: those with status 200, or a table by status.
    #[serde(default)]
    #[schemars(with = "Ttl")]
    ttl: Option<Ttl>,
    /// What of an answer's own word on caching `ttl` beats.
    #[serde(default, rename = "override")]
    overrides: Override,
    /// How much longer than `ttl` an answer is given while a new one is fetched.
    stale_while_revalidate: Option<String>,
    /// How much longer than `ttl` an answer is given if the upstream fails.
    stale_if_error: Option<String>,
    /// Names under which what `ttl` keeps can be purged: templates.
    #[serde(default)]
    tags: Vec<String>,
    /// A response header with more such names, divided by blanks or commas.
    tags_header: Option<String>,
    /// What of a request says who its caller is, beside `Authorization` and cookies.
    #[serde(default)]
    personal: PersonalConfig,
    /// Whether answers are the same for all callers, whoever they are.
    #[serde(default)]
    share: bool,
    /// Response headers that are for one caller: what is kept is kept without them.
    #[serde(default)]
    strip: Vec<String>,
}

/// Requests that have any of these.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Bypass {
    /// Request headers.
    headers: Vec<String>,
    /// Query parameters.
    query: Vec<String>,
    /// Cookies.
    cookies: Vec<String>,
}

/// What `ttl` beats: `nothing`, and so holds for answers that do not say how long they may be kept;
/// the `lifetime` that they state, but not that they may not be kept; or `everything`.
// Doc comments on variants would make the schema say less plainly which there are.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Override {
    #[default]
    Nothing,
    Lifetime,
    Everything,
}

struct HttpCache {
    get: bool,
    head: bool,
    bypass: Bypass,
    /// None: the URI.
    key: Option<Key>,
    personal: Personal,
    store: Store,
}

/// A note of the way in: the request says who its caller is, and the key does not. (Entries further
/// in may take that off the request.) Its value is [`NAMED`] where the configuration says so.
const PERSONAL: &str = "personal";
const NAMED: &str = "named";
/// A note of the way in: the key has no principal, since there was none.
const ANONYMOUS: &str = "anonymous";

impl Plugin for HttpCache {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let methods = config.methods.as_deref();
        if let Some(other) = methods
            .unwrap_or_default()
            .iter()
            .find(|name| !["GET", "HEAD"].contains(&name.as_str()))
        {
            return Err(format!(
                "`methods`: {other:?}; a cache answers GET and HEAD, and nothing else"
            )
            .into());
        }
        let answers = |name: &str| methods.is_none_or(|list| list.iter().any(|one| one == name));
        if !answers("GET") && !answers("HEAD") {
            return Err("`methods` is empty: nothing would be answered".into());
        }
        for (index, name) in config.bypass.headers.iter().enumerate() {
            if !is_field_name(name) {
                let wrong = format!("{name:?} is not the name of a header");
                return Err(format!("`bypass.headers[{index}]`: {wrong}").into());
            }
        }
        let store = StoreConfig {
            ttl: config.ttl,
            overrides: config.overrides,
            stale_while_revalidate: config.stale_while_revalidate,
            stale_if_error: config.stale_if_error,
            tags: config.tags,
            tags_header: config.tags_header,
            share: config.share,
            strip: config.strip,
        };
        Ok(HttpCache {
            get: answers("GET"),
            head: answers("HEAD"),
            bypass: config.bypass,
            key: config.key.map(Key::new).transpose()?,
            personal: Personal::new(config.personal)?,
            store: Store::new(store)?,
        })
    }
}

impl CacheLookup for HttpCache {
    fn lookup(&self, request: &Request) -> Result<EntryKey> {
        if self.bypasses(request) {
            return Ok(EntryKey::Bypass);
        }
        let principal = match &self.key {
            Some(key) if key.principal => request.principal(),
            _ => None,
        };
        let by_principal = self.key.as_ref().is_some_and(|key| key.principal);
        if by_principal && principal.is_none() {
            request.set_attribute(ANONYMOUS, "")?;
        }
        if self.store.asks_who() {
            let key = self.key.as_ref();
            if self.personal.is_named(request, key) {
                request.set_attribute(PERSONAL, NAMED)?;
            } else if self.store.has_ttl()
                && self.personal.is_implied(request, key, principal.is_some())
            {
                request.set_attribute(PERSONAL, "")?;
            }
        }
        let Some(key) = &self.key else {
            return Ok(EntryKey::Standard);
        };
        // What cannot be written as a key is not answered by chance with something else.
        Ok(match key.parts(request, principal)? {
            Some(parts) => EntryKey::Keyed(parts),
            None => EntryKey::Bypass,
        })
    }
}

impl CacheStore for HttpCache {
    fn store(&self, request: &Request, response: &Response) -> Result<Storage> {
        let keyed = self.key.as_ref().is_some_and(|key| key.principal)
            && request.own_attribute(ANONYMOUS).is_none();
        self.store.storage(request, response, keyed)
    }
}

export!(HttpCache: CacheLookup, CacheStore);

impl HttpCache {
    fn bypasses(&self, request: &Request) -> bool {
        let Bypass {
            headers,
            query,
            cookies,
        } = &self.bypass;
        let none = headers.is_empty() && query.is_empty() && cookies.is_empty();
        if none && self.get && self.head {
            return false;
        }
        // Other methods go on: what they change must not stay in the cache.
        match request.method().as_str() {
            "GET" if !self.get => return true,
            "HEAD" if !self.head => return true,
            "GET" | "HEAD" => {}
            _ => return false,
        }
        headers.iter().any(|name| request.header(name).is_some())
            || query::has_any(request, query)
            || (!cookies.is_empty()
                && key::cookies(request)
                    .iter()
                    .any(|(name, _)| cookies.iter().any(|one| one.as_bytes() == name.as_slice())))
    }
}

fn is_field_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

#[cfg(test)]
mod tests;
