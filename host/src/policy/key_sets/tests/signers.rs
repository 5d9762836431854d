//! Keys of every kind, made for a test run, and tokens signed with them.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
    RsaSignatureEncoding, RsaSubjectPublicKey,
};
use serde_json::{Value, json};

use super::encode;

/// One for each `alg`.
pub const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "ES512", "EdDSA",
];

pub const SECRET: [u8; 64] = *b"sixty-four bytes that nobody will ever guess, as they are a test";

pub static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static ED25519: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());
static EC: LazyLock<[EcdsaKeyPair; 3]> = LazyLock::new(|| {
    [
        &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    ]
    .map(|algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap())
});

pub fn ec(algorithm: &str) -> &'static EcdsaKeyPair {
    &EC[match algorithm {
        "ES256" => 0,
        "ES384" => 1,
        _ => 2,
    }]
}

pub fn modulus(key: &RsaSubjectPublicKey) -> Vec<u8> {
    // RSAPublicKey of 2048 bits: two headers, a zero that keeps the number positive, the number, and
    // behind it the exponent 65537.
    key.as_ref()[9..9 + 256].to_vec()
}

/// The public key for this algorithm, which it does not name.
pub fn jwk(algorithm: &str) -> Value {
    match algorithm {
        "HS256" | "HS384" | "HS512" => json!({ "kty": "oct", "k": encode(SECRET) }),
        "ES256" | "ES384" | "ES512" => {
            let point = ec(algorithm).public_key().as_ref();
            let (x, y) = point[1..].split_at(point.len() / 2);
            let curve = match algorithm {
                "ES256" => "P-256",
                "ES384" => "P-384",
                _ => "P-521",
            };
            json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
        }
        "EdDSA" => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(ED25519.public_key()) })
        }
        _ => json!({ "kty": "RSA", "n": encode(modulus(RSA.public_key())), "e": "AQAB" }),
    }
}

/// The public key for this algorithm, as SubjectPublicKeyInfo.
pub fn public_key_info(algorithm: &str) -> Vec<u8> {
    let key = match algorithm {
        "ES256" | "ES384" | "ES512" => ec(algorithm).public_key().as_der(),
        "EdDSA" => ED25519.public_key().as_der(),
        _ => RSA.public_key().as_der(),
    };
    key.unwrap().as_ref().to_vec()
}

pub fn sign(algorithm: &str, message: &[u8]) -> Vec<u8> {
    let mac = |algorithm, key: &[u8]| hmac::sign(&hmac::Key::new(algorithm, key), message);
    let rsa = |encoding: &'static RsaSignatureEncoding| {
        let mut signature = vec![0; 256];
        RSA.sign(encoding, &SystemRandom::new(), message, &mut signature)
            .unwrap();
        signature
    };
    match algorithm {
        "HS256" => mac(hmac::HMAC_SHA256, &SECRET).as_ref().to_vec(),
        "HS384" => mac(hmac::HMAC_SHA384, &SECRET).as_ref().to_vec(),
        "HS512" => mac(hmac::HMAC_SHA512, &SECRET).as_ref().to_vec(),
        "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
        "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
        "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
        "PS256" => rsa(&signature::RSA_PSS_SHA256),
        "PS384" => rsa(&signature::RSA_PSS_SHA384),
        "PS512" => rsa(&signature::RSA_PSS_SHA512),
        "EdDSA" => ED25519.sign(message).as_ref().to_vec(),
        _ => ec(algorithm)
            .sign(&SystemRandom::new(), message)
            .unwrap()
            .as_ref()
            .to_vec(),
    }
}

/// Signed as its algorithm says, whatever the header says.
pub fn token(algorithm: &str, header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(sign(algorithm, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A token without a `kid`.
pub fn plain(algorithm: &str) -> String {
    token(algorithm, &json!({ "alg": algorithm }).to_string(), "{}")
}
