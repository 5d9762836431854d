//! What a plugin reaches through the host: other upstreams, kept state, metrics of its own, and signatures
//! (`fetch`, `kv`, `metrics` and `signatures` in `wit/host.wit`).
//!
//! The guest does what the header `x-do` says, and answers what it was told; see `tests/guests/reach`.

mod exposition;
mod fetch;
mod fetch_bounds;
mod key_files;
mod kv;
mod metrics;
mod signatures;
mod tokens;

use serde_json::Value;
use tollgate_tests::{Client, Folder, Gateway, Origin, Response, check, guest};

use crate::components::rewritten;
use crate::scene::Scene;

const ALL: &str = "grant = { fetch = [\"users\"], kv = true }";

/// The guest as plugin and policy `reach`, with every grant; `users` is the upstream that it may ask.
/// Other paths than `/reach` go to the origin without plugins.
fn scene(origin: &Origin, users: &str) -> Scene {
    Scene::new(origin)
        .with(&format!("[upstreams.users]\nservers = [\"{users}\"]"))
        .plugin("reach", &guest("guest_reach"), ALL)
        .policy("reach", "reach", "")
        .route("reach", "/reach", &["reach"])
        .route("plain", "/plain", &[])
}

/// Where nothing but the plugin is asked.
fn alone() -> Scene {
    Scene::unserved()
        .with("[upstreams.users]\nservers = [\"http://127.0.0.1:1\"]")
        .plugin("reach", &guest("guest_reach"), ALL)
        .policy("reach", "reach", "")
        .route("reach", "/reach", &["reach"])
}

/// A request that has the guest do this.
pub fn asking(path: &str, steps: &Value, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-do: {steps}\r\nx-token: {token}\r\n\r\n")
}

#[track_caller]
pub fn told(response: &Response) -> Vec<Value> {
    assert_eq!(response.status, 200, "{}", response.text());
    match response.json() {
        Value::Array(told) => told,
        other => panic!("not what the guest says: {other}"),
    }
}

/// Has the guest behind `/reach` do this, in one call.
#[track_caller]
fn ask(gateway: &Gateway, steps: &Value) -> Vec<Value> {
    told(&gateway.request(asking("/reach", steps, "")))
}

/// The same on a kept connection.
#[track_caller]
fn ask_on(client: &mut Client, path: &str, steps: &Value) -> Vec<Value> {
    client.send(asking(path, steps, ""));
    told(&client.read())
}

/// Its interfaces are what an ungranted component is refused for.
#[test]
fn each_capability_is_refused_by_name() {
    for (grant, interface, line) in [
        ("kv = true", "fetch", "fetch = [\"UPSTREAM\"]"),
        ("fetch = [\"users\"]", "kv", "kv = true"),
        ("fetch = [\"users\"], kv = false", "kv", "kv = true"),
        (
            "bodies = \"1KiB\", fetch = [], kv = true",
            "fetch",
            "fetch = [\"UPSTREAM\"]",
        ),
    ] {
        let scene = Scene::unserved()
            .with("[upstreams.users]\nservers = [\"http://127.0.0.1:1\"]")
            .plugin(
                "reach",
                &guest("guest_reach"),
                &format!("grant = {{ {grant} }}"),
            )
            .policy("reach", "reach", "");
        let said = check(&scene.toml());
        assert!(!said.ok, "{grant}");
        let text = format!(
            "it imports `{interface}`, which is not granted; add `grant = {{ {line} }}` to the plugin"
        );
        assert!(
            said.stderr.contains(&text),
            "no `{text}` in {}",
            said.stderr
        );
        assert!(said.stderr.contains("`reach`"), "{}", said.stderr);
    }
    // An upstream that the configuration does not have.
    let scene = Scene::unserved()
        .plugin(
            "reach",
            &guest("guest_reach"),
            "grant = { fetch = [\"nowhere\"], kv = true }",
        )
        .policy("reach", "reach", "");
    let said = check(&scene.toml());
    assert!(
        !said.ok && said.stderr.contains("nowhere"),
        "{}",
        said.stderr
    );
}

/// What they would learn would be frozen into the snapshot.
#[test]
fn nothing_is_reached_while_configuring() {
    for (step, import) in [
        (r#"{ jws = "keys" }"#, "signatures.verify-jws"),
        (r#"{ verify = ["EdDSA", "", "", ""] }"#, "signatures.verify"),
        (r#"{ get = "key" }"#, "kv.get"),
        (r#"{ set = ["key", "value", 1] }"#, "kv.set"),
        (r#"{ delete = "key" }"#, "kv.delete"),
        (r#"{ add = ["key", 1, 1] }"#, "kv.add"),
        (r#"{ replace = ["key", "", "value", 1] }"#, "kv.replace"),
        (r#"{ fetch = { upstream = "users" } }"#, "fetch.send"),
        (r#"{ counter = ["name", [], 1] }"#, "metrics.counter-add"),
        (
            r#"{ histogram = ["name", [], 1.0] }"#,
            "metrics.histogram-record",
        ),
    ] {
        let scene = Scene::unserved()
            .with("[upstreams.users]\nservers = [\"http://127.0.0.1:1\"]")
            .plugin("reach", &guest("guest_reach"), ALL)
            .policy("reach", "reach", &format!("config.configure = [{step}]"));
        let said = check(&scene.toml());
        assert!(!said.ok, "{step}");
        let text = format!("`{import}` was called during `configure`");
        assert!(
            said.stderr.contains(&text),
            "no `{text}` in {}",
            said.stderr
        );
    }
}

#[test]
fn nothing_is_reached_while_describing() {
    let scene = Scene::unserved()
        .plugin("asks", &guest("guest_reach_describe"), "")
        .policy("asks", "asks", "");
    let said = check(&scene.toml());
    assert!(!said.ok);
    let text = "`signatures.verify-jws` was called during `describe`";
    assert!(said.stderr.contains(text), "no `{text}` in {}", said.stderr);
}

/// A component that says it was built against a later interface of the same version is not linked with
/// less than it asks for.
#[test]
fn a_function_that_the_interface_does_not_have_is_refused() {
    let folder = Folder::new();
    let wasm = rewritten(&folder, "guest_reach", |text| {
        let changed = text.replace("\"delete\"", "\"forget\"");
        assert_ne!(changed, text);
        changed
    });
    let scene = Scene::unserved()
        .with("[upstreams.users]\nservers = [\"http://127.0.0.1:1\"]")
        .plugin("reach", &wasm, ALL)
        .policy("reach", "reach", "");
    let said = check(&scene.toml());
    assert!(!said.ok);
    assert!(said.stderr.contains("forget"), "{}", said.stderr);
}
