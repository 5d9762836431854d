//! Heads that cannot be read are answered, written down and counted as every other request.

use std::net::Shutdown;

use serde_json::Value;
use tollgate_tests::{Client, Gateway, Origin, Response, Step, eventually, ok};

use super::gateway;

struct Case {
    name: &'static str,
    raw: Vec<u8>,
    status: u16,
    kind: &'static str,
    /// Method, path and host in the record.
    asked: [&'static str; 3],
}

fn case(
    name: &'static str,
    raw: impl Into<Vec<u8>>,
    status: u16,
    kind: &'static str,
    asked: [&'static str; 3],
) -> Case {
    Case {
        name,
        raw: raw.into(),
        status,
        kind,
        asked,
    }
}

fn cases() -> Vec<Case> {
    let lines: String = (0..101).map(|line| format!("x-{line}: 1\r\n")).collect();
    let long = "x".repeat(200 << 10);
    // The beginning of a ClientHello, as OpenSSL sends it.
    let hello: &[u8] =
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x9f\x8a\xd1\x20\x0d\x0a\x7b\x20\x0b";
    let bad = "bad-request";
    vec![
        case(
            "a method",
            "G/T /a?k=s HTTP/1.1\r\nhost: h\r\n\r\n",
            400,
            bad,
            ["G/T", "/a", "h"],
        ),
        case(
            "a name",
            "GET /a HTTP/1.1\r\nhost: h\r\nx y: 1\r\n\r\n",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "a value",
            "GET /a HTTP/1.1\r\nhost: h\r\nx: \x01\r\n\r\n",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "no colon",
            "GET /a HTTP/1.1\r\nhost: h\r\nx\r\n\r\n",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "a fold",
            "GET /a HTTP/1.1\r\nhost: h\r\nx: 1\r\n 2\r\n\r\n",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "a target",
            "GET /a b HTTP/1.1\r\nhost: h\r\n\r\n",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case("no version", "GET /a\r\n\r\n", 400, bad, ["GET", "/a", ""]),
        case(
            "a version",
            "GET /a HTTP/2.0\r\nhost: h\r\n\r\n",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "a length",
            "GET /a HTTP/1.1\r\ncontent-length: x\r\nhost: h\r\n\r\nhello",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "a length that is too large",
            "POST /a HTTP/1.1\r\ncontent-length: 18446744073709551615\r\nhost: h\r\n\r\nhello",
            400,
            bad,
            ["POST", "/a", "h"],
        ),
        case(
            "two lengths",
            "GET /a HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\nhost: h\r\n\r\nhello",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "a coding",
            "GET /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: x\r\n\r\n",
            400,
            bad,
            ["GET", "/a", "h"],
        ),
        case(
            "a coding of 1.0",
            "POST /a HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            bad,
            ["POST", "/a", "h"],
        ),
        case(
            "no URI",
            "GET http://[ HTTP/1.1\r\nhost: h\r\n\r\n",
            400,
            bad,
            ["GET", "http://[", "h"],
        ),
        case(
            "lines",
            format!("GET /a HTTP/1.1\r\nhost: h\r\n{lines}\r\n"),
            431,
            "headers-too-large",
            ["GET", "/a", "h"],
        ),
        case(
            "a long line",
            format!("GET /a HTTP/1.1\r\nhost: h\r\nx: {long}\r\n\r\n"),
            431,
            "headers-too-large",
            ["GET", "/a", "h"],
        ),
        case(
            "HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            400,
            bad,
            ["PRI", "*", ""],
        ),
        case("TLS", hello, 400, bad, ["", "", ""]),
        case("nothing", "\0\0\0\0\r\n\r\n", 400, bad, ["", "", ""]),
        case(
            "HEAD",
            "HEAD /a HTTP/1.1\r\nhost: h\r\nx\r\n\r\n",
            400,
            bad,
            ["HEAD", "/a", "h"],
        ),
    ]
}

/// What a refusal is, whoever finds the fault.
#[track_caller]
fn assert_refused(gateway: &Gateway, name: &str, answer: &Response, status: u16) -> Value {
    assert_eq!(
        (answer.status, answer.complete),
        (status, true),
        "{name}: {answer:?}"
    );
    let header = |of: &str| answer.header(of).unwrap_or_default();
    assert_eq!(header("content-type"), "application/problem+json", "{name}");
    assert_eq!(header("connection"), "close", "{name}");
    assert_eq!(answer.values("date").len(), 1, "{name}");
    let id = header("x-request-id");
    if !answer.body.is_empty() {
        assert_eq!(answer.json()["request-id"], id, "{name}");
        assert_eq!(answer.json()["status"], status, "{name}");
    }
    let record = gateway.record(|record| record["id"] == id);
    assert_eq!(record["status"], status, "{name}: {record}");
    assert_eq!(record["complete"], true, "{name}: {record}");
    assert_eq!(record["bytes_out"], answer.body.len(), "{name}: {record}");
    assert_eq!(record["failure"]["blame"], "client", "{name}: {record}");
    assert_eq!(record["listener"], "public", "{name}: {record}");
    record
}

#[test]
fn each_is_answered_written_down_and_counted() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let cases = cases();
    for case in &cases {
        let mut client = gateway.client();
        client.send(&case.raw);
        let answer = client.read();
        let record = assert_refused(&gateway, case.name, &answer, case.status);
        assert_eq!(
            record["failure"]["kind"], case.kind,
            "{}: {record}",
            case.name
        );
        let asked = ["method", "path", "host"].map(|key| record[key].clone());
        assert_eq!(asked, case.asked, "{}: {record}", case.name);
        assert!(client.closed(), "{}", case.name);
        assert_eq!(answer.body.is_empty(), case.name == "HEAD", "{}", case.name);
    }
    let counted = gateway.metric(
        "tollgate_requests_total",
        &[("route", ""), ("status", "4xx")],
    );
    assert_eq!(
        counted,
        f64::from(u16::try_from(cases.len()).expect("a few"))
    );
    assert_eq!(gateway.metric("tollgate_requests_in_flight", &[]), 0.0);
    assert_eq!(
        (origin.requests(), gateway.records().len()),
        (0, cases.len())
    );
    let tells = |needle: &str| {
        let mut records = gateway.records().into_iter();
        records.any(|record| {
            record["failure"]["detail"]
                .as_str()
                .is_some_and(|text| text.contains(needle))
        })
    };
    assert!(
        tells("content-length"),
        "the detail says what the parser said"
    );
}

#[test]
fn what_was_asked_before_is_answered_before() {
    let origin = Origin::raw(|request| {
        let size = request.target.trim_start_matches('/').parse().unwrap_or(3);
        vec![Step::Send(ok("text/plain", "x".repeat(size)))]
    });
    let gateway = gateway(&origin, "");
    for case in cases() {
        for size in [0, 3, 100_000, 3_000_000] {
            let mut client = gateway.client();
            let mut raw = format!("GET /{size} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes();
            raw.extend(&case.raw);
            client.send(raw);
            let first = client.read();
            assert_eq!(
                (first.status, first.body.len()),
                (200, size),
                "{}",
                case.name
            );
            if case.name == "HEAD" {
                client.send("HEAD");
            }
            let second = client.read();
            assert_refused(&gateway, case.name, &second, case.status);
            assert!(client.closed(), "{}", case.name);
        }
    }
}

/// The answer is all with the connection, which its client does not read, when the next head turns out to be none.
#[test]
fn an_answer_that_is_not_read_yet_is_not_disturbed() {
    let size = 8_000_000;
    let origin = Origin::early(move |_| {
        vec![
            Step::Send(ok("text/plain", "x".repeat(size))),
            Step::ReadBody,
        ]
    });
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    client.send("POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.stream().peek(&mut [0]).expect("an answer");
    client.send_more("0\r\n\r\nG/T / HTTP/1.1\r\n\r\n");
    let answer = client.read();
    assert_eq!((answer.status, answer.body.len()), (200, size));
    assert!(answer.body.iter().all(|byte| *byte == b'x'));
    assert_refused(&gateway, "after", &client.read(), 400);
}

#[test]
fn a_head_that_breaks_off_is_answered() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    client.send("GET /half HTTP/1.1\r\nhost: h\r\n");
    client.stream().shutdown(Shutdown::Write).expect("a socket");
    let answer = client.read();
    let record = assert_refused(&gateway, "half", &answer, 400);
    assert_eq!(record["path"], "/half");
    assert!(client.closed());
}

/// Who connects and says nothing has not asked.
#[test]
fn a_connection_without_a_head_is_no_request() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    for raw in ["", "\r\n", "\r\n\r\n"] {
        let mut client = gateway.client();
        client.send(raw);
        client.stream().shutdown(Shutdown::Write).expect("a socket");
        assert!(client.closed());
    }
    let mut client = gateway.client();
    assert_eq!(client.get("/x").status, 200);
    client.stream().shutdown(Shutdown::Write).expect("a socket");
    assert!(client.closed());
    eventually("no connections", || {
        (gateway.metric("tollgate_connections", &[]) == 0.0).then_some(())
    });
    gateway.record(|record| record["path"] == "/x");
    assert_eq!(gateway.records().len(), 1);
}

/// Clients that go at once leave a record too.
#[test]
fn a_client_that_does_not_wait_for_its_refusal_is_written_down() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let mut client: Client = gateway.client();
    client.send("G/T /gone HTTP/1.1\r\nhost: h\r\n\r\n");
    drop(client);
    let record = gateway.record(|record| record["path"] == "/gone");
    assert_eq!(record["status"], 400);
}
