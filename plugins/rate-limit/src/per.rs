//! What requests are counted by: from `per` of a configuration to the key of a limit.
//!
//! `concurrency-limit` includes this very file. A crate of its own it cannot be: each folder in
//! `plugins/` is a plugin, and a plugin that depends on another would export its hooks as well.

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
#[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Per {
    One(By),
    Several(Vec<By>),
}

#[derive(Clone, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
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

/// What happens to a request that has nothing to be counted by.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// All such requests share one counter.
    #[default]
    Shared,
    /// It is not counted.
    Skip,
    /// It is refused, with 429.
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
            count => return Err(format!("`per` has {count} parts; at most {PARTS_MAX} count")),
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
        for by in &self.by {
            let (kind, name) = by.tag();
            let Some((kind, value)) = by.value(request, self.prefixes)?.or_all(by, kind) else {
                // The kind is one that nothing that is there has, so that no client can choose a
                // value that is counted with these.
                missed = true;
                parts.extend([format!("no-{kind}"), name.to_owned()]);
                continue;
            };
            parts.extend([kind, name.to_owned(), value]);
        }
        Ok(match self.missing {
            Missing::Skip if missed => Key::Skipped,
            Missing::Refuse if missed => Key::Refused(parts),
            _ => Key::Is(parts),
        })
    }
}
