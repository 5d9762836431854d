//! Peers that stall or break off while a plugin waits for their body.

use std::net::Shutdown;

use tollgate_tests::{Client, Gate, Gateway, Origin, Step, eventually, ok};

use super::{assert_failed, gateway, head, scene, sized, told_in, told_out};

const MUST_READ: &str = r#"["must-read"]"#;

/// One instance at a time, so that one which is not given back is missed.
fn alone(origin: &Origin, wall: &str) -> Gateway {
    let limits = format!("limits = {{ wall = \"{wall}\", concurrency = 1 }}");
    Gateway::start(&scene(origin, &limits).toml())
}

/// The only instance serves again.
#[track_caller]
fn assert_free(gateway: &Gateway) {
    eventually("a free instance", || {
        let script = [("x-one-in", r#"["read"]"#), ("x-one-out", r#"["read"]"#)];
        let response = gateway.request(sized("POST /one", &script, b"next"));
        (response.status == 200).then_some(())
    });
}

#[test]
fn a_client_that_stalls_is_answered_408() {
    let origin = Origin::fixed(ok("text/plain", "fine"));
    let gateway = alone(&origin, "300ms");
    for path in ["/one", "/open"] {
        for part in [
            "content-length: 10\r\n\r\n",
            "content-length: 10\r\n\r\npart",
            "transfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
            "transfer-encoding: chunked\r\n\r\n9\r\npart",
        ] {
            let mut client = gateway.client();
            let head = head(&format!("POST {path}"), &[("x-one-in", MUST_READ)]);
            client.send(format!("{head}{part}"));
            let response = client.read();
            assert_eq!(response.status, 408, "{path} {part:?}: {response:?}");
            assert!(client.closed(), "what comes late is no request");
            assert_eq!(origin.requests(), 0);
        }
        assert_failed(&gateway, path, 408, "client", "client-stalled");
    }
    assert_free(&gateway);
    // The plugin was not called: its body is waited for before.
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &[]), 0.0);
}

#[test]
fn a_client_that_breaks_off_frees_the_instance() {
    let origin = Origin::fixed(ok("text/plain", "fine"));
    let gateway = alone(&origin, "20s");
    for (number, half) in [false, true, false, true].into_iter().enumerate() {
        let path = format!("/one?{number}");
        let mut client = gateway.client();
        let script = if number < 2 { MUST_READ } else { r#"["read"]"# };
        let head = head(&format!("POST {path}"), &[("x-one-in", script)]);
        client.send(format!(
            "{head}transfer-encoding: chunked\r\n\r\n4\r\npart\r\n"
        ));
        eventually("the call", || {
            let running = gateway.metric("tollgate_requests_in_flight", &[]);
            (running == 1.0).then_some(())
        });
        if half {
            client.stream().shutdown(Shutdown::Write).expect("a socket");
            let response = client.read();
            assert!(matches!(response.status, 0 | 400 | 408), "{response:?}");
        }
        drop(client);
        eventually("the end of the call", || {
            let running = gateway.metric("tollgate_requests_in_flight", &[]);
            (running == 0.0).then_some(())
        });
        assert_free(&gateway);
    }
    let through = origin.received();
    assert!(
        through.iter().all(|request| request.body != b"part"),
        "{through:?}"
    );
    for record in gateway.records() {
        if record["status"] != 200 {
            assert_eq!(record["failure"]["blame"], "client", "{record}");
        }
    }
}

/// Sends a request whose body ends a while after its last data came.
fn ends_late(gateway: &Gateway, path: &str, script: &str, came: impl FnOnce()) -> Client {
    let mut client = gateway.client();
    let head = head(&format!("POST {path}"), &[("x-one-in", script)]);
    client.send(format!(
        "{head}transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n"
    ));
    came();
    client.send_more("0\r\n\r\n");
    client
}

/// A client whose body has ended is not who is waited for: this plugin has read it, and goes on for ever.
#[test]
fn a_plugin_that_is_late_after_the_body_is_to_blame() {
    let origin = Origin::echo();
    let limits = "limits = { cpu = \"300ms\", wall = \"300ms\" }";
    let gateway = Gateway::start(&scene(&origin, limits).toml());
    let in_flight = || {
        eventually("the request", || {
            let running = gateway.metric("tollgate_requests_in_flight", &[]);
            (running == 1.0).then_some(())
        });
    };
    for path in ["/one", "/open"] {
        let mut client = ends_late(&gateway, path, r#"["read", "loop"]"#, in_flight);
        let response = client.read();
        let expected = if path == "/one" { 500 } else { 200 };
        assert_eq!(response.status, expected, "{path}: {response:?}");
        assert_failed(&gateway, path, expected, "plugin", "plugin-fault");
        eventually("no request", || {
            let running = gateway.metric("tollgate_requests_in_flight", &[]);
            (running == 0.0).then_some(())
        });
    }
}

/// Nor here, where the upstream has taken all of it and says nothing.
#[test]
fn an_upstream_that_is_late_after_the_body_is_to_blame() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::early(move |_| vec![Step::ReadBody, Step::WaitFor(opened.clone())]);
    let toml = scene(&origin, "").toml().replace(
        "[upstreams.origin]",
        "[upstreams.origin]\ntimeouts.first-byte = \"300ms\"",
    );
    let gateway = Gateway::start(&toml);
    for (number, (path, script)) in [("/plain", "[]"), ("/mark", "[]"), ("/one", r#"["read"]"#)]
        .into_iter()
        .enumerate()
    {
        let reached = || {
            if script == "[]" {
                origin.request(number);
            }
        };
        let mut client = ends_late(&gateway, path, script, reached);
        let response = client.read();
        assert_eq!(response.status, 504, "{path} {script}: {response:?}");
        assert_failed(&gateway, path, 504, "upstream", "first-byte-timeout");
    }
    gate.open();
}

/// The client is still there, and what it sends is no body.
#[test]
fn a_body_that_breaks_its_framing_never_looks_whole() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    for (path, script) in [
        ("/one", MUST_READ),
        ("/open", MUST_READ),
        ("/one", r#"["read"]"#),
        ("/one", r#"["read", "read"]"#),
        ("/both", r#"["read"]"#),
        ("/open", r#"["read", "fail"]"#),
    ] {
        let mut client = gateway.client();
        let scripts = [("x-one-in", script), ("x-two-in", r#"["read"]"#)];
        let head = head(&format!("POST {path}"), &scripts);
        client.send(format!(
            "{head}transfer-encoding: chunked\r\n\r\n4\r\npart\r\nno length\r\nmore\r\n0\r\n\r\n"
        ));
        let response = client.read();
        assert!(
            matches!(response.status, 0 | 400..=499),
            "{path} {script}: {response:?}"
        );
        // The origin reads until the end of what it is sent.
        gateway.record(|record| record["path"] == path && record["failure"]["blame"] == "client");
        for request in origin.received() {
            assert!(!request.complete, "{path} {script}: {request:?}");
            assert!(told_in(&request)[0].starts_with("failed "), "{request:?}");
        }
    }
}

/// What an upstream sends of an answer before it goes away.
const PARTS: [&str; 3] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\npart",
];

fn ends() -> impl Iterator<Item = (&'static str, Step)> {
    let ends = [Step::Close, Step::Reset];
    PARTS
        .into_iter()
        .flat_map(move |part| ends.clone().map(|end| (part, end)))
}

#[test]
fn an_upstream_that_dies_is_never_a_shorter_answer() {
    for (part, end) in ends() {
        let origin = Origin::raw(move |_| vec![Step::Send(part.into()), end.clone()]);
        let gateway = gateway(&origin);
        let ask = |path: &str, script: &str| {
            let scripts = [("x-one-out", script), ("x-two-out", r#"["read"]"#)];
            gateway.request(sized(&format!("GET {path}"), &scripts, b""))
        };
        let response = ask("/one", MUST_READ);
        assert!(
            matches!(response.status, 500 | 502),
            "{part:?}: {response:?}"
        );
        assert!(response.complete);
        for (path, script) in [
            ("/open", MUST_READ),
            ("/one", r#"["read"]"#),
            ("/one", r#"["read", "read"]"#),
            ("/both", r#"["read"]"#),
            ("/open", r#"["read", {"replace": "x"}, "fail"]"#),
        ] {
            let response = ask(path, script);
            assert!(
                !response.complete || response.status >= 500,
                "{part:?} {path} {script}: {response:?}"
            );
            if path != "/open" && response.status == 200 {
                assert!(
                    told_out(&response)[0].starts_with("failed "),
                    "{response:?}"
                );
            }
        }
        // What the plugin makes of it is whole.
        let response = ask("/one", r#"["read", {"replace": "instead"}]"#);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "instead")
        );
        assert!(response.complete);
    }
}

#[test]
fn an_upstream_that_stalls_spends_the_plugins_time() {
    for part in PARTS {
        let gate = Gate::new();
        let opened = gate.clone();
        let origin = Origin::raw(move |request| {
            if request.method == "POST" {
                return vec![Step::Send(ok("text/plain", "fine"))];
            }
            let rest = match part {
                part if part.contains("content-length") => "in all",
                part if part.ends_with("\r\n") => "6\r\nin all\r\n0\r\n\r\n",
                _ => " them\r\n1\r\n.\r\n0\r\n\r\n",
            };
            vec![
                Step::Send(part.into()),
                Step::WaitFor(opened.clone()),
                Step::Send(rest.into()),
            ]
        });
        let gateway = alone(&origin, "300ms");
        let response = gateway.request(sized("GET /one", &[("x-one-out", MUST_READ)], b""));
        assert_eq!(response.status, 500, "{response:?}");
        assert_failed(&gateway, "/one", 500, "plugin", "plugin-fault");
        let labels = [("policy", "one"), ("kind", "wall")];
        assert_eq!(gateway.metric("tollgate_plugin_faults_total", &labels), 1.0);
        assert_free(&gateway);

        // Open, the answer goes on with what was taken of it, and comes whole.
        let mut client = gateway.client();
        client.send(sized("GET /open", &[("x-one-out", MUST_READ)], b""));
        eventually("the fault", || {
            let labels = [("policy", "open"), ("kind", "wall")];
            let metrics = gateway.metrics();
            let faults = tollgate_tests::series(&metrics, "tollgate_plugin_faults_total", &labels);
            (faults == [1.0]).then_some(())
        });
        gate.open();
        let response = client.read();
        assert!(response.complete && response.status == 200, "{response:?}");
        assert_eq!(response.body.len(), 10, "{response:?}");
        assert!(response.text().starts_with("part"));
        assert_free(&gateway);
    }
}

/// The upstream's own time counts while the plugin waits.
#[test]
fn an_answer_that_is_late_is_not_whole() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin =
        Origin::raw(move |_| vec![Step::Send(PARTS[1].into()), Step::WaitFor(opened.clone())]);
    let toml = scene(&origin, "").toml().replace(
        "[upstreams.origin]",
        "[upstreams.origin]\ntimeouts.total = \"500ms\"",
    );
    let gateway = Gateway::start(&toml);
    let response = gateway.request(sized("GET /one", &[("x-one-out", MUST_READ)], b""));
    assert!(response.status >= 500, "{response:?}");
    let response = gateway.request(sized("GET /one", &[("x-one-out", r#"["read"]"#)], b""));
    assert!(!response.complete || response.status >= 500, "{response:?}");
    gate.open();
}

/// Who is slow with a body holds no instance: neither this plugin's nor what all plugins share.
#[test]
fn slow_bodies_do_not_starve_other_requests() {
    let origin = Origin::echo();
    let toml = scene(&origin, "").toml();
    let gateway = Gateway::start(&format!("{toml}\n[runtime]\nplugin-calls = 4\n"));
    let slow: Vec<Client> = (0..12)
        .map(|_| {
            let mut client = gateway.client();
            let head = head("POST /one", &[("x-one-in", MUST_READ)]);
            client.send(format!("{head}content-length: 10\r\n\r\npart"));
            client
        })
        .collect();
    eventually("the uploads", || {
        let running = gateway.metric("tollgate_requests_in_flight", &[]);
        (running == 12.0).then_some(())
    });
    for _ in 0..5 {
        assert_eq!(gateway.get("/mark").status, 200);
        let script = [("x-one-in", MUST_READ)];
        assert_eq!(
            gateway.request(sized("POST /one", &script, b"next")).status,
            200
        );
    }
    drop(slow);
}
