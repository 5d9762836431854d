//! What is kept: by plugins' decisions, which fields, which bodies, and how much in all.

use super::*;
use crate::limits::cache::VARIANTS_MAX;

const CC: &str = "cache-control";

#[tokio::test]
async fn plugins_retain_and_refuse() {
    let cache = Cache::new(settings());
    let secret = says(&[
        (CC, "no-store, private"),
        ("set-cookie", "a=b"),
        ("vary", "x"),
        ("age", "99"),
    ]);
    let Storage::Retain(mut retention) = retain(10, &[]) else {
        panic!("it is retained");
    };
    retention.without = vec![http::header::SET_COOKIE];
    let retained = secret.clone().storage(Storage::Retain(retention));
    let got = exchange(&cache, &get("/").with("authorization", "A"), retained).await;
    assert_eq!(got.field("set-cookie"), Some("a=b"));
    let ask = get("/").at(9).with("authorization", "B");
    let got = exchange(&cache, &ask, says(&[])).await;
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
    // A 304 is judged as the response that it freshens.
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
    fill.answered(
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
    let answer = fill.answered(
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

/// However many responses there are, the store stays within its bound and keeps those that are used often.
#[tokio::test]
async fn bounded_by_bytes() {
    let small = Settings {
        bytes_max: 256 << 10,
        entry_bytes_max: 16 << 10,
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
}

/// Variants of one key are bounded too, in number and size. The latest stay.
#[tokio::test]
async fn bounded_variants() {
    for bytes_max in [64 << 20, 32 << 10] {
        let small = Settings {
            bytes_max,
            ..settings()
        };
        let cache = Cache::new(small);
        let foo = |number: usize| get("/").with("foo", &number.to_string());
        for number in 0..100 {
            let varies = says(&[(CC, "max-age=60"), ("vary", "foo")]);
            exchange(&cache, &foo(number), varies).await;
        }
        let mut stored = Vec::new();
        for number in 0..100 {
            if matches!(foo(number).look(&cache).await, Found::Served(_)) {
                stored.push(number);
            }
        }
        let latest: Vec<_> = (100 - stored.len()..100).collect();
        assert_eq!(stored, latest);
        if bytes_max > 1 << 20 {
            assert_eq!(stored.len(), VARIANTS_MAX)
        } else {
            assert!((2..VARIANTS_MAX).contains(&stored.len()))
        }
    }
}

/// A response that sets a cookie is for one client, whatever its lifetime says, unless the policy removes the
/// field.
#[tokio::test]
async fn cookies() {
    let names = |names: &[&'static str]| {
        names
            .iter()
            .map(|name| HeaderName::from_static(name))
            .collect()
    };
    for name in ["set-cookie", "set-cookie2"] {
        for control in ["max-age=3600", "max-age=3600, public", "s-maxage=3600"] {
            for (storage, stored) in [
                (Storage::Standard, false),
                (retain(60, &[]), false),
                (Storage::StandardWithout(names(&["x-csrf"])), false),
                (
                    Storage::StandardWithout(names(&["set-cookie", "set-cookie2"])),
                    true,
                ),
                (
                    Storage::Retain(Retention {
                        fresh: Duration::from_secs(60),
                        without: names(&["set-cookie", "set-cookie2"]),
                        ..Retention::default()
                    }),
                    true,
                ),
            ] {
                let cache = Cache::new(settings());
                let response = says(&[("cache-control", control), (name, "a=b")]);
                let first = exchange(&cache, &get("/"), response.storage(storage.clone())).await;
                assert_eq!(first.field(name), Some("a=b"));
                let got = exchange(&cache, &get("/"), says(&[])).await;
                assert_eq!(got.is_cached(), stored, "{storage:?} {control}");
                assert_eq!(got.field(name), None);
            }
        }
    }
    // Other named fields are removed too.
    let cache = Cache::new(settings());
    let response = says(&[
        ("cache-control", "max-age=3600"),
        ("x-csrf", "1"),
        ("x-other", "2"),
    ]);
    let without = Storage::StandardWithout(names(&["x-csrf"]));
    exchange(&cache, &get("/"), response.storage(without)).await;
    let got = exchange(&cache, &get("/"), says(&[])).await;
    assert_eq!(
        (got.is_cached(), got.field("x-csrf"), got.field("x-other")),
        (true, None, Some("2"))
    );
    // If only the cookie is private, the rest of the response is shared.
    let cache = Cache::new(settings());
    let control = ("cache-control", "max-age=3600, private=\"set-cookie\"");
    let first = exchange(&cache, &get("/"), says(&[control, ("set-cookie", "a=b")])).await;
    assert_eq!(first.field("set-cookie"), Some("a=b"));
    let second = exchange(&cache, &get("/"), says(&[])).await;
    assert_eq!(
        (second.is_cached(), second.field("set-cookie")),
        (true, None)
    );
}
