//! What the head says of a body that goes through a plugin.

use tollgate_tests::{Origin, Step};

use super::{gateway, get, head, post};

/// What no longer holds of a body that is another.
const OLD: [(&str, &str); 7] = [
    ("content-length", "4"),
    ("digest", "sha-256=x"),
    ("content-digest", "sha-256=:eA==:"),
    ("repr-digest", "sha-256=:eA==:"),
    ("content-md5", "x"),
    ("accept-ranges", "bytes"),
    ("etag", "\"strong\""),
];

fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    (head + "\r\n" + body).into_bytes()
}

#[test]
fn a_response_loses_what_was_said_of_the_old_body() {
    let origin = Origin::raw(|request| {
        let body = if request.method == "HEAD" { "" } else { "body" };
        vec![Step::Send(answer("200 OK", &OLD, body))]
    });
    let gateway = gateway(&origin);
    for method in ["GET", "HEAD"] {
        let request = get("/one", &[("x-one-out", "shout")]).replacen("GET", method, 1);
        let response = gateway.request(request);
        assert_eq!(response.status, 200);
        for (name, _) in &OLD[..6] {
            assert_eq!(response.header(name), None, "{method} {name}");
        }
        assert_eq!(
            response.header("etag").as_deref(),
            Some("W/\"strong\""),
            "{method}"
        );
        assert_eq!(response.text(), if method == "GET" { "BODY" } else { "" });
    }
    // What goes past stays what it is.
    let response = gateway.request(get("/one", &[]));
    for (name, value) in OLD {
        assert_eq!(response.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn a_request_loses_what_was_said_of_the_old_body() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let headers = [
        ("x-one-in", "shout"),
        ("digest", "sha-256=x"),
        ("content-digest", "sha-256=:eA==:"),
        ("content-md5", "x"),
    ];
    let raw = get("/one", &headers).replacen("GET", "POST", 1);
    let raw = raw.replacen("\r\n\r\n", "\r\ncontent-length: 4\r\n\r\nbody", 1);
    assert_eq!(gateway.request(raw).status, 200);
    let received = origin.request(0);
    assert_eq!(
        (&received.body[..], received.complete),
        (&b"BODY"[..], true)
    );
    assert_eq!(received.header("content-length"), None);
    assert_eq!(
        received.header("transfer-encoding").as_deref(),
        Some("chunked")
    );
    for (name, _) in &headers[1..] {
        assert_eq!(received.header(name), None, "{name}");
    }
}

#[test]
fn bodies_are_asked_for_whole_and_as_they_are() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let headers = [
        ("range", "bytes=0-1"),
        ("if-range", "\"strong\""),
        ("accept-encoding", "br, gzip"),
    ];
    gateway.request(get("/one", &headers));
    let received = origin.request(0);
    assert_eq!(received.header("range"), None);
    assert_eq!(received.header("if-range"), None);
    assert_eq!(
        received.header("accept-encoding").as_deref(),
        Some("identity")
    );
    gateway.request(get("/plain", &headers));
    let received = origin.request(1);
    for (name, value) in headers {
        assert_eq!(received.header(name).as_deref(), Some(value));
    }
}

/// A part shows a plugin only a part of what it looks for.
#[test]
fn a_part_that_comes_nevertheless_is_refused() {
    let range = ("content-range", "bytes 0-3/9");
    let part = answer(
        "206 Partial Content",
        &[("content-length", "4"), range],
        "body",
    );
    let origin = Origin::fixed(part);
    let gateway = gateway(&origin);
    for headers in [&[("x-one-out", "shout")][..], &[]] {
        let response = gateway.request(get("/one", headers));
        assert_eq!(response.status, 502, "{headers:?}");
    }
    let record = gateway.record(|record| record["path"] == "/one");
    assert_eq!(record["failure"]["blame"], "upstream", "{record}");
    assert_eq!(record["entries"][0]["fault"], "unreadable", "{record}");
    assert_eq!(gateway.request(get("/open", &[])).status, 206);
}

#[test]
fn answers_that_never_have_a_body_have_none() {
    for status in ["204 No Content", "304 Not Modified"] {
        let origin = Origin::fixed(answer(status, &[("etag", "\"strong\"")], ""));
        let gateway = gateway(&origin);
        let response = gateway.request(get("/one", &[("x-one-out", "open-trap")]));
        assert_eq!(response.status.to_string(), status[..3], "{status}");
        assert!(response.complete && response.body.is_empty());
        // The validator of what a 304 stands for is the one that it was given out with.
        let etag = if status.starts_with("304") {
            "W/\"strong\""
        } else {
            "\"strong\""
        };
        assert_eq!(response.header("etag").as_deref(), Some(etag), "{status}");
    }
}

#[test]
fn an_empty_body_is_one_last_piece() {
    let origin = Origin::raw(|request| {
        vec![Step::Send(match request.target.as_str() {
            "/one" => answer("200 OK", &[("content-length", "0")], ""),
            _ => [head(&[]), b"0\r\n\r\n".to_vec()].concat(),
        })]
    });
    let gateway = gateway(&origin);
    for path in ["/one", "/open"] {
        let response = gateway.request(get(path, &[("x-one-out", "lengths")]));
        assert_eq!(response.text(), "0!", "{path}");
    }
    let response = gateway.request(post("/one", &[("x-one-in", "lengths")], &[]));
    assert_eq!(response.status, 200);
    assert_eq!(origin.request(2).body, b"0!");
}
