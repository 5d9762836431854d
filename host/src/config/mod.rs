//! What the operator wrote, checked: TOML in, [`Config`] or every [`Problem`] out.
//!
//! Two types, one rule. The reader in this folder walks the spanned TOML tree (what was written);
//! [`Config`] is what is true: every default is filled in, every name refers to something that
//! exists, and nothing downstream has an `Option` left to interpret. This is the only code that
//! knows TOML.

mod json;
mod plugins;
mod reader;
mod routes;
mod sections;
mod source;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;

pub use source::{Problem, Problems, Source};

use crate::limits::{CONFIG_BYTES_MAX, CONFIG_STACK_BYTES};
use reader::{Reader, Table};

/// Reads and checks the file. `bundled` are the names of the plugins that come with the gateway.
pub fn load(path: &Path, bundled: &[&str]) -> Result<Config, Problems> {
    let fail = |message: String| {
        let source = Arc::new(Source::new(path, ""));
        Err(Problems::new(source, vec![Problem::new(None, message)]))
    };
    let mut bytes = Vec::new();
    let bound = u64::try_from(CONFIG_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let read = File::open(path).and_then(|file| file.take(bound).read_to_end(&mut bytes));
    if let Err(error) = read {
        return fail(format!("cannot be read: {error}"));
    }
    if bytes.len() > CONFIG_BYTES_MAX {
        return fail(format!("is larger than {}", units::show_size(bound - 1)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(path, &text, bundled),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let line = error
                .as_bytes()
                .iter()
                .take(valid)
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            fail(format!("is not UTF-8 text: see line {line}"))
        }
    }
}

/// Checks the text of a configuration file. `file` is not read: it names the text in problems, and
/// its folder is what relative paths in the text are relative to.
///
/// This runs on a thread of its own, for its stack: the parser bounds nesting, but dotted keys in
/// nested inline tables still make trees thousands of levels deep, and dropping one recurses.
pub fn parse(file: &Path, text: &str, bundled: &[&str]) -> Result<Config, Problems> {
    let result = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(CONFIG_STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || parse_here(file, text, bundled));
        thread.map(|thread| thread.join())
    });
    let message = match result {
        Ok(Ok(result)) => return result,
        Ok(Err(_)) => "the reader failed on this file; this is a bug in tollgate".to_owned(),
        Err(error) => format!("cannot be read for want of a thread: {error}"),
    };
    let source = Arc::new(Source::new(file, text));
    Err(Problems::new(source, vec![Problem::new(None, message)]))
}

fn parse_here(file: &Path, text: &str, bundled: &[&str]) -> Result<Config, Problems> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut source = Source::new(file, text);
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(folder, bundled, !errors.is_empty());
    let root = Table::new(String::new(), Position::default(), tree.get_ref());
    let config = read(&mut reader, root);

    source.hide(std::mem::take(&mut reader.secrets));
    source.hide(texts_for_plugins(&config));
    if !errors.is_empty() {
        source.hide_secrets_section();
    }
    let syntax = errors
        .iter()
        .map(|error| source.syntax_error(error))
        .collect();
    let problems = reader.into_problems(&source, syntax);
    let source = Arc::new(source);
    if problems.is_empty() {
        Ok(Config {
            file: file.to_owned(),
            source,
            ..config
        })
    } else {
        Err(Problems::new(source, problems))
    }
}

/// Longer texts in the configurations of plugins: one may be a key in the place of its hash, and a
/// problem shows the line that it is on.
fn texts_for_plugins(config: &Config) -> Vec<Position> {
    const SHORT_BYTES_MAX: usize = 16;
    let mut texts = Vec::new();
    for policy in config.policies.values() {
        for (pointer, position) in &policy.config.positions {
            let text = policy
                .config
                .json
                .pointer(pointer)
                .and_then(|value| value.as_str());
            if text.is_some_and(|text| text.len() > SHORT_BYTES_MAX) {
                texts.push(*position);
            }
        }
    }
    texts
}

/// What could be read. It is the truth only if the reader has no problem to tell.
fn read(reader: &mut Reader<'_>, mut root: Table<'_>) -> Config {
    let runtime = sections::runtime(reader, &mut root);
    let admin = sections::admin(reader, &mut root);
    let listeners = sections::listeners(reader, &mut root, admin.address);
    let secrets = sections::secrets(reader, &mut root);
    let names = plugins::Names::of(&root, reader.bundled);
    let mut plugins = plugins::plugins(reader, &mut root);
    let policies = plugins::policies(reader, &mut root, &names);
    plugins::add_bundled(&mut plugins, &policies);
    let upstreams = routes::upstreams(reader, &mut root);
    let routes = routes::routes(reader, &mut root, &names);
    reader.finish(&root, &["apis", "key-sets", "store"]);
    let (file, source) = Default::default();
    Config {
        file,
        source,
        runtime,
        admin,
        listeners,
        secrets,
        plugins,
        policies,
        upstreams,
        routes,
    }
}

/// Everything one gateway process runs, resolved and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from; relative paths in it are relative to this file's folder.
    pub file: PathBuf,
    /// Its text, for problems that are found only later.
    pub source: Arc<Source>,
    pub runtime: Runtime,
    pub admin: Admin,
    /// In the order written. Never empty.
    pub listeners: Vec<Listener>,
    pub secrets: BTreeMap<String, SecretSource>,
    pub plugins: BTreeMap<String, Plugin>,
    pub policies: BTreeMap<String, Policy>,
    pub upstreams: BTreeMap<String, Upstream>,
    /// In the order written. Never empty.
    pub routes: Vec<Route>,
}

/// `[runtime]`: what the process as a whole may use.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// `workers`: threads that serve requests. Default: one per core.
    pub workers: usize,
    /// `plugin-cache`: the folder of compiled plugins. Default: decided by `plugin::cache`
    /// (`$XDG_CACHE_HOME/tollgate` or `~/.cache/tollgate`); `false` switches it off.
    pub plugin_cache: PluginCache,
    /// `connections`: client connections open at once, all listeners together.
    pub connections: usize,
    /// `requests`: requests in flight at once; the next one is answered 503.
    pub requests: usize,
    /// `plugin-calls`: plugin instances alive at once.
    pub plugin_calls: usize,
    /// `drain`: how long a stopping process waits for requests in flight.
    pub drain: Duration,
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
}

/// `[listeners.NAME]`
#[derive(Debug, Clone)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    /// `trusted-proxies`: peers whose `X-Forwarded-*` headers are believed and extended; those of
    /// every other peer are replaced.
    pub trusted_proxies: Vec<ipnet::IpNet>,
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

/// `grant = { secrets = ["NAME"] }`: the capabilities beyond those every plugin has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    pub secrets: Vec<String>,
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
#[derive(Debug, Clone)]
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
    /// From the request's head being sent to the response's head.
    pub first_byte: Duration,
    /// The whole exchange, both bodies included.
    pub total: Duration,
}

/// `[routes.NAME]`
#[derive(Debug, Clone)]
pub struct Route {
    pub name: String,
    pub matches: crate::route::Match,
    /// `chain`: keys of [`Config::policies`], outermost first.
    pub chain: Vec<String>,
    /// A key of [`Config::upstreams`].
    pub upstream: String,
    pub position: Position,
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
