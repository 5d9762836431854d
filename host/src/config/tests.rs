//! What is accepted, what is refused, and how that looks.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const BUNDLED: &[&str] = &["api-key", "rate-limit"];

const GOOD: &str = r#"
[runtime]
workers = 3
plugin-cache = "cache"
connections = 1_000
requests = 0x10
plugin-calls = 7
drain = "0s"

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
grant = { secrets = ["GEO_TOKEN", "OTHER"] }
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
"#;

fn read(text: &str) -> Result<Config, Problems> {
    parse(Path::new("folder/gateway.toml"), text, BUNDLED)
}

fn good() -> Config {
    let text = GOOD.replace("64KiB", "128KiB");
    read(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn reads_the_process() {
    let config = good();
    assert_eq!(config.runtime.workers, 3);
    assert_eq!(
        config.runtime.plugin_cache,
        PluginCache::Folder("folder/cache".into())
    );
    assert_eq!(config.runtime.connections, 1_000);
    assert_eq!(config.runtime.requests, 16);
    assert_eq!(config.runtime.plugin_calls, 7);
    assert_eq!(config.runtime.drain, Duration::ZERO);
    assert_eq!(config.admin.address.to_string(), "[::1]:9901");
    let names: Vec<_> = config
        .listeners
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["public", "any"]);
    let proxies: Vec<_> = config.listeners[0]
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(
        config.secrets["GEO_TOKEN"],
        SecretSource::Environment("GEO".into())
    );
    assert_eq!(
        config.secrets["KEY"],
        SecretSource::File("folder/key.txt".into())
    );
}

#[test]
fn reads_plugins_and_policies() {
    let config = good();
    let plugin = &config.plugins["geo-guard"];
    let hash: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let path = PathBuf::from("folder/plugins/geo_guard.wasm");
    assert_eq!(
        plugin.code,
        PluginCode::File {
            path,
            sha256: Some(hash)
        }
    );
    assert_eq!(plugin.grant.secrets, ["GEO_TOKEN", "OTHER"]);
    assert_eq!(plugin.limits.memory, 128 << 10);
    assert_eq!(plugin.limits.cpu, Duration::from_millis(20));
    assert_eq!(plugin.limits.wall, Duration::from_millis(100));
    assert!(!plugin.snapshot && !plugin.large);
    assert_eq!(config.plugins["rate-limit"].limits.concurrency, 9);
    assert!(config.plugins["rate-limit"].large);

    let bundled = &config.plugins["api-key"];
    assert_eq!(bundled.code, PluginCode::Bundled);
    assert_eq!(bundled.limits, PluginLimits::default());
    assert!(bundled.snapshot);

    let geo = &config.policies["geo"];
    assert_eq!(
        (geo.instances, geo.on_fault),
        (Instances::Reused { calls: 10 }, OnFault::Open)
    );
    assert_eq!(geo.config.json, json!({}));
    assert_eq!(geo.config.positions[""], geo.position);
    let position = geo.on_fault_position.unwrap();
    assert_eq!(
        &config.source.text[position.start..position.end],
        "\"open\""
    );
}

#[test]
fn converts_a_plugins_configuration() {
    let config = good();
    let policy = &config.policies["partner-key"];
    let json = json!({ "header": "x-api-key", "a": { "b": [1, { "x/y~": 2.5 }, "2026-11-22"] } });
    assert_eq!(policy.config.json, json);
    let at = |pointer: &str| {
        let position = policy.config.positions[pointer];
        &config.source.text[position.start..position.end]
    };
    assert_eq!(at(""), "config");
    assert_eq!(at("/header"), "\"x-api-key\"");
    assert_eq!(at("/a"), "a");
    assert_eq!(at("/a/b/0"), "1");
    assert_eq!(at("/a/b/1/x~1y~0"), "2.5");
    assert!(
        policy
            .config
            .positions
            .keys()
            .all(|pointer| json.pointer(pointer).is_some())
    );
}

#[test]
fn reads_upstreams_and_routes() {
    let config = good();
    let upstream = &config.upstreams["pets"];
    let show = |one: &UpstreamServer| format!("{} {}", one.authority, one.weight);
    let servers: Vec<_> = upstream.servers.iter().map(show).collect();
    assert_eq!(servers, ["127.0.0.1:9001 1", "localhost:80 2", "[::1]:3 1"]);
    assert_eq!(upstream.timeouts.connect, Duration::from_secs(60));
    assert_eq!(upstream.timeouts.first_byte, Duration::from_millis(1_500));
    assert_eq!(upstream.timeouts.total, Duration::from_secs(60));

    let [z, a] = &config.routes[..] else { panic!() };
    assert_eq!((z.name.as_str(), a.name.as_str()), ("z", "a"));
    assert_eq!(z.matches.methods, [http::Method::GET, http::Method::HEAD]);
    assert_eq!(z.matches.path.as_str(), "/pets/{id}");
    assert_eq!(z.chain, ["geo", "partner-key"]);
    assert_eq!(z.upstream, "pets");
    assert_eq!(a.matches.methods[0].as_str(), "PURGE");
    let host = crate::route::HostPattern::Wildcard("example.com".into());
    assert_eq!(a.matches.hosts, [host]);
    assert_eq!(a.matches.priority, -5);
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
        "apis.a.base = \"/\"",
        "key-sets = {}",
        "store = {}",
        "listeners.b = { address = \"[::]:1\", tls = {} }",
        "plugins.api-key.grant.fetch = []",
    ] {
        added(key, "is not in this release");
    }
    for key in [
        "api",
        "split",
        "respond",
        "redirect",
        "when",
        "chain-reset",
        "variables",
    ] {
        let new = format!("{key} = 1\nupstream =");
        replaced(
            "upstream =",
            &new,
            &format!("`routes.r.{key}` is not in this release"),
        );
    }
    replaced(
        "\"/\"",
        "{ path = \"/\", headers = {} }",
        "`routes.r.match.headers` is not in",
    );
    replaced(
        "upstream =",
        "chain = [{ policy = \"p\", when = {} }]\nupstream =",
        "chain[0].when` is not in",
    );
}

#[test]
fn types_and_ranges() {
    added(
        "runtime = 1",
        "`runtime` must be a table such as [runtime], not an integer",
    );
    added(
        "runtime.workers = \"4\"",
        "must be an integer from 1 to 1024, not a string",
    );
    added(
        "runtime.workers = 1025",
        "`runtime.workers` must be from 1 to 1024",
    );
    added("runtime.workers = -1", "must be from 1 to 1024");
    added(
        "runtime.workers = 99999999999999999999999",
        "must be from 1 to 1024",
    );
    added(
        "runtime.plugin-cache = true",
        "cannot be true; leave it out",
    );
    added(
        "runtime.drain = 5",
        "must be a string with a unit such as \"10ms\", not an integer",
    );
    for bad in ["", "5", "5 s", "s", "1.5s", "-1s", "5S", "5MiB", "٣s"] {
        added(
            &format!("runtime.drain = \"{bad}\""),
            "units ms, s, m, h, as in \"10ms\"",
        );
    }
    added(
        "runtime.drain = \"99999999999999999999h\"",
        "must be a smaller number",
    );
    added(
        "runtime.drain = \"9999999999999999h\"",
        "must be a smaller number",
    );
    added(
        "runtime.drain = \"3601s\"",
        "`runtime.drain` must be from 0ms to 1h",
    );
    added(
        "plugins.api-key.limits.memory = \"1MB\"",
        "units B, KiB, MiB, GiB, as in \"16MiB\"",
    );
    added("plugins.api-key.limits.memory = \"1GiB1\"", "units B, KiB");
    added(
        "plugins.api-key.limits.memory = \"2GiB\"",
        "must be from 128KiB to 1GiB",
    );
    added(
        "plugins.api-key.limits.cpu = \"200ms\"",
        "`limits.cpu` (200ms) is more than `limits.wall` (100ms, the default)",
    );
    added(
        "plugins.api-key.limits.wall = \"1ms\"",
        "`limits.cpu` (10ms, the default) is more than `limits.wall` (1ms)",
    );
    added(
        "plugins.api-key.snapshot = 1",
        "must be true or false, not an integer",
    );
    added(
        "plugins.api-key.grant.secrets = \"x\"",
        "must be an array such as",
    );
    added(
        "plugins.api-key.grant.secrets = [\"a b\"]",
        "`a b` cannot be a name; a name has 1 to 64",
    );
    added(
        "upstreams.v = { servers = [] }",
        "must have 1 to 256 servers",
    );
    replaced(
        "upstream =",
        "priority = 1001\nupstream =",
        "must be from -1000 to 1000",
    );
    let long = format!("chain = [{}]\nupstream =", "\"p\",".repeat(33));
    replaced(
        "upstream =",
        &long,
        "`routes.r.chain` has more than 32 policies",
    );
    let methods: Vec<String> = (0..33).map(|index| format!("M{index}")).collect();
    let methods = format!("\"{} /\"", methods.join(","));
    replaced(
        "\"/\"",
        &methods,
        "`routes.r.match` has more than 32 methods",
    );
    let name = "n".repeat(65);
    added(
        &format!("listeners.{name}.address = \"[::]:1\""),
        "cannot be a name",
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

#[test]
fn references() {
    added(
        "plugins.api-kye = {}",
        "no `wasm`, and is not a bundled plugin; add `wasm = \"path\"`; bundled are api-key, rate-limit",
    );
    added(
        "plugins.api-key.sha256 = \"00\"",
        "pins a `wasm` file, and there is none",
    );
    added(
        "plugins.x = { wasm = \"x\", sha256 = \"00\" }",
        "must be 64 hexadecimal digits",
    );
    added(
        "plugins.x = { wasm = \"\" }",
        "`plugins.x.wasm` must be a path",
    );
    added(
        "policies.q.plugin = \"rate-limits\"",
        "there is no plugin `rate-limits`; did you mean `rate-limit`?",
    );
    added(
        "policies.q.plugin = \"other\"",
        "there is no plugin `other`; there are `api-key`, `rate-limit`",
    );
    replaced(
        "upstream = \"u\"",
        "upstream = \"w\"",
        "there is no upstream `w`; did you mean `u`?",
    );
    replaced(
        "upstream =",
        "chain = [\"nothing\"]\nupstream =",
        "there is no policy `nothing`; there are `p`",
    );
    // What is wrong itself is there all the same.
    let text = LEAST
        .replace("\"http://u\"", "7")
        .replace("\"api-key\"", "7");
    refused(
        &text,
        &[
            "`upstreams.u.servers[0]` must be",
            "`policies.p.plugin` must be",
        ],
    );
}

#[test]
fn addresses() {
    added(
        "listeners.b.address = \"localhost:1\"",
        "must be an IP address and a port; such as",
    );
    added(
        "listeners.b.address = \"127.0.0.1:1\"",
        "127.0.0.1:1 is already the address of `listeners.",
    );
    added(
        "listeners.b.address = \"127.0.0.1:9900\"",
        "is already the address of `admin`",
    );
    added(
        "admin.address = \"0.0.0.0:1\"",
        "`admin.address` must be a loopback address",
    );
    added(
        "listeners.b = { address = \"[::]:1\", trusted-proxies = [\"x\"] }",
        "an IP address or a network",
    );
    let two = "listeners.b.address = \"127.0.0.1:0\"\nlisteners.c.address = \"127.0.0.1:0\"\n";
    assert!(read(&format!("{two}{LEAST}")).is_ok());
    for bad in [
        "u",
        "",
        "http://",
        "http://:80",
        "http:///",
        "http://a b",
        "http://[::1",
        "http://u#f",
        "http://%41",
        "http://u:0",
        "http://u:",
        "http://u:65536",
        "http://u:x",
        "http://u/a",
        "http://u?q",
        "http://u/?q",
        "ftp://u",
        "http://*.u",
        "unix:/x",
        "http://me@u",
    ] {
        replaced(
            "\"http://u\"",
            &format!("{bad:?}"),
            "`upstreams.u.servers[0]` must be a URL such as",
        );
    }
    replaced(
        "http://u",
        "https://u",
        "https is not supported yet, terminate TLS in front",
    );
}

#[test]
fn matches() {
    let bad = [
        (
            "get /",
            "`get` is not a method; methods are in capitals: GET",
        ),
        ("* /", "`*` is not a method; to accept any method, leave"),
        ("GET,,PUT /", "`` is not a method"),
        ("GET PUT /", "`GET PUT` is not a method"),
        ("GET", "the path `GET` must begin with a slash"),
        ("", "the path `` must begin with a slash"),
        ("/a//b", "empty segment"),
        ("/{a", "brace inside a segment"),
        (
            "/../a",
            "matches no request: the path contains a dot segment",
        ),
        ("/a ", "has ' ' in it, which must be percent-encoded"),
    ];
    for (text, wanted) in bad {
        replaced("\"/\"", &format!("{text:?}"), wanted);
    }
    replaced(
        "\"/\"",
        "7",
        "must be a string such as \"GET,HEAD /pets/{id}\", or a table, not an integer",
    );
    replaced(
        "\"/\"",
        "{ path = \"/\", hosts = [\"a:80\"] }",
        "`a:80`: must be a host without a port",
    );
    let twice = "[routes.s]\nmatch = \"GET /{b}\"\nupstream = \"u\"\n[routes.t]\nmatch = \"GET /{c}\"\nupstream = \"u\"\n";
    refused(
        &format!("{LEAST}{twice}"),
        &["the routes `s` and `t` both match /{c} with GET; make them"],
    );
}

#[test]
fn policies() {
    added(
        "policies.q = { plugin = \"api-key\", config = 1 }",
        "must be a table such as { header",
    );
    added(
        "policies.q = { plugin = \"api-key\", config.x = nan }",
        "JSON, which has only finite numbers",
    );
    added(
        "policies.q = { plugin = \"api-key\", config.x = 1e999 }",
        "JSON, which has only finite numbers",
    );
    added(
        "policies.q = { plugin = \"api-key\", config.x = 99999999999999999999 }",
        "does not fit 64 bits",
    );
    added(
        "policies.q = { plugin = \"api-key\", instances = \"old\" }",
        "must be \"fresh\" or { calls = N }",
    );
    added(
        "policies.q = { plugin = \"api-key\", instances = { calls = 0 } }",
        "must be from 1 to 1000000",
    );
    added(
        "policies.q = { plugin = \"api-key\", on-fault = \"shut\" }",
        "must be \"closed\" or \"open\"",
    );
    let long = format!(
        "policies.q = {{ plugin = \"api-key\", config.{} = 1 }}",
        "k".repeat(1_024)
    );
    added(&long, "the keys that lead here are longer than 1024 bytes");
    let deep = format!("policies.q.config = {}{}", "[".repeat(70), "]".repeat(70));
    let deep = deep.replace("config = ", "config.x = ");
    added(
        &format!("policies.q.plugin = \"api-key\"\n{deep}"),
        "nests deeper than 64 levels",
    );
}

#[test]
fn shows_the_place() {
    let text = format!("runtime.workers = 0 # é\n\tbéé = \"ö\"\n{LEAST}");
    let shown = read(&text.replace("béé", "\"bé\""))
        .unwrap_err()
        .to_string();
    let wanted = "folder/gateway.toml:1:19: error: `runtime.workers` must be from 1 to 1024
    runtime.workers = 0 # é
                      ^
folder/gateway.toml:2:2: error: unknown key `bé`
    \t\"bé\" = \"ö\"
    \t^^^^
help: ";
    assert!(shown.starts_with(wanted), "{shown}");
    let text = "[routes.\"é\"]\r\n\t\"öö\" = { x = [\r\n1] }\r\n";
    let shown = read(text).unwrap_err().to_string();
    let wanted = "folder/gateway.toml: error: there is no listener
help: add a section `[listeners.public]` with `address = \"0.0.0.0:8080\"`
folder/gateway.toml: error: there is no route
help: add a section `[routes.NAME]` with `match` and `upstream`
folder/gateway.toml:1:9: error: `é` cannot be a name
    [routes.\"é\"]
            ^^^
help: a name has 1 to 64 of the characters A-Z a-z 0-9 _ -
";
    assert_eq!(shown, wanted);
}

#[test]
fn shows_part_of_a_long_line() {
    let text = format!(
        "x = [{}]\ncolour = 1 # {}\n{LEAST}",
        "1,".repeat(500),
        "é".repeat(500)
    );
    let shown = read(&text).unwrap_err().to_string();
    assert!(
        shown.lines().all(|line| line.chars().count() < 200),
        "{shown}"
    );
    // Far into the line the carets are in sight too.
    let text = LEAST.replace(
        "[\"http://u\"]",
        &format!("[{}7]", "\"http://u\", ".repeat(99)),
    );
    let shown = read(&text).unwrap_err().to_string();
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines[2]
        .chars()
        .position(|character| character == '^')
        .unwrap();
    assert_eq!(lines[1].chars().nth(caret), Some('7'), "{shown}");
}

#[test]
fn reports_every_syntax_error_and_no_echo() {
    let text = LEAST
        .replace("\"api-key\"", "api-key")
        .replace("match =", "match ==");
    refused(
        &text,
        &[
            "string values must be quoted",
            "extra `=`;",
            "unexpected key or value",
        ],
    );
    let text = format!("a = 1\na = 2\n{LEAST}");
    refused(&text, &["unknown key `a`", "the key `a` is set twice"]);
    // What is wrong elsewhere is still told.
    refused(
        "x = \nruntime.workers = 0\n",
        &["string values must be quoted", "must be from 1 to 1024"],
    );
}

#[test]
fn says_how_many_more() {
    let text: String = (0..150).map(|index| format!("k{index} = 1\n")).collect();
    let problems = read(&format!("{text}{LEAST}")).unwrap_err();
    assert_eq!(problems.problems.len(), 150);
    assert!(
        problems
            .to_string()
            .ends_with("folder/gateway.toml: error: 50 more problems\n")
    );
}

#[test]
fn never_prints_a_secret() {
    for text in [
        "secrets.A = \"hunter2\"",
        "secrets = \"hunter2\"",
        "secrets = [\"hunter2\"]",
        "[secrets]\n\"a b\" = \"hunter2\"",
        "[secrets]\nA = { evn = \"hunter2\" }",
        "[secrets]\nA = hunter2",
        "[secrets]\nA = \"hunter2",
        "[secrets]\nA = 'x' 'hunter2'",
        "[ \"secrets\" ]\nA = hunter2\n",
        "[secrets]\nA = \"\"\"\nx\\q hunter2\n\"\"\"",
        "upstreams.v.servers = [\"http://bob:hunter2@host\"]",
        "upstreams.v.servers = [\"http://bob:hun/hunter2@host\"]",
        "upstreams.v.servers = [\"https://hunter2@host/\" 'x']",
        "upstreams.v.servers = http://hunter2@host/",
    ] {
        let problems = read(text).map(|_| ()).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
}

#[test]
fn shows_what_others_find() {
    let config = good();
    let position = config.policies["partner-key"].config.positions["/header"];
    let problem = Problem::new(position, "no such header").with_help("try another");
    let shown = Problems::new(config.source, vec![problem]).to_string();
    let wanted = "folder/gateway.toml:37:17: error: no such header
    config.header = \"x-api-key\"
                    ^^^^^^^^^^^
help: try another
";
    assert_eq!(shown, wanted);
}

#[test]
fn files() {
    let folder = std::env::temp_dir().join(format!("tollgate-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gateway.toml");
    let message = || load(&file, BUNDLED).map(|_| ()).unwrap_err().to_string();
    assert!(message().contains("gateway.toml: error: cannot be read: "));
    std::fs::write(&file, b"a\n\xff").unwrap();
    assert!(message().contains("is not UTF-8 text: see line 2"));
    std::fs::write(&file, vec![b'#'; CONFIG_BYTES_MAX + 1]).unwrap();
    assert!(message().contains("is larger than 4MiB"));
    std::fs::write(&file, LEAST).unwrap();
    assert_eq!(load(&file, BUNDLED).unwrap().file, file);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Nesting beyond what anyone writes must be a problem and not a stack overflow; test threads have
/// less stack than the process.
#[test]
fn survives_nesting() {
    let dotted = vec!["a"; 79].join(".");
    let inline = format!(
        "{}1{}",
        format!("{{ {dotted} = ").repeat(75),
        "}".repeat(75)
    );
    for text in [
        format!("policies.p.config = {inline}"),
        format!("[{dotted}]\n{dotted} = {inline}"),
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{ a = ".repeat(100_000)),
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["a"; 100_000].join(".")),
    ] {
        let problems = read(&text).map(|_| ()).unwrap_err();
        assert!(!problems.to_string().is_empty());
    }
}

/// Pieces that make a text more than noise.
const PIECES: [&str; 36] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'",
    "\"\"\"",
    "\n",
    "\r\n",
    "#",
    " ",
    "routes",
    "match",
    "listeners",
    "a",
    "upstreams",
    "servers",
    "policies",
    "plugin",
    "config",
    "secrets",
    "5",
    "-1e9",
    "inf",
    "true",
    "2026-11-22",
    "\"x\"",
    "é",
    "\\u",
    "\0",
    "\u{feff}",
];

fn checked(text: &str) {
    match read(text) {
        Ok(config) => assert!(!config.routes.is_empty() && !config.listeners.is_empty()),
        Err(problems) => assert!(!problems.problems.is_empty() && !problems.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,60}") {
        checked(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        checked(&pieces.concat());
    }

    #[test]
    fn mutated_text(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(&PIECES[..])), 1..6),
    ) {
        let mut text = GOOD.to_owned();
        for (index, length, piece) in changes {
            let start = text.floor_char_boundary(index.index(text.len() + 1));
            let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
            text.replace_range(start..end, piece);
        }
        checked(&text);
    }

    #[test]
    fn shuffled_lines(lines in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let all: Vec<&str> = GOOD.lines().collect();
        let text: Vec<&str> = lines.iter().map(|index| all[index.index(all.len())]).collect();
        checked(&text.join("\n"));
    }
}
