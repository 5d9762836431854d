//! Bodies larger than the grant, and plugins without one.

use tollgate_tests::{Gateway, Origin, Step, check, chunked, guest, ok};

use super::memory::{peak, settled};
use super::{
    GRANT, answer, assert_body, assert_failed, assert_request_length, assert_response_length,
    gateway, head, in_chunks, noise, sized, told_in, told_out,
};
use crate::scene::Scene;

const MUST_READ: &str = r#"["must-read"]"#;
const TOO_LARGE: &str = "too-large 65536";

#[test]
fn a_request_beyond_the_grant_is_answered_413() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    for (path, length) in [
        ("/one", GRANT + 1),
        ("/open", GRANT + 1),
        ("/both", 1 << 20),
    ] {
        let body = noise(length);
        let first = format!("POST {path}");
        let script = [("x-one-in", MUST_READ)];
        for raw in [
            sized(&first, &script, &body),
            in_chunks(&first, &script, &body, 1000),
            in_chunks(&first, &script, &body, length),
        ] {
            let mut client = gateway.client();
            client.send(raw);
            let response = client.read();
            assert_eq!(response.status, 413, "{path}: {response:?}");
            assert!(response.complete);
            assert_eq!(response.json()["status"], 413);
            // Either the rest is skipped, or the connection ends: it is never the next request.
            client.send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n");
            let next = client.read();
            assert!(next.status == 200 || next.status == 0, "{next:?}");
            if next.status == 200 {
                assert_eq!(next.json()["target"], "/plain");
            }
        }
        assert_failed(&gateway, path, 413, "client", "body-too-large");
    }
    let through = origin.received().into_iter();
    assert!(
        through
            .into_iter()
            .all(|request| request.target == "/plain")
    );
    let faults = [("kind", "body-too-large")];
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &faults), 9.0);
    assert!(
        !gateway.stderr().contains("ERROR"),
        "a client's doing is no error of ours"
    );
}

/// The rest of the body is still to come when the answer is there.
#[test]
fn the_answer_does_not_wait_for_the_rest() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let script = [("x-one-in", MUST_READ)];
    let head = head("POST /one", &script);
    let endless = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n", 10 << 20);
    let announced = format!("{head}content-length: {}\r\n\r\n", 10_u64 << 30);
    let mut client = gateway.client();
    client.send(endless);
    client.send_more(noise(GRANT + 1));
    assert_eq!(client.read().status, 413);
    let mut client = gateway.client();
    client.send(announced);
    assert_eq!(client.read().status, 413);
    // Who waits to be asked for it is not asked.
    let mut client = gateway.client();
    client.send(format!(
        "{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        GRANT + 1
    ));
    let response = client.read();
    assert_eq!((response.status, response.interim.len()), (413, 0));
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_plugin_may_let_a_large_request_pass() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let script = [("x-one-in", r#"["read", "read"]"#)];
    for length in [GRANT + 1, 1 << 20] {
        let body = noise(length);
        for raw in [
            sized("POST /one", &script, &body),
            in_chunks("POST /one", &script, &body, 3000),
        ] {
            let number = origin.requests();
            client.send(raw);
            assert_eq!(client.read().status, 200);
            let request = origin.request(number);
            assert_eq!(told_in(&request), [TOO_LARGE, TOO_LARGE]);
            assert!(request.complete);
            assert_body(&request.body, &body, "the request at the origin");
        }
    }
}

#[test]
fn a_large_response_passes_as_it_is() {
    for length in [GRANT + 1, 3 << 20] {
        let body = noise(length);
        let pieces: Vec<&[u8]> = body.chunks(10_000).collect();
        for bytes in [answer("200 OK", &[], &body), chunked(&pieces)] {
            let origin = Origin::fixed(bytes);
            let gateway = gateway(&origin);
            let mut client = gateway.client();
            for (path, script) in [
                ("/one", r#"["read"]"#),
                ("/one", r#"["read", "read"]"#),
                ("/open", MUST_READ),
                ("/both", r#"["read"]"#),
            ] {
                let both = [("x-one-out", script), ("x-two-out", r#"["read"]"#)];
                client.send(sized(&format!("GET {path}"), &both, b""));
                let response = client.read();
                assert_eq!(response.status, 200);
                assert!(response.complete);
                assert_body(&response.body, &body, path);
                if path != "/open" {
                    assert_eq!(told_out(&response)[0], TOO_LARGE);
                }
            }
            client.send(sized("GET /one", &[("x-one-out", MUST_READ)], b""));
            let response = client.read();
            assert_eq!(response.status, 500);
            assert!(response.complete);
            assert_failed(&gateway, "/one", 500, "plugin", "plugin-fault");
            assert_eq!(client.get("/plain").body.len(), length, "afterwards");
        }
    }
}

#[test]
fn the_grant_is_met_to_the_byte() {
    let body = vec![b'x'; GRANT];
    let bytes = answer("200 OK", &[], &body);
    let origin = Origin::raw(move |_| vec![Step::Send(bytes.clone())]);
    let gateway = gateway(&origin);
    let script = format!(
        r#"["read", {{"fill": {GRANT}}}, {{"fill": {}}}]"#,
        GRANT + 1
    );
    let headers = [("x-one-in", script.as_str()), ("x-one-out", &script)];
    for raw in [
        sized("POST /one", &headers, &body),
        in_chunks("POST /one", &headers, &body, 65_535),
    ] {
        let number = origin.requests();
        let response = gateway.request(raw);
        let request = origin.request(number);
        for told in [told_in(&request), told_out(&response)] {
            assert!(told[0].starts_with("65536:"), "{told:?}");
            assert_eq!(told[1..], ["replaced", TOO_LARGE]);
        }
        // The one that was refused changed nothing.
        assert_body(&request.body, &body, "the request");
        assert_body(&response.body, &body, "the response");
        assert_request_length(&request);
        assert_response_length(&response);
    }
}

/// Up to the largest grant there is, both ways.
#[test]
fn large_grants_hold_large_bodies() {
    let scene = |origin: &Origin| {
        Scene::new(origin)
            .plugin(
                "bodies",
                &guest("guest_reach_bodies"),
                "grant.bodies = \"16MiB\"\nlimits = { memory = \"256MiB\", cpu = \"10s\", wall = \"60s\" }",
            )
            .policy("one", "bodies", "config.name = \"one\"")
            .toml()
    };
    for length in [1 << 20, 5 << 20, 16 << 20] {
        let body = noise(length);
        let shouted = body.to_ascii_uppercase();
        let bytes = answer("200 OK", &[], &body);
        let origin = Origin::fixed(bytes);
        let gateway = Gateway::start(&scene(&origin));
        let script = r#"["read", "shout"]"#;
        let headers = [("x-one-in", script), ("x-one-out", script)];
        let response = gateway.request(sized("POST /a", &headers, &body));
        assert_eq!(response.status, 200, "{length}: {}", response.text());
        assert_body(&response.body, &shouted, &format!("{length} at the client"));
        assert_response_length(&response);
        let request = origin.request(0);
        assert_body(&request.body, &shouted, &format!("{length} at the origin"));
        assert_request_length(&request);
    }
}

#[test]
fn without_the_grant_the_load_is_refused() {
    for name in ["guest_reach_bodies", "guest_reach_door"] {
        let scene = Scene::unserved()
            .plugin("nosy", &guest(name), "grant.kv = true")
            .policy("one", "nosy", "config.name = \"one\"");
        let said = check(&scene.toml());
        assert!(!said.ok);
        for text in [
            "nosy",
            "it imports `bodies`, which is not granted",
            "add `grant = { bodies = \"64KiB\" }` to the plugin",
        ] {
            assert!(said.stderr.contains(text), "no `{text}` in {}", said.stderr);
        }
    }
}

/// What plugins let pass is read at the pace of the upstream, not into memory.
#[test]
fn a_large_body_is_not_collected_beyond_the_grant() {
    let length = 64 << 20;
    let origin = Origin::raw(move |request| {
        if request.method == "POST" {
            return vec![Step::Send(ok("text/plain", request.body.len().to_string()))];
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        vec![Step::Send(head.into_bytes()), Step::Flood(length)]
    });
    let gateway = gateway(&origin);
    let before = settled(&gateway);
    peak(&gateway);
    let script = r#"["read"]"#;
    let up = sized("POST /one", &[("x-one-in", script)], &noise(64 << 20));
    assert_eq!(gateway.request(up).text(), length.to_string());
    let down = sized("GET /one", &[("x-one-out", script)], b"");
    assert_eq!(gateway.request(down).body.len() as u64, length);
    let grown = peak(&gateway).saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes more");
}
