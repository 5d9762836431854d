//! Upstreams that send without end what never becomes a message: the time-outs hold, and so does a bound on
//! what is read of them.

use tollgate_tests::{Gateway, Origin, Step, ok};

/// What a flood may send before it is ended, in bytes: what the gateway reads in vain, and what the sockets
/// between the two hold.
const ENDED_WITHIN: u64 = 16 << 20;

fn single(origin: &Origin) -> Gateway {
    Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[runtime]
workers = 1

[upstreams.origin]
servers = ["{}"]
timeouts = {{ first-byte = "1s", total = "3s" }}

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        origin.url()
    ))
}

#[test]
fn an_upstream_that_floods_is_ended() {
    let long = format!("link: <{}>\r\n", "x".repeat(8_000));
    let table: Vec<(&str, &str, String)> = vec![
        ("/continue", "", "HTTP/1.1 100 Continue\r\n\r\n".into()),
        (
            "/hints",
            "",
            format!("HTTP/1.1 103 Early Hints\r\n{long}\r\n"),
        ),
        ("/lines", "", "\r\n".into()),
        ("/head", "HTTP/1.1 200 OK\r\n", "x: y\r\n".into()),
        ("/line", "HTTP/1.1 200 OK\r\nx: ", "y".repeat(1_000)),
        ("/fold", "HTTP/1.1 200 OK\r\nx: y", "\r\n y".into()),
        ("/status", "HTTP/1.1 200 ", "y".repeat(1_000)),
        (
            "/digits",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "0".repeat(1_000),
        ),
        (
            "/extension",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
            "y".repeat(1_000),
        ),
        (
            "/blanks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1",
            " ".repeat(1_000),
        ),
        (
            "/trailers",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            "x: y\r\n".into(),
        ),
    ];
    for method in ["GET", "POST"] {
        for (path, first, rest) in &table {
            let (first, rest) = (first.as_bytes().to_vec(), rest.repeat(100).into_bytes());
            let origin = Origin::raw(move |request| match request.target.as_str() {
                "/neighbour" => vec![Step::Send(ok("text/plain", "here"))],
                _ => vec![Step::Send(first.clone()), Step::Repeat(rest.clone())],
            });
            let gateway = single(&origin);
            let mut client = gateway.client();
            // An upload has its connection driven by another task.
            let body = if method == "POST" {
                "content-length: 1\r\n\r\nx"
            } else {
                "\r\n"
            };
            client.send(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{body}"));
            origin.request(0);
            let mut neighbour = gateway.client();
            assert_eq!(
                neighbour.get("/neighbour").text(),
                "here",
                "{method} {path}"
            );
            let answer = client.read();
            let sent = origin.bytes_sent();
            assert!(sent < ENDED_WITHIN, "{method} {path}: {sent} bytes");
            let record = gateway.record(|record| record["path"] == *path);
            assert_eq!(record["failure"]["blame"], "upstream", "{record}");
            if ["/digits", "/hints"].contains(path) {
                let detail = record["failure"]["detail"].to_string();
                let bounds = ["without a message in them", "interim responses"];
                let told = bounds.iter().any(|bound| detail.contains(bound));
                assert!(told, "{detail}");
            }
            let refused = answer.status == 502 && answer.complete;
            let broken = answer.status == 200 && !answer.complete;
            assert!(refused || broken, "{method} {path}: {answer:?}");
        }
    }
}

/// Those that real servers send, and more.
#[test]
fn a_hundred_interim_responses_may_come() {
    for (interim, status) in [(100, 200), (101, 502)] {
        let mut bytes = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(interim);
        bytes.extend(ok("text/plain", "x"));
        let origin = Origin::fixed(bytes);
        let gateway = single(&origin);
        assert_eq!(gateway.get("/p").status, status, "{interim}");
    }
}

/// A body has no bound but the time: pieces come of it, however small.
#[test]
fn small_pieces_are_no_flood() {
    const PIECES: usize = 400_000;
    let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    bytes.extend(b"1\r\nx\r\n".repeat(PIECES));
    bytes.extend(b"0\r\n\r\n");
    let origin = Origin::fixed(bytes);
    let gateway = Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[upstreams.origin]
servers = ["{}"]

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        origin.url()
    ));
    let answer = gateway.get("/p");
    assert_eq!((answer.body.len(), answer.complete), (PIECES, true));
}
