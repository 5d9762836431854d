//! `[plugins]` and `[policies]`.

use serde_json::json;

use super::*;

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
    // It waits for peers.
    assert_eq!(plugin.limits.wall, Duration::from_secs(30));
    assert_eq!(plugin.grant.bodies, Some(64 << 10));
    assert_eq!(plugin.grant.fetch, ["pets"]);
    assert!(plugin.grant.kv);
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
        "there is no plugin `other`; known plugins: `api-key`, `rate-limit`",
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
fn policies() {
    added(
        "policies.q = { plugin = \"api-key\", config = 1 }",
        "must be a table such as { header",
    );
    added(
        "policies.q = { plugin = \"api-key\", config.x = nan }",
        "this number is not finite; JSON has only",
    );
    added(
        "policies.q = { plugin = \"api-key\", config.x = 1e999 }",
        "this number is not finite; JSON has only",
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
    for (value, wanted) in [
        ("\"25h\"", "must be from 0ms to 24h"),
        ("\"1d\"", "the units ms, s, m, h"),
        ("5", "must be a string with a unit"),
        ("false", "must be a string with a unit"),
    ] {
        let entry = "policies.q = { plugin = \"api-key\", remember-at-most = ";
        added(&format!("{entry}{value} }}"), wanted);
    }
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
fn limits_of_a_plugin() {
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
}

#[test]
fn grants() {
    let wall = |grant: &str, limits: &str| {
        let text = format!("plugins.api-key = {{ grant = {grant}, limits = {limits} }}\n{LEAST}");
        let config = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
        config.plugins["api-key"].limits.wall.as_millis()
    };
    assert_eq!(wall("{ kv = true, secrets = [\"A\"] }", "{}"), 100);
    assert_eq!(wall("{ bodies = \"1B\" }", "{ cpu = \"5ms\" }"), 30_000);
    assert_eq!(wall("{ fetch = [\"u\"] }", "{ cpu = \"200ms\" }"), 30_000);
    assert_eq!(wall("{ fetch = [\"u\"] }", "{ wall = \"50ms\" }"), 50);
    assert_eq!(wall("{ fetch = [], kv = false }", "{}"), 100);
    // What goes through in pieces is waited for between the calls.
    assert_eq!(wall("{ streams = true }", "{}"), 100);

    let grant = |grant, wanted| added(&format!("plugins.api-key.grant = {grant}"), wanted);
    grant("{ bodies = \"17MiB\" }", "must be from 1B to 16MiB");
    grant("{ bodies = \"0B\" }", "must be from 1B to 16MiB");
    grant("{ bodies = true }", "must be a string with a unit such as");
    grant(
        "{ fetch = [\"uu\"] }",
        "there is no upstream `uu`; did you mean `u`?",
    );
    grant(
        "{ fetch = \"u\" }",
        "`plugins.api-key.grant.fetch` must be an array",
    );
    grant("{ kv = \"yes\" }", "must be true or false");
    grant("{ streams = \"yes\" }", "must be true or false");
    grant("{ bodie = \"1B\" }", "did you mean `bodies`?");
}
