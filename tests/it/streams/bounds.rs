//! What bodies that go through plugins may take, and who lets them.

use tollgate_tests::{Gate, Gateway, Origin, Step, check, eventually, guest};

use super::{Reader, chunk, get, head, scene, streams};
use crate::scene::Scene;

#[test]
fn a_plugin_that_reads_bodies_needs_the_grant() {
    let scene = Scene::unserved()
        .plugin("streams", &guest("guest_streams"), "")
        .policy("one", "streams", "config.name = \"one\"");
    let refused = check(&scene.toml());
    assert!(!refused.ok);
    for interface in ["request-stream", "response-stream"] {
        let text = format!(
            "it exports `{interface}`, which is not granted; add `grant = {{ streams = true }}` to \
             the plugin"
        );
        assert!(refused.stderr.contains(&text), "{}", refused.stderr);
    }
}

/// A stream that goes on until the gate opens.
fn endless(gate: &Gate) -> Origin {
    let opened = gate.clone();
    Origin::raw(move |_| {
        vec![
            Step::Send(head(&[])),
            Step::Send(chunk(b"first")),
            Step::WaitFor(opened.clone()),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ]
    })
}

/// However many bodies last, calls of plugins that end find instances.
#[test]
fn streams_take_a_quarter_of_all_calls() {
    let gate = Gate::new();
    let origin = endless(&gate);
    let toml = scene(&origin, "")
        .policy(
            "mark",
            "headers",
            "config = { response.set = { x-mark = \"out\" } }",
        )
        .route("mark", "/mark", &["mark", "one"])
        .with("[runtime]\nplugin-calls = 8")
        .toml();
    let gateway = Gateway::start(&toml);
    let request = get("/one", &[("x-one-out", "shout")]);
    let mut readers = Vec::new();
    for _ in 0..2 {
        let (mut reader, _) = Reader::ask(&gateway, &request);
        assert_eq!(reader.chunk(), b"FIRST");
        readers.push(reader);
    }
    assert_eq!(streams(&gateway), 2.0);
    let response = gateway.request(&request);
    assert_eq!(
        (response.status, response.header("retry-after")),
        (503, Some("1".into()))
    );
    let record = gateway.record(|record| record["status"] == 503);
    assert_eq!(record["entries"][0]["fault"], "busy", "{record}");
    // The body goes past the plugin, and others are called.
    let (mut past, head) = Reader::ask(&gateway, &get("/mark", &[]));
    assert!(head.contains("x-mark: out"), "{head}");
    assert_eq!(past.chunk(), b"first");

    drop(readers.pop());
    eventually("a stream has ended", || {
        (streams(&gateway) == 1.0).then_some(())
    });
    let (mut reader, _) = Reader::ask(&gateway, &request);
    assert_eq!(reader.chunk(), b"FIRST");
    gate.open();
    assert_eq!(reader.chunk(), b"");
}

/// A stream counts among the calls of its plugin for as long as it lasts.
#[test]
fn streams_count_in_the_concurrency_of_their_plugin() {
    let gate = Gate::new();
    let origin = endless(&gate);
    let limits = "limits = { concurrency = 1 }";
    let gateway = Gateway::start(&scene(&origin, limits).toml());
    let request = get("/one", &[("x-one-out", "shout")]);
    let (mut reader, _) = Reader::ask(&gateway, &request);
    assert_eq!(reader.chunk(), b"FIRST");
    assert_eq!(gateway.request(&request).status, 503);
    gate.open();
    assert_eq!(reader.chunk(), b"");
    eventually("the instance is free", || {
        (gateway.request(&request).status == 200).then_some(())
    });
}

/// Each piece has the bounds of a call, so that a body may take any time in all.
#[test]
fn the_bounds_are_those_of_each_call() {
    let origin = Origin::raw(|_| {
        let mut steps = vec![Step::Send(head(&[]))];
        steps.extend((0..400).map(|_| Step::Send(chunk(&[b'x'; 65_536]))));
        steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
        steps
    });
    let limits = "limits = { cpu = \"10ms\", wall = \"100ms\" }";
    let gateway = Gateway::start(&scene(&origin, limits).toml());
    let response = gateway.request(get("/one", &[("x-one-out", "swallow")]));
    assert_eq!((response.complete, response.body.len()), (true, 0));
    let labels = [("policy", "one"), ("side", "out")];
    assert!(gateway.metric("tollgate_plugin_calls_total", &labels) > 400.0);
}

/// What a plugin logs in the middle of a body names the request.
#[test]
fn logs_name_the_request() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&scene(&origin, "").toml());
    gateway.request(get("/one", &[("x-one-out", "log")]));
    let id = gateway.record(|record| record["path"] == "/one")["id"].to_string();
    gateway.wait_for_event(&["piece 1", &format!("request={id}")]);
}
