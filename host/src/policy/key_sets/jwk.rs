//! Key sets: JSON Web Keys (RFC 7517; RFC 7518, section 6; RFC 8037, section 2) made ready to verify.
//!
//! A key that cannot be used is left out with a warning, as RFC 7517, section 5, advises: issuers publish
//! keys of newer kinds, and keys for encryption, beside those that are needed here. Warnings name the place,
//! never a key's content.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Curve, Hash, Verifier};
use super::json;
use super::name::shown;
use crate::limits::key_sets::{KEY_ID_BYTES_MAX, KEY_SET_BYTES_MAX, KEY_SET_KEYS_MAX};

/// The keys of one set, of which there is at least one.
pub struct KeySet {
    pub(super) keys: Vec<Key>,
    warnings: Vec<String>,
}

pub(super) struct Key {
    pub id: Option<String>,
    /// One for each algorithm that the key may be used with.
    verifiers: Vec<(Algorithm, Verifier)>,
}

impl Key {
    pub fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        let found = self.verifiers.iter().find(|(own, _)| *own == algorithm);
        found.map(|(_, verifier)| verifier)
    }
}

/// Shows no key material.
impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| key.id.as_deref()))
            .finish()
    }
}

impl KeySet {
    /// Reads a JWK Set, a list of JWKs, or one JWK.
    ///
    /// # Errors
    /// In words for the operator, if there is no usable key.
    pub fn parse(text: &[u8]) -> Result<KeySet, String> {
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(format!("it has more than {KEY_SET_BYTES_MAX} bytes"));
        }
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let value = json::parse(text).map_err(|error| format!("it is not JSON: {error}"))?;
        KeySet::from_json(&value)
    }

    /// As [`KeySet::parse`], from parsed JSON.
    ///
    /// # Errors
    /// In words for the operator, if there is no usable key.
    pub fn from_json(value: &Value) -> Result<KeySet, String> {
        let written = match value {
            Value::Array(keys) => keys.as_slice(),
            Value::Object(members) => match members.get("keys") {
                Some(Value::Array(keys)) => keys.as_slice(),
                Some(_) => return Err("`keys` is not a list (RFC 7517, section 5.1)".into()),
                None if members.contains_key("kty") => std::slice::from_ref(value),
                None => return Err("it has neither `keys` (a set) nor `kty` (one key)".into()),
            },
            _ => return Err("it is neither a JWK Set nor a JWK (RFC 7517)".into()),
        };
        if written.len() > KEY_SET_KEYS_MAX {
            return Err(format!(
                "it has {} keys; at most {KEY_SET_KEYS_MAX} are read",
                written.len()
            ));
        }
        let mut set = KeySet {
            keys: Vec::new(),
            warnings: Vec::new(),
        };
        for (number, key) in (1..).zip(written) {
            set.add(number, key);
        }
        if set.keys.is_empty() {
            let mut problem = String::from("it has no key that can be used");
            for warning in &set.warnings {
                problem.push_str("; ");
                problem.push_str(warning);
            }
            return Err(problem);
        }
        Ok(set)
    }

    fn add(&mut self, number: usize, written: &Value) {
        let name = match written.get("kid") {
            Some(Value::String(id)) => format!("key {number} ({})", shown(id)),
            _ => format!("key {number}"),
        };
        match read(written) {
            Ok(key) => {
                if written.get("kty").is_some_and(|kind| kind != "oct")
                    && written.get("d").is_some()
                {
                    self.warnings.push(format!(
                        "{name} has its private part `d` with it, which nobody who only verifies \
                         should hold"
                    ));
                }
                for oddity in oddities(written) {
                    self.warnings.push(format!(
                        "{name} is used, though {oddity}: the number is the same"
                    ));
                }
                self.keys.push(key);
            }
            Err(why) => self.warnings.push(format!("{name} is not used: {why}")),
        }
    }

    /// Returns warnings for the operator: keys that are not used, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the number of usable keys.
    pub fn usable(&self) -> usize {
        self.keys.len()
    }
}

fn read(written: &Value) -> Result<Key, String> {
    let members = written.as_object().ok_or("it is not an object")?;
    let id = text(members, "kid")?;
    if id.is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
        return Err(format!("`kid` has more than {KEY_ID_BYTES_MAX} bytes"));
    }
    check_use(members)?;
    let kind = text(members, "kty")?.ok_or("it has no `kty`")?;
    let algorithm = match text(members, "alg")? {
        Some(name) => Some(
            Algorithm::named(name)
                .ok_or_else(|| format!("the algorithm {} is not supported", shown(name)))?,
        ),
        None => None,
    };
    // RFC 8725, section 3.1: a key is used with the algorithm that it names; a key that names none, with
    // those of its kind.
    let fits = |possible: Algorithm| algorithm.is_none_or(|named| named == possible);
    let verifiers = match kind {
        "RSA" => rsa(members, fits)?,
        "EC" => ec(members, fits)?,
        "OKP" => okp(members, fits)?,
        "oct" => oct(members, fits)?,
        other => return Err(format!("its kind {} is not supported", shown(other))),
    };
    if verifiers.is_empty() {
        return Err("`alg` does not fit its kind".into());
    }
    Ok(Key {
        id: id.map(str::to_owned),
        verifiers,
    })
}

/// Checks `use` and `key_ops`. RFC 7517, sections 4.2 and 4.3: if both are present, they must agree.
fn check_use(members: &Map<String, Value>) -> Result<(), String> {
    match text(members, "use")? {
        None | Some("sig") => {}
        Some(_) => return Err("its `use` is not `sig`".into()),
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|one| one == "verify") => Ok(()),
        Some(_) => Err("its `key_ops` do not list `verify`".into()),
    }
}

type Verifiers = Vec<(Algorithm, Verifier)>;

/// RFC 7518, section 6.3.1.
fn rsa(
    members: &Map<String, Value>,
    fits: impl Fn(Algorithm) -> bool,
) -> Result<Verifiers, String> {
    let [n, e] = [number(members, "n")?, number(members, "e")?];
    // Through DER, since only parsing a key from DER checks its numbers.
    let key: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }
        .as_der()
        .map_err(|_| "`n` and `e` are not a key of RSA")?;
    let mut verifiers = Verifiers::new();
    for algorithm in Hash::ALL
        .map(Algorithm::RsaPkcs1)
        .into_iter()
        .chain(Hash::ALL.map(Algorithm::RsaPss))
        .filter(|algorithm| fits(*algorithm))
    {
        verifiers.push((algorithm, Verifier::public(algorithm, key.as_ref())?));
    }
    Ok(verifiers)
}

/// RFC 7518, section 6.2.1.
fn ec(members: &Map<String, Value>, fits: impl Fn(Algorithm) -> bool) -> Result<Verifiers, String> {
    let name = text(members, "crv")?.ok_or("it has no `crv`")?;
    let curve =
        Curve::named(name).ok_or_else(|| format!("its curve {} is not supported", shown(name)))?;
    let mut point = vec![0x04];
    for coordinate in ["x", "y"] {
        let (written, length) = (octets(members, coordinate)?, curve.coordinate_bytes());
        let zeros = written.iter().take_while(|byte| **byte == 0).count();
        let number = &written[zeros..];
        let Some(missing) = length
            .checked_sub(number.len())
            .filter(|_| !written.is_empty())
        else {
            return Err(format!(
                "`{coordinate}` has {} bytes, not {length} (RFC 7518, section 6.2.1.2)",
                written.len(),
            ));
        };
        point.resize(point.len() + missing, 0);
        point.extend_from_slice(number);
    }
    let algorithm = Algorithm::Ecdsa(curve);
    let verifier = Verifier::ecdsa(curve, &point)?;
    Ok(Vec::from_iter(
        fits(algorithm).then_some((algorithm, verifier)),
    ))
}

/// RFC 8037, section 2.
fn okp(
    members: &Map<String, Value>,
    fits: impl Fn(Algorithm) -> bool,
) -> Result<Verifiers, String> {
    let name = text(members, "crv")?.ok_or("it has no `crv`")?;
    if name != "Ed25519" {
        return Err(format!("its curve {} is not supported", shown(name)));
    }
    let key = octets(members, "x")?;
    if key.len() != 32 {
        return Err(format!("`x` has {} bytes, not 32", key.len()));
    }
    let verifier = Verifier::ed25519(&key)?;
    Ok(Vec::from_iter(
        fits(Algorithm::Ed25519).then_some((Algorithm::Ed25519, verifier)),
    ))
}

/// RFC 7518, section 6.4.1. A key shorter than a hash is not used with it (section 3.2).
fn oct(
    members: &Map<String, Value>,
    fits: impl Fn(Algorithm) -> bool,
) -> Result<Verifiers, String> {
    let key = octets(members, "k")?;
    let hashes = Hash::ALL
        .into_iter()
        .filter(|hash| fits(Algorithm::Hmac(*hash)));
    let Some(least) = hashes.clone().map(Hash::bytes).min() else {
        return Ok(Verifiers::new());
    };
    if key.len() < least {
        return Err(format!(
            "a key of {} bytes is shorter than the hash, {least} (RFC 7518, section 3.2)",
            key.len()
        ));
    }
    Ok(hashes
        .filter(|hash| hash.bytes() <= key.len())
        .map(|hash| (Algorithm::Hmac(hash), Verifier::mac(hash, &key)))
        .collect())
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is not a string")),
    }
}

fn octets(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(members, name)?.ok_or_else(|| format!("it has no `{name}`"))?;
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| format!("`{name}` is not base64url without padding"))
}

/// Returns a Base64urlUInt (RFC 7518, section 2) without leading zeros: some issuers write them, and the
/// number is the same.
fn number(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let bytes = octets(members, name)?;
    match bytes.iter().position(|byte| *byte != 0) {
        None => Err(format!("`{name}` is empty or zero")),
        Some(zeros) => Ok(bytes[zeros..].to_vec()),
    }
}

/// Describes the numbers of a usable key that have leading zeros where RFC 7518 has none (`n` and `e`), or
/// not as many as it has (the coordinates of a curve, section 6.2.1.2).
fn oddities(written: &Value) -> Vec<String> {
    let bytes = |name: &str| {
        let text = written.get(name).and_then(Value::as_str)?;
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()
    };
    let text = |name: &str| {
        written
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut oddities = Vec::new();
    match text("kty") {
        "RSA" => {
            for name in ["n", "e"] {
                if bytes(name).is_some_and(|bytes| bytes.first() == Some(&0)) {
                    oddities.push(format!("`{name}` begins with a zero (RFC 7518, section 2)"));
                }
            }
        }
        "EC" => {
            let length = Curve::named(text("crv")).map(Curve::coordinate_bytes);
            for name in ["x", "y"] {
                let Some(bytes) = bytes(name).filter(|bytes| Some(bytes.len()) != length) else {
                    continue;
                };
                oddities.push(format!(
                    "`{name}` has {} bytes, not {} (RFC 7518, section 6.2.1.2)",
                    bytes.len(),
                    length.unwrap_or_default()
                ));
            }
        }
        _ => {}
    }
    oddities
}
