//! What the headers say of a body that is no longer the same, and what the upstream is asked for.

use tollgate_tests::{Gateway, Origin};

use super::{answer, gateway, scene, sized, told_out};

const DIGESTS: [(&str, &str); 4] = [
    ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
    (
        "digest",
        "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    ),
    (
        "content-digest",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    ),
    (
        "repr-digest",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    ),
];

#[test]
fn digests_of_the_old_body_are_dropped_with_it() {
    let origin = Origin::fixed(answer("200 OK", &DIGESTS, b"body"));
    let gateway = gateway(&origin);
    for (script, kept) in [
        (r#"["read"]"#, true),
        (r#"[{"replace": "new"}]"#, false),
        (r#"["read", "shout"]"#, false),
    ] {
        let number = origin.requests();
        let mut headers = DIGESTS.to_vec();
        headers.extend([("x-one-in", script), ("x-one-out", script)]);
        let response = gateway.request(sized("POST /one", &headers, b"body"));
        let request = origin.request(number);
        for (name, value) in DIGESTS {
            let expected = kept.then(|| value.to_owned());
            assert_eq!(request.header(name), expected, "{name} after {script}");
            assert_eq!(response.header(name), expected, "{name} after {script}");
        }
    }
}

#[test]
fn a_strong_etag_becomes_a_weak_one() {
    for (tag, weak) in [
        ("\"strong\"", "W/\"strong\""),
        ("\"\"", "W/\"\""),
        ("W/\"weak\"", "W/\"weak\""),
    ] {
        let headers = [("etag", tag), ("accept-ranges", "bytes")];
        let origin = Origin::fixed(answer("200 OK", &headers, b"body"));
        let gateway = gateway(&origin);
        for (script, expected, ranges) in [
            (r#"["read"]"#, tag, Some("bytes")),
            (r#"[{"replace": "new"}]"#, weak, None),
            (r#"[{"replace": "new"}, {"replace": "newer"}]"#, weak, None),
        ] {
            let response = gateway.request(sized("GET /one", &[("x-one-out", script)], b""));
            assert_eq!(response.headers("etag"), [expected], "{script}");
            assert_eq!(
                response.header("accept-ranges").as_deref(),
                ranges,
                "{script}"
            );
        }
    }
    let origin = Origin::fixed(answer("200 OK", &[], b"body"));
    let response = gateway(&origin).request(sized(
        "GET /one",
        &[("x-one-out", r#"[{"replace": "a"}]"#)],
        b"",
    ));
    assert_eq!(response.header("etag"), None);
}

/// Part of a body, replaced by something else, is no longer the part that the field says.
#[test]
fn a_replaced_part_claims_no_range() {
    let headers = [("content-range", "bytes 0-3/100")];
    let origin = Origin::fixed(answer("206 Partial Content", &headers, b"body"));
    let gateway = gateway(&origin);
    let response = gateway.request(sized("GET /one", &[("x-one-out", r#"["read"]"#)], b""));
    assert_eq!(response.headers("content-range"), ["bytes 0-3/100"]);
    let response = gateway.request(sized(
        "GET /one",
        &[("x-one-out", r#"[{"replace": "something longer"}]"#)],
        b"",
    ));
    assert_eq!(response.text(), "something longer");
    assert_eq!(response.header("content-range"), None, "{response:?}");
}

#[test]
fn the_upstream_is_asked_for_no_coding_where_a_plugin_reads_the_answer() {
    let origin = Origin::echo();
    let scene = scene(&origin, "")
        .plugin(
            "door",
            &tollgate_tests::guest("guest_reach_door"),
            "grant.bodies = \"64KiB\"",
        )
        .policy("door", "door", "")
        .route("door", "/door", &["door"])
        .route("outer", "/outer", &["mark", "one"])
        .route("inner", "/inner", &["one", "mark"]);
    let gateway = Gateway::start(&scene.toml());
    let sees = r#"[{"header": "accept-encoding"}]"#;
    for client in [None, Some("gzip, br;q=0.5"), Some("identity")] {
        for (path, asks) in [
            ("/one", true),
            ("/both", true),
            ("/outer", true),
            ("/inner", true),
            ("/open", true),
            ("/door", false),
            ("/mark", false),
            ("/plain", false),
        ] {
            let number = origin.requests();
            let mut headers = vec![("x-one-in", sees), ("x-two-in", sees)];
            headers.extend(client.map(|codings| ("accept-encoding", codings)));
            let raw = sized(&format!("POST {path}"), &headers, b"let me in: alice");
            let response = gateway.request(raw);
            assert_eq!(response.status, 200, "{path}: {response:?}");
            let request = origin.request(number);
            let expected = if asks { Some("identity") } else { client };
            let sent = request.values("accept-encoding");
            let expected: Vec<&[u8]> = expected.into_iter().map(str::as_bytes).collect();
            assert_eq!(sent, expected, "{path} of {client:?}");
            if asks {
                let seen = super::told_in(&request);
                assert_eq!(seen, [client.unwrap_or("absent")], "{path}");
            }
        }
    }
    // The plugin may still say what it accepts; the answer must come as it can be read.
    let origin = Origin::fixed(answer("200 OK", &[], b"body"));
    let gateway = super::gateway(&origin);
    let headers = [("x-one-out", r#"["read"]"#), ("accept-encoding", "gzip")];
    assert_eq!(
        told_out(&gateway.request(sized("GET /one", &headers, b""))),
        ["4:body"]
    );
}
