use serde_json::{Value, json};
use tollgate_plugin::testing;

use super::Redact;

mod borders;

fn plugin(config: Value) -> Redact {
    testing::configure(config.clone()).unwrap_or_else(|error| panic!("{config}: {error}"))
}

fn refusal(config: Value) -> String {
    match testing::configure::<Redact>(config.clone()) {
        Ok(_) => panic!("must be refused: {config}"),
        Err(error) => error.to_string(),
    }
}

/// What comes of a body of this type, in pieces of this size; none: it goes past the plugin.
fn response(plugin: &Redact, types: &[&str], body: &str, size: usize) -> Option<String> {
    let request = testing::request("GET", "/").build();
    let mut response = testing::response(200);
    for content_type in types {
        response = response.header("content-type", content_type);
    }
    let stream = testing::open_response(plugin, &request, &response.build()).unwrap()?;
    let answered = stream.all(body, size).unwrap();
    Some(String::from_utf8(answered).unwrap())
}

#[test]
fn rules_are_applied_one_after_the_other() {
    let plugin = plugin(json!({ "rules": [
        { "pattern": r"\b[0-9]{4}\b", "replace-with": "<four>" },
        { "pattern": "four", "replace-with": "4" },
        { "pattern": "(?i)alice" },
    ] }));
    for size in [1, 2, 7, 100] {
        let redacted = response(&plugin, &["text/plain"], "1234 12345 ALICE four", size);
        assert_eq!(redacted.unwrap(), "<4> 12345 [redacted] 4", "{size}");
    }
}

#[test]
fn bodies_are_meant_by_their_type() {
    let rules = json!([{ "pattern": "a" , "replace-with": "b" }]);
    let usual = plugin(json!({ "rules": rules }));
    for types in [
        &[][..],
        &["text/html; charset=utf-8"],
        &["TEXT/PLAIN"],
        &["application/json"],
        &["application/problem+json"],
        &["image/svg+xml", "text/plain"],
        &["image/png", "text/plain"],
        &["nothing"],
    ] {
        let redacted = response(&usual, types, "a", 1);
        assert_eq!(redacted.as_deref(), Some("b"), "{types:?}");
    }
    for types in [
        &["image/png"][..],
        &["application/octet-stream"],
        &["video/text"],
    ] {
        assert_eq!(response(&usual, types, "a", 1), None, "{types:?}");
    }
    let all = plugin(json!({ "rules": rules, "content-types": ["*/*"] }));
    assert!(response(&all, &["image/png"], "a", 1).is_some());
    let one = plugin(json!({ "rules": rules, "content-types": ["image/SVG+xml"] }));
    assert!(response(&one, &["image/svg+xml"], "a", 1).is_some());
    assert!(response(&one, &["text/plain"], "a", 1).is_none());
}

#[test]
fn whose_bodies_are_meant_is_said() {
    let rules = json!([{ "pattern": "a" , "replace-with": "b" }]);
    let request = testing::request("POST", "/").build();
    let of_responses = plugin(json!({ "rules": rules }));
    assert!(
        testing::open_request(&of_responses, &request)
            .unwrap()
            .is_none()
    );
    let of_requests = plugin(json!({ "rules": rules, "bodies": ["request"] }));
    let stream = testing::open_request(&of_requests, &request)
        .unwrap()
        .unwrap();
    assert_eq!(stream.all("banana", 2).unwrap(), b"bbnbnb");
    assert_eq!(response(&of_requests, &[], "a", 1), None);
}

#[test]
fn an_event_is_never_held_back() {
    let plugin = plugin(json!({ "rules": [{ "pattern": r"(?m)secret=\S+$", "longest": 1000 }] }));
    let request = testing::request("GET", "/").build();
    let events = testing::response(200).header("content-type", "text/event-stream");
    let stream = testing::open_response(&plugin, &request, &events.build()).unwrap();
    let mut stream = stream.unwrap();
    let mut next = |piece| String::from_utf8(stream.chunk(piece).unwrap()).unwrap();
    assert_eq!(next("data: sec"), "");
    assert_eq!(next("ret=1\n"), "");
    assert_eq!(next("\n"), "data: [redacted]\n\n");
    assert_eq!(next("data: secret="), "");
    // A match does not go on in the next event.
    assert_eq!(
        next("\n\ndata: 2\r\n\r\n"),
        "data: secret=\n\ndata: 2\r\n\r\n"
    );
    assert_eq!(stream.last("data: secret=3").unwrap(), b"data: [redacted]");
}

#[test]
fn a_longer_match_than_is_looked_for_ends_the_body() {
    let plugin = plugin(json!({ "rules": [{ "pattern": "x+", "longest": 4 }] }));
    assert_eq!(
        response(&plugin, &[], "xxxx-xxxx", 3).unwrap(),
        "[redacted]-[redacted]"
    );
    let request = testing::request("GET", "/").build();
    for size in 1..=9 {
        let response = testing::response(200).build();
        let stream = testing::open_response(&plugin, &request, &response).unwrap();
        let error = stream.unwrap().all("-xxxxx-", size).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a match has more than `longest` (4) bytes"
        );
    }
}

#[test]
fn bad_configurations_are_refused_by_place() {
    let rules = |rules: Value| json!({ "rules": rules });
    let rule = |rule: Value| json!({ "rules": [{ "pattern": "ok" }, rule] });
    for (config, expected) in [
        (rules(json!([])), "rules: there is none"),
        (json!({}), "missing field `rules`"),
        (rule(json!({ "pattern": "(" })), "rules[1].pattern: "),
        (
            rule(json!({ "pattern": "a*" })),
            "it matches the empty text",
        ),
        (rule(json!({ "pattern": "" })), "it matches the empty text"),
        (
            rule(json!({ "pattern": r"\b|a" })),
            "it matches the empty text",
        ),
        (rule(json!({ "pattern": "[a&&b]" })), "it matches nothing"),
        (rule(json!({ "pattern": "a+" })), "say with `longest`"),
        (rule(json!({ "pattern": "a+", "longest": 0 })), "1 to 65536"),
        (
            rule(json!({ "pattern": "a+", "longest": 65537 })),
            "1 to 65536",
        ),
        (
            rule(json!({ "pattern": "a", "longest": 5 })),
            "has no meaning",
        ),
        (rule(json!({ "pattern": "a{70000}" })), "rules[1].pattern: "),
        (
            rule(json!({ "pattern": "a", "with": "b" })),
            "unknown field `with`",
        ),
        (
            json!({ "rules": [{ "pattern": "a" }], "bodies": [] }),
            "nobody's are meant",
        ),
        (
            json!({ "rules": [{ "pattern": "a" }], "bodies": ["answer"] }),
            "unknown variant `answer`",
        ),
        (
            json!({ "rules": [{ "pattern": "a" }], "content-types": ["text"] }),
            "\"text\" is no media type",
        ),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}\nbut not: {expected}");
    }
}
