//! Tokens from forgers without the key (RFC 8725, section 2).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::json;

use super::super::KeySet;
use super::signers::{self, jwk, plain, sign, token};
use super::vectors::VECTORS;
use super::{encode, from, refusal, refused, set, with};

#[test]
fn none_is_no_algorithm() {
    let payload = encode("{}");
    for name in ["none", "None", "NONE", "nOnE", "", " none", "none\0"] {
        let header = encode(json!({ "alg": name }).to_string());
        for signature in ["", "AA", &encode(sign("HS256", b"x"))] {
            for keys in ["HS256", "RS256", "ES256", "EdDSA"] {
                let token = format!("{header}.{payload}.{signature}");
                refused(&token, &from([jwk(keys)]), "is not supported");
            }
        }
    }
    // Nor can a key name it.
    let error = KeySet::from_json(&with(jwk("HS256"), json!({ "alg": "none" }))).unwrap_err();
    assert!(error.contains("\"none\" is not supported"), "{error}");
    for (header, because) in [
        (r#"{}"#, "has no `alg`"),
        (r#"{"alg":null}"#, "`alg` is not a string"),
        (r#"{"alg":["HS256"]}"#, "`alg` is not a string"),
        (r#"{"alg":"hs256"}"#, "is not supported"),
        (r#"{"ALG":"HS256"}"#, "has no `alg`"),
    ] {
        refused(
            &token("HS256", header, "{}"),
            &from([jwk("HS256")]),
            because,
        );
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    for algorithm in ["RS256", "ES256", "ES512", "EdDSA"] {
        let key = jwk(algorithm);
        let info = signers::public_key_info(algorithm);
        let base64 = BASE64.encode(&info);
        let lines: Vec<_> = base64
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
            lines.join("\n")
        );
        let mut secrets: Vec<Vec<u8>> = vec![
            info,
            format!("{pem}\n").into_bytes(),
            pem.into_bytes(),
            key.to_string().into_bytes(),
            signers::RSA.public_key().as_ref().to_vec(),
            signers::modulus(signers::RSA.public_key()),
            Vec::new(),
        ];
        for member in ["n", "e", "x", "y"] {
            if let Some(text) = key[member].as_str() {
                secrets.push(text.as_bytes().to_vec());
                secrets.push(BASE64URL_NOPAD.decode(text.as_bytes()).unwrap());
            }
        }
        for secret in secrets {
            for (name, hash) in [
                ("HS256", hmac::HMAC_SHA256),
                ("HS384", hmac::HMAC_SHA384),
                ("HS512", hmac::HMAC_SHA512),
            ] {
                let signed = format!(
                    "{}.{}",
                    encode(json!({ "alg": name }).to_string()),
                    encode("{}")
                );
                let mac = hmac::sign(&hmac::Key::new(hash, &secret), signed.as_bytes());
                let token = format!("{signed}.{}", encode(mac));
                refused(&token, &from([key.clone()]), "no key of the set is for");
                // Another issuer's secret in the same set does not help either.
                refused(
                    &token,
                    &from([key.clone(), jwk("HS512")]),
                    "the signature is wrong",
                );
            }
        }
    }
}

#[test]
fn every_changed_character_is_noticed() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for vector in VECTORS
        .iter()
        .filter(|vector| !vector.algorithm.starts_with("ES5"))
    {
        let set = set(vector.key);
        for place in 0..vector.token.len() {
            let mut changed = vector.token.as_bytes().to_vec();
            let digit = ALPHABET.iter().position(|one| *one == changed[place]);
            // The lowest bit of the digit: at the end of a part it may be one that no byte holds.
            changed[place] = digit.map_or(b'A', |digit| ALPHABET[digit ^ 1]);
            refusal(&String::from_utf8(changed).unwrap(), &set);
        }
    }
}

#[test]
fn signatures_of_zeros_and_other_shapes_are_wrong() {
    // CVE-2022-21449: r = s = 0 satisfies the equation that a careless verifier computes.
    for (algorithm, bytes) in [("ES256", 64), ("ES384", 96), ("ES512", 132)] {
        let set = from([jwk(algorithm)]);
        let good = plain(algorithm);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        let (r, s) = signature.split_at(bytes / 2);
        let zero = vec![0; bytes / 2];
        let one = [vec![0; bytes / 2 - 1], vec![1]].concat();
        let largest = vec![0xff; bytes / 2];
        let swapped = [s, r].concat();
        for forged in [
            [&zero[..], &zero].concat(),
            [r, &zero].concat(),
            [&zero, s].concat(),
            [&one[..], &one].concat(),
            [&largest[..], &largest].concat(),
            [&zero[1..], &zero[1..]].concat(),
            [&[0][..], r, &[0], s].concat(),
            swapped,
            r.to_vec(),
            Vec::new(),
            vec![0],
            vec![0x30, 6, 2, 1, 0, 2, 1, 0],
        ] {
            let forged = encode(forged);
            refused(
                &format!("{signed}.{forged}"),
                &set,
                "the signature is wrong",
            );
        }
    }
    for (algorithm, bytes) in [("EdDSA", 64), ("RS256", 256), ("PS256", 256), ("HS256", 32)] {
        let set = from([jwk(algorithm)]);
        let good = plain(algorithm);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        for forged in [
            vec![0; bytes],
            vec![0xff; bytes],
            vec![0; bytes - 1],
            vec![1],
            Vec::new(),
            signature[..bytes - 1].to_vec(),
            signature[..bytes / 2].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
        ] {
            let forged = encode(forged);
            refused(
                &format!("{signed}.{forged}"),
                &set,
                "the signature is wrong",
            );
        }
    }
}

#[test]
fn ecdsa_signatures_in_der_are_wrong() {
    // Other formats than JWA's would give one token many signatures.
    let key = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        signers::ec("ES256").to_pkcs8v1().unwrap().as_ref(),
    )
    .unwrap();
    let signed = format!("{}.{}", encode(r#"{"alg":"ES256"}"#), encode("{}"));
    let random = aws_lc_rs::rand::SystemRandom::new();
    let signature = key.sign(&random, signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", encode(signature));
    refused(&token, &from([jwk("ES256")]), "the signature is wrong");
}

#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let other = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(other.public_key()) });
    let info = AsDer::<PublicKeyX509Der<'_>>::as_der(other.public_key()).unwrap();
    for extra in [
        json!({ "jwk": key }),
        json!({ "jku": "http://127.0.0.1:1/keys.json" }),
        json!({ "x5u": "file:///etc/passwd" }),
        json!({ "x5c": [BASE64.encode(info.as_ref())] }),
        json!({ "kid": "../../../../dev/null" }),
    ] {
        let header = with(json!({ "alg": "EdDSA" }), extra).to_string();
        let signed = format!("{}.{}", encode(header), encode("{}"));
        let token = format!("{signed}.{}", encode(other.sign(signed.as_bytes())));
        refused(&token, &from([jwk("EdDSA")]), "the signature is wrong");
    }
}
