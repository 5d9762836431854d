//! The cost of clients that do not read, read slowly, or leave.

use super::*;
use crate::limits::cache::{FILL_ALONE, FILLS_ALONE_MAX, PACE_BYTES, STALL_MAX, WINDOW_BYTES};

const PART: usize = 100_000;

/// A body for its first client, and whether it is reported as stored.
async fn begin(cache: &Arc<Cache>, path: &str, length: Option<usize>) -> (Feed, CacheBody, bool) {
    let Found::Fetch(fill) = get(path).look(cache).await else {
        panic!("no fetch");
    };
    let (feed, body) = channel(length);
    let answer = fill.answered(
        StatusCode::OK,
        headers(&[("cache-control", "max-age=60")]),
        body,
        Storage::Standard,
        false,
        start(),
    );
    let report = answer.headers["cache-status"].to_str().unwrap();
    let stored = report.ends_with("stored");
    (feed, answer.body, stored)
}

async fn follow(cache: &Arc<Cache>, path: &str) -> CacheBody {
    match get(path).look(cache).await {
        Found::Served(answer) => answer.body,
        _ => panic!("does not follow"),
    }
}

fn feed_parts(feed: &Feed, parts: usize) {
    for _ in 0..parts {
        feed.send(Ok(Bytes::from(vec![7; PART]))).unwrap();
    }
}

fn small() -> Arc<Cache> {
    Cache::new(Settings {
        bytes_max: 4 << 20,
        entry_bytes_max: 1 << 20,
    })
}

/// An evicted body counts until its last reader is gone.
#[tokio::test(start_paused = true)]
async fn what_is_read_is_held() {
    let cache = small();
    let mut slow = Vec::new();
    let mut stored = 0;
    for number in 0..20 {
        let (feed, body, kept) = begin(&cache, &format!("/{number}"), Some(9 * PART)).await;
        feed_parts(&feed, 9);
        drop(feed);
        stored += usize::from(kept);
        if kept {
            slow.push(body);
        } else {
            assert_eq!(read(body).await.unwrap().len(), 9 * PART);
        }
        settle().await;
    }
    // The store holds four of them; one more fits into the room for growing bodies.
    assert!((4..=5).contains(&stored), "{stored}");
    for body in slow {
        assert_eq!(read(body).await.unwrap().len(), 9 * PART);
    }
    let (_feed, _body, kept) = begin(&cache, "/after", Some(9 * PART)).await;
    assert!(kept);
}

/// The received part of a body that is not stored after all counts until its slowest reader has it.
#[tokio::test(start_paused = true)]
async fn what_turned_out_too_large_is_held() {
    for breaks_off in [false, true] {
        let cache = small();
        let (feed, mut slow, _) = begin(&cache, "/large", None).await;
        if !breaks_off {
            feed_parts(&feed, 11)
        } else {
            feed_parts(&feed, 10);
            let reset = io::Error::from(io::ErrorKind::ConnectionReset);
            feed.send(Err(reset)).unwrap();
        }
        settle().await;
        assert!(!begin(&cache, "/other", Some(9 * PART)).await.2);
        for _ in 0..10 {
            next(&mut slow).await.unwrap();
        }
        settle().await;
        assert!(begin(&cache, "/other", Some(9 * PART)).await.2);
    }
}

/// A body in tiny pieces costs more than its bytes.
#[tokio::test(start_paused = true)]
async fn tiny_pieces() {
    let cache = small();
    let (feed, own, _) = begin(&cache, "/", None).await;
    for _ in 0..30_000 {
        feed.send(Ok(Bytes::from_static(b"x"))).unwrap();
    }
    drop(feed);
    assert_eq!(read(own).await.unwrap().len(), 30_000);
    settle().await;
    assert_eq!(cache.stats().entries, 0);
}

/// Reads on until no data comes for a while.
async fn read_on(body: &mut CacheBody, patience: Duration) -> usize {
    let mut had = 0;
    while let Ok(data) = tokio::time::timeout(patience, next(body)).await {
        match data.unwrap() {
            Some(data) => had += data.len(),
            None => break,
        }
        // A client sends what it has before it asks for more.
        settle().await;
    }
    had
}

/// A reader that reads nothing holds up the others only for a short time, and is then cut off.
#[tokio::test(start_paused = true)]
async fn one_that_does_not_read() {
    const PARTS: usize = 40;
    let cache = Cache::new(settings());
    let (feed, mut stuck, _) = begin(&cache, "/", None).await;
    let mut fast = follow(&cache, "/").await;
    let mut late = follow(&cache, "/").await;
    assert_eq!(next_after(&feed, &mut late).await, PART);
    feed_parts(&feed, PARTS - 1);
    drop(feed);
    let began = tokio::time::Instant::now();
    let had = read_on(&mut fast, 2 * STALL_MAX).await;
    assert_eq!(had, PARTS * PART);
    // Both slow readers are gone, and the second did not cost as much time again.
    assert!(began.elapsed() <= STALL_MAX + Duration::from_secs(1));
    for body in [&mut stuck, &mut late] {
        let error = next(body).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

async fn next_after(feed: &Feed, body: &mut CacheBody) -> usize {
    feed_parts(feed, 1);
    next(body).await.unwrap().unwrap().len()
}

/// Nor does a reader that now and then reads a little.
#[tokio::test(start_paused = true)]
async fn one_that_trickles() {
    const PARTS: usize = 40;
    let cache = Cache::new(settings());
    let (feed, mut slow, _) = begin(&cache, "/", None).await;
    let mut fast = follow(&cache, "/").await;
    feed_parts(&feed, PARTS);
    drop(feed);
    // Until there is a window between the two.
    for _ in 0..PARTS / 2 {
        next(&mut slow).await.unwrap();
        next(&mut fast).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    let trickle = tokio::spawn(async move {
        loop {
            tokio::time::sleep(STALL_MAX / 2).await;
            if let Err(error) = next(&mut slow).await {
                return error.kind();
            }
        }
    });
    let had = read_on(&mut fast, 3 * STALL_MAX).await;
    assert_eq!(had, PARTS / 2 * PART);
    // It moved on at first, so its pace is judged twice.
    assert!(began.elapsed() <= 2 * STALL_MAX + Duration::from_secs(1));
    assert_eq!(trickle.await.unwrap(), io::ErrorKind::TimedOut);
}

/// Others wait for a slower reader that moves on, even after one that did not was cut off.
#[tokio::test(start_paused = true)]
async fn one_that_is_slower() {
    const PARTS: usize = 200;
    let cache = Cache::new(settings());
    let (feed, stuck, _) = begin(&cache, "/", None).await;
    let mut fast = follow(&cache, "/").await;
    let mut slower = follow(&cache, "/").await;
    feed_parts(&feed, PARTS);
    drop(feed);
    let fast = tokio::spawn(async move { read_on(&mut fast, 4 * STALL_MAX).await });
    let slower = tokio::spawn(async move {
        let mut had = 0;
        while let Some(data) = next(&mut slower).await.unwrap() {
            had += data.len();
            // Five times the required pace.
            let time = STALL_MAX.mul_f64(data.len() as f64 / PACE_BYTES as f64 / 5.0);
            tokio::time::sleep(time).await;
        }
        had
    });
    assert_eq!(fast.await.unwrap(), PARTS * PART);
    assert_eq!(slower.await.unwrap(), PARTS * PART);
    drop(stuck);
}

/// A lone reader, and one that no other waits for, may take their time.
#[tokio::test(start_paused = true)]
async fn one_that_is_slow() {
    const PARTS: usize = 40;
    let cache = Cache::new(settings());
    let (feed, mut slow, _) = begin(&cache, "/", None).await;
    let mut other = follow(&cache, "/").await;
    feed_parts(&feed, PARTS);
    for _ in 0..PARTS {
        tokio::time::sleep(STALL_MAX).await;
        assert_eq!(next(&mut slow).await.unwrap().unwrap().len(), PART);
        assert_eq!(next(&mut other).await.unwrap().unwrap().len(), PART);
    }
    drop(other);
    feed_parts(&feed, PARTS);
    settle().await;
    const { assert!(PARTS * PART > 4 * WINDOW_BYTES) };
    tokio::time::sleep(10 * STALL_MAX).await;
    drop(feed);
    assert_eq!(read(slow).await.unwrap().len(), PARTS * PART);
}

/// Only this many bodies are read without readers.
#[tokio::test(start_paused = true)]
async fn those_that_nobody_reads() {
    let cache = Cache::new(settings());
    let mut feeds = Vec::new();
    for number in 0..FILLS_ALONE_MAX + 20 {
        let (feed, body, _) = begin(&cache, &format!("/{number}"), None).await;
        drop(body);
        feeds.push(feed);
    }
    settle().await;
    let open = |feeds: &[Feed]| feeds.iter().filter(|feed| !feed.is_closed()).count();
    assert_eq!(open(&feeds), FILLS_ALONE_MAX);
    // A body that is read again, or complete, makes room.
    let reader = follow(&cache, "/0").await;
    feeds.remove(1);
    settle().await;
    for path in ["/a", "/b", "/c"] {
        let (feed, body, _) = begin(&cache, path, None).await;
        drop(body);
        feeds.push(feed);
    }
    settle().await;
    assert_eq!(open(&feeds), FILLS_ALONE_MAX + 1);
    tokio::time::sleep(FILL_ALONE + Duration::from_secs(1)).await;
    assert_eq!(open(&feeds), 1);
    drop(reader);
    settle().await;
    assert_eq!(open(&feeds), 1);
}
