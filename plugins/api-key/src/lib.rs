//! Admits callers that show a known API key. README.md says how it is configured.
//!
//! Texts for the operator name places, never what stands there: somebody who writes a key where its
//! hash belongs must not find the key in a log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tollgate_plugin::{
    Authorizer, Decision, Grant, Plugin, Reply, Request, Result, crypto, export, secrets,
};

/// Longer keys are unknown without being hashed; a key that people use has some 20 to 100 bytes.
const KEY_BYTES_MAX: usize = 512;

// The schema says nothing of how a hash looks: a validator's message would quote what does not fit.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// The header field that carries the key. Default `x-api-key`, unless `query` is given.
    header: Option<String>,
    /// The query parameter that carries the key, in place of a header field.
    query: Option<String>,
    /// Who may call, by name.
    #[serde(default)]
    consumers: BTreeMap<String, Consumer>,
    /// The name of a granted secret with more keys: lines `consumer:sha256`.
    secret: Option<String>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Consumer {
    /// The SHA-256 of each of the consumer's keys, as 64 hexadecimal digits.
    sha256: Vec<String>,
    /// What later entries can read of the consumer, for example `{ tier = "gold" }`.
    claims: BTreeMap<String, Value>,
    /// What limits and quotas are counted under, if not the consumer's name.
    usage_key: Option<String>,
}

type Digest = [u8; 32];

struct ApiKey {
    place: Place,
    /// Sorted by digest, each there once; with the index of its consumer in `grants`.
    keys: Vec<(Digest, usize)>,
    grants: Vec<Grant>,
    missing: Reply,
    unknown: Reply,
}

/// Where a request carries the key.
enum Place {
    Header(String),
    Query(String),
}

/// What the configuration and the secret together say.
#[derive(Default)]
struct Book {
    /// Each with its consumer's index, and where it was read.
    keys: BTreeMap<Digest, (usize, String)>,
    consumers: BTreeMap<String, usize>,
    grants: Vec<Grant>,
}

impl Book {
    fn consumer(&mut self, name: &str) -> usize {
        *self.consumers.entry(name.to_owned()).or_insert_with(|| {
            self.grants.push(Grant {
                principal: name.to_owned(),
                claims: Vec::new(),
                usage_key: None,
            });
            self.grants.len() - 1
        })
    }

    fn add(&mut self, consumer: usize, hash: &str, place: String) -> Result<()> {
        let digest = digest(hash).ok_or_else(|| {
            format!("{place} must be the SHA-256 of a key, 64 hexadecimal digits")
        })?;
        // One consumer's key may be listed twice, as happens while keys move from place to place.
        match self.keys.get(&digest) {
            Some((other, at)) if *other != consumer => {
                Err(format!("{place} and {at} are one key of two consumers").into())
            }
            Some(_) => Ok(()),
            None => {
                self.keys.insert(digest, (consumer, place));
                Ok(())
            }
        }
    }

    fn read_secret(&mut self, name: &str) -> Result<()> {
        let text = secrets::text(name).map_err(|error| format!("`secret`: {error}"))?;
        // Some editors begin a file with a byte order mark, which would become part of a name.
        let text = text.trim_start_matches('\u{feff}');
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("secret `{name}`, line {number},");
            // From the right: a name may have colons, a hash has none.
            let (consumer, hash) = line
                .rsplit_once(':')
                .ok_or_else(|| format!("{place} must be `consumer:sha256`"))?;
            if !is_name(consumer.trim()) {
                return Err(format!("{place} has no consumer's name before the `:`").into());
            }
            let consumer = self.consumer(consumer.trim());
            self.add(consumer, hash.trim(), place)?;
        }
        Ok(())
    }
}

/// Names become log fields and header values.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.contains(char::is_control)
}

fn digest(hex: &str) -> Option<Digest> {
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

impl Plugin for ApiKey {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let place = Place::new(config.header, config.query)?;
        let mut book = Book::default();
        for (name, consumer) in config.consumers {
            if !is_name(&name) {
                let rule = "a name is not empty, without control characters or blanks around it";
                return Err(format!("consumers.{name:?}: {rule}").into());
            }
            let index = book.consumer(&name);
            for (number, hash) in consumer.sha256.iter().enumerate() {
                book.add(index, hash, format!("consumers.{name:?}.sha256[{number}]"))?;
            }
            book.grants[index].claims = consumer.claims.into_iter().collect();
            book.grants[index].usage_key = consumer.usage_key;
        }
        if let Some(name) = &config.secret {
            book.read_secret(name)?;
        }
        if book.keys.is_empty() {
            return Err("there is no key: list some in `consumers`, or in a `secret`".into());
        }
        let used: BTreeSet<usize> = book.keys.values().map(|(consumer, _)| *consumer).collect();
        for (index, grant) in book.grants.iter().enumerate() {
            if !used.contains(&index) {
                return Err(format!("consumers.{:?} has no key", grant.principal).into());
            }
        }

        let refuse = |detail: &str| {
            Reply::problem(401, detail).header("www-authenticate", "ApiKey realm=\"tollgate\"")
        };
        let missing = match &place {
            Place::Header(name) => format!("the header field `{name}`"),
            Place::Query(name) => format!("the query parameter `{name}`"),
        };
        Ok(ApiKey {
            place,
            keys: book
                .keys
                .into_iter()
                .map(|(digest, (consumer, _))| (digest, consumer))
                .collect(),
            grants: book.grants,
            missing: refuse(&format!("exactly one API key is needed, in {missing}")),
            unknown: refuse("this API key is not known"),
        })
    }
}

impl Authorizer for ApiKey {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let Some(key) = self.place.key(request) else {
            return Ok(Decision::deny(self.missing.clone()));
        };
        match self.find(&key) {
            Some(grant) => Ok(grant.clone().into()),
            None => Ok(Decision::deny(self.unknown.clone())),
        }
    }
}

export!(ApiKey: Authorizer);

impl Place {
    fn new(header: Option<String>, query: Option<String>) -> Result<Place> {
        let header = match (header, query) {
            (Some(_), Some(_)) => {
                return Err("`header` and `query` are both given: a key has one place".into());
            }
            (None, Some(name)) if name.is_empty() => return Err("`query` is empty".into()),
            (None, Some(name)) => return Ok(Place::Query(name)),
            (header, None) => header.unwrap_or_else(|| "x-api-key".into()),
        };
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if header.is_empty() || !header.bytes().all(token) {
            return Err(format!("`header`: {header:?} is not the name of a header field").into());
        }
        Ok(Place::Header(header))
    }

    /// The key, if there is exactly one. Of several, which one holds would be anyone's guess, and
    /// the upstream's may differ from ours.
    fn key(&self, request: &Request) -> Option<Vec<u8>> {
        let values = match self {
            Place::Header(name) => request.header_values(name),
            Place::Query(name) => form_urlencoded::parse(request.query()?.as_bytes())
                .filter(|(other, _)| other == name)
                .map(|(_, value)| value.into_owned().into_bytes())
                .collect(),
        };
        let [key] = <[_; 1]>::try_from(values).ok()?;
        Some(key).filter(|key| !key.is_empty())
    }
}

impl ApiKey {
    /// How long the search takes depends on the first eight bytes of the presented key's digest, and
    /// of the known ones: the index is over digests, not over keys. What that could tell at best are
    /// bytes of a known digest, and no key follows from those: who wants one whose digest begins with
    /// eight given bytes has to try 2^64. The whole digest is then compared in constant time.
    fn find(&self, key: &[u8]) -> Option<&Grant> {
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        let digest = crypto::sha256(key);
        let prefix = digest.get(..8)?;
        let first = self.keys.partition_point(|(known, _)| &known[..8] < prefix);
        self.keys[first..]
            .iter()
            .take_while(|(known, _)| &known[..8] == prefix)
            .find(|(known, _)| crypto::constant_time_equal(known, &digest))
            .map(|(_, consumer)| &self.grants[*consumer])
    }
}

#[cfg(test)]
mod tests;
