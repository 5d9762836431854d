//! Which messages are edited, and what becomes of those that cannot be.

use super::*;

#[test]
fn only_json_is_read() {
    let remove = || json!({ "remove": ["a"] });
    for (content_type, is_json) in [
        ("application/json", true),
        ("Application/JSON ; charset=utf-8", true),
        ("application/problem+json", true),
        ("application/vnd.api+JSON;v=1", true),
        ("application/jsonlines", false),
        ("text/plain; x=application/json", false),
        ("+json", false),
        ("", false),
    ] {
        let request = testing::request("PUT", "/").header("content-type", content_type);
        let sent = sent(remove(), request.body(r#"{"a":1}"#)).unwrap();
        let expected = if is_json { "{}" } else { r#"{"a":1}"# };
        assert_eq!(sent, expected, "{content_type}");
        let response = testing::response(200).header("content-type", content_type);
        let answered = answered(remove(), response.body(r#"{"a":1}"#)).unwrap();
        assert_eq!(answered, expected, "{content_type}");
    }
    // One reader may take the first of two, and another the last.
    let two = testing::request("PUT", "/")
        .header("content-type", "text/plain")
        .header("content-type", "application/json");
    assert_eq!(sent(remove(), two.body(r#"{"a":1}"#)).unwrap(), "{}");
    assert_eq!(edited(remove(), ""), "");
    assert_eq!(answered(remove(), response("")).unwrap(), "");
}

/// A body that cannot be read is a fault, so it was not read.
#[test]
fn what_need_not_be_read_is_not() {
    let plugin = plugin(json!({ "request": { "remove": ["a"] } }));
    let mut other = testing::request("POST", "/").broken_body("read").build();
    let passed = testing::transform_request(&plugin, &mut other).unwrap();
    assert_eq!(passed, Outcome::Next);
    let mut answer = response("").broken_body("read").build();
    let passed = testing::transform_response(&plugin, &other, &mut answer).unwrap();
    assert_eq!(passed, Outcome::Next);

    let both =
        super::plugin(json!({ "response": { "remove": ["a"], "statuses": ["2xx", "404"] } }));
    let mut posted = post("").broken_body("read").build();
    let passed = testing::transform_request(&both, &mut posted).unwrap();
    assert_eq!(passed, Outcome::Next);
    for (method, status) in [
        ("HEAD", 200),
        ("GET", 204),
        ("GET", 205),
        ("GET", 304),
        ("GET", 500),
    ] {
        let request = testing::request(method, "/").build();
        let mut answer = testing::response(status)
            .header("content-type", "application/json")
            .broken_body("read")
            .build();
        let passed = testing::transform_response(&both, &request, &mut answer).unwrap();
        assert_eq!(passed, Outcome::Next, "{method} {status}");
    }
}

#[test]
fn what_is_not_json_is_refused_on_the_way_in() {
    let changes = || json!({ "set": { "a.b": 1 } });
    for (body, expected) in [
        (
            &b"{"[..],
            "the body is not JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            b"{} x",
            "the body is not JSON: trailing characters at line 1 column 4",
        ),
        (
            b"\xef\xbb\xbf\xef\xbb\xbf{}",
            "the body is not JSON: expected value at line 1 column 1",
        ),
        (
            b"{'a':1}",
            "the body is not JSON: key must be a string at line 1 column 2",
        ),
        (b"{\"\\ud800\":1}", "the body is not JSON: "),
        (b"{\"a\":\"\xff\"}", "the body is not JSON: "),
        (b"7", "the body is of another shape than is expected"),
        (
            b"{\"a\":[]}",
            "the body is of another shape than is expected",
        ),
    ] {
        let (status, text) = detail(&sent(changes(), post(body)).unwrap_err());
        assert_eq!(status, 400);
        assert!(text.starts_with(expected), "{text}");
    }
    let logged = testing::logged();
    assert_eq!(
        logged[0],
        "info: answered 400: there is no place for request.set.\"a.b\""
    );
}

#[test]
fn what_cannot_be_read_is_refused_on_the_way_in() {
    let remove = || json!({ "remove": ["a"] });
    testing::body_limit(8);
    let reply = sent(remove(), post(r#"{"a":123}"#)).unwrap_err();
    assert_eq!(
        detail(&reply),
        (413, "the body is larger than 8 bytes".into())
    );
    let reply = sent(json!({ "set": { "bb": 123 } }), post("{}")).unwrap_err();
    assert_eq!(
        detail(&reply),
        (413, "the body is larger than 8 bytes".into())
    );
    testing::reset();

    let reply = sent(remove(), post("x").header("content-encoding", "gzip, br")).unwrap_err();
    assert_eq!(reply.status, 415);
    assert!(
        reply
            .headers
            .contains(&("accept-encoding".into(), b"gzip, deflate".to_vec()))
    );
    let gzip = post(r#"{"a":1}"#).header("content-encoding", "GZIP, identity,");
    assert_eq!(sent(remove(), gzip).unwrap(), "{}");

    // The gateway tells whose fault it is.
    let plugin = plugin(json!({ "request": remove() }));
    let mut broken = post("").broken_body("the client broke off").build();
    let error = testing::transform_request(&plugin, &mut broken).unwrap_err();
    assert!(error.to_string().contains("the client broke off"));
}

#[test]
fn other_bodies_can_be_refused() {
    let changes = || json!({ "remove": ["a"], "other": "refuse" });
    let put = || testing::request("PUT", "/");
    for (request, expected) in [
        (put(), None),
        (put().body("x"), Some(415)),
        (
            put().header("content-type", "text/plain").body("x"),
            Some(415),
        ),
        (post("{}"), None),
    ] {
        let refused = sent(changes(), request).err().map(|reply| reply.status);
        assert_eq!(refused, expected);
    }
}

#[test]
fn responses_that_cannot_be_edited() {
    let hide = || json!({ "remove": ["a"] });
    let change = || json!({ "set": { "a.b": "{status} {response.server}" } });
    let server = |body: &str| response(body).header("server", "x");
    let with = |mut changes: Value, on_failure: &str| {
        changes["on-failure"] = json!(on_failure);
        changes
    };
    let refused = (
        502,
        "the answer of the upstream cannot be passed on".to_owned(),
    );
    for body in ["{", "{} {}", r#"{"a":1,"\ud800":2}"#] {
        for changes in [hide(), with(hide(), "refuse"), with(change(), "refuse")] {
            let reply = answered(changes, server(body)).unwrap_err();
            assert_eq!(detail(&reply), refused);
        }
        for changes in [change(), with(change(), "pass"), with(hide(), "pass")] {
            assert_eq!(answered(changes, server(body)).unwrap(), body);
        }
    }
    // A part of a document.
    let part = testing::response(206).header("content-type", "application/json");
    assert_eq!(
        detail(&answered(hide(), part.body("{}")).unwrap_err()),
        refused
    );
    // Where `set` has no place in an answer, it is left out.
    assert_eq!(
        answered(change(), server(r#"{"a":1}"#)).unwrap(),
        r#"{"a":1}"#
    );
    assert_eq!(
        answered(change(), server("{}")).unwrap(),
        r#"{"a":{"b":"200 x"}}"#
    );
    assert_eq!(
        answered(json!({ "set": { "s": "{status}" } }), server("{}")).unwrap(),
        r#"{"s":200}"#
    );

    testing::body_limit(8);
    assert_eq!(
        detail(&answered(hide(), server(r#"{"a":123}"#)).unwrap_err()),
        refused
    );
    let plugin = plugin(json!({ "response": with(hide(), "pass") }));
    let request = testing::request("GET", "/").build();
    let mut large = server(r#"{"a":123}"#).build();
    let passed = testing::transform_response(&plugin, &request, &mut large).unwrap();
    assert_eq!(passed, Outcome::Next);
    let logged = testing::logged();
    let last = logged.last().unwrap();
    assert_eq!(
        last,
        "warn: passed on as it is: the body is larger than the 8 bytes granted"
    );
}

#[test]
fn statuses_choose_responses() {
    let changes = || json!({ "remove": ["a"], "statuses": ["2xx", "404"] });
    for (status, is_edited) in [
        (200, true),
        (299, true),
        (404, true),
        (400, false),
        (500, false),
    ] {
        let response = testing::response(status)
            .header("content-type", "application/json")
            .body(r#"{"a":1}"#);
        let expected = if is_edited { "{}" } else { r#"{"a":1}"# };
        assert_eq!(answered(changes(), response).unwrap(), expected, "{status}");
    }
}

#[test]
fn upstreams_are_asked_for_what_can_be_read() {
    let asked = |config: Value, request: RequestBuilder| {
        let plugin = plugin(config);
        let mut request = request.build();
        let outcome = testing::transform_request(&plugin, &mut request).unwrap();
        assert_eq!(outcome, Outcome::Next);
        request
    };
    let response = || json!({ "response": { "remove": ["a"] } });
    for (accepted, expected) in [
        ("gzip, deflate", "gzip, deflate"),
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("br;q=1.0,GZIP;q=0.8 , *;q=0.1", "GZIP;q=0.8"),
        ("br", "identity"),
        ("", "identity"),
        ("identity", "identity"),
    ] {
        let request = asked(
            response(),
            testing::request("GET", "/").header("accept-encoding", accepted),
        );
        assert_eq!(
            request.header_text("accept-encoding").as_deref(),
            Some(expected)
        );
    }
    let ranged = || {
        testing::request("GET", "/")
            .header("range", "bytes=0-1")
            .header("if-range", "\"x\"")
            .header("accept", "*/*")
    };
    assert_eq!(asked(response(), ranged()).header_names(), ["accept"]);
    let request = json!({ "request": { "remove": ["a"] } });
    assert_eq!(
        asked(request, ranged()).header_names(),
        ["accept", "if-range", "range"]
    );
}
