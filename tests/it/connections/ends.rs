//! How connections end: an answer is not lost in what its client still sends, and a client that has only closed
//! its own side is answered.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use tollgate_tests::{Gateway, Origin, Response, Step, eventually, ok};

use super::gateway;

const LARGE: usize = 10_000_000;

/// Sends all of an upload before it reads anything.
fn upload(gateway: &Gateway, first: &str, chunked: bool) -> Response {
    let mut client = gateway.client();
    let body = "x".repeat(LARGE);
    if chunked {
        client.send(format!("{first}transfer-encoding: chunked\r\n\r\n"));
        client.send_more(format!("{LARGE:x}\r\n{body}\r\n0\r\n\r\n"));
    } else {
        client.send(format!("{first}content-length: {LARGE}\r\n\r\n"));
        client.send_more(body);
    }
    client.read()
}

#[test]
fn an_early_answer_reaches_a_client_that_sends_first() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let cases = [
        ("POST /refused HTTP/1.1\r\nhost: a\r\n", 403),
        (
            "POST /refused HTTP/1.1\r\nhost: a\r\nconnection: close\r\n",
            403,
        ),
        ("POST /refused HTTP/1.0\r\nhost: a\r\n", 403),
        ("POST /a/../b HTTP/1.1\r\nhost: a\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: a\r\n", 404),
        ("G/T / HTTP/1.1\r\nhost: a\r\n", 400),
    ];
    for _ in 0..5 {
        for (first, status) in cases {
            for chunked in [false, true] {
                let status = if chunked && first.contains("1.0") {
                    400
                } else {
                    status
                };
                let answer = upload(&gateway, first, chunked);
                assert_eq!(
                    (answer.status, answer.complete),
                    (status, true),
                    "{first:?}"
                );
            }
        }
    }
    assert_eq!(origin.requests(), 0);
}

/// What came with the head is read, so that the connection can be used again; of more the answer says that it ends.
#[test]
fn an_answer_says_whether_the_connection_goes_on() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    for framing in [
        "content-length: 3\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "expect: 100-continue\r\ncontent-length: 0\r\n\r\n",
    ] {
        for path in ["/refused", "/a/../b"] {
            client.send(format!("POST {path} HTTP/1.1\r\nhost: a\r\n{framing}"));
            let answer = client.read();
            assert!(matches!(answer.status, 400 | 403), "{answer:?}");
            assert_eq!(answer.header("connection"), None, "{path} {framing:?}");
        }
    }
    assert_eq!(client.get("/next").status, 200);
    for framing in [
        "content-length: 3\r\n\r\n",
        "content-length: 1000000\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "expect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    ] {
        for path in ["/refused", "/a/../b"] {
            let mut client = gateway.client();
            client.send(format!("POST {path} HTTP/1.1\r\nhost: a\r\n{framing}"));
            let answer = client.read();
            assert!(matches!(answer.status, 400 | 403), "{answer:?}");
            assert!(answer.interim.is_empty(), "{path} {framing:?}");
            let connection = answer.header("connection");
            assert_eq!(connection.as_deref(), Some("close"), "{path} {framing:?}");
            assert!(client.closed(), "{path} {framing:?}");
        }
    }
}

/// A client is not waited for longer than that takes.
#[test]
fn a_client_that_stays_is_let_go() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    client.send("POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n");
    assert_eq!(client.read().status, 403);
    assert!(client.closed(), "our side is closed at once");
    eventually("the end", || {
        (gateway.metric("tollgate_connections", &[]) == 0.0).then_some(())
    });
}

/// With what each of them sends in one piece with the end of it, and after it.
#[test]
fn a_client_that_closes_its_side_is_answered() {
    let origin = Origin::raw(|_| {
        vec![
            Step::Wait(Duration::from_millis(500)),
            Step::Send(ok("text/plain", "late")),
        ]
    });
    let gateway = gateway(&origin, "");
    let cases = [
        "GET /p HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /p HTTP/1.0\r\nhost: a\r\n\r\n",
        "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ];
    for (number, raw) in cases.into_iter().enumerate() {
        for waits in [false, true] {
            let mut client = gateway.client();
            client.send(raw);
            if waits {
                origin.request(2 * number + 1);
            }
            client.stream().shutdown(Shutdown::Write).expect("a socket");
            let answer = client.read();
            assert_eq!(
                (answer.text().as_str(), answer.complete),
                ("late", true),
                "{raw:?}"
            );
            assert!(client.closed(), "{raw:?}");
            let id = answer.header("x-request-id").expect("an id");
            let record = gateway.record(|record| record["id"] == id);
            assert_eq!(
                (&record["status"], &record["complete"]),
                (&200.into(), &true.into())
            );
            assert!(record["failure"].is_null(), "{record}");
        }
    }
}

/// Pipelined, each of them is answered.
#[test]
fn requests_before_the_end_are_all_answered() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    client.send("GET /0 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(50));
    client.stream().shutdown(Shutdown::Write).expect("a socket");
    for number in 0..50 {
        assert_eq!(client.read().status, 200, "{number}");
    }
    assert!(client.closed());
}

/// For as long as it takes something, it is there.
#[test]
fn a_long_answer_goes_on_after_the_client_has_closed_its_side() {
    let origin = Origin::raw(|_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n".to_vec();
        let mut steps = vec![Step::Send(head)];
        for _ in 0..6 {
            steps.push(Step::Wait(Duration::from_secs(1)));
            steps.push(Step::Send(b"x".to_vec()));
        }
        steps
    });
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    client.send("GET /long HTTP/1.1\r\nhost: a\r\n\r\n");
    client.stream().shutdown(Shutdown::Write).expect("a socket");
    let answer = client.read();
    assert_eq!((answer.text().as_str(), answer.complete), ("xxxxxx", true));
}

/// To a client of HTTP/1.0 the end of the connection is that of the answer, so what is cut off must end otherwise.
#[test]
fn an_answer_that_is_cut_off_does_not_look_whole_to_http_1_0() {
    let origin = Origin::raw(|_| {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        vec![
            Step::Send(head.to_vec()),
            Step::Wait(Duration::from_millis(200)),
            Step::Close,
        ]
    });
    let gateway = gateway(&origin, "");
    let mut client = gateway.connect();
    client
        .write_all(b"GET /cut HTTP/1.0\r\nhost: a\r\n\r\n")
        .expect("a write");
    let mut answer = Vec::new();
    let ended = client.read_to_end(&mut answer);
    assert!(answer.ends_with(b"hello"), "{}", answer.escape_ascii());
    let kind = ended.map_err(|error| error.kind());
    assert_eq!(kind, Err(std::io::ErrorKind::ConnectionReset));
    let record = gateway.record(|record| record["path"] == "/cut");
    assert_eq!(record["complete"], false, "{record}");
}

/// An upload that ends before it is whole needs no wait.
#[test]
fn an_upload_that_breaks_off_is_answered() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    for framing in [
        "content-length: 9\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\nab",
    ] {
        let mut client = gateway.client();
        client.send(format!("POST /p HTTP/1.1\r\nhost: a\r\n{framing}"));
        client.stream().shutdown(Shutdown::Write).expect("a socket");
        let answer = client.read();
        assert_eq!((answer.status, answer.complete), (408, true), "{framing:?}");
        let id = answer.header("x-request-id").expect("an id");
        let record = gateway.record(|record| record["id"] == id);
        assert_eq!(record["failure"]["kind"], "client-gone", "{record}");
    }
}
