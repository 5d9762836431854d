//! How long a fetch may take, how much it may bring, and how it ends with whom it was for.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use tollgate_tests::{Gate, Gateway, Origin, PATIENCE, Step, chunked, eventually, ok};

use super::{ask, asking, scene};

const BOUND: usize = 1 << 20;

fn fetch(timeout_ms: Option<u64>) -> Value {
    json!([{ "fetch": { "upstream": "users", "timeout-ms": timeout_ms } }])
}

#[test]
fn an_answer_beyond_the_bound_is_too_large() {
    for (length, told) in [
        (BOUND, json!(BOUND)),
        (BOUND + 1, Value::Null),
        (30 << 20, Value::Null),
    ] {
        let body = vec![b'x'; length];
        let pieces: Vec<&[u8]> = body.chunks(60_000).collect();
        let closing = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &body].concat();
        for (bytes, closes) in [
            (ok("text/plain", &body), false),
            (chunked(&pieces), false),
            (closing, true),
        ] {
            let users = Origin::raw(move |_| {
                let mut steps = vec![Step::Send(bytes.clone())];
                steps.extend(closes.then_some(Step::Close));
                steps
            });
            let toml = scene(&Origin::echo(), &users.url()).toml();
            let toml = toml.replace("[plugins.reach]", "[plugins.reach]\nlimits.cpu = \"1s\"");
            let gateway = Gateway::start(&toml);
            for _ in 0..2 {
                let answer = ask(&gateway, &fetch(None)).remove(0);
                assert_eq!(answer["length"], told, "{length}: {answer}");
                if told.is_null() {
                    assert_eq!(answer, json!({ "too-large": BOUND }));
                }
            }
            if told.is_null() {
                eventually("the connections of what is unread end", || {
                    (users.open_connections() == 0).then_some(())
                });
            }
        }
    }
}

/// Too late at each step: no head, half a head, half a body.
#[test]
fn a_slow_answer_times_out() {
    let gate = Gate::new();
    for part in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
    ] {
        let opened = gate.clone();
        let users =
            Origin::raw(move |_| vec![Step::Send(part.into()), Step::WaitFor(opened.clone())]);
        let gateway = Gateway::start(&scene(&Origin::echo(), &users.url()).toml());
        // The plugin's own time, and none at all.
        for ms in [200, 0] {
            assert_eq!(ask(&gateway, &fetch(Some(ms))), ["timeout"], "{part:?}");
        }
        // The upstream's.
        let has_head = part.contains("\r\n\r\n");
        for time in ["first-byte = \"200ms\"", "total = \"200ms\""] {
            if has_head && time.contains("first-byte") {
                continue;
            }
            let toml = scene(&Origin::echo(), &users.url()).toml().replace(
                "[upstreams.users]",
                &format!("[upstreams.users]\ntimeouts = {{ {time} }}"),
            );
            let gateway = Gateway::start(&toml);
            for own in [None, Some(60_000)] {
                assert_eq!(ask(&gateway, &fetch(own)), ["timeout"], "{part:?}, {time}");
            }
        }
    }
    gate.open();
}

/// What ends a fetch ends its connection: nobody may get what is left of its answer.
#[test]
fn the_answer_to_another_request_is_never_taken_for_ones_own() {
    let gate = Gate::new();
    let opened = gate.clone();
    let users = Origin::raw(move |request| {
        if request.target == "/slow" {
            return vec![
                Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nslow ".to_vec()),
                Step::WaitFor(opened.clone()),
                Step::Send(b"and slow".to_vec()),
            ];
        }
        vec![Step::Send(ok("text/plain", &request.target))]
    });
    let gateway = Gateway::start(&scene(&Origin::echo(), &users.url()).toml());
    let slow = json!({ "upstream": "users", "target": "/slow", "timeout-ms": 100 });
    for number in 0..5 {
        let target = format!("/{number}");
        let own = json!({ "upstream": "users", "target": target });
        let told = ask(&gateway, &json!([{ "fetch": slow }, { "fetch": own }]));
        assert_eq!(told[0], "timeout");
        assert_eq!(told[1]["body"], target);
    }
    gate.open();
}

/// An origin that says nothing, played by the test.
struct Silent {
    listener: TcpListener,
}

impl Silent {
    fn new() -> Silent {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Silent { listener }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("an address"))
    }

    /// Takes a connection, and reads the head of its request.
    fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            assert_eq!(stream.read(&mut byte).expect("a head"), 1);
            head.push(byte[0]);
        }
        stream
    }
}

/// Whether the other side has ended the connection; waits for it.
fn ended(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0)) || stream.take_error().is_ok_and(|error| error.is_some())
}

#[test]
fn a_client_that_leaves_takes_its_fetch_along() {
    let silent = Silent::new();
    let gateway = Gateway::start(&scene(&Origin::echo(), &silent.url()).toml());
    for _ in 0..3 {
        let mut client = gateway.client();
        client.send(asking("/reach", &fetch(None), ""));
        let mut stream = silent.accept();
        drop(client);
        assert!(ended(&mut stream), "the fetch goes on for nobody");
    }
    eventually("no request", || {
        let running = gateway.metric("tollgate_requests_in_flight", &[]);
        (running == 0.0).then_some(())
    });
}

#[test]
fn the_elapsed_time_of_the_call_ends_its_fetch() {
    let silent = Silent::new();
    let origin = Origin::fixed(ok("text/plain", "fine"));
    let toml = scene(&origin, &silent.url())
        .policy("open", "reach", "on-fault = \"open\"")
        .route("open", "/open", &["open"]);
    let toml = toml.toml().replace(
        "[plugins.reach]",
        "[plugins.reach]\nlimits = { wall = \"300ms\", concurrency = 1 }",
    );
    let gateway = Gateway::start(&toml);
    for (number, (path, status)) in [("/reach", 500), ("/open", 200), ("/reach", 500)]
        .into_iter()
        .enumerate()
    {
        let mut client = gateway.client();
        client.send(asking(path, &fetch(None), ""));
        let mut stream = silent.accept();
        assert!(ended(&mut stream), "the fetch goes on");
        assert_eq!(client.read().status, status, "{path}");
        let faults = gateway.metric("tollgate_plugin_faults_total", &[("kind", "wall")]);
        assert_eq!(faults as usize, number + 1);
    }
    gateway.wait_for_log("(`limits.wall`)");
    let record = gateway.record(|record| record["path"] == "/reach");
    assert_eq!(record["failure"]["blame"], "plugin");
    assert_eq!(record["entries"][0]["fault"], "wall");
}

/// While a guest waits, its processor time stands still.
#[test]
fn waiting_is_not_working() {
    let gate = Gate::new();
    let opened = gate.clone();
    let users = Origin::raw(move |_| {
        vec![
            Step::WaitFor(opened.clone()),
            Step::Send(ok("text/plain", "user")),
        ]
    });
    let origin = Origin::fixed(ok("text/plain", "fine"));
    let toml = scene(&origin, &users.url()).toml().replace(
        "[plugins.reach]",
        "[plugins.reach]\nlimits = { cpu = \"5ms\", wall = \"20s\" }",
    ) + "[runtime]\nworkers = 1\n";
    let gateway = Gateway::start(&toml);
    let mut client = gateway.client();
    client.send(asking("/reach", &fetch(None), ""));
    users.request(0);
    // The thread works for others meanwhile, for longer than the guest may.
    for _ in 0..200 {
        assert_eq!(gateway.get("/plain").status, 200);
    }
    gate.open();
    assert_eq!(super::told(&client.read())[0]["body"], "user");
}
