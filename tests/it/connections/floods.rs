//! Clients that send without end what never becomes a message.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use tollgate_tests::{Gateway, Origin};

use super::gateway;

/// What a gateway may take of a flood, with all that the kernel holds on both sides, in bytes.
const TAKEN_MAX: usize = 48 << 20;

/// Sends a head and then the same over and over, until the gateway has it no longer.
fn flood(gateway: &Gateway, head: &str, again: &[u8]) -> usize {
    let mut stream: TcpStream = gateway.connect();
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .expect("a socket");
    stream.write_all(head.as_bytes()).expect("a head");
    let block = again.repeat((64 << 10) / again.len());
    let mut sent = 0;
    while sent < TAKEN_MAX {
        match stream.write(&block) {
            Ok(bytes) => sent += bytes,
            Err(error) => {
                let kind = error.kind();
                assert_ne!(kind, std::io::ErrorKind::WouldBlock, "it is held: {head:?}");
                break;
            }
        }
    }
    sent
}

const CHUNKED: &str = "HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn digits_of_a_chunks_size_have_an_end() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    for (number, begun) in ["", "5\r\nhello\r\n"].into_iter().enumerate() {
        let path = format!("/zeros/{number}");
        let sent = flood(&gateway, &format!("POST {path} {CHUNKED}{begun}"), b"0");
        assert!(sent < TAKEN_MAX, "{sent} bytes were taken");
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(record["failure"]["kind"], "bad-body", "{record}");
        assert_eq!(record["failure"]["blame"], "client", "{record}");
        let detail = record["failure"]["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("1048576 bytes"), "{record}");
    }
}

#[test]
fn nothing_else_in_a_request_has_no_end() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let get = "GET /a HTTP/1.1\r\nhost: a\r\n";
    let cases: [(&str, String, &[u8]); 7] = [
        ("lines before a head", String::new(), b"\r\n"),
        ("a method", String::new(), b"A"),
        ("a target", "GET /".to_owned(), b"a"),
        ("a name", get.to_owned(), b"a"),
        ("a value", format!("{get}a: "), b"a"),
        ("an extension", format!("POST /a {CHUNKED}1;"), b"a"),
        ("trailers", format!("POST /a {CHUNKED}0\r\n"), b"a: b\r\n"),
    ];
    for (name, head, again) in cases {
        let sent = flood(&gateway, &head, again);
        assert!(sent < TAKEN_MAX, "{name}: {sent} bytes were taken");
    }
}

/// Data is not counted as a flood, however small the pieces are that it comes in.
#[test]
fn small_chunks_are_no_flood() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    let count = 300_000;
    let mut client = gateway.client();
    client.send(format!("POST /small {CHUNKED}"));
    client.send_more("1\r\nx\r\n".repeat(count));
    client.send_more("0\r\n\r\n");
    assert_eq!(client.read().status, 200);
    assert_eq!(origin.request(0).body.len(), count);
    // Each on a connection that has carried much already.
    for _ in 0..20 {
        client.send("POST /large HTTP/1.1\r\nhost: a\r\ncontent-length: 400000\r\n\r\n");
        client.send_more("x".repeat(400_000));
        assert_eq!(client.read().status, 200);
    }
}

/// One thread has them all.
#[test]
fn neighbours_are_served_beside_floods() {
    let origin = Origin::echo();
    let gateway = gateway(&origin, "");
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..5 {
                        flood(&gateway, &format!("POST /zeros {CHUNKED}"), b"0");
                    }
                })
            })
            .collect();
        let mut client = gateway.client();
        let mut served = 0;
        while !floods.iter().all(|flood| flood.is_finished()) {
            assert_eq!(client.get("/neighbour").status, 200);
            served += 1;
        }
        assert!(served > 5, "{served} answers beside 20 floods");
    });
}
