use std::time::Duration;

use serde_json::json;

use crate::fetch::{Fetch, FetchError};
use crate::{
    BodyError, Bound, CacheLookup, CacheStore, EditableRequest, EditableResponse, EntryKey, Limit,
    Limiter, LimiterSettle, Outcome, Period, Plugin, Reply, Request, RequestTransformer, Response,
    ResponseTransformer, Result, Retention, Scope, Settlement, Storage, clock, crypto, log,
    metrics, secrets, signatures, testing,
};

const SECOND: Duration = Duration::from_secs(1);

/// A plugin whose hooks do what the test says.
struct Scripted<F>(F);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Empty {}

impl<F: 'static> Plugin for Scripted<F> {
    type Config = Empty;

    fn configure(_: Empty) -> Result<Self> {
        Err("made by the test itself".into())
    }
}

impl<F: Fn() -> Vec<Limit> + 'static> Limiter for Scripted<F> {
    fn limits(&self, _: &Request) -> Result<Vec<Limit>> {
        Ok(self.0())
    }
}

impl<F: Fn() -> Vec<Limit> + 'static> LimiterSettle for Scripted<F> {
    fn settle(&self, _: &Request, response: &Response) -> Result<Vec<Settlement>> {
        let name = response.header_text("x-limit").unwrap_or_default();
        Ok(vec![Settlement::new(name, 7)])
    }
}

struct Editor;

impl Plugin for Editor {
    type Config = Empty;

    fn configure(_: Empty) -> Result<Self> {
        crypto::sha256(b"");
        Ok(Editor)
    }
}

impl RequestTransformer for Editor {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        let body = request.read_body()?;
        request.set_header("x-length", body.len().to_string())?;
        request.replace_body(body.to_ascii_uppercase())?;
        match request.header("x-status") {
            None => Ok(Outcome::Next),
            Some(status) => Ok(Outcome::Respond(Reply::new(
                str::from_utf8(&status)?.parse()?,
            ))),
        }
    }
}

impl ResponseTransformer for Editor {
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        let body = response.read_body()?;
        response.replace_body([&body[..], b"!"].concat())?;
        if response.status() == 500 {
            request.read_body()?;
        }
        Ok(Outcome::Next)
    }
}

impl CacheLookup for Editor {
    fn lookup(&self, request: &Request) -> Result<EntryKey> {
        Ok(EntryKey::keyed([request.scheme(), request.path()]))
    }
}

impl CacheStore for Editor {
    fn store(&self, _: &Request, response: &Response) -> Result<Storage> {
        Ok(Retention::fresh(SECOND * response.status().into()).into())
    }
}

fn refused(limits: fn() -> Vec<Limit>) -> String {
    let request = testing::request("GET", "/").build();
    match testing::limits(&Scripted(limits), &request) {
        Ok(_) => panic!("these limits must be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn limits_have_the_defaults_that_are_documented() {
    let limit = Limit::rate("a", 5, SECOND);
    assert_eq!(limit.cost, 1);
    assert_eq!(limit.scope, Scope::Entry);
    assert!(limit.key.is_empty());
    let Bound::Rate { burst, .. } = limit.bound else {
        panic!("a rate is a rate");
    };
    assert_eq!(burst, 5);
    // Nothing on a bound that has no bucket.
    assert_eq!(
        Limit::concurrent("a", 5).burst(9),
        Limit::concurrent("a", 5)
    );
}

#[test]
fn limits_that_the_gateway_would_refuse_are_a_fault() {
    for (limits, text) in [
        (
            (|| vec![Limit::concurrent("", 1)]) as fn() -> Vec<Limit>,
            "limit ``: a name is printable ASCII and not empty",
        ),
        (
            || vec![Limit::concurrent("ü", 1)],
            "limit `ü`: a name is printable ASCII and not empty",
        ),
        (
            || vec![Limit::rate("a", 0, SECOND)],
            "limit `a`: a rate of 0 lets nothing flow",
        ),
        (
            || vec![Limit::rate("a", 1, SECOND).burst(0)],
            "limit `a`: a bucket that holds 0 lets nothing pass",
        ),
        (
            || vec![Limit::rate("a", 1, Duration::ZERO)],
            "limit `a`: the period of a rate is more than nothing and at most 366 days",
        ),
        (
            || {
                let day = Limit::quota("a", 1, Period::Day).key(["x"]);
                vec![day, Limit::quota("b", 2, Period::Day).key(["x"])]
            },
            "limit `b`: an earlier limit has the same counter: scope, period and key are the same",
        ),
    ] {
        assert_eq!(refused(limits), text);
    }
    let apart = || {
        vec![
            Limit::quota("a", 1, Period::Day).key(["x"]),
            Limit::quota("b", 1, Period::Day)
                .key(["x"])
                .scope(Scope::Route),
            Limit::quota("c", 1, Period::Week).key(["x"]),
            Limit::quota("d", 1, Period::Day).key(["x", ""]),
            Limit::concurrent("e", 0).key(["x"]),
        ]
    };
    let request = testing::request("GET", "/").build();
    assert_eq!(
        testing::limits(&Scripted(apart), &request).unwrap().len(),
        5
    );
}

#[test]
fn settlements_name_limits_that_were_charged() {
    let plugin = Scripted(|| vec![Limit::concurrent("open", 1)]);
    let request = testing::request("GET", "/").build();
    let charged = testing::limits(&plugin, &request).unwrap();
    let response = testing::response(200).header("x-limit", "open").build();
    let settled = testing::settle(&plugin, &request, &response, &charged).unwrap();
    assert_eq!(settled, [Settlement::new("open", 7)]);
    let response = testing::response(200).header("x-limit", "shut").build();
    let error = testing::settle(&plugin, &request, &response, &charged).unwrap_err();
    assert_eq!(
        error.to_string(),
        "limit `shut` is settled but was not charged"
    );
}

#[test]
fn cache_hooks_answer() {
    let request = testing::request("GET", "/pets").scheme("https").build();
    let key = testing::lookup(&Editor, &request).unwrap();
    assert_eq!(key, EntryKey::keyed(["https", "/pets"]));
    let response = testing::response(200).build();
    let storage = testing::store(&Editor, &request, &response).unwrap();
    assert_eq!(storage, Storage::Retain(Retention::fresh(SECOND * 200)));
}

#[test]
fn bodies_are_read_and_replaced() {
    let mut request = testing::request("POST", "/").body("hello").build();
    let outcome = testing::transform_request(&Editor, &mut request).unwrap();
    assert_eq!(outcome, Outcome::Next);
    assert_eq!(request.read_body().unwrap(), b"HELLO");
    assert_eq!(request.header_text("x-length").as_deref(), Some("5"));

    let mut response = testing::response(200).body("hello").build();
    let outcome = testing::transform_response(&Editor, &request, &mut response).unwrap();
    assert_eq!(outcome, Outcome::Next);
    assert_eq!(response.read_body().unwrap(), b"hello!");
}

#[test]
fn a_fault_undoes_the_edits() {
    let mut request = testing::request("POST", "/")
        .body("hello")
        .header("x-status", "199")
        .build();
    let error = testing::transform_request(&Editor, &mut request).unwrap_err();
    assert_eq!(error.to_string(), "status 199 is not between 200 and 599");
    assert_eq!(request.read_body().unwrap(), b"hello");
    assert_eq!(request.header("x-length"), None);

    let mut response = testing::response(500).body("hello").build();
    let error = testing::transform_response(&Editor, &request, &mut response).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the body could not be read: the request's body is gone: it can be read on the way in"
    );
    assert_eq!(response.read_body().unwrap(), b"hello");
}

#[test]
fn bodies_are_refused_beyond_the_grant_or_broken() {
    let request = testing::request("POST", "/").broken_body("reset").build();
    assert_eq!(request.read_body(), Err(BodyError::Failed("reset".into())));
    testing::body_limit(4);
    let mut response = testing::response(200).body("hello").build();
    assert_eq!(response.read_body(), Err(BodyError::TooLarge(4)));
    response.edit(|response| {
        assert_eq!(response.replace_body("12345"), Err(BodyError::TooLarge(4)));
        assert_eq!(response.replace_body("1234"), Ok(()));
    });
    assert_eq!(response.read_body().unwrap(), b"1234");
}

#[test]
fn edits_are_refused_as_the_gateway_refuses_them() {
    let mut request = testing::request("GET", "/").build();
    request.edit(|request| {
        assert!(request.set_method("A B").is_err());
        assert!(request.set_path("/a/../b").is_err());
        assert!(request.set_path("/a?b").is_err());
        assert!(request.set_query(Some("a b")).is_err());
        assert!(request.set_authority("").is_err());
        assert!(request.set_header("Host", "a").is_err());
        assert!(request.set_header("content-length", "1").is_err());
        assert!(request.set_header("a", "b\r\nc: d").is_err());
        assert!(request.set_header("a b", "").is_err());
    });
}

#[test]
fn the_clock_stops_and_the_monotonic_one_never_goes_back() {
    let before = clock::monotonic();
    testing::set_clock(SECOND * 1_000_000);
    let stopped = clock::monotonic();
    assert!(stopped >= before);
    testing::set_clock(SECOND);
    assert_eq!(clock::since_epoch(), SECOND);
    assert_eq!(clock::monotonic(), stopped);
    testing::advance(SECOND);
    assert_eq!(clock::monotonic(), stopped + SECOND);
}

#[test]
fn fetches_are_answered_and_noted() {
    testing::upstream("echo", |request| {
        Ok(Reply::new(201)
            .header("X-Method", &request.method)
            .body(request.body.clone()))
    });
    let fetch = Fetch::new("PUT", "/a?b")
        .json(&json!({ "c": 1 }))
        .unwrap()
        // A part of a millisecond counts as one.
        .timeout(Duration::from_micros(1));
    let answer = fetch.clone().send("echo").unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.header_text("x-method"), Some("PUT"));
    assert_eq!(
        answer.json::<serde_json::Value>().unwrap(),
        json!({ "c": 1 })
    );
    assert_eq!(Reply::from(answer).body, b"{\"c\":1}");

    let asked = testing::fetched();
    assert_eq!(
        asked,
        [("echo".into(), fetch.timeout(Duration::from_millis(1)))]
    );
    let failed =
        |fetch: Fetch, upstream| matches!(fetch.send(upstream), Err(FetchError::Failed(_)));
    assert!(failed(Fetch::get("/"), "other"));
    assert!(failed(Fetch::get("a"), "echo"));
    assert!(failed(Fetch::get("/").header("a", "b\n"), "echo"));
}

#[test]
fn tokens_are_good_for_their_key_set_and_as_they_are() {
    let token = testing::token("a", &json!({ "alg": "ES256" }), &json!({ "sub": "x" }));
    assert!(signatures::verify_jws(&token, "a").is_ok());
    assert!(signatures::verify_jws(&token, "b").is_err());
    let other = testing::token("a", &json!({ "alg": "ES256" }), &json!({ "sub": "y" }));
    let forged = format!(
        "{}.{}",
        other.rsplit_once('.').unwrap().0,
        token.rsplit_once('.').unwrap().1
    );
    for token in [
        forged.as_str(),
        "",
        "a.b",
        &testing::token("a", &json!({ "alg": "none" }), &json!({})),
        &testing::token("a", &json!({}), &json!({})),
    ] {
        assert!(signatures::verify_jws(token, "a").is_err(), "{token}");
    }
}

#[test]
fn raw_signatures_are_what_the_verifier_says() {
    assert!(signatures::verify("EdDSA", b"", b"", b"").is_err());
    testing::verifier(|algorithm, _, message, signature| match algorithm {
        "EdDSA" => Ok(message == signature),
        other => Err(format!("`{other}` is not known")),
    });
    assert_eq!(signatures::verify("EdDSA", b"", b"a", b"a"), Ok(true));
    assert_eq!(signatures::verify("EdDSA", b"", b"a", b"b"), Ok(false));
    assert!(signatures::verify("ES1", b"", b"", b"").is_err());
}

#[test]
fn metrics_and_lines_are_recorded() {
    metrics::counter_add("calls", &[("a", "1"), ("b", "2")], 2);
    metrics::counter_add("calls", &[("b", "2"), ("a", "1")], 3);
    assert_eq!(testing::counter("calls", &[("a", "1"), ("b", "2")]), 5);
    metrics::histogram_record("size", &[], 1.5);
    metrics::histogram_record("size", &[], 0.5);
    assert_eq!(testing::histogram("size", &[]), [1.5, 0.5]);
    log::warn("old key");
    assert_eq!(testing::logged(), ["warn: old key"]);

    testing::secret("A", "b");
    testing::reset();
    assert_eq!(testing::counter("calls", &[("a", "1"), ("b", "2")]), 0);
    assert!(testing::logged().is_empty());
    assert!(secrets::get("A").is_err());
}

#[test]
#[should_panic(expected = "`Calls` does not match [a-z][a-z0-9_]*")]
fn a_metric_that_the_gateway_would_drop_fails_the_test() {
    metrics::counter_add("Calls", &[], 1);
}

#[test]
#[should_panic(expected = "`crypto` was called in `configure`")]
fn what_would_be_frozen_into_the_copy_fails_the_test() {
    let _ = testing::configure::<Editor>(json!({}));
}

#[test]
fn periods_and_scopes_can_stand_in_a_configuration() {
    let read = |text| serde_json::from_value::<(Period, Scope)>(text).ok();
    assert_eq!(
        read(json!(["month", "gateway"])),
        Some((Period::Month, Scope::Gateway))
    );
    assert_eq!(read(json!(["Month", "gateway"])), None);
}

#[test]
fn form_decoding_takes_only_hexadecimal_digits() {
    let request = testing::request("GET", "/?a=%41%+f%4").build();
    assert_eq!(request.query_parameter("a").as_deref(), Some("A% f%4"));
}
