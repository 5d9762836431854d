//! Signatures, checked against keys that the gateway holds and rotates. Not to be called in
//! `configure`.
//!
//! ```
//! # use tollgate_plugin::{Decision, Reply, Request, Result, signatures};
//! # fn example(request: &Request) -> Result<Decision> {
//! let Some(token) = request.header_text("x-token") else {
//!     return Ok(Decision::deny(Reply::problem(401, "no token")));
//! };
//! let jws = match signatures::verify_jws(&token, "partners") {
//!     Ok(jws) => jws,
//!     // Why stays in the log: it would help whoever forges tokens.
//!     Err(_) => return Ok(Decision::deny(Reply::problem(401, "this token is not valid"))),
//! };
//! let claims: serde_json::Value = jws.claims()?;
//! # Ok(Decision::allow(claims["sub"].as_str().unwrap_or_default()))
//! # }
//! ```

use serde_json::Value;

use super::backing::signatures;
use crate::{Error, Result};

/// A token whose signature is good. What it says (when it ends, for whom it is) is for the plugin to
/// check.
#[derive(Debug, Clone, PartialEq)]
pub struct Jws {
    /// The protected header.
    pub header: Value,
    pub payload: Vec<u8>,
}

impl Jws {
    /// The payload, read as JSON.
    ///
    /// # Errors
    /// If it is not JSON, or not a `T`.
    pub fn claims<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.payload)?)
    }
}

/// Why a token was not accepted: for the log, not for the client.
///
/// A bad token is a client's doing, not a fault of the plugin, so `?` does not take it in a hook:
/// match on it, and deny.
#[derive(Clone, PartialEq, Eq)]
pub struct NotVerified(String);

impl std::fmt::Display for NotVerified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for NotVerified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Verifies a JWS in compact form (RFC 7515) against the key set of this name in the gateway's
/// configuration. The algorithm must be one that the key allows; `none` never is.
///
/// # Errors
/// If the token is malformed, no key of the set fits, or the signature is not good.
pub fn verify_jws(token: &str, key_set: &str) -> Result<Jws, NotVerified> {
    let (header, payload) = signatures::verify_jws(token, key_set).map_err(NotVerified)?;
    let header = serde_json::from_str(&header)
        .map_err(|error| NotVerified(format!("the protected header is not JSON: {error}")))?;
    Ok(Jws { header, payload })
}

/// Whether a raw signature is good. The algorithm is a JWA name (RFC 7518, section 3.1, or `EdDSA`),
/// the public key a SubjectPublicKeyInfo in DER (RFC 5280).
///
/// # Errors
/// If the algorithm is not known, or the key is none of it. A signature that is not good is
/// `Ok(false)`.
pub fn verify(
    algorithm: &str,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool> {
    signatures::verify(algorithm, public_key, message, signature).map_err(Error::from)
}
