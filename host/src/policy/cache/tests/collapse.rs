//! One fetch for many, and what followers do when it fails them.

use tokio::task::JoinHandle;

use super::*;
use crate::limits::cache::{COLLAPSE_ROUNDS, COLLAPSE_WAITERS_MAX, UNSHARED};

const LIVES: (&str, &str) = ("cache-control", "max-age=3600");

/// A request on a task of its own.
fn ask(cache: &Arc<Cache>, ask: Ask) -> JoinHandle<Found> {
    let cache = Arc::clone(cache);
    tokio::spawn(async move { ask.look(&cache).await })
}

async fn lead(cache: &Arc<Cache>, request: Ask) -> Fill {
    match request.look(cache).await {
        Found::Fetch(fill) => fill,
        _ => panic!("no fetch"),
    }
}

async fn answered(task: JoinHandle<Found>) -> Served {
    match task.await.unwrap() {
        Found::Served(answer) => answer,
        Found::Fetch(_) => panic!("fetches for itself"),
        _ => panic!("neither waits nor fetches"),
    }
}

async fn fetches(task: JoinHandle<Found>) -> Fill {
    match task.await.unwrap() {
        Found::Fetch(fill) => fill,
        _ => panic!("does not fetch"),
    }
}

fn is_fetch(found: Found) -> bool {
    matches!(found, Found::Fetch(_))
}

#[tokio::test(start_paused = true)]
async fn followers_read_what_is_fetched() {
    let cache = Cache::new(settings());
    let fill = lead(&cache, get("/")).await;
    let followers = [ask(&cache, get("/")), ask(&cache, get("/"))];
    settle().await;
    assert!(followers.iter().all(|task| !task.is_finished()));
    let (feed, body) = channel(Some(6));
    let mut own = fill
        .answered(
            StatusCode::OK,
            headers(&[LIVES]),
            body,
            Storage::Standard,
            false,
            start(),
        )
        .body;
    let mut bodies = Vec::new();
    for task in followers {
        let answer = answered(task).await;
        let report = "tollgate; fwd=uri-miss; ttl=3600; collapsed";
        assert_eq!(answer.headers["cache-status"], report);
        assert_eq!(answer.headers["age"], "0");
        bodies.push(answer.body);
    }
    // Followers get data before the body is complete, also those that come in the middle.
    feed.send(Ok(Bytes::from_static(b"abc"))).unwrap();
    for body in &mut bodies {
        assert_eq!(next(body).await.unwrap().unwrap(), "abc");
    }
    bodies.push(answered(ask(&cache, get("/"))).await.body);
    assert_eq!(next(&mut bodies[2]).await.unwrap().unwrap(), "abc");
    // A leader that does not read, or has gone, makes no difference.
    assert_eq!(next(&mut own).await.unwrap().unwrap(), "abc");
    drop(own);
    feed.send(Ok(Bytes::from_static(b"def"))).unwrap();
    drop(feed);
    for body in bodies {
        assert_eq!(read(body).await.unwrap(), b"def");
    }
    let got = exchange(&cache, &get("/"), says(&[])).await;
    assert_eq!((got.is_cached(), got.body.as_str()), (true, "abcdef"));
    assert_eq!(cache.stats().collapsed, 3);
    assert_eq!(cache.stats().misses, 1);
}

/// Each follower gets the part of it that it asked for.
#[tokio::test(start_paused = true)]
async fn followers_have_conditions() {
    let cache = Cache::new(settings());
    let fill = lead(&cache, get("/")).await;
    let part = ask(&cache, get("/").with("range", "bytes=1-2"));
    let known = ask(&cache, get("/").with("if-none-match", "\"a\""));
    settle().await;
    let own = says(&[LIVES, ("etag", "\"a\"")]).answer(fill, start());
    let part = answered(part).await;
    assert_eq!(part.status, 206);
    assert_eq!(read(part.body).await.unwrap(), b"el");
    let known = answered(known).await;
    assert_eq!(known.status, 304);
    assert_eq!(
        known.headers["cache-status"],
        "tollgate; fwd=uri-miss; fwd-status=200; ttl=3600; collapsed"
    );
    assert_eq!(read(own.body).await.unwrap(), b"hello");
}

#[tokio::test(start_paused = true)]
async fn a_leader_who_gives_up_is_followed_by_another() {
    let cache = Cache::new(settings());
    let fill = lead(&cache, get("/")).await;
    let mut waiting: Vec<_> = (0..3).map(|_| ask(&cache, get("/"))).collect();
    settle().await;
    drop(fill);
    settle().await;
    let leads = waiting.iter().position(JoinHandle::is_finished).unwrap();
    let fill = fetches(waiting.remove(leads)).await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    let body = says(&[LIVES]).answer(fill, start()).body;
    assert_eq!(read(body).await.unwrap(), b"hello");
    for task in waiting {
        assert_eq!(read(answered(task).await.body).await.unwrap(), b"hello");
    }
}

/// A fault in one request's plugin says nothing about other requests, or about stored responses.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_plugin_faulted_is_followed_by_another() {
    let cache = Cache::new(settings());
    let faulted = Says {
        storage: Storage::Unjudged,
        ..says(&[LIVES])
    };
    let fill = lead(&cache, get("/")).await;
    let mut waiting: Vec<_> = (0..3).map(|_| ask(&cache, get("/"))).collect();
    settle().await;
    faulted.clone().answer(fill, start());
    settle().await;
    let leads = waiting.iter().position(JoinHandle::is_finished).unwrap();
    let fill = fetches(waiting.remove(leads)).await;
    settle().await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    let own = says(&[LIVES, ("etag", "\"a\"")]).answer(fill, start());
    assert_eq!(read(own.body).await.unwrap(), b"hello");
    for task in waiting {
        assert_eq!(read(answered(task).await.body).await.unwrap(), b"hello");
    }
    // It is stale now, and validated by a request whose plugin faults.
    let late = get("/").at(4_000);
    let not_modified = Says {
        status: StatusCode::NOT_MODIFIED,
        ..faulted
    };
    let fill = lead(&cache, late.clone()).await;
    let own = not_modified.answer(fill, after(4_000));
    assert_eq!(read(own.body).await.unwrap(), b"hello");
    assert_eq!(cache.stats().entries, 1);
}

/// Requests do not follow one failing leader after another for ever.
#[tokio::test(start_paused = true)]
async fn after_some_rounds_each_goes_alone() {
    let cache = Cache::new(settings());
    let mut fill = lead(&cache, get("/")).await;
    let mut waiting: Vec<_> = (0..COLLAPSE_ROUNDS + 3)
        .map(|_| ask(&cache, get("/")))
        .collect();
    for _ in 0..COLLAPSE_ROUNDS - 1 {
        settle().await;
        drop(fill);
        settle().await;
        let leads = waiting.iter().position(JoinHandle::is_finished).unwrap();
        fill = fetches(waiting.remove(leads)).await;
    }
    settle().await;
    drop(fill);
    settle().await;
    assert!(waiting.iter().all(JoinHandle::is_finished));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_bounded() {
    let cache = Cache::new(settings());
    let _fill = lead(&cache, get("/")).await;
    let waiting: Vec<_> = (0..COLLAPSE_WAITERS_MAX)
        .map(|_| ask(&cache, get("/")))
        .collect();
    settle().await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    assert!(is_fetch(get("/").look(&cache).await));
    assert!(is_fetch(get("/other").look(&cache).await));
}

/// A key whose response cannot be shared makes no request wait, for a while.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_shared_is_remembered() {
    for (control, shared) in [
        ("private", false),
        ("no-cache", false),
        ("max-age=60", true),
    ] {
        let cache = Cache::new(settings());
        let fill = lead(&cache, get("/")).await;
        let waiting: Vec<_> = (0..3).map(|_| ask(&cache, get("/"))).collect();
        settle().await;
        let says = says(&[("cache-control", control), ("etag", "\"a\"")]);
        let own = says.clone().answer(fill, start()).body;
        for task in waiting {
            assert_eq!(is_fetch(task.await.unwrap()), !shared, "{control}");
        }
        read(own).await.unwrap();
        if shared {
            continue;
        }
        let first = ask(&cache, get("/").at(1));
        let second = ask(&cache, get("/").at(1));
        let (_first, second) = (fetches(first).await, fetches(second).await);
        drop(second);
        // After that the first leads again, and the second waits.
        let later = UNSHARED.as_secs();
        let _leads = lead(&cache, get("/").at(later)).await;
        let waits = ask(&cache, get("/").at(later));
        settle().await;
        assert!(!waits.is_finished());
        // Once a response can be shared, this is forgotten.
        let fill = lead(&cache, get("/").at(1)).await;
        let (mut method, mut fields) = (Method::GET, HeaderMap::new());
        fill.prepare(&mut method, &mut fields);
        let lives = super::says(&[LIVES]).answer(fill, after(1)).body;
        read(lives).await.unwrap();
        cache.purge(None, &super::super::PurgeKey::All);
        let _leads = lead(&cache, get("/").at(2)).await;
        let waits = ask(&cache, get("/").at(2));
        settle().await;
        assert!(!waits.is_finished());
    }
}

/// An upstream's failure is not shared, and not remembered.
#[tokio::test(start_paused = true)]
async fn failures() {
    let cache = Cache::new(settings());
    let fill = lead(&cache, get("/")).await;
    let waits = ask(&cache, get("/"));
    settle().await;
    let own = says(&[]).status(502).gateway_error().answer(fill, start());
    assert_eq!(own.status, 502);
    drop(fetches(waits).await);
    let _leads = lead(&cache, get("/")).await;
    let waits = ask(&cache, get("/"));
    settle().await;
    assert!(!waits.is_finished());
    // A stale response that stands in does so for all.
    let cache = Cache::new(settings());
    let stale = says(&[("cache-control", "max-age=1, stale-if-error=60")]);
    exchange(&cache, &get("/"), stale).await;
    let fill = lead(&cache, get("/").at(9)).await;
    let waits = ask(&cache, get("/").at(9));
    settle().await;
    let own = says(&[]).status(502).gateway_error().answer(fill, after(9));
    assert_eq!(own.status, 200);
    let answer = answered(waits).await;
    assert_eq!(
        answer.headers["cache-status"],
        "tollgate; fwd=stale; ttl=-8; collapsed"
    );
}

/// Requests for another variant share a fetch of their own.
#[tokio::test(start_paused = true)]
async fn variants() {
    let cache = Cache::new(settings());
    let foo = |value: &str| get("/").with("foo", value);
    let fill = lead(&cache, foo("1")).await;
    let same = ask(&cache, foo("1"));
    let others = [ask(&cache, foo("2")), ask(&cache, foo("2"))];
    settle().await;
    let (_feed, body) = channel(None);
    let varies = headers(&[LIVES, ("vary", "foo")]);
    let _own = fill.answered(
        StatusCode::OK,
        varies,
        body,
        Storage::Standard,
        false,
        start(),
    );
    answered(same).await;
    settle().await;
    let [first, second] = others;
    assert!(first.is_finished() != second.is_finished());
    let (leads, follows) = if first.is_finished() {
        (first, second)
    } else {
        (second, first)
    };
    let other = says(&[LIVES, ("vary", "foo")]).body("two");
    let own = other.answer(fetches(leads).await, start());
    assert_eq!(read(answered(follows).await.body).await.unwrap(), b"two");
    assert_eq!(read(own.body).await.unwrap(), b"two");
}

#[tokio::test(start_paused = true)]
async fn a_validation_is_shared() {
    let cache = Cache::new(settings());
    exchange(
        &cache,
        &get("/"),
        says(&[("cache-control", "max-age=1"), ("etag", "\"a\"")]),
    )
    .await;
    let fill = lead(&cache, get("/").at(5)).await;
    let follower = ask(&cache, get("/").at(5));
    settle().await;
    let own = says(&[LIVES]).status(304).body("").answer(fill, after(5));
    assert_eq!(read(own.body).await.unwrap(), b"hello");
    let answer = answered(follower).await;
    assert_eq!(
        answer.headers["cache-status"],
        "tollgate; fwd=stale; ttl=3600; collapsed"
    );
    assert_eq!(read(answer.body).await.unwrap(), b"hello");
}

/// Of the requests that get a stale response, only the first has it fetched anew.
#[tokio::test(start_paused = true)]
async fn one_revalidates_in_the_background() {
    let cache = Cache::new(settings());
    let stale = says(&[("cache-control", "max-age=1, stale-while-revalidate=60")]);
    exchange(&cache, &get("/"), stale).await;
    let Found::AnswerAndRevalidate(_, fill) = get("/").at(5).method("HEAD").look(&cache).await
    else {
        panic!("nobody fetches");
    };
    let (mut method, mut fields) = (Method::HEAD, HeaderMap::new());
    fill.prepare(&mut method, &mut fields);
    assert_eq!(method, Method::GET);
    assert!(matches!(
        get("/").at(5).look(&cache).await,
        Found::Served(_)
    ));
    drop(fill);
    let Found::AnswerAndRevalidate(_, fill) = get("/").at(5).look(&cache).await else {
        panic!("nobody fetches");
    };
    // Its failure leaves the stored response. No client reads its answer, which is stored all the same.
    drop(says(&[]).status(503).answer(fill, after(5)));
    let Found::AnswerAndRevalidate(_, fill) = get("/").at(6).look(&cache).await else {
        panic!("nobody fetches");
    };
    drop(says(&[LIVES]).body("new").answer(fill, after(6)));
    settle().await;
    let got = exchange(&cache, &get("/").at(7), says(&[])).await;
    assert_eq!((got.is_cached(), got.body.as_str()), (true, "new"));
}

/// Requests that would wait in vain do not: with `Authorization`, or with `no-cache`.
#[tokio::test(start_paused = true)]
async fn some_do_not_wait() {
    let began = tokio::time::Instant::now();
    let cache = Cache::new(settings());
    let _fill = lead(&cache, get("/")).await;
    assert!(is_fetch(
        get("/").with("authorization", "A").look(&cache).await
    ));
    assert!(matches!(
        get("/").method("HEAD").look(&cache).await,
        Found::Pass(_)
    ));
    let keyed = get("/").keyed(&["k"]).with("authorization", "A");
    let _fill = lead(&cache, keyed.clone()).await;
    let waits = ask(&cache, keyed);
    settle().await;
    assert!(!waits.is_finished());
    let cache = Cache::new(settings());
    exchange(&cache, &get("/"), says(&[LIVES])).await;
    let insists = get("/").with("cache-control", "no-cache");
    let _fill = lead(&cache, insists.clone()).await;
    assert!(is_fetch(insists.look(&cache).await));
    assert!(began.elapsed().is_zero());
}
