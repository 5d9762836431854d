//! Large bodies stream both ways: whole, within little memory, and no faster than they are taken.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_tests::{Gate, Gateway, Origin, Step, eventually, ok};

use super::gateway;

const BODY: u64 = 100 << 20;
/// What the kernel's buffers of two connections take, and the gateway's own.
const IN_FLIGHT: u64 = 32 << 20;
const GROWTH: u64 = 40 << 20;

/// The memory that the gateway has in use, in bytes.
fn resident(gateway: &Gateway) -> u64 {
    let path = format!("/proc/{}/statm", gateway.pid());
    let text = std::fs::read_to_string(path).expect("a process");
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    pages.expect("pages") * 4096
}

/// Waits until a number stays the same for a while.
fn settled(what: &str, ask: impl Fn() -> u64) -> u64 {
    let (mut last, mut same) = (0, 0);
    eventually(what, || {
        let now = ask();
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        (same == 100).then_some(now)
    })
}

fn flood(length: u64) -> Origin {
    Origin::raw(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        vec![Step::Send(head.into_bytes()), Step::Flood(length)]
    })
}

#[test]
fn a_download_goes_as_fast_as_it_is_read() {
    let origin = flood(BODY);
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let before = resident(&gateway);
    client.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
    let sent = settled("the origin is held back", || origin.bytes_sent());
    assert!(
        sent < IN_FLIGHT,
        "the origin could send {sent} bytes to nobody"
    );
    let held = resident(&gateway).saturating_sub(before);
    assert!(held < GROWTH, "{held} bytes more while nobody reads");

    let answer = client.read();
    assert!(answer.complete);
    assert_eq!(answer.body.len() as u64, BODY);
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes more after a body of {BODY}");
    let record = gateway.record(|record| record["path"] == "/large");
    assert_eq!(record["bytes_out"], BODY);
}

/// With a second request waiting behind it, an answer is held back just the same.
#[test]
fn a_pipelined_request_does_not_undo_the_back_pressure() {
    let origin = flood(BODY);
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let before = resident(&gateway);
    client.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\nGET /next HTTP/1.1\r\nhost: a\r\n\r\n");
    let sent = settled("the origin is held back", || origin.bytes_sent());
    assert!(
        sent < IN_FLIGHT,
        "the origin could send {sent} bytes to nobody"
    );
    let held = resident(&gateway).saturating_sub(before);
    assert!(held < GROWTH, "{held} bytes more while nobody reads");
    assert_eq!(client.read().body.len() as u64, BODY);
}

#[test]
fn an_upload_goes_as_fast_as_the_origin_reads() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::early(move |_| {
        vec![
            Step::WaitFor(opened.clone()),
            Step::ReadBody,
            Step::Send(ok("text/plain", "taken")),
        ]
    });
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let before = resident(&gateway);
    client.send(format!(
        "POST /large HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY}\r\n\r\n"
    ));
    let pushed = Arc::new(AtomicU64::new(0));
    let mut stream = client.stream().try_clone().expect("a socket");
    let count = Arc::clone(&pushed);
    let writer = std::thread::spawn(move || {
        let block = [b'x'; 64 << 10];
        while count.load(Ordering::SeqCst) < BODY {
            let left = usize::try_from(BODY - count.load(Ordering::SeqCst)).unwrap_or(block.len());
            let written = stream
                .write(&block[..left.min(block.len())])
                .expect("a write");
            count.fetch_add(written as u64, Ordering::SeqCst);
        }
    });
    let sent = settled("the client is held back", || pushed.load(Ordering::SeqCst));
    assert!(
        sent < IN_FLIGHT,
        "the client could send {sent} bytes to nobody"
    );
    let held = resident(&gateway).saturating_sub(before);
    assert!(held < GROWTH, "{held} bytes more while nobody reads");

    gate.open();
    let answer = client.read();
    assert_eq!(answer.text(), "taken");
    writer.join().expect("the writer");
    assert_eq!(origin.received()[0].body.len() as u64, BODY);
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes more after a body of {BODY}");
    let record = gateway.record(|record| record["path"] == "/large");
    assert_eq!(record["bytes_in"], BODY);
}

#[test]
fn a_client_may_send_its_request_byte_by_byte() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let raw = "POST /slow HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
               3\r\nabc\r\n0\r\n\r\n";
    client.send(&raw[..1]);
    for byte in raw[1..].bytes() {
        // Each is sent alone: the connection is without delay.
        client.send_more([byte]);
    }
    assert_eq!(client.read().json()["body"], "abc");
    assert_eq!(client.get("/next").status, 200);
}

/// The first part of an answer arrives while the origin is still at the second.
#[test]
fn parts_are_passed_on_when_they_come() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::raw(move |_| {
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst".to_vec()),
            Step::WaitFor(opened.clone()),
            Step::Send(b"later".to_vec()),
        ]
    });
    let gateway = gateway(&origin);
    let client = gateway.client();
    let mut stream = client.stream();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .expect("a write");
    let mut seen = Vec::new();
    let mut read_until = |end: &[u8]| {
        use std::io::Read;
        let mut block = [0; 1024];
        while !seen.ends_with(end) {
            let read = stream.read(&mut block).expect("a part");
            assert!(read > 0, "the gateway closed");
            seen.extend(&block[..read]);
        }
    };
    read_until(b"\r\n\r\nfirst");
    gate.open();
    read_until(b"later");
}
