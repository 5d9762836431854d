//! Bodies that go through plugins piece by piece: `request-stream` and `response-stream` in
//! `wit/hooks.wit`.
//!
//! The guest does what the headers `x-one-in` and `x-one-out` say (`x-two-...` for the entry `two`); see
//! `tests/guests/streams`.

mod bounds;
mod chains;
mod codings;
mod faults;
mod flow;
mod heads;
mod redact;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use tollgate_tests::{Gateway, Origin, guest};

use crate::scene::Scene;

/// The plugin `streams`, and its entries `one`, `two` and `open`; the last goes by the name `one` and fails
/// open. Each has a route of its name, and `both` goes through two.
fn scene(origin: &Origin, limits: &str) -> Scene {
    let name = |name: &str| format!("config.name = \"{name}\"");
    Scene::new(origin)
        .plugin(
            "streams",
            &guest("guest_streams"),
            &format!("grant.streams = true\n{limits}"),
        )
        .policy("one", "streams", &name("one"))
        .policy("two", "streams", &name("two"))
        .policy(
            "open",
            "streams",
            &format!("{}\non-fault = \"open\"", name("one")),
        )
        .route("one", "/one", &["one"])
        .route("both", "/both", &["one", "two"])
        .route("open", "/open", &["open"])
        .route("plain", "/plain", &[])
}

fn gateway(origin: &Origin) -> Gateway {
    Gateway::start(&scene(origin, "").toml())
}

/// A request without a body.
fn get(path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: test.example\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// A request in chunks.
fn post(path: &str, headers: &[(&str, &str)], chunks: &[&[u8]]) -> Vec<u8> {
    let mut raw = get(path, headers).replacen("GET", "POST", 1).into_bytes();
    raw.truncate(raw.len() - 2);
    raw.extend(b"transfer-encoding: chunked\r\n\r\n");
    for piece in chunks {
        raw.extend(chunk(piece));
    }
    raw.extend(b"0\r\n\r\n");
    raw
}

/// One chunk of a body.
fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// The head of an answer in chunks.
fn head(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n".to_owned();
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    (head + "\r\n").into_bytes()
}

/// How many bodies go through plugins now.
fn streams(gateway: &Gateway) -> f64 {
    gateway.metric("tollgate_streams", &[])
}

/// A client that reads an answer in chunks as it comes.
struct Reader(BufReader<TcpStream>);

impl Reader {
    /// Asks, and reads the head of the answer; answers it with the reader.
    fn ask(gateway: &Gateway, request: &str) -> (Reader, String) {
        let mut stream = gateway.connect();
        stream.write_all(request.as_bytes()).expect("a write");
        let mut reader = Reader(BufReader::new(stream));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&reader.line());
        }
        (reader, head)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the connection ended");
        line
    }

    /// The next chunk; waits for it.
    fn chunk(&mut self) -> Vec<u8> {
        let line = self.line();
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
        let mut data = vec![0; size + 2];
        std::io::Read::read_exact(&mut self.0, &mut data).expect("a chunk");
        data.truncate(size);
        data
    }

    /// Reads on until this has come.
    fn until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut seen = Vec::new();
        while !seen.ends_with(end) {
            seen.extend(self.chunk());
        }
        seen
    }
}
