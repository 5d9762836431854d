//! Reading keys (RFC 7517; RFC 7518, section 6; RFC 8037).

use serde_json::{Value, json};

use super::super::KeySet;
use super::signers::{ALGORITHMS, SECRET, jwk};
use super::{encode, from, set};
use crate::limits::key_sets::{KEY_ID_BYTES_MAX, KEY_SET_BYTES_MAX, KEY_SET_KEYS_MAX};

fn problem(key: &Value) -> String {
    KeySet::from_json(key).unwrap_err()
}

#[test]
fn a_set_a_list_or_a_single_key() {
    let key = jwk("ES256");
    for written in [
        json!({ "keys": [key], "issuer": "someone" }),
        json!([key]),
        key.clone(),
    ] {
        assert_eq!(set(&written.to_string()).usable(), 1);
        assert_eq!(KeySet::from_json(&written).unwrap().usable(), 1);
    }
    assert_eq!(set(&format!("\u{feff}{key}\n")).usable(), 1);
    for (text, because) in [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("-----BEGIN PUBLIC KEY-----", "is not JSON"),
        ("{}", "neither `keys`"),
        (r#"{"keys":{}}"#, "`keys` is not a list"),
        (r#"{"keys":[]}"#, "no key that can be used"),
        ("[]", "no key that can be used"),
        ("7", "neither a JWK Set nor a JWK"),
        (r#"{"keys":[],"keys":[]}"#, "a member occurs twice"),
        ("[[]]", "it is not an object"),
    ] {
        let error = KeySet::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(because), "{error}");
    }
    let twice = key.to_string().replacen('{', r#"{"kty":"RSA","#, 1);
    assert!(
        KeySet::parse(twice.as_bytes())
            .unwrap_err()
            .contains("twice")
    );
}

#[test]
fn what_is_not_known_is_left_out_with_a_warning() {
    let written = json!({ "keys": [
        { "kty": "AKP", "alg": "ML-DSA-44", "kid": "post-quantum", "pub": "AA" },
        { "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" },
        { "kty": "OKP", "crv": "X25519", "x": "AA" },
        { "kty": "OKP", "crv": "Ed448", "x": "AA" },
        { "kid": "kindless" },
        "not a key",
        { "kty": "RSA", "alg": "RSA-OAEP", "use": "enc" },
        jwk("ES256"),
    ]});
    let set = KeySet::from_json(&written).unwrap();
    assert_eq!(set.usable(), 1);
    assert_eq!(
        set.warnings(),
        [
            "key 1 (\"post-quantum\") is not used: the algorithm \"ML-DSA-44\" is not supported",
            "key 2 is not used: its curve \"secp256k1\" is not supported",
            "key 3 is not used: its curve \"X25519\" is not supported",
            "key 4 is not used: its curve \"Ed448\" is not supported",
            "key 5 (\"kindless\") is not used: it has no `kty`",
            "key 6 is not used: it is not an object",
            "key 7 is not used: its `use` is not `sig`",
        ]
    );
    let error = problem(&json!([{ "kty": "a" }, { "kty": "b" }]));
    assert_eq!(
        error,
        "it has no key that can be used; key 1 is not used: its kind \"a\" is not supported; key 2 \
         is not used: its kind \"b\" is not supported"
    );
}

#[test]
fn weak_keys_are_not_used() {
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= bytes.len() * 8 - bits;
        json!({ "kty": "RSA", "e": "AQAB", "n": encode(bytes) })
    };
    for bits in [512, 1024, 2040, 2047, 8193] {
        let error = problem(&modulus(bits));
        assert!(error.contains("2048 to 8192 bits"), "{bits}: {error}");
    }
    for bits in [2048, 8192] {
        assert_eq!(from([modulus(bits)]).usable(), 1, "{bits}");
    }

    let secret = |bytes: usize, algorithm: Option<&str>| {
        let mut key = json!({ "kty": "oct", "k": encode(&SECRET[..bytes]) });
        if let Some(algorithm) = algorithm {
            key["alg"] = algorithm.into();
        }
        KeySet::from_json(&key)
    };
    for (algorithm, bytes) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        assert!(secret(bytes, Some(algorithm)).is_ok());
        let error = secret(bytes - 1, Some(algorithm)).unwrap_err();
        let expected = format!(
            "a key of {} bytes is shorter than the hash, {bytes}",
            bytes - 1
        );
        assert!(error.contains(&expected), "{error}");
    }
    assert!(secret(0, None).is_err() && secret(31, None).is_err());
    // A key of 32 bytes without an `alg` serves HS256, but not the longer hashes.
    let set = secret(32, None).unwrap();
    for (algorithm, usable) in [("HS256", true), ("HS384", false), ("HS512", false)] {
        let algorithm = super::super::algorithm::Algorithm::named(algorithm).unwrap();
        assert_eq!(set.keys[0].verifier(algorithm).is_some(), usable);
    }
}

#[test]
fn numbers_of_rsa_are_checked() {
    let good = jwk("RS256");
    let modulus = good["n"].as_str().unwrap();
    let even = format!("{}A", &modulus[..modulus.len() - 1]);
    for (n, e, because) in [
        (modulus, "AQ", ""),
        (modulus, "Ag", ""),
        (modulus, "AA", "empty or zero"),
        (modulus, "AAAC", ""),
        (modulus, "", "is empty"),
        (modulus, modulus, ""),
        (&even, "AQAB", ""),
        ("", "AQAB", "is empty"),
        (&format!("{modulus}="), "AQAB", "base64url"),
        (&format!("{modulus}\n"), "AQAB", "base64url"),
    ] {
        let error = problem(&json!({ "kty": "RSA", "n": n, "e": e }));
        assert!(error.contains(because), "{e}: {error}");
    }
    let error = problem(&json!({ "kty": "RSA", "n": modulus }));
    assert!(error.contains("it has no `e`"), "{error}");
}

#[test]
fn points_are_on_their_curve_and_of_its_size() {
    for algorithm in ["ES256", "ES384", "ES512"] {
        let good = jwk(algorithm);
        let change = |member: &str, value: &str| {
            let mut key = good.clone();
            key[member] = value.into();
            problem(&key)
        };
        let y = good["y"].as_str().unwrap();
        assert!(change("x", y).contains("not on its curve"));
        assert!(change("x", "").contains("has 0 bytes"));
        assert!(change("x", &format!("AQAA{y}")).contains("bytes, not"));
        assert!(change("x", &format!("AAAA{y}")).contains("not on its curve"));
        assert!(change("crv", "P-192").contains("is not supported"));
        for other in ["P-256", "P-384", "P-521"] {
            if good["crv"] != other {
                let error = change("crv", other);
                let refused = ["bytes, not", "not on its curve"];
                assert!(refused.iter().any(|why| error.contains(why)), "{error}");
            }
        }
        let size = data_encoding::BASE64URL_NOPAD
            .decode(y.as_bytes())
            .unwrap()
            .len();
        let zero = encode(vec![0; size]);
        let infinity = json!({ "kty": "EC", "crv": good["crv"], "x": zero, "y": zero });
        assert!(problem(&infinity).contains("not on its curve"));
        let key = json!({ "kty": "EC", "crv": good["crv"], "x": good["x"] });
        assert!(problem(&key).contains("it has no `y`"));
    }
    let short = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode([1; 31]) });
    assert!(problem(&short).contains("has 31 bytes, not 32"));
}

/// Some issuers write a sign byte, or leave out required zeros: it is the same number.
#[test]
fn numbers_with_other_zeros_are_used_and_warned_of() {
    let decode = |text: &str| {
        data_encoding::BASE64URL_NOPAD
            .decode(text.as_bytes())
            .unwrap()
    };
    let padded = |value: &Value| encode([vec![0; 2], decode(value.as_str().unwrap())].concat());
    for (algorithm, names, length) in [
        ("RS256", ["n", "e"], None),
        ("ES256", ["x", "y"], Some(32)),
        ("ES384", ["x", "y"], Some(48)),
        ("ES512", ["x", "y"], Some(66)),
    ] {
        let good = jwk(algorithm);
        for name in names {
            let mut key = good.clone();
            key[name] = padded(&good[name]).into();
            let set = from([key]);
            let wrong = match length {
                None => format!("`{name}` begins with a zero (RFC 7518, section 2)"),
                Some(length) => format!(
                    "`{name}` has {} bytes, not {length} (RFC 7518, section 6.2.1.2)",
                    length + 2
                ),
            };
            assert_eq!(
                set.warnings(),
                [format!(
                    "key 1 is used, though {wrong}: the number is the same"
                )]
            );
            let kind = super::super::algorithm::Algorithm::named(algorithm).unwrap();
            let verifies = |set: &KeySet| set.keys[0].verifier(kind).is_some();
            assert!(verifies(&set) && verifies(&from([good.clone()])));
        }
    }
}

#[test]
fn the_use_of_a_key_is_honoured() {
    for algorithm in ALGORITHMS {
        for (members, usable) in [
            (json!({ "use": "sig" }), true),
            (json!({ "use": "enc" }), false),
            (json!({ "use": "SIG" }), false),
            (json!({ "use": ["sig"] }), false),
            (json!({ "key_ops": ["verify"] }), true),
            (json!({ "key_ops": ["sign", "verify"] }), true),
            (json!({ "key_ops": ["sign"] }), false),
            (json!({ "key_ops": [] }), false),
            (json!({ "key_ops": "verify" }), false),
            (json!({ "use": "sig", "key_ops": ["encrypt"] }), false),
            (json!({ "use": "enc", "key_ops": ["verify"] }), false),
            (json!({ "alg": algorithm }), true),
            (json!({ "alg": "RSA-OAEP" }), false),
            (json!({ "alg": 7 }), false),
            (json!({ "kid": 7 }), false),
            (json!({ "kid": "x".repeat(KEY_ID_BYTES_MAX) }), true),
            (json!({ "kid": "x".repeat(KEY_ID_BYTES_MAX + 1) }), false),
            (json!({ "kty": ["oct"] }), false),
            (json!({ "x5c": 7, "x5t": "?", "exp": 1 }), true),
        ] {
            let mut key = jwk(algorithm);
            for (name, value) in members.as_object().unwrap() {
                key[name] = value.clone();
            }
            assert_eq!(
                KeySet::from_json(&key).is_ok(),
                usable,
                "{algorithm} {members}"
            );
        }
    }
}

#[test]
fn a_private_key_is_used_and_warned_of() {
    let mut key = jwk("ES256");
    key["d"] = encode([9; 32]).into();
    key["kid"] = "mine".into();
    let set = from([key]);
    assert_eq!(
        set.warnings(),
        [
            "key 1 (\"mine\") has its private part `d` with it, which nobody who only verifies should \
          hold"
        ]
    );
}

#[test]
fn sets_are_bounded() {
    let keys = |count| Value::Array(vec![jwk("EdDSA"); count]);
    assert_eq!(
        KeySet::from_json(&keys(KEY_SET_KEYS_MAX)).unwrap().usable(),
        KEY_SET_KEYS_MAX
    );
    let error = problem(&keys(KEY_SET_KEYS_MAX + 1));
    assert_eq!(error, "it has 101 keys; at most 100 are read");
    let mut text = jwk("EdDSA").to_string().into_bytes();
    text.resize(KEY_SET_BYTES_MAX, b' ');
    assert!(KeySet::parse(&text).is_ok());
    text.push(b' ');
    let error = KeySet::parse(&text).unwrap_err();
    assert_eq!(error, "it has more than 1048576 bytes");
    let deep = [b"[".repeat(500_000), b"]".repeat(500_000)].concat();
    assert!(KeySet::parse(&deep).unwrap_err().contains("is not JSON"));
}

#[test]
fn key_material_is_in_no_message() {
    const MATERIAL: &str = "hunter2hunter2";
    for member in ["k", "n", "e", "x", "y", "crv?", "use", "key_ops"] {
        for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
            let mut key = jwk(algorithm);
            key[member] = MATERIAL.into();
            let (said, debug) = match KeySet::from_json(&json!([key, jwk("ES384")])) {
                Ok(set) => (set.warnings().join(" "), format!("{set:?}")),
                Err(error) => (error, String::new()),
            };
            assert!(
                !said.contains(MATERIAL) && !debug.contains(MATERIAL),
                "{said} {debug}"
            );
        }
    }
    // A secret pasted where JSON belongs.
    let error = KeySet::parse(MATERIAL.as_bytes()).unwrap_err();
    assert!(!error.contains(MATERIAL), "{error}");
    let mut key = jwk("HS256");
    key["kid"] = "mine".into();
    assert_eq!(
        format!("{:?}", from([key, jwk("RS256")])),
        "[Some(\"mine\"), None]"
    );
}
