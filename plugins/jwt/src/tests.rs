use std::time::Duration;

use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder, TestRequest};
use tollgate_plugin::{Authorizer, Grant, Outcome, Reply, Verdict};

use super::Jwt;

mod places;

/// 2033-05-18.
const NOW_S: u64 = 2_000_000_000;

fn config() -> Value {
    json!({
        "key-set": "login",
        "issuer": "https://login.example",
        "audience": "https://api.example",
    })
}

/// The usual configuration, with these members.
fn with(members: Value) -> Value {
    let mut config = config();
    for (name, value) in members.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn plugin(members: Value) -> Jwt {
    testing::set_clock(Duration::from_secs(NOW_S));
    testing::configure(with(members)).unwrap()
}

/// A good payload, with these members; null takes one away.
fn claims(members: Value) -> Value {
    let mut claims = json!({
        "iss": "https://login.example",
        "aud": "https://api.example",
        "sub": "alice",
        "exp": NOW_S + 60,
    });
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn token(members: Value) -> String {
    testing::token("login", &json!({ "alg": "ES256" }), &claims(members))
}

fn bearing(token: &str) -> RequestBuilder {
    testing::request("GET", "/").header("Authorization", format!("Bearer {token}"))
}

fn verdict(plugin: &Jwt, token: &str) -> Result<Grant, Reply> {
    let request = bearing(token).build();
    match plugin.authorize(&request).unwrap().verdict {
        Verdict::Allow(grant) => Ok(grant),
        Verdict::Deny(reply) => Err(reply),
    }
}

fn challenge(reply: &Reply) -> (u16, String) {
    let value = reply
        .headers
        .iter()
        .find(|(name, _)| name == "www-authenticate");
    let text = String::from_utf8(value.unwrap().1.clone()).unwrap();
    (reply.status, text)
}

/// A token with these claims is refused for this reason, of which the client is not told.
fn refused(plugin: &Jwt, token: &str, reason: &str) {
    let before = testing::counter("refused_total", &[("reason", reason)]);
    let reply = verdict(plugin, token).expect_err(reason);
    let invalid = "Bearer realm=\"tollgate\", error=\"invalid_token\", error_description=\"the token \
                   is not valid\"";
    assert_eq!(challenge(&reply), (401, invalid.into()));
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        body,
        json!({ "status": 401, "detail": "the token is not valid" })
    );
    let after = testing::counter("refused_total", &[("reason", reason)]);
    assert_eq!(after, before + 1, "{reason}: {:?}", testing::logged());
    assert_eq!(reply, plugin.invalid);
}

fn allowed(plugin: &Jwt, members: Value) {
    if verdict(plugin, &token(members.clone())).is_err() {
        panic!("{members}: {:?}", testing::logged());
    }
}

#[test]
fn a_good_token_names_its_caller() {
    let grant = verdict(&plugin(json!({})), &token(json!({ "tier": "gold" }))).unwrap();
    assert_eq!(grant.principal, "alice");
    assert_eq!((grant.usage_key, grant.claims), (None, vec![]));
}

#[test]
fn what_is_configured_is_taken_from_the_token() {
    let plugin = plugin(json!({
        "principal": "client_id",
        "principal-prefix": "login:",
        "usage-key": "org",
        "claims": ["tier", "seats", "absent"],
    }));
    let members =
        json!({ "client_id": "app", "org": 7, "tier": "gold", "seats": [1, { "a": null }] });
    let grant = verdict(&plugin, &token(members)).unwrap();
    assert_eq!(grant.principal, "login:app");
    assert_eq!(grant.usage_key.as_deref(), Some("7"));
    assert_eq!(
        grant.claims,
        [
            ("seats".into(), json!([1, { "a": null }])),
            ("tier".into(), json!("gold"))
        ]
    );
    // Without the claim, limits are counted under the caller's name.
    let grant = verdict(&plugin, &token(json!({ "client_id": "app" }))).unwrap();
    assert_eq!(grant.usage_key, None);
    assert_eq!(grant.claims, []);
}

#[test]
fn all_claims_are_handed_on_if_asked_for() {
    let plugin = plugin(json!({ "claims": "all" }));
    let grant = verdict(&plugin, &token(json!({ "tier": "gold" }))).unwrap();
    let names: Vec<_> = grant.claims.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["aud", "exp", "iss", "sub", "tier"]);
    let many: Value = (0..300)
        .map(|number| (format!("c{number}"), json!(1)))
        .collect();
    refused(&plugin, &token(many.clone()), "claims");
    allowed(&self::plugin(json!({ "claims": ["c7"] })), many);
}

#[test]
fn a_caller_has_a_name() {
    let plugin = plugin(json!({ "usage-key": "org" }));
    for name in [
        json!(null),
        json!(""),
        json!(" alice"),
        json!("alice\n"),
        json!("al\u{0}ice"),
        json!(1.5),
        json!(true),
        json!(["alice"]),
        json!({ "name": "alice" }),
    ] {
        refused(&plugin, &token(json!({ "sub": name.clone() })), "claims");
        if !name.is_null() {
            refused(&plugin, &token(json!({ "org": name })), "claims");
        }
    }
    let grant = verdict(&plugin, &token(json!({ "sub": 9_007_199_254_740_993_u64 }))).unwrap();
    assert_eq!(grant.principal, "9007199254740993");
}

#[test]
fn only_the_key_set_of_the_configuration_counts() {
    let plugin = plugin(json!({}));
    let header = json!({ "alg": "ES256" });
    let other = testing::token("other", &header, &claims(json!({})));
    refused(&plugin, &other, "signature");
    let none = testing::token("login", &json!({ "alg": "none" }), &claims(json!({})));
    refused(&plugin, &none, "signature");
    for token in ["x", "a.b.c", "e30.e30.", &format!("{}A", token(json!({})))] {
        refused(&plugin, token, "signature");
    }
    let why = testing::logged().pop().unwrap();
    assert!(why.starts_with("debug: a token was refused: "), "{why}");
    for payload in [json!([]), json!("alice"), json!(null), json!(7)] {
        refused(
            &plugin,
            &testing::token("login", &header, &payload),
            "claims",
        );
    }
    testing::key_set("login", |_| {
        Err("no key of the set has the token's `kid`".into())
    });
    refused(&plugin, &token(json!({})), "signature");
}

#[test]
fn the_issuer_is_one_of_those_expected() {
    let one = plugin(json!({}));
    for issuer in [
        json!(null),
        json!(""),
        json!("https://login.example/"),
        json!("HTTPS://login.example"),
        json!("https://evil.example"),
        json!(["https://login.example"]),
        json!(7),
    ] {
        refused(&one, &token(json!({ "iss": issuer })), "issuer");
    }
    let two = plugin(json!({ "issuer": ["a", "b"] }));
    allowed(&two, json!({ "iss": "b" }));
    refused(&two, &token(json!({ "iss": "ab" })), "issuer");
    let any = plugin(json!({ "issuer": false }));
    allowed(&any, json!({ "iss": "c" }));
    allowed(&any, json!({ "iss": null }));
}

#[test]
fn the_audience_is_one_of_those_expected() {
    let one = plugin(json!({}));
    for audience in [
        json!(null),
        json!(""),
        json!([]),
        json!("https://other.example"),
        json!(["https://other.example", "https://api.example/"]),
        json!([["https://api.example"]]),
        json!({ "https://api.example": 1 }),
    ] {
        refused(&one, &token(json!({ "aud": audience })), "audience");
    }
    allowed(
        &one,
        json!({ "aud": ["https://other.example", "https://api.example"] }),
    );
    let two = plugin(json!({ "audience": ["a", "b"] }));
    allowed(&two, json!({ "aud": "a" }));
    allowed(&two, json!({ "aud": ["x", "b"] }));
    let any = plugin(json!({ "audience": false }));
    allowed(&any, json!({ "aud": null }));
    allowed(&any, json!({ "aud": ["x"] }));
}

#[test]
fn a_token_counts_from_its_beginning_to_its_end() {
    let exact = plugin(json!({ "leeway": "0s" }));
    let usual = plugin(json!({}));
    for (exp, ends_exactly, ends_usually) in [
        (json!(NOW_S + 1), true, true),
        (json!(NOW_S as f64 + 0.5), true, true),
        (json!(NOW_S), false, true),
        (json!(NOW_S - 29), false, true),
        (json!(NOW_S - 30), false, false),
        (json!(0), false, false),
        (json!(-1), false, false),
        (json!(1e300), true, true),
        (json!(u64::MAX), true, true),
    ] {
        let token = token(json!({ "exp": exp.clone() }));
        assert_eq!(verdict(&exact, &token).is_ok(), ends_exactly, "{exp}");
        assert_eq!(verdict(&usual, &token).is_ok(), ends_usually, "{exp}");
    }
    refused(&exact, &token(json!({ "exp": NOW_S })), "expired");
    for name in ["nbf", "iat"] {
        allowed(&exact, json!({ name: NOW_S }));
        refused(&exact, &token(json!({ name: NOW_S + 1 })), "early");
        allowed(&usual, json!({ name: NOW_S + 30 }));
        refused(&usual, &token(json!({ name: NOW_S + 31 })), "early");
        refused(&usual, &token(json!({ name: u64::MAX })), "early");
    }
    for name in ["exp", "nbf", "iat"] {
        for value in [json!("2000000060"), json!(true), json!([NOW_S]), json!({})] {
            refused(&usual, &token(json!({ name: value })), "claims");
        }
    }
    testing::advance(Duration::from_secs(90));
    refused(&usual, &token(json!({ "nbf": 1 })), "expired");
}

#[test]
fn claims_that_must_be_there() {
    refused(&plugin(json!({})), &token(json!({ "exp": null })), "claims");
    let more = plugin(json!({ "require": ["exp", "jti"] }));
    refused(&more, &token(json!({})), "claims");
    allowed(&more, json!({ "jti": "1" }));
    // `exp` is still looked at where it need not be there.
    let none = plugin(json!({ "require": [] }));
    allowed(&none, json!({ "exp": null }));
    refused(&none, &token(json!({ "exp": 1 })), "expired");
}

#[test]
fn the_type_is_the_one_expected() {
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        let plugin = plugin(json!({ "typ": typ }));
        let show = |header: Value| {
            verdict(
                &plugin,
                &testing::token("login", &header, &claims(json!({}))),
            )
        };
        for typ in [
            "at+jwt",
            "At+Jwt",
            "application/at+jwt",
            "Application/AT+JWT",
        ] {
            assert!(show(json!({ "alg": "ES256", "typ": typ })).is_ok(), "{typ}");
        }
        for header in [
            json!({ "alg": "ES256" }),
            json!({ "alg": "ES256", "typ": "JWT" }),
            json!({ "alg": "ES256", "typ": "" }),
            json!({ "alg": "ES256", "typ": ["at+jwt"] }),
            json!({ "alg": "ES256", "typ": "application/application/at+jwt" }),
        ] {
            assert!(show(header.clone()).is_err(), "{header}");
        }
    }
    let token = testing::token(
        "login",
        &json!({ "alg": "ES256", "typ": "x" }),
        &claims(json!({})),
    );
    refused(&plugin(json!({ "typ": "at+jwt" })), &token, "type");
}

#[test]
fn algorithms_can_be_narrowed() {
    let plugin = plugin(json!({ "algorithms": ["RS256", "EdDSA"] }));
    let token =
        |algorithm| testing::token("login", &json!({ "alg": algorithm }), &claims(json!({})));
    assert!(verdict(&plugin, &token("EdDSA")).is_ok());
    for other in ["HS256", "ES256", "rs256", "Ed25519"] {
        refused(&plugin, &token(other), "algorithm");
    }
}

#[test]
fn scopes_are_all_needed() {
    let plugin = plugin(json!({ "scopes": ["pets:read", "pets:write"] }));
    for held in [
        json!({ "scope": "pets:read pets:write" }),
        json!({ "scope": "openid pets:write  pets:read" }),
        json!({ "scope": ["pets:write", "pets:read"] }),
        json!({ "scp": ["pets:read", "pets:write", 7] }),
        json!({ "scp": "pets:read pets:write" }),
        json!({ "scope": "pets:read", "scp": ["pets:write"] }),
    ] {
        allowed(&plugin, held);
    }
    for held in [
        json!({}),
        json!({ "scope": "" }),
        json!({ "scope": "pets:read" }),
        json!({ "scope": "pets:read,pets:write" }),
        json!({ "scope": "pets:read PETS:WRITE" }),
        json!({ "scope": "pets:readpets:write" }),
        json!({ "scp": ["pets:read pets:write"] }),
        json!({ "scope": { "pets:read": true, "pets:write": true } }),
    ] {
        let reply = verdict(&plugin, &token(held)).unwrap_err();
        let expected = "Bearer realm=\"tollgate\", error=\"insufficient_scope\", \
                        scope=\"pets:read pets:write\"";
        assert_eq!(challenge(&reply), (403, expected.into()));
    }
    assert_eq!(testing::counter("refused_total", &[("reason", "scope")]), 8);
    // Who is not known is not told what is missing.
    refused(&plugin, &token(json!({ "exp": 1 })), "expired");
    refused(&plugin, &token(json!({ "sub": null })), "claims");
}

/// Lets the request through the entry, as the gateway does.
fn passed(plugin: &Jwt, mut request: TestRequest) -> TestRequest {
    let decision = testing::authorize(plugin, &request).unwrap();
    assert!(decision.is_allowed(), "{:?}", testing::logged());
    let outcome = testing::transform_request(plugin, &mut request).unwrap();
    assert_eq!(outcome, Outcome::Next);
    request
}

#[test]
fn claims_go_to_headers_and_nothing_else_does() {
    let plugin = plugin(json!({ "headers": {
        "sub": "X-User",
        "roles": "x-roles",
        "seats": "x-seats",
        "name": "x-name",
        "absent": "x-absent",
        "nothing": "x-nothing",
    }}));
    let members = json!({ "roles": ["a", "b"], "seats": 3, "name": "Zoë", "nothing": "" });
    let mut request = bearing(&token(members));
    for forged in [
        "X-User",
        "x-user",
        "x-roles",
        "x-absent",
        "x-seats",
        "x-nothing",
    ] {
        request = request.header(forged, "admin");
    }
    let request = passed(&plugin, request.header("x-other", "kept").build());
    for (name, expected) in [
        ("x-user", vec!["alice"]),
        ("x-roles", vec![r#"["a","b"]"#]),
        ("x-seats", vec!["3"]),
        ("x-name", vec!["Zoë"]),
        ("x-absent", vec![]),
        ("x-nothing", vec![""]),
        ("x-other", vec!["kept"]),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|value| value.as_bytes().to_vec())
            .collect();
        assert_eq!(request.header_values(name), expected, "{name}");
    }
    assert!(request.header("authorization").is_some());
}

#[test]
fn headers_without_their_claims_are_removed() {
    let plugin = plugin(json!({ "headers": { "absent": "x-user" } }));
    let request = bearing(&token(json!({}))).header("x-user", "admin").build();
    assert_eq!(passed(&plugin, request).header("x-user"), None);
}

#[test]
fn what_cannot_stand_in_a_header_is_refused() {
    let plugin = plugin(json!({ "headers": { "name": "x-name" } }));
    for name in [
        "a\nb", "a\rb", "a\0b", "a\u{7f}b", "a\tb", " a", "a ", "\u{85}",
    ] {
        refused(&plugin, &token(json!({ "name": name })), "claims");
    }
    for name in [json!("a  b"), json!({ "a": "\n " }), json!("a\u{a0}")] {
        allowed(&plugin, json!({ "name": name }));
    }
}

#[test]
fn nothing_of_a_token_is_told_or_logged() {
    let plugin = plugin(json!({ "scopes": ["s"], "headers": { "name": "x-name" } }));
    let secret = "very-secret";
    for members in [
        json!({ "iss": secret }),
        json!({ "aud": secret }),
        json!({ "sub": format!("{secret}\n") }),
        json!({ "exp": secret }),
        json!({ "scope": secret }),
        json!({ "name": format!("{secret}\n") }),
    ] {
        let reply = verdict(&plugin, &token(members)).unwrap_err();
        assert!(!String::from_utf8_lossy(&reply.body).contains(secret));
        assert!(!challenge(&reply).1.contains(secret));
    }
    let payload = json!(secret);
    let not_claims = testing::token("login", &json!({ "alg": "ES256" }), &payload);
    refused(&plugin, &not_claims, "claims");
    let logged = testing::logged();
    assert_eq!(logged.len(), 7);
    assert!(
        !logged.iter().any(|line| line.contains(secret)),
        "{logged:?}"
    );
}

#[test]
fn bad_configurations_are_refused_by_place() {
    for (members, expected) in [
        (json!({ "key-set": "" }), "`key-set` is empty"),
        (json!({ "issuer": true }), "`issuer` is a text or an array"),
        (
            json!({ "issuer": [] }),
            "`issuer` is empty; `false` accepts any",
        ),
        (json!({ "issuer": "" }), "`issuer` has an empty text"),
        (
            json!({ "audience": true }),
            "`audience` is a text or an array",
        ),
        (
            json!({ "audience": ["a", ""] }),
            "`audience` has an empty text",
        ),
        (json!({ "audience": 7 }), "did not match any variant"),
        (json!({ "leeway": "11m" }), "`leeway`: \"11m\" must be"),
        (json!({ "leeway": "601s" }), "at most \"10m\""),
        (json!({ "leeway": "30" }), "a whole number with `s` or `m`"),
        (json!({ "leeway": "-1s" }), "`leeway`"),
        (json!({ "leeway": "99999999m" }), "`leeway`"),
        (json!({ "leeway": 30 }), "invalid type"),
        (json!({ "require": [""] }), "`require` has an empty name"),
        (json!({ "principal": "" }), "`principal` has an empty name"),
        (
            json!({ "principal-prefix": "\n" }),
            "`principal-prefix` has control",
        ),
        (json!({ "usage-key": "" }), "`usage-key` has an empty name"),
        (json!({ "claims": [""] }), "`claims` has an empty name"),
        (json!({ "claims": "none" }), "did not match any variant"),
        (json!({ "typ": "" }), "`typ` is empty"),
        (json!({ "typ": "application/" }), "`typ` is empty"),
        (json!({ "algorithms": [] }), "`algorithms` is empty"),
        (
            json!({ "algorithms": ["none"] }),
            "`algorithms`: \"none\" is not one of HS256",
        ),
        (
            json!({ "algorithms": ["rs256"] }),
            "\"rs256\" is not one of",
        ),
        (
            json!({ "scopes": ["a b"] }),
            "`scopes`: \"a b\" is not a scope",
        ),
        (json!({ "scopes": ["a\"b"] }), "is not a scope"),
        (json!({ "scopes": [""] }), "`scopes`: \"\" is not a scope"),
        (
            json!({ "header": "x y" }),
            "`header`: \"x y\" is not the name",
        ),
        (
            json!({ "header": "Host" }),
            "`header`: `host` is the gateway's own",
        ),
        (json!({ "cookie": "" }), "`cookie`: \"\" is not the name"),
        (
            json!({ "cookie": "a=b" }),
            "`cookie`: \"a=b\" is not the name",
        ),
        (json!({ "query": "" }), "`query` is empty"),
        (
            json!({ "headers": { "sub": "" } }),
            "`headers.sub`: \"\" is not the name",
        ),
        (
            json!({ "headers": { "sub": "Content-Length" } }),
            "is the gateway's own",
        ),
        (
            json!({ "headers": { "sub": "x-user", "uid": "X-User" } }),
            "`headers`: \"sub\" and \"uid\" both go to `x-user`",
        ),
        (json!({ "secret": "x" }), "unknown field"),
    ] {
        match testing::configure::<Jwt>(with(members.clone())) {
            Ok(_) => panic!("{members} must be refused"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(expected), "{members}: {text}");
            }
        }
    }
    for missing in ["key-set", "issuer", "audience"] {
        let mut config = config();
        config.as_object_mut().unwrap().remove(missing);
        let error = testing::configure::<Jwt>(config).err().unwrap().to_string();
        assert!(
            error.contains(&format!("missing field `{missing}`")),
            "{error}"
        );
    }
}
