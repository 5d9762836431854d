//! Where a token may stand, and how it is taken out there.

use serde_json::json;
use tollgate_plugin::testing::{self, RequestBuilder};
use tollgate_plugin::{Authorizer, Verdict};

use super::{bearing, challenge, passed, plugin, token};
use crate::Jwt;

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Good,
    Nothing,
    Several,
    Bad,
}
use Seen::{Bad, Good, Nothing, Several};

fn seen(plugin: &Jwt, request: RequestBuilder) -> Seen {
    match plugin.authorize(&request.build()).unwrap().verdict {
        Verdict::Allow(_) => Good,
        Verdict::Deny(reply) if reply == plugin.missing => Nothing,
        Verdict::Deny(reply) if reply == plugin.several => Several,
        Verdict::Deny(_) => Bad,
    }
}

#[test]
fn who_shows_nothing_is_told_where() {
    let plugin = plugin(json!({ "cookie": "session", "query": "a\"b\n" }));
    assert_eq!(
        challenge(&plugin.missing),
        (401, "Bearer realm=\"tollgate\"".into())
    );
    let body = String::from_utf8_lossy(&plugin.missing.body).into_owned();
    assert!(
        body.contains(
            "exactly one token is needed, in the cookie `session` or the query parameter"
        ),
        "{body}"
    );
    let several = "Bearer realm=\"tollgate\", error=\"invalid_request\", \
                   error_description=\"exactly one token is needed\"";
    assert_eq!(challenge(&plugin.several), (400, several.into()));
    assert_eq!(seen(&plugin, testing::request("GET", "/")), Nothing);
    assert_eq!(
        testing::counter("refused_total", &[("reason", "missing")]),
        1
    );
}

#[test]
fn bearers_are_looked_for_in_authorization() {
    let plugin = plugin(json!({}));
    let token = token(json!({}));
    let one = |value: String| testing::request("GET", "/").header("Authorization", value);
    for (value, expected) in [
        (format!("Bearer {token}"), Good),
        (format!("bearer {token}"), Good),
        (format!("BEARER   {token} "), Good),
        (String::new(), Nothing),
        ("Bearer".into(), Nothing),
        ("Bearer ".into(), Nothing),
        ("Basic YTpi".into(), Nothing),
        (token.clone(), Nothing),
        (format!("Bearer\t{token}"), Nothing),
        (format!("Bearer{token}"), Nothing),
        (format!("Bearers {token}"), Nothing),
        (format!("Bearer Bearer {token}"), Bad),
        (format!("Bearer {token}, Bearer {token}"), Bad),
        (format!("Bearer {token} {token}"), Bad),
        (format!("Bearer \"{token}\""), Bad),
    ] {
        assert_eq!(seen(&plugin, one(value.clone())), expected, "{value}");
    }
    assert_eq!(seen(&plugin, one("é".into())), Nothing);
    let bytes = testing::request("GET", "/").header("authorization", b"Bearer \xff");
    assert_eq!(seen(&plugin, bytes), Bad);
    for second in ["Basic YTpi", &format!("Bearer {token}"), ""] {
        let request = one(format!("Bearer {token}")).header("authorization", second);
        assert_eq!(seen(&plugin, request), Several, "{second}");
    }
    // Other places are not looked at.
    let request = testing::request("GET", &format!("/?access_token={token}"))
        .header("cookie", format!("access_token={token}"));
    assert_eq!(seen(&plugin, request), Nothing);
}

#[test]
fn another_header_has_the_token_alone() {
    let plugin = plugin(json!({ "header": "X-Token" }));
    let token = token(json!({}));
    let one = |value: &str| testing::request("GET", "/").header("x-token", value);
    assert_eq!(seen(&plugin, one(&token)), Good);
    assert_eq!(seen(&plugin, one("")), Nothing);
    assert_eq!(seen(&plugin, one(&format!("Bearer {token}"))), Bad);
    assert_eq!(
        seen(&plugin, one(&token).header("x-token", &token)),
        Several
    );
    assert_eq!(seen(&plugin, bearing(&token)), Nothing);
}

#[test]
fn cookies_are_told_apart() {
    let plugin = plugin(json!({ "cookie": "session" }));
    let token = token(json!({}));
    for (cookies, expected) in [
        (format!("session={token}"), Good),
        (format!("a=b; session={token};c=d"), Good),
        (format!("  session={token} ;"), Good),
        ("session=".into(), Nothing),
        ("session".into(), Nothing),
        (format!("Session={token}"), Nothing),
        (format!("xsession={token}; sessionx={token}"), Nothing),
        (format!("a=session={token}"), Nothing),
        (format!("session=\"{token}\""), Bad),
        (format!("session={token}; session={token}"), Several),
        (format!("session={token}; session=other"), Several),
    ] {
        let request = testing::request("GET", "/").header("cookie", &cookies);
        assert_eq!(seen(&plugin, request), expected, "{cookies}");
    }
    let two = testing::request("GET", "/")
        .header("cookie", format!("session={token}"))
        .header("cookie", "session=x");
    assert_eq!(seen(&plugin, two), Several);
}

#[test]
fn query_parameters_are_decoded() {
    let plugin = plugin(json!({ "query": "access_token" }));
    let token = token(json!({}));
    for (query, expected) in [
        (format!("access_token={token}"), Good),
        (
            format!("a&access%5Ftoken={}", token.replace('.', "%2e")),
            Good,
        ),
        ("access_token=".into(), Nothing),
        (format!("Access_Token={token}"), Nothing),
        (
            format!("access_token={token}&access_token={token}"),
            Several,
        ),
        (format!("access_token={token}&%61ccess_token=x"), Several),
        (format!("access_token=+{token}"), Bad),
    ] {
        let request = testing::request("GET", &format!("/?{query}"));
        assert_eq!(seen(&plugin, request), expected, "{query}");
    }
}

#[test]
fn one_token_in_all_places_together() {
    let plugin = plugin(json!({ "header": "authorization", "cookie": "t", "query": "t" }));
    let token = token(json!({}));
    let in_query = |token: &str| testing::request("GET", &format!("/?t={token}"));
    assert_eq!(seen(&plugin, bearing(&token)), Good);
    assert_eq!(seen(&plugin, in_query(&token)), Good);
    assert_eq!(
        seen(
            &plugin,
            in_query(&token).header("authorization", "Basic YTpi")
        ),
        Good
    );
    let both = in_query(&token).header("authorization", format!("Bearer {token}"));
    assert_eq!(seen(&plugin, both), Several);
    let both = in_query("x").header("cookie", format!("t={token}"));
    assert_eq!(seen(&plugin, both), Several);
}

#[test]
fn a_token_is_kept_from_the_upstream_if_asked_for() {
    let token = token(json!({}));
    let kept = passed(&plugin(json!({})), bearing(&token).build());
    assert!(kept.header("authorization").is_some());

    let stripped = passed(&plugin(json!({ "strip": true })), bearing(&token).build());
    assert_eq!(stripped.header("authorization"), None);

    let other = plugin(json!({ "strip": true, "header": "x-token" }));
    let request = testing::request("GET", "/")
        .header("x-token", &token)
        .header("a", "b");
    let request = passed(&other, request.build());
    assert_eq!(
        (request.header("x-token"), request.header_text("a")),
        (None, Some("b".into()))
    );
}

#[test]
fn what_stands_beside_a_token_is_left() {
    let places = plugin(json!({
        "strip": true, "header": "authorization", "cookie": "t", "query": "t",
    }));
    let token = token(json!({}));
    for (cookies, expected) in [
        (format!("t={token}"), None),
        (
            format!("a=b; t={token}; c=d;e=\"f\""),
            Some("a=b; c=d; e=\"f\""),
        ),
        (format!("t={token};tt=1"), Some("tt=1")),
        (format!("t=; t={token}; t"), Some("t")),
    ] {
        let request = testing::request("GET", "/").header("cookie", &cookies);
        let request = passed(&places, request.build());
        assert_eq!(
            request.header_text("cookie").as_deref(),
            expected,
            "{cookies}"
        );
    }
    for (query, expected) in [
        (format!("t={token}"), None),
        (format!("a=%20b&t={token}&&c=d+e"), Some("a=%20b&&c=d+e")),
        (format!("%74={token}&tt"), Some("tt")),
    ] {
        let request =
            testing::request("GET", &format!("/?{query}")).header("authorization", "Basic YTpi");
        let request = passed(&places, request.build());
        assert_eq!(request.query().as_deref(), expected, "{query}");
        assert_eq!(
            request.header_text("authorization").as_deref(),
            Some("Basic YTpi")
        );
    }
    let request = bearing(&token).header("cookie", "a=b;c=d").build();
    let request = passed(&places, request);
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header_text("cookie").as_deref(), Some("a=b;c=d"));
}

#[test]
fn a_claim_may_take_the_place_of_the_token() {
    let plugin = plugin(json!({ "strip": true, "headers": { "sub": "authorization" } }));
    let request = passed(&plugin, bearing(&token(json!({}))).build());
    assert_eq!(request.header_values("authorization"), [b"alice"]);
}
