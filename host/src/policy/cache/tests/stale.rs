//! Stale responses: for an upstream that fails, and while another is fetched (RFC 5861).

use super::*;

/// stale and 5861: (Cache-Control, how the upstream fails, whether the stale one stands in).
#[tokio::test]
async fn stale_if_error() {
    for (control, stands_in) in [
        ("max-age=2", false),
        ("max-age=2, stale-if-error=60", true),
        ("max-age=2, stale-if-error=1", false),
        ("max-age=2, stale-if-error=x", false),
        ("s-maxage=2, stale-if-error=60", true),
        ("s-maxage=2", false),
        ("max-age=2, must-revalidate, stale-if-error=60", false),
        ("max-age=2, proxy-revalidate, stale-if-error=60", false),
        ("max-age=2, no-cache, stale-if-error=60", false),
    ] {
        for (failure, status) in [
            (says(&[]).status(502).gateway_error(), 502),
            (says(&[]).status(503).body("sorry"), 503),
            (says(&[]).status(500).body("sorry"), 500),
        ] {
            let cache = Cache::new(settings());
            exchange(&cache, &get("/"), says(&[("cache-control", control)])).await;
            let got = exchange(&cache, &get("/").at(4), failure).await;
            assert!(!got.is_cached());
            assert_eq!(
                got.status,
                if stands_in { 200 } else { status },
                "{control}"
            );
            if stands_in {
                assert_eq!(got.body, "hello");
                assert_eq!(got.field("age"), Some("4"));
                let report = format!(
                    "tollgate; fwd=stale; fwd-status={status}; ttl=-2; detail=stale-if-error"
                );
                assert_eq!(got.cache_status(), report);
            }
        }
    }
    // An error that is no failure goes to the client.
    let cache = Cache::new(settings());
    exchange(
        &cache,
        &get("/"),
        says(&[("cache-control", "max-age=2, stale-if-error=60")]),
    )
    .await;
    let got = exchange(&cache, &get("/").at(4), says(&[]).status(404)).await;
    assert_eq!(got.status, 404);
}

/// RFC 5861, section 4: a client may wish it too (stored `Cache-Control`, the wish, whether it holds).
#[tokio::test]
async fn stale_if_error_is_wished() {
    for (control, wish, stands_in) in [
        ("max-age=2", "stale-if-error=60", true),
        ("max-age=2", "stale-if-error=2", false),
        ("max-age=2", "stale-if-error", false),
        ("max-age=2, must-revalidate", "stale-if-error=60", false),
        ("s-maxage=2", "stale-if-error=60", false),
        ("max-age=2, no-cache", "stale-if-error=60", false),
        ("max-age=2, stale-if-error=60", "stale-if-error=1", true),
    ] {
        let cache = Cache::new(settings());
        exchange(&cache, &get("/"), says(&[("cache-control", control)])).await;
        let ask = get("/").at(4).with("cache-control", wish);
        let got = exchange(&cache, &ask, says(&[]).status(503)).await;
        assert_eq!(got.status == 200, stands_in, "{control} {wish}");
    }
}

/// stale-while-revalidate, within its window and after it.
#[tokio::test]
async fn stale_while_revalidate() {
    for control in [
        "max-age=1, stale-while-revalidate=4",
        "s-maxage=1, stale-while-revalidate=4",
    ] {
        let cache = Cache::new(settings());
        let first = says(&[("cache-control", control), ("etag", "\"abc\"")]);
        exchange(&cache, &get("/"), first.clone()).await;
        let got = exchange(
            &cache,
            &get("/").at(3),
            says(&[("cache-control", "max-age=9")]).body("new"),
        )
        .await;
        assert_eq!(got.body, "hello");
        assert_eq!(got.cache_status(), "tollgate; hit; ttl=-2");
        assert_eq!(got.forwarded("if-none-match"), Some("\"abc\""));
        let got = exchange(&cache, &get("/").at(4), says(&[])).await;
        assert_eq!((got.is_cached(), got.body.as_str()), (true, "new"));
        let cache = Cache::new(settings());
        exchange(&cache, &get("/"), first).await;
        let got = exchange(&cache, &get("/").at(5), says(&[]).body("new")).await;
        assert_eq!((got.is_cached(), got.body.as_str()), (false, "new"));
    }
    let cache = Cache::new(settings());
    let never = says(&[(
        "cache-control",
        "max-age=1, stale-while-revalidate=9, must-revalidate",
    )]);
    exchange(&cache, &get("/"), never).await;
    assert_eq!(
        exchange(&cache, &get("/").at(3), says(&[]).body("new"))
            .await
            .body,
        "new"
    );
}

/// A client's own condition says nothing about the stored response when it is met.
#[tokio::test]
async fn anothers_304() {
    let cache = Cache::new(settings());
    let first = says(&[("cache-control", "max-age=1, stale-if-error=60")]);
    exchange(&cache, &get("/"), first).await;
    let insists = get("/").at(4).with("cache-control", "no-cache");
    let conditional = insists.with("if-none-match", "\"a\"");
    let got = exchange(&cache, &conditional, says(&[]).status(304).body("")).await;
    assert_eq!(
        (got.status, got.forwarded("if-none-match")),
        (304, Some("\"a\""))
    );
    let got = exchange(&cache, &get("/").at(5), says(&[]).status(503)).await;
    assert_eq!((got.status, got.body.as_str()), (200, "hello"));
}

/// A stored failure does not stand in for the current one, which replaces it.
#[tokio::test]
async fn a_stale_failure_stands_in_for_none() {
    let cache = Cache::new(settings());
    let failing = |body| says(&[]).status(503).body(body).storage(retain(5, &[]));
    exchange(&cache, &get("/"), failing("old")).await;
    // Past the window of revalidation, within that of errors.
    let got = exchange(&cache, &get("/").at(9), failing("new")).await;
    assert_eq!((got.status, got.body.as_str()), (503, "new"));
    let got = exchange(&cache, &get("/").at(10), says(&[])).await;
    assert_eq!((got.is_cached(), got.body.as_str()), (true, "new"));
}
