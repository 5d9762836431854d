//! Limits as a configuration writes them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{Limit, Period, Request, Scope};

use crate::getter::Getter;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitConfig {
    name: String,
    bound: BoundConfig,
    /// What getters say, one part each.
    #[serde(default)]
    key: Vec<Getter>,
    #[serde(default)]
    scope: Scope,
    /// Absent, or where it says no number: 1.
    cost: Option<Getter>,
    #[serde(default)]
    count_only: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
enum BoundConfig {
    Rate {
        amount: u64,
        period_ms: u64,
        burst: u64,
    },
    Quota {
        amount: u64,
        period: Period,
    },
    Concurrent(u64),
}

impl LimitConfig {
    pub fn of(&self, request: &Request) -> Limit {
        let name = &self.name;
        let limit = match self.bound {
            BoundConfig::Rate {
                amount,
                period_ms,
                burst,
            } => Limit::rate(name, amount, Duration::from_millis(period_ms)).burst(burst),
            BoundConfig::Quota { amount, period } => Limit::quota(name, amount, period),
            BoundConfig::Concurrent(amount) => Limit::concurrent(name, amount),
        };
        let key = self.key.iter();
        let key = key.map(|getter| getter.get(request).unwrap_or_default());
        let cost = self.cost.as_ref().and_then(|getter| getter.get(request));
        let cost = cost.and_then(|text| text.parse().ok()).unwrap_or(1);
        let limit = limit.key(key).scope(self.scope).cost(cost);
        if self.count_only {
            limit.count_only()
        } else {
            limit
        }
    }
}
