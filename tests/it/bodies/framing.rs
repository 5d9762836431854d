//! What is read and replaced arrives whole, and framed as what it is.

use tollgate_tests::{Gate, Origin, Step, chunked};

use super::{
    answer, assert_body, assert_request_length, assert_response_length, gateway, head, in_chunks,
    noise, sized, told_in, told_out,
};

const REPLACE: &str = r#"["read", {"replace": "hello"}]"#;

#[test]
fn a_replaced_request_has_its_own_length() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let longer = noise(5000);
    let requests = [
        sized("POST /one", &[("x-one-in", REPLACE)], b"a"),
        sized("PUT /one", &[("x-one-in", REPLACE)], &longer),
        in_chunks("POST /one", &[("x-one-in", REPLACE)], b"abc", 1),
        in_chunks("PATCH /one", &[("x-one-in", REPLACE)], &longer, 700),
        in_chunks("POST /one", &[("x-one-in", REPLACE)], b"", 1),
        sized("DELETE /one", &[("x-one-in", REPLACE)], b"abc"),
        // Methods that have none of their own.
        format!("{}\r\n", head("GET /one", &[("x-one-in", REPLACE)])).into_bytes(),
        format!("{}\r\n", head("OPTIONS /one", &[("x-one-in", REPLACE)])).into_bytes(),
    ];
    // On one connection: what is left of one body must not become the next request.
    let mut client = gateway.client();
    for (number, raw) in requests.iter().enumerate() {
        client.send(raw);
        let response = client.read();
        assert_eq!(response.status, 200, "request {number}: {response:?}");
        assert_eq!(response.json()["body"], "hello", "request {number}");
        assert_request_length(&origin.request(number));
    }
    let told = told_in(&origin.request(0));
    assert_eq!(told, ["1:a", "replaced"]);
    let told = told_in(&origin.request(4));
    assert_eq!(told, ["0:", "replaced"]);
    assert_eq!(origin.requests(), requests.len());
}

#[test]
fn a_request_that_is_only_read_arrives_as_it_came() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let body = noise(60_000);
    let reads = [("x-one-in", r#"["read"]"#)];
    let requests = [
        (sized("POST /one", &reads, &body), &body[..]),
        (in_chunks("POST /one", &reads, &body, 999), &body),
        (sized("POST /one", &reads, b""), b""),
        (in_chunks("POST /one", &reads, b"", 1), b""),
        (sized("GET /one", &reads, b"with a body"), b"with a body"),
    ];
    let mut client = gateway.client();
    for (number, (raw, body)) in requests.iter().enumerate() {
        client.send(raw);
        assert_eq!(client.read().status, 200, "request {number}");
        let request = origin.request(number);
        assert!(request.complete, "request {number}");
        assert_body(&request.body, body, &format!("request {number}"));
        let told = told_in(&request);
        assert!(told[0].starts_with(&format!("{}:", body.len())), "{told:?}");
    }
    assert_eq!(origin.requests(), requests.len());
}

/// What the client sent is not read at all: the connection ends, or the rest is skipped.
#[test]
fn a_request_replaced_unread_leaves_nothing_behind() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let script = [("x-one-in", r#"[{"replace": "hello"}]"#)];
    for body in [&noise(100)[..], &noise(300_000)] {
        for raw in [
            sized("POST /one", &script, body),
            in_chunks("POST /one", &script, body, 5000),
        ] {
            let before = origin.requests();
            let mut client = gateway.client();
            client.send(raw);
            let response = client.read();
            assert_eq!(response.status, 200, "{response:?}");
            assert_eq!(response.json()["body"], "hello");
            client.send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n");
            let next = client.read();
            assert!(
                next.status == 200 && next.json()["target"] == "/plain" || next.status == 0,
                "{next:?}"
            );
            let after = if next.status == 0 { 1 } else { 2 };
            assert_eq!(origin.requests() - before, after);
        }
    }
}

#[test]
fn a_replaced_response_has_its_own_length() {
    let body = noise(9000);
    let closing = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &body].concat();
    let forms = [
        (answer("200 OK", &[], &body), body.len()),
        (answer("404 Not Found", &[], b"a"), 1),
        (answer("200 OK", &[], b""), 0),
        (chunked(&[&body[..1], &body[1..]]), body.len()),
        (chunked(&[]), 0),
        (closing, body.len()),
    ];
    for (bytes, length) in forms {
        let closes = !bytes.windows(16).any(|part| {
            part.eq_ignore_ascii_case(b"content-length: ") || part == b"transfer-encodin"
        });
        let origin = Origin::raw(move |_| {
            let mut steps = vec![Step::Send(bytes.clone())];
            steps.extend(closes.then_some(Step::Close));
            steps
        });
        let gateway = gateway(&origin);
        let mut client = gateway.client();
        for _ in 0..2 {
            client.send(sized("GET /one", &[("x-one-out", REPLACE)], b""));
            let response = client.read();
            assert_eq!(response.text(), "hello");
            assert_response_length(&response);
            let told = told_out(&response);
            assert!(told[0].starts_with(&format!("{length}:")), "{told:?}");
        }
    }
}

#[test]
fn a_response_that_is_only_read_arrives_as_it_came() {
    let body = noise(60_000);
    let forms = [
        (answer("200 OK", &[], &body), &body[..]),
        (chunked(&[&body[..7], &body[7..]]), &body),
        (answer("200 OK", &[], b""), b""),
        (chunked(&[]), b""),
    ];
    for (bytes, body) in forms {
        let origin = Origin::fixed(bytes);
        let gateway = gateway(&origin);
        let mut client = gateway.client();
        for _ in 0..2 {
            client.send(sized("GET /one", &[("x-one-out", r#"["read"]"#)], b""));
            let response = client.read();
            assert!(response.complete, "{response:?}");
            assert_body(&response.body, body, "the answer");
        }
    }
}

#[test]
fn nothing_may_be_put_in_a_bodys_place() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for script in [
        r#"[{"replace": ""}]"#,
        r#"["read", {"replace": ""}]"#,
        r#"[{"replace": "twice"}, {"replace": ""}]"#,
    ] {
        let number = origin.requests();
        let both = [("x-one-in", script), ("x-one-out", script)];
        client.send(sized("POST /one", &both, b"something"));
        let response = client.read();
        assert_eq!(response.status, 200);
        assert!(response.body.is_empty());
        assert_response_length(&response);
        let request = origin.request(number);
        assert!(request.complete && request.body.is_empty());
        assert!(request.values("transfer-encoding").is_empty());
    }
}

#[test]
fn answers_without_a_body_stay_without_one() {
    let origin = Origin::raw(|request| {
        let status = request.header("x-status").unwrap_or_default();
        let length = request
            .header("x-length")
            .map(|length| format!("content-length: {length}\r\n"));
        let head = format!(
            "HTTP/1.1 {status} Fine\r\n{}\r\n",
            length.unwrap_or_default()
        );
        vec![Step::Send(head.into_bytes())]
    });
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for script in [REPLACE, r#"["read"]"#, r#"[{"replace": "hello"}]"#] {
        for (method, status, length) in [
            ("HEAD", "200", Some("1234")),
            ("HEAD", "200", None),
            ("HEAD", "404", Some("0")),
            ("GET", "204", None),
            ("GET", "304", None),
            ("GET", "304", Some("1234")),
            ("HEAD", "304", None),
        ] {
            let what = format!("{method} {status} {length:?} {script}");
            let mut headers = vec![("x-one-out", script), ("x-status", status)];
            headers.extend(length.map(|length| ("x-length", length)));
            let request = head(&format!("{method} /one"), &headers);
            client.send(format!("{request}\r\n"));
            let response = client.read();
            assert_eq!(response.status.to_string(), status, "{what}: {response:?}");
            assert!(response.values("transfer-encoding").is_empty(), "{what}");
            let lengths = response.headers("content-length");
            assert!(lengths.len() <= 1, "{what}: {lengths:?}");
            if status == "204" {
                assert!(lengths.is_empty(), "{what}: {lengths:?}");
            }
            if script.contains("read") {
                assert_eq!(told_out(&response)[0], "0:", "{what}");
            }
            // Were there a body, it would be taken for the next answer.
        }
    }
    assert_eq!(
        gateway
            .records()
            .iter()
            .filter(|record| record["complete"] == false)
            .count(),
        0
    );
}

#[test]
fn a_status_with_a_body_and_one_without_change_places() {
    let origin = Origin::raw(|request| {
        let not_modified = request.target == "/one?304";
        vec![Step::Send(if not_modified {
            b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n".to_vec()
        } else {
            answer("200 OK", &[], b"something")
        })]
    });
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        let full = [("x-one-out", r#"[{"set-status": 200}, {"replace": "full"}]"#)];
        client.send(sized("GET /one?304", &full, b""));
        let response = client.read();
        assert_eq!((response.status, response.text().as_str()), (200, "full"));
        assert_response_length(&response);

        for status in [204, 304] {
            let script = format!(r#"["read", {{"set-status": {status}}}]"#);
            client.send(sized("GET /one", &[("x-one-out", &script)], b""));
            let response = client.read();
            assert_eq!(response.status, status);
            assert!(response.values("transfer-encoding").is_empty());
        }
    }
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let script = [("x-one-in", REPLACE), ("expect", "100-continue")];
    let head = head("POST /one", &script);
    client.send(format!("{head}content-length: 4\r\n\r\n"));
    let asked = Gate::new();
    let mut stream = client.stream().try_clone().expect("a socket");
    let opened = asked.clone();
    let reader = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut interim = vec![0; expected.len()];
        stream.read_exact(&mut interim).expect("an interim answer");
        assert_eq!(interim, expected);
        opened.open();
        stream.write_all(b"body").expect("a write");
    });
    assert!(asked.wait());
    reader.join().expect("the reader");
    let response = client.read();
    assert_eq!(response.json()["body"], "hello");
    assert_eq!(told_in(&origin.request(0)), ["4:body", "replaced"]);
}

/// Clients of HTTP/1.0 know no chunks.
#[test]
fn a_client_of_http_1_0_gets_lengths_or_the_end() {
    let pieces = chunked(&[b"some", b"thing"]);
    let origin = Origin::raw(move |_| vec![Step::Send(pieces.clone())]);
    let gateway = gateway(&origin);
    for (script, body) in [
        (REPLACE, "hello"),
        (r#"["read"]"#, "something"),
        ("[]", "something"),
    ] {
        let raw = format!(
            "POST /one HTTP/1.0\r\nhost: a\r\nx-one-in: {REPLACE}\r\nx-one-out: {script}\r\n\
             content-length: 4\r\n\r\nbody"
        );
        let number = origin.requests();
        let response = gateway.request(raw);
        assert_eq!((response.status, response.text().as_str()), (200, body));
        assert!(response.complete && response.values("transfer-encoding").is_empty());
        let request = origin.request(number);
        assert_eq!(request.body, b"hello");
        assert_request_length(&request);
    }
}

/// What serves uploads may insist on a length (411), also on that of nothing.
#[test]
fn an_empty_upload_says_that_it_is_empty() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for (path, script) in [
        ("/one", r#"["read"]"#),
        ("/one", r#"[{"replace": ""}]"#),
        ("/plain", "[]"),
    ] {
        for method in ["POST", "PUT", "PATCH"] {
            let number = origin.requests();
            let first = format!("{method} {path}");
            client.send(sized(&first, &[("x-one-in", script)], b""));
            assert_eq!(client.read().status, 200);
            let request = origin.request(number);
            assert_eq!(
                request.values("content-length"),
                [b"0"],
                "{first} {script}: {request:?}"
            );
        }
    }
}

/// A connection to the upstream is kept whatever a plugin does to bodies that have wholly come.
#[test]
fn replacing_costs_no_connection() {
    let origin = Origin::fixed(answer("200 OK", &[], b"answer"));
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let replace = r#"[{"replace": "hello"}]"#;
    for (number, (script_in, script_out)) in [
        (REPLACE, "[]"),
        ("[]", REPLACE),
        (REPLACE, REPLACE),
        (replace, "[]"),
        (replace, REPLACE),
        ("[]", "[]"),
    ]
    .into_iter()
    .enumerate()
    {
        let scripts = [("x-one-in", script_in), ("x-one-out", script_out)];
        client.send(sized("POST /one", &scripts, b"body"));
        if client.read().status == 0 {
            client = gateway.client();
        }
        let request = origin.request(number);
        assert_eq!(
            request.connection, 0,
            "{script_in} {script_out}, request {number}"
        );
    }
}

#[test]
fn on_the_way_out_the_requests_body_is_gone() {
    let origin = Origin::fixed(answer("200 OK", &[], b"answer"));
    let gateway = gateway(&origin);
    for script_in in ["[]", r#"["read"]"#] {
        let scripts = [
            ("x-one-in", script_in),
            ("x-one-out", r#"["read-request", "read"]"#),
        ];
        let response = gateway.request(sized("POST /one", &scripts, b"body"));
        let told = told_out(&response);
        assert!(told[0].starts_with("failed "), "{told:?}");
        assert_eq!(told[1], "6:answer");
    }
}
