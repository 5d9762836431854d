//! What clients see of RFC 9111 and RFC 9110: hits, conditions, ranges, variants, validation.

use tollgate_tests::{Gateway, Origin, Step, eventually};

use super::{FRESH, OLD, answer, ask, assert_hit, assert_miss, cached, field, numbered, said};

#[test]
fn a_miss_then_hits() {
    let origin = numbered("cache-control: max-age=600\r\nx-own: kept\r\n");
    let gateway = Gateway::start(&cached(&origin).toml());
    let miss = gateway.get("/a?x=1");
    assert_miss(&miss, "1");
    assert!(said(&miss).contains("fwd=uri-miss"), "{}", said(&miss));
    assert!(said(&miss).contains("; stored"), "{}", said(&miss));
    for _ in 0..3 {
        let hit = gateway.get("/a?x=1");
        assert_hit(&hit, "1");
        assert_eq!(hit.status, 200);
        assert_eq!(hit.headers("x-own"), ["kept"]);
        assert_eq!(hit.headers("content-length"), ["1"]);
        assert_eq!(hit.headers("cache-status").len(), 1);
        let age: u64 = hit
            .header("age")
            .expect("an age")
            .parse()
            .expect("a number");
        assert!(age < 600, "{age}");
        assert!(hit.header("date").is_some());
        assert_eq!(hit.headers("x-request-id").len(), 1);
        assert_ne!(hit.header("x-request-id"), miss.header("x-request-id"));
    }
    assert_miss(&gateway.get("/a?x=2"), "2");
    assert_miss(&ask(&gateway, "GET", "other.example", "/a?x=1"), "3");
    // A host is the same in whatever case it is written.
    assert_hit(&ask(&gateway, "GET", "TEST.example", "/a?x=1"), "1");
    assert_eq!(origin.requests(), 3);
    assert_eq!(gateway.metric("tollgate_cache_hits_total", &[]), 4.0);
    assert_eq!(gateway.metric("tollgate_cache_misses_total", &[]), 3.0);
    assert_eq!(gateway.metric("tollgate_cache_keys", &[]), 3.0);
}

#[test]
fn hits_on_one_connection() {
    let origin = numbered(FRESH);
    let gateway = Gateway::start(&cached(&origin).toml());
    let mut client = gateway.client();
    assert_miss(&client.get("/a"), "1");
    for _ in 0..3 {
        assert_hit(&client.get("/a"), "1");
        client.send("HEAD /a HTTP/1.1\r\nhost: test.example\r\n\r\n");
        let head = client.read();
        assert_hit(&head, "");
        assert_eq!(head.headers("content-length"), ["1"]);
        client.send("GET /a HTTP/1.1\r\nhost: test.example\r\nif-none-match: *\r\n\r\n");
        assert_eq!(client.read().status, 304);
    }
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_head_is_answered_from_a_get_and_not_the_other_way() {
    let origin = numbered(FRESH);
    let gateway = Gateway::start(&cached(&origin).toml());
    let head = ask(&gateway, "HEAD", "a", "/a");
    assert_miss(&head, "");
    assert_eq!(origin.request(0).method, "HEAD");
    assert_miss(&ask(&gateway, "GET", "a", "/a"), "2");
    let head = ask(&gateway, "HEAD", "a", "/a");
    assert_hit(&head, "");
    assert_eq!(head.status, 200);
    assert_eq!(head.headers("content-length"), ["1"]);
    assert_eq!(origin.requests(), 2);
}

#[test]
fn conditions_of_the_client_are_met_from_the_store() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let lines = "cache-control: max-age=600\r\netag: \"v1\"\r\n\
                 last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-type: text/plain\r\n";
    let origin = numbered(lines);
    let gateway = Gateway::start(&cached(&origin).toml());
    // Also on a miss: what is asked for is the whole, to be stored.
    let response = gateway.get_with("/a", &[("if-none-match", "\"v1\"")]);
    assert_eq!(response.status, 304, "{response:?}");
    assert_eq!(field(&origin.request(0), "if-none-match"), "");
    // The client had its answer before the whole had come.
    eventually("it is stored", || {
        (gateway.metric("tollgate_cache_keys", &[]) == 1.0).then_some(())
    });
    for (name, value, status) in [
        ("if-none-match", "\"v1\"", 304),
        ("if-none-match", "\"v0\", W/\"v1\"", 304),
        ("if-none-match", "\"v0\"", 200),
        ("if-modified-since", modified, 304),
        ("if-modified-since", "Sat, 05 Nov 1994 08:49:37 GMT", 200),
    ] {
        let response = gateway.get_with("/a", &[(name, value)]);
        assert_eq!(response.status, status, "{name}: {value}");
        assert_hit(&response, if status == 304 { "" } else { "1" });
        assert_eq!(response.headers("etag"), ["\"v1\""]);
        assert_eq!(response.headers("cache-control"), ["max-age=600"]);
        if status == 304 {
            assert!(
                response.header("content-length").is_none(),
                "{name}: {value}"
            );
        }
    }
    assert_eq!(origin.requests(), 1);
}

#[test]
fn ranges_are_cut_from_a_hit() {
    let lines = "cache-control: max-age=600\r\netag: \"v1\"\r\n";
    let origin = Origin::raw(move |_| vec![Step::Send(answer(lines, "0123456789"))]);
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_miss(&gateway.get("/a"), "0123456789");
    for (range, status, body, content_range) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=8-100", 206, "89", Some("bytes 8-9/10")),
        ("bytes=10-", 416, "", Some("bytes */10")),
        ("lines=1-2", 200, "0123456789", None),
    ] {
        let response = gateway.get_with("/a", &[("range", range)]);
        assert_eq!(response.status, status, "{range}");
        assert_hit(&response, body);
        assert_eq!(response.header("content-range").as_deref(), content_range);
        assert_eq!(response.headers("content-length"), [body.len().to_string()]);
    }
    let ranged = |tag| gateway.get_with("/a", &[("range", "bytes=0-1"), ("if-range", tag)]);
    assert_eq!(ranged("\"v1\"").status, 206);
    assert_eq!(ranged("\"v0\"").status, 200);
    assert_eq!(origin.requests(), 1);
}

/// The range of a miss is met from the whole, which is stored.
#[test]
fn a_range_of_a_miss_is_cut_from_the_whole() {
    let origin = Origin::raw(move |_| vec![Step::Send(answer(FRESH, "0123456789"))]);
    let gateway = Gateway::start(&cached(&origin).toml());
    let response = gateway.get_with("/a", &[("range", "bytes=2-4")]);
    assert_eq!((response.status, response.text()), (206, "234".into()));
    assert_eq!(field(&origin.request(0), "range"), "");
    assert_hit(&gateway.get("/a"), "0123456789");
}

/// An origin that knows `"v1"`, and answers 304 to who has that.
fn validating(fresh: &'static str) -> Origin {
    Origin::raw(move |request| {
        vec![Step::Send(match field(request, "if-none-match").as_str() {
            "\"v1\"" => format!(
                "HTTP/1.1 304 Not Modified\r\n{fresh}etag: \"v1\"\r\nx-round: second\r\n\r\n"
            )
            .into_bytes(),
            _ => answer(
                &format!("{OLD}etag: \"v1\"\r\nx-round: first\r\n"),
                "stored",
            ),
        })]
    })
}

#[test]
fn what_is_stale_is_validated_and_freshened() {
    let origin = validating(FRESH);
    let gateway = Gateway::start(&cached(&origin).toml());
    let response = gateway.get("/a");
    assert_miss(&response, "stored");
    // The client's own condition and range are not the origin's to see.
    let own = [("if-none-match", "\"mine\""), ("range", "bytes=0-1")];
    let response = gateway.get_with("/a", &own);
    assert_eq!(
        (response.status, response.text()),
        (206, "st".into()),
        "{response:?}"
    );
    let said = said(&response);
    assert!(said.contains("fwd=stale; fwd-status=304"), "{said}");
    let asked = origin.request(1);
    assert_eq!(asked.values("if-none-match"), [b"\"v1\""]);
    assert!(asked.header("range").is_none());

    let response = gateway.get("/a");
    assert_hit(&response, "stored");
    assert_eq!(response.headers("x-round"), ["second"]);
    assert_eq!(response.headers("content-length"), ["6"]);
    assert_eq!(origin.requests(), 2);
}

#[test]
fn who_has_what_is_validated_gets_a_304() {
    let origin = validating(OLD);
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_miss(&gateway.get("/a"), "stored");
    for round in 1..4 {
        let response = gateway.get_with("/a", &[("if-none-match", "\"v1\"")]);
        assert_eq!(response.status, 304, "round {round}");
        assert!(said(&response).contains("fwd=stale"));
        assert!(response.complete);
        let head = ask(&gateway, "HEAD", "test.example", "/a");
        assert_eq!((head.status, head.text()), (200, String::new()));
        assert_eq!(head.headers("content-length"), ["6"]);
    }
    let all = origin.received();
    assert_eq!(all.len(), 7);
    let stored = all[1..]
        .iter()
        .all(|request| field(request, "if-none-match") == "\"v1\"");
    assert!(stored, "{all:?}");
}

#[test]
fn variants_are_told_apart() {
    let origin = Origin::raw(|request| {
        let lines = format!("{FRESH}vary: Accept-Language\r\n");
        vec![Step::Send(answer(
            &lines,
            &field(request, "accept-language"),
        ))]
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    let speak = |language| gateway.get_with("/a", &[("accept-language", language)]);
    assert_miss(&speak("de"), "de");
    assert_miss(&speak("en"), "en");
    assert_miss(&gateway.get("/a"), "");
    for _ in 0..2 {
        assert_hit(&speak("de"), "de");
        assert_hit(&speak("en"), "en");
        assert_hit(&gateway.get("/a"), "");
    }
    let miss = speak("fr");
    assert!(said(&miss).contains("fwd=vary-miss"), "{}", said(&miss));
    assert_eq!(origin.requests(), 4);
}

#[test]
fn what_may_not_be_stored_is_not() {
    for lines in [
        "cache-control: no-store\r\n",
        "cache-control: private, max-age=600\r\n",
        "cache-control: max-age=600\r\nvary: *\r\n",
        "cache-control: max-age=600\r\nset-cookie: a=1\r\n",
        "",
    ] {
        let origin = numbered(lines);
        let gateway = Gateway::start(&cached(&origin).toml());
        for body in ["1", "2", "3"] {
            assert_miss(&gateway.get("/a"), body);
        }
        assert_eq!(gateway.metric("tollgate_cache_keys", &[]), 0.0, "{lines:?}");
    }
    let origin = numbered(FRESH);
    let gateway = Gateway::start(&cached(&origin).toml());
    let own = [("authorization", "Bearer a")];
    assert_miss(&gateway.get_with("/a", &own), "1");
    assert_miss(&gateway.get_with("/a", &own), "2");
    let no_store = [("cache-control", "no-store")];
    assert_miss(&gateway.get_with("/a", &no_store), "3");
    assert_miss(&gateway.get("/a"), "4");
    assert_hit(&gateway.get("/a"), "4");
    let only = gateway.get_with("/b", &[("cache-control", "only-if-cached")]);
    assert_eq!(only.status, 504);
    assert_eq!(origin.requests(), 4);
}

/// What a body asks for is in no key.
#[test]
fn a_get_with_a_body_passes_by() {
    let origin = numbered(FRESH);
    let gateway = Gateway::start(&cached(&origin).toml());
    let head = "GET /a HTTP/1.1\r\nhost: test.example\r\nconnection: close\r\n";
    let bodies = [
        "content-length: 3\r\n\r\none",
        "transfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
    ];
    for (number, body) in bodies.iter().enumerate() {
        let response = gateway.request(format!("{head}{body}"));
        assert_miss(&response, &(number + 1).to_string());
        assert!(said(&response).contains("fwd=bypass") || said(&response).contains("fwd=request"));
    }
    assert_miss(&gateway.get("/a"), "3");
    for (number, body) in bodies.iter().enumerate() {
        assert_miss(
            &gateway.request(format!("{head}{body}")),
            &(number + 4).to_string(),
        );
    }
    assert_hit(&gateway.get("/a"), "3");
    let sent: Vec<String> = origin
        .received()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body).into_owned())
        .collect();
    assert_eq!(sent, ["one", "two", "", "one", "two"]);
}
