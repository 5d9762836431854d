use std::collections::BTreeMap;

use tollgate_plugin::{
    Limit, Limiter, LimiterSettle, Period, Plugin, Request, Response, Result, Scope, Settlement,
    export,
};

/// The name of the limit, which clients see in `RateLimit`.
const UNITS: &str = "units";

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Allowance {
    /// Units that each caller has in a period.
    units: u64,
    /// The same by the claim `tier`, for those who have one of these.
    #[serde(default)]
    tiers: BTreeMap<String, u64>,
    period: Period,
    /// What a request takes before its real cost is known: who has less left is refused.
    reserve: u64,
}

impl Plugin for Allowance {
    type Config = Self;
    fn configure(config: Self) -> Result<Self> {
        Ok(config)
    }
}

impl Limiter for Allowance {
    fn limits(&self, request: &Request) -> Result<Vec<Limit>> {
        let Some(caller) = request.usage_key().or_else(|| request.principal()) else {
            return Err("nobody said who calls: put an authorizer before this".into());
        };
        let tier: Option<String> = request.claim("tier")?;
        let units = tier
            .and_then(|tier| self.tiers.get(&tier))
            .unwrap_or(&self.units);
        let limit = Limit::quota(UNITS, *units, self.period).cost(self.reserve);
        // One counter for all routes; the name keeps it apart from those of other limiters.
        Ok(vec![limit.scope(Scope::Gateway).key([UNITS, &caller])])
    }
}

impl LimiterSettle for Allowance {
    fn settle(&self, _: &Request, response: &Response) -> Result<Vec<Settlement>> {
        let told = response
            .header_text("x-cost")
            .and_then(|cost| cost.parse().ok());
        let cost = match (response.status(), told) {
            (_, Some(cost)) => cost,
            // Nobody pays for a failure behind the gateway.
            (500.., None) => 0,
            (_, None) => self.reserve,
        };
        Ok(vec![Settlement::new(UNITS, cost)])
    }
}

export!(Allowance: Limiter, LimiterSettle);

#[cfg(test)]
mod tests;
