//! The admin listener answers a probe, whatever others do to it.

use std::io::{Read, Write};
use std::net::TcpStream;

use tollgate_tests::{Gateway, Origin};

use crate::scene::Scene;

fn healthz(gateway: &Gateway) -> (u16, String) {
    let answer = gateway.request_to("admin", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    (answer.status, answer.text())
}

#[test]
fn connections_that_do_not_end_keep_no_probe_out() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&Scene::new(&origin).toml());
    let address = gateway.address("admin");
    let metrics = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for raw in ["", "GET /heal", metrics, &metrics.repeat(1_000)] {
        let mut held = Vec::new();
        for _ in 0..200 {
            let mut stream = TcpStream::connect(address).expect("a connection");
            let _ = stream.write_all(raw.as_bytes());
            held.push(stream);
            if held.len() % 20 == 0 {
                assert_eq!(
                    healthz(&gateway),
                    (200, "ok\n".to_owned()),
                    "{}",
                    held.len()
                );
            }
        }
    }
}

#[test]
fn each_connection_carries_one_request() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&Scene::new(&origin).toml());
    let mut stream = TcpStream::connect(gateway.address("admin")).expect("a connection");
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .expect("a write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("ok\n"), "{answer}");
}
