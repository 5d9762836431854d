//! JSON Web Signatures in compact form (RFC 7515, sections 3.1 and 5.2), with RFC 8725's advice: the key says
//! which algorithms it is for, and the header cannot supply another key.

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::algorithm::{Algorithm, Verifier};
use super::json;
use super::jwk::{Key, KeySet};
use super::name::shown;
use crate::limits::key_sets::{JWS_BYTES_MAX, KEYS_TRIED_MAX};

/// A verified JWS.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// The protected header, as the JSON text that was signed. No object in it names a member twice.
    pub header: String,
    pub payload: Vec<u8>,
}

/// Why a token is not accepted, for the log. It shows at most the token's `alg` and `kid`.
#[derive(Debug)]
pub struct Refusal {
    pub reason: String,
    /// The token names a key that the set does not have: a newer set may.
    pub unknown_key: bool,
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(reason: T) -> Self {
        Refusal {
            reason: reason.into(),
            unknown_key: false,
        }
    }
}

/// The header members that matter here.
struct Header {
    /// As text, and parsed.
    algorithm: (String, Algorithm),
    key_id: Option<String>,
}

/// Verifies a JWS in compact form.
///
/// # Errors
/// If it is not one, or no key of the set verifies it.
pub fn verify(token: &str, set: &KeySet) -> Result<Verified, Refusal> {
    if token.len() > JWS_BYTES_MAX {
        return Err(format!("the token has more than {JWS_BYTES_MAX} bytes").into());
    }
    // The signature covers everything before the last dot.
    let parts = token.rsplit_once('.').and_then(|(signed, signature)| {
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some((signed, header, payload, signature))
    });
    let (signed, header, payload, signature) = parts.ok_or("the token is not three parts")?;
    let text = String::from_utf8(octets(header, "header")?)
        .map_err(|_| "the token's header is not UTF-8")?;
    let header = Header::parse(&text)?;
    let signature = octets(signature, "signature")?;

    let candidates = candidates(set, &header)?;
    let mut tried = candidates.iter().take(KEYS_TRIED_MAX);
    if !tried.any(|verifier| verifier.verifies(signed.as_bytes(), &signature)) {
        let note = if candidates.len() > KEYS_TRIED_MAX {
            format!(
                "; of {} keys only {KEYS_TRIED_MAX} were tried",
                candidates.len()
            )
        } else {
            String::new()
        };
        return Err(format!("the signature is wrong: {header}{note}").into());
    }
    Ok(Verified {
        payload: octets(payload, "payload")?,
        header: text,
    })
}

/// Returns the keys to try: those that the token names, if it names one and the set's keys have names; of
/// these, the ones that allow its algorithm.
fn candidates<'a>(set: &'a KeySet, header: &Header) -> Result<Vec<&'a Verifier>, Refusal> {
    let wanted = header
        .key_id
        .as_deref()
        .filter(|_| set.keys.iter().any(|key| key.id.is_some()));
    let named = |key: &&Key| wanted.is_none_or(|id| key.id.as_deref() == Some(id));
    if wanted.is_some() && !set.keys.iter().any(|key| named(&key)) {
        return Err(Refusal {
            reason: format!("no key of the set has the token's `kid`: {header}"),
            unknown_key: true,
        });
    }
    let algorithm = header.algorithm.1;
    let allowed: Vec<_> = set
        .keys
        .iter()
        .filter(named)
        .filter_map(|key| key.verifier(algorithm))
        .collect();
    if allowed.is_empty() {
        return Err(format!("no key of the set is for {header}").into());
    }
    Ok(allowed)
}

impl Header {
    fn parse(text: &str) -> Result<Header, Refusal> {
        let value = json::parse(text.as_bytes())
            .map_err(|error| format!("the token's header is not JSON: {error}"))?;
        let Value::Object(members) = &value else {
            return Err("the token's header is not an object".into());
        };
        let name = match members.get("alg") {
            Some(Value::String(name)) => name,
            Some(_) => return Err("the token's `alg` is not a string".into()),
            None => return Err("the token has no `alg`".into()),
        };
        let algorithm = Algorithm::named(name)
            .ok_or_else(|| format!("the token's algorithm {} is not supported", shown(name)))?;
        // RFC 7515, section 4.1.11: a verifier that does not understand a critical extension must refuse.
        if members.contains_key("crit") {
            return Err("the token has a `crit`, and no extension is supported".into());
        }
        // RFC 7797 wants it listed in `crit`; a verifier that overlooks it reads another payload.
        if members.get("b64").is_some_and(|value| value != true) {
            return Err(
                "the token's payload is not encoded (`b64`), which is not supported".into(),
            );
        }
        let key_id = match members.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err("the token's `kid` is not a string".into()),
        };
        Ok(Header {
            algorithm: (name.clone(), algorithm),
            key_id,
        })
    }
}

impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`alg` {}", shown(&self.algorithm.0))?;
        match &self.key_id {
            Some(id) => write!(f, ", `kid` {}", shown(id)),
            None => f.write_str(", no `kid`"),
        }
    }
}

/// Decodes strictly: each value has one encoding, so that no second token shares a first one's signature.
fn octets(part: &str, name: &str) -> Result<Vec<u8>, String> {
    BASE64URL_NOPAD
        .decode(part.as_bytes())
        .map_err(|_| format!("the token's {name} is not base64url without padding"))
}
