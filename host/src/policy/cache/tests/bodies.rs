//! Bodies on their way: which are stored, which are only passed on, and which readers hold up others.

use super::*;
use crate::limits::cache::{FILL_ALONE, PIECE_BYTES, WINDOW_BYTES};

const ENTRY_MAX: usize = 1 << 20;

async fn begin(cache: &Arc<Cache>, length: Option<usize>) -> (Feed, CacheBody) {
    let Found::Fetch(fill) = get("/").look(cache).await else {
        panic!("no fetch");
    };
    let (feed, body) = channel(length);
    let lives = headers(&[("cache-control", "max-age=60")]);
    let answer = fill.answered(
        StatusCode::OK,
        lives,
        body,
        Storage::Standard,
        false,
        start(),
    );
    (feed, answer.body)
}

async fn follow(cache: &Arc<Cache>) -> CacheBody {
    match get("/").look(cache).await {
        Found::Served(answer) => answer.body,
        _ => panic!("does not follow"),
    }
}

async fn is_stored(cache: &Arc<Cache>) -> bool {
    settle().await;
    cache.stats().entries == 1
}

fn piece(bytes: usize) -> io::Result<Bytes> {
    Ok(Bytes::from(vec![7; bytes]))
}

#[tokio::test(start_paused = true)]
async fn what_breaks_off_is_an_error_to_all_and_not_stored() {
    let whole = || Ok(Bytes::from_static(b"hello"));
    for (length, last) in [
        (Some(6), None),
        (Some(4), None),
        (Some(6), Some(Err(io::ErrorKind::ConnectionReset.into()))),
        (None, Some(Err(io::ErrorKind::ConnectionReset.into()))),
    ] {
        let cache = Cache::new(settings());
        let (feed, own) = begin(&cache, length).await;
        let other = follow(&cache).await;
        feed.send(whole()).unwrap();
        if let Some(last) = last {
            feed.send(last).unwrap();
        }
        drop(feed);
        for body in [own, other] {
            assert!(read(body).await.is_err(), "{length:?}");
        }
        assert!(!is_stored(&cache).await);
        // The next request tries again, for all that wait.
        let (_feed, _own) = begin(&cache, None).await;
        follow(&cache).await;
    }
    // An announced body that turns out empty.
    let cache = Cache::new(settings());
    let Found::Fetch(fill) = get("/").look(&cache).await else {
        panic!("no fetch");
    };
    let announced = headers(&[("cache-control", "max-age=60"), ("content-length", "5")]);
    let (_, body) = channel(None);
    let answer = fill.answered(
        StatusCode::OK,
        announced,
        body,
        Storage::Standard,
        false,
        start(),
    );
    assert!(read(answer.body).await.is_err());
    assert!(!is_stored(&cache).await);
}

/// A client that has read all of it finds it stored.
#[tokio::test(start_paused = true)]
async fn the_last_bytes_come_after_the_store() {
    let cache = Cache::new(settings());
    let (feed, mut own) = begin(&cache, Some(5)).await;
    feed.send(Ok(Bytes::from_static(b"he"))).unwrap();
    assert_eq!(next(&mut own).await.unwrap().unwrap(), "he");
    feed.send(Ok(Bytes::from_static(b"llo"))).unwrap();
    let early = tokio::time::timeout(Duration::from_secs(1), next(&mut own)).await;
    assert!(early.is_err(), "the end is not seen yet");
    drop(feed);
    assert_eq!(next(&mut own).await.unwrap().unwrap(), "llo");
    assert_eq!(cache.stats().entries, 1);
    assert_eq!(next(&mut own).await.unwrap(), None);
}

/// A large body is stored in pieces, and every part of it can be read.
#[tokio::test(start_paused = true)]
async fn pieces() {
    let cache = Cache::new(settings());
    let bytes: Vec<u8> = (0..ENTRY_MAX - 3).map(|at| (at % 251) as u8).collect();
    let (feed, own) = begin(&cache, Some(bytes.len())).await;
    for part in bytes.chunks(10_007) {
        feed.send(Ok(Bytes::copy_from_slice(part))).unwrap();
    }
    drop(feed);
    assert!(read(own).await.unwrap() == bytes);
    for (from, to) in [
        (0, 1),
        (PIECE_BYTES - 1, PIECE_BYTES + 1),
        (PIECE_BYTES, 3 * PIECE_BYTES),
        (5, bytes.len()),
    ] {
        let ask = get("/").with("range", &format!("bytes={from}-{}", to - 1));
        let Found::Served(answer) = ask.look(&cache).await else {
            panic!("a miss");
        };
        assert!(
            read(answer.body).await.unwrap() == bytes[from..to],
            "{from}-{to}"
        );
    }
}

/// A body that is known to be too large goes straight through, at its reader's pace.
#[tokio::test(start_paused = true)]
async fn too_large_by_its_length() {
    let cache = Cache::new(settings());
    let (feed, mut own) = begin(&cache, Some(ENTRY_MAX + 1)).await;
    assert!(matches!(get("/").look(&cache).await, Found::Fetch(_)));
    feed.send(piece(ENTRY_MAX)).unwrap();
    assert_eq!(next(&mut own).await.unwrap().unwrap().len(), ENTRY_MAX);
    drop(own);
    assert!(feed.is_closed());
    assert!(!is_stored(&cache).await);
}

/// One that turns out too large is read within a window ahead of its slowest reader.
#[tokio::test(start_paused = true)]
async fn too_large_as_it_grows() {
    const PART: usize = 100_000;
    let cache = Cache::new(settings());
    let (feed, mut fast) = begin(&cache, None).await;
    let mut slow = follow(&cache).await;
    let parts = 4 * (ENTRY_MAX + WINDOW_BYTES) / PART;
    for _ in 0..parts {
        feed.send(piece(PART)).unwrap();
    }
    drop(feed);
    let mut had = 0;
    let mut stalls = 0;
    // The fast reader gets as far as the window reaches, and further only with the slow one.
    let mut slow_had = 0;
    loop {
        let waited = tokio::time::timeout(Duration::from_millis(10), next(&mut fast)).await;
        match waited {
            Ok(data) => match data.unwrap() {
                Some(data) => had += data.len(),
                None => break,
            },
            Err(_) => {
                assert!(had - slow_had <= ENTRY_MAX + WINDOW_BYTES + 2 * PART);
                stalls += 1;
                slow_had += next(&mut slow).await.unwrap().unwrap().len();
            }
        }
    }
    assert_eq!(had, parts * PART);
    assert!(stalls > 10);
    assert_eq!(slow_had + read(slow).await.unwrap().len(), had);
    assert!(!is_stored(&cache).await);
    // A request that comes then fetches for itself.
    assert!(matches!(get("/").look(&cache).await, Found::Fetch(_)));
}

/// A body that has no reader and will not be stored is not read on.
#[tokio::test(start_paused = true)]
async fn too_large_and_abandoned() {
    let cache = Cache::new(settings());
    let (feed, own) = begin(&cache, None).await;
    for _ in 0..12 {
        feed.send(piece(100_000)).unwrap();
    }
    settle().await;
    assert!(!feed.is_closed());
    drop(own);
    settle().await;
    assert!(feed.is_closed());
}

/// A body that can be stored is read to its end without readers, but not for ever.
#[tokio::test(start_paused = true)]
async fn stored_without_readers() {
    let cache = Cache::new(settings());
    let (feed, own) = begin(&cache, None).await;
    feed.send(piece(10)).unwrap();
    drop(own);
    tokio::time::sleep(FILL_ALONE / 2).await;
    feed.send(piece(10)).unwrap();
    drop(feed);
    assert!(is_stored(&cache).await);

    let cache = Cache::new(settings());
    let (feed, own) = begin(&cache, None).await;
    drop(own);
    tokio::time::sleep(FILL_ALONE / 2).await;
    assert!(!feed.is_closed());
    // A reader starts the time anew.
    let other = follow(&cache).await;
    settle().await;
    tokio::time::sleep(FILL_ALONE).await;
    assert!(!feed.is_closed());
    drop(other);
    tokio::time::sleep(FILL_ALONE / 2).await;
    assert!(!feed.is_closed());
    tokio::time::sleep(FILL_ALONE / 2 + Duration::from_secs(1)).await;
    assert!(feed.is_closed());
    assert!(!is_stored(&cache).await);
}

/// A slow reader holds up neither the others nor the store.
#[tokio::test(start_paused = true)]
async fn a_slow_reader() {
    let cache = Cache::new(settings());
    let (feed, mut slow) = begin(&cache, None).await;
    let fast = follow(&cache).await;
    for _ in 0..10 {
        feed.send(piece(100_000)).unwrap();
    }
    assert_eq!(next(&mut slow).await.unwrap().unwrap().len(), 100_000);
    drop(feed);
    assert_eq!(read(fast).await.unwrap().len(), 1_000_000);
    assert!(is_stored(&cache).await);
    assert_eq!(read(slow).await.unwrap().len(), 900_000);
}

/// All bodies on their way have a budget; beyond it they are passed on, and it is given back.
#[tokio::test(start_paused = true)]
async fn the_budget() {
    let small = Settings {
        bytes_max: 4 << 20,
        entry_bytes_max: 1 << 20,
    };
    let cache = Cache::new(small);
    let (feed, own) = begin(&cache, Some(900_000)).await;
    let Found::Fetch(fill) = get("/other").look(&cache).await else {
        panic!("no fetch");
    };
    let (other_feed, body) = channel(Some(900_000));
    let lives = headers(&[("cache-control", "max-age=60")]);
    let other = fill.answered(
        StatusCode::OK,
        lives,
        body,
        Storage::Standard,
        false,
        start(),
    );
    assert_eq!(other.headers["cache-status"], "tollgate; fwd=uri-miss");
    other_feed.send(piece(900_000)).unwrap();
    drop(other_feed);
    assert_eq!(read(other.body).await.unwrap().len(), 900_000);
    feed.send(piece(900_000)).unwrap();
    drop(feed);
    assert_eq!(read(own).await.unwrap().len(), 900_000);
    assert!(is_stored(&cache).await);
    cache.purge(None, &super::super::PurgeKey::All);
    let (feed, own) = begin(&cache, Some(900_000)).await;
    feed.send(piece(900_000)).unwrap();
    drop(feed);
    assert_eq!(read(own).await.unwrap().len(), 900_000);
    assert!(is_stored(&cache).await);
    // A body of unknown length takes room as it grows.
    cache.purge(None, &super::super::PurgeKey::All);
    let (_held, _own) = begin(&cache, Some(800_000)).await;
    let Found::Fetch(fill) = get("/grows").look(&cache).await else {
        panic!("no fetch");
    };
    let (grows, body) = channel(None);
    let lives = headers(&[("cache-control", "max-age=60")]);
    let answer = fill.answered(
        StatusCode::OK,
        lives,
        body,
        Storage::Standard,
        false,
        start(),
    );
    for _ in 0..4 {
        grows.send(piece(100_000)).unwrap();
    }
    drop(grows);
    assert_eq!(read(answer.body).await.unwrap().len(), 400_000);
    assert!(!is_stored(&cache).await);
}

/// A part of a body that is only passed on breaks off if its source does.
#[tokio::test(start_paused = true)]
async fn a_part_that_breaks_off() {
    for (bytes, whole) in [(5, false), (9, true)] {
        let cache = Cache::new(settings());
        let Found::Fetch(fill) = get("/").with("range", "bytes=2-8").look(&cache).await else {
            panic!("no fetch");
        };
        let (feed, body) = channel(Some(10));
        let private = headers(&[("cache-control", "private")]);
        let answer = fill.answered(
            StatusCode::OK,
            private,
            body,
            Storage::Standard,
            false,
            start(),
        );
        assert_eq!(answer.body.size_hint().exact(), Some(7));
        feed.send(piece(bytes)).unwrap();
        drop(feed);
        let part = read(answer.body).await.map(|part| part.len());
        assert_eq!(part.ok(), whole.then_some(7));
    }
}
