//! Limits how many requests are in flight at once. README.md says how it is configured.
//!
//! The gateway counts, and frees a place when the response's body has ended; this says what a request
//! counts against.

#[path = "../../rate-limit/src/per.rs"]
mod per;

use per::{Counter, Key, Missing, Per, Prefixes};
use tollgate_plugin::{Effect, Limit, Limiter, Plugin, Request, Result, Scope, export};

/// The limit's name, in bytes: what the gateway takes.
const NAME_BYTES_MAX: usize = 64;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// What is counted by: `principal`, `usage-key`, `client-address`, `all`, `{ header = "x" }`,
    /// `{ claim = "x" }`, `{ path-parameter = "x" }`, `{ query = "x" }`, or several in an array.
    per: Per,
    /// How many requests at once.
    max: u64,
    /// The limit's name in headers and metrics.
    #[serde(default = "name")]
    name: String,
    /// What happens to a request that has nothing to be counted by.
    #[serde(default)]
    missing: Missing,
    /// Who shares the counters of one key.
    #[serde(default)]
    scope: Scope,
    /// Whether what is over the limit is refused, or only counted.
    #[serde(default)]
    mode: Mode,
    /// Limits of different policies share counters only if they have the same group.
    #[serde(default)]
    group: String,
    /// The part of an IPv4 address that is counted by, in bits.
    #[serde(default = "ipv4_prefix")]
    ipv4_prefix: u8,
    /// The part of an IPv6 address that is counted by, in bits.
    #[serde(default = "ipv6_prefix")]
    ipv6_prefix: u8,
}

fn name() -> String {
    "concurrency".into()
}

fn ipv4_prefix() -> u8 {
    32
}

/// What one customer gets is a /64 at least: by whole addresses, each has 2^64 counters.
fn ipv6_prefix() -> u8 {
    64
}

/// Over the limit, a request is refused with 429 (`enforce`), or goes on and is counted as over
/// (`count`).
// Doc comments on variants would make the schema say less plainly which there are.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Enforce,
    Count,
}

struct ConcurrencyLimit {
    counter: Counter,
    /// Without a key.
    limit: Limit,
}

impl Plugin for ConcurrencyLimit {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let prefixes = Prefixes {
            ipv4: config.ipv4_prefix,
            ipv6: config.ipv6_prefix,
        };
        let counter = Counter::new(config.per, &config.group, prefixes, config.missing)?;
        if config.max == 0 {
            return Err("a `max` of 0 lets nothing pass".into());
        }
        let name = config.name;
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(format!("`name`: {name:?} is not printable ASCII, or empty").into());
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(format!("`name` has more than {NAME_BYTES_MAX} bytes").into());
        }
        let limit = Limit::concurrent(name, config.max).scope(config.scope);
        Ok(ConcurrencyLimit {
            counter,
            limit: Limit {
                effect: match config.mode {
                    Mode::Enforce => Effect::Enforce,
                    Mode::Count => Effect::Count,
                },
                ..limit
            },
        })
    }
}

impl Limiter for ConcurrencyLimit {
    fn limits(&self, request: &Request) -> Result<Vec<Limit>> {
        let limit = self.limit.clone();
        Ok(match self.counter.key(request)? {
            Key::Is(key) => vec![limit.key(key)],
            Key::Skipped => vec![],
            Key::Refused(key) => {
                // There is no room for even one.
                let nothing = Limit::concurrent(&limit.name, 0)
                    .key(key)
                    .scope(limit.scope);
                vec![Limit {
                    effect: limit.effect,
                    ..nothing
                }]
            }
        })
    }
}

export!(ConcurrencyLimit: Limiter);

#[cfg(test)]
mod tests;
