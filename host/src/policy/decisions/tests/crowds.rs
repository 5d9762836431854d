//! Concurrent requests: which ask, which wait, and for how long.

use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use tokio::task::JoinSet;

use super::*;
use crate::limits::decisions::{ANSWER_WAIT_MAX, ANSWER_WAITERS_MAX};

/// Sends identical requests at once; returns how many reached the plugin, whose decision is remembered.
async fn calls_of_a_crowd(memory: Arc<Memory<Decided>>, make: fn() -> Exchange) -> usize {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..1_000 {
        let (memory, calls) = (Arc::clone(&memory), Arc::clone(&calls));
        crowd.spawn(async move {
            let request = make();
            if let Recalled::Ask(asking) = memory.recall(Facts::of(&request)).await {
                calls.fetch_add(1, Ordering::Relaxed);
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                let reads = vec![Fact::Path, header("k")];
                let _ = asking.learn(Facts::of(&request), reads, MINUTE, &decided("yes"));
            }
        });
    }
    crowd.join_all().await;
    calls.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_identical_requests_asks_once() {
    // The memory is new: it does not know yet what makes requests identical.
    let memory = Arc::new(memory());
    assert_eq!(
        calls_of_a_crowd(Arc::clone(&memory), || exchange("/", &[])).await,
        1
    );
    // With lists, one of which does not fit.
    teach(
        &memory,
        &exchange("/x", &[]),
        &[Fact::Query, Fact::Path],
        "x",
    )
    .await;
    assert_eq!(
        calls_of_a_crowd(Arc::clone(&memory), || exchange("/2", &[])).await,
        1
    );
    // After a decision that was not remembered, but taught its list.
    let other = exchange("/health", &[]);
    let fresh = Arc::new(self::memory());
    ask(&fresh, &other).await.decline(Some(vec![Fact::Path]));
    assert_eq!(
        calls_of_a_crowd(Arc::clone(&fresh), || exchange("/3", &[])).await,
        1
    );
}

#[test]
fn a_crowd_on_many_threads_asks_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    for _ in 0..20 {
        let mut memory = memory();
        // Real time passes here, and the machine may be busy.
        memory.wait = MINUTE;
        let memory = Arc::new(memory);
        let crowd = calls_of_a_crowd(memory, || exchange("/", &[("k", "1")]));
        assert_eq!(runtime.block_on(runtime.spawn(crowd)).unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn another_asks_in_the_place_of_one_that_vanished() {
    let memory = memory();
    let request = exchange("/", &[]);
    let first = ask(&memory, &request).await;
    let mut second = Box::pin(ask(&memory, &request));
    let mut third = Box::pin(memory.recall(Facts::of(&request)));
    assert!(polled(second.as_mut()).await.is_none());
    assert!(polled(third.as_mut()).await.is_none());
    drop(first);
    let second = second.await;
    assert!(polled(third.as_mut()).await.is_none());
    let _ = second.learn(
        Facts::of(&request),
        vec![Fact::Path],
        MINUTE,
        &decided("yes"),
    );
    assert!(matches!(third.await, Recalled::Known(_)));
}

/// Polls once; returns the result.
async fn polled<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn what_is_never_remembered_is_waited_for_once() {
    for reads in [None, Some(vec![Fact::Path])] {
        let memory = memory();
        let request = exchange("/", &[]);
        ask(&memory, &request).await.decline(reads.clone());
        if reads.is_some() {
            // The first request taught its list; the next shows that the list is of no use here.
            ask(&memory, &request).await.decline(reads);
        }
        // All at once, in no time.
        let start = Instant::now();
        let mut asking = Vec::new();
        for _ in 0..100 {
            asking.push(ask(&memory, &request).await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn some_are_remembered_and_some_are_not() {
    let memory = memory();
    let reads = || vec![header("k")];
    let (good, bad) = (exchange("/", &[("k", "1")]), exchange("/", &[("k", "2")]));
    teach(&memory, &good, &reads(), "good").await;
    for _ in 0..3 {
        ask(&memory, &bad).await.decline(Some(reads()));
        assert_eq!(known(&memory, &good).await.as_deref(), Some("good"));
    }
    // Requests wait again for one that was marked and is remembered after all.
    teach(&memory, &bad, &reads(), "bad").await;
    tokio::time::advance(MINUTE).await;
    let first = ask(&memory, &bad).await;
    let mut second = Box::pin(memory.recall(Facts::of(&bad)));
    assert!(polled(second.as_mut()).await.is_none());
    let _ = first.learn(Facts::of(&bad), reads(), MINUTE, &decided("again"));
    assert!(matches!(second.await, Recalled::Known(_)));
}

#[tokio::test(start_paused = true)]
async fn callers_who_differ_do_not_wait_for_each_other() {
    let memory = memory();
    teach(&memory, &exchange("/health", &[]), &[Fact::Path], "ok").await;
    let reads = [Fact::Path, header("token")];
    teach(&memory, &exchange("/", &[("token", "0")]), &reads, "0").await;
    let start = Instant::now();
    let mut asking = Vec::new();
    for token in 1..100 {
        let request = exchange("/", &[("token", &token.to_string())]);
        asking.push(ask(&memory, &request).await);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waiting_is_bounded() {
    let memory = memory();
    let request = exchange("/", &[]);
    let slow = ask(&memory, &request).await;
    let start = Instant::now();
    let own = ask(&memory, &request).await;
    assert_eq!(start.elapsed(), ANSWER_WAIT_MAX);
    // Its answer counts like any other, and the slow one's still arrives.
    let _ = own.learn(
        Facts::of(&request),
        vec![Fact::Path],
        MINUTE,
        &decided("own"),
    );
    assert_eq!(known(&memory, &request).await.as_deref(), Some("own"));
    let _ = slow.learn(
        Facts::of(&request),
        vec![Fact::Path],
        MINUTE,
        &decided("slow"),
    );
    assert_eq!(known(&memory, &request).await.as_deref(), Some("slow"));
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let memory = memory();
    let request = exchange("/", &[]);
    let first = ask(&memory, &request).await;
    let mut waiting = Vec::new();
    for _ in 0..ANSWER_WAITERS_MAX {
        let mut future = Box::pin(memory.recall(Facts::of(&request)));
        assert!(polled(future.as_mut()).await.is_none());
        waiting.push(future);
    }
    let start = Instant::now();
    drop(ask(&memory, &request).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(first);
}
