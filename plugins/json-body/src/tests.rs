use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder, ResponseBuilder};
use tollgate_plugin::{Outcome, Reply};

use super::JsonBody;

mod documents;
mod messages;

fn plugin(config: Value) -> JsonBody {
    testing::configure(config.clone()).unwrap_or_else(|error| panic!("{config}: {error}"))
}

fn refusal(config: Value) -> String {
    match testing::configure::<JsonBody>(config.clone()) {
        Ok(_) => panic!("must be refused: {config}"),
        Err(error) => error.to_string(),
    }
}

fn post(body: impl Into<Vec<u8>>) -> RequestBuilder {
    testing::request("POST", "/pets/7?page=2")
        .header("content-type", "application/json")
        .body(body)
}

/// What the upstream gets, or what the client is told instead.
fn sent(changes: Value, request: RequestBuilder) -> Result<String, Reply> {
    let plugin = plugin(json!({ "request": changes }));
    let mut request = request.build();
    match testing::transform_request(&plugin, &mut request).unwrap() {
        Outcome::Next => Ok(String::from_utf8(request.read_body().unwrap()).unwrap()),
        Outcome::Respond(reply) => Err(reply),
    }
}

fn edited(changes: Value, body: &str) -> String {
    sent(changes, post(body)).unwrap_or_else(|reply| panic!("{reply:?}"))
}

/// What the client gets.
fn answered(changes: Value, response: ResponseBuilder) -> Result<String, Reply> {
    let plugin = plugin(json!({ "response": changes }));
    let request = testing::request("GET", "/pets/7").build();
    let mut response = response.build();
    match testing::transform_response(&plugin, &request, &mut response).unwrap() {
        Outcome::Next => Ok(String::from_utf8(response.read_body().unwrap()).unwrap()),
        Outcome::Respond(reply) => Err(reply),
    }
}

fn response(body: impl Into<Vec<u8>>) -> ResponseBuilder {
    testing::response(200)
        .header("content-type", "application/json; charset=utf-8")
        .body(body)
}

fn detail(reply: &Reply) -> (u16, String) {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, body["detail"].as_str().unwrap().to_owned())
}

#[test]
fn bad_configurations_are_refused_by_place() {
    let request = |changes: Value| json!({ "request": changes });
    let remove = |path: &str| json!({ "request": { "remove": ["ok", path] } });
    let set = |value: Value| json!({ "request": { "set": { "a": value } } });
    let response = |changes: Value| json!({ "response": changes });
    for (config, expected) in [
        (json!({}), "change nothing"),
        (request(json!({})), "change nothing"),
        (request(json!({ "other": "refuse" })), "change nothing"),
        (request(json!({ "delete": [] })), "unknown field `delete`"),
        (
            request(json!({ "statuses": ["200"] })),
            "unknown field `statuses`",
        ),
        (
            request(json!({ "keep": [] })),
            "request.keep: names nothing",
        ),
        (
            request(json!({ "keep": ["a", "b["] })),
            "request.keep[1]: \"b[\"",
        ),
        (
            remove(""),
            "request.remove[1]: \"\" has a name that is empty",
        ),
        (remove("a..b"), "has a name that is empty"),
        (remove("a."), "has a name that is empty"),
        (remove(".a"), "has a name that is empty"),
        (remove("a]"), "has a character"),
        (remove("a\"b"), "has a character"),
        (remove("a[0]b"), "has a character"),
        (remove("a[]"), "has brackets that are none of"),
        (remove("a[-1]"), "has brackets that are none of"),
        (
            remove("a[99999999999999999999]"),
            "has brackets that are none of",
        ),
        (remove("a[x]"), "has brackets that are none of"),
        (remove("a[\"x]"), "has brackets that are none of"),
        (remove("a[\"x\""), "has brackets that are none of"),
        (remove("/a~2"), "is no JSON pointer"),
        (remove("/a~"), "is no JSON pointer"),
        (remove(&"a.".repeat(33)[..65]), "has 33 steps"),
        (
            request(json!({ "rename": { "a[*]": "b" } })),
            "does not end with the name",
        ),
        (
            request(json!({ "rename": { "a": "a" } })),
            "is its own new name",
        ),
        (
            request(json!({ "rename": { "a.x": "y", "a.z": "y" } })),
            "request.rename.\"a.z\": its old or new name",
        ),
        (
            request(json!({ "rename": { "a.x": "y", "a[\"x\"]": "z" } })),
            "its old or new name is in another line",
        ),
        (set(json!("{")), "request.set.\"a\": has a `{`"),
        (set(json!(["}"])), "request.set.\"a\": has a `}`"),
        (set(json!({ "b": "{nobody}" })), "`{nobody}` is not known"),
        (set(json!("{claim.}")), "has no name"),
        (set(json!("{header.a b}")), "is not the name of a header"),
        (
            set(json!("{status}")),
            "`{status}` is known of a response only",
        ),
        (
            json!({ "request": { "other": "refuse" }, "response": { "remove": ["a"] } }),
            "request.other: nothing is changed",
        ),
        (
            json!({ "request": { "remove": ["a"] }, "response": { "on-failure": "pass" } }),
            "response: nothing is changed",
        ),
        (
            response(json!({ "remove": ["a"], "statuses": ["2x"] })),
            "response.statuses[0]: \"2x\"",
        ),
        (
            response(json!({ "remove": ["a"], "statuses": ["1xx"] })),
            "is no status",
        ),
        (
            response(json!({ "remove": ["a"], "statuses": ["600"] })),
            "is no status",
        ),
        (
            response(json!({ "remove": ["a"], "on-failure": "502" })),
            "unknown variant `502`",
        ),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}\nbut not: {expected}");
    }
}
