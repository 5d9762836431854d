//! Several that read the same body, one after the other.

use tollgate_tests::{Gateway, Origin, eventually, guest};

use super::{
    GRANT, answer, assert_body, assert_failed, assert_request_length, assert_response_length,
    gateway, in_chunks, noise, scene, sized, told_in, told_out,
};

#[test]
fn each_entry_reads_what_the_one_before_it_left() {
    let origin = Origin::fixed(answer("200 OK", &[], b"answer"));
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let scripts = [
        ("x-one-in", r#"["read", "shout", "read"]"#),
        ("x-two-in", r#"["read", {"replace": "third"}]"#),
        ("x-two-out", r#"["read", {"replace": "fourth"}]"#),
        ("x-one-out", r#"["read", "shout"]"#),
    ];
    for number in 0..3 {
        client.send(in_chunks("POST /both", &scripts, b"first", 2));
        let response = client.read();
        let request = origin.request(number);
        assert_eq!(told_in(&request), ["5:first", "5:FIRST"]);
        assert_eq!(request.header("x-two-told").as_deref(), Some("5:FIRST"));
        assert_eq!(request.body, b"third");
        assert_request_length(&request);
        assert_eq!(response.headers("x-two-told"), ["6:answer", "replaced"]);
        assert_eq!(told_out(&response), ["6:fourth"]);
        assert_eq!(response.text(), "FOURTH");
        assert_response_length(&response);
    }
}

#[test]
fn entries_that_only_read_see_the_same() {
    let body = noise(GRANT);
    let origin = Origin::fixed(answer("200 OK", &[], &body));
    let gateway = gateway(&origin);
    let read = r#"["read", "read"]"#;
    let scripts = [
        ("x-one-in", read),
        ("x-two-in", read),
        ("x-one-out", read),
        ("x-two-out", read),
    ];
    for raw in [
        sized("POST /both", &scripts, &body),
        in_chunks("POST /both", &scripts, &body, 1234),
    ] {
        let number = origin.requests();
        let response = gateway.request(raw);
        let request = origin.request(number);
        assert_body(&request.body, &body, "the request");
        assert_body(&response.body, &body, "the response");
        let told = told_in(&request);
        assert_eq!(told.len(), 2);
        for name in ["x-one-told", "x-two-told"] {
            let told: Vec<&[u8]> = told.iter().map(String::as_bytes).collect();
            assert_eq!(request.values(name), told, "{name}");
            assert_eq!(response.values(name), told, "{name}");
        }
    }
}

/// The entry that replies is not asked about its own reply; the ones before it read that.
#[test]
fn a_reply_is_a_body_to_the_entries_before_it() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let scripts = [
        ("x-two-in", r#"["read", {"respond": 418}]"#),
        ("x-one-out", r#"["read", "shout"]"#),
        ("x-two-out", r#"["fail"]"#),
    ];
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send(sized("POST /both", &scripts, b"body"));
        let response = client.read();
        assert_eq!(response.status, 418);
        assert_eq!(told_out(&response), ["15:from the plugin"]);
        assert_eq!(response.text(), "FROM THE PLUGIN");
        assert_response_length(&response);
    }
    assert_eq!(origin.requests(), 0);
    // So are our own errors.
    let scripts = [
        ("x-two-in", r#"["fail"]"#),
        ("x-one-out", r#"["read", {"replace": "sorry"}]"#),
    ];
    let response = gateway.request(sized("POST /both", &scripts, b"body"));
    assert_eq!((response.status, response.text().as_str()), (500, "sorry"));
    assert!(
        told_out(&response)[0].contains("request-id"),
        "{response:?}"
    );
    assert_response_length(&response);
}

#[test]
fn a_routes_own_answer_is_a_body_like_any_other() {
    let origin = Origin::echo();
    let scene = scene(&origin, "").with(
        "[routes.own]\nmatch = \"/own\"\nchain = [\"one\"]\n\
         respond = { status = 203, headers = { etag = '\"a\"' }, body = \"own answer\" }",
    );
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    for _ in 0..2 {
        let script = [("x-one-out", r#"["read", "shout"]"#)];
        client.send(sized("POST /own", &script, b"body"));
        let response = client.read();
        assert_eq!(
            (response.status, response.text().as_str()),
            (203, "OWN ANSWER")
        );
        assert_eq!(told_out(&response), ["10:own answer"]);
        assert_eq!(response.headers("etag"), ["W/\"a\""]);
        assert_response_length(&response);
        // What was replaced was this answer, and not the route's.
        assert_eq!(client.get("/own").text(), "own answer");
    }
    assert_eq!(origin.requests(), 0);
}

/// Requests that wait behind one whose body is read are not part of it.
#[test]
fn pipelined_requests_are_read_one_by_one() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let scripts = [("x-one-in", r#"["read", "shout"]"#)];
    let raw = [
        sized("POST /one", &scripts, b"first"),
        in_chunks("POST /one", &scripts, b"second", 2),
        sized("GET /plain", &[], b""),
        sized("POST /one", &scripts, b""),
        in_chunks("POST /plain", &[], b"fifth", 1),
    ];
    let mut client = gateway.client();
    client.send(&raw[0]);
    raw[1..].iter().for_each(|raw| client.send(raw));
    for body in ["FIRST", "SECOND", "", "", "fifth"] {
        let response = client.read();
        assert_eq!(response.json()["body"], body);
    }
}

#[test]
fn an_authorizer_decides_by_the_body() {
    let origin = Origin::echo();
    let scene = scene(&origin, "")
        .plugin(
            "door",
            &guest("guest_reach_door"),
            "grant.bodies = \"1KiB\"",
        )
        .policy("door", "door", "")
        .route("door", "/door", &["door"])
        .route("inner", "/inner", &["door", "one"])
        .route("outer", "/outer", &["one", "door"]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    // The same request but for its body: nothing of a decision may be remembered.
    for (body, status) in [
        ("let me in: alice", 200),
        ("open up", 403),
        ("let me in: bob", 200),
        ("let me in: alice", 200),
        ("", 403),
    ] {
        for chunked in [false, true] {
            let number = origin.requests();
            client.send(if chunked {
                in_chunks("POST /door", &[], body.as_bytes(), 4)
            } else {
                sized("POST /door", &[], body.as_bytes())
            });
            let response = client.read();
            assert_eq!(response.status, status, "{body}: {response:?}");
            if status == 200 {
                assert_eq!(response.json()["body"], body);
                assert!(origin.request(number).complete);
            }
        }
    }
    assert_eq!(origin.requests(), 6);
    let names = eventually("all records", || {
        let records = gateway.records();
        let names = records.iter().filter_map(|record| {
            let name = record["principal"].as_str();
            name.map(str::to_owned)
        });
        let names: Vec<String> = names.collect();
        (names.len() == 6).then_some(names)
    });
    assert_eq!(names, ["alice", "alice", "bob", "bob", "alice", "alice"]);
    assert!(!gateway.stdout().contains("\"remembered\":true"));

    // Behind it, and before it, a transformer reads and replaces.
    let script = [("x-one-in", r#"["read", {"replace": "let me in: carol"}]"#)];
    client.send(sized("POST /inner", &script, b"let me in: dave"));
    assert_eq!(client.read().json()["body"], "let me in: carol");
    assert_eq!(told_in(&origin.request(6))[0], "15:let me in: dave");
    client.send(sized("POST /outer", &script, b"nobody"));
    assert_eq!(client.read().json()["body"], "let me in: carol");
    assert_eq!(
        gateway.record(|record| record["path"] == "/inner")["principal"],
        "dave"
    );
    assert_eq!(
        gateway.record(|record| record["path"] == "/outer")["principal"],
        "carol"
    );

    // Larger than its grant, though not than the other's.
    for raw in [
        sized("POST /door", &[], &noise(1025)),
        in_chunks("POST /door", &[], &noise(5000), 1000),
    ] {
        assert_eq!(gateway.request(raw).status, 413);
    }
    assert_failed(&gateway, "/door", 413, "client", "body-too-large");
    assert_eq!(origin.requests(), 8);
}

#[test]
fn a_reused_instance_reads_each_body_anew() {
    let origin = Origin::echo();
    let scene = scene(&origin, "")
        .policy(
            "reused",
            "bodies",
            "config.name = \"one\"\ninstances = { calls = 100 }",
        )
        .route("reused", "/reused", &["reused"]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let script = r#"["read", "shout"]"#;
    let scripts = [("x-one-in", script), ("x-one-out", script)];
    for round in 0..20 {
        let body = format!("body {round}");
        let number = origin.requests();
        client.send(sized("POST /reused", &scripts, body.as_bytes()));
        let response = client.read();
        assert_eq!(response.status, 200);
        let request = origin.request(number);
        assert_eq!(request.body, body.to_ascii_uppercase().as_bytes());
        assert_eq!(told_in(&request), [format!("{}:{body}", body.len())]);
        // What is too large, and a call that traps, do not stay with the instance.
        let large = in_chunks(
            "POST /reused",
            &[("x-one-in", r#"["read"]"#)],
            &noise(70_000),
            7000,
        );
        client.send(large);
        assert_eq!(client.read().status, 200);
        let trap = sized(
            "POST /reused",
            &[("x-one-in", r#"["read", "trap"]"#)],
            b"body",
        );
        assert_eq!(gateway.request(trap).status, 500);
    }
}
