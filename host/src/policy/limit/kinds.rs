//! The limits that a limiter asks for, and their validation.

use std::fmt;

use crate::limits::limiter::{
    LIMIT_KEY_BYTES_MAX, LIMIT_KEY_PARTS_MAX, LIMIT_NAME_BYTES_MAX, LIMITS_MAX, RATE_PERIOD_MS_MAX,
};

/// The record `limit` of the contract. It has no `Debug`, so that no log shows a key by mistake.
#[derive(Clone)]
pub struct Limit {
    pub name: String,
    pub bound: Bound,
    pub key: Vec<String>,
    pub scope: Scope,
    pub cost: u64,
    /// Whether a request over the bound is refused; otherwise it is only counted as over.
    pub enforce: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// `amount` tokens flow in each `period_ms`, up to `burst`.
    Rate {
        amount: u64,
        period_ms: u64,
        burst: u64,
    },
    /// `amount` in each period of the UTC calendar.
    Quota { amount: u64, period: Period },
    /// This many at once.
    Concurrent(u64),
}

impl Bound {
    /// Returns the greatest cost that can ever pass.
    pub fn most(&self) -> u64 {
        match *self {
            Bound::Rate { burst, .. } => burst,
            Bound::Quota { amount, .. } => amount,
            Bound::Concurrent(amount) => amount,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Entry,
    Route,
    Gateway,
}

/// A week starts on Monday (ISO 8601).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// The names that the scopes refer to.
#[derive(Debug, Clone, Copy)]
pub struct ScopeNames<'a> {
    /// Names the chain entry, unique in the gateway.
    pub entry: &'a str,
    pub route: &'a str,
}

/// An invalid list of limits. It is the plugin's fault; the text is for its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLimits(pub String);

impl fmt::Display for BadLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for BadLimits {}

/// Checks everything about a list that does not depend on the counters.
pub fn check(limits: &[Limit]) -> Result<(), BadLimits> {
    if limits.len() > LIMITS_MAX {
        let count = limits.len();
        return Err(BadLimits(format!(
            "{count} limits; at most {LIMITS_MAX} count one request"
        )));
    }
    for (index, limit) in limits.iter().enumerate() {
        let number = index + 1;
        check_name(&limit.name).map_err(|wrong| BadLimits(format!("limit {number}: {wrong}")))?;
        let refuse = |wrong: &str| Err(BadLimits(format!("limit \"{}\": {wrong}", limit.name)));
        if limits[..index].iter().any(|other| other.name == limit.name) {
            return refuse("two limits have this name");
        }
        if let Some(wrong) = wrong_key(&limit.key).or_else(|| wrong_bound(&limit.bound)) {
            return refuse(&wrong);
        }
    }
    Ok(())
}

/// Checks that a String of structured fields can hold the name (RFC 9651, section 3.3.3).
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name is empty".into());
    }
    if name.len() > LIMIT_NAME_BYTES_MAX {
        return Err(format!(
            "the name has {} bytes; at most {LIMIT_NAME_BYTES_MAX} are kept",
            name.len()
        ));
    }
    if !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("the name has characters that are not printable ASCII".into());
    }
    Ok(())
}

fn wrong_key(key: &[String]) -> Option<String> {
    if key.len() > LIMIT_KEY_PARTS_MAX {
        return Some(format!(
            "the key has {} parts; at most {LIMIT_KEY_PARTS_MAX} are hashed",
            key.len()
        ));
    }
    let bytes: usize = key.iter().map(String::len).sum();
    (bytes > LIMIT_KEY_BYTES_MAX)
        .then(|| format!("the key has {bytes} bytes; at most {LIMIT_KEY_BYTES_MAX} are hashed"))
}

fn wrong_bound(bound: &Bound) -> Option<String> {
    let Bound::Rate {
        amount,
        period_ms,
        burst,
    } = *bound
    else {
        return None;
    };
    if amount == 0 {
        Some("the rate's amount is 0: no token would ever flow".into())
    } else if burst == 0 {
        Some("the rate's burst is 0: no token would ever be there".into())
    } else if !(1..=RATE_PERIOD_MS_MAX).contains(&period_ms) {
        Some(format!(
            "the rate's period is {period_ms} ms; it may be 1 to {RATE_PERIOD_MS_MAX} (366 days)"
        ))
    } else {
        None
    }
}
