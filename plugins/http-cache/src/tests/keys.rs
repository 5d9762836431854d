use super::*;

#[test]
fn a_key_has_what_is_named() {
    let request = || {
        get()
            .authority("API.example:80")
            .header("accept-language", "de")
            .header("Accept-Language", "en")
            .header("cookie", "theme=dark; session=abc")
            .principal("alice")
            .claim("org", "acme")
    };
    let base = ["host", "http", "api.example", "path", "/pets/7"];
    let query = ["query", "page=2&utm_source=mail"];
    for (config, expected) in [
        (json!({}), [&base[..], &query].concat()),
        (json!({ "query": false }), base.to_vec()),
        (
            json!({ "query": true, "host": false }),
            [&base[3..], &query].concat(),
        ),
        (
            json!({ "path": false, "host": false, "literal": "v2" }),
            [&["literal", "v2"][..], &query].concat(),
        ),
        (
            json!({ "query": false, "headers": ["Accept-Language", "x-absent"] }),
            [&base[..], &["header", "accept-language", "de, en"]].concat(),
        ),
        (
            json!({ "query": false, "cookies": ["theme", "absent"] }),
            [&base[..], &["cookie", "theme", "dark"]].concat(),
        ),
        (
            json!({ "query": false, "principal": true, "claims": ["org", "absent"] }),
            [
                &base[..],
                &["principal", "alice", "claim", "org", "\"acme\""],
            ]
            .concat(),
        ),
    ] {
        assert_eq!(
            key(config.clone(), request()).unwrap(),
            expected,
            "{config}"
        );
    }
}

#[test]
fn the_query_can_be_a_part_of_it() {
    let part = |query: Value, target: &str| {
        let config = json!({ "path": false, "host": false, "literal": "", "query": query });
        let parts = key(config, testing::request("GET", target)).unwrap();
        parts.get(3).cloned()
    };
    for (query, target, expected) in [
        (json!(true), "/", None),
        (json!(true), "/?", Some("")),
        (json!(true), "/?b&a=%61", Some("b&a=%61")),
        (
            json!({ "only": ["page"] }),
            "/?x=1&page=2&y=3&x=2",
            Some("page=2"),
        ),
        (json!({ "only": ["page"] }), "/?p%61ge=2", Some("p%61ge=2")),
        (
            json!({ "only": ["a b"] }),
            "/?a%20b=2&ab=3",
            Some("a%20b=2"),
        ),
        (json!({ "only": ["page"] }), "/?x=1", None),
        (json!({ "only": [] }), "/?x=1", None),
        (
            json!({ "except": ["utm_*", "x"] }),
            "/?utm_a=1&utm_=2&utm=3&x=4&y",
            Some("utm=3&y"),
        ),
        (json!({ "except": ["*"] }), "/?a&b", None),
        (json!({ "except": ["x"] }), "/?&&a", Some("a")),
        (json!({ "sort": true }), "/?b=2&a=9&c", Some("a=9&b=2&c")),
        (json!({}), "/?b=2&a=9", Some("b=2&a=9")),
        // What is not UTF-8 decodes to the same, and is not the same.
        (json!({ "only": ["a"] }), "/?a=%ff", Some("a=%ff")),
        (json!({ "only": ["a"] }), "/?a=%fe", Some("a=%fe")),
    ] {
        assert_eq!(
            part(query.clone(), target).as_deref(),
            expected,
            "{query} {target}"
        );
    }
}

/// What is left out of a key must not be what an upstream takes for something that is in it.
#[test]
fn a_query_that_can_be_read_in_more_ways_than_one_bypasses() {
    for (query, target) in [
        (
            json!({ "except": ["utm_*"] }),
            "/?link=a&utm_content=1;link=evil",
        ),
        (json!({ "except": ["x"] }), "/?id=1&id=2"),
        (json!({ "except": ["x"] }), "/?id=1&%69d=2"),
        (json!({ "except": ["x"] }), "/?id=1&ID=2"),
        (json!({ "except": ["x"] }), "/?id=1&id[]=2"),
        (json!({ "except": ["x"] }), "/?id=1&X=2"),
        (json!({ "except": ["utm_*"] }), "/?utm.a=1"),
        (json!({ "only": ["page"] }), "/?page=1;x=2"),
        (json!({ "only": ["page"] }), "/?page=1&page=2"),
        (json!({ "only": ["page"] }), "/?page=1&PAGE=2"),
        (json!({ "only": ["page"] }), "/?x=1&+page=2"),
        (json!({ "only": ["page"] }), "/?page=1&page%5B%5D=2"),
        (json!({ "only": ["page"] }), "/?page%00x=2"),
        (json!({ "only": ["a_b"] }), "/?a.b=2"),
        (json!({ "sort": true }), "/?b=1&a=2;b=3"),
        (json!({ "sort": true }), "/?b=1&a=2&b=3"),
    ] {
        let request = testing::request("GET", target);
        assert_eq!(
            key(json!({ "query": query }), request),
            None,
            "{query} {target}"
        );
    }
    // Where all of it is in the key, or none, there is nothing to be read.
    for query in [json!(true), json!(false)] {
        let request = testing::request("GET", "/?id=1&id=2;ID=3");
        assert!(key(json!({ "query": query }), request).is_some(), "{query}");
    }
}

#[test]
fn no_two_requests_meet_by_chance() {
    let config =
        json!({ "headers": ["a", "b"], "cookies": ["c"], "principal": true, "claims": ["d"] });
    let keys = [
        get(),
        get().header("a", ""),
        get().header("a", "b"),
        get().header("b", "b"),
        get().header("a", "header").header("b", "b"),
        get().header("cookie", "c"),
        get().header("cookie", "c=1"),
        get().principal("1"),
        get().principal("claim"),
        get().claim("d", 1),
        get().claim("d", "1"),
        get().claim("d", Value::Null),
        get().scheme("https"),
        get().authority("other"),
        testing::request("GET", "/pets/7"),
        testing::request("GET", "/pets/7?"),
    ]
    .map(|request| key(config.clone(), request).unwrap());
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one), "{one:?}");
    }
    // The host is one, however it is written.
    let host = |scheme: &str, authority: &str| {
        key(json!({}), get().scheme(scheme).authority(authority)).unwrap()
    };
    assert_eq!(host("http", "A:80"), host("http", "a"));
    assert_eq!(host("https", "a:443"), host("https", "a"));
    assert_ne!(host("https", "a:80"), host("https", "a"));
}

#[test]
fn what_is_no_key_bypasses() {
    let config = json!({ "headers": ["a"], "cookies": ["c"] });
    for request in [
        get().header("a", b"\xff"),
        get().header("cookie", b"c=\xff"),
        get().header("cookie", "c=1; c=2"),
        get().header("cookie", "c=1; C=2"),
        get().header("cookie", "a=1, c=2"),
        get().header("cookie", "a=1, c=2; c=1"),
        get().header("cookie", "C=1"),
        get().header("a", "x".repeat(16 << 10)),
    ] {
        assert_eq!(key(config.clone(), request), None);
    }
    let bound = get().header("a", "x".repeat(16_000));
    let bytes: usize = key(config, bound).unwrap().iter().map(String::len).sum();
    assert!(bytes <= 16 << 10);
}
