//! The signature algorithms (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864, section 2.2), and
//! a key made ready for one of them.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaSubjectPublicKey,
    VerificationAlgorithm,
};

// Bounds.

/// Modulus of an RSA key, in bits. The least is RFC 7518's (sections 3.3 and 3.5); verifying with more
/// than the most takes milliseconds, and the library refuses it.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// A public key in DER, in bytes: the largest RSA key has some 1,100, and an exponent of its own size
/// would double that.
pub const PUBLIC_KEY_BYTES_MAX: usize = 4 << 10;

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

/// Each with the one hash that RFC 7518, section 3.4, gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl Hash {
    pub const ALL: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

    /// The least size of an HMAC key (RFC 7518, section 3.2).
    pub fn bytes(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }
}

impl Algorithm {
    /// By its name in `alg`, which is case-sensitive. `none` is not a name.
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
            // RFC 9864 renames it; Ed448, which the old name also covered, nothing here supports.
            "EdDSA" | "Ed25519" => Algorithm::Ed25519,
            _ => return None,
        })
    }
}

impl Curve {
    /// By its name in `crv` (RFC 7518, section 6.2.1.1).
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
    /// The key must be at least as long as the hash, which the caller has checked.
    pub fn mac(hash: Hash, key: &[u8]) -> Verifier {
        let algorithm = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        Verifier::Mac(Box::new(hmac::Key::new(algorithm, key)))
    }

    /// The key is a point in uncompressed form (SEC 1, section 2.3.3).
    pub fn ecdsa(curve: Curve, point: &[u8]) -> Result<Verifier, &'static str> {
        ParsedPublicKey::new(curve.ecdsa(), point)
            .map(Verifier::Signature)
            .map_err(|_| "the point is not on its curve")
    }

    /// The key is 32 bytes (RFC 8032, section 5.1.5).
    pub fn ed25519(key: &[u8]) -> Result<Verifier, &'static str> {
        ParsedPublicKey::new(&signature::ED25519, key)
            .map(Verifier::Signature)
            .map_err(|_| "it is not a key of Ed25519")
    }

    /// The key is a SubjectPublicKeyInfo in DER.
    pub fn public(algorithm: Algorithm, key: &[u8]) -> Result<Verifier, &'static str> {
        if key.len() > PUBLIC_KEY_BYTES_MAX || !is_public_key_info(key) {
            return Err("the public key is not a SubjectPublicKeyInfo in DER");
        }
        let parameters: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Hmac(_) => return Err("the algorithm has no public key"),
            Algorithm::Ecdsa(curve) => curve.ecdsa(),
            Algorithm::Ed25519 => &signature::ED25519,
            Algorithm::RsaPkcs1(hash) => {
                check_rsa(key)?;
                pkcs1(hash)
            }
            Algorithm::RsaPss(hash) => {
                check_rsa(key)?;
                pss(hash)
            }
        };
        ParsedPublicKey::new(parameters, key)
            .map(Verifier::Signature)
            .map_err(|_| "the public key is not one of the algorithm, or not valid")
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
    // Reading it is what checks exponent and modulus.
    let bits = RsaSubjectPublicKey::from_der(key)
        .ok()
        .and_then(|key| RsaParameters::public_modulus_len(key.as_ref()).ok())
        .ok_or("the public key is not one of RSA, or not valid")?;
    if RSA_BITS.contains(&(bits as usize)) {
        Ok(())
    } else {
        Err("an RSA key needs 2048 to 8192 bits (RFC 7518, section 3.3)")
    }
}

/// The library reads a key in any of several encodings, and nothing behind it. The contract names one:
/// a sequence that fills all of the bytes and begins with another (RFC 5280, section 4.1).
fn is_public_key_info(der: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    let (length, content) = match der {
        [SEQUENCE, 0x81, length, content @ ..] => (usize::from(*length), content),
        [SEQUENCE, 0x82, high, low, content @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), content)
        }
        [SEQUENCE, length @ 0..=0x7f, content @ ..] => (usize::from(*length), content),
        _ => return false,
    };
    content.len() == length && content.first() == Some(&SEQUENCE)
}

/// Verifies a raw signature. The algorithm is a JWA name, the public key a SubjectPublicKeyInfo in DER,
/// and the signature has JWA's form: ECDSA's is its two numbers at full length (RFC 7518, section 3.4).
///
/// # Errors
/// Says what cannot be used: the algorithm or the key.
pub fn verify(
    algorithm: &str,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool, String> {
    let Some(known) = Algorithm::named(algorithm) else {
        return Err(format!(
            "the algorithm {} is not supported",
            super::shown(algorithm)
        ));
    };
    let verifier = Verifier::public(known, public_key)?;
    Ok(verifier.verifies(message, signature))
}
