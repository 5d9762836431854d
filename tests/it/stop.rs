//! The end of the process: what is in flight is finished, what is idle is closed, what is stuck is
//! cut, and the log is whole.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tollgate_tests::{Gate, Gateway, Origin, Step, eventually, ok};

/// A gateway with one route to an origin that answers when the gate opens.
fn gateway(drain: &str, gate: &Gate) -> (Gateway, Origin) {
    let gate = gate.clone();
    let origin = Origin::raw(move |request| match request.target.as_str() {
        "/quick" => vec![Step::Send(ok("text/plain", "quick"))],
        "/half" => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nhalf".to_vec()),
            Step::WaitFor(gate.clone()),
            Step::Send(b" and half".to_vec()),
        ],
        _ => vec![
            Step::WaitFor(gate.clone()),
            Step::Send(ok("text/plain", "slow")),
        ],
    });
    let gateway = Gateway::start(&format!(
        r#"
[runtime]
drain = "{drain}"

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
    (gateway, origin)
}

fn signal(gateway: &Gateway, signal: Signal) {
    let pid = i32::try_from(gateway.pid())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process");
    kill_process(pid, signal).expect("a signal");
}

#[test]
fn requests_in_flight_are_finished() {
    for end in [Signal::TERM, Signal::INT] {
        let gate = Gate::new();
        let (mut gateway, origin) = gateway("20s", &gate);
        let address = gateway.address("public");
        let (mut slow, mut half, mut idle) = (gateway.client(), gateway.client(), gateway.client());
        let mut fresh = gateway.client();
        assert_eq!(idle.get("/quick").status, 200);
        slow.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
        half.send("GET /half HTTP/1.1\r\nhost: a\r\n\r\n");
        origin.request(2);
        assert_eq!(
            gateway
                .request_to("admin", "GET /healthz HTTP/1.0\r\n\r\n")
                .text(),
            "ok\n"
        );

        signal(&gateway, end);
        gateway.wait_for_log("draining");
        assert!(idle.closed(), "an idle connection stays open");
        assert!(fresh.closed(), "a connection without a request stays open");
        eventually("no new connections", || TcpStream::connect(address).err());
        let health = gateway.request_to("admin", "GET /healthz HTTP/1.0\r\n\r\n");
        assert_eq!((health.status, health.text().as_str()), (503, "stopping\n"));

        gate.open();
        let answer = slow.read();
        assert_eq!((answer.text().as_str(), answer.complete), ("slow", true));
        assert!(slow.closed());
        let answer = half.read();
        assert_eq!(
            (answer.text().as_str(), answer.complete),
            ("half and half", true)
        );
        let status = gateway.wait();
        assert_eq!(status.code(), Some(0), "{end:?}: {}", gateway.stderr());
        let done = |path: &str| gateway.record(|record| record["path"] == path)["complete"].clone();
        for path in ["/quick", "/slow", "/half"] {
            assert_eq!(done(path), true, "{path}");
        }
    }
}

#[test]
fn an_upload_in_flight_is_finished() {
    let gate = Gate::new();
    gate.open();
    let (mut gateway, origin) = gateway("20s", &gate);
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
    eventually("the request", || {
        (gateway.metric("tollgate_requests_in_flight", &[]) == 1.0).then_some(())
    });
    gateway.terminate();
    gateway.wait_for_log("draining");
    client.send_more("def");
    assert_eq!(client.read().text(), "slow");
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(origin.request(0).body, b"abcdef");
}

#[test]
fn what_is_stuck_is_cut_when_the_time_is_over() {
    let gate = Gate::new();
    let (mut gateway, origin) = gateway("300ms", &gate);
    let (mut slow, mut half, mut head) = (gateway.client(), gateway.client(), gateway.client());
    slow.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    half.send("GET /half HTTP/1.1\r\nhost: a\r\n\r\n");
    head.send("GET /never HTTP/1.1\r\nho");
    origin.request(1);
    let started = Instant::now();
    let status = gateway.stop();
    let took = started.elapsed();
    assert_eq!(status.code(), Some(0), "{}", gateway.stderr());
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(10),
        "{took:?}"
    );
    assert_eq!(slow.read().status, 0);
    let answer = half.read();
    assert!(!answer.complete, "{answer:?}");
    for path in ["/slow", "/half"] {
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(record["complete"], false, "{path}");
        // Neither client nor upstream did this.
        assert_eq!(record["failure"]["blame"], "gateway", "{path}: {record}");
    }
    assert!(gateway.stderr().contains("what is left is cut"));
    gate.open();
}

#[test]
fn nothing_is_waited_for_when_nothing_is_in_flight() {
    let gate = Gate::new();
    let (mut gateway, _origin) = gateway("20s", &gate);
    let mut idle = gateway.client();
    assert_eq!(idle.get("/quick").status, 200);
    let started = Instant::now();
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_access_log_is_whole_at_the_end() {
    const REQUESTS: usize = 500;
    let gate = Gate::new();
    let (mut gateway, origin) = gateway("20s", &gate);
    let mut client = gateway.client();
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/quick").status, 200);
    }
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(origin.requests(), REQUESTS);
    eventually("the end of the output", || {
        (gateway.records().len() == REQUESTS).then_some(())
    });
}

#[test]
fn told_twice_it_drains_no_longer() {
    for (first, second) in [
        (Signal::TERM, Signal::TERM),
        (Signal::INT, Signal::TERM),
        (Signal::TERM, Signal::INT),
    ] {
        let gate = Gate::new();
        let (mut gateway, origin) = gateway("1h", &gate);
        let mut client = gateway.client();
        client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
        origin.request(0);
        signal(&gateway, first);
        gateway.wait_for_log("draining");
        signal(&gateway, second);
        gateway.wait_for_log("told to stop again");
        assert_eq!(gateway.wait().code(), Some(0));
        let record = gateway.record(|record| record["path"] == "/slow");
        assert_eq!(record["failure"]["kind"], "stopped", "{record}");
        gate.open();
    }
}
