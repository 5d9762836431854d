//! Validation, conditions, ranges, HEAD, and what a plugin decides.

use super::*;

fn retain(fresh: u64, tags: &[&str]) -> Storage {
    Storage::Retain(Retention {
        fresh: Duration::from_secs(fresh),
        stale_while_revalidate: Duration::from_secs(2),
        stale_if_error: Duration::from_secs(20),
        tags: tags.iter().map(|tag| tag.to_string()).collect(),
    })
}

const CC: &str = "cache-control";

#[tokio::test]
async fn a_hit_has_age_and_date_and_shares_the_body() {
    let cache = Cache::new(settings());
    let (now, later) = (date(0), date(-20));
    let first = says(&[
        (CC, "max-age=600"),
        ("age", "30"),
        ("date", &later),
        ("connection", "x"),
        ("proxy-authenticate", "y"),
    ]);
    let got = exchange(&cache, &get("/a?b"), first).await;
    assert_eq!(
        got.cache_status(),
        "tollgate; fwd=uri-miss; ttl=570; stored"
    );
    assert_eq!(got.field("age"), Some("30"));
    let got = exchange(&cache, &get("/a?b").at(3), says(&[])).await;
    assert!(got.is_cached());
    assert_eq!(got.cache_status(), "tollgate; hit; ttl=567");
    assert_eq!(
        (got.field("age"), got.field("date")),
        (Some("33"), Some(later.as_str()))
    );
    assert_eq!(
        (got.field("connection"), got.field("proxy-authenticate")),
        (None, None)
    );
    assert_eq!(got.field("content-length"), Some("5"));
    assert!(!exchange(&cache, &get("/a?c"), says(&[])).await.is_cached());
    // One without a date gets the time at which it came.
    exchange(&cache, &get("/b"), says(&[(CC, "max-age=600")])).await;
    assert_eq!(
        exchange(&cache, &get("/b").at(3), says(&[]))
            .await
            .field("date"),
        Some(now.as_str())
    );
    // No copy: two readers have the same bytes in memory.
    let mut pointers = Vec::new();
    for _ in 0..2 {
        let Found::Answer(mut answer) = get("/b").look(&cache).await else {
            panic!("a miss");
        };
        pointers.push(next(&mut answer.body).await.unwrap().unwrap().as_ptr());
    }
    assert_eq!(pointers[0], pointers[1]);
    assert_eq!(cache.stats().hits, 4);
    assert_eq!(cache.stats().entries, 2);
    assert!((1..64 << 10).contains(&cache.stats().bytes));
}

#[tokio::test]
async fn cache_status_of_others_stays() {
    let cache = Cache::new(settings());
    exchange(
        &cache,
        &get("/"),
        says(&[(CC, "max-age=600"), ("cache-status", "Origin; hit")]),
    )
    .await;
    let got = exchange(&cache, &get("/"), says(&[])).await;
    let members: Vec<_> = got.headers.get_all("cache-status").iter().collect();
    assert_eq!(members, ["Origin; hit", "tollgate; hit; ttl=600"]);
}

#[tokio::test]
async fn a_stale_response_is_validated_and_freshened() {
    let cache = Cache::new(settings());
    let modified = date(-86_400);
    let first = says(&[
        (CC, "max-age=2"),
        ("etag", "\"a\""),
        ("last-modified", &modified),
        ("test", "A"),
        ("kept", "1"),
        ("content-encoding", "x"),
        ("content-md5", "m"),
    ]);
    exchange(&cache, &get("/"), first).await;
    let same_body = |cache: &Arc<Cache>| {
        let cache = Arc::clone(cache);
        async move {
            let Found::Answer(mut answer) = get("/").at(3).look(&cache).await else {
                panic!("a miss");
            };
            next(&mut answer.body).await.unwrap().unwrap().as_ptr()
        }
    };
    let fresh = get("/").at(1);
    let Found::Answer(mut answer) = fresh.look(&cache).await else {
        panic!("a miss");
    };
    let before = next(&mut answer.body).await.unwrap().unwrap().as_ptr();
    let update = says(&[
        (CC, "max-age=100"),
        ("etag", "\"b\""),
        ("test", "B"),
        ("content-length", "0"),
        ("content-encoding", "y"),
        ("content-md5", "n"),
    ]);
    let conditional = get("/")
        .at(3)
        .with("if-none-match", "\"other\"")
        .with("range", "bytes=0-1");
    let got = exchange(&cache, &conditional, update.status(304).body("")).await;
    assert_eq!(got.forwarded("if-none-match"), Some("\"a\""));
    assert_eq!(got.forwarded("if-modified-since"), Some(modified.as_str()));
    assert_eq!(got.forwarded("range"), None);
    assert_eq!((got.status, got.body.as_str()), (206, "he"));
    assert_eq!(
        got.cache_status(),
        "tollgate; fwd=stale; fwd-status=304; ttl=100; stored"
    );
    let got = exchange(&cache, &get("/").at(3), says(&[])).await;
    assert!(got.is_cached());
    for (name, value) in [
        ("test", "B"),
        ("kept", "1"),
        ("etag", "\"a\""),
        ("content-length", "5"),
        ("content-encoding", "x"),
        ("content-md5", "m"),
        ("age", "0"),
        ("date", &date(3)),
    ] {
        assert_eq!(got.field(name), Some(value), "{name}");
    }
    assert_eq!(same_body(&cache).await, before);
    assert!(
        !exchange(&cache, &get("/").at(103), says(&[]))
            .await
            .is_cached()
    );
}

#[tokio::test]
async fn no_cache_is_stored_and_validated_each_time() {
    let cache = Cache::new(settings());
    let first = says(&[(CC, "max-age=3600, no-cache"), ("etag", "\"a\"")]);
    exchange(&cache, &get("/"), first).await;
    for _ in 0..2 {
        let got = exchange(&cache, &get("/"), says(&[]).status(304)).await;
        assert_eq!(got.forwarded("if-none-match"), Some("\"a\""));
        assert_eq!((got.status, got.body.as_str()), (200, "hello"));
    }
    // Another answer takes its place, or nothing does.
    let got = exchange(&cache, &get("/"), says(&[(CC, "no-store")]).body("new")).await;
    assert_eq!(got.body, "new");
    let got = exchange(&cache, &get("/"), says(&[]).body("newer")).await;
    assert_eq!(
        (got.forwarded("if-none-match"), got.body.as_str()),
        (None, "newer")
    );
}

#[tokio::test]
async fn a_304_may_end_what_is_stored() {
    let cache = Cache::new(settings());
    exchange(
        &cache,
        &get("/"),
        says(&[(CC, "no-cache"), ("etag", "\"a\"")]),
    )
    .await;
    let private = says(&[(CC, "private"), ("mine", "1")]).status(304);
    let got = exchange(&cache, &get("/"), private).await;
    assert_eq!((got.body.as_str(), got.field("mine")), ("hello", Some("1")));
    assert_eq!(got.cache_status(), "tollgate; fwd=stale; fwd-status=304");
    let got = exchange(&cache, &get("/"), says(&[])).await;
    assert_eq!(got.forwarded("if-none-match"), None);
}

/// A cookie that comes with a 304 is for the one who asked.
#[tokio::test]
async fn cookies_of_a_304() {
    let cache = Cache::new(settings());
    exchange(
        &cache,
        &get("/"),
        says(&[(CC, "max-age=1"), ("etag", "\"a\"")]),
    )
    .await;
    let update = says(&[(CC, "max-age=100"), ("set-cookie", "a=b")]).status(304);
    let got = exchange(&cache, &get("/").at(2), update).await;
    assert_eq!(got.field("set-cookie"), Some("a=b"));
    let got = exchange(&cache, &get("/").at(3), says(&[])).await;
    assert_eq!((got.is_cached(), got.field("set-cookie")), (true, None));
}

#[tokio::test]
async fn clients_conditions() {
    let cache = Cache::new(settings());
    let matching = get("/").with("if-none-match", "\"a\"");
    let first = says(&[
        (CC, "max-age=2"),
        ("etag", "\"a\""),
        ("content-type", "text/plain"),
        ("x", "1"),
    ]);
    // On a miss the origin is asked for all of it, so that it can be stored.
    let got = exchange(&cache, &matching, first.clone()).await;
    assert_eq!(got.forwarded("if-none-match"), None);
    assert_eq!((got.status, got.body.as_str()), (304, ""));
    assert_eq!(
        got.cache_status(),
        "tollgate; fwd=uri-miss; fwd-status=200; ttl=2; stored"
    );
    settle().await;
    let got = exchange(&cache, &matching, says(&[])).await;
    assert_eq!(
        (got.status, got.body.as_str(), got.is_cached()),
        (304, "", true)
    );
    assert_eq!(
        (got.field("etag"), got.field("x")),
        (Some("\"a\""), Some("1"))
    );
    assert_eq!(
        (got.field("content-length"), got.field("content-type")),
        (None, None)
    );
    assert_eq!(got.cache_status(), "tollgate; hit; ttl=2");
    let got = exchange(&cache, &get("/").with("if-none-match", "\"b\""), says(&[])).await;
    assert_eq!((got.status, got.is_cached()), (200, true));
    // Stale: it is validated first.
    let got = exchange(&cache, &matching.clone().at(3), first.status(304)).await;
    assert_eq!(
        (got.status, got.forwarded("if-none-match")),
        (304, Some("\"a\""))
    );
    // What only the origin can judge goes there.
    let got = exchange(
        &cache,
        &get("/").with("if-match", "\"a\""),
        says(&[]).status(412),
    )
    .await;
    assert_eq!(
        (got.status, got.cache_status()),
        (412, "tollgate; fwd=request")
    );
    // What is not stored is met all the same, since the condition was taken off.
    let private = says(&[(CC, "private"), ("etag", "\"p\"")]);
    let ask = get("/private").with("if-none-match", "\"p\"");
    assert_eq!(exchange(&cache, &ask, private.clone()).await.status, 304);
    // From then on it is left to the origin.
    let got = exchange(&cache, &ask, private.status(304)).await;
    assert_eq!(
        (got.status, got.forwarded("if-none-match")),
        (304, Some("\"p\""))
    );
    assert_eq!(got.cache_status(), "tollgate; fwd=uri-miss");
}

#[tokio::test]
async fn head_from_get() {
    let cache = Cache::new(settings());
    let head = get("/").method("HEAD");
    let first = exchange(&cache, &head, says(&[(CC, "max-age=2")])).await;
    assert_eq!(first.cache_status(), "tollgate; fwd=uri-miss");
    assert_eq!(first.forwarded.unwrap().0, Method::HEAD);
    let got = exchange(
        &cache,
        &get("/"),
        says(&[(CC, "max-age=2"), ("etag", "\"a\"")]),
    )
    .await;
    assert!(!got.is_cached(), "a response to HEAD is not stored");
    let got = exchange(&cache, &head.clone().with("range", "bytes=0-0"), says(&[])).await;
    assert_eq!(
        (got.status, got.body.as_str(), got.is_cached()),
        (200, "", true)
    );
    assert_eq!(got.field("content-length"), Some("5"));
    // Validated as HEAD; what is freshened so is fresh for GET.
    let stale = head.clone().at(3);
    let update = says(&[(CC, "max-age=50")]).status(304).body("");
    let got = exchange(&cache, &stale, update).await;
    assert_eq!((got.status, got.body.as_str()), (200, ""));
    assert_eq!(got.forwarded("if-none-match"), Some("\"a\""));
    assert_eq!(got.forwarded.unwrap().0, Method::HEAD);
    let got = exchange(&cache, &get("/").at(3), says(&[])).await;
    assert_eq!((got.is_cached(), got.body.as_str()), (true, "hello"));
    // A whole answer to HEAD is the client's, and leaves what is stored.
    let got = exchange(
        &cache,
        &head.clone().at(60),
        says(&[("content-length", "7")]).body(""),
    )
    .await;
    assert_eq!(got.field("content-length"), Some("7"));
    let got = exchange(
        &cache,
        &get("/").at(60),
        says(&[(CC, "max-age=1")]).status(304),
    )
    .await;
    assert_eq!(got.body, "hello");
}

/// The suite's partial, for what is stored complete.
#[tokio::test]
async fn ranges() {
    let cache = Cache::new(settings());
    let whole = says(&[(CC, "max-age=3600"), ("etag", "\"a\"")]).body("0123456789A");
    // On a miss, too: all of it is fetched.
    let got = exchange(&cache, &get("/").with("range", "bytes=3-4"), whole).await;
    assert_eq!(got.forwarded("range"), None);
    assert_eq!((got.status, got.body.as_str()), (206, "34"));
    settle().await;
    for (range, status, body, content_range) in [
        ("bytes=0-1", 206, "01", Some("bytes 0-1/11")),
        ("bytes=1-", 206, "123456789A", Some("bytes 1-10/11")),
        ("bytes=-1", 206, "A", Some("bytes 10-10/11")),
        ("bytes=11-", 416, "", Some("bytes */11")),
        ("bytes=0-1,3-4", 200, "0123456789A", None),
    ] {
        let got = exchange(&cache, &get("/").with("range", range), says(&[])).await;
        assert!(got.is_cached());
        assert_eq!((got.status, got.body.as_str()), (status, body), "{range}");
        assert_eq!(got.field("content-range"), content_range);
        assert_eq!(got.field("content-length").unwrap(), body.len().to_string());
    }
    for (validator, status) in [("\"a\"", 206), ("\"b\"", 200)] {
        let ask = get("/")
            .with("range", "bytes=0-1")
            .with("if-range", validator);
        assert_eq!(exchange(&cache, &ask, says(&[])).await.status, status);
    }
    // A part is not stored, whoever says so.
    let part = says(&[("content-range", "bytes 0-1/11")])
        .status(206)
        .body("01");
    let kept = exchange(&cache, &get("/part"), part.storage(retain(60, &[]))).await;
    assert_eq!(kept.cache_status(), "tollgate; fwd=uri-miss");
    assert!(!exchange(&cache, &get("/part"), says(&[])).await.is_cached());
    // What is not stored is cut all the same; its range was taken off.
    let private = says(&[(CC, "private")]).body("0123456789A");
    let ask = get("/private").with("range", "bytes=3-4");
    let got = exchange(&cache, &ask, private.clone()).await;
    assert_eq!((got.status, got.body.as_str()), (206, "34"));
    assert_eq!(
        exchange(&cache, &ask, private).await.forwarded("range"),
        Some("bytes=3-4")
    );
}

#[tokio::test]
async fn plugins_retain_and_refuse() {
    let cache = Cache::new(settings());
    let secret = says(&[
        (CC, "no-store, private"),
        ("set-cookie", "a=b"),
        ("vary", "x"),
        ("age", "99"),
    ]);
    let retained = secret.clone().storage(retain(10, &[]));
    let got = exchange(&cache, &get("/").with("authorization", "A"), retained).await;
    assert_eq!(got.field("set-cookie"), Some("a=b"));
    let got = exchange(&cache, &get("/").at(9), says(&[])).await;
    assert_eq!((got.is_cached(), got.field("set-cookie")), (true, None));
    assert_eq!(
        (got.field("age"), got.cache_status()),
        (Some("108"), "tollgate; hit; ttl=1")
    );
    assert!(
        !exchange(&cache, &get("/").at(9).with("x", "1"), says(&[]))
            .await
            .is_cached()
    );
    // Its windows: while revalidating, and for errors.
    let failing = says(&[]).status(503);
    let got = exchange(&cache, &get("/").at(11), failing.clone()).await;
    assert_eq!(got.cache_status(), "tollgate; hit; ttl=-1");
    let got = exchange(&cache, &get("/").at(29), failing.clone()).await;
    assert_eq!((got.status, got.body.as_str()), (200, "hello"));
    assert_eq!(
        exchange(&cache, &get("/").at(30), failing).await.status,
        503
    );

    let never = says(&[(CC, "public, max-age=3600")]).storage(Storage::Never);
    exchange(&cache, &get("/never"), never).await;
    assert!(
        !exchange(&cache, &get("/never"), says(&[]))
            .await
            .is_cached()
    );
    // The gateway's own errors are never kept.
    let own = says(&[(CC, "max-age=60")]).status(502).gateway_error();
    exchange(&cache, &get("/down"), own.storage(retain(60, &[]))).await;
    assert!(!exchange(&cache, &get("/down"), says(&[])).await.is_cached());
    let star = says(&[("vary", "*")]).storage(retain(60, &[]));
    exchange(&cache, &get("/star"), star).await;
    assert!(!exchange(&cache, &get("/star"), says(&[])).await.is_cached());
    // A 304 is judged as what it freshens.
    exchange(
        &cache,
        &get("/304"),
        says(&[("etag", "\"a\"")]).storage(retain(1, &[])),
    )
    .await;
    let Found::Fetch(fill) = get("/304").at(4).look(&cache).await else {
        panic!("no fetch");
    };
    let update = headers(&[("x", "1")]);
    assert!(fill.freshened(StatusCode::OK, &update).is_none());
    let (status, head) = fill.freshened(StatusCode::NOT_MODIFIED, &update).unwrap();
    assert_eq!((status, head.len()), (StatusCode::OK, 2));
    let (_, body) = channel(Some(0));
    let storage = retain(60, &[]);
    fill.answer(
        StatusCode::NOT_MODIFIED,
        update,
        body,
        storage,
        false,
        after(4),
    );
    let got = exchange(&cache, &get("/304").at(60), says(&[])).await;
    assert_eq!((got.is_cached(), got.body.as_str()), (true, "hello"));
}

#[tokio::test]
async fn keys_of_plugins() {
    let cache = Cache::new(settings());
    let lives = || says(&[(CC, "max-age=3600")]);
    exchange(&cache, &get("/a").keyed(&["tenant", "1"]), lives()).await;
    assert!(
        exchange(&cache, &get("/b").keyed(&["tenant", "1"]), says(&[]))
            .await
            .is_cached()
    );
    let known = get("/b").keyed(&["tenant", "1"]).with("authorization", "A");
    assert!(exchange(&cache, &known, says(&[])).await.is_cached());
    for other in [
        get("/a"),
        get("/a").keyed(&["tenant", "2"]),
        get("/a").keyed(&["tenant1"]),
    ] {
        assert!(!exchange(&cache, &other, says(&[])).await.is_cached());
    }
    let mut bypass = get("/a");
    bypass.mode = KeyMode::Bypass;
    exchange(&cache, &get("/a"), lives()).await;
    let got = exchange(&cache, &bypass, says(&[])).await;
    assert_eq!(
        (got.is_cached(), got.cache_status()),
        (false, "tollgate; fwd=bypass")
    );
}

#[tokio::test]
async fn withheld_fields() {
    let cache = Cache::new(settings());
    let control = "max-age=3600, no-cache=\"a, b\"";
    let first = says(&[(CC, control), ("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(
        exchange(&cache, &get("/"), first).await.field("a"),
        Some("1")
    );
    let got = exchange(&cache, &get("/"), says(&[])).await;
    assert!(got.is_cached());
    assert_eq!(
        (got.field("a"), got.field("b"), got.field("c")),
        (None, None, Some("3"))
    );
}

/// A body without a stated length has one once it is stored; one without bytes is stored at once.
#[tokio::test]
async fn lengths() {
    let cache = Cache::new(settings());
    let Found::Fetch(fill) = get("/").look(&cache).await else {
        panic!("no fetch");
    };
    let (feed, body) = channel(None);
    let lives = headers(&[(CC, "max-age=60")]);
    let answer = fill.answer(
        StatusCode::OK,
        lives,
        body,
        Storage::Standard,
        false,
        start(),
    );
    assert_eq!(answer.body.size_hint().exact(), None);
    assert!(!answer.headers.contains_key("content-length"));
    feed.send(Ok(Bytes::from_static(b"hel"))).unwrap();
    feed.send(Ok(Bytes::from_static(b"lo"))).unwrap();
    drop(feed);
    assert_eq!(read(answer.body).await.unwrap(), b"hello");
    let got = exchange(&cache, &get("/"), says(&[])).await;
    assert_eq!(
        (got.field("content-length"), got.body.as_str()),
        (Some("5"), "hello")
    );
    for status in [204, 301] {
        let path = format!("/{status}");
        let empty = says(&[(CC, "max-age=60")]).status(status).body("");
        exchange(&cache, &get(&path), empty).await;
        let got = exchange(&cache, &get(&path), says(&[])).await;
        assert_eq!((got.status, got.is_cached()), (status, true));
        assert_eq!(got.field("content-length").is_none(), status == 204);
    }
}

/// However many there are, the store stays within its bound; what is used often stays in it.
#[tokio::test]
async fn bounded_by_bytes() {
    let small = Settings {
        bytes_max: 256 << 10,
        entry_bytes_max: 16 << 10,
        set_cookie: SetCookie::Shared,
    };
    let cache = Cache::new(small);
    let lives = says(&[(CC, "max-age=60")]);
    for number in 0..1_000 {
        exchange(&cache, &get(&format!("/{number}")), lives.clone()).await;
        exchange(&cache, &get("/often"), lives.clone()).await;
    }
    assert!(cache.stats().bytes <= 256 << 10);
    assert!(cache.stats().entries > 50);
    assert!(
        exchange(&cache, &get("/often"), lives.clone())
            .await
            .is_cached()
    );
    assert!(cache.stats().hits > 990);
    // Variants of one key are bounded, too, and the latest stay.
    for number in 0..200 {
        let varies = says(&[(CC, "max-age=60"), ("vary", "foo")]);
        exchange(&cache, &get("/v").with("foo", &number.to_string()), varies).await;
    }
    let hit = |number: u32| {
        let (cache, ask) = (
            Arc::clone(&cache),
            get("/v").with("foo", &number.to_string()),
        );
        async move { matches!(ask.look(&cache).await, Found::Answer(_)) }
    };
    assert!(hit(199).await && hit(170).await && !hit(100).await);
}
