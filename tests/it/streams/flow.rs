//! Pieces go on as they come, and no faster than they are taken.

use std::io::Read;

use tollgate_tests::{Gate, Gateway, Origin, Step, eventually, ok};

use super::{Reader, chunk, gateway, get, head, post, scene, streams};

#[test]
fn bodies_go_through_both_ways() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let headers = [("x-one-in", "shout"), ("x-one-out", "shout")];
    let response = gateway.request(post("/one", &headers, &[b"first ", b"second"]));
    assert_eq!((response.status, response.complete), (200, true));
    let text = response.text();
    assert!(text.contains("\"BODY\":\"FIRST SECOND\""), "{text}");
    assert_eq!(origin.request(0).body, b"FIRST SECOND");

    let record = gateway.record(|record| record["path"] == "/one");
    let entries = record["entries"].as_array().expect("entries");
    let told: Vec<_> = entries
        .iter()
        .map(|it| (&it["side"], &it["verdict"]))
        .collect();
    assert_eq!(told.len(), 2, "{record}");
    assert!(
        told.iter().all(|(_, verdict)| **verdict == "stream"),
        "{record}"
    );
    assert_eq!(record["complete"], true);
}

#[test]
fn what_the_plugin_does_not_want_goes_past_it() {
    let origin = Origin::fixed(ok("text/plain", "as it is"));
    let gateway = gateway(&origin);
    let response = gateway.request(post("/one", &[], &[b"as ", b"it is"]));
    assert_eq!(response.text(), "as it is");
    assert_eq!(response.header("content-length").as_deref(), Some("8"));
    assert_eq!(origin.request(0).body, b"as it is");
    // A request without a body is not asked about.
    let calls = |side| {
        gateway.metric(
            "tollgate_plugin_calls_total",
            &[("policy", "one"), ("side", side)],
        )
    };
    assert_eq!((calls("in"), calls("out")), (1.0, 1.0));
    gateway.request(get("/one", &[("x-one-in", "open-trap")]));
    assert_eq!((calls("in"), calls("out")), (1.0, 2.0));
}

/// Each event is at the client before the upstream sends the next.
#[test]
fn events_leave_as_they_come() {
    const EVENTS: usize = 4;
    let gates: Vec<Gate> = (0..EVENTS).map(|_| Gate::new()).collect();
    let script = gates.clone();
    let origin = Origin::raw(move |_| {
        let mut steps = vec![Step::Send(head(&[("content-type", "text/event-stream")]))];
        for (number, gate) in script.iter().enumerate() {
            steps.push(Step::WaitFor(gate.clone()));
            steps.push(Step::Send(chunk(format!("data: {number}\n\n").as_bytes())));
        }
        steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
        steps
    });
    let gateway = gateway(&origin);
    let (mut reader, _) = Reader::ask(&gateway, &get("/one", &[("x-one-out", "shout")]));
    for (number, gate) in gates.iter().enumerate() {
        gate.open();
        assert_eq!(reader.chunk(), format!("DATA: {number}\n\n").as_bytes());
    }
    assert_eq!(reader.chunk(), b"");
    // The opening, a call for each event, and one for the end.
    let record = gateway.record(|record| record["path"] == "/one");
    assert_eq!(record["complete"], true, "{record}");
    let labels = [("policy", "one"), ("side", "out")];
    let calls = gateway.metric("tollgate_plugin_calls_total", &labels);
    assert!((5.0..=6.0).contains(&calls), "{calls}");
    assert_eq!(streams(&gateway), 0.0);
}

#[test]
fn pieces_are_bounded() {
    let body = vec![b'x'; 300_000];
    let origin = Origin::fixed(ok("text/plain", &body));
    let gateway = gateway(&origin);
    let response = gateway.request(get("/one", &[("x-one-out", "lengths")]));
    let text = response.text();
    let lengths: Vec<usize> = text
        .trim_end_matches('!')
        .split(',')
        .map(|length| length.parse().expect("a length"))
        .collect();
    assert_eq!(lengths.iter().sum::<usize>(), body.len(), "{text}");
    assert!(lengths.iter().all(|length| *length <= 16 << 10), "{text}");
}

/// A client that takes nothing makes the upstream stop: nothing is read ahead of it.
#[test]
fn a_slow_client_makes_the_upstream_wait() {
    const SIZE: u64 = 64 << 20;
    let origin = Origin::raw(|_| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
        vec![Step::Send(head.into_bytes()), Step::Flood(SIZE)]
    });
    let gateway = gateway(&origin);
    let (mut reader, _) = Reader::ask(&gateway, &get("/one", &[("x-one-out", "shout")]));
    // It has come to rest once it does not move for a while.
    let mut before = (0, 0);
    eventually("the upstream stops", || {
        let sent = origin.bytes_sent();
        before = match before {
            (last, count) if last == sent => (sent, count + 1),
            _ => (sent, 0),
        };
        (sent > 0 && before.1 > 100).then_some(())
    });
    // What the sockets of both sides buffer, and a piece or two.
    let sent = origin.bytes_sent();
    assert!(sent < SIZE / 2, "{sent}");
    assert_eq!(streams(&gateway), 1.0);

    let before = resident_kib(gateway.pid());
    let mut received = 0;
    loop {
        let data = reader.chunk();
        if data.is_empty() {
            break;
        }
        assert!(data.iter().all(|byte| *byte == b'X'));
        received += data.len() as u64;
    }
    assert_eq!(received, SIZE);
    let more = resident_kib(gateway.pid()) - before;
    assert!(more < SIZE / 4 / 1024, "{more} KiB");
    eventually("the stream has ended", || {
        (streams(&gateway) == 0.0).then_some(())
    });
}

/// The most memory that a process had.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("VmHWM")
}

#[test]
fn a_client_that_leaves_frees_the_instance() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::raw(move |_| {
        vec![
            Step::Send(head(&[])),
            Step::Send(chunk(b"first")),
            Step::WaitFor(opened.clone()),
            Step::Send(chunk(b"later")),
        ]
    });
    let gateway = gateway(&origin);
    let (mut reader, _) = Reader::ask(&gateway, &get("/one", &[("x-one-out", "shout")]));
    assert_eq!(reader.chunk(), b"FIRST");
    assert_eq!(streams(&gateway), 1.0);
    drop(reader);
    eventually("the stream has ended", || {
        (streams(&gateway) == 0.0).then_some(())
    });
    gate.open();
    let record = gateway.record(|record| record["path"] == "/one");
    assert_eq!(record["failure"]["kind"], "client-gone", "{record}");
}

/// The upload goes on while its beginning is already with the upstream.
#[test]
fn an_upload_is_not_held() {
    let origin = Origin::early(|_| vec![Step::Send(ok("text/plain", "early")), Step::ReadBody]);
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    let raw = post("/one", &[("x-one-in", "shout")], &[b"first"]);
    let (begin, end) = raw.split_at(raw.len() - 5);
    std::io::Write::write_all(&mut stream, begin).expect("a write");
    // The answer is here before the upload has ended.
    let mut seen = Vec::new();
    let mut block = [0; 1024];
    while !seen.ends_with(b"early") {
        let read = stream.read(&mut block).expect("a part");
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend(&block[..read]);
    }
    std::io::Write::write_all(&mut stream, &chunk(b"later")).expect("a write");
    std::io::Write::write_all(&mut stream, end).expect("a write");
    eventually("the whole upload", || {
        (origin.request(0).body == b"FIRSTLATER").then_some(())
    });
    eventually("the stream has ended", || {
        (streams(&gateway) == 0.0).then_some(())
    });
}

/// Two bodies at once see nothing of each other, nor of those before: not even where instances are kept.
#[test]
fn bodies_share_no_memory() {
    let origin = Origin::raw(|request| {
        let body = vec![b'x'; request.target.len()];
        vec![Step::Send(ok("text/plain", body))]
    });
    let gateway = Gateway::start(&scene(&origin, "").toml());
    let answers = std::thread::scope(|scope| {
        let ask = || {
            gateway
                .request(get("/one", &[("x-one-out", "count")]))
                .text()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, String>| thread.join().expect("it");
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    for answer in answers {
        assert_eq!(answer, "xxxx|4 bytes in this instance");
    }

    let kept = scene(&origin, "").toml().replace(
        "config.name = \"one\"\n",
        "config.name = \"one\"\ninstances = { calls = 1000 }\n",
    );
    let gateway = Gateway::start(&kept);
    for round in 1..=3 {
        let answer = gateway
            .request(get("/one", &[("x-one-out", "count")]))
            .text();
        let seen = 4 * round;
        assert_eq!(answer, format!("xxxx|{seen} bytes in this instance"));
    }
    // Two bodies at one time have an instance each.
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::raw(move |_| {
        vec![
            Step::Send(head(&[])),
            Step::Send(chunk(b"first")),
            Step::WaitFor(opened.clone()),
            Step::Send(chunk(b"later")),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ]
    });
    let gateway = Gateway::start(&kept.replace(&upstream(&kept), &origin.url()));
    let request = get("/one", &[("x-one-out", "count")]);
    let (mut one, _) = Reader::ask(&gateway, &request);
    assert_eq!(one.chunk(), b"first");
    let (mut other, _) = Reader::ask(&gateway, &request);
    assert_eq!(other.chunk(), b"first");
    assert_eq!(streams(&gateway), 2.0);
    gate.open();
    for reader in [&mut one, &mut other] {
        let rest = reader.until(b"instance");
        assert_eq!(
            String::from_utf8_lossy(&rest),
            "later|10 bytes in this instance"
        );
    }
}

/// The upstream's URL in a configuration.
fn upstream(toml: &str) -> String {
    let (_, rest) = toml.split_once("servers = [\"").expect("servers");
    rest.split('"').next().unwrap_or_default().to_owned()
}
