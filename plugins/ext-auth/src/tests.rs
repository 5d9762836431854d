use std::time::Duration;

use serde_json::{Value, json};
use tollgate_plugin::fetch::{Fetch, FetchError};
use tollgate_plugin::testing::{self, RequestBuilder, TestRequest};
use tollgate_plugin::{Decision, Grant, Outcome, Reply, Verdict};

use super::ExtAuth;

mod refused;
mod remembered;

fn config(more: Value) -> Value {
    let mut config = json!({
        "upstream": "auth",
        "path": "/verify",
        "principal": { "header": "x-user" },
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn plugin(more: Value) -> ExtAuth {
    let config = config(more);
    testing::configure(config.clone()).unwrap_or_else(|error| panic!("{config}: {error}"))
}

fn decided(more: Value, answer: Result<Reply, FetchError>) -> Decision {
    testing::answers("auth", [answer]);
    let request = testing::request("GET", "/pets").build();
    testing::authorize(&plugin(more), &request).unwrap()
}

fn granted(more: Value, answer: Reply) -> Grant {
    match decided(more, Ok(answer)).verdict {
        Verdict::Allow(grant) => grant,
        Verdict::Deny(reply) => panic!("{reply:?} {:?}", testing::logged()),
    }
}

fn denied(more: Value, answer: Result<Reply, FetchError>) -> Reply {
    match decided(more, answer).verdict {
        Verdict::Allow(grant) => panic!("{grant:?}"),
        Verdict::Deny(reply) => reply,
    }
}

fn alice() -> Reply {
    Reply::new(200).header("x-user", "alice")
}

/// What was asked about this request.
fn asked(more: Value, request: RequestBuilder) -> Fetch {
    testing::reset();
    testing::answers("auth", [Ok(alice())]);
    let decision = testing::authorize(&plugin(more), &request.build()).unwrap();
    assert!(decision.is_allowed());
    let (upstream, fetch) = testing::fetched().remove(0);
    assert_eq!(upstream, "auth");
    fetch
}

/// `name: value` lines.
fn lines(fetch: &Fetch) -> Vec<String> {
    let line =
        |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
    fetch.headers.iter().map(line).collect()
}

fn post() -> RequestBuilder {
    testing::request("POST", "/pets/a%20b?x=1&y")
        .scheme("https")
        .authority("api.example:8443")
        .client_address("2001:db8::7")
        .header("Authorization", "Bearer abc")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-forwarded-uri", "/admin")
        .header("x-tenant", b"\xff")
        .body("not sent")
}

#[test]
fn the_service_is_told_what_the_gateway_knows() {
    let fetch = asked(json!({}), post());
    let expected = [
        "authorization: Bearer abc",
        "cookie: a=1",
        "cookie: b=2",
        "x-forwarded-method: POST",
        "x-forwarded-proto: https",
        "x-forwarded-host: api.example:8443",
        "x-forwarded-uri: /pets/a%20b?x=1&y",
        "x-forwarded-for: 2001:db8::7",
    ];
    assert_eq!(lines(&fetch), expected);
    assert_eq!(
        (fetch.method.as_str(), fetch.target.as_str()),
        ("GET", "/verify")
    );
    assert_eq!(fetch.timeout, Some(Duration::from_secs(1)));
    assert!(fetch.body.is_empty());

    let fetch = asked(
        json!({ "headers": ["X-Tenant"], "timeout": "80ms" }),
        post(),
    );
    assert_eq!(fetch.headers[0], ("x-tenant".into(), b"\xff".to_vec()));
    assert_eq!(fetch.headers.len(), 6);
    assert_eq!(fetch.timeout, Some(Duration::from_millis(80)));
}

#[test]
fn paths_and_methods() {
    let target = |more: Value, request| {
        let fetch = asked(more, request);
        format!("{} {}", fetch.method, fetch.target)
    };
    let prefix = |prefix: &str| json!({ "path": null, "path-prefix": prefix });
    let get = |target| testing::request("GET", target);
    for (more, request, expected) in [
        (json!({ "path": "/v?a=b" }), get("/x?y"), "GET /v?a=b"),
        (prefix("/auth"), get("/x?y=%2F"), "GET /auth/x?y=%2F"),
        (prefix("/auth/"), get("/x?"), "GET /auth/x?"),
        (prefix("/"), get("/x"), "GET /x"),
        (prefix(""), get("/x"), "GET /x"),
        (json!({ "method": "POST" }), get("/x"), "POST /verify"),
        (
            json!({ "method": "original" }),
            testing::request("PATCH", "/x"),
            "PATCH /verify",
        ),
        (
            json!({ "method": "original" }),
            testing::request("HEAD", "/x"),
            "GET /verify",
        ),
    ] {
        assert_eq!(target(more.clone(), request), expected, "{more}");
    }
}

#[test]
fn an_answer_that_allows_says_who_calls() {
    for status in [200, 204, 299] {
        let grant = granted(json!({}), Reply::new(status).header("X-User", "alice"));
        assert_eq!(
            (
                grant.principal.as_str(),
                grant.claims.len(),
                grant.usage_key
            ),
            ("alice", 0, None)
        );
    }
    let more = json!({
        "usage-key": { "header": "x-plan" },
        "claims": { "org": { "header": "x-org" }, "none": { "header": "x-none" } },
    });
    let grant = granted(more, alice().header("x-plan", "acme").header("x-org", "7"));
    assert_eq!(grant.usage_key.as_deref(), Some("acme"));
    assert_eq!(grant.claims, [("org".into(), json!("7"))]);

    let more = json!({
        "principal": { "body": "sub" },
        "usage-key": { "body": "/account/id" },
        "claims": { "roles": { "body": "roles" }, "first": { "body": "/roles/0" },
                    "none": { "body": "none" }, "null": { "body": "null" }, "deep": { "body": "/a/b" } },
    });
    let body = json!({ "sub": "bob", "account": { "id": 7 }, "roles": ["a"], "null": null });
    let grant = granted(more, Reply::json(200, &body).unwrap());
    assert_eq!(
        (grant.principal.as_str(), grant.usage_key.as_deref()),
        ("bob", Some("7"))
    );
    assert_eq!(
        grant.claims,
        [("first".into(), json!("a")), ("roles".into(), json!(["a"]))]
    );
    let anonymous = json!({ "anonymous": "guest" });
    assert_eq!(
        granted(anonymous.clone(), Reply::new(200)).principal,
        "guest"
    );
    assert_eq!(granted(anonymous, alice()).principal, "alice");
}

#[test]
fn an_answer_that_refuses_is_handed_on() {
    let answer = |status| {
        Reply::new(status)
            .header("WWW-Authenticate", "Bearer")
            .header("location", "https://login.example/")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("content-type", "text/html")
            .header("content-encoding", "gzip")
            .header("x-internal", "secret")
            .header("server", "auth")
            .body("<p>")
    };
    for status in [301, 302, 303, 307, 308, 401, 403, 429] {
        let reply = denied(json!({}), Ok(answer(status)));
        assert_eq!((reply.status, reply.body.as_slice()), (status, &b"<p>"[..]));
        let names: Vec<String> = reply
            .headers
            .iter()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        let expected = [
            "www-authenticate",
            "location",
            "set-cookie",
            "set-cookie",
            "content-type",
            "content-encoding",
        ];
        assert_eq!(names, expected);
    }
    let more = json!({ "deny-headers": ["X-Internal"] });
    let reply = denied(more, Ok(answer(401)));
    assert_eq!(reply.headers.len(), 2);
}

#[test]
fn everything_else_lets_nobody_in() {
    let body = json!({ "principal": { "body": "sub" } });
    let fail = |error| (json!({}), Err(error));
    let cases = [
        fail(FetchError::Timeout),
        fail(FetchError::TooLarge(9)),
        fail(FetchError::Failed("refused".into())),
        (json!({}), Ok(Reply::new(304))),
        (json!({}), Ok(Reply::new(400))),
        (json!({}), Ok(Reply::new(404).header("x-user", "alice"))),
        (json!({}), Ok(Reply::new(407))),
        (json!({}), Ok(Reply::new(500).header("x-user", "alice"))),
        (json!({}), Ok(Reply::new(503))),
        // It allows nobody that has a name.
        (json!({}), Ok(Reply::new(200))),
        (json!({}), Ok(Reply::new(200).header("x-user", ""))),
        (json!({}), Ok(Reply::new(200).header("x-user", " alice"))),
        (json!({}), Ok(Reply::new(200).header("x-user", b"\xff"))),
        (json!({}), Ok(alice().header("x-user", "bob"))),
        (
            json!({ "anonymous": "guest" }),
            Ok(Reply::new(200).header("x-user", "")),
        ),
        (body.clone(), Ok(Reply::new(200))),
        (body.clone(), Ok(Reply::new(200).body("{"))),
        (body.clone(), Ok(Reply::new(200).body("[\"sub\"]"))),
        (body.clone(), Ok(Reply::new(200).body("{\"sub\":null}"))),
        (body.clone(), Ok(Reply::new(200).body("{\"sub\":true}"))),
        (body, Ok(Reply::new(200).body("{\"sub\":\"a\\nb\"}"))),
        (
            json!({ "claims": { "a": { "body": "a" } } }),
            Ok(alice().body("x")),
        ),
    ];
    for (more, answer) in cases {
        let shown = format!("{answer:?}");
        let reply = denied(more, answer);
        assert_eq!(reply.status, 503, "{shown}");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body["detail"],
            "it cannot be found out at present who is calling"
        );
        let logged = testing::logged();
        assert!(logged.last().unwrap().starts_with("error: answered 503: "));
        testing::reset();
    }
    // The upstream is not granted.
    let request = testing::request("GET", "/").build();
    let decision = testing::authorize(&plugin(json!({})), &request).unwrap();
    assert!(!decision.is_allowed());
}

/// Both hooks, as one visit calls them.
fn forwarded(names: Value, answer: Reply, request: RequestBuilder) -> TestRequest {
    let plugin = plugin(json!({ "forward": names }));
    testing::answers("auth", [Ok(answer)]);
    let mut request = request.build();
    assert!(testing::authorize(&plugin, &request).unwrap().is_allowed());
    let outcome = testing::transform_request(&plugin, &mut request).unwrap();
    assert_eq!(outcome, Outcome::Next);
    request
}

#[test]
fn headers_of_the_answer_go_on() {
    let answer = alice()
        .header("X-Email", "a@example: b")
        .header("x-email", b"caf\xe9 \xf0\x9f\x90\x95")
        .header("x-other", "kept back")
        .header("x-empty", "");
    let request = testing::request("GET", "/")
        .header("x-email", "mallory")
        .header("x-user", "mallory")
        .header("x-absent", "mallory")
        .header("x-mine", "kept");
    let request = forwarded(
        json!(["X-Email", "x-user", "x-absent", "x-empty"]),
        answer,
        request,
    );
    let values: [&[u8]; 2] = [b"a@example: b", b"caf\xe9 \xf0\x9f\x90\x95"];
    assert_eq!(request.header_values("x-email"), values);
    assert_eq!(request.header_values("x-user"), [b"alice"]);
    assert_eq!(request.header_values("x-empty"), [b""]);
    assert_eq!(
        request.header_names(),
        ["x-email", "x-empty", "x-mine", "x-user"]
    );

    let request = forwarded(
        json!([]),
        alice(),
        testing::request("GET", "/").header("x-user", "m"),
    );
    assert_eq!(request.header_text("x-user").as_deref(), Some("m"));
    assert_eq!(request.own_attribute("forward"), None);
}
