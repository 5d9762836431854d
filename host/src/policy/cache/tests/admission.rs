//! Which keys stay when the store is full.

use super::*;

/// Requests this many URLs of a kind, each with a body of 1 KiB, and returns how many were cached.
async fn round(cache: &Arc<Cache>, kind: &str, count: usize) -> usize {
    const BODY: &str = match str::from_utf8(&[b'x'; 1024]) {
        Ok(text) => text,
        Err(_) => "",
    };
    let mut hits = 0;
    for number in 0..count {
        let lives = says(&[
            ("cache-control", "max-age=3600"),
            ("content-type", "text/plain"),
        ]);
        let ask = get(&format!("/{kind}/{number}"));
        let got = exchange(cache, &ask, lives.body(BODY)).await;
        hits += usize::from(got.is_cached());
    }
    hits
}

/// Responses that are requested again and again replace older ones that no request asks for any more.
#[tokio::test]
async fn what_is_asked_for_again_gets_in() {
    let cache = Cache::new(Settings {
        bytes_max: 16 << 20,
        ..settings()
    });
    assert_eq!(round(&cache, "old", 20_000).await, 0);
    let mut hits = Vec::new();
    for _ in 0..5 {
        hits.push(round(&cache, "new", 2_000).await);
    }
    assert_eq!(hits[0], 0);
    assert!(hits[3] > 1_800 && hits[4] > 1_900, "{hits:?}");
}
