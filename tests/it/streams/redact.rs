//! The bundled plugin `redact`, in the gateway.

use tollgate_tests::{Gate, Gateway, Origin, Step, ok};

use super::{Reader, chunk, get, head, post};
use crate::scene::Scene;

fn gateway(origin: &Origin, config: &str) -> Gateway {
    let scene = Scene::new(origin)
        .with("[plugins.redact]\ngrant.streams = true")
        .policy("redact", "redact", config);
    Gateway::start(&scene.toml())
}

const CARDS: &str = r#"
[policies.redact.config]
bodies = ["request", "response"]
[[policies.redact.config.rules]]
pattern = '\b\d{4}(?:[ -]?\d{4}){3}\b'
replace-with = "<card>"
[[policies.redact.config.rules]]
pattern = 'token=\S+'
longest = 256
"#;

/// Sends a body cut at this place, and the rest once the client had the time to get the first part.
#[test]
fn a_match_is_found_wherever_the_body_is_cut() {
    let body = b"pay with 4000 1234 5678 9010, token=abc. Not 40001234567890101.";
    let expected = "pay with <card>, [redacted] Not 40001234567890101.";
    for at in 0..body.len() {
        let (one, other) = body.split_at(at);
        let (one, other) = (one.to_vec(), other.to_vec());
        let origin = Origin::raw(move |_| {
            let chunks = [&one, &other].into_iter().filter(|part| !part.is_empty());
            let mut steps = vec![Step::Send(head(&[("content-type", "text/plain")]))];
            steps.extend(chunks.map(|part| Step::Send(chunk(part))));
            steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
            steps
        });
        let gateway = gateway(&origin, CARDS);
        assert_eq!(gateway.request(get("/a", &[])).text(), expected, "{at}");
        let parts: Vec<&[u8]> = [&body[..at], &body[at..]]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        gateway.request(post("/a", &[], &parts));
        assert_eq!(origin.request(1).body, expected.as_bytes(), "{at}");
    }
}

#[test]
fn events_are_redacted_one_by_one() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::raw(move |_| {
        vec![
            Step::Send(head(&[("content-type", "text/event-stream")])),
            Step::Send(chunk(b"data: token=abc\n")),
            Step::Send(chunk(b"\n")),
            Step::WaitFor(opened.clone()),
            Step::Send(chunk(b"data: 4000123456789010\r\n\r\n")),
            Step::WaitFor(Gate::new()),
        ]
    });
    let gateway = gateway(&origin, CARDS);
    let (mut reader, _) = Reader::ask(&gateway, &get("/a", &[]));
    assert_eq!(reader.until(b"\n\n"), b"data: [redacted]\n\n");
    gate.open();
    assert_eq!(reader.until(b"\r\n\r\n"), b"data: <card>\r\n\r\n");
}

/// Within the bounds that a plugin has by default.
#[test]
fn large_bodies_go_through() {
    let line = b"4000 1234 5678 9010 is a card, and this is not: 4000 1234 \xC3\xA4\n";
    let body = line.repeat(40_000);
    let origin = Origin::fixed(ok("text/plain", &body));
    let gateway = gateway(&origin, CARDS);
    let response = gateway.request(get("/a", &[]));
    assert!(response.complete, "{}", gateway.stderr());
    let expected = "<card> is a card, and this is not: 4000 1234 ä\n".repeat(40_000);
    assert!(response.body == expected.as_bytes());
}

#[test]
fn other_types_go_past() {
    let origin = Origin::fixed(ok("image/png", "4000 1234 5678 9010"));
    let gateway = gateway(&origin, CARDS);
    let response = gateway.request(get("/a", &[]));
    assert_eq!(response.text(), "4000 1234 5678 9010");
    assert!(response.header("content-length").is_some());
}
