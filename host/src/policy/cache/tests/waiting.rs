//! How long followers wait, and which responses only they may have.

use tokio::task::JoinHandle;

use super::*;
use crate::limits::cache::COLLAPSE_WAIT;

/// Requests on tasks of their own.
fn ask(cache: &Arc<Cache>, count: usize) -> Vec<JoinHandle<Found>> {
    let asks = (0..count).map(|_| {
        let cache = Arc::clone(cache);
        tokio::spawn(async move { get("/").look(&cache).await })
    });
    asks.collect()
}

async fn lead(cache: &Arc<Cache>) -> Fill {
    match get("/").look(cache).await {
        Found::Fetch(fill) => fill,
        _ => panic!("no fetch"),
    }
}

/// Removes and returns the requests that fetch by now.
async fn fetches(waiting: &mut Vec<JoinHandle<Found>>) -> Vec<Fill> {
    settle().await;
    let mut fills = Vec::new();
    for task in waiting
        .extract_if(.., |task| task.is_finished())
        .collect::<Vec<_>>()
    {
        match task.await.unwrap() {
            Found::Fetch(fill) => fills.push(fill),
            _ => panic!("does not fetch"),
        }
    }
    fills
}

/// A slow origin gets a few more requests, never all at once.
#[tokio::test(start_paused = true)]
async fn more_and_more_fetch_beside_a_slow_leader() {
    let cache = Cache::new(settings());
    let first = lead(&cache).await;
    let mut waiting = ask(&cache, 20);
    let mut fills = vec![first];
    for more in [1, 2, 4] {
        assert!(fetches(&mut waiting).await.is_empty());
        tokio::time::sleep(COLLAPSE_WAIT).await;
        let begun = fetches(&mut waiting).await;
        assert_eq!(begun.len(), more);
        fills.extend(begun);
    }
    // A request that comes now waits like all others.
    waiting.extend(ask(&cache, 1));
    assert!(fetches(&mut waiting).await.is_empty());
    // The first response answers all; a failed fetch changes nothing.
    drop(fills.remove(0));
    let failed = says(&[])
        .status(502)
        .gateway_error()
        .answer(fills.remove(0), start());
    assert_eq!(failed.status, 502);
    assert!(fetches(&mut waiting).await.is_empty());
    let lives = says(&[("cache-control", "max-age=60")]);
    let own = lives.answer(fills.remove(2), start());
    assert_eq!(read(own.body).await.unwrap(), b"hello");
    // A later response that cannot be shared takes nothing back.
    let private = says(&[("cache-control", "private")])
        .body("own")
        .answer(fills.remove(0), start());
    assert_eq!(read(private.body).await.unwrap(), b"own");
    assert_eq!(waiting.len(), 20 - 7 + 1);
    for task in waiting {
        let Found::Served(answer) = task.await.unwrap() else {
            panic!("does not follow");
        };
        assert_eq!(read(answer.body).await.unwrap(), b"hello");
    }
}

/// The last of several leaders that gives up lets another lead.
#[tokio::test(start_paused = true)]
async fn when_all_leaders_give_up_another_leads() {
    let cache = Cache::new(settings());
    let first = lead(&cache).await;
    let mut waiting = ask(&cache, 5);
    tokio::time::sleep(COLLAPSE_WAIT).await;
    let second = fetches(&mut waiting).await;
    drop(first);
    assert!(fetches(&mut waiting).await.is_empty());
    drop(second);
    assert_eq!(fetches(&mut waiting).await.len(), 1);
}

/// A response that does not live longer than its fetch took is for its followers only: (Cache-Control, Age,
/// whether they get it).
#[tokio::test(start_paused = true)]
async fn a_lifetime_no_longer_than_the_fetch() {
    for (control, age, shared) in [
        ("max-age=1", "", true),
        ("max-age=1", "0", true),
        ("s-maxage=1", "0", true),
        ("max-age=1, must-revalidate", "0", true),
        ("max-age=0", "0", false),
        ("max-age=1, no-cache", "0", false),
        ("max-age=1, private", "0", false),
        ("max-age=1", "1", false),
    ] {
        let cache = Cache::new(settings());
        let fill = lead(&cache).await;
        let waiting = ask(&cache, 3);
        settle().await;
        let (feed, body) = channel(None);
        // Simple origins send nothing but the first: it cannot be validated later.
        let fields = match age {
            "" => headers(&[("cache-control", control)]),
            age => headers(&[("cache-control", control), ("age", age), ("etag", "\"a\"")]),
        };
        let own = fill.answered(
            StatusCode::OK,
            fields,
            body,
            Storage::Standard,
            false,
            after(2),
        );
        // The body is still coming, and a request that comes now does not get it.
        let later = get("/").at(2).look(&cache).await;
        assert!(matches!(later, Found::Fetch(_)), "{control} {age}");
        drop(later);
        feed.send(Ok(Bytes::from_static(b"hello"))).unwrap();
        drop(feed);
        assert_eq!(read(own.body).await.unwrap(), b"hello");
        for task in waiting {
            match task.await.unwrap() {
                Found::Served(answer) => {
                    assert!(shared, "{control} {age}");
                    assert_eq!(read(answer.body).await.unwrap(), b"hello");
                }
                Found::Fetch(_) => assert!(!shared, "{control} {age}"),
                _ => panic!("{control} {age}"),
            }
        }
        // If it was shared, the next requests wait for each other again.
        let _fill = match get("/").at(3).look(&cache).await {
            Found::Fetch(fill) => fill,
            _ => panic!("no fetch"),
        };
        let cache_again = Arc::clone(&cache);
        let next = tokio::spawn(async move { get("/").at(3).look(&cache_again).await });
        settle().await;
        assert_eq!(next.is_finished(), !shared, "{control} {age}");
    }
}

/// While a body grows, a late request gets it only as long as it is fresh.
#[tokio::test(start_paused = true)]
async fn what_grows_old_while_it_grows() {
    let cache = Cache::new(settings());
    let fill = lead(&cache).await;
    let (_feed, body) = channel(None);
    let fields = headers(&[("cache-control", "max-age=3")]);
    let _own = fill.answered(
        StatusCode::OK,
        fields,
        body,
        Storage::Standard,
        false,
        start(),
    );
    assert!(matches!(
        get("/").at(2).look(&cache).await,
        Found::Served(_)
    ));
    assert!(matches!(get("/").at(3).look(&cache).await, Found::Fetch(_)));
}

/// A request that refuses stored responses does not follow a fetch either.
#[tokio::test(start_paused = true)]
async fn who_insists_does_not_follow() {
    let cache = Cache::new(settings());
    let _fill = lead(&cache).await;
    let insists = get("/").with("cache-control", "no-cache");
    assert!(matches!(insists.look(&cache).await, Found::Fetch(_)));
}
