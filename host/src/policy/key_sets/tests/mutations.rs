//! Whatever changes in a token or a key, no unsigned token verifies, and nothing panics.

use proptest::prelude::*;
use serde_json::Value;

use super::super::jws::verify as verify_jws;
use super::super::{KeySet, verify};
use super::signers::{ALGORITHMS, jwk, plain, public_key_info, sign};
use super::vectors::VECTORS;
use super::{from, set};

#[derive(Debug, Clone)]
enum Edit {
    Replace(usize, char),
    Insert(usize, char),
    Remove(usize),
    Swap(usize, usize),
    Double(usize, usize),
    Cut(usize),
}

/// Mostly characters of tokens; else any.
fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        8 => proptest::char::ranges(vec!['A'..='Z', 'a'..='z', '0'..='9', '-'..='.', '_'..='_'].into()),
        1 => proptest::sample::select(vec!['=', '+', '/', ' ', '\n', '\0', '"', '{', '}', 'é', '\u{10ffff}']),
        1 => any::<char>(),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<usize>;
    prop_oneof![
        (place(), character()).prop_map(|(at, to)| Edit::Replace(at, to)),
        (place(), character()).prop_map(|(at, what)| Edit::Insert(at, what)),
        place().prop_map(Edit::Remove),
        (place(), place()).prop_map(|(a, b)| Edit::Swap(a, b)),
        (place(), place()).prop_map(|(a, b)| Edit::Double(a, b)),
        place().prop_map(Edit::Cut),
    ]
}

fn edited<T: Clone>(mut text: Vec<T>, edits: &[Edit], from: impl Fn(char) -> T) -> Vec<T> {
    for edit in edits {
        let length = text.len().max(1);
        match edit {
            _ if text.is_empty() => {}
            Edit::Replace(at, to) => text[at % length] = from(*to),
            Edit::Insert(at, what) => text.insert(at % length, from(*what)),
            Edit::Remove(at) => drop(text.remove(at % length)),
            Edit::Swap(a, b) => text.swap(a % length, b % length),
            Edit::Double(a, b) => {
                let (a, b) = (a % length, b % length);
                let piece = text[a.min(b)..a.max(b)].to_vec();
                text.splice(a.max(b)..a.max(b), piece);
            }
            Edit::Cut(at) => text.truncate(at % length),
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn changed_tokens_do_not_verify(
        vector in 0..VECTORS.len(),
        edits in proptest::collection::vec(edit(), 1..4),
    ) {
        let vector = &VECTORS[vector];
        let characters: Vec<char> = vector.token.chars().collect();
        let changed: String = edited(characters, &edits, |one| one).into_iter().collect();
        prop_assume!(changed != vector.token);
        prop_assert!(verify_jws(&changed, &set(vector.key)).is_err());
    }

    #[test]
    fn made_up_tokens_do_not_verify(
        header in ".{0,80}",
        payload in any::<Vec<u8>>(),
        signature in any::<Vec<u8>>(),
        algorithm in proptest::sample::select(ALGORITHMS.to_vec()),
    ) {
        let header = format!(r#"{{"alg":"{algorithm}","x":{}}}"#, Value::from(header));
        let parts = [super::encode(header), super::encode(payload), super::encode(signature)];
        let set = from(["HS256", "RS256", "ES256", "ES384", "ES512", "EdDSA"].map(jwk));
        prop_assert!(verify_jws(&parts.join("."), &set).is_err());
    }

    #[test]
    fn any_text_is_refused(token in any::<String>(), keys in any::<Vec<u8>>()) {
        prop_assert!(verify_jws(&token, &from([jwk("HS256")])).is_err());
        prop_assert!(KeySet::parse(&keys).is_err());
    }

    #[test]
    fn changed_keys_do_not_verify(
        algorithm in proptest::sample::select(ALGORITHMS.to_vec()),
        member in any::<proptest::sample::Index>(),
        edits in proptest::collection::vec(edit(), 1..3),
    ) {
        let good = jwk(algorithm);
        let mut key = good.clone();
        let members: Vec<&String> = good.as_object().into_iter().flat_map(|key| key.keys()).collect();
        let member = *member.get(&members);
        let characters: Vec<char> = good[member].as_str().unwrap_or_default().chars().collect();
        let changed: String = edited(characters, &edits, |one| one).into_iter().collect();
        key[member] = changed.into();
        prop_assume!(key != good);
        // HMAC pads a key with zeros to its block: `k` and `k` followed by zeros are one key.
        let padded = |key: &Value| {
            let text = key["k"].as_str().unwrap_or_default().as_bytes();
            let mut bytes = data_encoding::BASE64URL_NOPAD.decode(text).unwrap_or_default();
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            bytes
        };
        prop_assume!(member != "k" || padded(&key) != padded(&good));
        if let Ok(set) = KeySet::from_json(&key) {
            prop_assert!(verify_jws(&plain(algorithm), &set).is_err());
        }
    }

    #[test]
    fn changed_public_keys_and_signatures_do_not_verify(
        algorithm in proptest::sample::select(ALGORITHMS[3..].to_vec()),
        of_the_key in any::<bool>(),
        edits in proptest::collection::vec(edit(), 1..3),
    ) {
        let key = public_key_info(algorithm);
        let signature = sign(algorithm, b"message");
        let (changed_key, changed_signature) = if of_the_key {
            (edited(key.clone(), &edits, |one| one as u8), signature.clone())
        } else {
            (key.clone(), edited(signature.clone(), &edits, |one| one as u8))
        };
        prop_assume!(changed_key != key || changed_signature != signature);
        let verified = verify(algorithm, &changed_key, b"message", &changed_signature);
        prop_assert_ne!(verified, Ok(true));
    }
}
