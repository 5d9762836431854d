mod forgeries;
mod keys;
mod mutations;
mod raw;
mod refresh;
mod signers;
mod tokens;
mod vectors;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::jws::{Refusal, verify as verify_jws};
use super::{KeySet, Verified};

fn set(keys: &str) -> KeySet {
    KeySet::parse(keys.as_bytes()).unwrap()
}

fn from(keys: impl IntoIterator<Item = Value>) -> KeySet {
    KeySet::from_json(&Value::Array(keys.into_iter().collect())).unwrap()
}

/// Why the token is refused. A refusal shows no more of a token than `alg` and `kid`.
fn refusal(token: &str, set: &KeySet) -> Refusal {
    let refusal = match verify_jws(token, set) {
        Ok(Verified { header, .. }) => panic!("{token} was verified, with {header}"),
        Err(refusal) => refusal,
    };
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!refusal.reason.contains(part), "{}", refusal.reason);
    }
    refusal
}

fn refused(token: &str, set: &KeySet, because: &str) {
    let reason = refusal(token, set).reason;
    assert!(reason.contains(because), "{reason:?} lacks {because:?}");
}

fn encode(part: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(part.as_ref())
}

/// The key with these members added.
fn with(mut key: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}
