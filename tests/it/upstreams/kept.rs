//! Connections that are used again, and those that must not be: what comes late on one would be the next
//! client's answer.

use std::time::Duration;

use tollgate_tests::{Client, Gate, Gateway, Origin, Step, eventually, ok};

use super::{PATIENT, gateway, pass, quoted};

/// What a server would have taken for somebody else's response.
const STRANGERS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nEVIL!";

fn single(origin: &Origin) -> Gateway {
    Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[runtime]
workers = 1

[upstreams.origin]
servers = ["{}"]

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        origin.url()
    ))
}

/// One response of each kind, and then bytes that belong to nobody: at once, or when the next request has
/// been answered. The next request must get its own response, over another connection.
#[test]
fn a_connection_whose_framing_contradicts_itself_is_not_used_again() {
    let table: &[(&str, &str, &str)] = &[
        ("GET", "204 No Content", "content-length: 43"),
        ("GET", "204 No Content", "transfer-encoding: chunked"),
        ("GET", "204 No Content", "content-length: 5, 5"),
        ("HEAD", "204 No Content", "content-length: 43"),
        ("DELETE", "204 No Content", "Content-Length : 43"),
        ("GET", "205 Reset Content", "content-length: 43"),
        ("GET", "304 Not Modified", "transfer-encoding: chunked"),
        ("GET", "304 Not Modified", "content-length: 43"),
        ("HEAD", "200 OK", "transfer-encoding: chunked"),
        ("HEAD", "200 OK", "content-length: 43"),
        (
            "HEAD",
            "404 Not Found",
            "content-length: 43\r\ncontent-length: 43",
        ),
        (
            "GET",
            "100 Continue",
            "content-length: 43\r\n\r\nHTTP/1.1 204 No Content",
        ),
        (
            "GET",
            "103 Early Hints",
            "transfer-encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0",
        ),
        ("GET", "200 OK", "content-length: 0\r\ncontent-length: 0"),
        (
            "GET",
            "200 OK",
            "transfer-encoding: chunked\r\ncontent-length: 43\r\n\r\n0",
        ),
        ("GET", "200 OK", "connection: x, Close\r\ncontent-length: 0"),
        (
            "GET",
            "200 OK",
            "connection: close\r\nconnection: keep-alive\r\ncontent-length: 0",
        ),
    ];
    let mut wrong = Vec::new();
    for (method, status, fields) in table {
        let late = Gate::new();
        let (gate, head) = (
            late.clone(),
            format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n"),
        );
        let origin = Origin::raw(move |request| match request.target.as_str() {
            "/first" => vec![
                Step::Send(head.clone().into()),
                Step::WaitFor(gate.clone()),
                Step::Send(STRANGERS.to_vec()),
            ],
            _ => vec![Step::Send(ok("text/plain", "mine!"))],
        });
        let gateway = single(&origin);
        let mut client = gateway.client();
        client.send(format!("{method} /first HTTP/1.1\r\nhost: a\r\n\r\n"));
        let first = client.read();
        // Whatever became of the first one's connection: the second is another client.
        let mut client = gateway.client();
        client.send("POST /next HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
        let next = origin.request(1);
        late.open();
        let own = client.read().text();
        if next.connection == 0 || own != "mine!" || first.status == 0 {
            wrong.push(format!(
                "{method} {status} {fields:?}: {own:?} after {first:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// HTTP/1.0 keeps no connection unless it says so.
#[test]
fn an_older_server_says_that_it_keeps_the_connection() {
    for (fields, connections) in [("", 2), ("connection: Keep-Alive\r\n", 1)] {
        let origin = Origin::fixed(format!(
            "HTTP/1.0 200 OK\r\n{fields}content-length: 1\r\n\r\nx"
        ));
        let gateway = single(&origin);
        let mut client = gateway.client();
        for _ in 0..2 {
            assert_eq!(client.get("/p").text(), "x");
        }
        assert_eq!(origin.connections(), connections, "{fields:?}");
    }
}

/// Bytes behind the end of a response, read with it or while the connection waits, are nobody's.
#[test]
fn what_comes_unasked_ends_a_kept_connection() {
    let bodies: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
    ];
    for unasked in [STRANGERS, b"\r\n", b"x", b"0\r\n\r\n"] {
        for (body, is_late) in bodies.iter().flat_map(|body| [(body, false), (body, true)]) {
            let (first, gate) = (body.to_vec(), Gate::new());
            let (opened, unasked) = (gate.clone(), unasked.to_vec());
            let origin = Origin::raw(move |request| match request.target.as_str() {
                "/first" if is_late => vec![
                    Step::Send(first.clone()),
                    Step::WaitFor(opened.clone()),
                    Step::Send(unasked.clone()),
                ],
                "/first" => vec![Step::Send([&first[..], &unasked].concat())],
                _ => vec![Step::Send(ok("text/plain", "mine!"))],
            });
            let gateway = single(&origin);
            let mut client = gateway.client();
            assert!(client.get("/first").complete);
            let sent = origin.bytes_sent();
            gate.open();
            eventually("the bytes", || {
                (!is_late || origin.bytes_sent() > sent).then_some(())
            });
            assert_eq!(client.get("/next").text(), "mine!");
            assert_eq!(origin.request(1).connection, 1, "late: {is_late}");
        }
    }
}

/// The answer to a HEAD says rightly how long that to a GET would be. After a while without a byte its
/// connection is used again.
#[test]
fn a_connection_that_stays_quiet_is_used_again() {
    let origin = Origin::raw(|request| match request.method.as_str() {
        "HEAD" => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec(),
        )],
        _ => vec![Step::Send(ok("text/plain", "x"))],
    });
    let gateway = single(&origin);
    let mut client = gateway.client();
    client.send("HEAD /p HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.read().header("content-length").as_deref(), Some("9"));
    pass(Duration::from_millis(1_100));
    assert_eq!(client.get("/p").text(), "x");
    assert_eq!(origin.connections(), 1);
}

/// Opens this many connections to the origin that are then kept: the clients' requests wait for each other.
fn keep(gateway: &Gateway, origin: &Origin, gate: &Gate, connections: usize) {
    let mut clients: Vec<Client> = (0..connections).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /keep HTTP/1.1\r\nhost: a\r\n\r\n");
    }
    origin.request(connections - 1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read().status, 200);
    }
    assert_eq!(origin.connections(), connections);
}

/// A request that kills its server kills two at most: the one that it was sent to first, on a kept connection
/// that may have been closing anyway, and the one that it is sent to again, on a new one.
#[test]
fn a_request_is_sent_again_once() {
    for (method, end, sent) in [
        ("DELETE", Step::Close, 2),
        ("GET", Step::Reset, 2),
        ("POST", Step::Close, 1),
        ("PATCH", Step::Reset, 1),
    ] {
        let gate = Gate::new();
        let (opened, last) = (gate.clone(), end.clone());
        let origin = Origin::raw(move |request| match request.target.as_str() {
            "/keep" => vec![
                Step::WaitFor(opened.clone()),
                Step::Send(ok("text/plain", "")),
            ],
            _ => vec![last.clone()],
        });
        let gateway = single(&origin);
        keep(&gateway, &origin, &gate, 8);
        let answer = gateway.request(format!(
            "{method} /pill HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
        ));
        assert_eq!(answer.status, 502, "{method}");
        let received = origin.received();
        let pills = received.iter().filter(|it| it.target == "/pill").count();
        assert_eq!(pills, sent, "{method}");
    }
}

/// What certainly was not sent goes on to the next connection, whatever its method: that of a server that has
/// closed all that were kept, even where nobody has looked at them since.
#[test]
fn closed_connections_cost_no_request_of_any_method() {
    let gate = Gate::new();
    let opened = gate.clone();
    let closing = Gate::new();
    let close = closing.clone();
    let origin = Origin::raw(move |request| match request.target.as_str() {
        "/keep" => vec![
            Step::WaitFor(opened.clone()),
            Step::Send(ok("text/plain", "")),
            Step::WaitFor(close.clone()),
            Step::Reset,
        ],
        _ => vec![Step::Send(ok("text/plain", &request.method))],
    });
    let gateway = single(&origin);
    keep(&gateway, &origin, &gate, 8);
    closing.open();
    eventually("the end of all", || {
        (origin.open_connections() == 0).then_some(())
    });
    let answer = gateway.request("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
    assert_eq!((answer.status, answer.text().as_str()), (200, "POST"));
}

#[test]
fn an_upload_leaves_its_connection_for_the_next() {
    let origin = Origin::echo();
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let mut client = gateway.client();
    for length in [0, 1, 100_000] {
        for _ in 0..3 {
            let body = "x".repeat(length);
            client.send(format!(
                "PUT /p HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}"
            ));
            assert_eq!(client.read().json()["body"], body);
        }
    }
    assert_eq!(origin.connections(), 1);
}
