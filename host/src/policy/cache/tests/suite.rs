//! The rules that the suite of cache-tests.fyi checks: a response, a pause of three seconds, and whether the
//! cache answers the next request.

use super::*;

/// Status, fields of the response, fields of the next request, and whether it is a hit.
type Case<'a> = (
    u16,
    &'a [(&'a str, &'a str)],
    &'a [(&'a str, &'a str)],
    bool,
);

async fn check(cases: &[Case<'_>]) {
    for (status, response, request, cached) in cases {
        let cache = Cache::new(settings());
        let first = says(response).status(*status);
        let first = exchange(&cache, &get("/"), first).await;
        assert!(!first.is_cached());
        let mut ask = get("/").at(3);
        ask.headers = headers(request);
        let second = exchange(&cache, &ask, says(&[]).status(*status)).await;
        assert_eq!(
            second.is_cached(),
            *cached,
            "{status} {response:?} {request:?}"
        );
        assert_eq!(second.body, "hello");
    }
}

/// The same with an unconditional request and status 200.
async fn check_responses(cases: &[(&[(&str, &str)], bool)]) {
    for (response, cached) in cases {
        check(&[(200, response, &[], *cached)]).await;
    }
}

/// cc-freshness and cc-response.
#[tokio::test]
async fn cache_control() {
    let (now, past, future) = (date(0), date(-7200), date(3600));
    let cc = "cache-control";
    check_responses(&[
        (&[], false),
        (&[(cc, "max-age=3600")], true),
        (&[(cc, "max-age=2")], false),
        (&[(cc, "max-age=0")], false),
        (&[(cc, "max-age=2147483649")], true),
        (&[(cc, "max-age=99999999999")], true),
        (
            &[("date", &now), (cc, "max-age=3600"), ("age", "7200")],
            false,
        ),
        (&[("date", &past), (cc, "max-age=3600")], false),
        (
            &[("date", &now), (cc, "max-age=3600"), ("expires", &past)],
            true,
        ),
        (
            &[("date", &now), (cc, "max-age=3600"), ("expires", "0")],
            true,
        ),
        (
            &[("date", &now), (cc, "max-age=0"), ("expires", &future)],
            false,
        ),
        (&[(cc, "foobar, max-age=3600")], true),
        (&[(cc, "max-age=-3600")], false),
        (&[(cc, "s-maxage=3600")], true),
        (&[(cc, "max-age=3600, s-maxage=1")], false),
        (&[(cc, "s-maxage=1"), (cc, "max-age=3600")], false),
        (&[(cc, "max-age=1, s-maxage=3600")], true),
        (
            &[("expires", &past), (cc, "max-age=0, s-maxage=3600")],
            true,
        ),
        (&[(cc, "private, max-age=3600")], false),
        (&[(cc, "no-store")], false),
        (
            &[
                (cc, "max-age=3600, No-StOrE"),
                ("expires", &future),
                ("date", &now),
            ],
            false,
        ),
        (
            &[
                (cc, "max-age=3600, no-cache"),
                ("expires", &future),
                ("date", &now),
            ],
            false,
        ),
        (&[(cc, "max-age=3600, must-revalidate")], true),
        (&[(cc, "max-age=3600, immutable")], true),
        (&[(cc, "no-store, must-understand, max-age=3600")], true),
        (&[("pragma", "no-cache"), (cc, "max-age=3600")], true),
    ])
    .await;
}

/// expires-freshness and age-parse.
#[tokio::test]
async fn expires_and_age() {
    let (now, slow, fast) = (date(0), date(-10), date(10));
    let (in_10, in_20, in_month, past) = (date(10), date(20), date(2_592_000), date(-10_000));
    let (in_300, in_400) = (date(300), date(400));
    let aged = |age: &'static str| ("age", age);
    let lives = ("cache-control", "max-age=3600");
    check_responses(&[
        (&[("expires", &in_month), ("date", &now)], true),
        (&[("expires", &past), ("date", &now)], false),
        (&[("expires", &now), ("date", &now)], false),
        (&[("expires", &in_300), ("date", &in_400)], false),
        (&[("expires", "0"), ("date", &now)], false),
        (
            &[("expires", &in_month), ("expires", "0"), ("date", &now)],
            false,
        ),
        (
            &[("expires", "Thu, 18 Aug 50 02:01:18 GMT"), ("date", &now)],
            false,
        ),
        (&[("expires", &in_10), ("date", "foo")], true),
        (
            &[("expires", &in_10), ("date", &slow), ("age", "25")],
            false,
        ),
        (
            &[("expires", &in_20), ("date", &fast), ("age", "15")],
            false,
        ),
        (&[lives, aged("abc")], true),
        (&[lives, aged("-7200")], true),
        (&[lives, aged("7200.0")], true),
        (&[lives, aged("2147483649")], false),
        (&[lives, aged("99999999999999999999999")], false),
        (&[lives, aged("7200, 0")], false),
        (&[lives, aged("0, 7200")], true),
        (&[lives, aged("7200"), aged("0")], false),
        (&[lives, aged("0"), aged("7200")], true),
        (&[lives, aged("")], true),
    ])
    .await;
}

/// heuristic-freshness and status.
#[tokio::test]
async fn statuses() {
    let (now, day_old) = (date(0), date(-86_400));
    let heuristic = [("last-modified", day_old.as_str()), ("date", &now)];
    for status in [200, 203, 404, 405, 410, 414, 501, 300, 301, 308] {
        check(&[(status, &heuristic, &[], true)]).await;
    }
    for status in [201, 202, 302, 403, 500, 502, 503, 504, 599] {
        check(&[(status, &heuristic, &[], false)]).await;
    }
    let public = [
        ("last-modified", day_old.as_str()),
        ("date", &now),
        ("cache-control", "public"),
    ];
    check(&[(599, &public, &[], true)]).await;
    for status in [
        200, 203, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599,
    ] {
        check(&[(status, &[("cache-control", "max-age=3600")], &[], true)]).await;
        check(&[(status, &[("cache-control", "max-age=1")], &[], false)]).await;
    }
    for status in [206, 304, 412, 416] {
        check(&[(status, &[("cache-control", "max-age=3600")], &[], false)]).await;
    }
    let understood = [("cache-control", "must-understand, max-age=3600")];
    check(&[
        (404, &understood, &[], true),
        (299, &understood, &[], false),
    ])
    .await;
}

/// A tenth of the age, at most an hour, and not for a client with a cookie.
#[tokio::test]
async fn heuristics() {
    let now = date(0);
    let old = |age: i64| date(-age);
    check_responses(&[
        (&[("last-modified", &old(20)), ("date", &now)], false),
        (&[("last-modified", &old(60)), ("date", &now)], true),
        (&[("last-modified", &date(60)), ("date", &now)], false),
        (&[("last-modified", "foo"), ("date", &now)], false),
    ])
    .await;
    let cache = Cache::new(settings());
    let ancient = [("last-modified", old(86_400_000)), ("date", now)];
    let ancient: Vec<_> = ancient
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    exchange(&cache, &get("/"), says(&ancient)).await;
    assert!(
        exchange(&cache, &get("/").at(3_599), says(&[]))
            .await
            .is_cached()
    );
    assert!(
        !exchange(&cache, &get("/").at(3_600), says(&[]))
            .await
            .is_cached()
    );
    let with_cookie = get("/cookie").with("cookie", "a=b");
    exchange(&cache, &with_cookie, says(&ancient[..1])).await;
    assert!(
        !exchange(&cache, &get("/cookie"), says(&[]))
            .await
            .is_cached()
    );
}

/// cc-request.
#[tokio::test]
async fn wishes_of_clients() {
    let cc = "cache-control";
    let lives = [(cc, "max-age=3600")];
    check(&[
        (200, &lives, &[(cc, "nothing-to-see-here")], true),
        (200, &lives, &[(cc, "max-age=0")], false),
        (200, &lives, &[(cc, "max-age=1")], false),
        (200, &lives, &[(cc, "max-age=100")], true),
        (
            200,
            &[(cc, "max-age=3600"), ("age", "1800")],
            &[(cc, "max-age=600")],
            false,
        ),
        (200, &[(cc, "max-age=1")], &[(cc, "max-stale=1000")], true),
        (200, &[(cc, "max-age=1")], &[(cc, "max-stale")], true),
        (200, &[(cc, "max-age=1")], &[(cc, "max-stale=1")], false),
        (
            200,
            &[(cc, "max-age=1, must-revalidate")],
            &[(cc, "max-stale")],
            false,
        ),
        (
            200,
            &[(cc, "max-age=1, proxy-revalidate")],
            &[(cc, "max-stale")],
            false,
        ),
        (200, &[(cc, "s-maxage=1")], &[(cc, "max-stale")], false),
        (
            200,
            &[(cc, "no-cache"), ("etag", "\"a\"")],
            &[(cc, "max-stale")],
            false,
        ),
        (200, &lives, &[(cc, "min-fresh=4000")], false),
        (200, &lives, &[(cc, "min-fresh=1000")], true),
        (200, &lives, &[(cc, "no-cache")], false),
        (200, &lives, &[(cc, "no-store")], false),
        (200, &lives, &[("pragma", "no-cache")], true),
        (200, &lives, &[("cookie", "a=b")], true),
        (200, &lives, &[(cc, "only-if-cached")], true),
        (200, &lives, &[("content-length", "5")], false),
    ])
    .await;
    let cache = Cache::new(settings());
    let only = get("/").with("cache-control", "only-if-cached");
    let got = exchange(&cache, &only, says(&[]).body("")).await;
    assert_eq!((got.status, got.is_cached()), (504, true));
    // A request with `no-store` is not stored.
    let not = get("/").with("cache-control", "no-store");
    let got = exchange(&cache, &not, says(&lives)).await;
    assert_eq!(got.cache_status(), "tollgate; fwd=request");
    assert!(!exchange(&cache, &get("/"), says(&[])).await.is_cached());
}

/// authorization: an authorized response may be shared if the origin says so.
#[tokio::test]
async fn authorization() {
    for (control, stored) in [
        ("max-age=3600", false),
        ("max-age=3600, public", true),
        ("max-age=3600, must-revalidate", true),
        ("max-age=3600, proxy-revalidate", false),
        ("s-maxage=3600", true),
    ] {
        let cache = Cache::new(settings());
        let known = get("/").with("authorization", "FOO");
        let other = get("/").with("authorization", "BAR");
        exchange(&cache, &known, says(&[("cache-control", control)])).await;
        assert_eq!(
            exchange(&cache, &get("/"), says(&[])).await.is_cached(),
            stored,
            "{control}"
        );
        assert_eq!(
            exchange(&cache, &other, says(&[])).await.is_cached(),
            stored,
            "{control}"
        );
        // The same holds for a caller that is known, if the response was stored for all.
        let cache = Cache::new(settings());
        exchange(&cache, &get("/"), says(&[("cache-control", control)])).await;
        let got = exchange(&cache, &known, says(&[])).await;
        assert_eq!(got.is_cached(), stored, "{control}");
        if !stored {
            assert_eq!(got.cache_status(), "tollgate; fwd=request");
            // And the caller's response takes nothing from the others.
            assert!(exchange(&cache, &get("/"), says(&[])).await.is_cached());
        }
    }
}

/// vary: a second variant does not push out the first.
#[tokio::test]
async fn variants() {
    let cache = Cache::new(settings());
    let varies = |body| says(&[("cache-control", "max-age=3600"), ("vary", "Foo")]).body(body);
    let foo = |value: &str| get("/").with("foo", value);
    exchange(&cache, &foo("1"), varies("one")).await;
    let second = exchange(&cache, &foo("2"), varies("two")).await;
    assert_eq!(
        second.cache_status(),
        "tollgate; fwd=vary-miss; ttl=3600; stored"
    );
    for (value, body) in [("1", "one"), ("2", "two")] {
        let got = exchange(&cache, &foo(value), says(&[])).await;
        assert_eq!((got.is_cached(), got.body.as_str()), (true, body));
    }
    assert!(!exchange(&cache, &get("/"), says(&[])).await.is_cached());
    let star = says(&[("cache-control", "max-age=3600"), ("vary", "*")]);
    exchange(&cache, &get("/star"), star).await;
    assert!(!exchange(&cache, &get("/star"), says(&[])).await.is_cached());
}
