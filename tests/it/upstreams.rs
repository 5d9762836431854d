//! Which server a request goes to, over which connection, and what becomes of it when the client
//! leaves. Upstreams that answer badly, late or by halves are in `failing`, those that never stop in `floods`;
//! connections that are used again in `kept`, answers before the end of the upload in `early`, and what is
//! made of odd heads in `heads`.

mod blame;
mod early;
mod failing;
mod floods;
mod heads;
mod kept;

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::{Gate, Gateway, Origin, Step, dead_address, eventually, ok};

/// A gateway that sends everything to these servers: what stands in the array.
fn gateway(servers: &[String], timeouts: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[upstreams.origin]
servers = [{}]
timeouts = {{ {timeouts} }}

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        servers.join(", ")
    ))
}

const PATIENT: &str = r#"connect = "5s", first-byte = "10s", total = "30s""#;

fn quoted(url: impl std::fmt::Display) -> String {
    format!("\"{url}\"")
}

fn dead() -> String {
    quoted(format!("http://{}", dead_address()))
}

/// Lets time pass that is itself what is tested.
fn pass(time: Duration) {
    let started = Instant::now();
    eventually("time", || (started.elapsed() >= time).then_some(()));
}

/// An address that takes no connection: its queue is full. The sockets keep it so.
struct Full {
    address: std::net::SocketAddr,
    _listener: rustix::fd::OwnedFd,
    _waiting: Vec<TcpStream>,
}

impl Full {
    fn new() -> Full {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&listener, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        listen(&listener, 0).expect("a listener");
        let address = getsockname(&listener).expect("an address");
        let address = std::net::SocketAddr::try_from(address).expect("an IP address");
        let mut waiting = Vec::new();
        eventually("a full queue", || {
            let connected = TcpStream::connect_timeout(&address, Duration::from_millis(100));
            connected.map(|stream| waiting.push(stream)).err()
        });
        Full {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }

    fn url(&self) -> String {
        quoted(format!("http://{}", self.address))
    }
}

#[test]
fn servers_take_turns() {
    let origins = [Origin::echo(), Origin::echo(), Origin::echo()];
    let servers = origins.each_ref().map(|origin| quoted(origin.url()));
    let gateway = gateway(&servers, PATIENT);
    for round in 1..=5 {
        for _ in &origins {
            assert_eq!(gateway.get("/turn").status, 200);
        }
        let counts = origins.each_ref().map(Origin::requests);
        assert_eq!(counts, [round; 3]);
    }
}

#[test]
fn weights_share_the_turns() {
    let (heavy, light) = (Origin::echo(), Origin::echo());
    let weighted = format!("{{ url = \"{}\", weight = 3 }}", heavy.url());
    let gateway = gateway(&[weighted, quoted(light.url())], PATIENT);
    for _ in 0..20 {
        assert_eq!(gateway.get("/turn").status, 200);
    }
    assert_eq!((heavy.requests(), light.requests()), (15, 5));
}

#[test]
fn a_server_that_takes_no_connection_is_passed_over() {
    let origin = Origin::echo();
    let full = Full::new();
    let servers = [dead(), full.url(), quoted(origin.url())];
    let gateway = gateway(&servers, r#"connect = "50ms""#);
    let mut client = gateway.client();
    for number in 0..9 {
        client.send(format!(
            "POST /{number} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"
        ));
        assert_eq!(client.read().json()["body"], "abc");
    }
    let record = gateway.record(|record| record["path"] == "/0");
    assert_eq!(record["upstream"]["name"], "origin");
    assert_eq!(record["upstream"]["server"], origin.address().to_string());
}

#[test]
fn connections_are_used_again() {
    let origin = Origin::raw(|request| match request.target.as_str() {
        "/chunked" => vec![Step::Send(tollgate_tests::chunked(&[b"a", b"b"]))],
        "/204" => vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
        "/head" => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
        )],
        _ => vec![Step::Send(ok("text/plain", "x".repeat(100_000)))],
    });
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for request in [
        "GET /large HTTP/1.1\r\n\r\n",
        "HEAD /head HTTP/1.1\r\n\r\n",
        "GET /chunked HTTP/1.1\r\n\r\n",
        "GET /204 HTTP/1.1\r\n\r\n",
        "POST /p HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc",
        "POST /p HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET /last HTTP/1.1\r\n\r\n",
    ] {
        let answer = gateway.request(request.replacen("\r\n", "\r\nhost: a\r\n", 1));
        assert!(answer.complete, "{request}");
        // The next client is given to the same worker, since each keeps connections of its own.
        eventually("its connection is closed", || {
            (gateway.metric("tollgate_connections", &[]) == 0.0).then_some(())
        });
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_that_the_origin_ends_is_not_used_again() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for _ in 0..5 {
        assert_eq!(gateway.get("/p").status, 200);
    }
    assert_eq!(origin.connections(), 5);
}

/// It closes without having said so, as servers do after a number of requests.
#[test]
fn an_origin_that_closes_kept_connections_costs_no_request() {
    let origin =
        Origin::raw(|request| vec![Step::Send(ok("text/plain", &request.target)), Step::Close]);
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let mut client = gateway.client();
    for number in 0..200 {
        let path = format!("/{number}");
        let answer = client.get(&path);
        assert_eq!((answer.status, answer.text()), (200, path));
    }
}

/// It closes, or resets, at the moment that a kept connection is used again after a pause.
#[test]
fn an_idempotent_request_is_sent_again_over_a_new_connection() {
    for (name, end) in [("closed", Step::Close), ("reset", Step::Reset)] {
        let cut = AtomicBool::new(false);
        let origin = Origin::raw(move |request| {
            if request.target != "/first" && !cut.swap(true, Ordering::SeqCst) {
                return vec![end.clone()];
            }
            vec![Step::Send(ok("text/plain", &request.method))]
        });
        let gateway = gateway(&[quoted(origin.url())], PATIENT);
        assert_eq!(gateway.get("/first").status, 200);
        // Longer than the gateway takes kept connections for fresh.
        pass(Duration::from_millis(300));
        let answer = gateway.get("/second");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "GET"),
            "{name}"
        );
        assert_eq!((origin.requests(), origin.connections()), (3, 2));
    }
}

#[test]
fn a_request_that_may_have_had_an_effect_is_not_sent_again() {
    let origin = Origin::raw(|request| match request.target.as_str() {
        "/first" => vec![Step::Send(ok("text/plain", ""))],
        _ => vec![Step::Close],
    });
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    assert_eq!(gateway.get("/first").status, 200);
    pass(Duration::from_millis(300));
    let answer = gateway.request("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer.status, 502);
    assert_eq!(origin.requests(), 2);
}

#[test]
fn an_answer_may_come_before_the_upload_ends() {
    let early = || Step::Send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge".to_vec());
    let origin = Origin::early(move |request| match request.target.as_str() {
        "/close" => vec![early(), Step::Close],
        _ => vec![early(), Step::ReadBody],
    });
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for path in ["/close", "/read"] {
        let mut client = gateway.client();
        let length = 1 << 20;
        client.send(format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\nabc"
        ));
        let answer = client.read();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (413, "large"),
            "{path}"
        );
        if path == "/read" {
            client.send_more("x".repeat(length - 3));
            assert_eq!(client.get("/next").status, 413);
        }
    }
}

/// The origin has answered, and neither takes the rest of the upload nor closes.
#[test]
fn an_upload_that_nobody_takes_does_not_hold_its_client_for_ever() {
    let gate = Gate::new();
    let stuck = gate.clone();
    let origin = Origin::early(move |_| {
        vec![
            Step::Send(ok("text/plain", "early")),
            Step::WaitFor(stuck.clone()),
        ]
    });
    let gateway = gateway(&[quoted(origin.url())], r#"total = "500ms""#);
    let mut client = gateway.client();
    client.send("POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(client.read().text(), "early");
    let stream = client.stream().try_clone().expect("a socket");
    stream
        .set_write_timeout(Some(Duration::from_secs(5)))
        .expect("a socket");
    let chunk = [
        b"100000\r\n".to_vec(),
        vec![b'x'; 1 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    let ended = loop {
        if let Err(error) = std::io::Write::write_all(&mut &stream, &chunk) {
            break error.kind();
        }
    };
    gate.open();
    assert_ne!(ended, std::io::ErrorKind::WouldBlock, "the upload hangs");
}

#[test]
fn a_client_that_leaves_in_mid_response_ends_the_upstreams_connection() {
    let origin = Origin::raw(|_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
        vec![Step::Send(head.to_vec()), Step::Flood(1_000_000_000_000)]
    });
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let mut client = gateway.client();
    client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n");
    // That the client has it is more than that the origin has sent it: until the head is written, a
    // client that leaves has been answered nothing.
    client.stream().peek(&mut [0]).expect("the beginning");
    drop(client);
    eventually("the end", || (origin.open_connections() == 0).then_some(()));
    let record = gateway.record(|record| record["path"] == "/endless");
    assert_eq!(
        (&record["complete"], &record["status"]),
        (&false.into(), &200.into())
    );
    assert_eq!(record["failure"]["blame"], "client");
    assert_eq!(record["failure"]["kind"], "client-gone");
}

#[test]
fn a_client_that_leaves_before_the_answer_ends_the_upstreams_connection() {
    let gate = Gate::new();
    let thinking = gate.clone();
    let origin = Origin::raw(move |_| vec![Step::WaitFor(thinking.clone())]);
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    origin.request(0);
    drop(client);
    let record = gateway.record(|record| record["path"] == "/slow");
    assert_eq!(
        (&record["complete"], &record["status"]),
        (&false.into(), &0.into())
    );
    assert_eq!(record["failure"]["kind"], "client-gone");
    gate.open();
    eventually("the end", || (origin.open_connections() == 0).then_some(()));
}

#[test]
fn an_upload_that_breaks_off_never_looks_whole() {
    for framing in [
        "content-length: 100\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let origin =
            Origin::early(|_| vec![Step::ReadBody, Step::Send(ok("text/plain", "whole?"))]);
        let gateway = gateway(&[quoted(origin.url())], PATIENT);
        let mut client = gateway.client();
        client.send(format!("POST /p HTTP/1.1\r\nhost: a\r\n{framing}"));
        origin.request(0);
        drop(client);
        eventually("the end", || (origin.open_connections() == 0).then_some(()));
        assert!(!origin.request(0).complete, "{framing:?}");
        let record = gateway.record(|record| record["path"] == "/p");
        assert_eq!(record["failure"]["blame"], "client", "{framing:?}");
        assert_eq!(record["failure"]["kind"], "client-gone", "{framing:?}");
    }
}
