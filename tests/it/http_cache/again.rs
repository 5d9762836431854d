//! Responses that are of no use to a client: the origin is asked again, once, and otherwise.

use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{Gate, Gateway, Origin, Step};

use super::{OLD, answer, assert_hit, cached, field, said};

/// Answers a range with its bytes, and what has none with a head of this length; the body then never
/// comes.
fn endless(lines: &'static str, length: u64, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::raw(move |request| {
        if field(request, "range") == "bytes=-4" {
            let (first, last) = (length - 4, length - 1);
            let range = format!("content-range: bytes {first}-{last}/{length}\r\n");
            let head = format!("HTTP/1.1 206 Partial Content\r\n{lines}{range}");
            let head = format!("{head}content-length: 4\r\n\r\nlast");
            return vec![Step::Send(head.into_bytes())];
        }
        let head = format!("HTTP/1.1 200 OK\r\n{lines}content-length: {length}\r\n\r\n");
        vec![
            Step::Send(head.into_bytes()),
            Step::WaitFor(gate.clone()),
            Step::Close,
        ]
    })
}

/// The end of something long is not waited for through all of it, whether that is going to be stored or not.
#[test]
fn a_range_of_a_cold_cache_is_the_clients_own() {
    for (lines, length) in [
        ("", 40 << 20),
        ("cache-control: max-age=600\r\n", 40 << 20),
        ("cache-control: max-age=600\r\n", 1 << 20),
        ("cache-control: no-store\r\n", 1 << 20),
    ] {
        let gate = Gate::new();
        let origin = endless(lines, length, &gate);
        let gateway = Gateway::start(&cached(&origin).toml());
        for number in 1..=2 {
            let part = gateway.get_with("/a", &[("range", "bytes=-4")]);
            assert_eq!(
                (part.status, part.text()),
                (206, "last".into()),
                "{lines}{length}"
            );
            assert!(part.complete);
            assert_eq!(said(&part), "tollgate; fwd=uri-miss");
            // What is known not to be shared is asked for by its range at once.
            assert!(origin.requests() <= 2 * number, "{}", origin.requests());
        }
        let record = gateway.record(|record| record["path"] == "/a");
        assert_eq!(record["upstream"]["status"], 206, "{record}");
        gate.open();
    }
}

/// RFC 9111, section 4.3.4: a 304 with another entity tag says nothing of what is stored.
#[test]
fn a_304_about_something_else_is_not_believed() {
    let count = AtomicUsize::new(0);
    let origin = Origin::raw(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let bytes = match number {
            0 => answer(&format!("{OLD}etag: \"one\"\r\n"), "one"),
            _ if request.header("if-none-match").is_some() => {
                b"HTTP/1.1 304 Not Modified\r\ncache-control: max-age=600\r\netag: \"two\"\r\n\r\n"
                    .to_vec()
            }
            _ => answer("cache-control: max-age=600\r\netag: \"two\"\r\n", "two"),
        };
        vec![Step::Send(bytes)]
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_eq!(gateway.get("/a").text(), "one");
    let second = gateway.get("/a");
    assert_eq!((second.status, second.text()), (200, "two".into()));
    assert!(
        said(&second).starts_with("tollgate; fwd=stale; ttl="),
        "{second:?}"
    );
    assert_eq!(field(&origin.request(1), "if-none-match"), "\"one\"");
    assert_eq!(field(&origin.request(2), "if-none-match"), "");
    assert_hit(&gateway.get("/a"), "two");
    assert_eq!(origin.requests(), 3);
    let twice = gateway.record(|record| record["upstream"]["status"] == 200);
    assert!(twice["entries"].is_array());
}
