//! A fault after a body was read or replaced: closed, nothing of it gets out; open, the message goes on as
//! if the entry were not there.

use tollgate_tests::{Gateway, Origin, Step};

use super::coded::stored;
use super::{answer, assert_body, assert_failed, in_chunks, noise, scene, sized, told_out};

/// What may come before the fault.
const BEFORE: [&str; 4] = [
    "",
    "\"read\", ",
    "{\"replace\": \"instead\"}, ",
    "\"read\", \"shout\", {\"replace\": \"\"}, ",
];
const FAULTS: [(&str, &str); 3] = [("fail", "error"), ("trap", "trap"), ("loop", "cpu")];
/// What an edit of the body changes beside it.
const HEADERS: [(&str, &str); 4] = [
    ("content-encoding", "gzip"),
    ("etag", "\"strong\""),
    ("accept-ranges", "bytes"),
    (
        "content-digest",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    ),
];

fn scripts() -> impl Iterator<Item = (String, &'static str)> {
    let pairs = BEFORE
        .into_iter()
        .flat_map(|before| FAULTS.into_iter().map(move |fault| (before, fault)));
    pairs.map(|(before, (fault, kind))| (format!("[{before}\"{fault}\"]"), kind))
}

fn start(origin: &Origin) -> Gateway {
    // What spins is ended by its processor time, however busy the machine.
    Gateway::start(&scene(origin, "limits = { cpu = \"20ms\", wall = \"20s\" }").toml())
}

#[test]
fn a_fault_on_the_way_in_leaves_the_request_as_it_was() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let body = stored(&noise(20_000)).gzip();
    for (number, (script, kind)) in scripts().enumerate() {
        for chunked in [false, true] {
            let mut headers = HEADERS.to_vec();
            headers.push(("x-one-in", &script));
            let raw = |path: &str| {
                let first = format!("POST {path}?{number}");
                if chunked {
                    in_chunks(&first, &headers, &body, 333)
                } else {
                    sized(&first, &headers, &body)
                }
            };
            let before = origin.requests();
            let response = gateway.request(raw("/one"));
            assert_eq!(response.status, 500, "{script}: {response:?}");
            assert_eq!(origin.requests(), before, "{script}");

            let response = gateway.request(raw("/open"));
            assert_eq!(response.status, 200, "{script}: {response:?}");
            let request = origin.request(before);
            assert!(request.complete);
            assert_body(&request.body, &body, &script);
            for (name, value) in HEADERS {
                assert_eq!(
                    request.header(name).as_deref(),
                    Some(value),
                    "{name}: {script}"
                );
            }
            assert_eq!(request.header("x-one-told"), None, "{script}");
        }
        let labels = [("policy", "open"), ("kind", kind)];
        assert!(gateway.metric("tollgate_plugin_faults_total", &labels) >= 2.0);
    }
    assert_failed(&gateway, "/one", 500, "plugin", "plugin-fault");
}

/// Larger than the grant: part of it was taken when the plugin gave up, and none when it did not ask.
#[test]
fn a_large_request_survives_a_fault_whole() {
    let origin = Origin::echo();
    let gateway = start(&origin);
    let body = noise(500_000);
    for (script, status) in [
        // That it is too large is why the plugin failed, and the client's doing.
        (r#"["read", "fail"]"#, 413),
        (r#"["read", "trap"]"#, 200),
        (r#"["read", {"replace": "instead"}, "trap"]"#, 200),
        (r#"[{"replace": "instead"}, "fail"]"#, 200),
        (r#"[{"replace": "instead"}, "read", "fail"]"#, 200),
    ] {
        for raw in [
            sized("POST /open", &[("x-one-in", script)], &body),
            in_chunks("POST /open", &[("x-one-in", script)], &body, 10_000),
        ] {
            let number = origin.requests();
            let response = gateway.request(raw);
            assert_eq!(response.status, status, "{script}: {response:?}");
            if status == 200 {
                let request = origin.request(number);
                assert!(request.complete);
                assert_body(&request.body, &body, script);
            }
        }
    }
    assert_eq!(origin.requests(), 8);
}

#[test]
fn a_fault_on_the_way_out_leaves_the_response_as_it_was() {
    for large in [false, true] {
        let body = stored(&noise(if large { 300_000 } else { 20_000 })).gzip();
        let sent = body.clone();
        let origin = Origin::raw(move |request| {
            let whole = answer("200 OK", &HEADERS, &sent);
            if request.target == "/open?0" {
                return vec![Step::Send(whole)];
            }
            let mut head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n".to_owned();
            for (name, value) in HEADERS {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let mut bytes = format!("{head}\r\n").into_bytes();
            for chunk in sent.chunks(4000) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            vec![Step::Send(bytes)]
        });
        let gateway = start(&origin);
        let mut client = gateway.client();
        for (script, _) in scripts() {
            for form in [0, 1] {
                let first = format!("GET /open?{form}");
                client.send(sized(&first, &[("x-one-out", &script)], b""));
                let response = client.read();
                assert_eq!(response.status, 200, "{script}");
                assert!(response.complete, "{script}");
                assert_body(&response.body, &body, &script);
                for (name, value) in HEADERS {
                    assert_eq!(response.headers(name), [value], "{name}: {script}");
                }
                assert!(told_out(&response).is_empty(), "{script}");
            }
            client.send(sized("GET /one", &[("x-one-out", &script)], b""));
            let response = client.read();
            assert_eq!(response.status, 500, "{script}");
            assert_eq!(response.json()["status"], 500);
            for (name, _) in HEADERS {
                assert_eq!(response.header(name), None, "{name}: {script}");
            }
        }
    }
}

/// An entry whose edits were taken back is followed by one that reads what was before.
#[test]
fn the_next_entry_sees_what_was_before_the_fault() {
    let origin = Origin::fixed(answer("200 OK", &[], b"answer"));
    let scene = scene(&origin, "limits = { cpu = \"20ms\", wall = \"20s\" }")
        .route("pair", "/pair", &["two", "open"])
        .route("riap", "/riap", &["open", "two"]);
    let gateway = Gateway::start(&scene.toml());
    for (script, _) in scripts() {
        let number = origin.requests();
        let headers = [("x-one-in", script.as_str()), ("x-two-in", r#"["read"]"#)];
        let response = gateway.request(in_chunks("POST /riap", &headers, b"request", 2));
        assert_eq!(response.status, 200);
        let request = origin.request(number);
        assert_eq!(
            request.header("x-two-told").as_deref(),
            Some("7:request"),
            "{script}"
        );
        assert_eq!(request.body, b"request");

        let headers = [("x-one-out", script.as_str()), ("x-two-out", r#"["read"]"#)];
        let response = gateway.request(sized("GET /pair", &headers, b""));
        assert_eq!(response.headers("x-two-told"), ["6:answer"], "{script}");
        assert_eq!(response.text(), "answer");
    }
}
