//! Upstreams that are not there, answer late, by halves or not in HTTP.

use std::time::Duration;

use serde_json::Value;
use tollgate_tests::{Gate, Gateway, Origin, Response, Step, eventually, ok};

use super::{Full, PATIENT, dead, gateway, pass, quoted};

/// The answer is a problem document, the record says the same, and neither client nor log is told
/// less or more than it should be.
#[track_caller]
fn check_problem(gateway: &Gateway, answer: &Response, path: &str, status: u16, kind: &str) {
    let record = gateway.record(|record| record["path"] == path);
    assert_eq!(answer.status, status, "{path}: {record}");
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request-id"], record["id"]);
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    assert_eq!(record["status"], status);
    assert_eq!(record["complete"], true);
    assert_eq!(record["failure"]["blame"], "upstream", "{record}");
    assert_eq!(record["failure"]["kind"], kind, "{record}");
}

#[test]
fn no_server_is_there() {
    let gateway = gateway(&[dead(), dead()], PATIENT);
    let answer = gateway.get("/p");
    check_problem(&gateway, &answer, "/p", 502, "unreachable");
    assert_eq!(gateway.record(|_| true)["upstream"], Value::Null);
}

#[test]
fn no_server_accepts_in_time() {
    let full = Full::new();
    let gateway = gateway(&[full.url()], r#"connect = "100ms""#);
    let answer = gateway.get("/p");
    check_problem(&gateway, &answer, "/p", 504, "connect-timeout");
}

/// The total time is of the whole exchange, waiting for connections included.
#[test]
fn the_total_time_bounds_connecting_too() {
    let full = Full::new();
    let gateway = gateway(&[full.url()], r#"connect = "10s", total = "300ms""#);
    let answer = gateway.get("/p");
    assert_eq!(answer.status, 504);
    let microseconds = gateway.record(|_| true)["us"].as_u64().expect("a time");
    assert!(microseconds < 5_000_000, "{microseconds} us");
}

#[test]
fn no_head_comes_in_time() {
    let gate = Gate::new();
    let thinking = gate.clone();
    let origin = Origin::raw(move |request| {
        let begin = match request.target.as_str() {
            "/half-a-head" => "HTTP/1.1 200 OK\r\ncontent-le",
            "/only-continue" => "HTTP/1.1 100 Continue\r\n\r\n",
            _ => "",
        };
        vec![Step::Send(begin.into()), Step::WaitFor(thinking.clone())]
    });
    let servers = [quoted(origin.url())];
    let slow = gateway(&servers, r#"first-byte = "200ms", total = "20s""#);
    for path in ["/silent", "/half-a-head", "/only-continue"] {
        check_problem(&slow, &slow.get(path), path, 504, "first-byte-timeout");
    }
    let short = gateway(&servers, r#"first-byte = "20s", total = "200ms""#);
    check_problem(
        &short,
        &short.get("/silent"),
        "/silent",
        504,
        "total-timeout",
    );
    gate.open();
    eventually("the connections end", || {
        (origin.open_connections() == 0).then_some(())
    });
}

/// The first byte is waited for from the last of the upload.
#[test]
fn a_slow_upload_is_not_a_slow_upstream() {
    let origin = Origin::echo();
    let gateway = gateway(
        &[quoted(origin.url())],
        r#"first-byte = "1s", total = "20s""#,
    );
    let mut client = gateway.client();
    client.send("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n");
    for byte in "abcd".bytes() {
        pass(Duration::from_millis(300));
        client.send_more([byte]);
    }
    assert_eq!(client.read().json()["body"], "abcd");
}

/// Nobody can answer a request that has not been sent: its client is to blame.
#[test]
fn an_upload_that_stops_is_not_the_upstreams_fault() {
    let origin = Origin::echo();
    for timeouts in [
        r#"first-byte = "200ms", total = "600ms""#,
        r#"first-byte = "5s", total = "200ms""#,
    ] {
        let gateway = gateway(&[quoted(origin.url())], timeouts);
        let mut client = gateway.client();
        client.send("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab");
        let answer = client.read();
        let record = gateway.record(|record| record["path"] == "/p");
        assert_eq!(record["failure"]["blame"], "client", "{timeouts}: {record}");
        assert_eq!(answer.status, 408, "{timeouts}");
    }
}

#[test]
fn what_is_no_answer_is_a_bad_gateway() {
    let lines: String = (0..101)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let long = "x".repeat(70_000);
    let huge = "x".repeat(2 << 20);
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        (
            "half-a-head",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n".to_vec(),
        ),
        ("garbage", b"\x16\x03\x01 this is not HTTP\r\n\r\n".to_vec()),
        ("another-protocol", b"220 mail.example ESMTP\r\n".to_vec()),
        ("no-status", b"HTTP/1.1 abc OK\r\n\r\n".to_vec()),
        (
            "a-version-to-come",
            b"HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
        ("a-bad-length", head("content-length: x\r\n").into()),
        (
            "two-lengths",
            head("content-length: 3\r\ncontent-length: 4\r\n").into(),
        ),
        ("a-nul", head("x: a\0b\r\ncontent-length: 0\r\n").into()),
        (
            "a-blank-in-a-name",
            head("x y: 1\r\ncontent-length: 0\r\n").into(),
        ),
        (
            "a-folded-first-line",
            head(" x: 1\r\ncontent-length: 0\r\n").into(),
        ),
        (
            "an-unasked-coding",
            head("transfer-encoding: gzip, chunked\r\n").into(),
        ),
        (
            "an-unasked-coding-until-the-close",
            head("transfer-encoding: gzip\r\n").into(),
        ),
        (
            "an-unasked-upgrade",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
                .to_vec(),
        ),
        (
            "too-many-lines",
            head(&format!("{lines}content-length: 0\r\n")).into(),
        ),
        (
            "a-long-line",
            head(&format!("x: {long}\r\ncontent-length: 0\r\n")).into(),
        ),
        (
            "a-huge-line",
            head(&format!("x: {huge}\r\ncontent-length: 0\r\n")).into(),
        ),
    ];
    let script = table.clone();
    let origin = Origin::raw(move |request| {
        let name = request
            .target
            .trim_start_matches('/')
            .trim_end_matches("-reset");
        let bytes = script
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, bytes)| bytes.clone());
        let end = if request.target.ends_with("-reset") {
            Step::Reset
        } else {
            Step::Close
        };
        vec![Step::Send(bytes.unwrap_or_default()), end]
    });
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let mut wrong = Vec::new();
    for (name, _) in &table {
        let path = format!("/{name}");
        let answer = gateway.get(&path);
        if answer.status == 502 {
            check_problem(&gateway, &answer, &path, 502, "bad-gateway");
        } else {
            wrong.push(format!("{name}: {} {:?}", answer.status, answer.text()));
        }
    }
    for path in ["/nothing-reset", "/half-a-head-reset"] {
        check_problem(&gateway, &gateway.get(path), path, 502, "bad-gateway");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever two readers may make of an answer's length, one answer reaches the client in one framing.
#[test]
fn an_answers_framing_is_never_ambiguous() {
    const CHUNKS: &str = "\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let table = [
        format!("content-length: 5\r\ntransfer-encoding: chunked{CHUNKS}"),
        format!("transfer-encoding: chunked\r\ncontent-length: 50{CHUNKS}"),
        "content-length: 11, 11\r\n\r\nhello world".to_owned(),
        "content-length: 11\r\ncontent-length: 11\r\n\r\nhello world".to_owned(),
    ];
    for fields in table {
        let origin = Origin::fixed(format!("HTTP/1.1 200 OK\r\n{fields}"));
        let gateway = gateway(&[quoted(origin.url())], PATIENT);
        let answer = gateway.get("/p");
        if answer.status == 502 {
            continue;
        }
        assert_eq!(
            (answer.text().as_str(), answer.complete),
            ("hello world", true),
            "{fields:?}"
        );
        let lengths = answer.headers("content-length");
        let framings = lengths.len() + answer.headers("transfer-encoding").len();
        assert_eq!(framings, 1, "{fields:?}");
        assert!(
            lengths.iter().all(|length| length == "11"),
            "{fields:?} as {lengths:?}"
        );
    }
}

#[test]
fn interim_answers_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let origin = Origin::fixed([interim.as_bytes(), &ok("text/plain", "final")].concat());
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let answer = gateway.get("/p");
    assert_eq!((answer.status, answer.text().as_str()), (200, "final"));
    assert_eq!((answer.interim.len(), answer.header("link")), (0, None));
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    const LENGTH: &str = "content-length: 100\r\n\r\nhello";
    const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    const IN_A_CHUNK: &str = "transfer-encoding: chunked\r\n\r\n9\r\nhello";
    const BAD_CHUNK: &str = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n";
    const CLOSE: &str = "x: y\r\n\r\nhello";
    let table = [
        ("/length", LENGTH, Step::Close),
        ("/length-reset", LENGTH, Step::Reset),
        ("/chunked", CHUNKED, Step::Close),
        ("/chunked-reset", CHUNKED, Step::Reset),
        ("/in-a-chunk", IN_A_CHUNK, Step::Close),
        ("/bad-chunk", BAD_CHUNK, Step::Close),
        ("/until-the-close-reset", CLOSE, Step::Reset),
    ];
    let gates = table.each_ref().map(|_| Gate::new());
    let (script, opened) = (table.clone(), gates.clone());
    let origin = Origin::raw(move |request| {
        let index = script.iter().position(|(path, ..)| *path == request.target);
        let index = index.expect("a known path");
        let (_, fields, end) = &script[index];
        vec![
            Step::Send(format!("HTTP/1.1 200 OK\r\n{fields}").into()),
            // A reset overtakes what was not read yet.
            Step::WaitFor(opened[index].clone()),
            end.clone(),
        ]
    });
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for (index, (path, ..)) in table.into_iter().enumerate() {
        let mut client = gateway.client();
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let mut first = [0; 1];
        let peeked = client.stream().peek(&mut first).expect("the head");
        assert_eq!(peeked, 1, "{path}");
        gates[index].open();
        let answer = client.read();
        assert_eq!((answer.status, answer.complete), (200, false), "{path}");
        assert!(b"hello".starts_with(&answer.body), "{path}");
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(
            (&record["status"], &record["complete"]),
            (&200.into(), &false.into()),
            "{path}"
        );
        assert_eq!(record["failure"]["blame"], "upstream", "{path}");
        assert_eq!(record["failure"]["kind"], "bad-gateway", "{path}");
    }
}

#[test]
fn the_total_time_ends_an_answer_in_its_middle() {
    let gate = Gate::new();
    let stuck = gate.clone();
    let origin = Origin::raw(move |request| {
        let framing = match request.target.as_str() {
            "/length" => "content-length: 100\r\n\r\nhello",
            _ => "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        };
        vec![
            Step::Send(format!("HTTP/1.1 200 OK\r\n{framing}").into()),
            Step::WaitFor(stuck.clone()),
        ]
    });
    let gateway = gateway(&[quoted(origin.url())], r#"total = "300ms""#);
    for path in ["/length", "/chunked"] {
        let answer = gateway.get(path);
        assert_eq!((answer.status, answer.complete), (200, false), "{path}");
        assert_eq!(answer.text(), "hello", "{path}");
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(record["complete"], false, "{path}");
        assert_eq!(record["failure"]["blame"], "upstream", "{path}");
        assert_eq!(record["failure"]["kind"], "total-timeout", "{path}");
    }
    gate.open();
    eventually("the connections end", || {
        (origin.open_connections() == 0).then_some(())
    });
}
