//! Raw signatures.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};

use super::super::verify;
use super::signers::{self, ALGORITHMS, public_key_info, sign};

const MESSAGE: &[u8] = b"message";

#[test]
fn a_signature_verifies_with_its_own_key_message_and_algorithm() {
    for algorithm in ALGORITHMS
        .into_iter()
        .filter(|name| !name.starts_with("HS"))
    {
        let key = public_key_info(algorithm);
        let signature = sign(algorithm, MESSAGE);
        assert_eq!(verify(algorithm, &key, MESSAGE, &signature), Ok(true));
        assert_eq!(verify(algorithm, &key, b"massage", &signature), Ok(false));
        assert_eq!(verify(algorithm, &key, MESSAGE, &signature[1..]), Ok(false));
        assert_eq!(verify(algorithm, &key, MESSAGE, &[]), Ok(false));
        for other in ALGORITHMS.into_iter().filter(|other| *other != algorithm) {
            assert_ne!(verify(other, &key, MESSAGE, &signature), Ok(true));
        }
    }
}

#[test]
fn there_is_no_public_key_for_a_secret() {
    for algorithm in ["HS256", "HS384", "HS512"] {
        let error = verify(algorithm, &public_key_info("RS256"), MESSAGE, &[0; 32]).unwrap_err();
        assert_eq!(error, "the algorithm has no public key");
    }
    for algorithm in ["none", "", "rs256", "ES256K", "Ed448"] {
        let error = verify(algorithm, &public_key_info("RS256"), MESSAGE, &[]).unwrap_err();
        assert!(error.contains("is not supported"), "{error}");
    }
}

#[test]
fn a_key_has_one_encoding() {
    let raw: [(&str, Vec<u8>); 3] = [
        ("RS256", signers::RSA.public_key().as_ref().to_vec()),
        ("ES256", signers::ec("ES256").public_key().as_ref().to_vec()),
        ("EdDSA", public_key_info("EdDSA")[12..].to_vec()),
    ];
    for (algorithm, raw) in raw {
        let signature = sign(algorithm, MESSAGE);
        let key = public_key_info(algorithm);
        let mut wrong = vec![
            raw,
            Vec::new(),
            vec![0x30],
            vec![0x30, 0x80],
            vec![0x30, 0],
            vec![0x30, 0x83, 0, 0, 0],
            vec![0x30; 5000],
            [&key[..], &[0]].concat(),
            key[..key.len() - 1].to_vec(),
        ];
        // Up to where the key itself begins.
        let head = match algorithm {
            "RS256" => 20,
            "ES256" => 27,
            _ => 12,
        };
        for place in 0..head {
            for bit in 0..8 {
                let mut changed = key.clone();
                changed[place] ^= 1 << bit;
                wrong.push(changed);
            }
        }
        for key in wrong {
            assert!(
                verify(algorithm, &key, MESSAGE, &signature).is_err(),
                "{key:02x?}"
            );
        }
    }
}

#[test]
fn small_rsa_keys_are_refused() {
    // A key of 1024 bits: what is 1 in its modulus below its first bit does not matter here.
    let modulus = [[0xff; 127].as_slice(), &[0x01]].concat();
    let components = aws_lc_rs::signature::RsaPublicKeyComponents {
        n: modulus,
        e: vec![1, 0, 1],
    };
    let key = components.as_der().unwrap();
    let error = verify("RS256", key.as_ref(), MESSAGE, &[1; 128]).unwrap_err();
    assert!(error.contains("2048"), "{error}");
    // And 3072 are fine.
    let large = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).unwrap();
    let key = large.public_key().as_der().unwrap();
    assert_eq!(verify("RS256", key.as_ref(), MESSAGE, &[1; 384]), Ok(false));
}
