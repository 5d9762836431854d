//! What follows a message on its connection, where readers could disagree on where the message ends.

use tollgate_tests::{Origin, Step};

use super::gateway;

/// The path of each request that arrived.
fn arrived(origin: &Origin) -> Vec<String> {
    let received = origin.received().into_iter();
    received.map(|request| request.target).collect()
}

/// hyper takes what follows the first empty line of a trailer section for a part of it, be that a request.
#[test]
fn no_request_follows_a_body_with_trailers() {
    for (name, end) in [
        ("a trailer", "0\r\nx: y\r\n\r\n"),
        ("an end without return", "0\r\n\n"),
        ("two line feeds", "0\r\nx: y\n\n"),
        ("a line feed, and an end", "0\r\nx: y\n\r\n"),
        ("an end, and a line feed", "0\r\nx: y\r\n\n"),
    ] {
        for path in ["/first", "/refused"] {
            let origin = Origin::echo();
            let gateway = gateway(&origin, "");
            let mut client = gateway.client();
            client.send(format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n{end}\
                 GET /second HTTP/1.1\r\nhost: a\r\n\r\nGET /third HTTP/1.1\r\nhost: a\r\n\r\n"
            ));
            client.read();
            assert!(client.closed(), "{path}: {name}");
            let second = ["/second", "/third"].map(str::to_owned);
            let arrived = arrived(&origin);
            assert!(
                !arrived.iter().any(|path| second.contains(path)),
                "{name}: {arrived:?}"
            );
        }
    }
}

#[test]
fn requests_follow_a_body_without_trailers() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    client.send(
        "POST /first HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         GET /second HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    client.read();
    client.read();
    assert_eq!(arrived(&origin), ["/first", "/second"]);
}

/// RFC 9110, section 9.3.6: what follows CONNECT is the tunnel's. RFC 9112, section 6.3: a body whose coding is
/// not known has no known end.
#[test]
fn nothing_follows_a_head_whose_end_is_not_known() {
    for head in [
        "CONNECT db.internal:5432 HTTP/1.1\r\nhost: db.internal:5432\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let origin = Origin::echo();
        let gateway = gateway(&origin, "");
        let mut client = gateway.client();
        client.send(format!("{head}GET /second HTTP/1.1\r\nhost: a\r\n\r\n"));
        let answer = client.read();
        assert_eq!(answer.status, 400, "{head}");
        assert_eq!(
            answer.header("connection").as_deref(),
            Some("close"),
            "{head}"
        );
        assert!(client.closed(), "{head}");
        assert!(arrived(&origin).is_empty(), "{head}");
    }
}

/// RFC 9112, section 9.3: a response that ends with its connection does not say that this persists.
#[test]
fn a_client_of_http_1_0_is_told_that_a_response_without_length_ends_the_connection() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let origin = Origin::fixed(chunked);
    let gateway = gateway(&origin, "");
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
    let answer = client.read();
    assert_eq!(answer.text(), "abc");
    assert_eq!(answer.headers("connection"), ["close"]);
    let sized = Origin::raw(|_| {
        vec![Step::Send(
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc".to_vec(),
        )]
    });
    let gateway = super::gateway(&sized, "");
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("GET /a HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
        let answer = client.read();
        assert_eq!(answer.header("connection").as_deref(), Some("keep-alive"));
    }
}

#[test]
fn a_target_that_is_no_uri_is_told_as_that() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    for target in ["/?a=\"b\"", "/?a=<b>", "/?a=b\u{7f}"] {
        let answer = gateway.request(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(answer.status, 400, "{target}");
        assert!(
            answer.text().contains("percent-encoded"),
            "{target}: {}",
            answer.text()
        );
    }
    let answer = gateway.request("GET / HTTQ/1.1\r\nhost: a\r\n\r\n");
    assert!(
        answer.text().contains("is not HTTP/1.1"),
        "{}",
        answer.text()
    );
}
