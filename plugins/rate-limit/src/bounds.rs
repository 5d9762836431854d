//! How much is let through: from `rate` and `quota` of a configuration to the limits of a request.

use std::time::Duration;

use tollgate_plugin::{Bound, Limit, Period};

use crate::cost::Cost;
use crate::{Counters, OneLimit};

/// Limits that count one request: what the gateway takes of one policy.
const LIMITS_MAX: usize = 16;
/// A limit's name, in bytes: what the gateway takes.
const NAME_BYTES_MAX: usize = 64;
/// The longest time of a rate: what the gateway takes.
const RATE_PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a policy, or a tier of it, says of limits.
pub struct Bounds {
    pub name: Option<String>,
    pub rate: Option<String>,
    pub burst: Option<u64>,
    pub quota: Option<String>,
    pub limits: Option<Vec<OneLimit>>,
}

/// One limit, checked.
pub struct Rule {
    pub name: String,
    bound: Bound,
    /// The index of what it counts by.
    pub counter: usize,
}

impl Rule {
    pub fn limit(&self) -> Limit {
        match self.bound {
            Bound::Rate {
                amount,
                period,
                burst,
            } => Limit::rate(&self.name, amount, period).burst(burst),
            Bound::Quota { amount, period } => Limit::quota(&self.name, amount, period),
            Bound::Concurrent(amount) => Limit::concurrent(&self.name, amount),
        }
    }

    /// Whether both count on the same counter. The gateway tells them apart by what is counted and in
    /// which time, not by how much: who moves to another tier keeps what is used already.
    fn shares_counter(&self, other: &Rule) -> bool {
        let alike = match (self.bound, other.bound) {
            (Bound::Rate { period: a, .. }, Bound::Rate { period: b, .. }) => a == b,
            (Bound::Quota { period: a, .. }, Bound::Quota { period: b, .. }) => a == b,
            _ => false,
        };
        alike && self.counter == other.counter
    }
}

impl Bounds {
    /// The rules, none if nothing is said. Errors begin with the place, which begins with `prefix`.
    pub fn rules(
        self,
        prefix: &str,
        counters: &mut Counters,
        cost: &Cost,
    ) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        match self.limits {
            Some(limits) => {
                for (key, is_there) in [
                    ("rate", self.rate.is_some()),
                    ("burst", self.burst.is_some()),
                    ("quota", self.quota.is_some()),
                    ("name", self.name.is_some()),
                ] {
                    if is_there {
                        return Err(format!(
                            "`{prefix}{key}` and `{prefix}limits` are both given: each of the \
                             `limits` has its own"
                        ));
                    }
                }
                if limits.len() > LIMITS_MAX {
                    let count = limits.len();
                    return Err(format!(
                        "`{prefix}limits` has {count}; at most {LIMITS_MAX} count one request"
                    ));
                }
                for (index, limit) in limits.into_iter().enumerate() {
                    let place = format!("{prefix}limits[{index}]");
                    let rule = rule(limit, counters, cost).map_err(|why| format!("{place}: {why}"));
                    add(&mut rules, rule?, |at| format!("{prefix}limits[{at}]"))
                        .map_err(|why| format!("{place}: {why}"))?;
                }
            }
            None if self.rate.is_some() || self.quota.is_some() => {
                let both = self.rate.is_some() && self.quota.is_some();
                if both && self.name.is_some() {
                    return Err(format!(
                        "`{prefix}name` is one, and `{prefix}rate` and `{prefix}quota` are two \
                         limits: write them in `{prefix}limits`, each with its name"
                    ));
                }
                let name = || self.name.clone();
                if self.rate.is_some() {
                    let limit = one(name(), self.rate, self.burst, None);
                    let rule = rule(limit, counters, cost);
                    rules.push(rule.map_err(|why| format!("{prefix}rate: {why}"))?);
                } else if self.burst.is_some() {
                    return Err(format!("`{prefix}burst` needs a `{prefix}rate`"));
                }
                if self.quota.is_some() {
                    let limit = one(name(), None, None, self.quota);
                    let rule = rule(limit, counters, cost);
                    rules.push(rule.map_err(|why| format!("{prefix}quota: {why}"))?);
                }
            }
            None if self.burst.is_some() || self.name.is_some() => {
                return Err(format!(
                    "`{prefix}burst` and `{prefix}name` belong to a `{prefix}rate`"
                ));
            }
            None => {}
        }
        Ok(rules)
    }
}

fn one(
    name: Option<String>,
    rate: Option<String>,
    burst: Option<u64>,
    quota: Option<String>,
) -> OneLimit {
    OneLimit {
        name,
        per: None,
        rate,
        burst,
        quota,
    }
}

fn rule(limit: OneLimit, counters: &mut Counters, cost: &Cost) -> Result<Rule, String> {
    let counter = match limit.per {
        Some(per) => counters.index(per)?,
        None => 0,
    };
    let (bound, name) = match (&limit.rate, &limit.quota) {
        (Some(_), Some(_)) => {
            return Err("has a `rate` and a `quota`: write two limits".into());
        }
        (None, None) => return Err("has no `rate` and no `quota`".into()),
        (Some(text), None) => rate(text, limit.burst)?,
        (None, Some(_)) if limit.burst.is_some() => {
            return Err("`burst` is for a `rate`; a quota has none".into());
        }
        (None, Some(text)) => quota(text)?,
    };
    let name = limit.name.unwrap_or(name);
    if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(format!(
            "the name {name:?} is not printable ASCII, or empty"
        ));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("the name has more than {NAME_BYTES_MAX} bytes"));
    }
    let most = match bound {
        Bound::Rate { burst, .. } => burst,
        Bound::Quota { amount, .. } | Bound::Concurrent(amount) => amount,
    };
    if cost.most() > most {
        return Err(format!(
            "a request that costs {} would never pass: at most {most} are ever there",
            cost.most()
        ));
    }
    Ok(Rule {
        name,
        bound,
        counter,
    })
}

fn add(rules: &mut Vec<Rule>, rule: Rule, place: impl Fn(usize) -> String) -> Result<(), String> {
    if let Some(at) = rules.iter().position(|other| other.shares_counter(&rule)) {
        return Err(format!(
            "counts the same in the same time as {}; the smaller of them would do",
            place(at)
        ));
    }
    if let Some(at) = rules.iter().position(|other| other.name == rule.name) {
        return Err(format!(
            "has the name `{}` of {}: give it a `name` of its own",
            rule.name,
            place(at)
        ));
    }
    rules.push(rule);
    Ok(())
}

/// `10/s`, `100/m`, `10/5s`: with the name that it has if none is given.
fn rate(text: &str, burst: Option<u64>) -> Result<(Bound, String), String> {
    let wrong = || {
        format!(
            "{text:?} is no rate: write a number, a slash, and s, m, h or d, as in \"100/m\" or \
             \"10/5s\""
        )
    };
    let (amount, time) = text.split_once('/').ok_or_else(wrong)?;
    let amount = number(amount).ok_or_else(wrong)?;
    let digits = time.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = time.split_at(digits);
    let (seconds, unit) = match unit {
        "s" => (1, "second"),
        "m" => (60, "minute"),
        "h" => (3600, "hour"),
        "d" => (24 * 3600, "day"),
        _ => return Err(wrong()),
    };
    let (count, name) = match count {
        "" => (1, format!("per-{unit}")),
        count => (
            number(count).ok_or_else(wrong)?,
            format!("per-{count}-{unit}s"),
        ),
    };
    if amount == 0 {
        return Err(format!("{text:?} lets nothing pass"));
    }
    let period = count.checked_mul(seconds).map(Duration::from_secs);
    let period = period.filter(|time| !time.is_zero() && *time <= RATE_PERIOD_MAX);
    let period = period.ok_or_else(|| format!("{text:?}: the time may be 1s to 366d"))?;
    let burst = burst.unwrap_or(amount);
    if burst == 0 {
        return Err("a `burst` of 0 lets nothing pass".into());
    }
    let bound = Bound::Rate {
        amount,
        period,
        burst,
    };
    Ok((bound, name))
}

/// `10000/day`: with the name that it has if none is given.
fn quota(text: &str) -> Result<(Bound, String), String> {
    let wrong = || {
        format!(
            "{text:?} is no quota: write a number, a slash, and minute, hour, day, week, month or \
             year, as in \"10000/day\""
        )
    };
    let (amount, period_name) = text.split_once('/').ok_or_else(wrong)?;
    let amount = number(amount).ok_or_else(wrong)?;
    let period = match period_name {
        "minute" => Period::Minute,
        "hour" => Period::Hour,
        "day" => Period::Day,
        "week" => Period::Week,
        "month" => Period::Month,
        "year" => Period::Year,
        _ => return Err(wrong()),
    };
    if amount == 0 {
        return Err(format!("{text:?} lets nothing pass"));
    }
    Ok((Bound::Quota { amount, period }, period_name.to_owned()))
}

/// Digits alone: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
