//! The plugins that come with the gateway, in chains as an operator writes them.

use tollgate_tests::{Gateway, Origin, Response, Step, echo, latin1};

use crate::scene::Scene;

const KEYS: &str = "\
config.consumers.alice.sha256 = [
    \"a71a7c7011f53a1bab3642ec2ce12593f05230ace8de1e3e7645f69efac1443d\", # wonderland
    \"16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4\", # second
]
config.consumers.alice.claims = { tier = \"gold\", seats = 3 }
config.consumers.alice.usage-key = \"acme\"
config.consumers.bob.sha256 = [\"df6b07176a9b17cc4c9afc257bd404732e7d09b76436c7890f7b7be14e579794\"]
";

fn assert_refused(response: &Response, detail: &str) {
    assert_eq!(response.status, 401, "{response:?}");
    assert_eq!(
        response.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert_eq!(
        response.header("www-authenticate").as_deref(),
        Some("ApiKey realm=\"tollgate\"")
    );
    assert_eq!(response.json()["detail"], detail);
}

#[test]
fn api_key_admits_who_shows_a_key() {
    let origin = Origin::echo();
    let tell = "config.request.set = { x-user = \"{principal}\", x-tier = \"{claim.tier}\", \
                x-seats = \"{claim.seats}\", x-usage = \"{usage-key}\" }";
    let toml = Scene::new(&origin)
        .policy("keys", "api-key", KEYS)
        .policy("tell", "headers", tell)
        .toml();
    let gateway = Gateway::start(&toml);
    for key in ["wonderland", "second"] {
        // What a client says of itself does not count.
        let headers = [
            ("X-Api-Key", key),
            ("x-user", "mallory"),
            ("x-tier", "platinum"),
        ];
        let response = gateway.get_with("/a", &headers);
        assert_eq!(response.status, 200);
        assert_eq!(response.echoed("x-user"), [b"alice"]);
        assert_eq!(response.echoed("x-tier"), [b"gold"]);
        assert_eq!(response.echoed("x-seats"), [b"3"]);
        assert_eq!(response.echoed("x-usage"), [b"acme"]);
    }
    let record = gateway.record(|record| record["status"] == 200);
    assert_eq!(record["principal"], "alice");
    assert_eq!(record["entries"][0]["policy"], "keys");
    assert_eq!(record["entries"][0]["verdict"], "allow");
    let served = origin.requests();

    assert_refused(
        &gateway.get_with("/a", &[("x-api-key", "guess")]),
        "this API key is not known",
    );
    let needed = "exactly one API key is needed, in the header field `x-api-key`";
    assert_refused(&gateway.get("/a"), needed);
    assert_refused(&gateway.get_with("/a", &[("x-api-key", "")]), needed);
    let twice = [("x-api-key", "wonderland"), ("x-api-key", "wonderland")];
    assert_refused(&gateway.get_with("/a", &twice), needed);
    assert_refused(&gateway.get("/a?x-api-key=wonderland"), needed);
    assert_eq!(
        origin.requests(),
        served,
        "who is refused does not reach the upstream"
    );
    let record = gateway.record(|record| record["status"] == 401);
    assert_eq!(record["entries"][0]["verdict"], "deny");
    assert_eq!(record["principal"], serde_json::Value::Null);
    let all = gateway.stdout() + &gateway.stderr();
    assert!(
        !all.contains("wonderland") && !all.contains("guess"),
        "keys in the logs:\n{all}"
    );
}

#[test]
fn api_key_reads_the_query_and_a_secret() {
    let origin = Origin::echo();
    let toml = Scene::new(&origin)
        .policy(
            "keys",
            "api-key",
            "config = { query = \"key\", secret = \"API_KEYS\" }",
        )
        .policy(
            "tell",
            "headers",
            "config.request.set.x-user = \"{principal}\"",
        )
        .with("[plugins.api-key]\ngrant = { secrets = [\"API_KEYS\"] }")
        .with("[secrets]\nAPI_KEYS = { file = \"keys.txt\" }")
        .toml();
    let keys = "# consumer:sha256\n\n\
        carol:a71a7c7011f53a1bab3642ec2ce12593f05230ace8de1e3e7645f69efac1443d\n\
        urn:dave:16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4\n";
    let gateway = Gateway::builder().file("keys.txt", keys).start(&toml);
    assert_eq!(
        gateway.get("/a?x=1&key=wonderland").echoed("x-user"),
        [b"carol"]
    );
    assert_eq!(
        gateway.get("/a?key=s%65cond").echoed("x-user"),
        [b"urn:dave"]
    );
    assert_refused(&gateway.get("/a?key=other"), "this API key is not known");
    let needed = "exactly one API key is needed, in the query parameter `key`";
    assert_refused(&gateway.get("/a?key=second&key=second"), needed);
    assert_refused(&gateway.get_with("/a", &[("x-api-key", "second")]), needed);
    gateway.record(|record| record["status"] == 401);
    let all = gateway.stdout() + &gateway.stderr();
    assert!(
        !all.contains("wonderland"),
        "the query is not logged:\n{all}"
    );
}

#[test]
fn headers_edits_both_sides_and_keeps_the_rest() {
    let origin = Origin::raw(|request| {
        let answer = latin1(&echo(request));
        let answer = answer.replacen(
            "\r\n",
            "\r\nServer: up/1\r\nSet-Cookie: a=1; Path=/\r\nX-Latin: caf\u{e9}\r\n\
             Set-Cookie: b=2\r\nVary: accept\r\nX-Old: 1\r\nX-Old: 2\r\n",
            1,
        );
        vec![Step::Send(tollgate_tests::unlatin1(&answer))]
    });
    let config = r#"
        [policies.edit.config.request]
        remove = ["x-debug"]
        rename = { "x-client-version" = "x-version" }
        set = { "x-route" = "{route}/{path.id}", "x-query" = "{query.q}", "x-gone" = "{principal}", "x-from" = "{client-address} {method} {host}" }
        append = { "x-passed" = "edge" }
        [policies.edit.config.response]
        remove = ["server"]
        rename = { "x-old" = "x-renamed" }
        set = { "cache-control" = "no-store", "x-status" = "{status} {{{path.id}}}", "x-copy" = "{response.x-latin}" }
        append = { "vary" = ["origin", "accept-language"] }
    "#;
    let toml = Scene::new(&origin)
        .policy("edit", "headers", config)
        .route("pet", "GET /pets/{id}", &["edit"])
        .toml();
    let gateway = Gateway::start(&toml);
    let raw = b"GET /pets/a%2Fb?q=1%202&q=3 HTTP/1.1\r\nHost: api.example:81\r\nX-Debug: 1\r\n\
        X-Client-Version: 2.0\r\nx-client-version: \xe9\xff\r\nX-Gone: forged\r\nX-Passed: first\r\n\
        X-Keep: one\r\nX-Keep: caf\xe9\r\nx-keep: one\r\nConnection: close\r\n\r\n";
    let response = gateway.request(raw);
    assert_eq!(response.status, 200, "{response:?}");

    assert!(response.echoed("x-debug").is_empty());
    assert!(response.echoed("x-client-version").is_empty());
    assert_eq!(response.echoed("x-version"), [&b"2.0"[..], b"\xe9\xff"]);
    assert_eq!(response.echoed("x-route"), [b"pet/a/b"]);
    assert_eq!(response.echoed("x-query"), [b"1 2"]);
    assert!(
        response.echoed("x-gone").is_empty(),
        "nobody said who the caller is"
    );
    assert_eq!(response.echoed("x-from"), [b"127.0.0.1 GET api.example:81"]);
    assert_eq!(response.echoed("x-passed"), [&b"first"[..], b"edge"]);
    assert_eq!(response.echoed("x-keep"), [&b"one"[..], b"caf\xe9", b"one"]);

    assert!(response.values("server").is_empty());
    assert_eq!(response.headers("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(response.values("x-latin"), [b"caf\xe9"]);
    assert_eq!(response.values("x-copy"), [b"caf\xe9"]);
    assert_eq!(response.headers("x-renamed"), ["1", "2"]);
    assert!(response.values("x-old").is_empty());
    assert_eq!(response.headers("cache-control"), ["no-store"]);
    assert_eq!(response.headers("x-status"), ["200 {a/b}"]);
    assert_eq!(
        response.headers("vary"),
        ["accept", "origin", "accept-language"]
    );
}

#[test]
fn a_value_that_no_header_may_have_never_reaches_the_upstream() {
    let origin = Origin::echo();
    let toml = Scene::new(&origin)
        .policy(
            "edit",
            "headers",
            "config.request.set.x-id = \"{query.id}\"",
        )
        .policy(
            "out",
            "headers",
            "config.response.set.x-id = \"{query.id}\"",
        )
        .route("in", "/in", &["edit"])
        .route("out", "/out", &["out"])
        .toml();
    let gateway = Gateway::start(&toml);
    let evil = "?id=a%0d%0aX-Evil:%201";
    let response = gateway.get(&format!("/in{evil}"));
    assert_eq!(response.status, 400, "{response:?}");
    assert_eq!(origin.requests(), 0);
    gateway.wait_for_log("answered 400: request.set.\"x-id\"");
    let response = gateway.get(&format!("/out{evil}"));
    assert_eq!(response.status, 200);
    assert!(response.values("x-id").is_empty() && response.values("x-evil").is_empty());
    gateway.wait_for_log("left out: response.set.\"x-id\"");
}

#[test]
fn a_chain_is_an_onion() {
    let origin = Origin::echo();
    let ring = |name: &str| {
        format!(
            "config.request.append.x-ring = \"{name}\"\nconfig.response.append.x-ring = \"{name}\""
        )
    };
    let toml = Scene::new(&origin)
        .policy("outer", "headers", &ring("outer"))
        .policy("keys", "api-key", KEYS)
        .policy(
            "inner",
            "headers",
            &format!("{}\ninstances = {{ calls = 50 }}", ring("inner")),
        )
        .toml();
    let gateway = Gateway::start(&toml);
    for _ in 0..3 {
        let response = gateway.get_with("/a", &[("x-api-key", "wonderland"), ("x-ring", "client")]);
        assert_eq!(
            response.echoed("x-ring"),
            [&b"client"[..], b"outer", b"inner"]
        );
        assert_eq!(response.headers("x-ring"), ["inner", "outer"]);
    }
    let refused = gateway.get("/a");
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.headers("x-ring"),
        ["outer"],
        "what was not entered does not run"
    );
    let record = gateway.record(|record| record["status"] == 200);
    let visits: Vec<String> = record["entries"]
        .as_array()
        .expect("visits")
        .iter()
        .map(|visit| format!("{} {} {}", visit["policy"], visit["side"], visit["verdict"]))
        .collect();
    assert_eq!(
        visits,
        [
            r#""outer" "in" "next""#,
            r#""keys" "in" "allow""#,
            r#""inner" "in" "next""#,
            r#""inner" "out" "next""#,
            r#""outer" "out" "next""#,
        ]
    );
    for (policy, side, calls) in [
        ("outer", "in", 4.0),
        ("keys", "in", 4.0),
        ("inner", "in", 3.0),
        ("outer", "out", 4.0),
    ] {
        let labels = [("policy", policy), ("side", side), ("route", "all")];
        assert_eq!(
            gateway.metric("tollgate_plugin_calls_total", &labels),
            calls,
            "{policy} {side}"
        );
    }
}
