//! Which answers hold for the next request, and for which.

use tollgate_plugin::Source;

use super::*;

/// How long the decision is remembered; the stand-in fails where the gateway would not remember it.
fn remembered(more: Value, answer: Result<Reply, FetchError>) -> Option<Duration> {
    let decision = decided(more, answer);
    assert_eq!(
        decision.across,
        decision.remember.map(|_| Source::Fetch).as_slice()
    );
    decision.remember
}

#[test]
fn answers_that_allow_hold_as_long_as_is_said() {
    for (text, ms) in [("1ms", 1), ("2s", 2_000), ("60m", 3_600_000)] {
        let more = json!({ "remember": text });
        assert_eq!(
            remembered(more, Ok(alice())),
            Some(Duration::from_millis(ms))
        );
    }
    assert_eq!(remembered(json!({}), Ok(alice())), None);
    assert_eq!(remembered(json!({ "remember": "0s" }), Ok(alice())), None);
    let more = json!({ "remember": "2s", "anonymous": "guest" });
    assert!(remembered(more, Ok(Reply::new(204))).is_some());
}

/// A redirect may carry what is for one client alone, a caller that has just signed in must not be kept
/// out, and a service that failed may be back.
#[test]
fn nothing_else_holds() {
    let remember = || json!({ "remember": "2s" });
    for status in [301, 302, 304, 400, 401, 403, 404, 429, 500, 503] {
        assert_eq!(
            remembered(remember(), Ok(Reply::new(status))),
            None,
            "{status}"
        );
        testing::reset();
    }
    assert_eq!(remembered(remember(), Ok(Reply::new(200))), None, "nobody");
    assert_eq!(remembered(remember(), Err(FetchError::Timeout)), None);
}

#[test]
fn the_request_id_is_not_sent_where_answers_hold() {
    let request = || post().header("x-request-id", "7");
    let sent = |more| {
        let lines = lines(&asked(more, request()));
        lines.contains(&"x-request-id: 7".to_owned())
    };
    assert!(!sent(json!({ "remember": "2s" })));
    testing::reset();
    assert!(sent(json!({})));
    testing::reset();
    assert!(sent(json!({ "remember": "0s" })));
}

/// What the service is not told is not asked of the request either, so answers hold whatever it is.
#[test]
fn only_what_is_named_is_told() {
    let told = |more: Value| {
        let lines = lines(&asked(more, post()));
        let own = lines.iter().filter(|line| line.starts_with("x-forwarded-"));
        own.cloned().collect::<Vec<_>>()
    };
    assert!(told(json!({ "x-forwarded": [] })).is_empty());
    assert_eq!(
        told(json!({ "x-forwarded": ["for", "method", "for"] })),
        ["x-forwarded-for: 2001:db8::7", "x-forwarded-method: POST"]
    );
    assert_eq!(told(json!({})).len(), 5);
}
