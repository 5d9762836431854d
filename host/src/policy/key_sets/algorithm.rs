//! The signature algorithms (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864, section 2.2), and
//! a key made ready for one of them.

use crate::limits::key_sets::{PUBLIC_KEY_BYTES_MAX, RSA_BITS};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaSubjectPublicKey,
    VerificationAlgorithm,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Hmac(Hash),
    RsaPkcs1(Hash),
    RsaPss(Hash),
    Ecdsa(Curve),
    Ed25519,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// A curve, with the one hash that RFC 7518, section 3.4, assigns to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl Hash {
    pub const ALL: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

    /// Returns the smallest size of an HMAC key (RFC 7518, section 3.2).
    pub fn bytes(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }
}

impl Algorithm {
    /// Finds an algorithm by its name in `alg`, which is case-sensitive. `none` is not a name.
    pub fn named(name: &str) -> Option<Algorithm> {
        Some(match name {
            "HS256" => Algorithm::Hmac(Hash::Sha256),
            "HS384" => Algorithm::Hmac(Hash::Sha384),
            "HS512" => Algorithm::Hmac(Hash::Sha512),
            "RS256" => Algorithm::RsaPkcs1(Hash::Sha256),
            "RS384" => Algorithm::RsaPkcs1(Hash::Sha384),
            "RS512" => Algorithm::RsaPkcs1(Hash::Sha512),
            "PS256" => Algorithm::RsaPss(Hash::Sha256),
            "PS384" => Algorithm::RsaPss(Hash::Sha384),
            "PS512" => Algorithm::RsaPss(Hash::Sha512),
            "ES256" => Algorithm::Ecdsa(Curve::P256),
            "ES384" => Algorithm::Ecdsa(Curve::P384),
            "ES512" => Algorithm::Ecdsa(Curve::P521),
            // RFC 9864 renames it; Ed448, which the old name also covers, is not supported.
            "EdDSA" | "Ed25519" => Algorithm::Ed25519,
            _ => return None,
        })
    }
}

impl Curve {
    /// Finds a curve by its name in `crv` (RFC 7518, section 6.2.1.1).
    pub fn named(name: &str) -> Option<Curve> {
        match name {
            "P-256" => Some(Curve::P256),
            "P-384" => Some(Curve::P384),
            "P-521" => Some(Curve::P521),
            _ => None,
        }
    }

    pub fn coordinate_bytes(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    fn ecdsa(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// A key made ready for one algorithm.
pub enum Verifier {
    Mac(Box<hmac::Key>),
    Signature(ParsedPublicKey),
}

impl Verifier {
    /// Makes an HMAC verifier. The caller has checked that the key is at least as long as the hash.
    pub fn mac(hash: Hash, key: &[u8]) -> Verifier {
        let algorithm = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        Verifier::Mac(Box::new(hmac::Key::new(algorithm, key)))
    }

    /// Makes an ECDSA verifier from a point in uncompressed form (SEC 1, section 2.3.3).
    pub fn ecdsa(curve: Curve, point: &[u8]) -> Result<Verifier, &'static str> {
        ParsedPublicKey::new(curve.ecdsa(), point)
            .map(Verifier::Signature)
            .map_err(|_| "the point is not on its curve")
    }

    /// Makes an Ed25519 verifier from a key of 32 bytes (RFC 8032, section 5.1.5).
    pub fn ed25519(key: &[u8]) -> Result<Verifier, &'static str> {
        ParsedPublicKey::new(&signature::ED25519, key)
            .map(Verifier::Signature)
            .map_err(|_| "it is not a key of Ed25519")
    }

    /// Makes a verifier from a SubjectPublicKeyInfo in DER.
    pub fn public(algorithm: Algorithm, key: &[u8]) -> Result<Verifier, &'static str> {
        let (head, parameters): (&[u8], &'static dyn VerificationAlgorithm) = match algorithm {
            Algorithm::Hmac(_) => return Err("the algorithm has no public key"),
            Algorithm::Ecdsa(curve) => (curve.info(), curve.ecdsa()),
            Algorithm::Ed25519 => (ED25519_INFO, &signature::ED25519),
            Algorithm::RsaPkcs1(hash) => (RSA_INFO, pkcs1(hash)),
            Algorithm::RsaPss(hash) => (RSA_INFO, pss(hash)),
        };
        if key.len() > PUBLIC_KEY_BYTES_MAX || !is_info_of(key, head) {
            return Err("the public key is not a SubjectPublicKeyInfo of the algorithm");
        }
        if head == RSA_INFO {
            check_rsa(key)?;
        }
        ParsedPublicKey::new(parameters, key)
            .map(Verifier::Signature)
            .map_err(|_| "the public key is not valid")
    }

    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Verifier::Mac(key) => hmac::verify(key, message, signature).is_ok(),
            Verifier::Signature(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn pkcs1(hash: Hash) -> &'static RsaParameters {
    match hash {
        Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn pss(hash: Hash) -> &'static RsaParameters {
    match hash {
        Hash::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
        Hash::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
        Hash::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
    }
}

fn check_rsa(key: &[u8]) -> Result<(), &'static str> {
    // Parsing the key checks exponent and modulus.
    let bits = RsaSubjectPublicKey::from_der(key)
        .ok()
        .and_then(|key| RsaParameters::public_modulus_len(key.as_ref()).ok())
        .ok_or("the numbers are not a key of RSA")?;
    if RSA_BITS.contains(&(bits as usize)) {
        Ok(())
    } else {
        Err("an RSA key needs 2048 to 8192 bits (RFC 7518, section 3.3)")
    }
}

/// The content of an RSA SubjectPublicKeyInfo (RFC 5280, section 4.1) before its key: the algorithm
/// `rsaEncryption` with NULL (RFC 3279, section 2.3.1).
const RSA_INFO: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03";
/// The same for Ed25519 (RFC 8410, section 4).
const ED25519_INFO: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

impl Curve {
    /// Returns the same for ECDSA: `ecPublicKey` with the curve, and a point in uncompressed form (RFC 5480,
    /// sections 2.1.1 and 2.2).
    fn info(self) -> &'static [u8] {
        match self {
            Curve::P256 => {
                b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\
                  \x03\x42\x00\x04"
            }
            Curve::P384 => {
                b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\
                  \x03\x62\x00\x04"
            }
            Curve::P521 => {
                b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\
                  \x03\x81\x86\x00\x04"
            }
        }
    }
}

/// Whether `der` is the one form that the contract names: a sequence that fills all of the bytes, with this
/// head. The library also reads other encodings and other algorithms' names, and does not look at what
/// follows.
fn is_info_of(der: &[u8], head: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    let (length, content) = match der {
        [SEQUENCE, 0x81, length, content @ ..] => (usize::from(*length), content),
        [SEQUENCE, 0x82, high, low, content @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), content)
        }
        [SEQUENCE, length @ 0..=0x7f, content @ ..] => (usize::from(*length), content),
        _ => return false,
    };
    content.len() == length && content.starts_with(head)
}

/// Verifies a raw signature. The algorithm is a JWA name, the public key a SubjectPublicKeyInfo in DER (a curve's
/// point in uncompressed form), and the signature has JWA's form: for ECDSA its two numbers at full length (RFC 7518,
/// section 3.4).
///
/// # Errors
/// Says which is unusable: the algorithm or the key.
pub fn verify(
    algorithm: &str,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    let Some(known) = Algorithm::named(algorithm) else {
        return Err(format!(
            "the algorithm {} is not supported",
            super::name::shown(algorithm)
        ));
    };
    let verifier = Verifier::public(known, public_key)?;
    Ok(verifier.verifies(message, signature))
}
