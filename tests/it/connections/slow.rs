//! Clients that move too little to be waited for.

use std::io::Read;
use std::time::{Duration, Instant};

use tollgate_tests::{Gateway, Origin};

/// Two listeners that differ in what they expect, and the same slow client at each.
#[test]
fn a_client_below_the_least_pace_is_let_go() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"
least-pace = "1MiB"

[listeners.patient]
address = "127.0.0.1:0"
least-pace = "0B"

[upstreams.origin]
servers = ["{}"]
timeouts = {{ first-byte = "2m", total = "2m" }}

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        origin.url()
    ));
    let begin = |listener: &str| {
        let mut client = tollgate_tests::Client::new(
            std::net::TcpStream::connect(gateway.address(listener)).expect("a connection"),
        );
        let head = "POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
        client.send(head);
        let pause = Duration::from_millis(200);
        client
            .stream()
            .set_read_timeout(Some(pause))
            .expect("a socket");
        client
    };
    let mut half = gateway.client();
    half.send("GET /half HTTP/1.1\r\nhost: a\r\nx");
    let (mut hurried, mut patient) = (begin("public"), begin("patient"));
    let started = Instant::now();
    let mut byte = [0];
    // The read is the pause between two bytes.
    while hurried.stream().read(&mut byte).is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(50),
            "it is still waited for"
        );
        hurried.send_more("x");
        patient.send_more("x");
    }
    assert!(
        started.elapsed() > Duration::from_secs(15),
        "it had no time"
    );
    assert_eq!(byte, *b"H", "it is answered");
    let record = gateway.record(|record| record["path"] == "/slow");
    assert_eq!(record["listener"], "public", "{record}");
    assert_eq!(record["status"], 408, "{record}");
    assert_eq!(record["failure"]["kind"], "client-stalled", "{record}");
    assert!(
        patient.stream().read(&mut byte).is_err(),
        "the other is waited for"
    );
    // A head has as long.
    let answer = half.read();
    assert_eq!((answer.status, answer.complete), (408, true));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    let record = gateway.record(|record| record["path"] == "/half");
    assert_eq!(record["status"], 408, "{record}");
    assert_eq!(record["failure"]["kind"], "client-stalled", "{record}");
    assert_eq!(gateway.records().len(), 2);
}
