//! Bodies that come in as many pieces as a peer can make of them.

use tollgate_tests::{Gateway, Origin, Step, chunked, guest};

use super::memory::settled;
use super::{answer, assert_body, in_chunks, noise, sized};
use crate::scene::Scene;

/// With a large grant, and time to read what it allows.
fn gateway(origin: &Origin) -> Gateway {
    let scene = Scene::new(origin)
        .plugin(
            "bodies",
            &guest("guest_reach_bodies"),
            "grant.bodies = \"16MiB\"\nlimits = { memory = \"64MiB\", cpu = \"2s\", wall = \"60s\" }",
        )
        .policy("one", "bodies", "config.name = \"one\"")
        .route("one", "/one", &["one"]);
    Gateway::start(&scene.toml())
}

/// The work grows with the bytes, and not with their square.
#[test]
fn single_bytes_are_collected_in_good_time() {
    let body = noise(1 << 20);
    let bytes = chunked(&body.chunks(1).collect::<Vec<_>>());
    let origin = Origin::raw(move |request| {
        if request.method == "GET" {
            return vec![Step::Send(bytes.clone())];
        }
        vec![Step::Send(answer("200 OK", &[], b"taken"))]
    });
    let gateway = gateway(&origin);
    let script = r#"["read"]"#;
    let raw = in_chunks("POST /one", &[("x-one-in", script)], &body, 1);
    let mut client = gateway.client();
    client.send(raw);
    assert_eq!(client.read().text(), "taken");
    assert_body(&origin.request(0).body, &body, "the request");
    client.send(sized("GET /one", &[("x-one-out", script)], b""));
    assert_body(&client.read().body, &body, "the response");
}

/// What is held is what was granted, not a multiple of it for each piece.
#[test]
fn single_bytes_are_held_as_bytes() {
    let body = noise(1 << 20);
    let origin = Origin::fixed(answer("200 OK", &[], b"taken"));
    let gateway = gateway(&origin);
    let script = [("x-one-in", r#"["must-read"]"#)];
    // What a first body costs once is not counted.
    assert_eq!(
        gateway.request(sized("POST /one", &script, &body)).status,
        200
    );
    let before = settled(&gateway);
    let raw = in_chunks("POST /one", &script, &body, 1);
    let (most, end) = raw.split_at(raw.len() - 5);
    let mut client = gateway.client();
    client.send(most);
    let grown = settled(&gateway).saturating_sub(before);
    assert!(grown < 12 << 20, "{grown} bytes more for {}", body.len());
    client.send_more(end);
    assert_eq!(client.read().text(), "taken");
}
