//! Bodies that go through several plugins, the cache, and plugins that read bodies whole.

use tollgate_tests::{Gateway, Origin, guest, ok};

use super::{gateway, get, post, scene};
use crate::scene::Scene;

/// In the order of the onion: on the way in as written, on the way out in reverse.
#[test]
fn a_body_goes_through_one_plugin_after_the_other() {
    let origin = Origin::fixed(ok("text/plain", "four"));
    let gateway = gateway(&origin);
    let headers = [
        ("x-one-in", "lengths"),
        ("x-two-in", "count"),
        ("x-one-out", "count"),
        ("x-two-out", "lengths"),
    ];
    let response = gateway.request(post("/both", &headers, &[b"seven.."]));
    assert_eq!(response.status, 200);
    let received = String::from_utf8(origin.request(0).body).expect("text");
    // What `two` counts is what came out of `one`: "7,0!", or "7!".
    let (body, seen) = received.split_once('|').expect("a count");
    assert_eq!(seen, format!("{} bytes in this instance", body.len()));
    assert!(body.starts_with('7') && body.ends_with('!'), "{received}");
    let text = response.text();
    let (body, seen) = text.split_once('|').expect("a count");
    assert_eq!(seen, format!("{} bytes in this instance", body.len()));
    assert!(body.starts_with('4') && body.ends_with('!'), "{text}");
}

fn with_bodies(origin: &Origin) -> Scene {
    scene(origin, "")
        .plugin(
            "bodies",
            &guest("guest_reach_bodies"),
            "grant.bodies = \"64KiB\"",
        )
        .policy("whole", "bodies", "config.name = \"whole\"")
        .route("in", "/in", &["one", "whole"])
        .route("out", "/out", &["whole", "one"])
}

/// A plugin that reads bodies whole reads what came out of those before it.
#[test]
fn whole_bodies_are_those_that_went_through() {
    let origin = Origin::fixed(ok("text/plain", "four"));
    let gateway = Gateway::start(&with_bodies(&origin).toml());
    let headers = [("x-one-in", "shout"), ("x-whole-in", r#"["read"]"#)];
    let response = gateway.request(post("/in", &headers, &[b"five.", b"six..."]));
    assert_eq!(response.status, 200);
    let received = origin.request(0);
    assert_eq!(
        received.header("x-whole-told").as_deref(),
        Some("11:FIVE.SIX...")
    );
    assert_eq!(received.body, b"FIVE.SIX...");

    let headers = [("x-one-out", "shout"), ("x-whole-out", r#"["read"]"#)];
    let response = gateway.request(get("/out", &headers));
    assert_eq!(response.header("x-whole-told").as_deref(), Some("4:FOUR"));
    assert_eq!(response.text(), "FOUR");

    // One that replaces them has its own go through.
    let replace = r#"[{"replace": "other"}]"#;
    let headers = [("x-one-out", "shout"), ("x-whole-out", replace)];
    assert_eq!(gateway.request(get("/in", &headers)).text(), "OTHER");
    let headers = [("x-one-in", "shout"), ("x-whole-in", replace)];
    gateway.request(post("/out", &headers, &[b"body"]));
    assert_eq!(origin.request(origin.requests() - 1).body, b"OTHER");
}

/// A plugin's fault while another waits for the whole body is not the client's.
#[test]
fn a_fault_before_a_whole_body_is_the_plugins() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&with_bodies(&origin).toml());
    let headers = [("x-one-in", "trap 1"), ("x-whole-in", r#"["read"]"#)];
    let response = gateway.request(post("/in", &headers, &[b"body"]));
    assert_eq!(response.status, 500);
    assert_eq!(origin.requests(), 0);
    let record = gateway.record(|record| record["path"] == "/in");
    assert_eq!(record["failure"]["kind"], "plugin-fault", "{record}");
}

/// The cache keeps what came from inside it, and what broke off is not kept.
#[test]
fn the_cache_keeps_what_went_through() {
    let origin = Origin::fixed(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\netag: \"strong\"\r\naccept-ranges: bytes\r\n\
         content-length: 4\r\n\r\nbody",
    );
    let toml = scene(&origin, "")
        .policy("cache", "http-cache", "")
        .route("inside", "/inside", &["cache", "one"])
        .route("outside", "/outside", &["one", "cache"])
        .toml();
    let gateway = Gateway::start(&toml);
    let broken = gateway.request(get("/inside", &[("x-one-out", "trap-last")]));
    assert!(!broken.complete);
    // Whom the cache tells of it knows whose fault it was.
    let record = gateway.record(|record| record["path"] == "/inside");
    assert_eq!(record["failure"]["kind"], "plugin-fault", "{record}");
    for requests in [2, 2] {
        let response = gateway.request(get("/inside", &[("x-one-out", "count")]));
        assert_eq!(response.text(), "body|4 bytes in this instance");
        assert_eq!(origin.requests(), requests);
    }
    // Of what is kept transformed a part can be had.
    let part = [("range", "bytes=0-3")];
    let response = gateway.request(get("/inside", &part));
    assert_eq!((response.status, response.text()), (206, "body".to_owned()));

    for _ in 0..2 {
        // What is kept goes through anew, and whole.
        let headers = [("x-one-out", "shout"), part[0]];
        let response = gateway.request(get("/outside", &headers));
        assert_eq!((response.status, response.text()), (200, "BODY".to_owned()));
        assert_eq!(origin.requests(), 3);
    }
}

/// An answer of the gateway's own goes through as any other.
#[test]
fn errors_of_the_gateway_go_through() {
    let origin = Origin::raw(|_| vec![tollgate_tests::Step::Reset]);
    let gateway = gateway(&origin);
    let response = gateway.request(get("/one", &[("x-one-out", "shout")]));
    assert_eq!(response.status, 502);
    assert!(
        response.text().contains("BAD GATEWAY"),
        "{}",
        response.text()
    );
}
