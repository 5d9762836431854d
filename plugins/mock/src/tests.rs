use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder};
use tollgate_plugin::{Outcome, Reply, RequestTransformer};

use super::Mock;

mod refusals;

fn plugin(config: Value) -> Mock {
    testing::configure(config).unwrap()
}

fn refusal(config: Value) -> String {
    match testing::configure::<Mock>(config) {
        Ok(_) => panic!("this configuration must be refused"),
        Err(error) => error.to_string(),
    }
}

fn outcome(plugin: &Mock, request: RequestBuilder) -> Outcome {
    let mut request = request.build();
    request
        .edit(|request| plugin.transform_request(request))
        .unwrap()
}

fn reply(config: Value, request: RequestBuilder) -> Reply {
    match outcome(&plugin(config), request) {
        Outcome::Respond(reply) => reply,
        Outcome::Next => panic!("the request must be answered"),
    }
}

fn text(reply: &Reply) -> &str {
    str::from_utf8(&reply.body).unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
    let values = reply.headers.iter().filter(|(other, _)| other == name);
    values
        .map(|(_, value)| str::from_utf8(value).unwrap())
        .collect()
}

/// A request with a bit of everything.
fn request() -> RequestBuilder {
    testing::request("PATCH", "/pets/7?q=a%26b&q=2&empty")
        .header("X-In", "first")
        .header("x-in", "second")
        .header("x-bytes", b"caf\xe9")
        .path_parameter("id", "sieben \"7\" <&>'\\")
        .variable("zone", "eu")
        .principal("alice")
        .claim("tier", "gold \"plus\"")
        .claim("https://id.example/roles", json!(["a", { "b": 1 }]))
        .claim("age", 7)
        .claim("nothing", Value::Null)
}

fn body(template: &str) -> String {
    text(&reply(json!({ "body": template }), request())).to_owned()
}

#[test]
fn expressions_name_what_the_gateway_knows() {
    for (template, expected) in [
        ("{path.id}", "sieben \"7\" <&>'\\"),
        ("{query.q}", "a&b"),
        ("{query.empty}", ""),
        ("{header.x-IN}", "first"),
        ("{header.x-bytes}", "caf\u{fffd}"),
        ("{claim.tier}", "gold \"plus\""),
        ("{claim.https://id.example/roles}", "[\"a\",{\"b\":1}]"),
        ("{claim.age}", "7"),
        ("{variable.zone}", "eu"),
        ("{principal}", "alice"),
        ("{client-address}", "192.0.2.1"),
        ("{id}", "test-request"),
        ("{request-id}", "test-request"),
        ("{route}", "test-route"),
        ("{method}", "PATCH"),
        ("{host}", "api.example"),
        ("{path}", "/pets/7"),
        ("", ""),
        ("plain ümläut\n", "plain ümläut\n"),
        ("{{principal}}", "{principal}"),
        ("{{{principal}}}{principal}-{{}}", "{alice}alice-{}"),
        // What is absent is nothing.
        (
            "<{path.x}{query.x}{header.x}{claim.x}{claim.nothing}>",
            "<>",
        ),
        ("<{variable.x}{usage-key}>", "<>"),
    ] {
        assert_eq!(body(template), expected, "{template}");
    }
}

#[test]
fn an_answer_has_status_headers_and_body() {
    let answer = reply(json!({ "status": 418 }), request());
    assert_eq!(answer, Reply::new(418));
    let answer = reply(
        json!({
            "status": 201,
            "headers": {
                "Location": "/pets/{query.empty}{method}",
                "set-cookie": ["a={principal}", "b=2", "c={claim.absent}"],
                "x-user": "{usage-key}",
                "x-none": [],
            },
            "body": "made",
        }),
        request(),
    );
    assert_eq!((answer.status, text(&answer)), (201, "made"));
    assert_eq!(header(&answer, "location"), ["/pets/PATCH"]);
    assert_eq!(header(&answer, "set-cookie"), ["a=alice", "b=2"]);
    assert_eq!(
        header(&answer, "content-type"),
        ["text/plain; charset=utf-8"]
    );
    assert_eq!(answer.headers.len(), 4);
}

#[test]
fn strings_in_json_are_templates_and_cannot_be_left() {
    let answer = reply(
        json!({ "json": {
            "{method}": "names are no templates",
            "text": "a \"quoted\" {{brace}}\n",
            "in": "<{path.id}> {query.q} {header.x-bytes} {claim.https://id.example/roles}",
            "alone": "{path.id}",
            "absent": "{query.x}",
            "part of it": "{query.x}!",
            "empty": "",
            "claims": ["{claim.age}", "{claim.https://id.example/roles}", "{claim.tier}",
                       "{claim.x}", "{claim.nothing}", "{claim.age} years"],
            "rest": [1, -2.5, true, null, {}, [], [[]]],
        } }),
        request(),
    );
    assert_eq!(header(&answer, "content-type"), ["application/json"]);
    assert_eq!(
        serde_json::from_slice::<Value>(&answer.body).unwrap(),
        json!({
            "{method}": "names are no templates",
            "text": "a \"quoted\" {brace}\n",
            "in": "<sieben \"7\" <&>'\\> a&b caf\u{fffd} [\"a\",{\"b\":1}]",
            "alone": "sieben \"7\" <&>'\\",
            "absent": null,
            "part of it": "!",
            "empty": "",
            "claims": [7, ["a", { "b": 1 }], "gold \"plus\"", null, null, "7 years"],
            "rest": [1, -2.5, true, null, {}, [], [[]]],
        })
    );
    for (value, expected) in [
        (json!("{method}"), "\"PATCH\""),
        (json!([]), "[]"),
        (json!(7), "7"),
        (
            json!({ "b": [1, 2], "a": "x{method}" }),
            r#"{"a":"xPATCH","b":[1,2]}"#,
        ),
    ] {
        assert_eq!(text(&reply(json!({ "json": value }), request())), expected);
    }
}

#[test]
fn values_are_escaped_as_the_type_of_the_body_says() {
    let as_it_is = "sieben \"7\" <&>'\\";
    let in_json = r#"sieben \"7\" <&>'\\"#;
    let in_markup = "sieben &quot;7&quot; &lt;&amp;&gt;&#39;\\";
    for (content_type, expected) in [
        ("application/json", in_json),
        ("Application/Problem+JSON; charset=utf-8", in_json),
        ("text/html; charset=utf-8", in_markup),
        ("application/xhtml+xml", in_markup),
        ("image/svg+xml", in_markup),
        ("text/xml", in_markup),
        ("text/plain", as_it_is),
        ("text/csv", as_it_is),
        ("application/jsonish", as_it_is),
        ("nonsense", as_it_is),
    ] {
        let config = json!({
            "headers": { "Content-Type": content_type },
            "body": "{{\"<{path.id}>",
        });
        let answer = reply(config, request());
        assert_eq!(text(&answer), format!("{{\"<{expected}>"), "{content_type}");
        assert_eq!(header(&answer, "content-type"), [content_type]);
    }
    let control = testing::request("GET", "/").path_parameter("id", "a\u{1}\n\u{7f}ä");
    let config = json!({ "json": "{path.id}" });
    assert_eq!(text(&reply(config, control)), "\"a\\u0001\\n\u{7f}ä\"");
}

#[test]
fn json_may_have_a_json_type_of_its_own() {
    let config = json!({
        "headers": { "content-type": "application/vnd.api+json" },
        "json": { "data": [] },
    });
    let answer = reply(config, request());
    assert_eq!(
        header(&answer, "content-type"),
        ["application/vnd.api+json"]
    );
    assert_eq!(text(&answer), r#"{"data":[]}"#);
}

#[test]
fn the_first_case_that_fits_is_given() {
    let mock = plugin(json!({ "cases": [
        { "when": { "path": { "id": "0" } }, "status": 404 },
        { "when": { "methods": ["DELETE", "PUT"] }, "status": 204 },
        { "when": { "query": { "page": "2", "size": true } }, "body": "second page" },
        { "when": { "query": { "debug": true } }, "body": "debug" },
        { "when": { "headers": { "Authorization": false } }, "status": 401 },
        { "when": { "headers": { "X-Plan": "gold" } }, "body": "gold" },
    ], "body": "else" }));
    let get = |target: &str| testing::request("GET", target).header("authorization", "x");
    for (request, expected) in [
        (get("/").path_parameter("id", "0"), "404 "),
        (
            testing::request("DELETE", "/").path_parameter("id", "0"),
            "404 ",
        ),
        (testing::request("PUT", "/?debug"), "204 "),
        (
            get("/?page=2&size=").path_parameter("id", "1"),
            "200 second page",
        ),
        (get("/?size&p%61ge=%32"), "200 second page"),
        (get("/?page=2"), "200 else"),
        (get("/?page=1&page=2&size"), "200 else"),
        (get("/?debug"), "200 debug"),
        (testing::request("GET", "/"), "401 "),
        (get("/").header("x-plan", "gold"), "200 gold"),
        (get("/").header("x-plan", "Gold"), "200 else"),
        (
            get("/").header("x-plan", "free").header("x-plan", "gold"),
            "200 else",
        ),
        (get("/"), "200 else"),
    ] {
        let Outcome::Respond(reply) = outcome(&mock, request) else {
            panic!("the request must be answered");
        };
        assert_eq!(format!("{} {}", reply.status, text(&reply)), expected);
    }
}

#[test]
fn where_no_case_fits_the_request_goes_on() {
    let mock = plugin(json!({ "cases": [{ "when": { "methods": ["POST"] } }] }));
    assert_eq!(outcome(&mock, testing::request("GET", "/")), Outcome::Next);
    let post = outcome(&mock, testing::request("POST", "/"));
    assert_eq!(post, Outcome::Respond(Reply::new(200)));
}

#[test]
fn a_value_that_no_header_may_have_is_the_clients_fault() {
    let config = json!({ "headers": { "x-id": "{path.id}" }, "body": "x" });
    for (id, expected) in [
        ("7", 200),
        ("a\tb", 200),
        ("a\nb", 400),
        ("a\r\nset-cookie: x", 400),
    ] {
        let request = testing::request("GET", "/").path_parameter("id", id);
        assert_eq!(reply(config.clone(), request).status, expected, "{id:?}");
    }
    let bytes = reply(
        json!({ "headers": { "x-copy": "{header.x-bytes}" } }),
        request(),
    );
    assert_eq!(bytes.headers, [("x-copy".into(), b"caf\xe9".to_vec())]);
}

#[test]
fn a_body_has_at_most_a_mebibyte() {
    let large = "x".repeat((1 << 20) - 4);
    let config = json!({ "body": format!("{large}{{path.id}}") });
    for (id, expected) in [("1234", 200), ("12345", 400)] {
        let request = testing::request("GET", "/").path_parameter("id", id);
        assert_eq!(reply(config.clone(), request).status, expected, "{id:?}");
    }
    let text = refusal(json!({ "body": format!("{large}12345") }));
    assert_eq!(text, "body: has more than 1048576 bytes");
}
