//! What a trusted proxy says, and who is told so.

use serde_json::json;
use tollgate_tests::{Gateway, Origin, Step, echo};

use super::{get, status, told, trusting};

const LISTS: &str = r#"
[policies.not-them]
plugin = "ip-allow"
config = { deny = ["203.0.113.0/24", "2001:db8::/32"] }
[policies.only-us]
plugin = "ip-allow"
config = { allow = ["127.0.0.0/8", "10.0.0.0/8", "198.51.100.0/24"] }
[policies.one]
plugin = "rate-limit"
config = { per = "client-address", rate = "1/h" }
[policies.tell]
plugin = "headers"
config = { request.set = { x-client = "{client-address}", x-host = "{host}" } }
"#;

fn lists(origin: &Origin) -> Gateway {
    let scene = trusting(origin)
        .with(LISTS)
        .route("denied", "/denied", &["not-them"])
        .route("allowed", "/allowed", &["only-us"])
        .route("limited", "/limited", &["one"])
        .route("told", "/told", &["tell"]);
    Gateway::start(&scene.toml())
}

#[test]
fn no_form_of_an_address_gets_around_a_list() {
    let origin = Origin::echo();
    let gateway = lists(&origin);
    let bad = [
        "203.0.113.9",
        "203.0.113.9:51234",
        "[::ffff:203.0.113.9]:80",
        "::ffff:203.0.113.9",
        "[2001:db8::9]:443",
        "[2001:db8::9]",
        "2001:db8::9",
        "\"[2001:db8::9]:443\"",
        "203.0.113.9,",
        "203.0.113.9 , , 10.0.0.1:80",
        "203.0.113.9, unknown",
        "198.51.100.1, _hidden",
        "198.51.100.1, 203.0.113.9:port",
        "unknown",
        "-",
        "localhost",
    ];
    for list in bad {
        let line = format!("x-forwarded-for: {list}");
        assert_eq!(status(&gateway, "/denied", &[&line]), 403, "{list}");
        assert_eq!(status(&gateway, "/allowed", &[&line]), 403, "{list}");
    }
    let lines = [
        "x-forwarded-for: 203.0.113.9",
        "x-forwarded-for: ,",
        "x-forwarded-for: 10.0.0.9",
    ];
    assert_eq!(status(&gateway, "/denied", &lines), 403);
    for list in [
        "198.51.100.7:1",
        "198.51.100.7",
        "198.51.100.7, 10.0.0.1:1",
        "",
    ] {
        let line = format!("x-forwarded-for: {list}");
        assert_eq!(status(&gateway, "/denied", &[&line]), 200, "{list}");
        assert_eq!(status(&gateway, "/allowed", &[&line]), 200, "{list}");
    }
}

#[test]
fn each_client_is_limited_alone() {
    let origin = Origin::echo();
    let gateway = lists(&origin);
    for (list, expected) in [
        ("198.51.100.1:1111", 200),
        ("198.51.100.2:2222", 200),
        ("[2001:db8:1::9]:443", 200),
        ("198.51.100.1:3333", 429),
        ("198.51.100.1", 429),
        // Nobody knows who these are: they have one counter together.
        ("unknown", 200),
        ("_other", 429),
    ] {
        let line = format!("x-forwarded-for: {list}");
        assert_eq!(status(&gateway, "/limited", &[&line]), expected, "{list}");
    }
}

#[test]
fn a_client_that_nobody_knows_is_told_as_such() {
    let origin = Origin::echo();
    let gateway = lists(&origin);
    let lines = [
        "x-forwarded-for: 198.51.100.1, unknown",
        "x-real-ip: 6.6.6.6",
    ];
    let answer = gateway.request_to("inner", get("/told", &lines));
    assert_eq!(answer.echoed("x-client"), [b"unknown"]);
    assert!(answer.echoed("x-real-ip").is_empty());
    assert_eq!(
        answer.echoed("x-forwarded-for"),
        [b"198.51.100.1, unknown, 127.0.0.1"]
    );
    let record = gateway.record(|record| record["path"] == "/told");
    assert_eq!(record["client"], json!(null));
    let lines = ["x-forwarded-for: 198.51.100.1:80", "x-real-ip: 6.6.6.6"];
    let answer = gateway.request_to("inner", get("/told", &lines));
    assert_eq!(answer.echoed("x-client"), [b"198.51.100.1"]);
    assert_eq!(answer.echoed("x-real-ip"), [b"198.51.100.1"]);
}

/// The cache's status, and what the upstream was told.
fn cached(gateway: &Gateway, path: &str, lines: &[&str]) -> (bool, Vec<String>) {
    let answer = gateway.request_to("inner", get(path, lines));
    let is_hit = answer
        .header("cache-status")
        .expect("a status")
        .contains("hit");
    (is_hit, told(&answer, &["x-forwarded-p", "x-forwarded-h"]))
}

#[test]
fn what_the_upstream_is_told_of_the_target_is_in_the_caches_key() {
    let origin = Origin::echo();
    let config = "config = { ttl = \"1m\" }";
    let scene = trusting(&origin)
        .policy("cache", "http-cache", config)
        .policy("by-the-book", "http-cache", "")
        .policy(
            "elsewhere",
            "rewrite",
            r#"config = { rules = [{ authority = "inner.example" }] }"#,
        )
        .route("a", "/a", &["cache"])
        .route("b", "/b", &["elsewhere", "cache"]);
    let gateway = Gateway::start(&scene.toml());
    let told = [
        &[][..],
        &["x-forwarded-proto: https"],
        &["x-forwarded-host: evil.example"],
        &["x-forwarded-proto: https", "x-forwarded-host: evil.example"],
        &["x-forwarded-port: 8080"],
        &["x-forwarded-prefix: /evil"],
        &["x-forwarded-prefix: /evil", "x-forwarded-prefix: /more"],
    ];
    for path in ["/a", "/b"] {
        let first = told.map(|lines| cached(&gateway, path, lines));
        for (lines, (is_hit, _)) in told.iter().zip(&first) {
            assert!(!is_hit, "{path} {lines:?} was answered with another's");
        }
        for (lines, (_, first)) in told.iter().zip(&first) {
            assert_eq!(
                cached(&gateway, path, lines),
                (true, first.clone()),
                "{path}"
            );
        }
        // What is not believed is as if it were not there.
        for lines in [
            "x-forwarded-proto: javascript",
            "x-forwarded-host: a.example/x",
            "x-forwarded-port: evil",
        ] {
            let (is_hit, told) = cached(&gateway, path, &[lines]);
            assert!(is_hit && told == first[0].1, "{path} {lines}: {told:?}");
        }
        assert!(cached(&gateway, path, &["x-forwarded-proto: http"]).0);
        // Who asks is not what is asked for.
        assert!(cached(&gateway, path, &["x-forwarded-for: 198.51.100.1"]).0);
    }
}

const SIGN_IN: &str = r#"
[policies.sign-in]
plugin = "ext-auth"
config = { upstream = "origin", path = "/auth", principal = { header = "x-auth-user" } }
[policies.tell]
plugin = "headers"
config = { request.set = { x-told = "{host}" } }
"#;

#[test]
fn plugins_are_told_what_the_upstream_is_told() {
    let origin = Origin::raw(|request| {
        vec![Step::Send(match request.target.as_str() {
            "/auth" => b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_vec(),
            _ => echo(request),
        })]
    });
    let scene = trusting(&origin)
        .with(SIGN_IN)
        .route("app", "/app/{rest+}", &["sign-in"])
        .route("told", "/told", &["tell"]);
    let gateway = Gateway::start(&scene.toml());
    let mut number = 0;
    let mut check = |lines: &[&str], proto: &str, host: &str| {
        gateway.request_to("inner", get("/app/x", lines));
        gateway.request_to("inner", get("/told", lines));
        let (question, answered) = (origin.request(number), origin.request(number + 1));
        number += 2;
        assert_eq!(question.header("x-forwarded-proto").as_deref(), Some(proto));
        assert_eq!(question.header("x-forwarded-host").as_deref(), Some(host));
        assert_eq!(
            answered.header("x-told").as_deref(),
            Some(host),
            "{lines:?}"
        );
        assert_eq!(answered.header("x-forwarded-proto").as_deref(), Some(proto));
        assert_eq!(answered.header("x-forwarded-host").as_deref(), Some(host));
        assert_eq!(answered.header("host").as_deref(), Some("api.example"));
    };
    check(&[], "http", "api.example");
    check(
        &["x-forwarded-proto: https", "x-forwarded-host: app.example"],
        "https",
        "app.example",
    );
    check(&["x-forwarded-port: 8443"], "http", "api.example:8443");
    check(&["x-forwarded-proto: https, http"], "http", "api.example");
    check(
        &["x-forwarded-host: a.example", "x-forwarded-host: b.example"],
        "http",
        "api.example",
    );
}

const HOSTS: &str = r#"
[policies.guard]
plugin = "ip-allow"
config = { allow = ["192.0.2.1"] }
[upstreams.o]
servers = ["ORIGIN"]
[routes.by-host]
match = { path = "/a", hosts = ["api.example"] }
chain = [{ policy = "guard", when = { hosts = ["admin.example"] } }]
upstream = "o"
[routes.other]
match = { path = "/a", hosts = ["other.example"] }
respond = { status = 204 }
"#;

/// A proxy may pass on what its client wrote: that chooses no route, and gets around no entry.
#[test]
fn routes_go_by_the_host_and_entries_by_either() {
    let origin = Origin::echo();
    let hosts = HOSTS.replace("ORIGIN", &origin.url());
    let gateway = Gateway::start(&trusting(&origin).with(&hosts).route("x", "/x", &[]).toml());
    assert_eq!(status(&gateway, "/a", &[]), 200);
    assert_eq!(
        status(&gateway, "/a", &["x-forwarded-host: other.example"]),
        200
    );
    assert_eq!(
        status(&gateway, "/a", &["x-forwarded-host: admin.example"]),
        403
    );
}
