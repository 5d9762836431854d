//! What requests are counted by: from `per` of a configuration to the key of a limit.
//!
//! `concurrency-limit` includes this very file. A crate of its own it cannot be: each folder in
//! `plugins/` is a plugin, and a plugin that depends on another would export its hooks as well.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use tollgate_plugin::{Request, Result, crypto};

/// Parts of one key that are counted by. With the two bounds below they fit the gateway's on a key,
/// 1 KiB; and nobody needs more.
const PARTS_MAX: usize = 4;
/// The name of a header, claim or parameter, in bytes.
const NAME_BYTES_MAX: usize = 100;
/// Longer values are counted by their SHA-256: a client chooses how long they are, and a key that
/// the gateway refuses would be a fault.
const VALUE_BYTES_MAX: usize = 100;

/// What is counted by: one thing, or several together.
#[derive(Clone, serde::Deserialize)]
#[serde(
    untagged,
    expecting = "`per` is \"principal\", \"usage-key\", \"client-address\", \"all\", { header = \"..\" }, \
                 { claim = \"..\" }, { path-parameter = \"..\" }, { query = \"..\" }, or an array of these"
)]
pub enum Per {
    One(By),
    Several(Vec<By>),
}

/// Of alternatives a schema's error says no more than that none fits; the text above says which there
/// are.
impl schemars::JsonSchema for Per {
    fn schema_name() -> Cow<'static, str> {
        "Per".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "object", "array"] })
    }
}

#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Everybody together: one counter.
    All,
    /// Who an authorizer said the caller is.
    Principal,
    /// What an authorizer said usage is counted under; the principal, if it said nothing.
    UsageKey,
    /// The client's address, or the network that it is in.
    ClientAddress,
    /// The values of this request header.
    Header(String),
    /// What an authorizer said of the caller under this name.
    Claim(String),
    /// The parameter of this name in the route's path.
    PathParameter(String),
    /// The first query parameter of this name.
    Query(String),
}

/// What happens to a request that has nothing to be counted by: all such requests share one
/// counter (`shared`), or it is not counted (`skip`), or refused with 429 (`refuse`).
// Doc comments on variants would make the schema say less plainly which there are.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    #[default]
    Shared,
    Skip,
    Refuse,
}

/// How much of an address is counted by, in bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    pub ipv4: u8,
    pub ipv6: u8,
}

/// `per`, checked.
#[derive(PartialEq, Eq)]
pub struct Counter {
    by: Vec<By>,
    /// Comes first in every key, unless it is empty.
    group: String,
    prefixes: Prefixes,
    missing: Missing,
}

/// What a request is counted under.
pub enum Key {
    Is(Vec<String>),
    /// It is not counted.
    Skipped,
    /// Nothing; and so it is refused. The key is the one that all such requests share.
    Refused(Vec<String>),
}

impl Counter {
    pub fn new(
        per: Per,
        group: &str,
        prefixes: Prefixes,
        missing: Missing,
    ) -> Result<Counter, String> {
        let by = match per {
            Per::One(by) => vec![by],
            Per::Several(all) => all,
        };
        match by.len() {
            0 => return Err("`per` is empty; write \"all\" for one counter".into()),
            1..=PARTS_MAX => {}
            count => {
                return Err(format!(
                    "`per` has {count} parts; at most {PARTS_MAX} count"
                ));
            }
        }
        if by.len() > 1 && by.contains(&By::All) {
            return Err("`per`: \"all\" is everybody, and stands alone".into());
        }
        for (index, one) in by.iter().enumerate() {
            one.check()?;
            if by[..index].contains(one) {
                return Err("`per` names the same thing twice".into());
            }
        }
        if group.len() > NAME_BYTES_MAX {
            return Err(format!("`group` has more than {NAME_BYTES_MAX} bytes"));
        }
        for (key, bits, most) in [
            ("ipv4-prefix", prefixes.ipv4, 32),
            ("ipv6-prefix", prefixes.ipv6, 128),
        ] {
            if !(1..=most).contains(&bits) {
                return Err(format!("`{key}` is {bits}; it may be 1 to {most}"));
            }
        }
        Ok(Counter {
            by,
            group: group.to_owned(),
            prefixes,
            missing,
        })
    }

    pub fn key(&self, request: &Request) -> Result<Key> {
        let mut parts = Vec::with_capacity(2 + 3 * self.by.len());
        if !self.group.is_empty() {
            parts.extend(["group".to_owned(), self.group.clone()]);
        }
        let mut missed = false;
        for by in self.by.iter().filter(|by| **by != By::All) {
            let name = by.name().unwrap_or_default().to_owned();
            // Each value stands behind its kind and its name, so that no client can choose one that
            // is counted with something else, or with what is missing.
            match by.value(request, self.prefixes)? {
                Some((kind, value)) if value.len() <= VALUE_BYTES_MAX => {
                    parts.extend([kind.to_owned(), name, value]);
                }
                Some((kind, value)) => {
                    let digest = crypto::sha256(value.as_bytes());
                    parts.extend([format!("{kind} sha256"), name, crypto::hex(&digest)]);
                }
                None => {
                    missed = true;
                    parts.extend([format!("no {}", by.kind()), name]);
                }
            }
        }
        Ok(match self.missing {
            Missing::Skip if missed => Key::Skipped,
            Missing::Refuse if missed => Key::Refused(parts),
            _ => Key::Is(parts),
        })
    }
}

impl By {
    fn kind(&self) -> &'static str {
        match self {
            By::All => "all",
            By::Principal => "principal",
            By::UsageKey => "usage-key",
            By::ClientAddress => "client-address",
            By::Header(_) => "header",
            By::Claim(_) => "claim",
            By::PathParameter(_) => "path-parameter",
            By::Query(_) => "query",
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            By::All | By::Principal | By::UsageKey | By::ClientAddress => None,
            By::Header(name) | By::Claim(name) | By::PathParameter(name) | By::Query(name) => {
                Some(name)
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        let Some(name) = self.name() else {
            return Ok(());
        };
        let kind = self.kind();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() {
            return Err(format!("`per`: the name of the {kind} is empty"));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(format!(
                "`per`: the name of the {kind} has more than {NAME_BYTES_MAX} bytes"
            ));
        }
        if matches!(self, By::Header(_)) && !name.bytes().all(token) {
            return Err(format!("`per`: {name:?} is not the name of a header"));
        }
        Ok(())
    }

    /// What this request has of it, and of which kind that is.
    fn value(
        &self,
        request: &Request,
        prefixes: Prefixes,
    ) -> Result<Option<(&'static str, String)>> {
        let value = match self {
            By::All => None,
            By::Principal => request.principal(),
            // A principal's name may be somebody else's usage key.
            By::UsageKey => match request.usage_key() {
                Some(key) => Some(key),
                None => {
                    return Ok(request
                        .principal()
                        .map(|name| ("usage-key's principal", name)));
                }
            },
            By::ClientAddress => Some(network(&request.client_address(), prefixes)),
            By::Header(name) => header(request, name),
            // As JSON, so that the number 7 and the string "7" are two.
            By::Claim(name) => match request.claim::<Value>(name)? {
                None | Some(Value::Null) => None,
                Some(value) => Some(value.to_string()),
            },
            By::PathParameter(name) => request.path_parameter(name),
            By::Query(name) => request.query_parameter(name),
        };
        Ok(value.map(|value| (self.kind(), value)))
    }
}

/// All lines of a header as one list, as whoever reads it behind the gateway may take it (RFC 9110,
/// section 5.3): by the first alone, a client would choose its counter and still be taken for another.
fn header(request: &Request, name: &str) -> Option<String> {
    let values = request.header_values(name);
    (!values.is_empty()).then(|| String::from_utf8_lossy(&values.join(&b", "[..])).into_owned())
}

/// The network of an address. An IPv4 address written in IPv6 is that IPv4 address.
fn network(address: &str, prefixes: Prefixes) -> String {
    let mask = |length: u8, of: u8| u128::MAX.checked_shl(u32::from(of - length)).unwrap_or(0);
    match address
        .parse::<IpAddr>()
        .map(|address| address.to_canonical())
    {
        Ok(IpAddr::V4(address)) => {
            let bits = address.to_bits() & mask(prefixes.ipv4, 32) as u32;
            format!("{}/{}", Ipv4Addr::from_bits(bits), prefixes.ipv4)
        }
        Ok(IpAddr::V6(address)) => {
            let bits = address.to_bits() & mask(prefixes.ipv6, 128);
            format!("{}/{}", Ipv6Addr::from_bits(bits), prefixes.ipv6)
        }
        Err(_) => address.to_owned(),
    }
}
