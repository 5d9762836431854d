//! The pens: what a transformer may change goes through byte for byte, and what it may not is refused
//! in words for its author, with the message unchanged.

use tollgate_tests::{Gateway, Origin, Step, echo, latin1, unlatin1};

use crate::scene::Scene;

/// As the hostile guest reads them; each character of a value is one byte.
fn edits(hook: &str, edits: &[&[&str]]) -> String {
    let edits = serde_json::to_string(edits).expect("texts");
    // Control characters are escaped alike in JSON and in TOML, but for one.
    let edits = edits.replace('\u{7f}', "\\u007f");
    format!("config = {{ act = \"edit\", hook = \"{hook}\", edits = {edits} }}")
}

/// What was refused on each side, as `operation subject: text`, and the upstream's request.
fn refused(request: &[&[&str]], response: &[&[&str]]) -> (Vec<String>, Vec<String>, Origin) {
    let origin = Origin::echo();
    let toml = Scene::new(&origin)
        .hostile("")
        .policy("in", "hostile", &edits("transform-request", request))
        .policy("out", "hostile", &edits("transform-response", response))
        .toml();
    let gateway = Gateway::start(&toml);
    let answer = gateway.get_with("/a/b?c=d", &[("x-keep", "1")]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer
        .echoed("x-refused")
        .iter()
        .map(|line| latin1(line))
        .collect();
    (told, answer.headers("x-refused"), origin)
}

#[track_caller]
fn assert_lines(lines: &[String], expected: &[(&str, &str)]) {
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (start, text)) in lines.iter().zip(expected) {
        assert!(
            line.starts_with(start) && line.contains(text),
            "no {start} … {text} in {line}"
        );
    }
}

#[test]
fn framing_and_connection_are_the_gateways() {
    let names = [
        "connection",
        "Keep-Alive",
        "proxy-connection",
        "te",
        "trailer",
        "Transfer-Encoding",
        "upgrade",
        "content-length",
        // As servers read them that make variables of names.
        "transfer_encoding",
        "Content.Length",
    ];
    let mut all: Vec<[&str; 3]> = Vec::new();
    for name in names {
        all.push(["set", name, "chunked"]);
        all.push(["append", name, "1"]);
    }
    let mut list: Vec<&[&str]> = all.iter().map(|words| &words[..]).collect();
    let removals: Vec<[&str; 2]> = names.iter().map(|name| ["remove", name]).collect();
    list.extend(removals.iter().map(|words| &words[..]));
    let (request, response, origin) = refused(&list, &list);
    assert_eq!(request.len(), 30);
    assert_eq!(request, response);
    for line in &request {
        assert!(
            line.contains("belongs to the connection or the framing"),
            "{line}"
        );
    }
    let received = origin.request(0);
    assert!(
        received.values("transfer-encoding").is_empty(),
        "{received:?}"
    );
    assert!(received.values("te").is_empty(), "{received:?}");
}

#[test]
fn what_is_no_header_is_refused() {
    let list: [&[&str]; 10] = [
        &["set", "", "v"],
        &["set", "bad name", "v"],
        &["append", "x:y", "v"],
        &["remove", "x\ny"],
        &["set", "x-é", "v"],
        &["set", "x-v", "a\nb"],
        &["append", "x-v", "a\r\nx-evil: 1"],
        &["set", "x-v", "nul\u{0}"],
        &["set", "x-v", "del\u{7f}"],
        &["set", "x-keep", "bell\u{7}"],
    ];
    let (request, response, origin) = refused(&list, &list);
    let expected = [
        ("set ", "`` is not a header name"),
        ("set bad name", "`bad name` is not a header name"),
        ("append x:y", "`x:y` is not a header name"),
        ("remove x\\x0ay", "is not a header name"),
        ("set x-", "is not a header name"),
        ("set x-v", "the value for `x-v` has control characters"),
        ("append x-v", "the value for `x-v` has control characters"),
        ("set x-v", "the value for `x-v` has control characters"),
        ("set x-v", "the value for `x-v` has control characters"),
        (
            "set x-keep",
            "the value for `x-keep` has control characters",
        ),
    ];
    assert_lines(&request, &expected);
    assert_lines(&response, &expected);
    let received = origin.request(0);
    assert!(received.values("x-v").is_empty() && received.values("x-evil").is_empty());
    assert_eq!(
        received.values("x-keep"),
        [b"1"],
        "a refused edit changes nothing"
    );
}

#[test]
fn a_request_line_stays_one() {
    let list: [&[&str]; 18] = [
        &["set", "host", "evil.example"],
        &["remove", "host"],
        &["set-method", "BAD METHOD"],
        &["set-method", ""],
        &["set-method", "CONNECT"],
        &["set-method", "GET\r\nx: y"],
        &["set-path", "no-slash"],
        &["set-path", ""],
        &["set-path", "/a/../b"],
        &["set-path", "/a/%2e%2e/b"],
        &["set-path", "/a?b"],
        &["set-path", "/a#b"],
        &["set-path", "/a b"],
        &["set-path", "/a\r\nx: y"],
        &["set-query", "a#b"],
        &["set-query", "a b"],
        &["set-authority", "a b"],
        &["set-authority", "user@host"],
    ];
    let (request, _, origin) = refused(&list, &[]);
    assert_lines(
        &request,
        &[
            ("set host", "`host` is set with `set-authority`"),
            ("remove host", "`host` is set with `set-authority`"),
            ("set-method BAD METHOD", "`BAD METHOD` is not a method"),
            ("set-method ", "`` is not a method"),
            ("set-method CONNECT", "`CONNECT` is not a method"),
            ("set-method GET", "is not a method"),
            ("set-path no-slash", "`no-slash`"),
            ("set-path ", "``"),
            ("set-path /a/../b", "`/a/../b`"),
            ("set-path /a/%2e%2e/b", "`/a/%2e%2e/b`"),
            ("set-path /a?b", "a path has no `?` or `#`"),
            ("set-path /a#b", "a path has no `?` or `#`"),
            ("set-path /a b", "`/a b"),
            ("set-path /a", "`/a"),
            ("set-query a#b", "a query has no `#`"),
            ("set-query a b", "`/a/b?a b`"),
            ("set-authority a b", "`a b` is not a host"),
            ("set-authority user@host", "`user@host` is not a host"),
        ],
    );
    let received = origin.request(0);
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("GET", "/a/b?c=d")
    );
    assert_eq!(received.header("host").as_deref(), Some("test.example"));
}

#[test]
fn a_status_is_one_that_may_be_sent() {
    let list: [&[&str]; 6] = [
        &["set-status", "0"],
        &["set-status", "100"],
        &["set-status", "101"],
        &["set-status", "199"],
        &["set-status", "600"],
        &["set-status", "65535"],
    ];
    let (_, response, _origin) = refused(&[], &list);
    assert_eq!(response.len(), 6);
    for line in response {
        assert!(line.contains("is not between 200 and 599"), "{line}");
    }
}

#[test]
fn what_may_be_changed_is_changed_byte_for_byte() {
    let origin = Origin::raw(|request| {
        let more = "\r\nset-cookie: up=1\r\nx-up: \u{e4}\u{f6}\r\nx-gone: 1\r\nx-gone: 2\r\n";
        let answer = latin1(&echo(request)).replacen("\r\n", more, 1);
        vec![Step::Send(unlatin1(&answer))]
    });
    let request: [&[&str]; 10] = [
        &["set-method", "PROPFIND"],
        &["set-path", "/caf%C3%A9/%2F"],
        &["set-query", "q=%20&r"],
        &["set-authority", "inner.example:8081"],
        &["set", "x-latin", "caf\u{e9}"],
        &["append", "x-latin", "\u{ff}\u{80}"],
        &["append", "x-latin", ""],
        &["append", "cookie", "b=2"],
        &["remove", "x-gone"],
        &["set", "x-tab", "a\tb"],
    ];
    let response: [&[&str]; 6] = [
        &["set-status", "299"],
        &["append", "set-cookie", "gw=\u{e9}; Path=/"],
        &["append", "set-cookie", "up=1"],
        &["set", "x-latin", "\u{a0}caf\u{e9}\u{ff}"],
        &["remove", "x-gone"],
        &["set", "host", "a response may say this"],
    ];
    let toml = Scene::new(&origin)
        .hostile("")
        .policy("in", "hostile", &edits("transform-request", &request))
        .policy("out", "hostile", &edits("transform-response", &response))
        .toml();
    let gateway = Gateway::start(&toml);
    let response = gateway.request(
        b"GET /a?b HTTP/1.1\r\nhost: outer\r\nconnection: close\r\nx-latin: old\r\nx-latin: older\r\n\
          x-gone: 1\r\nX-Gone: 2\r\ncookie: a=1\r\nx-same: \xe9\xff \xfe\r\nx-same: 2\r\n\r\n",
    );
    let received = origin.request(0);
    assert_eq!(received.method, "PROPFIND");
    assert_eq!(received.target, "/caf%C3%A9/%2F?q=%20&r");
    assert_eq!(received.values("host"), [b"inner.example:8081"]);
    assert_eq!(
        received.values("x-latin"),
        [&b"caf\xe9"[..], b"\xff\x80", b""]
    );
    assert_eq!(received.values("cookie"), [b"a=1", b"b=2"]);
    assert_eq!(received.values("x-same"), [&b"\xe9\xff \xfe"[..], b"2"]);
    assert_eq!(received.values("x-tab"), [b"a\tb"]);
    assert!(received.values("x-gone").is_empty());

    assert_eq!(response.status, 299);
    assert_eq!(
        response.values("set-cookie"),
        [&b"up=1"[..], b"gw=\xe9; Path=/", b"up=1"]
    );
    assert_eq!(response.values("x-latin"), [b"\xa0caf\xe9\xff"]);
    assert_eq!(response.values("x-up"), [b"\xe4\xf6"]);
    assert!(response.values("x-gone").is_empty());
    assert_eq!(response.headers("host"), ["a response may say this"]);
}

#[test]
fn a_changed_method_or_status_changes_how_the_message_ends() {
    let origin = Origin::raw(|request| vec![Step::Send(echo(request))]);
    let toml = Scene::new(&origin)
        .hostile("")
        .policy(
            "head",
            "hostile",
            &edits("transform-request", &[&["set-method", "HEAD"]]),
        )
        .policy(
            "get",
            "hostile",
            &edits("transform-request", &[&["set-method", "GET"]]),
        )
        .policy(
            "empty",
            "hostile",
            &edits("transform-response", &[&["set-status", "204"]]),
        )
        .route("head", "/head", &["head"])
        .route("get", "/get", &["get"])
        .route("empty", "/empty", &["empty"])
        .toml();
    let gateway = Gateway::start(&toml);
    let mut client = gateway.client();
    // Each answer is followed by another on the same connection: their borders must be right.
    for _ in 0..2 {
        let response = client.get("/head");
        assert_eq!(
            (response.status, response.body.len()),
            (200, 0),
            "{response:?}"
        );
        assert!(
            response.complete,
            "an answer to HEAD has no body to wait for: {response:?}"
        );
        client.send("HEAD /get HTTP/1.1\r\nhost: a\r\n\r\n");
        let response = client.read();
        assert_eq!(
            (response.status, response.body.len()),
            (200, 0),
            "{response:?}"
        );
        let response = client.get("/empty");
        assert_eq!(
            (response.status, response.body.len()),
            (204, 0),
            "{response:?}"
        );
        assert_eq!(response.header("content-length"), None);
    }
    client.send("POST /get HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    let response = client.read();
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["body"], "hello");
    assert_eq!(response.json()["method"], "GET");
}
