//! Tokens in compact form (RFC 7515) that the stand-in for key sets accepts.

use serde_json::Value;

use super::host::crypto;
use crate::signatures::Jws;

/// Makes a token that [`signatures::verify_jws`](crate::signatures::verify_jws) accepts against the
/// key set of this name, and against no other. What its header says of the algorithm and the key is
/// not looked at, only that `alg` is there and is not `none`.
///
/// ```
/// use serde_json::json;
/// use tollgate_plugin::{signatures, testing};
///
/// let token = testing::token(
///     "partners",
///     &json!({ "alg": "RS256", "kid": "2024" }),
///     &json!({ "sub": "alice", "exp": 1_700_000_000 }),
/// );
/// let jws = signatures::verify_jws(&token, "partners").unwrap();
/// assert_eq!(jws.header["kid"], "2024");
/// assert_eq!(jws.claims::<serde_json::Value>().unwrap()["sub"], "alice");
///
/// assert!(signatures::verify_jws(&token, "others").is_err());
/// assert!(signatures::verify_jws(&format!("{token}AA"), "partners").is_err());
/// ```
#[must_use]
pub fn token(key_set: &str, header: &Value, claims: &Value) -> String {
    let header = encode(header.to_string().as_bytes());
    let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
    let signature = encode(&signature(key_set, &signed));
    format!("{signed}.{signature}")
}

fn signature(key_set: &str, signed: &str) -> Vec<u8> {
    crypto::hmac_sha256(key_set.as_bytes(), signed.as_bytes())
}

pub fn verify(token: &str, key_set: &str) -> Result<Jws, String> {
    let malformed = || "it is not three parts in base64url with dots between".to_owned();
    let (signed, shown) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
    let header = decode(header).ok_or_else(malformed)?;
    let payload = decode(payload).ok_or_else(malformed)?;
    let shown = decode(shown).ok_or_else(malformed)?;
    let header: Value = serde_json::from_slice(&header).map_err(|error| error.to_string())?;
    match header["alg"].as_str() {
        None | Some("none") => return Err("it names no algorithm".into()),
        Some(_) => {}
    }
    if shown != signature(key_set, signed) {
        return Err(format!("no key of `{key_set}` made its signature"));
    }
    Ok(Jws { header, payload })
}

/// The alphabet of RFC 4648, section 5.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for digit in 0..=group.len() {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

/// Strict: no padding, and no bits beyond the last byte.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for (digit, byte) in group.iter().enumerate() {
            let value = ALPHABET.iter().position(|other| other == byte)?;
            bits |= (value as u32) << (18 - 6 * digit);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    /// The vectors of RFC 4648, section 10, without padding.
    #[test]
    fn base64url_as_the_rfc_has_it() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
        for text in ["Z", "Zh", "Zg==", "Zm+v", "Zm9vZ"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
