use serde_json::{Value, json};
use tollgate_plugin::testing::{self, TestRequest, TestResponse};
use tollgate_plugin::{Outcome, RequestTransformer, ResponseTransformer};

use super::Headers;

fn plugin(config: Value) -> Headers {
    testing::configure(config).unwrap()
}

/// Runs the `request` side, which must let the request pass.
fn on_request(changes: Value, request: &mut TestRequest) {
    let plugin = plugin(json!({ "request": changes }));
    let outcome = request
        .edit(|request| plugin.transform_request(request))
        .unwrap();
    assert_eq!(outcome, Outcome::Next);
}

fn on_response(changes: Value, request: &TestRequest, response: &mut TestResponse) {
    let plugin = plugin(json!({ "response": changes }));
    let outcome = response.edit(|response| plugin.transform_response(request, response));
    assert_eq!(outcome.unwrap(), Outcome::Next);
}

/// What `set = { x-out = TEMPLATE }` makes of a request that has a bit of everything.
fn rendered(template: &str) -> Option<String> {
    let mut request = testing::request("PATCH", "/pets/7?page=a%26b&page=2&empty")
        .header("x-in", "first")
        .header("x-in", "second")
        .path_parameter("id", "sieben & co")
        .variable("zone", "eu")
        .principal("alice")
        .claim("tier", "gold \"plus\"")
        .claim("https://id.example/roles", json!(["a", { "b": 1 }]))
        .claim("age", 7)
        .claim("nothing", Value::Null)
        .build();
    on_request(json!({ "set": { "x-out": template } }), &mut request);
    request.header_text("x-out")
}

#[test]
fn expressions_name_what_the_gateway_knows() {
    for (template, expected) in [
        ("{path.id}", "sieben & co"),
        ("{query.page}", "a&b"),
        ("{query.empty}", ""),
        ("{header.X-In}", "first"),
        ("{claim.tier}", "gold \"plus\""),
        ("{claim.https://id.example/roles}", "[\"a\",{\"b\":1}]"),
        ("{claim.age}", "7"),
        ("{variable.zone}", "eu"),
        ("{principal}", "alice"),
        ("{client-address}", "192.0.2.1"),
        ("{request-id}", "test-request"),
        ("{route}", "test-route"),
        ("{method}", "PATCH"),
        ("{host}", "api.example"),
        ("", ""),
        ("plain ümläut", "plain ümläut"),
        ("{{principal}}", "{principal}"),
        ("{{{principal}}}{principal}-{{}}", "{alice}alice-{}"),
        ("a {method} b {principal}", "a PATCH b alice"),
    ] {
        assert_eq!(rendered(template).as_deref(), Some(expected), "{template}");
    }
}

#[test]
fn what_is_absent_leaves_the_line_out() {
    for name in [
        "path.x",
        "query.x",
        "header.x",
        "claim.x",
        "claim.nothing",
        "variable.x",
    ] {
        assert_eq!(
            rendered(&format!("known {{method}} {{{name}}}")),
            None,
            "{name}"
        );
    }
    let mut request = testing::request("GET", "/").authority("").build();
    let lines = ["{principal}", "{usage-key}", "{host}", "here"];
    on_request(json!({ "append": { "x-out": lines } }), &mut request);
    assert_eq!(request.header_values("x-out"), [b"here"]);
}

#[test]
fn a_client_cannot_send_what_is_set() {
    let mut request = testing::request("GET", "/")
        .header("X-User", "admin")
        .build();
    on_request(json!({ "set": { "x-user": "{principal}" } }), &mut request);
    assert_eq!(request.header("x-user"), None);
    // What is added to is the client's all the same.
    let mut request = testing::request("GET", "/")
        .header("X-User", "admin")
        .build();
    on_request(
        json!({ "append": { "x-user": "{principal}" } }),
        &mut request,
    );
    assert_eq!(request.header_values("x-user"), [b"admin"]);
}

#[test]
fn the_order_is_remove_rename_set_append() {
    let mut request = testing::request("GET", "/")
        .header("x-old", "old")
        .header("x-new", "smuggled")
        .header("x-gone", "gone")
        .build();
    on_request(
        json!({
            "append": { "X-New": ["appended to {header.x-new}", "again"] },
            "set": { "x-note": "{header.x-gone} {header.x-old} {header.x-note}", "x-copy": "{header.x-gone}" },
            "rename": { "x-old": "x-new", "x-gone": "x-never" },
            "remove": ["X-Gone"],
        }),
        &mut request,
    );
    let lines: [&[u8]; 3] = [b"old", b"appended to smuggled", b"again"];
    assert_eq!(request.header_values("x-new"), lines);
    assert_eq!(request.header_names(), ["x-copy", "x-new"]);
    assert_eq!(request.header_text("x-copy").as_deref(), Some("gone"));
}

#[test]
fn renaming_keeps_values_order_and_bytes() {
    let values: [&[u8]; 3] = [b"caf\xe9", b"", b"a, b"];
    let request = testing::request("GET", "/");
    let request = values
        .iter()
        .fold(request, |request, value| request.header("x-old", value));
    let mut request = request
        .header("x-new", "was there")
        .header("x-kept", "kept")
        .build();
    on_request(
        json!({ "rename": { "X-Old": "X-New", "x-absent": "x-kept" } }),
        &mut request,
    );
    assert_eq!(request.header_values("x-new"), values);
    assert_eq!(request.header_names(), ["x-kept", "x-new"]);
}

#[test]
fn names_can_be_swapped_and_passed_on() {
    let mut request = testing::request("GET", "/")
        .header("a", "1")
        .header("b", "2")
        .build();
    on_request(json!({ "rename": { "a": "b", "b": "a" } }), &mut request);
    assert_eq!(
        [request.header("a"), request.header("b")],
        [Some(b"2".into()), Some(b"1".into())]
    );
    on_request(json!({ "rename": { "a": "b", "b": "c" } }), &mut request);
    assert_eq!(
        [request.header("b"), request.header("c")],
        [Some(b"2".into()), Some(b"1".into())]
    );
    assert_eq!(request.header("a"), None);
}

#[test]
fn bytes_of_a_header_are_copied_as_they_are() {
    let mut request = testing::request("GET", "/")
        .header("x-in", b"caf\xe9")
        .build();
    on_request(
        json!({ "set": { "x-out": "<{header.x-in}>" } }),
        &mut request,
    );
    assert_eq!(request.header("x-out").unwrap(), b"<caf\xe9>");
}

#[test]
fn a_value_that_no_header_can_have_ends_the_request() {
    for (key, bad) in [
        ("set", "7\r\nx-admin: 1"),
        ("append", "\0"),
        ("set", "\x7f"),
    ] {
        let plugin = plugin(json!({ "request": { key: { "x-id": "{path.id}" } } }));
        let mut request = testing::request("GET", "/")
            .path_parameter("id", bad)
            .build();
        let outcome = request
            .edit(|request| plugin.transform_request(request))
            .unwrap();
        let Outcome::Respond(reply) = outcome else {
            panic!("{bad:?} must not pass");
        };
        assert_eq!(reply.status, 400);
        assert_eq!(request.headers(), []);
    }
}

#[test]
fn responses_are_edited_like_requests() {
    let request = testing::request("GET", "/").principal("alice").build();
    let mut response = testing::response(404)
        .header("server", "upstream/1.0")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .header("etag", "\"7\"")
        .build();
    on_response(
        json!({
            "remove": ["server"],
            "rename": { "set-cookie": "x-cookie" },
            "set": { "x-was": "{status} {response.ETag} for {principal}", "host": "allowed here" },
            "append": { "vary": "origin" },
        }),
        &request,
        &mut response,
    );
    assert_eq!(
        response.header_names(),
        ["etag", "host", "vary", "x-cookie", "x-was"]
    );
    assert_eq!(response.header_values("x-cookie"), [b"a=1", b"b=2"]);
    assert_eq!(
        response.header_text("x-was").as_deref(),
        Some("404 \"7\" for alice")
    );
}

#[test]
fn a_response_goes_on_without_a_line_that_is_refused() {
    let request = testing::request("GET", "/")
        .path_parameter("id", "7\r\nset-cookie: x=1")
        .build();
    let mut response = testing::response(200)
        .header("x-id", "the upstream's")
        .build();
    let changes = json!({
        "set": { "x-id": "{path.id}", "x-other": "other" },
        "append": { "x-more": ["{path.id}", "more"] },
    });
    on_response(changes, &request, &mut response);
    assert_eq!(response.header_names(), ["x-more", "x-other"]);
    assert_eq!(response.header_values("x-more"), [b"more"]);
}

#[test]
fn one_side_leaves_the_other_alone() {
    let plugin = plugin(json!({ "response": { "remove": ["x-a"] } }));
    let mut request = testing::request("GET", "/").header("x-a", "1").build();
    let outcome = request
        .edit(|request| plugin.transform_request(request))
        .unwrap();
    assert_eq!(
        (outcome, request.header("x-a")),
        (Outcome::Next, Some(b"1".into()))
    );
}

#[test]
fn bad_configurations_are_refused_by_place() {
    let cases = [
        (json!({}), "`request` and `response` change nothing"),
        (
            json!({ "request": { "remove": [] } }),
            "`request` and `response` change nothing",
        ),
        (
            json!({ "request": { "remove": ["x-a", "x b"] } }),
            "request.remove[1]: \"x b\" is not the name of a header",
        ),
        (
            json!({ "request": { "set": { "": "x" } } }),
            "request.set.\"\": \"\" is not the name of a header",
        ),
        (
            json!({ "request": { "set": { "Host": "x" } } }),
            "request.set.\"Host\": `host` cannot be changed by this plugin",
        ),
        (
            json!({ "response": { "append": { "Content-Length": "1" } } }),
            "response.append.\"Content-Length\": `content-length` belongs to the connection, which is the gateway's own",
        ),
        (
            json!({ "request": { "rename": { "x-a": "TE" } } }),
            "request.rename.\"x-a\": `te` belongs to the connection, which is the gateway's own",
        ),
        (
            json!({ "request": { "rename": { "X-A": "x-a" } } }),
            "request.rename.\"X-A\": is its own new name",
        ),
        (
            json!({ "request": { "rename": { "a": "c", "b": "C" } } }),
            "request.rename.\"b\": `c` is named twice",
        ),
        (
            json!({ "request": { "set": { "X-A": "1", "x-a": "2" } } }),
            "request.set.\"x-a\": `x-a` is named twice",
        ),
        (
            json!({ "request": { "set": { "x-a": "{oops" } } }),
            "request.set.\"x-a\": has a `{` that is not closed; write `{{` for a brace",
        ),
        (
            json!({ "request": { "set": { "x-a": "oops}" } } }),
            "request.set.\"x-a\": has a `}` that closes nothing; write `}}` for a brace",
        ),
        (
            json!({ "request": { "append": { "x-a": ["fine", "a\nb"] } } }),
            "request.append.\"x-a\"[1]: has a control character, which no header may have",
        ),
        (
            json!({ "request": { "set": { "x-a": "{status}" } } }),
            "request.set.\"x-a\": `{status}` is known of a response only",
        ),
        (
            json!({ "request": { "set": { "x-a": "{response.etag}" } } }),
            "request.set.\"x-a\": `{response.etag}` is known of a response only",
        ),
        (
            json!({ "request": { "set": { "x-a": "{header.x y}" } } }),
            "request.set.\"x-a\": `{header.x y}`: \"x y\" is not the name of a header",
        ),
        (
            json!({ "request": { "set": { "x-a": "{path.}" } } }),
            "request.set.\"x-a\": `{path.}` has no name",
        ),
    ];
    for (config, expected) in cases {
        match testing::configure::<Headers>(config.clone()) {
            Ok(_) => panic!("{config} must be refused"),
            Err(error) => assert_eq!(error.to_string(), expected),
        }
    }
    for unknown in [
        "{}",
        "{principal.x}",
        "{Principal}",
        "{ principal }",
        "{query}",
        "{a{b}",
    ] {
        let config = json!({ "response": { "set": { "x-a": unknown } } });
        let error = testing::configure::<Headers>(config)
            .err()
            .unwrap()
            .to_string();
        let start = format!("response.set.\"x-a\": `{unknown}` is not known; there are path.NAME,");
        assert!(error.starts_with(&start), "{error}");
    }
}
