//! Bodies that plugins with the grant read and replace: `bodies` in `wit/host.wit`.
//!
//! The guest does what the headers `x-one-in` and `x-one-out` say (`x-two-...` for the entry `two`) and
//! tells in `x-one-told`; see `tests/guests/reach-bodies`.

mod chains;
mod chunks;
pub mod coded;
mod codings;
mod digests;
mod faults;
mod framing;
mod limits;
mod memory;
mod peers;
mod ranges;
mod streaming;
mod together;

use tollgate_tests::{Gateway, Origin, Request, Response, guest};

use crate::scene::Scene;

/// The grant, in bytes.
const GRANT: usize = 64 << 10;

/// The plugin `bodies`, and its entries `one`, `two` and `open`; the last goes by the name `one` and
/// fails open. Each has a route of its name, and `both` goes through two.
fn scene(origin: &Origin, limits: &str) -> Scene {
    let name = |name: &str| format!("config.name = \"{name}\"");
    Scene::new(origin)
        .plugin(
            "bodies",
            &guest("guest_reach_bodies"),
            &format!("grant.bodies = \"64KiB\"\n{limits}"),
        )
        .policy("one", "bodies", &name("one"))
        .policy("two", "bodies", &name("two"))
        .policy(
            "open",
            "bodies",
            &format!("{}\non-fault = \"open\"", name("one")),
        )
        .policy(
            "mark",
            "headers",
            "config = { request.set = { x-mark = \"in\" }, response.set = { x-mark = \"out\" } }",
        )
        .route("one", "/one", &["one"])
        .route("both", "/both", &["one", "two"])
        .route("open", "/open", &["open"])
        .route("mark", "/mark", &["mark"])
        .route("plain", "/plain", &[])
}

fn gateway(origin: &Origin) -> Gateway {
    Gateway::start(&scene(origin, "").toml())
}

/// The head of a request, without the empty line.
fn head(first: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{first} HTTP/1.1\r\nhost: test.example\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

/// A request with the length of its body.
fn sized(first: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let head = head(first, headers);
    let head = format!("{head}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A request in chunks of this many bytes.
fn in_chunks(first: &str, headers: &[(&str, &str)], body: &[u8], size: usize) -> Vec<u8> {
    let head = head(first, headers);
    let mut raw = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        raw.extend(format!("{:x}\r\n", chunk.len()).bytes());
        raw.extend(chunk);
        raw.extend(b"\r\n");
    }
    raw.extend(b"0\r\n\r\n");
    raw
}

/// An answer of an origin, with the length of its body.
fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let head = format!("{head}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Bytes that do not repeat soon, so that a piece that is lost, doubled or moved shows.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Asserts that a body is this one, without printing both.
#[track_caller]
fn assert_body(body: &[u8], expected: &[u8], what: &str) {
    let same = body
        .iter()
        .zip(expected)
        .take_while(|(a, b)| a == b)
        .count();
    assert!(
        body == expected,
        "{what}: {} bytes in place of {}, the same up to {same}",
        body.len(),
        expected.len()
    );
}

/// Asserts the framing of a body that is wholly known: its length, once, and nothing else.
#[track_caller]
fn assert_length(lengths: Vec<&[u8]>, codings: Vec<&[u8]>, body: &[u8], what: &str) {
    let length = body.len().to_string();
    assert_eq!(lengths, [length.as_bytes()], "{what}");
    assert!(codings.is_empty(), "{what}: {codings:?}");
}

#[track_caller]
fn assert_request_length(request: &Request) {
    assert!(request.complete, "{request:?}");
    let named = |name| request.values(name);
    let what = "the request at the origin";
    assert_length(
        named("content-length"),
        named("transfer-encoding"),
        &request.body,
        what,
    );
}

#[track_caller]
fn assert_response_length(response: &Response) {
    assert!(response.complete, "{response:?}");
    let named = |name| response.values(name);
    let what = "the response at the client";
    assert_length(
        named("content-length"),
        named("transfer-encoding"),
        &response.body,
        what,
    );
}

/// What the entry `one` told on the way in, as the origin saw it.
fn told_in(request: &Request) -> Vec<String> {
    let values = request.values("x-one-told").into_iter();
    values.map(tollgate_tests::latin1).collect()
}

/// What the entry `one` told on the way out.
fn told_out(response: &Response) -> Vec<String> {
    response.headers("x-one-told")
}

/// Asserts what a record says of a failure.
#[track_caller]
fn assert_failed(gateway: &Gateway, path: &str, status: u16, blame: &str, kind: &str) {
    let record = gateway.record(|record| record["path"] == path && !record["failure"].is_null());
    let failure = &record["failure"];
    assert_eq!(
        (
            record["status"].as_u64(),
            failure["blame"].as_str(),
            failure["kind"].as_str()
        ),
        (Some(status.into()), Some(blame), Some(kind)),
        "{record}"
    );
}
