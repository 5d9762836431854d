//! Answers that break off, and answers that are larger than the cache takes.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{Gate, Gateway, Origin, Step};

use super::{FRESH, Slow, answer, assert_hit, assert_miss, cached, wait_for_requests};

/// Breaks off its first answer in the middle, past the gate.
fn breaking(head: &'static str, gate: &Gate) -> Origin {
    let (gate, count) = (gate.clone(), AtomicUsize::new(0));
    Origin::raw(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![
            Step::Send(format!("HTTP/1.1 200 OK\r\n{FRESH}{head}").into_bytes()),
            Step::WaitFor(gate.clone()),
            Step::Close,
        ],
        _ => vec![Step::Send(answer(FRESH, "whole"))],
    })
}

#[test]
fn what_breaks_off_is_broken_for_all_and_not_stored() {
    for head in [
        "content-length: 10\r\n\r\nabcde",
        "transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    ] {
        let gate = Gate::new();
        let origin = breaking(head, &gate);
        let gateway = Gateway::start(&cached(&origin).toml());
        let half = if head.contains("chunked") {
            "abcde\r\n"
        } else {
            "abcde"
        };
        let get = |_| Slow::get(&gateway, "/a", "");
        let mut clients: Vec<Slow> = (0..10).map(get).collect();
        clients.iter_mut().for_each(|client| client.read_to(half));
        assert_eq!(origin.requests(), 1);
        gate.open();
        for client in clients {
            let response = client.finish();
            assert!(!response.complete, "{response:?}");
            assert_eq!(response.text(), "abcde");
        }
        for _ in 0..10 {
            let record = gateway.record(|record| record["status"] == 200);
            assert_eq!(record["complete"], false, "{record}");
            assert_eq!(record["failure"]["blame"], "upstream", "{record}");
        }
        assert_eq!(gateway.metric("tollgate_cache_keys", &[]), 0.0);
        assert_miss(&gateway.get("/a"), "whole");
        assert_hit(&gateway.get("/a"), "whole");
    }
}

/// What is stored, and validated in vain by an answer that breaks off, is not harmed by it.
#[test]
fn what_breaks_off_does_not_replace_what_is_stored() {
    let count = AtomicUsize::new(0);
    let origin = Origin::raw(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Step::Send(answer(
            &format!("{}etag: \"1\"\r\n", super::OLD),
            "old",
        ))],
        1 => vec![
            Step::Send(
                format!("HTTP/1.1 200 OK\r\n{FRESH}content-length: 9\r\n\r\nbr").into_bytes(),
            ),
            Step::Close,
        ],
        _ => {
            assert_eq!(super::field(request, "if-none-match"), "\"1\"");
            let head = format!("HTTP/1.1 304 Not Modified\r\n{FRESH}etag: \"1\"\r\n\r\n");
            vec![Step::Send(head.into_bytes())]
        }
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_miss(&gateway.get("/a"), "old");
    let broken = gateway.get("/a");
    assert!(!broken.complete, "{broken:?}");
    assert_miss(&gateway.get("/a"), "old");
    assert_hit(&gateway.get("/a"), "old");
}

#[test]
fn a_reset_before_the_head_is_an_error_for_all_who_wait() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |_| vec![Step::WaitFor(held.clone()), Step::Reset]);
    let gateway = Gateway::start(&cached(&origin).toml());
    let get = |_| Slow::get(&gateway, "/a", "");
    let clients: Vec<Slow> = (0..10).map(get).collect();
    wait_for_requests(&gateway, 10);
    gate.open();
    for client in clients {
        assert_eq!(client.finish().status, 502);
    }
}

const LARGE: u64 = 200 << 20;
const SMALL_STORE: &str = "[store]\ncache = \"1MiB\"\ncache-entry = \"64KiB\"";

/// Sends `/length` and `/chunks` large, and everything else small.
fn large() -> Origin {
    Origin::raw(|request| {
        let head = |framing: String| format!("HTTP/1.1 200 OK\r\n{FRESH}{framing}\r\n\r\n");
        match request.target.as_str() {
            "/length" => vec![
                Step::Send(head(format!("content-length: {LARGE}")).into_bytes()),
                Step::Flood(LARGE),
            ],
            "/chunks" => vec![
                Step::Send(
                    format!("{}{LARGE:x}\r\n", head("transfer-encoding: chunked".into()))
                        .into_bytes(),
                ),
                Step::Flood(LARGE),
                Step::Send(b"\r\n0\r\n\r\n".to_vec()),
            ],
            "/half" => vec![
                Step::Send(head(format!("content-length: {}", 60 << 10)).into_bytes()),
                Step::Flood(60 << 10),
            ],
            _ => vec![
                Step::Send(head(format!("content-length: {}", 65 << 10)).into_bytes()),
                Step::Flood(65 << 10),
            ],
        }
    })
}

/// In KiB: the most memory that the process had so far.
#[track_caller]
fn peak(gateway: &Gateway) -> u64 {
    let path = format!("/proc/{}/status", gateway.pid());
    let status = std::fs::read_to_string(path).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = line.and_then(|line| line.trim().strip_suffix(" kB"));
    peak.and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Reads an answer to its end and keeps none of it.
#[track_caller]
fn drain(client: Slow, end: &str) -> u64 {
    let mut stream = client.stream;
    let (mut block, mut length, mut last) = (vec![0; 64 << 10], 0, Vec::new());
    while !last.ends_with(end.as_bytes()) {
        let read = stream.read(&mut block).expect("more of the body");
        if read == 0 {
            break;
        }
        length += read as u64;
        last.extend_from_slice(&block[..read]);
        last.drain(..last.len().saturating_sub(end.len()));
    }
    length
}

#[test]
fn what_is_larger_than_an_entry_streams_and_is_not_stored() {
    let origin = large();
    let gateway = Gateway::start(&cached(&origin).with(SMALL_STORE).toml());
    assert_eq!(gateway.get("/half").body.len(), 60 << 10);
    let hit = gateway.get("/half");
    assert_hit(&hit, &"x".repeat(60 << 10));
    for _ in 0..2 {
        let miss = gateway.get("/small");
        assert_miss(&miss, &"x".repeat(65 << 10));
    }
    let before = peak(&gateway);
    for (path, end) in [("/length", ""), ("/chunks", "\r\n0\r\n\r\n")] {
        let requests = origin.requests();
        // Two that share what they can, and one that has what is stored by then, which is nothing.
        for _ in 0..2 {
            let clients = [(); 2].map(|()| Slow::get(&gateway, path, "connection: close\r\n"));
            let readers = clients.map(|client| {
                let end = if end.is_empty() { "never" } else { end };
                std::thread::spawn(move || drain(client, end))
            });
            for reader in readers {
                let length = reader.join().expect("a reader");
                assert!(length > LARGE, "{path}: {length}");
            }
        }
        assert!(origin.requests() >= requests + 2, "{path}");
    }
    let grown = peak(&gateway).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB for a body of {LARGE}");
    assert_eq!(gateway.metric("tollgate_cache_keys", &[]), 1.0);
}

/// A client that does not read holds up the origin, and not the memory of the gateway.
#[test]
fn a_slow_reader_of_a_large_body_costs_little() {
    let origin = large();
    let gateway = Gateway::start(&cached(&origin).with(SMALL_STORE).toml());
    assert_eq!(gateway.get("/half").body.len(), 60 << 10);
    let before = peak(&gateway);
    let mut client = Slow::get(&gateway, "/chunks", "connection: close\r\n");
    let mut block = [0; 1024];
    let read = client.stream.read(&mut block).expect("a beginning");
    assert!(read > 0);
    // The origin stops where all buffers on the way are full.
    let mut last = 0;
    let mut still = 0;
    tollgate_tests::eventually("the origin to be held up", || {
        let sent = origin.bytes_sent();
        still = if sent == last { still + 1 } else { 0 };
        last = sent;
        (still == 100).then_some(())
    });
    assert!(last < LARGE / 2, "{last} bytes of {LARGE}");
    let length = read as u64 + drain(client, "\r\n0\r\n\r\n");
    assert!(length > LARGE, "{length}");
    let grown = peak(&gateway).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB for a body of {LARGE}");
}

/// The store keeps to its bound, whatever is asked for.
#[test]
fn the_store_keeps_to_its_bound() {
    let origin = Origin::raw(|_| vec![Step::Send(answer(FRESH, &"x".repeat(10_000)))]);
    let gateway = Gateway::start(&cached(&origin).with(SMALL_STORE).toml());
    let mut client = gateway.client();
    for number in 0..500 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
        if number % 50 == 0 {
            let stored = gateway.metric("tollgate_cache_stored_bytes", &[]);
            assert!(stored <= f64::from(1 << 20), "{stored}");
        }
    }
    assert!(gateway.metric("tollgate_cache_keys", &[]) > 20.0);
    assert_hit(&client.get("/499"), &"x".repeat(10_000));
}
