//! The onion: chains of the gateway, the API and the route, in the order written on the way in and in
//! reverse on the way out.
//!
//! Each entry of these tests appends its label to `x-trace`, of the request and of the response; an
//! `x-act` header tells one of them to answer or to fail.

mod errors;
mod preflights;
mod when;

use tollgate_tests::{Folder, Gateway, Origin, Response, latin1};

use crate::kinds::{PATIENT, transformer};
use crate::scene::Scene;

/// A scene with these policies, each of which traces under its own name, and with no route yet.
fn traced(folder: &Folder, origin: &Origin, labels: &[&str]) -> Scene {
    let scene = Scene::new(origin).plugin("trace", &transformer(folder), PATIENT);
    labels.iter().fold(scene, |scene, label| {
        scene.policy(label, "trace", &format!("config.label = \"{label}\""))
    })
}

/// Which entries the request passed, as the echoing origin saw it.
#[track_caller]
fn inwards(response: &Response) -> String {
    let labels = response.echoed("x-trace");
    let labels: Vec<String> = labels.iter().map(|label| latin1(label)).collect();
    labels.join(" ")
}

/// Which entries the response passed.
fn outwards(response: &Response) -> String {
    response.headers("x-trace").join(" ")
}

fn reversed(labels: &str) -> String {
    let labels: Vec<&str> = labels.split(' ').rev().collect();
    labels.join(" ")
}

/// That the request passed these, and the response the same in reverse.
#[track_caller]
fn assert_passes(response: &Response, labels: &str) {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(inwards(response), labels);
    assert_eq!(outwards(response), reversed(labels));
}

/// Chains of all three places.
const NESTED: &str = r#"
    [gateway]
    chain = ["g1", "g2"]
    variables = { tier = "bronze", region = "eu", own = "gateway" }

    [apis.store]
    base = "/store"
    chain = ["a1", "a2"]
    variables = { tier = "silver", region = "us" }

    [routes.pet]
    api = "store"
    match = "/pets/{id}"
    chain = ["r1", "r2"]
    variables = { tier = "gold" }
    upstream = "origin"

    [routes.store]
    api = "store"
    match = "GET"
    upstream = "origin"

    [routes.alone]
    api = "store"
    match = "/alone"
    chain = ["r1"]
    chain-reset = true
    upstream = "origin"

    [routes.nothing]
    match = "/nothing"
    chain-reset = true
    upstream = "origin"
"#;

const LABELS: [&str; 6] = ["g1", "g2", "a1", "a2", "r1", "r2"];

fn nested(folder: &Folder, origin: &Origin) -> Scene {
    traced(folder, origin, &LABELS)
        .with(NESTED)
        .route("plain", "/plain", &[])
}

#[test]
fn gateway_api_and_route_run_in_order_in_and_in_reverse_out() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&nested(&folder, &origin).toml());
    assert_passes(&gateway.get("/store/pets/7"), "g1 g2 a1 a2 r1 r2");
    assert_passes(&gateway.get("/store"), "g1 g2 a1 a2");
    assert_passes(&gateway.get("/plain"), "g1 g2");
    // What no route takes has no chain.
    let response = gateway.get("/pets/7");
    assert_eq!((response.status, outwards(&response)), (404, String::new()));

    let record = gateway.record(|record| record["path"] == "/store/pets/7");
    let entries = record["entries"].as_array().expect("entries");
    let visited: Vec<String> = entries
        .iter()
        .map(|entry| {
            assert_eq!(entry["verdict"], "next");
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            format!("{}-{}", text("policy"), text("side"))
        })
        .collect();
    let (ins, outs) = visited.split_at(LABELS.len());
    assert_eq!(ins, LABELS.map(|label| format!("{label}-in")));
    let mut expected = LABELS.map(|label| format!("{label}-out"));
    expected.reverse();
    assert_eq!(outs, expected);
}

#[test]
fn a_reset_drops_what_is_inherited_of_chains() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&nested(&folder, &origin).toml());
    assert_passes(&gateway.get("/store/alone"), "r1");
    let response = gateway.get("/nothing");
    assert_passes(&response, "");
}

#[test]
fn one_policy_can_stand_at_several_places() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = traced(&folder, &origin, &["a", "b"])
        .with("[gateway]\nchain = [\"a\", \"b\", \"a\"]")
        .route("all", "/{rest+}", &["b", "a", "a"]);
    let gateway = Gateway::start(&scene.toml());
    assert_passes(&gateway.get("/x"), "a b a b a a");
}

#[test]
fn the_nearest_variable_holds() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let tell = "config.tell = { x-tier = \"variable:tier\", x-region = \"variable:region\", \
                x-own = \"variable:own\", x-none = \"variable:none\" }";
    let scene = Scene::new(&origin)
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy("tell", "trace", tell);
    let toml = LABELS
        .iter()
        .fold(scene, |scene, label| scene.policy(label, "trace", tell))
        .with(NESTED)
        .route("plain", "/plain", &["tell"])
        .toml();
    let gateway = Gateway::start(&toml);
    for (path, tier, region) in [
        ("/store/pets/7", "gold", "us"),
        ("/store", "silver", "us"),
        // Variables are inherited also where chains are not.
        ("/store/alone", "silver", "us"),
        ("/plain", "bronze", "eu"),
    ] {
        let response = gateway.get(path);
        assert_eq!(response.echoed("x-tier"), [tier.as_bytes()], "{path}");
        assert_eq!(response.echoed("x-region"), [region.as_bytes()], "{path}");
        assert_eq!(response.echoed("x-own"), [b"gateway"], "{path}");
        assert!(response.echoed("x-none").is_empty(), "{path}");
    }
}

#[test]
fn the_base_of_an_api_stands_before_its_paths() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let tell = "config.tell = { x-id = \"path-parameter:id\", x-path = \"path\", \
                x-route = \"route-name\" }";
    let scene = Scene::new(&origin)
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy("tell", "trace", tell)
        .with("[apis.store]\nbase = \"/store/v1\"\nchain = [\"tell\"]\nhosts = [\"store.example\"]")
        .with("[routes.pet]\napi = \"store\"\nmatch = \"GET /pets/{id}\"\nupstream = \"origin\"")
        .with("[routes.base]\napi = \"store\"\nmatch = \"GET,PUT\"\nupstream = \"origin\"")
        .with("[routes.slash]\napi = \"store\"\nmatch = \"/\"\nupstream = \"origin\"")
        .with(
            "[routes.own]\napi = \"store\"\n\
             match = { path = \"/own\", hosts = [\"own.example\"] }\nupstream = \"origin\"",
        )
        .route("elsewhere", "/{rest+}", &[]);
    let gateway = Gateway::start(&scene.toml());
    let get = |host: &str, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        gateway.request(head)
    };
    let response = get("store.example", "/store/v1/pets/a%20b?x=1");
    assert_eq!(response.echoed("x-id"), [b"a b"]);
    assert_eq!(response.echoed("x-path"), [b"/store/v1/pets/a%20b"]);
    assert_eq!(response.json()["target"], "/store/v1/pets/a%20b?x=1");

    for (host, path, route) in [
        ("store.example", "/store/v1", Some("base")),
        ("store.example", "/store/v1/", Some("slash")),
        ("own.example", "/store/v1/own", Some("own")),
        ("store.example", "/store/v1/own", None),
        ("own.example", "/store/v1/pets/1", None),
        ("store.example", "/pets/1", None),
        ("store.example", "/store/v1pets/1", None),
    ] {
        let response = get(host, path);
        assert_eq!(response.status, 200, "{host}{path}");
        let told = response.echoed("x-route");
        let expected: Vec<&[u8]> = route.iter().map(|route| route.as_bytes()).collect();
        assert_eq!(told, expected, "{host}{path}");
    }
    let raw = "DELETE /store/v1 HTTP/1.1\r\nhost: store.example\r\nconnection: close\r\n\r\n";
    assert_eq!(gateway.request(raw).status, 200, "elsewhere takes any");
}

#[test]
fn a_route_can_end_in_an_answer_of_the_gateways_own() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = traced(&folder, &origin, &["outer", "inner"])
        .with("[gateway]\nchain = [\"outer\"]")
        .with(
            r#"
            [routes.gone]
            match = "/gone/{rest+}"
            chain = ["inner"]
            respond = { status = 410, headers = { content-type = "text/plain", x-many = ["a", "b"], x-trace = "own" }, body = "gone\n" }

            [routes.empty]
            match = "GET,HEAD,POST /empty"
            chain-reset = true
            respond = { status = 204 }
        "#,
        )
        .route("plain", "/plain", &[]);
    let gateway = Gateway::start(&scene.toml());
    let response = gateway.get("/gone/x");
    assert_eq!(response.status, 410);
    assert_eq!(response.text(), "gone\n");
    assert_eq!(response.headers("content-type"), ["text/plain"]);
    assert_eq!(response.headers("content-length"), ["5"]);
    assert_eq!(response.headers("x-many"), ["a", "b"]);
    assert_eq!(response.headers("x-trace"), ["own", "inner", "outer"]);
    assert!(response.complete);

    let mut client = gateway.client();
    for round in 0..2 {
        client.send("HEAD /gone/x HTTP/1.1\r\nhost: a\r\n\r\n");
        let response = client.read();
        assert_eq!(response.status, 410, "round {round}");
        assert_eq!(response.headers("content-length"), ["5"]);
        client.send("POST /gone/x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
        let response = client.read();
        assert_eq!((response.status, response.text()), (410, "gone\n".into()));
        client.send("POST /empty HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
        let response = client.read();
        assert_eq!((response.status, response.body.len()), (204, 0));
        assert!(response.header("content-length").is_none());
        assert_eq!(outwards(&response), "");
    }
    // An entry answers before the route does.
    let response = gateway.get_with("/gone/x", &[("x-act", "respond:inner")]);
    assert_eq!(
        (response.status, outwards(&response)),
        (299, "outer".into())
    );
    assert_eq!(origin.requests(), 0);
    let record = gateway.record(|record| record["path"] == "/gone/x");
    assert!(record["upstream"].is_null());
    assert!(record["failure"].is_null(), "{record}");
}
