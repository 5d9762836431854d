//! HTTP/1.1 between client and origin, in raw bytes: connections that are kept and pipelined, bodies
//! in every framing, answers without one. What must not get through is in `framing` and
//! `hostile_bytes`, large bodies and their back-pressure are in `streaming`.

mod framing;
mod hostile_bytes;
mod streaming;

use std::io::Read;

use tollgate_tests::{Gateway, Origin, Request, Response, Step, ok};

/// A gateway that sends everything below `/` to one origin.
fn gateway(origin: &Origin) -> Gateway {
    Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[upstreams.origin]
servers = ["{}"]
timeouts = {{ connect = "1s", first-byte = "5s", total = "20s" }}

[routes.root]
match = "/"
upstream = "origin"

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        origin.url()
    ))
}

/// Sends the bytes in one write, and reads every answer until the gateway closes.
fn answers(gateway: &Gateway, raw: impl AsRef<[u8]>) -> Vec<Response> {
    let mut client = gateway.client();
    client.send(raw);
    let mut all = Vec::new();
    loop {
        let response = client.read();
        if response.status == 0 {
            return all;
        }
        all.push(response);
    }
}

fn statuses(answers: &[Response]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

fn targets(requests: &[Request]) -> Vec<&str> {
    let targets = requests.iter().map(|request| request.target.as_str());
    targets.collect()
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for number in 0..20 {
        let answer = client.get(&format!("/{number}"));
        assert_eq!(answer.json()["target"], format!("/{number}"));
    }
    assert_eq!(origin.connections(), 1, "the upstream's connection is kept");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let all = answers(
        &gateway,
        "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
         POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc\
         GET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(statuses(&all), [200, 200, 200]);
    for (number, answer) in (1..).zip(&all) {
        assert_eq!(answer.json()["target"], format!("/{number}"));
    }
    assert_eq!(all[1].json()["body"], "abc");
}

#[test]
fn what_follows_a_last_request_does_not_cost_its_answer() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let cases = [
        "POST /p HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc\r\n",
        "GET /p HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /q HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /p HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc\r\n",
    ];
    for raw in cases {
        assert_eq!(statuses(&answers(&gateway, raw)), [200], "{raw:?}");
    }
}

#[test]
fn http_1_0_closes_unless_asked_to_keep() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);

    let mut client = gateway.client();
    client.send("GET /1 HTTP/1.0\r\nhost: a\r\n\r\n");
    let answer = client.read();
    assert_eq!((answer.status, answer.complete), (200, true));
    assert!(answer.head.starts_with(b"HTTP/1.0 200"), "{answer:?}");
    assert!(client.closed());

    let mut client = gateway.client();
    for path in ["/2", "/3"] {
        client.send(format!(
            "GET {path} HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n"
        ));
        let answer = client.read();
        assert_eq!(answer.json()["target"], path);
        assert_eq!(answer.header("connection").as_deref(), Some("keep-alive"));
    }
    let received = origin.received();
    assert!(received.iter().all(|request| request.version == "HTTP/1.1"));
}

#[test]
fn http_1_0_gets_no_chunks() {
    let origin = Origin::fixed(tollgate_tests::chunked(&[b"one", b"two"]));
    let gateway = gateway(&origin);
    let answer = gateway.request("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!((answer.text().as_str(), answer.complete), ("onetwo", true));
}

/// HTTP/1.1 upstreams must refuse a request without `Host` (RFC 9112, section 3.2), so one is made.
#[test]
fn http_1_0_without_host_reaches_the_origin_with_one() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let answer = gateway.request("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(origin.request(0).values("host").len(), 1);
}

#[test]
fn bodies_arrive_whole_in_one_framing() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let chunks = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    let extensions =
        "transfer-encoding: Chunked\r\n\r\n3;a=\"b;c\"\r\nabc\r\n003 ; x\r\ndef\r\n0;last\r\n\r\n";
    let trailers = "transfer-encoding: chunked\r\ntrailer: authorization\r\n\r\n\
                    6\r\nabcdef\r\n0\r\nauthorization: stolen\r\nhost: other\r\n\r\n";
    let length = "content-length: 6\r\n\r\nabcdef";
    for (number, framing) in [chunks, extensions, trailers, length].iter().enumerate() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "PURGE"] {
            let answer = gateway.request(format!("{method} /p HTTP/1.1\r\nhost: a\r\n{framing}"));
            assert_eq!(answer.json()["body"], "abcdef", "{method} {framing:?}");
            assert_eq!(answer.json()["method"], method);
            for name in ["authorization", "trailer"] {
                assert!(answer.echoed(name).is_empty(), "{name} of {framing:?}");
            }
            let lengths = answer.echoed("content-length").len();
            let encodings = answer.echoed("transfer-encoding").len();
            assert_eq!(
                (lengths, encodings),
                if number == 3 { (1, 0) } else { (0, 1) }
            );
        }
    }
}

#[test]
fn a_get_may_have_a_body_in_either_framing() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    for framing in [
        "content-length: 3\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let answer = gateway.request(format!("GET /p HTTP/1.1\r\nhost: a\r\n{framing}"));
        assert_eq!(answer.json()["body"], "abc", "{framing:?}");
    }
}

#[test]
fn a_client_that_expects_100_is_told_to_continue() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    client.send("POST /p HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    let mut interim = [0; 25];
    client
        .stream()
        .read_exact(&mut interim)
        .expect("an interim response");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send_more("abc");
    let answer = client.read();
    assert_eq!(answer.json()["body"], "abc");
    assert!(answer.echoed("expect").is_empty());
}

#[test]
fn a_request_that_is_refused_is_not_told_to_continue() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let answer = gateway.request(
        "POST /a/../b HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    );
    assert_eq!((answer.status, answer.interim.len()), (400, 0));
    assert_eq!(origin.requests(), 0);
}

#[test]
fn upgrades_are_not_passed_on_and_the_connection_goes_on() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for upgrade in ["websocket", "h2c"] {
        client.send(format!(
            "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\n\
             upgrade: {upgrade}\r\nhttp2-settings: AAMAAABk\r\n\r\n"
        ));
        let answer = client.read();
        assert_eq!(answer.status, 200);
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(answer.echoed(name).is_empty(), "{name}");
        }
    }
    assert_eq!(client.get("/next").status, 200);
}

/// An origin with a peculiar answer at each path.
fn peculiar() -> Origin {
    Origin::raw(|request| match request.target.as_str() {
        "/head" => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: \"x\"\r\n\r\n".to_vec(),
        )],
        "/204" => vec![Step::Send(
            b"HTTP/1.1 204 No Content\r\netag: \"x\"\r\n\r\n".to_vec(),
        )],
        "/304" => vec![Step::Send(
            b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 1234\r\n\r\n".to_vec(),
        )],
        "/until-close" => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\netag: \"x\"\r\n\r\nhello, ".to_vec()),
            Step::Send(b"world".to_vec()),
            Step::Close,
        ],
        "/1.0" => vec![
            Step::Send(b"HTTP/1.0 200 OK\r\n\r\nold".to_vec()),
            Step::Close,
        ],
        "/trailers" => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n\
              3\r\nabc\r\n0\r\nx-late: 1\r\n\r\n"
                .to_vec(),
        )],
        _ => vec![Step::Send(ok("text/plain", "next"))],
    })
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let origin = peculiar();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for (method, path, status, length) in [
        ("HEAD", "/head", 200, Some("1234")),
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, None),
    ] {
        client.send(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let answer = client.read();
        assert_eq!((answer.status, answer.complete), (status, true), "{path}");
        assert_eq!(answer.header("etag").as_deref(), Some("\"x\""), "{path}");
        if path != "/304" {
            assert_eq!(answer.header("content-length").as_deref(), length, "{path}");
        }
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(
            (&record["complete"], &record["bytes_out"]),
            (&true.into(), &0.into())
        );
        assert_eq!(client.get("/next").text(), "next", "after {path}");
    }
}

#[test]
fn an_answer_until_the_close_keeps_the_client() {
    let origin = peculiar();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for (path, body) in [
        ("/until-close", "hello, world"),
        ("/1.0", "old"),
        ("/trailers", "abc"),
    ] {
        let answer = client.get(path);
        assert_eq!(
            (answer.text().as_str(), answer.complete),
            (body, true),
            "{path}"
        );
        assert_eq!(
            answer.header("transfer-encoding").as_deref(),
            Some("chunked"),
            "{path}"
        );
        assert_eq!(answer.header("trailer"), None, "{path}");
        assert_eq!(client.get("/next").text(), "next", "after {path}");
    }
}

/// It is answered at once, and the answer is not lost in what the client still sends.
#[test]
fn a_refused_upload_is_answered() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    client.send("POST /a/../b HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\n\r\n");
    client.send_more("x".repeat(4_000_000));
    let answer = client.read();
    assert_eq!((answer.status, answer.complete), (400, true));
    assert_eq!(origin.requests(), 0);
}
