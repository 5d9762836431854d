//! What makes a stored response obsolete: unsafe methods (RFC 9111, section 4.4), and purges.

use super::super::PurgeKey;
use super::*;

async fn store(cache: &Arc<Cache>, ask: &Ask) {
    let lives = says(&[("cache-control", "max-age=3600")]);
    exchange(cache, ask, lives).await;
    assert!(is_stored(cache, ask).await);
}

async fn is_stored(cache: &Arc<Cache>, ask: &Ask) -> bool {
    matches!(ask.look(cache).await, Found::Served(_))
}

/// The suite's invalidation.
#[tokio::test]
async fn unsafe_methods() {
    for (method, status, dropped) in [
        ("POST", 200, true),
        ("PUT", 204, true),
        ("DELETE", 200, true),
        ("M-SEARCH", 200, true),
        ("PATCH", 303, true),
        ("POST", 500, false),
        ("POST", 404, false),
        ("OPTIONS", 200, false),
        ("TRACE", 200, false),
    ] {
        let cache = Cache::new(settings());
        let (target, other) = (get("/a?b"), get("/a"));
        store(&cache, &target).await;
        store(&cache, &other).await;
        let got = exchange(
            &cache,
            &get("/a?b").method(method),
            says(&[]).status(status),
        )
        .await;
        assert_eq!(got.cache_status(), "tollgate; fwd=method");
        assert_eq!(
            is_stored(&cache, &target).await,
            !dropped,
            "{method} {status}"
        );
        assert!(is_stored(&cache, &other).await);
    }
}

#[tokio::test]
async fn what_the_response_speaks_of() {
    for name in ["location", "content-location"] {
        for (reference, dropped) in [
            ("/a/target", true),
            ("target", true),
            ("http://example.com/a/target", true),
            ("http://other.com/a/target", false),
            ("/a/other", false),
        ] {
            let cache = Cache::new(settings());
            let target = get("/a/target");
            store(&cache, &target).await;
            exchange(
                &cache,
                &get("/a/b").method("POST"),
                says(&[(name, reference)]),
            )
            .await;
            assert_eq!(
                is_stored(&cache, &target).await,
                !dropped,
                "{name} {reference}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_bypasses_or_has_a_key() {
    let cache = Cache::new(settings());
    store(&cache, &get("/")).await;
    let mut bypass = get("/").method("POST");
    bypass.mode = KeyMode::Bypass;
    exchange(&cache, &bypass, says(&[])).await;
    assert!(!is_stored(&cache, &get("/")).await);
    store(&cache, &get("/").keyed(&["k"])).await;
    exchange(&cache, &get("/x").method("POST").keyed(&["k"]), says(&[])).await;
    assert!(!is_stored(&cache, &get("/").keyed(&["k"])).await);
}

/// A response that was requested before a change is not stored after it, and not shared with requests after
/// it.
#[tokio::test(start_paused = true)]
async fn fetches_under_way() {
    let cache = Cache::new(settings());
    let began = tokio::time::Instant::now();
    let lives = says(&[("cache-control", "max-age=3600")]);
    let Found::Fetch(before) = get("/").look(&cache).await else {
        panic!("no fetch");
    };
    exchange(&cache, &get("/").method("PUT"), says(&[])).await;
    let Found::Fetch(later) = get("/").look(&cache).await else {
        panic!("has what is obsolete");
    };
    assert!(began.elapsed().is_zero(), "waits for what is obsolete");
    read(lives.clone().answer(before, start()).body)
        .await
        .unwrap();
    assert_eq!(cache.stats().entries, 0);
    let body = lives.clone().body("new").answer(later, start()).body;
    assert_eq!(read(body).await.unwrap(), b"new");
    assert_eq!(exchange(&cache, &get("/"), says(&[])).await.body, "new");
    // Nor does a purge of a tag that it might have.
    let Found::Fetch(before) = get("/2").look(&cache).await else {
        panic!("no fetch");
    };
    cache.purge(None, &PurgeKey::Tag("t".to_owned()));
    read(lives.answer(before, start()).body).await.unwrap();
    assert!(!is_stored(&cache, &get("/2")).await);
}

#[tokio::test]
async fn an_older_answer_does_not_replace_a_newer() {
    let cache = Cache::new(settings());
    let lives = says(&[("cache-control", "max-age=3600")]);
    let insists = get("/").with("cache-control", "no-cache");
    store(&cache, &get("/")).await;
    let Found::Fetch(older) = insists.clone().at(1).look(&cache).await else {
        panic!("no fetch");
    };
    exchange(&cache, &insists.clone().at(2), lives.clone().body("newer")).await;
    read(lives.body("older").answer(older, after(3)).body)
        .await
        .unwrap();
    assert_eq!(
        exchange(&cache, &get("/").at(3), says(&[])).await.body,
        "newer"
    );
}

#[tokio::test]
async fn purges() {
    let tagged = |tag: &str| {
        says(&[]).storage(Storage::Retain(Retention {
            fresh: Duration::from_secs(60),
            tags: vec![tag.to_owned(), "all".to_owned()],
            ..Retention::default()
        }))
    };
    let uri = |path: &str| PurgeKey::Uri {
        scheme: "http".to_owned(),
        authority: "Example.com:80".to_owned(),
        path_and_query: path.to_owned(),
    };
    let parts =
        |parts: &[&str]| PurgeKey::Parts(parts.iter().map(|part| part.to_string()).collect());
    let tag = |tag: &str| PurgeKey::Tag(tag.to_owned());
    for (namespace, what, dropped) in [
        (Some(NAMESPACE), uri("/a"), 0b001),
        (None, uri("/a"), 0b001),
        (Some("other"), uri("/a"), 0),
        (None, uri("/x"), 0),
        (Some(NAMESPACE), parts(&["k"]), 0b100),
        (None, parts(&["k"]), 0b100),
        (None, parts(&["x"]), 0),
        (None, tag("b"), 0b010),
        (Some(NAMESPACE), tag("all"), 0b111),
        (Some("other"), tag("all"), 0),
        (None, tag("x"), 0),
        (None, PurgeKey::All, 0b111),
        (Some("other"), PurgeKey::All, 0),
    ] {
        let cache = Cache::new(settings());
        let asks = [get("/a"), get("/b"), get("/c").keyed(&["k"])];
        for (ask, tag) in asks.iter().zip(["a", "b", "c"]) {
            exchange(&cache, ask, tagged(tag)).await;
        }
        // All variants of a key are dropped with it.
        let varied = says(&[("vary", "foo"), ("cache-control", "max-age=9")]);
        exchange(
            &cache,
            &get("/a").with("foo", "1").with("cache-control", "no-cache"),
            varied,
        )
        .await;
        let mut gone = 0;
        let count = cache.purge(namespace, &what);
        for (bit, ask) in asks.iter().enumerate() {
            gone |= u32::from(!is_stored(&cache, ask).await) << bit;
        }
        assert_eq!(gone, dropped, "{what:?}");
        assert_eq!(count, dropped.count_ones() as usize, "{what:?}");
        if dropped & 1 == 1 {
            assert!(!is_stored(&cache, &get("/a").with("foo", "1")).await);
        }
    }
}

/// RFC 9111, section 4.1: a response without a `Vary` does not hide those chosen by one.
#[tokio::test]
async fn a_default_response_does_not_hide_variants() {
    let cache = Cache::new(settings());
    let lives = |fields: &[(&str, &str)], body| {
        says(&[&[("cache-control", "max-age=3600")], fields].concat()).body(body)
    };
    let foo = |value: &str| get("/").with("foo", value);
    exchange(&cache, &foo("1"), lives(&[("vary", "foo")], "one")).await;
    exchange(&cache, &get("/"), lives(&[], "default")).await;
    for (ask, body) in [
        (foo("1"), "one"),
        (get("/"), "default"),
        (foo("2"), "default"),
    ] {
        let got = exchange(&cache, &ask, says(&[]).body("new")).await;
        assert_eq!((got.is_cached(), got.body.as_str()), (true, body));
    }
    // A stale one does not hide a fresh one.
    let cache = Cache::new(settings());
    let short = says(&[("cache-control", "max-age=1"), ("vary", "foo")]);
    exchange(&cache, &foo("1"), short).await;
    exchange(&cache, &get("/").at(2), lives(&[], "default")).await;
    let got = exchange(&cache, &foo("1").at(3), says(&[]).body("new")).await;
    assert_eq!((got.is_cached(), got.body.as_str()), (true, "default"));
}

/// Of several matching responses, the one with the latest `Date` answers, whatever their order of arrival.
#[tokio::test]
async fn the_most_recent_by_date() {
    for newest in [0, 1] {
        let cache = Cache::new(settings());
        for (at, name) in ["foo", "bar"].into_iter().enumerate() {
            let dated = date(if at == newest { 0 } else { -60 });
            let fields = [
                ("cache-control", "max-age=3600"),
                ("vary", name),
                ("date", &*dated),
            ];
            let body = if at == newest { "new" } else { "old" };
            let insists = get("/").with("cache-control", "no-cache");
            exchange(&cache, &insists, says(&fields).body(body)).await;
        }
        assert_eq!(cache.stats().entries, 1);
        let got = exchange(&cache, &get("/"), says(&[])).await;
        assert_eq!(
            (got.is_cached(), got.body.as_str()),
            (true, "new"),
            "{newest}"
        );
    }
}

/// A request that a server may treat as another method neither reads nor fills the cache.
#[tokio::test]
async fn a_method_in_a_field_passes_by() {
    let cache = Cache::new(settings());
    let lives = || says(&[("cache-control", "max-age=3600")]);
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let ask = get("/").with(name, "DELETE");
        let got = exchange(&cache, &ask, lives().body("gone")).await;
        assert_eq!(got.cache_status(), "tollgate; fwd=request");
        assert_eq!(cache.stats().entries, 0);
    }
}
