//! Tokens and signatures, verified with keys that the configuration holds and no plugin sees.

use serde_json::{Value, json};
use tollgate_tests::{Gateway, check};

use super::tokens::{
    CONFUSED_DER, CONFUSED_ED, CONFUSED_PEM, EC_X, EC_Y, ED_SIG, ED_SPKI, ED_TWO_X, ED_X, EDDSA,
    EDDSA_TWO, ES256, HS256, MESSAGE, NONE, PAYLOAD, RS256, RSA_N, SHARED_K,
};
use super::{alone, ask, asking, told};
use crate::scene::Scene;

/// The public keys, as the configuration takes them.
fn inline() -> String {
    format!(
        r#"
[key-sets.inline]
keys = [
    {{ kty = "RSA", kid = "rsa", n = "{RSA_N}", e = "AQAB" }},
    {{ kty = "EC", kid = "ec", crv = "P-256", x = "{EC_X}", y = "{EC_Y}" }},
    {{ kty = "OKP", kid = "ed", crv = "Ed25519", x = "{ED_X}", alg = "EdDSA", use = "sig" }},
]
"#
    )
}

/// The same as a JWK Set in a file.
pub(super) fn set_of(keys: &[&str]) -> String {
    let keys = keys.iter().map(|name| match *name {
        "rsa" => json!({ "kty": "RSA", "kid": "rsa", "n": RSA_N, "e": "AQAB" }),
        "ec" => json!({ "kty": "EC", "kid": "ec", "crv": "P-256", "x": EC_X, "y": EC_Y }),
        "ed" => json!({ "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": ED_X }),
        "two" => json!({ "kty": "OKP", "kid": "two", "crv": "Ed25519", "x": ED_TWO_X }),
        other => panic!("no key `{other}`"),
    });
    json!({ "keys": keys.collect::<Vec<Value>>() }).to_string()
}

fn shared() -> String {
    json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": SHARED_K }).to_string()
}

fn all_sets() -> Scene {
    alone()
        .with(&inline())
        .with("[key-sets.file]\nfile = \"keys.json\"")
        .with("[key-sets.shared]\nsecret = \"SHARED\"")
        .with("[key-sets.listed]\nsecret = \"ELSEWHERE\"")
        .with("[secrets]\nELSEWHERE = { file = \"shared.json\" }")
}

fn start(scene: &Scene) -> Gateway {
    Gateway::builder()
        .file("keys.json", set_of(&["rsa", "ec", "ed"]))
        .file("shared.json", shared() + "\n")
        .env("SHARED", &shared())
        .start(&scene.toml())
}

#[track_caller]
pub(super) fn verify(gateway: &Gateway, token: &str, key_set: &str) -> Value {
    let steps = json!([{ "jws": key_set }]);
    told(&gateway.request(asking("/reach", &steps, token))).remove(0)
}

#[test]
fn tokens_are_verified_with_each_kind_of_key() {
    let gateway = start(&all_sets());
    for (set, tokens) in [
        (
            "inline",
            &[("RS256", RS256), ("ES256", ES256), ("EdDSA", EDDSA)][..],
        ),
        (
            "file",
            &[("RS256", RS256), ("ES256", ES256), ("EdDSA", EDDSA)],
        ),
        ("shared", &[("HS256", HS256)]),
        ("listed", &[("HS256", HS256)]),
    ] {
        for (algorithm, token) in tokens {
            let told = verify(&gateway, token, set);
            assert_eq!(told["payload"], PAYLOAD, "{algorithm} by {set}: {told}");
            assert_eq!(told["header"]["alg"], *algorithm);
        }
    }
    // No key is in anything that is seen from outside.
    let seen = gateway.stderr() + &gateway.stdout() + &gateway.metrics();
    assert!(!seen.contains(SHARED_K));
}

/// A token with one character of its signature, payload or header changed.
fn forged(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let first = if parts[part].starts_with('A') {
        "B"
    } else {
        "A"
    };
    parts[part].replace_range(..1, first);
    parts.join(".")
}

#[test]
fn what_is_not_signed_by_the_set_is_refused() {
    let gateway = start(&all_sets());
    let empty_signature = format!("{}.", RS256.rsplit_once('.').expect("a token").0);
    let mut refused = vec![
        (NONE.to_owned(), "inline"),
        (NONE.to_owned(), "shared"),
        (NONE.replace("bm9uZSI", "Tm9uZSI"), "inline"),
        (CONFUSED_PEM.to_owned(), "inline"),
        (CONFUSED_DER.to_owned(), "inline"),
        (CONFUSED_ED.to_owned(), "inline"),
        (CONFUSED_PEM.to_owned(), "shared"),
        (empty_signature, "inline"),
        // Of another set.
        (RS256.to_owned(), "shared"),
        (HS256.to_owned(), "inline"),
        (EDDSA_TWO.to_owned(), "inline"),
        // No tokens at all.
        (String::new(), "inline"),
        ("a.b.c".to_owned(), "inline"),
        ("..".to_owned(), "inline"),
        (format!("{RS256}.{RS256}"), "inline"),
        (format!("{RS256}="), "inline"),
        (RS256.replace('_', "/"), "inline"),
        (format!("{}.a", "a".repeat(20_000)), "inline"),
    ];
    for token in [RS256, ES256, EDDSA] {
        refused.extend((0..3).map(|part| (forged(token, part), "inline")));
    }
    refused.extend((0..3).map(|part| (forged(HS256, part), "shared")));
    for (token, set) in refused {
        let told = verify(&gateway, &token, set);
        let error = told["error"].as_str();
        assert!(
            error.is_some_and(|error| !error.is_empty()),
            "{told} for {token} by {set}"
        );
    }
}

#[test]
fn a_key_set_that_is_not_there_is_told() {
    let gateway = start(&all_sets());
    for name in ["nobody", "", "INLINE", "SHARED"] {
        let told = verify(&gateway, RS256, name);
        let error = told["error"].as_str().unwrap_or_default();
        assert!(
            error.contains(&format!("no key set \"{name}\"")) && error.contains("[key-sets]"),
            "{told}"
        );
    }
}

#[test]
fn raw_signatures_are_verified() {
    let gateway = Gateway::start(&alone().toml());
    let verified = |algorithm: &str, key: &str, message: &str, signature: &str| {
        ask(
            &gateway,
            &json!([{ "verify": [algorithm, key, message, signature] }]),
        )
        .remove(0)
    };
    let yes = json!({ "ok": true });
    let no = json!({ "ok": false });
    assert_eq!(verified("EdDSA", ED_SPKI, MESSAGE, ED_SIG), yes);
    assert_eq!(verified("EdDSA", ED_SPKI, "00", ED_SIG), no);
    assert_eq!(verified("EdDSA", ED_SPKI, MESSAGE, ""), no);
    let flipped = format!("{}00", &ED_SIG[..ED_SIG.len() - 2]);
    assert_eq!(verified("EdDSA", ED_SPKI, MESSAGE, &flipped), no);
    for (algorithm, key) in [
        ("none", ED_SPKI),
        ("", ED_SPKI),
        ("HS256", ED_SPKI),
        ("RS256", ED_SPKI),
        ("EdDSA", ""),
        ("EdDSA", "3000"),
        ("eddsa", ED_SPKI),
    ] {
        let told = verified(algorithm, key, MESSAGE, ED_SIG);
        assert!(told["error"].is_string(), "{algorithm} {key}: {told}");
    }
}

#[test]
fn sets_without_a_key_are_refused_at_load() {
    for (set, texts) in [
        ("file = \"nowhere.json\"", &["nowhere.json"][..]),
        ("secret = \"NOWHERE_AT_ALL\"", &["NOWHERE_AT_ALL"]),
        ("keys = [{ kty = \"oct\", k = \"c2VjcmV0\" }]", &["shared"]),
        (
            "keys = [{ kty = \"EC\", crv = \"P-256\", x = \"AAAA\", y = \"AAAA\" }]",
            &["no key that can be used"],
        ),
    ] {
        let said = check(&alone().with(&format!("[key-sets.bad]\n{set}")).toml());
        assert!(!said.ok, "{set}");
        for text in texts {
            assert!(said.stderr.contains(text), "no `{text}` in {}", said.stderr);
        }
        assert!(!said.stderr.contains("c2VjcmV0"), "{}", said.stderr);
    }
}
