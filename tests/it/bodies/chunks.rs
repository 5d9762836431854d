//! Bodies that come in as many pieces as a peer can make of them.

use tollgate_tests::{Gateway, Origin, Step, chunked, guest};

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

/// The memory that the gateway took at its most, in bytes.
fn peak(gateway: &Gateway) -> usize {
    let path = format!("/proc/{}/status", gateway.pid());
    let status = std::fs::read_to_string(path).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<usize>().ok())
        .expect("a number")
        * 1024
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
    let body = noise(300_000);
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    // What a first body costs once is not counted.
    let script = [("x-one-in", r#"["must-read", {"respond": 200}]"#)];
    assert_eq!(
        gateway.request(sized("POST /one", &script, &body)).status,
        200
    );
    let before = peak(&gateway);
    let raw = in_chunks("POST /one", &script, &body, 1);
    assert_eq!(gateway.request(raw).status, 200);
    let grown = peak(&gateway).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more for {}", body.len());
}
