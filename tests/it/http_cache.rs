//! The HTTP cache through real connections, with the bundled policy `http-cache` in the chain.
//!
//! Its rules have unit tests; these are about what only the whole shows. Nothing waits for a response
//! to become old: the origin sends it old, with `age`.

mod again;
mod broken;
mod callers;
mod chain;
mod identity;
mod leavers;
mod memory;
mod purge;
mod record;
mod routes;
mod rules;
mod stale;
mod together;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{Gateway, Origin, Request, Response, Step, read_response};

use crate::scene::Scene;

const FRESH: &str = "cache-control: max-age=600\r\n";
/// Stale when it comes.
const OLD: &str = "cache-control: max-age=60\r\nage: 100\r\n";
/// Stale when it comes, and good while another is fetched.
const WHILE_REVALIDATED: &str =
    "cache-control: max-age=60, stale-while-revalidate=600\r\nage: 100\r\n";
/// Stale when it comes, and good where the upstream fails.
const IF_ERROR: &str = "cache-control: max-age=60, stale-if-error=600\r\nage: 100\r\n";

/// The policy `cache`, by RFC 9111, on all paths.
fn cached(origin: &Origin) -> Scene {
    patient(Scene::new(origin)).policy("cache", "http-cache", "")
}

/// With bounds of the bundled plugins that no call meets, however busy the machine is.
fn patient(scene: Scene) -> Scene {
    let limits = "limits = { cpu = \"5s\", wall = \"20s\" }";
    scene
        .with(&format!("[plugins.http-cache]\n{limits}"))
        .with(&format!("[plugins.headers]\n{limits}"))
}

/// A 200 with these lines, each with its end, and this body.
fn answer(lines: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{lines}content-length: {length}\r\n\r\n{body}").into_bytes()
}

fn head_of(answer: &[u8]) -> Vec<u8> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    answer[..end.map_or(answer.len(), |end| end + 4)].to_vec()
}

/// Answers each request with these lines, and with its number, from 1, as the body.
fn numbered(lines: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::raw(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = answer(lines, &number.to_string());
        vec![Step::Send(match request.method.as_str() {
            "HEAD" => head_of(&answer),
            _ => answer,
        })]
    })
}

/// What the gateway's cache says it did.
#[track_caller]
fn said(response: &Response) -> String {
    let said = response.header("cache-status");
    said.unwrap_or_else(|| panic!("no `cache-status` in {response:?}"))
}

#[track_caller]
fn assert_hit(response: &Response, body: &str) {
    assert!(
        said(response).starts_with("tollgate; hit"),
        "no hit: {response:?}"
    );
    assert!(response.complete, "{response:?}");
    assert_eq!(response.text(), body);
}

#[track_caller]
fn assert_miss(response: &Response, body: &str) {
    assert!(
        said(response).starts_with("tollgate; fwd="),
        "no miss: {response:?}"
    );
    assert!(response.complete, "{response:?}");
    assert_eq!(response.text(), body);
}

/// A request of this method without a body, on a connection of its own.
#[track_caller]
fn ask(gateway: &Gateway, method: &str, host: &str, path: &str) -> Response {
    gateway.request(format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
}

/// A client that reads its answer as it comes.
struct Slow {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Slow {
    /// Sends a `GET` with these lines.
    fn get(gateway: &Gateway, path: &str, lines: &str) -> Slow {
        let mut stream = gateway.connect();
        let head = format!("GET {path} HTTP/1.1\r\nhost: test.example\r\n{lines}\r\n");
        stream
            .write_all(head.as_bytes())
            .expect("the gateway reads");
        let seen = Vec::new();
        Slow { stream, seen }
    }

    /// Reads until all of the answer so far ends with this.
    #[track_caller]
    fn read_to(&mut self, end: &str) {
        let mut block = [0; 16 << 10];
        while !self.seen.ends_with(end.as_bytes()) {
            let read = self.stream.read(&mut block).expect("more of the answer");
            assert!(read > 0, "the answer ends with {:?}", self.text());
            self.seen.extend_from_slice(&block[..read]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads the rest.
    fn finish(self) -> Response {
        read_response(&mut self.seen.as_slice().chain(&self.stream), "GET")
    }
}

/// Waits until so many requests are at work in the gateway.
#[track_caller]
fn wait_for_requests(gateway: &Gateway, count: usize) {
    tollgate_tests::eventually(&format!("{count} requests in flight"), || {
        let now = gateway.metric("tollgate_requests_in_flight", &[]);
        (now == count as f64).then_some(())
    });
}

/// How often a policy's plugin was called on this side.
fn calls(gateway: &Gateway, policy: &str, side: &str) -> f64 {
    let labels = [("policy", policy), ("side", side)];
    gateway.metric("tollgate_plugin_calls_total", &labels)
}

/// The value of a field of the request, or nothing.
fn field(request: &Request, name: &str) -> String {
    request.header(name).unwrap_or_default()
}
