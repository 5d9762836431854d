//! Configurations that are refused, and what is said of them.

use serde_json::{Value, json};

use super::refusal;

#[test]
fn bad_configurations_are_refused_by_place() {
    let case = |case: Value| json!({ "cases": [{ "when": { "methods": ["GET"] } }, case] });
    let headers = |name: &str, value: Value| json!({ "headers": { name: value } });
    for (config, expected) in [
        (json!({}), "there is no answer"),
        (json!({ "cases": [] }), "there is no answer"),
        (
            json!({ "cases": [{ "status": 404 }], "body": "" }),
            "cases[0] fits every request",
        ),
        (
            json!({ "cases": [{ "when": {} }, { "when": { "methods": ["GET"] } }] }),
            "cases[0] fits every request",
        ),
        (
            json!({ "status": 199 }),
            "status: 199 is not between 200 and 599",
        ),
        (
            case(json!({ "status": 600 })),
            "cases[1].status: 600 is not between",
        ),
        (
            json!({ "status": 204, "body": "" }),
            "status: a response with 204 has no body",
        ),
        (
            json!({ "status": 304, "json": {} }),
            "a response with 304 has no body",
        ),
        (
            json!({ "body": "a", "json": 1 }),
            "body: `json` is given too",
        ),
        (json!({ "body": "{" }), "body: has a `{` that is not closed"),
        (
            json!({ "body": "}" }),
            "body: has a `}` that closes nothing",
        ),
        (
            json!({ "body": "{\"a\": 1}" }),
            "body: `{\"a\": 1}` is not known; there are path.NAME",
        ),
        (json!({ "body": "{query.}" }), "`{query.}` has no name"),
        (
            json!({ "body": "{header.a b}" }),
            "\"a b\" is not the name of a header",
        ),
        (
            json!({ "body": "{status}" }),
            "`{status}` is known of a response only",
        ),
        (
            json!({ "body": "{principal.x}" }),
            "`{principal.x}` is not known",
        ),
        (
            case(json!({ "json": { "a": ["x", { "b c": "{" }] } })),
            "cases[1].json.\"a\"[1].\"b c\": has a `{`",
        ),
        (
            headers("x y", json!("")),
            "headers.\"x y\": is not the name of a header",
        ),
        (
            headers("Content-Length", json!("1")),
            "belongs to the connection",
        ),
        (
            headers("x", json!("a\nb")),
            "headers.\"x\": has a control character",
        ),
        (
            headers("x", json!(["a", "{x}"])),
            "headers.\"x\": `{x}` is not known",
        ),
        (
            json!({ "headers": { "x-a": "1", "X-A": "2" } }),
            "headers.\"x-a\": is named twice",
        ),
        (
            headers("content-type", json!("{header.accept}")),
            "must be one fixed value",
        ),
        (
            headers("content-type", json!(["a/b", "c/d"])),
            "must be one fixed value",
        ),
        (
            json!({ "headers": { "content-type": "text/html" }, "json": "{path.id}" }),
            "headers.\"content-type\": the type of `json` must be a JSON",
        ),
        (
            case(json!({ "when": { "methods": ["get"] } })),
            "cases[1].when.methods: \"get\" is no method",
        ),
        (
            case(json!({ "when": { "headers": { "a b": true } } })),
            "cases[1].when.headers: \"a b\" is not the name",
        ),
        (
            case(json!({ "when": { "query": { "": true } } })),
            "cases[1].when.query has an empty name",
        ),
        (
            case(json!({ "when": { "query": { "a": 1 } } })),
            "did not match any variant",
        ),
        (case(json!({ "delay": "1s" })), "unknown field"),
        (case(json!({ "when": { "host": "a" } })), "unknown field"),
        (json!({ "body": "a", "delay": "1s" }), "unknown field"),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}");
    }
}
