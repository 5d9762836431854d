//! Limits how often callers may call. README.md says how it is configured.
//!
//! The gateway keeps the counters; this says which a request counts against. It has no second half
//! (`LimiterSettle`): what a request costs is known on the way in, and a hook on the way out would be
//! called for every response.

mod bounds;
mod cost;
mod per;

use std::collections::BTreeMap;

use bounds::{Bounds, Rule};
use cost::Cost;
use per::{Counter, Key, Missing, Per, Prefixes};
use serde_json::Value;
use tollgate_plugin::{Effect, Limit, Limiter, Period, Plugin, Request, Result, Scope, export};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// What is counted by: `principal`, `usage-key`, `client-address`, `all`, `{ header = "x" }`,
    /// `{ claim = "x" }`, `{ path-parameter = "x" }`, `{ query = "x" }`, or several in an array.
    per: Per,
    /// How many in which time: `10/s`, `100/m`, `10/5s`.
    rate: Option<String>,
    /// How many at once, if not the rate's number.
    burst: Option<u64>,
    /// How many in a period of the calendar (UTC): `10000/day`, `1000000/month`.
    quota: Option<String>,
    /// The limit's name in headers and metrics.
    name: Option<String>,
    /// Several limits, in place of `rate`, `burst`, `quota` and `name`.
    limits: Option<Vec<OneLimit>>,
    /// Other limits for some callers.
    #[serde(default)]
    #[schemars(with = "Tiers")]
    tiers: Option<Tiers>,
    /// What happens to a request that has nothing to be counted by.
    #[serde(default)]
    missing: Missing,
    /// How much one request takes: a number, or a table with `variable` (a variable of the route that
    /// says it), `methods` (a table) and `default`.
    #[serde(default)]
    cost: Cost,
    /// Who shares the counters of one key.
    #[serde(default)]
    scope: Scope,
    /// Whether what is over a limit is refused, or only counted.
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

fn ipv4_prefix() -> u8 {
    32
}

/// What one customer gets is a /64 at least: by whole addresses, each has 2^64 counters.
fn ipv6_prefix() -> u8 {
    64
}

/// Exactly one of `rate` and `quota`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct OneLimit {
    /// The limit's name in headers and metrics.
    name: Option<String>,
    /// What this one counts by, if not what the policy does.
    #[serde(default)]
    #[schemars(with = "Per")]
    per: Option<Per>,
    /// How many in which time: `10/s`, `100/m`, `10/5s`.
    rate: Option<String>,
    /// How many at once, if not the rate's number.
    burst: Option<u64>,
    /// How many in a period of the calendar (UTC): `10000/day`, `1000000/month`.
    quota: Option<String>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tiers {
    /// What says which tier a caller is in.
    by: TierBy,
    /// The tiers, by name. Callers in none of them have the limits of the policy itself.
    of: BTreeMap<String, Tier>,
}

/// One of the two: only what the operator or an authorizer says. A caller would choose the best.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TierBy {
    /// What an authorizer said of the caller under this name.
    claim: Option<String>,
    /// A variable of the route or its API.
    variable: Option<String>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tier {
    /// How many in which time: `10/s`, `100/m`, `10/5s`.
    rate: Option<String>,
    /// How many at once, if not the rate's number.
    burst: Option<u64>,
    /// How many in a period of the calendar (UTC): `10000/day`, `1000000/month`.
    quota: Option<String>,
    /// The limit's name in headers and metrics.
    name: Option<String>,
    /// Several limits, in place of the other keys. Empty: none.
    limits: Option<Vec<OneLimit>>,
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

enum TierSource {
    Claim(String),
    Variable(String),
}

struct RateLimit {
    /// What rules count by, each once.
    counters: Vec<Counter>,
    /// For callers in no tier.
    rules: Vec<Rule>,
    tiers: Option<(TierSource, BTreeMap<String, Vec<Rule>>)>,
    cost: Cost,
    scope: Scope,
    effect: Effect,
}

impl Plugin for RateLimit {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let mut counters = Counters {
            group: config.group,
            prefixes: Prefixes {
                ipv4: config.ipv4_prefix,
                ipv6: config.ipv6_prefix,
            },
            missing: config.missing,
            all: Vec::new(),
        };
        counters.index(config.per)?;
        config.cost.check()?;
        let bounds = Bounds {
            name: config.name,
            rate: config.rate,
            burst: config.burst,
            quota: config.quota,
            limits: config.limits,
        };
        let said = bounds.limits.is_some();
        let rules = bounds.rules("", &mut counters, &config.cost)?;
        let tiers = config
            .tiers
            .map(|tiers| tiers.rules(&mut counters, &config.cost));
        let tiers = tiers.transpose()?;
        if rules.is_empty() && tiers.is_none() {
            return Err("there is no limit: give a `rate`, a `quota` or `limits`".into());
        }
        if rules.is_empty() && !said {
            return Err(
                "nothing is said of callers in no tier: give a `rate`, a `quota` or \
                        `limits`; if they have no limit, write `limits = []`"
                    .into(),
            );
        }
        Ok(RateLimit {
            counters: counters.all,
            rules,
            tiers,
            cost: config.cost,
            scope: config.scope,
            effect: match config.mode {
                Mode::Enforce => Effect::Enforce,
                Mode::Count => Effect::Count,
            },
        })
    }
}

impl Limiter for RateLimit {
    fn limits(&self, request: &Request) -> Result<Vec<Limit>> {
        let rules = self.rules(request)?;
        let cost = self.cost.of(request)?;
        let mut keys: Vec<Option<Key>> = self.counters.iter().map(|_| None).collect();
        let mut limits = Vec::with_capacity(rules.len());
        for rule in rules {
            let key = match &mut keys[rule.counter] {
                Some(key) => key,
                unknown => unknown.insert(self.counters[rule.counter].key(request)?),
            };
            match key {
                Key::Is(key) => limits.push(self.complete(rule.limit(), key, cost)),
                Key::Skipped => {}
                // Nothing ever fits into it. The others are left out: two of one key would be one
                // counter.
                Key::Refused(key) => {
                    let nothing = Limit::quota(&rule.name, 0, Period::Minute);
                    return Ok(vec![self.complete(nothing, key, cost.max(1))]);
                }
            }
        }
        Ok(limits)
    }
}

export!(RateLimit: Limiter);

impl RateLimit {
    fn complete(&self, limit: Limit, key: &[String], cost: u64) -> Limit {
        Limit {
            key: key.to_owned(),
            scope: self.scope,
            cost,
            effect: self.effect,
            ..limit
        }
    }

    fn rules(&self, request: &Request) -> Result<&[Rule]> {
        let Some((source, tiers)) = &self.tiers else {
            return Ok(&self.rules);
        };
        let tier = match source {
            TierSource::Claim(name) => match request.claim::<Value>(name)? {
                Some(Value::String(tier)) => Some(tier),
                Some(Value::Null) | None => None,
                Some(other) => Some(other.to_string()),
            },
            TierSource::Variable(name) => request.variable(name),
        };
        let rules = tier.and_then(|tier| tiers.get(&tier));
        Ok(rules.unwrap_or(&self.rules))
    }
}

impl Tiers {
    fn rules(
        self,
        counters: &mut Counters,
        cost: &Cost,
    ) -> Result<(TierSource, BTreeMap<String, Vec<Rule>>)> {
        let source = match (self.by.claim, self.by.variable) {
            (Some(name), None) if !name.is_empty() => TierSource::Claim(name),
            (None, Some(name)) if !name.is_empty() => TierSource::Variable(name),
            _ => return Err("`tiers.by` names one `claim` or one `variable`".into()),
        };
        if self.of.is_empty() {
            return Err("`tiers.of` has no tier".into());
        }
        let mut tiers = BTreeMap::new();
        for (name, tier) in self.of {
            let place = format!("tiers.of.{name:?}");
            let said = tier.limits.is_some();
            let bounds = Bounds {
                name: tier.name,
                rate: tier.rate,
                burst: tier.burst,
                quota: tier.quota,
                limits: tier.limits,
            };
            let rules = bounds.rules(&format!("{place}."), counters, cost)?;
            if rules.is_empty() && !said {
                return Err(
                    format!("{place} has no limit; if that is meant, write `limits = []`").into(),
                );
            }
            tiers.insert(name, rules);
        }
        Ok((source, tiers))
    }
}

/// What rules count by, collected: rules of one `per` look at the request once.
struct Counters {
    group: String,
    prefixes: Prefixes,
    missing: Missing,
    /// The first is what the policy counts by.
    all: Vec<Counter>,
}

impl Counters {
    fn index(&mut self, per: Per) -> Result<usize, String> {
        let counter = Counter::new(per, &self.group, self.prefixes, self.missing)?;
        if let Some(index) = self.all.iter().position(|other| *other == counter) {
            return Ok(index);
        }
        self.all.push(counter);
        Ok(self.all.len() - 1)
    }
}

#[cfg(test)]
mod tests;
