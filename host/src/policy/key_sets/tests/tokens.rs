//! Honest and dishonest tokens (RFC 7515; RFC 8725, sections 2 and 3).

use serde_json::{Value, json};

use super::super::KeySet;
use super::super::jws::verify as verify_jws;
use super::signers::{ALGORITHMS, jwk, plain, sign, token};
use super::vectors::VECTORS;
use super::{encode, from, refusal, refused, set, with};
use crate::limits::key_sets::{JWS_BYTES_MAX, KEYS_TRIED_MAX};

fn verifies(token: &str, set: &KeySet) {
    if let Err(refusal) = verify_jws(token, set) {
        panic!("{token}: {}", refusal.reason);
    }
}

#[test]
fn the_examples_of_the_rfcs_verify_with_their_own_keys_alone() {
    for vector in &VECTORS {
        let verified = verify_jws(vector.token, &set(vector.key)).expect(vector.source);
        let [header, payload, _]: [&str; 3] = vector.token.split('.').collect::<Vec<_>>()[..]
            .try_into()
            .unwrap();
        assert_eq!(encode(&verified.header), header, "{}", vector.source);
        assert_eq!(encode(&verified.payload), payload, "{}", vector.source);
        let header: Value = serde_json::from_str(&verified.header).unwrap();
        assert_eq!(header["alg"], vector.algorithm);
        for other in &VECTORS {
            if other.key != vector.key {
                refusal(vector.token, &set(other.key));
            }
        }
    }
}

#[test]
fn every_algorithm_verifies_with_a_key_of_its_kind_alone() {
    for algorithm in ALGORITHMS {
        for other in ALGORITHMS {
            let set = from([jwk(other)]);
            // A key that names no algorithm serves those of its kind; a curve has one algorithm.
            if algorithm[..2] == other[..2] && !algorithm.starts_with("ES")
                || algorithm == other
                || "RSPS".contains(&algorithm[..2]) && "RSPS".contains(&other[..2])
            {
                verifies(&plain(algorithm), &set);
            } else {
                refused(&plain(algorithm), &set, "no key of the set is for");
            }
        }
    }
    let renamed = token("EdDSA", r#"{"alg":"Ed25519"}"#, "{}");
    verifies(&renamed, &from([jwk("EdDSA")]));
}

#[test]
fn a_key_that_names_its_algorithm_serves_no_other() {
    for algorithm in ALGORITHMS {
        for named in ALGORITHMS {
            let key = with(jwk(algorithm), json!({ "alg": named }));
            match KeySet::from_json(&key) {
                Ok(set) if algorithm == named => verifies(&plain(algorithm), &set),
                Ok(set) => refused(&plain(algorithm), &set, "no key of the set is for"),
                Err(error) => assert!(error.contains("`alg` does not fit"), "{error}"),
            }
        }
    }
}

#[test]
fn a_header_of_one_algorithm_does_not_carry_the_signature_of_another() {
    let all = from([
        jwk("HS512"),
        jwk("RS256"),
        jwk("ES256"),
        jwk("ES384"),
        jwk("ES512"),
        jwk("EdDSA"),
    ]);
    for signed in ALGORITHMS {
        for named in ALGORITHMS {
            let token = token(signed, &json!({ "alg": named }).to_string(), "{}");
            if signed == named {
                verifies(&token, &all);
            } else {
                refused(&token, &all, "the signature is wrong");
            }
        }
    }
}

#[test]
fn a_token_that_names_a_key_is_held_against_keys_of_that_name() {
    let named = |name: &str| {
        token(
            "HS256",
            &json!({ "alg": "HS256", "kid": name }).to_string(),
            "{}",
        )
    };
    let wrong = || json!({ "kty": "oct", "k": encode([7; 64]) });
    let right = || jwk("HS256");

    let set = from([
        with(wrong(), json!({ "kid": "old" })),
        with(right(), json!({ "kid": "new" })),
        right(),
    ]);
    verifies(&named("new"), &set);
    refused(
        &named("old"),
        &set,
        "the signature is wrong: `alg` \"HS256\", `kid` \"old\"",
    );
    let unknown = refusal(&named("none of them"), &set);
    assert!(unknown.unknown_key, "{}", unknown.reason);
    // A key without a name does not match a name.
    assert!(refusal(&named(""), &set).unknown_key);
    verifies(&plain("HS256"), &set);

    // If no key has a name, a token's name does not matter.
    let nameless = from([wrong(), right()]);
    verifies(&named("whatever"), &nameless);
    // Keys may share a name (RFC 7517, section 4.5).
    let shared = from([
        with(jwk("RS256"), json!({ "kid": "k" })),
        with(wrong(), json!({ "kid": "k" })),
        with(right(), json!({ "kid": "k" })),
    ]);
    verifies(&named("k"), &shared);
    // A known key of another kind is not an unknown key.
    let other = from([with(jwk("RS256"), json!({ "kid": "k" })), right()]);
    assert!(!refusal(&named("k"), &other).unknown_key);
    for id in ["1", "null", "[]", "{}", "true"] {
        let odd = token("HS256", &format!(r#"{{"alg":"HS256","kid":{id}}}"#), "{}");
        refused(&odd, &set, "`kid` is not a string");
    }
}

#[test]
fn names_are_shown_short_and_without_control_characters() {
    let set = from([with(jwk("HS256"), json!({ "kid": "k" }))]);
    let header =
        json!({ "alg": "HS256", "kid": format!("\n\x1b[31m\"\u{202e}{}", "x".repeat(9000)) });
    let reason = refusal(&token("HS256", &header.to_string(), "{}"), &set).reason;
    assert!(
        !reason.contains(char::is_control) && !reason.contains('\u{202e}'),
        "{reason}"
    );
    assert!(reason.contains(r#""\n\u{1b}[31m\"\u{202e}xxx"#), "{reason}");
    assert!(reason.contains("…") && reason.len() < 200, "{reason}");
    let header = json!({ "alg": format!("A\r\n{}", "x".repeat(9000)) });
    let reason = refusal(&token("HS256", &header.to_string(), "{}"), &set).reason;
    assert!(
        !reason.contains(char::is_control) && reason.len() < 200,
        "{reason}"
    );
}

#[test]
fn no_more_than_ten_keys_are_tried() {
    let wrong = |number: usize| json!({ "kty": "oct", "k": encode([number as u8; 32]) });
    let tenth = from((1..KEYS_TRIED_MAX).map(wrong).chain([jwk("HS256")]));
    verifies(&plain("HS256"), &tenth);
    let eleventh = from((0..KEYS_TRIED_MAX).map(wrong).chain([jwk("HS256")]));
    refused(&plain("HS256"), &eleventh, "of 11 keys only 10 were tried");
}

#[test]
fn headers_that_mean_something_else_are_refused() {
    let set = from([jwk("HS256")]);
    let deep = format!(
        r#"{{"alg":"HS256","x":{}{}}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    for (header, because) in [
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, "`crit`"),
        (r#"{"alg":"HS256","crit":[]}"#, "`crit`"),
        (r#"{"alg":"HS256","crit":null}"#, "`crit`"),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "`crit`"),
        (r#"{"alg":"HS256","b64":false}"#, "`b64`"),
        (r#"{"alg":"HS256","b64":null}"#, "`b64`"),
        (r#"{"alg":"none","alg":"HS256"}"#, "a member occurs twice"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "a member occurs twice"),
        (
            r#"{"alg":"HS256","\u0061lg":"none"}"#,
            "a member occurs twice",
        ),
        (
            r#"{"alg":"HS256","x":[{"y":1,"y":2}]}"#,
            "a member occurs twice",
        ),
        (r#"["alg","HS256"]"#, "is not an object"),
        (r#""HS256""#, "is not an object"),
        ("null", "is not an object"),
        ("", "is not JSON"),
        ("{", "is not JSON"),
        (r#"{"alg":"HS256"}{}"#, "is not JSON"),
        (r#"{"alg":"HS256",}"#, "is not JSON"),
        (r#"{"alg":"HS256","x":01}"#, "is not JSON"),
        ("\u{feff}{\"alg\":\"HS256\"}", "is not JSON"),
        (&deep, "is not JSON"),
    ] {
        refused(&token("HS256", header, "{}"), &set, because);
    }
    let latin1 = format!("{}.e30.{}", encode(b"{\"alg\":\"\xe4\"}"), encode([0; 32]));
    refused(&latin1, &set, "not UTF-8");
    verifies(
        &token(
            "HS256",
            " {\"b64\":true,\r\n\"alg\" : \"\\u0048S256\"}\n",
            "{}",
        ),
        &set,
    );
}

#[test]
fn one_token_has_one_spelling() {
    let set = from([jwk("ES256")]);
    let good = plain("ES256");
    verifies(&good, &set);
    let [header, payload, signature]: [&str; 3] =
        good.split('.').collect::<Vec<_>>()[..].try_into().unwrap();
    for spelling in [
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}\n"),
        format!(" {good}"),
        format!("{header}\r\n.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}. {payload}.{signature}"),
    ] {
        refusal(&spelling, &set);
    }
    // The last digit of 64 bytes holds four bits that no byte has.
    let (start, last) = signature.split_at(signature.len() - 1);
    for digit in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let other = format!("{header}.{payload}.{start}{digit}");
        assert_eq!(verify_jws(&other, &set).is_ok(), digit.to_string() == last);
    }
    let slashes = signature.replace('-', "+").replace('_', "/");
    if slashes != signature {
        refused(
            &format!("{header}.{payload}.{slashes}"),
            &set,
            "not base64url",
        );
    }
}

#[test]
fn a_token_has_three_parts() {
    let set = from([jwk("HS256")]);
    let good = plain("HS256");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    for token in [
        String::new(),
        ".".into(),
        "...".into(),
        header.into(),
        signed.into(),
        format!("{header}.{signature}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{good}.e30.e30"),
        format!("{header}..{payload}.{signature}"),
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
    ] {
        refused(&token, &set, "not three parts");
    }
    for token in [
        "..".into(),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}."),
    ] {
        refusal(&token, &set);
    }
    // An empty payload is one, if it was signed.
    verifies(&token("HS256", r#"{"alg":"HS256"}"#, ""), &set);
    // RFC 7797's form, with the payload left out of the token, is not.
    refusal(
        &format!("{header}..{}", encode(sign("HS256", signed.as_bytes()))),
        &set,
    );
}

#[test]
fn a_token_has_at_most_sixteen_kib() {
    let set = from([jwk("HS256")]);
    let overhead = token("HS256", r#"{"alg":"HS256"}"#, "").len();
    let payload = "x".repeat((JWS_BYTES_MAX - overhead) / 4 * 3);
    let fits = token("HS256", r#"{"alg":"HS256"}"#, &payload);
    assert!(fits.len() > JWS_BYTES_MAX - 4);
    verifies(&fits, &set);
    let large = token("HS256", r#"{"alg":"HS256"}"#, &format!("{payload}xxxx"));
    refused(&large, &set, "more than 16384 bytes");
    refused(&"a".repeat(4 << 20), &set, "more than 16384 bytes");
    refused(&".".repeat(JWS_BYTES_MAX), &set, "not three parts");
}
