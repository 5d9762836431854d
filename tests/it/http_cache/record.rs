//! The access log and the metrics of what the cache answers.

use serde_json::{Value, json};
use tollgate_tests::{Gateway, Origin, Response, Step, chunked};

use super::{FRESH, OLD, answer, ask, cached, field, head_of};

/// The record of a response that a client got.
#[track_caller]
fn of(gateway: &Gateway, response: &Response) -> Value {
    let id = response.header("x-request-id").expect("an id");
    gateway.record(|record| record["id"] == id)
}

#[track_caller]
fn assert_ended_well(gateway: &Gateway, response: &Response, verdict: &str) {
    let record = of(gateway, response);
    assert_eq!(record["complete"], true, "{record}");
    assert_eq!(record["failure"], Value::Null, "{record}");
    assert_eq!(record["status"], response.status, "{record}");
    assert_eq!(record["bytes_out"], response.body.len(), "{record}");
    assert_eq!(record["entries"][0]["policy"], "cache");
    assert_eq!(record["entries"][0]["verdict"], verdict, "{record}");
    let asked = matches!(verdict, "miss" | "pass");
    assert_eq!(record["upstream"] != Value::Null, asked, "{record}");
    assert_ne!(record["background"], true, "{record}");
}

fn origin() -> Origin {
    Origin::raw(|request| {
        let tagged = |lines: &str| format!("{lines}etag: \"1\"\r\n");
        if field(request, "if-none-match") == "\"1\"" {
            let head = format!("HTTP/1.1 304 Not Modified\r\n{OLD}etag: \"1\"\r\n\r\n");
            return vec![Step::Send(head.into_bytes())];
        }
        let answer = match request.target.split('?').next().unwrap_or_default() {
            "/chunks" => {
                let plain = chunked(&[b"first,", b"second"]);
                let (first, rest) =
                    plain.split_at(plain.iter().position(|byte| *byte == b'\n').unwrap_or(0) + 1);
                [first, FRESH.as_bytes(), rest].concat()
            }
            "/empty" => answer(&tagged(FRESH), ""),
            "/none" => format!("HTTP/1.1 204 No Content\r\n{FRESH}\r\n").into_bytes(),
            "/old" => answer(&tagged(OLD), "body"),
            "/private" => answer("cache-control: private\r\n", "body"),
            "/large" => answer(&tagged(FRESH), &"x".repeat(3 << 20)),
            _ => answer(&tagged(FRESH), "body"),
        };
        vec![Step::Send(match request.method.as_str() {
            "HEAD" => head_of(&answer),
            _ => answer,
        })]
    })
}

#[test]
fn answers_of_the_cache_end_well() {
    let origin = origin();
    let gateway = Gateway::start(&cached(&origin).toml());
    for path in ["/length", "/chunks", "/empty", "/none", "/large"] {
        let miss = gateway.get(path);
        assert!(miss.complete && miss.status < 300, "{path}");
        assert_ended_well(&gateway, &miss, "miss");
        let hit = gateway.get(path);
        assert_eq!(hit.body, miss.body, "{path}");
        assert_ended_well(&gateway, &hit, "hit");
        let head = ask(&gateway, "HEAD", "test.example", path);
        assert_ended_well(&gateway, &head, "hit");
    }
    let part = gateway.get_with("/large", &[("range", "bytes=5-1000004")]);
    assert_eq!((part.status, part.body.len()), (206, 1_000_000));
    assert_ended_well(&gateway, &part, "hit");
    for path in ["/length", "/empty"] {
        let not = gateway.get_with(path, &[("if-none-match", "\"1\"")]);
        assert_eq!(not.status, 304);
        assert_ended_well(&gateway, &not, "hit");
    }
    let out = gateway.get_with("/length", &[("range", "bytes=9-")]);
    assert_eq!(out.status, 416);
    assert_ended_well(&gateway, &out, "hit");
    let only = [("cache-control", "only-if-cached")];
    assert_eq!(gateway.get_with("/nothing", &only).status, 504);
    let record = gateway.record(|record| record["status"] == 504);
    assert_eq!(record["complete"], true, "{record}");
}

#[test]
fn what_passes_and_what_is_validated_ends_well() {
    let origin = origin();
    let gateway = Gateway::start(&cached(&origin).toml());
    for _ in 0..2 {
        assert_ended_well(&gateway, &gateway.get("/private"), "miss");
        // The first is stored, those after it validate that.
        assert_ended_well(&gateway, &gateway.get("/old"), "miss");
        let not = gateway.get_with("/old", &[("if-none-match", "\"1\"")]);
        assert_eq!(not.status, 304);
        assert_ended_well(&gateway, &not, "miss");
        let put = ask(&gateway, "PUT", "test.example", "/put");
        assert_ended_well(&gateway, &put, "pass");
    }
    let head = ask(&gateway, "HEAD", "test.example", "/head");
    assert_ended_well(&gateway, &head, "pass");
    // A miss whose client has what comes: the origin's 200 is a 304 for it.
    let miss = gateway.get_with("/length", &[("if-none-match", "\"1\"")]);
    assert_eq!(miss.status, 304);
    assert_ended_well(&gateway, &miss, "miss");
    let large = gateway.get_with("/large", &[("range", "bytes=0-9")]);
    assert_eq!((large.status, large.body.len()), (206, 10));
    assert_ended_well(&gateway, &large, "miss");
    let requests = gateway.metric("tollgate_requests_total", &[("route", "all")]);
    assert_eq!(requests, 11.0);
    assert_eq!(
        json!(gateway.metric("tollgate_requests_in_flight", &[])),
        json!(0.0)
    );
}

/// Of a connection that is kept, the next request finds the answer stored that the last one read.
#[test]
fn who_has_read_an_answer_finds_it_stored() {
    let origin = origin();
    let gateway = Gateway::start(&cached(&origin).toml());
    let mut client = gateway.client();
    for number in 0..100 {
        for kind in ["length", "large"] {
            if kind == "large" && number % 10 != 0 {
                continue;
            }
            let path = format!("/{kind}?{number}");
            let verdicts = ["miss", "hit"].map(|verdict| {
                let response = client.get(&path);
                assert!(response.complete);
                (verdict, super::said(&response))
            });
            assert!(verdicts[1].1.contains("hit"), "{path}: {verdicts:?}");
        }
    }
    let bad = gateway
        .records()
        .into_iter()
        .find(|record| record["complete"] != true);
    assert_eq!(bad, None);
}
