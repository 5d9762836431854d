//! Responses of no use to the client, and the requests sent in their place; and responses without a body that
//! freshen stored ones.

use super::*;
use crate::limits::cache::SKIP_BYTES_MAX;

const SHORT: (&str, &str) = ("cache-control", "max-age=3");
const LIVES: (&str, &str) = ("cache-control", "max-age=3600");

async fn fetch(cache: &Arc<Cache>, ask: &Ask) -> Fill {
    match ask.look(cache).await {
        Found::Fetch(fill) => fill,
        _ => panic!("no fetch"),
    }
}

/// The request that goes inwards.
fn sent(fill: &Fill, ask: &Ask) -> HeaderMap {
    let (mut method, mut headers) = (ask.method.clone(), ask.headers.clone());
    fill.prepare(&mut method, &mut headers);
    headers
}

/// The way out of a response of this length, whose body is not read.
fn unread(
    fill: Fill,
    fields: &[(&str, &str)],
    length: Option<usize>,
    at: SystemTime,
) -> (Feed, Filled) {
    let (feed, body) = channel(length);
    let filled = fill.answer(
        StatusCode::OK,
        headers(fields),
        body,
        Storage::Standard,
        false,
        at,
    );
    (feed, filled)
}

fn again(filled: Filled) -> Fill {
    match filled {
        Filled::AskAgain(fill) => fill,
        Filled::Served(answer) => panic!("{}: {:?}", answer.status, answer.headers),
    }
}

/// RFC 9111, section 4.3.4: (stored, in the 304, whether it is about the stored response).
#[tokio::test]
async fn a_304_about_something_else() {
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let modified = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let cases: &[(Fields, Fields, bool)] = &[
        (&[("etag", "\"one\"")], &[("etag", "\"one\"")], true),
        (&[("etag", "\"one\"")], &[], true),
        (&[("etag", "\"one\"")], &[("etag", "W/\"one\"")], true),
        (&[("etag", "W/\"one\"")], &[("etag", "\"one\"")], true),
        (&[("etag", "\"one\"")], &[("etag", "\"two\"")], false),
        (&[("etag", "\"one\"")], &[("etag", "W/\"two\"")], false),
        (&[("etag", "W/\"one\"")], &[("etag", "W/\"two\"")], false),
        (&[modified], &[], true),
        (&[modified], &[modified, ("etag", "\"one\"")], true),
        (&[modified], &[("etag", "\"one\"")], false),
    ];
    for (stored, update, is_about) in cases {
        let cache = Cache::new(settings());
        exchange(&cache, &get("/"), says(&[&[SHORT], *stored].concat())).await;
        let ask = get("/").at(4).with("if-none-match", "\"clients\"");
        let fill = fetch(&cache, &ask).await;
        let follower = {
            let (cache, ask) = (Arc::clone(&cache), get("/").at(4));
            tokio::spawn(async move { ask.look(&cache).await })
        };
        settle().await;
        let (_, body) = channel(Some(0));
        let fields = headers(&[&[LIVES], *update].concat());
        let filled = fill.answer(
            StatusCode::NOT_MODIFIED,
            fields,
            body,
            Storage::Standard,
            false,
            after(4),
        );
        let fresh = match filled {
            Filled::Served(answer) => {
                assert!(is_about, "{stored:?} {update:?}");
                read(answer.body).await.unwrap()
            }
            Filled::AskAgain(fill) => {
                assert!(!is_about, "{stored:?} {update:?}");
                assert!(!follower.is_finished());
                // Without a condition, so that this happens once.
                assert!(sent(&fill, &ask).is_empty());
                let answer = says(&[LIVES, ("etag", "\"two\"")])
                    .body("new")
                    .answer(fill, after(4));
                assert_eq!(answer.status, 200);
                read(answer.body).await.unwrap()
            }
        };
        let expected = if *is_about { "hello" } else { "new" };
        assert_eq!(fresh, expected.as_bytes());
        let Found::Served(answer) = follower.await.unwrap() else {
            panic!("does not follow");
        };
        assert_eq!(read(answer.body).await.unwrap(), expected.as_bytes());
        let got = exchange(&cache, &get("/").at(5), says(&[])).await;
        assert_eq!((got.is_cached(), got.body.as_str()), (true, expected));
    }
}

/// RFC 9111, section 4.3.5: (stored, in the answer to HEAD, whether that makes it fresh).
#[tokio::test]
async fn an_answer_to_head_tells_of_what_is_stored() {
    let modified = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let later = ("last-modified", "Mon, 07 Nov 1994 08:49:37 GMT");
    for (update, is_same) in [
        (&[("etag", "\"one\"")][..], true),
        (&[], true),
        (&[("content-length", "5")], true),
        (
            &[modified, ("etag", "\"one\""), ("content-length", "5")],
            true,
        ),
        (&[("etag", "\"two\"")], false),
        (&[("etag", "\"one\""), ("content-length", "6")], false),
        (&[("content-length", "x")], false),
        (&[later], false),
    ] {
        for (path, ask) in [
            ("/stale", get("/stale").at(4)),
            (
                "/insists",
                get("/insists").at(1).with("cache-control", "no-cache"),
            ),
        ] {
            let cache = Cache::new(settings());
            let stored = says(&[SHORT, ("etag", "\"one\""), modified, ("x", "old")]);
            exchange(&cache, &get(path), stored).await;
            let fields = [&[LIVES, ("x", "new"), ("set-cookie", "a=b")], update].concat();
            let got = exchange(&cache, &ask.method("HEAD"), says(&fields).body("")).await;
            assert_eq!((got.status, got.field("x")), (200, Some("new")));
            let got = exchange(&cache, &get(path).at(5), says(&[]).body("new")).await;
            assert_eq!(got.is_cached(), is_same, "{path} {update:?}");
            if is_same {
                assert_eq!(
                    (got.field("x"), got.field("set-cookie")),
                    (Some("new"), None)
                );
                assert_eq!(got.body, "hello");
            } else {
                assert_eq!(got.forwarded("if-none-match"), None);
            }
        }
    }
    // Other statuses say nothing about it.
    let cache = Cache::new(settings());
    exchange(&cache, &get("/"), says(&[LIVES, ("etag", "\"one\"")])).await;
    let head = get("/").method("HEAD").with("cache-control", "no-cache");
    exchange(
        &cache,
        &head,
        says(&[("etag", "\"two\"")]).status(404).body(""),
    )
    .await;
    assert!(exchange(&cache, &get("/"), says(&[])).await.is_cached());
}

/// (Range, length, lines, whether the client's own range is requested, whether the whole is stored.)
#[tokio::test]
async fn a_range_that_is_far_off_is_asked_for() {
    let mib = Some(1 << 20);
    let large = Some(40 << 20);
    let near = Some(SKIP_BYTES_MAX as usize);
    for (range, length, lines, asks, stores) in [
        ("bytes=-100", large, &[LIVES][..], true, false),
        ("bytes=0-99", large, &[LIVES], false, false),
        ("bytes=0-1,5-9", large, &[LIVES], true, false),
        (
            "bytes=-100",
            large,
            &[("cache-control", "no-store")],
            true,
            false,
        ),
        ("bytes=-100", large, &[], true, false),
        (
            "bytes=-100",
            large,
            &[("accept-ranges", "none")],
            false,
            false,
        ),
        ("bytes=99999999-", large, &[], false, false),
        (
            "bytes=-100",
            near,
            &[("cache-control", "no-store")],
            false,
            false,
        ),
        (
            "bytes=-100",
            mib,
            &[("cache-control", "no-store")],
            true,
            false,
        ),
        ("bytes=-100", mib, &[LIVES], true, true),
        ("bytes=100-199", mib, &[LIVES], false, true),
        ("bytes=0-1,5-9", mib, &[LIVES], false, true),
        ("bytes=0-99", None, &[LIVES], true, true),
        (
            "bytes=0-99",
            None,
            &[("cache-control", "no-store")],
            true,
            false,
        ),
    ] {
        let cache = Cache::new(Settings {
            entry_bytes_max: 2 << 20,
            ..settings()
        });
        let ask = get("/").with("range", range);
        let fill = fetch(&cache, &ask).await;
        assert!(sent(&fill, &ask).is_empty());
        let (feed, filled) = unread(fill, lines, length, start());
        let case = format!("{range} {length:?} {lines:?}");
        if !asks {
            let Filled::Served(_) = filled else {
                panic!("{case}");
            };
        } else {
            let fill = again(filled);
            assert_eq!(sent(&fill, &ask)["range"], range, "{case}");
            // Its response goes to the client as it is, and no further request is made.
            let part = says(&[("content-range", "bytes 0-4/9")])
                .status(206)
                .answer(fill, start());
            assert_eq!(part.status, 206);
            assert_eq!(read(part.body).await.unwrap(), b"hello");
        }
        if asks && stores {
            feed.send(Ok(Bytes::from(vec![0; length.unwrap_or(1 << 20)])))
                .unwrap();
            drop(feed);
            settle().await;
            assert!(
                exchange(&cache, &ask, says(&[])).await.is_cached(),
                "{case}"
            );
        }
    }
}

/// A server that ignores ranges is asked for one only once.
#[tokio::test]
async fn a_range_is_asked_for_once() {
    let cache = Cache::new(settings());
    let ask = get("/").with("range", "bytes=-100");
    let fill = fetch(&cache, &ask).await;
    let (_feed, filled) = unread(fill, &[LIVES], Some(40 << 20), start());
    let (_feed, filled) = unread(again(filled), &[LIVES], Some(40 << 20), start());
    let Filled::Served(answer) = filled else {
        panic!("it is asked a third time");
    };
    assert_eq!(
        (answer.status, answer.headers.get("content-range")),
        (StatusCode::OK, None)
    );
}

/// Followers do not wait for a part that is far off either.
#[tokio::test]
async fn a_follower_has_its_own_range() {
    let cache = Cache::new(settings());
    let fill = fetch(&cache, &get("/")).await;
    let (_feed, filled) = unread(fill, &[LIVES], Some(1 << 20), start());
    let Filled::Served(_own) = filled else {
        panic!("no answer");
    };
    for (range, follows) in [("bytes=0-9", true), ("bytes=-9", false)] {
        let ask = get("/").with("range", range);
        match ask.look(&cache).await {
            Found::Served(answer) => {
                assert!(follows);
                assert_eq!(answer.status, 206);
            }
            Found::Fetch(fill) => {
                assert!(!follows);
                assert_eq!(sent(&fill, &ask)["range"], range);
            }
            _ => panic!("{range}"),
        }
    }
}

/// A background fetch has no client to ask again for.
#[tokio::test]
async fn a_background_fetch_asks_once() {
    let cache = Cache::new(settings());
    let stale = ("cache-control", "max-age=1, stale-while-revalidate=60");
    exchange(&cache, &get("/"), says(&[stale])).await;
    let ask = get("/").at(4).with("range", "bytes=-2");
    let Found::AnswerAndRevalidate(answer, fill) = ask.look(&cache).await else {
        panic!("nobody fetches");
    };
    assert_eq!(answer.status, 206);
    let (_feed, filled) = unread(fill, &[LIVES], Some(40 << 20), after(4));
    assert!(matches!(filled, Filled::Served(_)));
}
