use super::*;

fn minute() -> Retention {
    Retention::fresh(Duration::from_secs(60))
}

#[test]
fn a_ttl_stands_in_for_what_a_response_does_not_say() {
    let keep = Storage::from(minute());
    let standard = Storage::Standard;
    for (response, nothing, lifetime, everything) in [
        (ok(), &keep, &keep, &keep),
        (cc("public"), &keep, &keep, &keep),
        (cc("must-revalidate"), &keep, &keep, &keep),
        (cc("no-transform, x-y"), &keep, &keep, &keep),
        (cc("private=\"set-cookie\""), &keep, &keep, &keep),
        (cc("no-cache=\"a, max-age=1\""), &keep, &keep, &keep),
        (cc("max-age=9"), &standard, &keep, &keep),
        (cc("S-MaxAge = 9"), &standard, &keep, &keep),
        (
            cc("public").header("cache-control", "Max-Age=9"),
            &standard,
            &keep,
            &keep,
        ),
        (ok().header("expires", "0"), &standard, &keep, &keep),
        (cc("private"), &standard, &standard, &keep),
        (cc("private=\"\""), &standard, &standard, &keep),
        (cc("a=\"\\\"\", Private"), &standard, &standard, &keep),
        (cc("no-store"), &standard, &standard, &keep),
        (cc("no-cache, max-age=9"), &standard, &standard, &keep),
        (testing::response(404), &standard, &standard, &standard),
    ] {
        let response = response.build();
        for (overrides, expected) in [
            ("nothing", nothing),
            ("lifetime", lifetime),
            ("everything", everything),
        ] {
            let plugin = plugin(json!({ "ttl": "60s", "override": overrides }));
            let found = testing::store(&plugin, &get().build(), &response).unwrap();
            assert_eq!(found, *expected, "{overrides}: {:?}", response.headers());
        }
    }
}

#[test]
fn times_by_status_and_units() {
    let config = json!({ "ttl": { "200": "2h", "301": "1d", "404": "500ms", "503": "5m" } });
    for (status, milliseconds) in [
        (200, Some(7_200_000)),
        (301, Some(86_400_000)),
        (404, Some(500)),
        (503, Some(300_000)),
        (201, None),
    ] {
        let expected = match milliseconds {
            Some(time) => Retention::fresh(Duration::from_millis(time)).into(),
            None => Storage::Standard,
        };
        assert_eq!(
            stored(config.clone(), get(), testing::response(status)),
            expected
        );
    }
}

#[test]
fn stale_answers() {
    let config = json!({
        "ttl": "60s",
        "override": "lifetime",
        "stale-while-revalidate": "10s",
        "stale-if-error": "1h",
    });
    let stale = minute()
        .stale_while_revalidate(Duration::from_secs(10))
        .stale_if_error(Duration::from_secs(3600));
    assert_eq!(stored(config.clone(), get(), ok()), stale.clone().into());
    for value in ["must-revalidate", "max-age=1, proxy-revalidate"] {
        assert_eq!(stored(config.clone(), get(), cc(value)), minute().into());
    }
    let mut all = config;
    all["override"] = json!("everything");
    assert_eq!(stored(all, get(), cc("must-revalidate")), stale.into());
    let only_stale = json!({ "ttl": "0s", "stale-while-revalidate": "1s" });
    let expected = Retention::fresh(Duration::ZERO).stale_while_revalidate(Duration::from_secs(1));
    assert_eq!(stored(only_stale, get(), ok()), expected.into());
}

/// Of callers that are known, nothing is shared unless the response says so.
#[test]
fn a_principals_answer_is_its_own() {
    let keep = Storage::from(minute());
    let (never, standard) = (Storage::Never, Storage::Standard);
    let ttl = |more: Value| {
        let mut config = json!({ "ttl": "60s", "override": "lifetime" });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        config
    };
    for (config, silent, public) in [
        (json!({}), &never, &standard),
        (json!({ "key": {} }), &never, &standard),
        (
            json!({ "key": { "principal": true } }),
            &standard,
            &standard,
        ),
        (ttl(json!({})), &never, &keep),
        (ttl(json!({ "key": { "claims": ["org"] } })), &never, &keep),
        (ttl(json!({ "key": { "principal": true } })), &keep, &keep),
    ] {
        let alice = || get().principal("alice").header("x-api-key", "k");
        assert_eq!(stored(config.clone(), alice(), ok()), *silent, "{config}");
        assert_eq!(
            stored(config.clone(), alice(), cc("public")),
            *public,
            "{config}"
        );
        assert_eq!(stored(config.clone(), alice(), cc("s-maxage=9")), *public);
        // It may be shared with those who are known alike; an API key is nothing the origin knows of.
        assert_eq!(
            stored(config.clone(), alice(), cc("must-revalidate")),
            *silent
        );
    }
}

/// Where all callers are the same, nobody's answer is.
#[test]
fn a_shared_answer_is_everybodys() {
    for config in [
        json!({ "share": true }),
        json!({ "share": true, "ttl": "60s" }),
    ] {
        let alice = get()
            .principal("alice")
            .header("authorization", "Bearer x")
            .header("cookie", "a=b");
        let found = stored(config.clone(), alice, ok());
        let kept = matches!(
            (&found, config.get("ttl")),
            (Storage::StandardWithout(_), None) | (Storage::Retain(_), Some(_))
        );
        assert!(kept, "{config}: {found:?}");
    }
}

/// An authorizer further in than the cache names the principal only when the key is made.
#[test]
fn a_principal_that_comes_too_late_for_the_key() {
    let plugin = plugin(json!({ "key": { "principal": true }, "ttl": "60s" }));
    let before = get().build();
    let EntryKey::Keyed(parts) = testing::lookup(&plugin, &before).unwrap() else {
        panic!("there is a key");
    };
    assert!(!parts.contains(&"principal".to_owned()));
    assert!(before.own_attribute("anonymous").is_some());
    let response = ok().build();
    let stored = testing::store(&plugin, &before, &response).unwrap();
    assert_eq!(stored, minute().into());

    let after = get().principal("alice").build();
    after.set_attribute("anonymous", "").unwrap();
    let stored = testing::store(&plugin, &after, &response).unwrap();
    assert_eq!(stored, Storage::Never);
}

#[test]
fn what_else_tells_callers_apart_keeps_a_ttl_from_sharing() {
    let ttl = |key: Value| json!({ "ttl": "60s", "override": "lifetime", "key": key });
    let bearer = || get().header("authorization", "Bearer x");
    let cookie = || get().header("cookie", "session=x");
    let keep = Storage::from(minute());
    let standard = Storage::Standard;
    for (config, request, response, expected) in [
        (ttl(json!({})), bearer(), ok(), &standard),
        (ttl(json!({})), bearer(), cc("public"), &keep),
        (
            ttl(json!({ "headers": ["Authorization"] })),
            bearer(),
            ok(),
            &keep,
        ),
        (
            ttl(json!({ "principal": true })),
            bearer().principal("a"),
            ok(),
            &keep,
        ),
        (ttl(json!({ "principal": true })), bearer(), ok(), &standard),
        (ttl(json!({})), cookie(), ok(), &standard),
        (ttl(json!({})), cookie(), cc("s-maxage=1"), &keep),
        (
            ttl(json!({ "cookies": ["session"] })),
            cookie(),
            ok(),
            &keep,
        ),
        (ttl(json!({ "headers": ["cookie"] })), cookie(), ok(), &keep),
        // A part of an identity is not all of it.
        (
            ttl(json!({ "cookies": ["lang"] })),
            get().header("cookie", "lang=de; session=x"),
            ok(),
            &standard,
        ),
        (
            ttl(json!({ "cookies": ["lang", "session"] })),
            get().header("cookie", "lang=de; session=x;"),
            ok(),
            &keep,
        ),
        (
            ttl(json!({ "cookies": ["session"] })),
            get().header("cookie", "Session=x"),
            ok(),
            &standard,
        ),
        (
            ttl(json!({ "principal": true })),
            cookie().principal("a"),
            ok(),
            &standard,
        ),
        (
            ttl(json!({ "cookies": ["session"] })),
            cookie().header("authorization", "Bearer x"),
            ok(),
            &standard,
        ),
        (
            ttl(json!({ "headers": ["authorization"] })),
            cookie().header("authorization", "Bearer x"),
            ok(),
            &standard,
        ),
    ] {
        assert_eq!(
            stored(config.clone(), request, response),
            *expected,
            "{config}"
        );
    }
}

#[test]
fn what_says_who_the_caller_is_can_be_named() {
    let personal = json!({ "headers": ["X-User"], "cookies-except": ["_ga*", "lang"] });
    let with = |mut config: Value| {
        config["personal"] = personal.clone();
        config
    };
    let ttl = || with(json!({ "ttl": "60s" }));
    let user = || get().header("x-user", "alice");
    let keep = Storage::from(minute());
    let (standard, never) = (Storage::Standard, Storage::Never);
    for (config, request, response, expected) in [
        (
            ttl(),
            get().header("cookie", "_ga=1; _ga_X=2; lang=de"),
            ok(),
            &keep,
        ),
        (
            ttl(),
            get().header("cookie", "_ga=1; session=x"),
            ok(),
            &standard,
        ),
        (ttl(), user(), ok(), &never),
        (ttl(), user(), cc("public"), &keep),
        (with(json!({})), user(), cc("max-age=9"), &never),
        (with(json!({})), user(), cc("public, max-age=9"), &standard),
        (
            with(json!({})),
            get().header("cookie", "session=x"),
            cc("max-age=9"),
            &standard,
        ),
        (
            with(json!({ "ttl": "60s", "key": { "headers": ["x-user"] } })),
            user(),
            ok(),
            &keep,
        ),
    ] {
        assert_eq!(
            stored(config.clone(), request, response),
            *expected,
            "{config}"
        );
    }
}

/// What is kept without some of its headers. That others are not kept with a cookie is the gateway's to see.
#[test]
fn headers_that_are_taken_out() {
    let without = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut retention = minute();
        retention.without = names.clone();
        (Storage::StandardWithout(names), Storage::Retain(retention))
    };
    let cookies = &["set-cookie", "set-cookie2"];
    for (config, names) in [
        (
            json!({ "strip": ["Set-Cookie", "x-csrf-token"] }),
            &["Set-Cookie", "x-csrf-token"][..],
        ),
        (json!({ "share": true }), cookies),
        (
            json!({ "share": true, "strip": ["a"] }),
            &["a", "set-cookie", "set-cookie2"],
        ),
    ] {
        let (standard, retained) = without(names);
        let response = || ok().header("set-cookie", "a=b");
        assert_eq!(stored(config.clone(), get(), response()), standard);
        let mut config = config;
        config["ttl"] = json!("60s");
        assert_eq!(stored(config.clone(), get(), response()), retained);
        let lives = response().header("cache-control", "max-age=9");
        assert_eq!(stored(config, get(), lives), standard);
    }
}

#[test]
fn tags() {
    let config = json!({
        "ttl": "60s",
        "tags": ["pets", "pet-{path.id}", "{header.x-absent}", "{{{claim.org}}}", "{route}/{host}",
                 "{response.x-kind}", "{query.page}{variable.zone}", "{claim.n}", "{claim.list}"],
        "tags-header": "Surrogate-Key",
    });
    let request = || {
        get()
            .path_parameter("id", "7")
            .claim("org", "acme")
            .claim("list", json!(["a"]))
            .claim("n", 5)
            .variable("zone", "eu")
    };
    let response = ok()
        .header("x-kind", "dog")
        .header("surrogate-key", "a  b,c")
        .header("surrogate-key", "d");
    let Storage::Retain(retention) = stored(config.clone(), request(), response) else {
        panic!("it is kept");
    };
    assert_eq!(
        retention.tags,
        [
            "pets",
            "pet-7",
            "{acme}",
            "test-route/api.example",
            "dog",
            "2eu",
            "5",
            "[\"a\"]",
            "a",
            "b",
            "c",
            "d"
        ]
    );
    // An upstream may send any number, of any length.
    let many = format!("{} {}", "x".repeat(129), "y ".repeat(1000));
    let response = ok().header("surrogate-key", many);
    let Storage::Retain(retention) = stored(config, request(), response) else {
        panic!("it is kept");
    };
    assert_eq!(retention.tags.len(), 32);
    assert!(retention.tags.iter().all(|tag| tag.len() <= 128));
}
