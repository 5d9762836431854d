//! What is accepted, what is refused, and how that looks: a file per section.

mod any_text;
mod chains;
mod key_sets;
mod plugins;
mod problems;
mod process;
mod routes;
mod store;
mod syntax;
mod upstreams;

use std::fmt::Write as _;
use std::path::Path;

use super::file::parse;
use super::*;

const BUNDLED: &[&str] = &["api-key", "rate-limit"];

const GOOD: &str = r#"
[runtime]
workers = 3
plugin-cache = "cache"
connections = 1_000
requests = 0x10
plugin-calls = 7
bodies = "20MiB"
page-scan = false
drain = "0s"
watch = false

[admin]
address = "[::1]:9901"

[listeners.public]
address = "0.0.0.0:8080"
trusted-proxies = ["10.1.2.3/8", "::1"]

[listeners.any]
address = "127.0.0.1:0"

[secrets]
GEO_TOKEN = { env = "GEO" }
KEY = { file = "key.txt" }

[plugins.geo-guard]
wasm = "plugins/geo_guard.wasm"
sha256 = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
grant = { secrets = ["GEO_TOKEN", "OTHER"], bodies = "64KiB", fetch = ["pets"], kv = true }
limits = { memory = "64KiB", cpu = "20ms" }
snapshot = false

[plugins.rate-limit]
limits.concurrency = 9
large = true

[policies.partner-key]
plugin = "api-key"
config.header = "x-api-key"
config.a.b = [1, { "x/y~" = 2.5 }, 2026-11-22]

[policies.geo]
plugin = "geo-guard"
instances = { calls = 10 }
on-fault = "open"

[upstreams.pets]
servers = ["http://127.0.0.1:9001", { url = "HTTP://localhost/", weight = 2 }, "http://[::1]:3"]
timeouts = { connect = "1m", first-byte = "1500ms" }

[routes.z]
match = "GET, HEAD /pets/{id}"
chain = ["geo", { policy = "partner-key" }]
upstream = "pets"

[routes.a]
match = { methods = ["PURGE"], path = "/a", hosts = ["*.Example.com"] }
priority = -5
upstream = "pets"

[gateway]
variables = { tier = "free", region = "eu" }

[[gateway.chain]]
policy = "geo"
when.methods = ["GET"]
when.hosts = ["*.example.com"]
when.path = "/store/{any+}"
when.headers = { X-Debug = "1", x-beta = true, x-old = false }
when.query = { "a b" = "c d" }

[apis.store]
base = "/store"
hosts = ["store.example.com"]
chain = ["partner-key", "geo"]
variables = { tier = "gold" }

[routes.store-pet]
api = "store"
match = "GET /pets/{id}"
chain = ["geo", "partner-key", "geo"]
variables = { tier = "platinum", pet = "" }
upstream = "pets"

[routes.store]
api = "store"
match = "GET"
chain-reset = true
respond = { status = 404, headers = { X-A = "b", set-cookie = ["a=1", "b=2"] }, body = "none\n" }

[key-sets.inline]
keys = [{ kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }]

[key-sets.file]
file = "keys.json"
reload = "5s"

[key-sets.secret]
secret = "GEO_TOKEN"

[store]
cache = "32MiB"
kv = "1GiB"
limit-keys = 2_000
"#;

fn read(text: &str) -> Result<Config, Problems> {
    parse(Path::new("folder/gateway.toml"), text, BUNDLED)
}

fn good() -> Config {
    let text = GOOD.replace("memory = \"64KiB\"", "memory = \"128KiB\"");
    read(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The least that is accepted. Each case adds to it or replaces in it.
const LEAST: &str = r#"listeners.a.address = "127.0.0.1:1"
upstreams.u.servers = ["http://u"]
policies.p.plugin = "api-key"
[routes.r]
match = "/"
upstream = "u"
"#;

#[test]
fn the_least() {
    let config = read(LEAST).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.runtime.workers > 0);
    assert_eq!(config.runtime.plugin_cache, PluginCache::Default);
    assert!(config.runtime.page_scan);
    assert!(crate::limits::process::RUNTIME_BODIES_BYTES_DEFAULT.contains(&config.runtime.bodies));
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9900");
    assert!(config.routes[0].matches.methods.is_empty() && config.routes[0].chain.is_empty());
}

/// Whether exactly these problems are found, each given by a part of `message; help`, in order.
#[track_caller]
fn refused(text: &str, wanted: &[&str]) {
    let problems = read(text).map(|_| ()).unwrap_err();
    let mut found = String::new();
    for problem in &problems.problems {
        let help = problem.help.as_deref().unwrap_or_default();
        writeln!(found, "{}; {help}", problem.message).unwrap();
    }
    let fits = found
        .lines()
        .zip(wanted)
        .all(|(found, wanted)| found.contains(wanted));
    assert!(
        fits && found.lines().count() == wanted.len(),
        "{text}\n{found}"
    );
}

#[track_caller]
fn added(text: &str, wanted: &str) {
    refused(&format!("{text}\n{LEAST}"), &[wanted]);
}

#[track_caller]
fn replaced(old: &str, new: &str, wanted: &str) {
    assert!(LEAST.contains(old));
    refused(&LEAST.replace(old, new), &[wanted]);
}

#[test]
fn unknown_keys() {
    added(
        "runtme.workers = 1",
        "unknown key `runtme`; did you mean `runtime`?",
    );
    added(
        "colour = 1",
        "unknown key `colour`; the file has the keys `runtime`, `admin`, ",
    );
    added(
        "runtime.request = 1",
        "unknown key `runtime.request`; did you mean `requests`?",
    );
    added(
        "plugins.api-key.limits.cpus = 1",
        "unknown key `plugins.api-key.limits.cpus`; did you",
    );
    added(
        "policies.q = { plugin = \"api-key\", onfault = 1 }",
        "did you mean `on-fault`?",
    );
    added(
        "listeners.b = { address = \"[::]:1\", \"\\u001b[1m\" = 1 }",
        r"`listeners.b.\u{1b}[1m`",
    );
    replaced(
        "upstream =",
        "chainn = []\nupstream =",
        "did you mean `chain`?",
    );
}

#[test]
fn not_in_this_release() {
    for key in [
        "key-sets.a = { secret = \"A\", url = \"http://a/\" }",
        "store.redis = \"redis://a\"",
        "listeners.b = { address = \"[::]:1\", tls = {} }",
    ] {
        added(key, "is not supported in this release");
    }
    for key in ["split", "redirect", "when"] {
        let new = format!("{key} = 1\nupstream =");
        replaced(
            "upstream =",
            &new,
            &format!("`routes.r.{key}` is not supported in this release"),
        );
    }
    replaced(
        "\"/\"",
        "{ path = \"/\", headers = {} }",
        "`routes.r.match.headers` is not supported in",
    );
}

#[test]
fn what_is_misspelled_is_not_missing_too() {
    replaced(
        "upstream = ",
        "upstraem = ",
        "unknown key `routes.r.upstraem`; did you mean",
    );
    replaced(
        "match = ",
        "mtach = ",
        "unknown key `routes.r.mtach`; did you mean `match`?",
    );
    added(
        "secrets.A = { evn = \"X\" }",
        "unknown key `secrets.A.evn`; did you mean `env`?",
    );
    added(
        "key-sets.a = { secrets = \"A\" }",
        "unknown key `key-sets.a.secrets`; did you mean `secret`?",
    );
    added("plugins.x = { wsam = \"x.wasm\" }", "did you mean `wasm`?");
    added(
        "policy.q.plugin = \"api-key\"",
        "unknown key `policy`; did you mean `policies`?",
    );
    refused(
        &LEAST.replace("[routes.r]", "[route.r]"),
        &["unknown key `route`; did you mean `routes`?"],
    );
}

#[test]
fn a_plugin_in_a_chain_is_no_policy() {
    replaced(
        "match =",
        "chain = [\"rate-limit\"]\nmatch =",
        "there is no policy `rate-limit`; `rate-limit` is a plugin; make a policy: [policies.NAME] \
         plugin = \"rate-limit\"",
    );
    replaced(
        "match =",
        "chain = [\"q\"]\nmatch =",
        "there is no policy `q`; did you mean `p`?",
    );
    replaced(
        "match =",
        "chain = [\"other\"]\nmatch =",
        "known policies: `p`",
    );
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    for path in ["/:id", "/a/:id/b", "/<id>/b"] {
        let config = read(&LEAST.replace("\"/\"", &format!("\"{path}\""))).unwrap();
        let [warning] = &config.warnings[..] else {
            panic!("{path}: {:?}", config.warnings);
        };
        let help = warning.help.as_deref().unwrap_or_default();
        assert!(help.contains("`{name}`"), "{warning:?}");
    }
    assert!(good().warnings.is_empty());
    assert!(
        read(&LEAST.replace("\"/\"", "\"/a:b/x<y/{id}\""))
            .unwrap()
            .warnings
            .is_empty()
    );
}

#[test]
fn missing_and_empty() {
    refused(
        "",
        &[
            "there is no listener; add a section",
            "there is no route; add a section",
        ],
    );
    replaced(
        "match = \"/\"\n",
        "",
        "`routes.r` has no `match`; add `match = \"GET,HEAD /pets/{id}\"`",
    );
    replaced("upstream = \"u\"\n", "", "`routes.r` has no `upstream`");
    added(
        "listeners.b = {}",
        "`listeners.b` has no `address`; add `address = \"0.0.0.0:8080\"`",
    );
    added("policies.q = {}", "`policies.q` has no `plugin`");
    added("upstreams.v = {}", "`upstreams.v` has no `servers`");
    replaced(
        "\"/\"",
        "{ hosts = [\"a\"] }",
        "`routes.r.match` has no `path`",
    );
    replaced(
        "\"/\"",
        "{ hosts = [], path = \"/\" }",
        "`routes.r.match.hosts` is empty; to accept any",
    );
}
