use serde_json::{Value, json};
use tollgate_plugin::{Outcome, testing};

use super::Mask;

fn plugin() -> Mask {
    testing::configure(json!({ "members": ["card", "name"] })).unwrap()
}

fn request(content_type: &str, body: impl Into<Vec<u8>>) -> (Result<Outcome, String>, Vec<u8>) {
    let request = testing::request("POST", "/orders").header("content-type", content_type);
    let mut request = request.body(body).build();
    let outcome = testing::transform_request(&plugin(), &mut request);
    let body = request.read_body().unwrap_or_default();
    (outcome.map_err(|error| error.to_string()), body)
}

#[test]
fn members_are_masked_at_any_depth() {
    let order = json!({ "id": 1, "pays": [{ "card": "4111111111111111" }, { "card": 4111 }] });
    let (outcome, body) = request("Application/JSON; charset=utf-8", order.to_string());
    assert_eq!(outcome, Ok(Outcome::Next));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let expected = json!({ "id": 1, "pays": [{ "card": "****" }, { "card": "****" }] });
    assert_eq!(body, expected);
}

#[test]
fn what_has_none_of_them_keeps_its_bytes() {
    for (content_type, body) in [
        ("application/json", "{ \"b\": 1.0, \"a\": 2 }"),
        ("application/json", ""),
        ("text/plain", "{\"card\":\"4111111111111111\"}"),
    ] {
        let (outcome, after) = request(content_type, body);
        assert_eq!((outcome, &after[..]), (Ok(Outcome::Next), body.as_bytes()));
    }
}

#[test]
fn a_bad_body_is_refused() {
    let status = |(outcome, _): (Result<Outcome, String>, _)| match outcome {
        Ok(Outcome::Respond(reply)) => reply.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(request("application/json", "{\"card\":")), 400);
    assert_eq!(status(request("application/json", "[".repeat(1000))), 400);
    testing::body_limit(4);
    assert_eq!(status(request("application/json", "12345")), 413);
}

#[test]
fn an_answer_is_masked_or_not_shown() {
    let asked = testing::request("GET", "/pets/7").build();
    let answer = |body: &str| {
        let response = testing::response(200).header("content-type", "application/problem+json");
        let mut response = response.body(body).build();
        let outcome = testing::transform_response(&plugin(), &asked, &mut response).unwrap();
        (outcome, response.read_body().unwrap())
    };
    let masked = b"[{\"id\":7,\"name\":\"****\"}]".to_vec();
    assert_eq!(
        answer("[{\"id\":7,\"name\":\"Polly\"}]"),
        (Outcome::Next, masked)
    );
    let (outcome, _) = answer("{\"name\": Polly}");
    assert!(matches!(outcome, Outcome::Respond(reply) if reply.status == 502));
}
