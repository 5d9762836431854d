//! What no plugin reads streams: a peer that waits for the first part to arrive before it sends the
//! second is not waited for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use tollgate_tests::{Client, Gate, Gateway, Origin, PATIENCE, Step};

use super::{gateway, head, scene};
use crate::scene::Scene;

/// Paths, and scripts that read nothing of what streams.
const UNREAD: [(&str, &[(&str, &str)]); 5] = [
    ("/plain", &[]),
    ("/mark", &[]),
    ("/one", &[]),
    ("/both", &[]),
    (
        "/one",
        &[
            ("x-one-in", r#"[{"header": "host"}]"#),
            ("x-one-out", r#"[{"header": "etag"}]"#),
        ],
    ),
];

/// Reads until what came ends with this.
fn read_until(stream: &mut impl Read, seen: &mut Vec<u8>, end: &[u8]) {
    let mut block = [0; 1024];
    while !seen.ends_with(end) {
        let read = stream.read(&mut block).expect("a part");
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(seen));
        seen.extend(&block[..read]);
    }
}

#[test]
fn a_response_streams() {
    for form in ["sized", "chunked", "closing"] {
        let parts = match form {
            "sized" => [
                "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst",
                "later",
            ],
            "chunked" => [
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
                "5\r\nlater\r\n0\r\n\r\n",
            ],
            _ => ["HTTP/1.1 200 OK\r\n\r\nfirst", "later"],
        };
        for (path, scripts) in UNREAD {
            let gate = Gate::new();
            let opened = gate.clone();
            let origin = Origin::raw(move |_| {
                let mut steps = vec![
                    Step::Send(parts[0].into()),
                    Step::WaitFor(opened.clone()),
                    Step::Send(parts[1].into()),
                ];
                if form == "closing" {
                    steps.push(Step::Close);
                }
                steps
            });
            let gateway = gateway(&origin);
            let mut stream = gateway.connect();
            let head = head(&format!("GET {path}"), scripts);
            write!(stream, "{head}\r\n").expect("a write");
            let mut seen = Vec::new();
            // In chunks there is a line end behind it.
            let (first, last) = match form {
                "sized" => (&b"first"[..], &b"later"[..]),
                _ => (&b"first\r\n"[..], &b"later\r\n0\r\n\r\n"[..]),
            };
            read_until(&mut stream, &mut seen, first);
            gate.open();
            read_until(&mut stream, &mut seen, last);
        }
    }
}

/// An origin that the test plays itself.
struct Played {
    listener: TcpListener,
}

impl Played {
    fn new() -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Played { listener }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("an address"))
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }
}

fn uploads(gateway: &Gateway, played: &Played, client: &mut Client, path: &str, chunked: bool) {
    let scripts = UNREAD.iter().find(|(other, _)| *other == path);
    let head = head(&format!("POST {path}"), scripts.map_or(&[], |(_, it)| it));
    let (first, later) = if chunked {
        client.send(format!(
            "{head}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        ));
        ("first\r\n", "later\r\n0\r\n\r\n")
    } else {
        client.send(format!("{head}content-length: 10\r\n\r\nfirst"));
        ("first", "later")
    };
    let mut stream = played.accept();
    let mut seen = Vec::new();
    read_until(&mut stream, &mut seen, first.as_bytes());
    client.send_more(if chunked {
        "5\r\nlater\r\n0\r\n\r\n"
    } else {
        "later"
    });
    read_until(&mut stream, &mut seen, later.as_bytes());
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\ntaken";
    stream.write_all(answer.as_bytes()).expect("a write");
    assert_eq!(client.read().text(), "taken", "{path}");
    drop(stream);
    assert_eq!(
        gateway
            .records()
            .iter()
            .filter(|record| record["status"] != 200)
            .count(),
        0
    );
}

/// The scene's text, with another upstream.
fn at(played: &Played) -> String {
    let origin = Origin::echo();
    let toml = scene(&origin, "").toml();
    toml.replace(&origin.url(), &played.url())
}

#[test]
fn a_request_streams() {
    let played = Played::new();
    let gateway = Gateway::start(&at(&played));
    // The others may read: what they may read is waited for before they are called.
    for (path, _) in &UNREAD[..2] {
        for chunked in [true, false] {
            let mut client = gateway.client();
            uploads(&gateway, &played, &mut client, path, chunked);
        }
    }
}

/// After a body that was read, and one that was replaced, the same connection streams again.
#[test]
fn what_was_read_before_does_not_hold_what_comes_after() {
    let played = Played::new();
    let gateway = Gateway::start(&at(&played));
    let mut client = gateway.client();
    let script = r#"["read", "shout"]"#;
    for path in ["/both", "/one"] {
        let scripts = [
            ("x-one-in", script),
            ("x-two-in", script),
            ("x-one-out", script),
            ("x-two-out", script),
        ];
        client.send(super::in_chunks(
            &format!("POST {path}"),
            &scripts,
            b"first",
            2,
        ));
        let mut stream = played.accept();
        let mut seen = Vec::new();
        read_until(&mut stream, &mut seen, b"FIRST");
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nquiet";
        stream.write_all(answer.as_bytes()).expect("a write");
        assert_eq!(client.read().text(), "QUIET");
        uploads(&gateway, &played, &mut client, "/mark", true);
        uploads(&gateway, &played, &mut client, "/plain", false);
    }
}

/// A plugin that has the grant and reads requests alone leaves answers to stream.
#[test]
fn reading_one_side_does_not_hold_the_other() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::raw(move |_| {
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst".to_vec()),
            Step::WaitFor(opened.clone()),
            Step::Send(b"later".to_vec()),
        ]
    });
    let scene = Scene::new(&origin)
        .plugin(
            "door",
            &tollgate_tests::guest("guest_reach_door"),
            "grant.bodies = \"64KiB\"",
        )
        .policy("door", "door", "");
    let gateway = Gateway::start(&scene.toml());
    let mut stream = gateway.connect();
    let raw = super::in_chunks("POST /a", &[], b"let me in: alice", 3);
    stream.write_all(&raw).expect("a write");
    let mut seen = Vec::new();
    read_until(&mut stream, &mut seen, b"first");
    gate.open();
    read_until(&mut stream, &mut seen, b"later");
}
