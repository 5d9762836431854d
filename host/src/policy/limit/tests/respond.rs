//! The fields and refusals for clients. The syntax is that of RFC 9651; the examples are close to the
//! draft's.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::*;

fn fields(charge: &Charge) -> HeaderMap {
    charge.fields().into_iter().collect()
}

#[track_caller]
fn check(limits: &[Limit], now: Now, policy: &str, current: &str) {
    let charge = Bench::new().charge(limits, now);
    let fields = fields(&charge);
    let field = |name: &str| {
        let value = fields.get(name).map(|value| value.to_str().expect("text"));
        value.unwrap_or_default()
    };
    assert_eq!(field("ratelimit-policy"), policy);
    assert_eq!(field("ratelimit"), current);
}

#[test]
fn limits_are_members_of_two_lists() {
    let limits = [
        quota("permin", 50, Period::Minute),
        quota("perhr", 1_000, Period::Hour),
    ];
    check(
        &limits,
        at(30_001),
        "\"permin\";q=50;w=60, \"perhr\";q=1000;w=3600",
        "\"permin\";r=49;t=30, \"perhr\";r=999;t=3570",
    );
    check(&[], at(0), "", "");
}

#[test]
fn windows_have_the_length_of_their_period() {
    let mut limits = [
        quota("d", 2, Period::Day),
        quota("w", 2, Period::Week),
        quota("m", 2, Period::Month),
        quota("y", 2, Period::Year),
    ];
    // From noon of a Saturday, the 23rd of May 2026.
    check(
        &limits,
        at(0),
        "\"d\";q=2;w=86400, \"w\";q=2;w=604800, \"m\";q=2;w=2678400, \"y\";q=2;w=31536000",
        "\"d\";r=1;t=43200, \"w\";r=1;t=129600, \"m\";r=1;t=734400, \"y\";r=1;t=19224000",
    );
    for limit in &mut limits {
        limit.enforce = false;
    }
    check(&limits, at(0), "", "");
}

#[test]
fn a_rate_shows_a_window_that_keeps_to_it() {
    let check = |limit: Limit, policy, current| check(&[limit], at(0), policy, current);
    check(rate("a", 10, 1_000, 20), "\"a\";q=10;w=1", "\"a\";r=19;t=2");
    check(
        rate("a", 1_000, 3_600_000, 1_000),
        "\"a\";q=1000;w=3600",
        "\"a\";r=999;t=3597",
    );
    check(
        rate("a", 100, 60_000, 1),
        "\"a\";q=100;w=60",
        "\"a\";r=0;t=1",
    );
    // Periods that are not whole seconds: the amount is scaled to a window that is.
    check(rate("a", 10, 500, 5), "\"a\";q=20;w=1", "\"a\";r=4;t=1");
    check(rate("a", 1, 1_500, 1), "\"a\";q=1;w=2", "\"a\";r=0;t=2");
}

#[test]
fn concurrency_has_a_unit_and_no_window() {
    let limits = [concurrent("slots", 5)];
    let policy = "\"slots\";q=5;qu=\"concurrent-requests\"";
    check(&limits, at(0), policy, "\"slots\";r=4");
}

#[test]
fn names_and_numbers_are_those_of_structured_fields() {
    let odd = quota("a \"b\" \\ ,;=~", u64::MAX, Period::Minute);
    check(
        &[odd],
        at(0),
        "\"a \\\"b\\\" \\\\ ,;=~\";q=999999999999999;w=60",
        "\"a \\\"b\\\" \\\\ ,;=~\";r=999999999999999;t=60",
    );
}

#[test]
fn a_settlement_is_seen() {
    let bench = Bench::new();
    let mut charge = bench.charge(&[quota("n", 100, Period::Minute)], at(0));
    charge.settle("n", 40, at(10_000)).expect("a name");
    assert_eq!(fields(&charge)["ratelimit"], "\"n\";r=60;t=50");
}

#[test]
fn a_request_that_passed_has_no_refusal() {
    let charge = Bench::new().charge(&[quota("n", 1, Period::Day)], at(0));
    assert!(charge.refusal("r").is_none());
}

struct Refusal {
    status: StatusCode,
    headers: HeaderMap,
    body: serde_json::Value,
}

/// The refusal of the second of two like requests.
fn refuse(bench: &Bench, limits: &[Limit], now: Now) -> Refusal {
    let _first = bench.charge(limits, now);
    let second = bench.charge(limits, now);
    assert!(second.refused());
    let (status, headers, body) = second.refusal("0192-4711").expect("a refusal");
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    let body = serde_json::from_slice(&body).expect("JSON");
    Refusal {
        status,
        headers,
        body,
    }
}

#[test]
fn a_refusal_is_a_problem_of_the_draft() {
    let limits = [
        quota("daily", 1, Period::Day),
        rate("calm", 1, 90_500, 1),
        quota("monthly", 500, Period::Month),
        quota("watched", 1, Period::Year).count_only(),
    ];
    let refusal = refuse(&Bench::new(), &limits, at(0));
    assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refusal.headers[RETRY_AFTER], "43200");
    assert_eq!(
        refusal.headers["ratelimit-policy"],
        "\"daily\";q=1;w=86400, \"calm\";q=1;w=91, \"monthly\";q=500;w=2678400"
    );
    assert_eq!(
        refusal.headers["ratelimit"],
        "\"daily\";r=0;t=43200, \"calm\";r=0;t=91"
    );
    let body = serde_json::json!({
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "detail": "too many requests; Retry-After says when there is room for this one",
        "violated-policies": ["daily", "calm"],
        "request-id": "0192-4711",
    });
    assert_eq!(refusal.body, body);
}

#[test]
fn retry_after_is_a_second_at_least_and_rounded_up() {
    let retry = |limit: Limit| {
        let refusal = refuse(&Bench::new(), &[limit], at(0));
        let value = refusal.headers.get(RETRY_AFTER).cloned();
        value.map(|value| value.to_str().expect("text").to_owned())
    };
    assert_eq!(retry(rate("n", 1_000, 1_000, 1)).as_deref(), Some("1"));
    assert_eq!(retry(rate("n", 1, 1_000, 1)).as_deref(), Some("1"));
    assert_eq!(retry(rate("n", 1, 1_001, 1)).as_deref(), Some("2"));
    assert_eq!(retry(rate("n", 1, 1_000, 9).cost(9)).as_deref(), Some("9"));
    assert_eq!(retry(concurrent("n", 1)).as_deref(), Some("1"));
    // A request that can never pass is not told to come back.
    assert_eq!(retry(rate("n", 1, 1_000, 9).cost(10)), None);
    assert_eq!(retry(quota("n", 0, Period::Day)), None);
}

#[test]
fn a_cost_that_never_passes_is_told_so() {
    let limits = [quota("n", 5, Period::Day).cost(6), concurrent("slots", 1)];
    let refusal = refuse(&Bench::new(), &limits, at(0));
    assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
    let detail = refusal.body["detail"].as_str().expect("text");
    assert!(detail.contains("more than a limit ever allows"), "{detail}");
    assert_eq!(refusal.body["violated-policies"], serde_json::json!(["n"]));
}

#[test]
fn without_room_the_gateway_takes_the_blame() {
    let bench = Bench::of(1);
    let _held = bench.charge(&[concurrent("slots", 1)], at(0));
    let refusal = refuse(&bench, &[quota("n", 5, Period::Year)], at(0));
    assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusal.headers[RETRY_AFTER], "1");
    assert_eq!(refusal.headers.get("ratelimit"), None);
    let kind = refusal.body["type"].as_str().expect("text");
    assert!(kind.ends_with("#temporary-reduced-capacity"), "{kind}");
    assert_eq!(refusal.body["violated-policies"], serde_json::json!(["n"]));
}
