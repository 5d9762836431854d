//! Limits through real requests: the plugin says which, the host counts.
//!
//! The guest's limits are those of its configuration, with keys and costs from the request. Quotas are
//! of a year, so that no test sees the end of one.

mod concurrent;
mod parallel;
mod refused;
mod scopes;
mod settle;

use tollgate_tests::{Folder, Gateway, Origin, Response, eventually};

use crate::kinds::{PATIENT, limiter};
use crate::scene::Scene;

/// A scene with the plugin `limit`, and no policy of it yet.
fn scene(folder: &Folder, origin: &Origin) -> Scene {
    Scene::new(origin).plugin("limit", &limiter(folder), PATIENT)
}

/// One with the policy `limited` of these limits, on all paths.
fn limited(folder: &Folder, origin: &Origin, limits: &str) -> Scene {
    scene(folder, origin).policy("limited", "limit", &format!("config.limits = [{limits}]"))
}

/// `amount` a year; `more` are further members.
fn quota(name: &str, amount: u64, more: &str) -> String {
    let bound = format!("bound = {{ quota = {{ amount = {amount}, period = \"year\" }} }}");
    format!("{{ name = \"{name}\", {bound}, {more} }}").replace(",  }", " }")
}

fn rate(name: &str, amount: u64, period_ms: u64, burst: u64) -> String {
    let numbers = format!("amount = {amount}, period-ms = {period_ms}, burst = {burst}");
    format!("{{ name = \"{name}\", bound = {{ rate = {{ {numbers} }} }} }}")
}

fn concurrent(name: &str, amount: u64) -> String {
    format!("{{ name = \"{name}\", bound = {{ concurrent = {amount} }} }}")
}

/// One member of `RateLimit` or `RateLimit-Policy`: the name, and the parameters by name.
struct Member {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Member {
    #[track_caller]
    fn number(&self, parameter: &str) -> u64 {
        self.text(parameter).parse().expect("a number")
    }

    #[track_caller]
    fn text(&self, parameter: &str) -> &str {
        let mut all = self.parameters.iter();
        let found = all.find(|(name, _)| name == parameter);
        &found.unwrap_or_else(|| panic!("no `{parameter}`")).1
    }

    fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|(name, _)| name == parameter)
    }
}

/// The members of a field of this name. No name in these tests has a comma, a semicolon or a quote.
#[track_caller]
fn members(response: &Response, field: &str) -> Vec<Member> {
    let lines = response.headers(field).join(", ");
    let members = lines.split(", ").filter(|member| !member.is_empty());
    let member = |member: &str| {
        let mut parts = member.split(';');
        let name = parts.next().unwrap_or_default();
        let name = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let pairs = parts.map(|part| {
            let (name, value) = part.split_once('=').expect("a parameter with a value");
            (name.to_owned(), value.to_owned())
        });
        Member {
            name: name.expect("a String").to_owned(),
            parameters: pairs.collect(),
        }
    };
    members.map(member).collect()
}

/// What is left of the limit of this name.
#[track_caller]
fn left(response: &Response, name: &str) -> u64 {
    let members = members(response, "ratelimit");
    let member = members.iter().find(|member| member.name == name);
    let member = member.unwrap_or_else(|| panic!("no `{name}` in {response:?}"));
    member.number("r")
}

/// The statuses of as many requests.
fn statuses(gateway: &Gateway, path: &str, headers: &[(&str, &str)], count: usize) -> Vec<u16> {
    let status = |_| gateway.get_with(path, headers).status;
    (0..count).map(status).collect()
}

#[test]
fn a_quota_lets_through_its_amount() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = quota("q", 3, "key = [\"header:x-user\", \"literal:more\"]");
    let gateway = Gateway::start(&limited(&folder, &origin, &limits).toml());
    for user in ["a", "b", ""] {
        let user = [("x-user", user)];
        assert_eq!(
            statuses(&gateway, "/a", &user, 5),
            [200, 200, 200, 429, 429]
        );
    }
    assert_eq!(
        origin.requests(),
        9,
        "what is refused does not reach the upstream"
    );
    for (status, verdict) in [(200, "next"), (429, "limit")] {
        let record = gateway.record(|record| record["status"] == status);
        assert_eq!(record["entries"][0]["policy"], "limited");
        assert_eq!(record["entries"][0]["side"], "in");
        assert_eq!(record["entries"][0]["verdict"], verdict);
        assert!(record["failure"].is_null(), "{record}");
    }
    assert_eq!(gateway.metric("tollgate_limit_keys", &[]), 3.0);
}

#[test]
fn parts_of_a_key_are_kept_apart() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = quota("q", 1, "key = [\"header:x-a\", \"header:x-b\"]");
    let gateway = Gateway::start(&limited(&folder, &origin, &limits).toml());
    let pairs = [
        ("ab", ""),
        ("a", "b"),
        ("", "ab"),
        ("b", "a"),
        ("AB", ""),
        ("", ""),
    ];
    for (a, b) in pairs {
        let headers = [("x-a", a), ("x-b", b)];
        assert_eq!(
            statuses(&gateway, "/a", &headers, 2),
            [200, 429],
            "{a:?} {b:?}"
        );
    }
}

#[test]
fn a_rate_lets_through_its_burst_and_then_what_flows() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let slow = limited(&folder, &origin, &rate("r", 2, 3_600_000, 3));
    let gateway = Gateway::start(&slow.toml());
    assert_eq!(statuses(&gateway, "/a", &[], 5), [200, 200, 200, 429, 429]);

    let fast = limited(&folder, &origin, &rate("r", 1, 50, 1));
    let gateway = Gateway::start(&fast.toml());
    for _ in 0..5 {
        eventually("a token", || {
            let response = gateway.get("/a");
            assert!([200, 429].contains(&response.status), "{response:?}");
            (response.status == 200).then_some(())
        });
    }
}

#[test]
fn all_limits_are_charged_or_none() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let all = quota("all", 3, "");
    let user = quota("user", 1, "key = [\"header:x-user\"]");
    let held = concurrent("held", 1);
    for limits in [
        [&all, &user, &held],
        [&user, &held, &all],
        [&held, &all, &user],
    ] {
        let limits = limits.map(String::as_str).join(", ");
        let gateway = Gateway::start(&limited(&folder, &origin, &limits).toml());
        let ask = |user: &str| gateway.get_with("/a", &[("x-user", user)]);
        assert_eq!(ask("a").status, 200);
        for _ in 0..10 {
            // The user's own limit refuses: nothing is taken from the one for all, and nothing held.
            let response = ask("a");
            assert_eq!(response.status, 429, "{limits}");
            assert_eq!(
                response.json()["violated-policies"],
                serde_json::json!(["user"])
            );
        }
        for user in ["b", "c"] {
            // The place that the last one held is free when its body has ended, a moment after it is read.
            let status = eventually("a free place", || {
                let response = ask(user);
                let held = response.status == 429
                    && response.json()["violated-policies"] == serde_json::json!(["held"]);
                (!held).then_some(response.status)
            });
            assert_eq!(status, 200, "{limits}");
        }
        let response = ask("d");
        assert_eq!(response.status, 429);
        let violated = response.json()["violated-policies"].to_string();
        assert!(
            violated.contains("all") && !violated.contains("user"),
            "{violated}"
        );
        let response = ask("a");
        let violated = response.json()["violated-policies"].to_string();
        assert!(
            violated.contains("all") && violated.contains("user"),
            "{violated}"
        );
    }
}

#[test]
fn a_request_takes_its_cost() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = quota("q", 10, "cost = \"header:x-cost\"");
    let gateway = Gateway::start(&limited(&folder, &origin, &limits).toml());
    let ask = |cost: &str| gateway.get_with("/a", &[("x-cost", cost)]);
    for (cost, status, rest) in [
        ("4", 200, 6),
        ("0", 200, 6),
        ("7", 429, 6),
        ("11", 429, 6),
        ("18446744073709551615", 429, 6),
        ("6", 200, 0),
        // Nothing is taken, so nothing has to be there.
        ("0", 200, 0),
        ("1", 429, 0),
    ] {
        let response = ask(cost);
        assert_eq!(response.status, status, "{cost}");
        assert_eq!(left(&response, "q"), rest, "{cost}");
    }
    // Waiting helps who asks for what there can be, and nobody else.
    assert!(ask("7").header("retry-after").is_some());
    assert!(ask("11").header("retry-after").is_none());
}

#[test]
fn a_limit_that_only_counts_refuses_nothing() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let count_only = |limit: String| limit.replacen("{ ", "{ count-only = true, ", 1);
    let limits = [
        count_only(quota("q", 2, "")),
        count_only(rate("r", 1, 3_600_000, 1)),
        count_only(concurrent("c", 0)),
        count_only(quota("never", 0, "key = [\"literal:never\"]")),
        quota("real", 6, "key = [\"literal:real\"]"),
    ];
    let gateway = Gateway::start(&limited(&folder, &origin, &limits.join(", ")).toml());
    for round in 0..6 {
        let response = gateway.get("/a");
        assert_eq!(response.status, 200);
        // It binds nobody, so nobody is told.
        let members = members(&response, "ratelimit");
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["real"]);
        assert_eq!(left(&response, "real"), 5 - round);
    }
    let response = gateway.get("/a");
    assert_eq!(response.status, 429);
    assert_eq!(
        response.json()["violated-policies"],
        serde_json::json!(["real"])
    );
    let only = limited(&folder, &origin, &limits[0]);
    let gateway = Gateway::start(&only.toml());
    for _ in 0..5 {
        let response = gateway.get("/a");
        assert_eq!(response.status, 200);
        assert!(response.header("ratelimit").is_none());
        assert!(response.header("ratelimit-policy").is_none());
    }
}

/// What is tried out is seen by the operator: how many were over, by the limit's name.
#[test]
fn what_only_counts_is_counted_in_the_metrics() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let trial = quota("trial", 2, "count-only = true");
    let gateway = Gateway::start(&limited(&folder, &origin, &trial).toml());
    assert_eq!(statuses(&gateway, "/a", &[], 5), [200; 5]);
    let metrics = gateway.metrics();
    let mut samples = metrics.lines().filter(|line| line.contains("\"trial\""));
    assert!(samples.any(|line| line.ends_with(" 3")), "3 of 5 were over");
}

#[test]
fn a_limiter_can_name_no_limit_at_all() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&limited(&folder, &origin, "").toml());
    let response = gateway.get("/a");
    assert_eq!(response.status, 200);
    assert!(response.header("ratelimit").is_none());
    assert!(response.header("ratelimit-policy").is_none());
}

#[test]
fn a_limiter_that_is_not_for_a_request_charges_it_nothing() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = limited(&folder, &origin, &quota("q", 2, ""))
        .with("[routes.all]\nmatch = \"/{rest+}\"\nupstream = \"origin\"")
        .with("chain = [{ policy = \"limited\", when = { methods = [\"GET\"] } }]")
        .route("plain", "/plain", &[]);
    let gateway = Gateway::start(&scene.toml());
    let post = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for _ in 0..5 {
        let response = gateway.request(post);
        assert_eq!(response.status, 200);
        assert!(response.header("ratelimit").is_none());
    }
    assert_eq!(statuses(&gateway, "/a", &[], 3), [200, 200, 429]);
    assert_eq!(gateway.request(post).status, 200);
}

/// The number of counters is bounded, whatever clients send as keys.
#[test]
fn counters_are_bounded() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = quota("q", 1, "key = [\"header:x-user\"]");
    let scene = limited(&folder, &origin, &limits)
        .with("[store]\nlimit-keys = 1000")
        .with(
            "[routes.respond]\nmatch = \"/r\"\nchain = [\"limited\"]\nrespond = { status = 204 }",
        );
    let toml = scene.route("plain", "/plain", &[]).toml();
    let gateway = Gateway::start(&toml);
    let mut client = gateway.client();
    for user in 0..3_000 {
        client.send(format!(
            "GET /r HTTP/1.1\r\nhost: a\r\nx-user: {user}\r\n\r\n"
        ));
        assert_eq!(client.read().status, 204, "user {user}");
    }
    let keys = gateway.metric("tollgate_limit_keys", &[]);
    assert!((500.0..=1_000.0).contains(&keys), "{keys}");
}
