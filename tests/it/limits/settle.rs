//! Charges corrected once the response is known: the upstream's `x-settle` says what a request cost.

use tollgate_tests::{Folder, Gateway, Origin, Response, Step, dead_address};

use super::{left, limited, members, quota, scene};
use crate::kinds::{PATIENT, authorizer, kinds};

/// Answers with the `x-settle` that is asked for in the query.
fn upstream() -> Origin {
    Origin::raw(|request| {
        let settle = request
            .target
            .split_once('?')
            .map_or("", |(_, query)| query);
        let head = format!("HTTP/1.1 200 OK\r\nx-settle: {settle}\r\ncontent-length: 2\r\n\r\nok");
        vec![Step::Send(head.into_bytes())]
    })
}

#[test]
fn more_is_charged_and_less_is_given_back() {
    let (folder, origin) = (Folder::new(), upstream());
    let limits = [
        quota("q", 10, "cost = \"header:x-cost\""),
        quota("other", 100, "key = [\"literal:other\"]"),
    ];
    let gateway = Gateway::start(&limited(&folder, &origin, &limits.join(", ")).toml());
    let ask =
        |cost: &str, settle: &str| gateway.get_with(&format!("/a?{settle}"), &[("x-cost", cost)]);
    for (cost, settle, status, q, other) in [
        ("1", "", 200, 9, 99),
        // What is not named stays.
        ("5", "q=2", 200, 7, 98),
        ("1", "q=0", 200, 7, 98 - 1),
        ("1", "q=4,other=11", 200, 3, 86),
        ("3", "q=3", 200, 0, 85),
        ("0", "q=0", 200, 0, 84),
    ] {
        let response = ask(cost, settle);
        assert_eq!(response.status, status, "{cost} {settle}");
        assert_eq!(left(&response, "q"), q, "{cost} {settle}");
        assert_eq!(left(&response, "other"), other, "{cost} {settle}");
    }
    // Who is refused was charged nothing, and has nothing to settle.
    let response = ask("1", "q=0");
    assert_eq!((response.status, left(&response, "q")), (429, 0));
}

#[test]
fn what_costs_more_than_is_left_goes_into_debt() {
    let (folder, origin) = (Folder::new(), upstream());
    let gateway = Gateway::start(&limited(&folder, &origin, &quota("q", 5, "")).toml());
    let response = gateway.get("/a?q=18446744073709551615");
    assert_eq!((response.status, left(&response, "q")), (200, 0));
    assert_eq!(gateway.get("/a?q=0").status, 429);
}

/// A request in flight holds what it was charged, until its settlement.
#[test]
fn what_is_given_back_lets_the_next_in() {
    let (folder, origin) = (Folder::new(), upstream());
    let gateway = Gateway::start(&limited(&folder, &origin, &quota("q", 1, "")).toml());
    for round in 0..10 {
        let response = gateway.get("/a?q=0");
        assert_eq!(
            (response.status, left(&response, "q")),
            (200, 1),
            "round {round}"
        );
    }
    assert_eq!(gateway.get("/a?q=1").status, 200);
    assert_eq!(gateway.get("/a?q=0").status, 429);
}

#[test]
fn concurrency_and_rates_are_settled_too() {
    let (folder, origin) = (Folder::new(), upstream());
    let limits = [
        super::rate("r", 1, 3_600_000, 10),
        super::concurrent("c", 10),
    ];
    let gateway = Gateway::start(&limited(&folder, &origin, &limits.join(", ")).toml());
    for (settle, r, c) in [("r=4", 6, 9), ("r=0,c=3", 6, 7), ("c=0", 5, 10)] {
        let response = gateway.get(&format!("/a?{settle}"));
        assert_eq!(response.status, 200);
        assert_eq!(left(&response, "r"), r, "{settle}");
        // Of those before it something may be held for a moment yet.
        assert!(left(&response, "c") <= c, "{settle}");
        super::concurrent::wait_until_free(&gateway, "/a?r=0", "c", 9);
    }
}

/// The way out passes the limiter whatever answered; the guest then goes by the request's own field.
#[test]
fn errors_and_denials_are_settled() {
    let (folder, origin) = (Folder::new(), upstream());
    let scene = limited(&folder, &origin, &quota("q", 10, ""))
        .plugin("auth", &authorizer(&folder), PATIENT)
        .policy(
            "door",
            "auth",
            "config.authorize.verdict = \"header:x-verdict\"",
        )
        .with(&format!(
            "[upstreams.dead]\nservers = [\"http://{}\"]",
            dead_address()
        ))
        .with("[routes.dead]\nmatch = \"/dead\"\nchain = [\"limited\"]\nupstream = \"dead\"")
        .with("[routes.own]\nmatch = \"/own\"\nchain = [\"limited\"]\nrespond = { status = 410 }")
        .route("door", "/door", &["limited", "door"]);
    let gateway = Gateway::start(&scene.toml());
    for (path, verdict, status) in [
        ("/dead", "", 502),
        ("/own", "", 410),
        ("/door", "deny", 403),
        ("/door", "fault", 500),
    ] {
        let settled = [("x-verdict", verdict), ("x-settle", "q=0")];
        let response = gateway.get_with(path, &settled);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(left(&response, "q"), 10, "{path} {verdict}");
    }
}

#[test]
fn a_settlement_of_what_was_not_asked_for_is_a_fault() {
    let (folder, origin) = (Folder::new(), upstream());
    let config = format!("config.limits = [{}]", quota("q", 10, ""));
    let scene = scene(&folder, &origin)
        .policy("closed", "limit", &config)
        .policy("open", "limit", &format!("{config}\non-fault = \"open\""))
        .route("closed", "/closed", &["closed"])
        .route("open", "/open", &["open"]);
    let gateway = Gateway::start(&scene.toml());
    for (path, status) in [("/closed", 500), ("/open", 200)] {
        let response = gateway.get(&format!("{path}?none=1"));
        assert_eq!(response.status, status, "{path}");
        assert_eq!(left(&response, "q"), 9, "{path}: what was charged stays");
        let response = gateway.get(&format!("{path}?q=nonsense"));
        assert_eq!(response.status, status, "{path}");
        assert_eq!(left(&response, "q"), 8, "{path}");
        let labels = [("policy", &path[1..]), ("kind", "bad-reply")];
        assert_eq!(gateway.metric("tollgate_plugin_faults_total", &labels), 1.0);
    }
}

/// A limiter without the second half: nothing is called on the way out, and it still says how it stands.
#[test]
fn a_limiter_need_not_settle() {
    let (folder, origin) = (Folder::new(), upstream());
    let scene = crate::scene::Scene::new(&origin)
        .plugin("limit", &kinds(&folder, &["limiter"]), PATIENT)
        .policy(
            "limited",
            "limit",
            &format!("config.limits = [{}]", quota("q", 2, "")),
        );
    let gateway = Gateway::start(&scene.toml());
    let answer = |response: &Response| (response.status, left(response, "q"));
    assert_eq!(answer(&gateway.get("/a?q=0")), (200, 1));
    assert_eq!(answer(&gateway.get("/a?q=0")), (200, 0));
    let response = gateway.get("/a?q=0");
    assert_eq!(response.status, 429);
    assert_eq!(members(&response, "ratelimit-policy").len(), 1);
    let labels = [("policy", "limited"), ("side", "out")];
    assert_eq!(gateway.metric("tollgate_plugin_calls_total", &labels), 0.0);
}
