//! Hits, validation, conditions, ranges and HEAD.

use super::*;

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
        ("ratelimit", "\"p\";r=1"),
        ("ratelimit-policy", "\"p\";q=9"),
    ]);
    let got = exchange(&cache, &get("/a?b"), first).await;
    assert_eq!(
        got.cache_status(),
        "tollgate; fwd=uri-miss; ttl=570; stored"
    );
    assert_eq!(got.field("age"), Some("30"));
    assert_eq!(got.field("ratelimit"), Some("\"p\";r=1"));
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
    assert_eq!(
        (got.field("ratelimit"), got.field("ratelimit-policy")),
        (None, None)
    );
    assert_eq!(got.field("content-length"), Some("5"));
    assert!(!exchange(&cache, &get("/a?c"), says(&[])).await.is_cached());
    // A response without a date gets the time at which it came.
    exchange(&cache, &get("/b"), says(&[(CC, "max-age=600")])).await;
    assert_eq!(
        exchange(&cache, &get("/b").at(3), says(&[]))
            .await
            .field("date"),
        Some(now.as_str())
    );
    // No copy: two readers share the same bytes in memory.
    let mut pointers = Vec::new();
    for _ in 0..2 {
        let Found::Served(mut answer) = get("/b").look(&cache).await else {
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
            let Found::Served(mut answer) = get("/").at(3).look(&cache).await else {
                panic!("a miss");
            };
            next(&mut answer.body).await.unwrap().unwrap().as_ptr()
        }
    };
    let fresh = get("/").at(1);
    let Found::Served(mut answer) = fresh.look(&cache).await else {
        panic!("a miss");
    };
    let before = next(&mut answer.body).await.unwrap().unwrap().as_ptr();
    let update = says(&[
        (CC, "max-age=100"),
        ("etag", "W/\"a\""),
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
    // Another response takes its place, or none.
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

/// A cookie that comes with a 304 is only for the client that asked.
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
    // On a miss the whole response is fetched, so that it can be stored.
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
    // Conditions that only the origin can judge go there.
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
    // A condition is met even by a response that is not stored, since it was removed from the request.
    let private = says(&[(CC, "private"), ("etag", "\"p\"")]);
    let ask = get("/private").with("if-none-match", "\"p\"");
    assert_eq!(exchange(&cache, &ask, private.clone()).await.status, 304);
    // From then on the origin judges it.
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
    // Validated as HEAD; the freshened response is fresh for GET.
    let stale = head.clone().at(3);
    let update = says(&[(CC, "max-age=50")]).status(304).body("");
    let got = exchange(&cache, &stale, update).await;
    assert_eq!((got.status, got.body.as_str()), (200, ""));
    assert_eq!(got.forwarded("if-none-match"), Some("\"a\""));
    assert_eq!(got.forwarded.unwrap().0, Method::HEAD);
    let got = exchange(&cache, &get("/").at(3), says(&[])).await;
    assert_eq!((got.is_cached(), got.body.as_str()), (true, "hello"));
    // A full answer to HEAD goes to the client, and shows that the stored response is out of date.
    let got = exchange(
        &cache,
        &head.clone().at(60),
        says(&[("content-length", "7")]).body(""),
    )
    .await;
    assert_eq!(got.field("content-length"), Some("7"));
    let got = exchange(&cache, &get("/").at(60), says(&[]).body("new")).await;
    assert_eq!(
        (got.body.as_str(), got.forwarded("if-none-match")),
        ("new", None)
    );
}

/// The suite's partial, for completely stored responses.
#[tokio::test]
async fn ranges() {
    let cache = Cache::new(settings());
    let whole = says(&[(CC, "max-age=3600"), ("etag", "\"a\"")]).body("0123456789A");
    // On a miss too, all of it is fetched.
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
    // A part is never stored, even if a policy says so.
    let part = says(&[("content-range", "bytes 0-1/11")])
        .status(206)
        .body("01");
    let kept = exchange(&cache, &get("/part"), part.storage(retain(60, &[]))).await;
    assert_eq!(kept.cache_status(), "tollgate; fwd=uri-miss");
    assert!(!exchange(&cache, &get("/part"), says(&[])).await.is_cached());
    // A response that is not stored is cut all the same, since the range was removed.
    let private = says(&[(CC, "private")]).body("0123456789A");
    let ask = get("/private").with("range", "bytes=3-4");
    let got = exchange(&cache, &ask, private.clone()).await;
    assert_eq!((got.status, got.body.as_str()), (206, "34"));
    assert_eq!(
        exchange(&cache, &ask, private).await.forwarded("range"),
        Some("bytes=3-4")
    );
}
