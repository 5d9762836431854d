//! What the operator wrote, checked: TOML in, [`Config`] or every [`Problem`] out.
//!
//! Two types, one rule. The reader in this folder walks the spanned TOML tree (what was written);
//! [`Config`] is what is true: every default is filled in, every name refers to something that
//! exists, what is inherited is resolved, and nothing downstream has an `Option` left to interpret.
//! This is the only code that knows TOML.

mod chains;
mod file;
mod json;
mod key_sets;
mod machine;
mod matching;
mod plugins;
mod reader;
mod respond;
mod routes;
mod sections;
mod source;
mod store;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod units;
mod upstreams;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

pub use file::load;
pub use source::{Problem, Problems, Source};

use crate::route::{Match, Predicate};

/// Everything one gateway process runs, resolved and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from; relative paths in it are relative to this file's folder.
    pub file: PathBuf,
    /// Its text, for problems that are found only later.
    pub source: Arc<Source>,
    /// What is allowed and hardly meant.
    pub warnings: Vec<Problem>,
    pub runtime: Runtime,
    pub admin: Admin,
    /// In the order written. Never empty.
    pub listeners: Vec<Listener>,
    pub secrets: BTreeMap<String, SecretSource>,
    pub plugins: BTreeMap<String, Plugin>,
    pub policies: BTreeMap<String, Policy>,
    pub upstreams: BTreeMap<String, Upstream>,
    pub key_sets: BTreeMap<String, KeySet>,
    pub store: Store,
    /// In the order written. Never empty.
    pub routes: Vec<Route>,
    /// Where the keys of the sections about the process were written, of which a process that runs can
    /// change few, and the names in those that something else refers to.
    pub places: BTreeMap<String, Position>,
}

/// `[runtime]`: what the process as a whole may use.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// `workers`: threads that serve requests. Default: one per core.
    pub workers: usize,
    /// `plugin-cache`: the folder of compiled plugins. Default:
    /// `$XDG_CACHE_HOME/tollgate` or `~/.cache/tollgate`; `false` switches it off.
    pub plugin_cache: PluginCache,
    /// `connections`: client connections open at once, all listeners together.
    pub connections: usize,
    /// `requests`: requests in flight at once; the next one is answered 503.
    pub requests: usize,
    /// `plugin-calls`: calls of plugins at once, each in an instance of its own. Idle instances are
    /// beside.
    pub plugin_calls: usize,
    /// `bodies`: what is held of bodies for plugins, all together, in bytes. Default: a quarter of the
    /// memory that the process may have.
    pub bodies: u64,
    /// `page-scan`: whether the kernel may be asked which pages a guest wrote.
    pub page_scan: bool,
    /// `drain`: how long a stopping process waits for requests in flight.
    pub drain: Duration,
    /// `watch`: whether a change of this file, or of one that it names, is taken over by itself.
    pub watch: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginCache {
    Default,
    Folder(PathBuf),
    Off,
}

/// `[admin]`: health and metrics. Only a loopback address is accepted.
#[derive(Debug, Clone)]
pub struct Admin {
    pub address: SocketAddr,
    /// Where it is written, if it is.
    pub position: Option<Position>,
}

/// `[listeners.NAME]`
#[derive(Debug, Clone)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    /// Where the address is written.
    pub position: Position,
    /// `trusted-proxies`: peers whose `X-Forwarded-*` headers are believed and extended; those of
    /// every other peer are replaced.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// `least-pace`: what a client must send of a body, or take of an answer, in bytes per second.
    pub least_pace: u64,
    /// `half-closed`: how long an answer is still made for a client that has closed its side and takes nothing.
    pub half_closed: Duration,
}

/// `[secrets]`: `NAME = { env = "VAR" }` or `NAME = { file = "path" }`. A granted secret that is not
/// listed is read from the environment variable of its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    Environment(String),
    File(PathBuf),
}

/// `[plugins.NAME]`: where a plugin's code is, and what it may do.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub name: String,
    pub code: PluginCode,
    pub grant: Grant,
    pub limits: PluginLimits,
    /// `snapshot`: true by default. False: `configure` runs at the start of every instance.
    pub snapshot: bool,
    /// `large`: compile and snapshot a component above the default size bound.
    pub large: bool,
    pub position: Position,
    /// Where its file is named, or the plugin if that is not written.
    pub code_position: Position,
    /// Whether it has a section. A bundled one needs none.
    pub is_written: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginCode {
    /// A bundled plugin of this name.
    Bundled,
    /// `wasm = "path"`, with the optional pin `sha256 = "hex"`.
    File {
        path: PathBuf,
        sha256: Option<[u8; 32]>,
    },
}

/// `grant = { secrets = ["NAME"], bodies = "64KiB", fetch = ["upstream"], kv = true,
/// streams = true }`: the capabilities beyond those every plugin has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    pub secrets: Vec<String>,
    /// The largest body that it may read or write, in bytes. `None`: it sees no bodies.
    pub bodies: Option<u64>,
    /// Keys of [`Config::upstreams`].
    pub fetch: Vec<String>,
    pub kv: bool,
    /// Whether bodies may go through it, piece by piece.
    pub streams: bool,
}

/// `limits = { memory = "16MiB", cpu = "10ms", wall = "100ms", concurrency = 100 }`: the bounds of
/// one instance (memory) and of one call (cpu, wall), and how many calls may run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLimits {
    pub memory: u64,
    pub cpu: Duration,
    pub wall: Duration,
    pub concurrency: usize,
}

/// `[policies.NAME]`: a plugin with its configuration, under a name that chains use.
#[derive(Debug, Clone)]
pub struct Policy {
    pub name: String,
    /// A key of [`Config::plugins`]. A bundled plugin that has no `[plugins]` entry gets one with
    /// the defaults.
    pub plugin: String,
    pub config: PluginConfig,
    pub instances: Instances,
    pub on_fault: OnFault,
    /// `remember-at-most`: how long decisions of its authorizer are remembered at most, whatever the
    /// plugin asks for. Default: [`REMEMBER_MAX`](crate::limits::decisions::REMEMBER_MAX).
    pub remember_at_most: Duration,
    pub position: Position,
    /// Where `on-fault` was written, for the check that an authorizer never fails open.
    pub on_fault_position: Option<Position>,
}

/// A plugin's own configuration: TOML converted to JSON, and where each value of it was written.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    pub json: serde_json::Value,
    /// JSON pointer (RFC 6901; "" is the whole) to where that value stands in the file.
    pub positions: BTreeMap<String, Position>,
    /// The same to where the keys stand, of members.
    pub keys: BTreeMap<String, Position>,
}

/// `instances = "fresh"` (default) or `{ calls = N }`: how many calls one instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    Fresh,
    Reused { calls: u32 },
}

/// `on-fault = "closed"` (default) or `"open"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    Closed,
    Open,
}

/// `[upstreams.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    /// Never empty.
    pub servers: Vec<UpstreamServer>,
    pub timeouts: Timeouts,
}

/// A string `"http://host:port"`, or `{ url = "...", weight = 2 }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// Host and port as in the URL; the port is always there.
    pub authority: http::uri::Authority,
    /// 1 to 1000; default 1.
    pub weight: u32,
}

/// `timeouts = { connect = "2s", first-byte = "15s", total = "60s" }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From wanting a connection to having one.
    pub connect: Duration,
    /// From the last byte sent of the request to the response's head; not while the client's next is awaited.
    pub first_byte: Duration,
    /// The whole exchange, both bodies included.
    pub total: Duration,
}

/// `[routes.NAME]`, with all that it inherits from its API and from `[gateway]`.
#[derive(Debug, Clone)]
pub struct Route {
    pub name: String,
    /// The name of its `[apis.NAME]`.
    pub api: Option<String>,
    /// The path begins with the API's base.
    pub matches: Match,
    /// Outermost first: the gateway's, the API's, its own.
    pub chain: Vec<Arc<Link>>,
    /// Its own, its API's and the gateway's, the nearest holding.
    pub variables: Arc<BTreeMap<String, String>>,
    pub end: RouteEnd,
    pub position: Position,
}

/// One entry of a chain: `"policy"` or `{ policy = "policy", when = { ... } }`. What is inherited is
/// one link for all routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// A key of [`Config::policies`].
    pub policy: String,
    /// Requests that the entry is for. `None`: all.
    pub when: Option<Predicate>,
    /// Where it was written, unique among all entries and stable as long as the chain it stands in:
    /// `gateway:POLICY`, `api NAME:POLICY`, `route NAME:POLICY`; from the second use of a policy in
    /// one list with `#2` and so on behind it.
    pub entry: String,
}

/// What a route does with a request that its chain let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteEnd {
    /// `upstream = "name"`: a key of [`Config::upstreams`].
    Upstream(String),
    /// `respond = { ... }`
    Respond(StaticReply),
}

/// `respond = { status = 404, headers = { x-a = "b" }, body = "text" }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticReply {
    /// 200 to 599.
    pub status: u16,
    /// None of the connection's, none of framing.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty with a status that has no body.
    pub body: String,
}

/// `[key-sets.NAME]`: public keys that signatures are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    pub name: String,
    pub source: KeySource,
    pub position: Position,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `keys = [{ ... }]`: JWKs (RFC 7517), never empty; each is an object that has a `kty` and no
    /// private member.
    Inline(Vec<serde_json::Value>),
    /// `file = "path"`: a JWK Set (RFC 7517, section 5), looked at again at this interval.
    File { path: PathBuf, reload: Duration },
    /// `secret = "NAME"`: a JWK Set or one JWK.
    Secret(SecretSource),
}

/// `[store]`: how much shared state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// `cache`: cached responses, in bytes.
    pub cache: u64,
    /// `cache-entry`: the largest body that is cached, in bytes. At most `cache`.
    pub cache_entry: u64,
    /// `decisions`: remembered decisions of authorizers, in bytes.
    pub decisions: u64,
    /// `kv`: what plugins keep, in bytes.
    pub kv: u64,
    /// `limit-keys`: counters of limits, all keys together.
    pub limit_keys: usize,
}

/// A place in the configuration file, as an editor counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Byte range in the file's text.
    pub start: usize,
    pub end: usize,
}

impl From<std::ops::Range<usize>> for Position {
    fn from(range: std::ops::Range<usize>) -> Position {
        Position {
            start: range.start,
            end: range.end,
        }
    }
}
