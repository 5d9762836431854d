//! What all bodies that are held for plugins take together (`runtime.bodies`).

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use tollgate_tests::{Gateway, Origin, eventually, guest, ok};

use super::coded::zeros;
use super::{head, sized, told_out};
use crate::reach::{asking, told};
use crate::scene::Scene;

const MIB: usize = 1 << 20;
/// All that may be held: the least that can be written.
const ALL: usize = 16 * MIB;
/// What one plugin may hold of one body.
const GRANT: usize = 8 * MIB;
/// What a plugin answers itself, in bytes.
const LARGE: usize = 700_000;
/// What the process may take beside what it counts: buffers of connections, copies in guests' memories.
const BESIDE: u64 = 48 << 20;

fn scene(origin: &Origin) -> Scene {
    Scene::new(origin)
        .with("[runtime]\nbodies = \"16MiB\"\nworkers = 2\n[upstreams.users]")
        .with(&format!("servers = [\"{}\"]", origin.url()))
        .plugin(
            "bodies",
            &guest("guest_reach_bodies"),
            "grant.bodies = \"8MiB\"\nlimits = { wall = \"60s\", cpu = \"2s\", memory = \"64MiB\" }",
        )
        .plugin("reach", &guest("guest_reach"), "grant = { fetch = [\"users\"], kv = true }")
        .policy(
            "large",
            "mock",
            &format!("config.body = \"{}\"", "m".repeat(LARGE)),
        )
        .policy("one", "bodies", "config.name = \"one\"")
        .policy("reach", "reach", "")
        .route("one", "/one", &["one"])
        .route("reach", "/reach", &["reach"])
        .route("large", "/large", &["large"])
        .route("plain", "/plain", &[])
}

/// Begins an upload of this many bytes, and sends all but the last one.
fn begun(gateway: &Gateway, bytes: usize, chunked: bool) -> TcpStream {
    let mut stream = gateway.connect();
    let head = head("POST /one", &[("x-one-in", "[\"read\"]")]);
    let framing = if chunked {
        format!("transfer-encoding: chunked\r\n\r\n{bytes:x}\r\n")
    } else {
        format!("content-length: {bytes}\r\n\r\n")
    };
    let raw = [head.as_bytes(), framing.as_bytes(), &vec![b'u'; bytes - 1]].concat();
    // One that is refused is not read to its end.
    let _ = stream.write_all(&raw);
    stream
}

/// The status of its answer.
fn status(stream: &mut TcpStream) -> String {
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

fn held(gateway: &Gateway) -> f64 {
    gateway.metric("tollgate_held_body_bytes", &[])
}

#[track_caller]
fn wait_for_held(gateway: &Gateway, fits: impl Fn(f64) -> bool) {
    eventually("what is held", || fits(held(gateway)).then_some(()));
}

/// The last request was refused for want of room, and everything says so.
#[track_caller]
fn assert_told(gateway: &Gateway, path: &str) {
    let record = gateway
        .record(|record| record["path"] == path && record["failure"]["kind"] == "bodies-full");
    assert_eq!(record["failure"]["blame"], "gateway", "{record}");
    assert_eq!(record["status"], 503, "{record}");
}

#[test]
fn uploads_beyond_are_answered_503_and_memory_stays() {
    let origin = Origin::fixed(ok("text/plain", "fine"));
    let gateway = Gateway::start(&scene(&origin).toml());
    gateway.wait_for_event(&["WARN", "`runtime.bodies`", "32768MiB", "16MiB"]);
    for chunked in [false, true] {
        let before = gateway.resident();
        let mut waiting: Vec<TcpStream> = (0..2)
            .map(|_| begun(&gateway, GRANT - 4_096, chunked))
            .collect();
        // All of both: what came of a third could else leave no room for the rest of the second.
        let all_but_last = (2 * (GRANT - 4_096 - 1)) as f64;
        wait_for_held(&gateway, |held| held >= all_but_last);
        for _ in 0..12 {
            assert_eq!(status(&mut begun(&gateway, GRANT - 4_096, chunked)), "503");
            assert!(held(&gateway) <= ALL as f64);
        }
        assert_told(&gateway, "/one");
        let now = gateway.resident();
        assert!(
            now < before + ALL as u64 + BESIDE,
            "{now}, and {before} before"
        );
        // What is not held for a plugin is served as ever.
        assert_eq!(
            gateway
                .request(sized("POST /plain", &[], &[b'p'; 100_000]))
                .status,
            200
        );
        // They were not forgotten, and when they have gone there is room again.
        for stream in &mut waiting {
            let end: &[u8] = if chunked { b"u\r\n0\r\n\r\n" } else { b"u" };
            stream.write_all(end).expect("a write");
            assert_eq!(status(stream), "200");
        }
        wait_for_held(&gateway, |held| held == 0.0);
        let mut next = begun(&gateway, GRANT - 4_096, chunked);
        next.write_all(if chunked { b"u\r\n0\r\n\r\n" } else { b"u" })
            .expect("a write");
        assert_eq!(status(&mut next), "200");
    }
    assert!(gateway.metric("tollgate_requests_total", &[("status", "5xx")]) >= 24.0);
}

/// The client takes its time, and what it has not taken is held.
#[test]
fn answers_count_until_their_client_has_them() {
    let body = vec![b'a'; GRANT - 4_096];
    let origin = Origin::fixed(ok("text/plain", &body));
    let gateway = Gateway::start(&scene(&origin).toml());
    let raw = head("GET /one", &[("x-one-out", "[\"must-read\"]")]) + "\r\n";
    let mut slow: Vec<TcpStream> = (0..2).map(|_| gateway.connect()).collect();
    for stream in &mut slow {
        stream.write_all(raw.as_bytes()).expect("a write");
        assert_eq!(status(stream), "200");
    }
    assert!(
        held(&gateway) > 1.9 * body.len() as f64,
        "{}",
        held(&gateway)
    );
    let refused = gateway.request(&raw);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.headers("retry-after"), ["1"]);
    assert_told(&gateway, "/one");
    let faults = [("kind", "bodies-full")];
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &faults), 1.0);
    for mut stream in slow {
        let mut rest = vec![0; body.len()];
        stream.read_exact(&mut rest).expect("the rest");
    }
    wait_for_held(&gateway, |held| held == 0.0);
    assert_eq!(gateway.request(&raw).status, 200);
}

/// What a plugin puts in the place of a body, what is inflated for it, and what it fetches.
#[test]
fn whatever_is_held_for_a_plugin_counts() {
    let origin = Origin::fixed(ok("text/plain", vec![b'f'; MIB - 4_096]));
    let gateway = Gateway::start(&scene(&origin).toml());
    let replaced = head("GET /one", &[("x-one-out", "[{\"fill\":4194304}]")]) + "\r\n";
    let zeros = zeros(6 * MIB).gzip();
    let coding = [
        ("x-one-in", "[\"must-read\"]"),
        ("content-encoding", "gzip"),
    ];
    let inflated = sized("POST /one", &coding, &zeros);
    let steps = json!([{ "fetch": { "upstream": "users" } }]);
    let fetched = || told(&gateway.request(asking("/reach", &steps, ""))).remove(0);
    // There is room for all of it.
    assert_eq!(told_out(&gateway.request(&replaced)), ["replaced"]);
    assert_eq!(gateway.request(&inflated).status, 200);
    assert_eq!(fetched()["length"], MIB - 4_096);
    wait_for_held(&gateway, |held| held == 0.0);
    // And now there is half a megabyte.
    let full: Vec<TcpStream> = [GRANT, GRANT - MIB / 2]
        .map(|bytes| begun(&gateway, bytes, false))
        .into();
    wait_for_held(&gateway, |held| held > (ALL - MIB) as f64);
    let told = told_out(&gateway.request(&replaced));
    assert_eq!(told, ["failed the gateway holds as many bodies as it may"]);
    assert_eq!(gateway.request(&inflated).status, 503);
    assert_told(&gateway, "/one");
    let failed = fetched();
    let text = "the gateway holds as many bodies as it may";
    assert_eq!(failed, json!({ "failed": text }));
    // A plugin's own answer, too.
    let answered = || gateway.get("/large");
    assert_eq!(answered().status, 503);
    assert_told(&gateway, "/large");
    drop(full);
    wait_for_held(&gateway, |held| held == 0.0);
    assert_eq!(gateway.request(&inflated).status, 200);
    assert_eq!(answered().text().len(), LARGE);
}

/// It is the process's, and a reload does not make another.
#[test]
fn the_bound_counts_from_the_next_start() {
    let origin = Origin::fixed(ok("text/plain", "fine"));
    let gateway = Gateway::start(&scene(&origin).toml());
    gateway.reload(&scene(&origin).toml().replace("\"16MiB\"", "\"32MiB\""));
    gateway.wait_for_event(&["WARN", "`runtime.bodies` takes effect only after a restart"]);
}
