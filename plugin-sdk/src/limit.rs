use std::time::Duration;

/// One limit that a request counts against: what a [`Limiter`](crate::Limiter) answers.
///
/// It says what is counted (`key`), who shares the counter (`scope`), how much this request takes
/// (`cost`), and what happens when there is no room (`effect`). The gateway keeps the counters.
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::{Limit, Period, Scope};
///
/// // Ten requests a second for each caller, 20 at once after a pause.
/// Limit::rate("second", 10, Duration::from_secs(1)).burst(20).key(["principal", "alice"]);
///
/// // A million a month for the caller's organisation, on all routes; uploads count tenfold.
/// Limit::quota("month", 1_000_000, Period::Month)
///     .key(["acme"])
///     .scope(Scope::Gateway)
///     .cost(10);
///
/// // Five at once on this route; over that is only counted as over, nothing is refused.
/// Limit::concurrent("open", 5).scope(Scope::Route).count_only();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Limit {
    /// Names the limit in metrics, headers and [`Settlement`]s; unique among those of one call.
    pub name: String,
    pub bound: Bound,
    /// What is counted, as parts that need no escaping: `["a", "b"]` and `["ab"]` are two keys. The
    /// empty key is one counter for all.
    pub key: Vec<String>,
    pub scope: Scope,
    /// How much this request takes. 0 takes nothing, is never refused, and only reports.
    pub cost: u64,
    pub effect: Effect,
}

/// How much a [`Limit`] lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A token bucket: see [`Limit::rate`].
    Rate {
        /// Tokens that flow in during each period; not 0.
        amount: u64,
        /// In whole milliseconds (a part of one counts as one); at most 366 days.
        period: Duration,
        /// Tokens that the bucket holds; not 0.
        burst: u64,
    },
    /// At most `amount` within one period of the calendar.
    Quota { amount: u64, period: Period },
    /// At most this many at once. Each holds its place until the end of the response's body.
    Concurrent(u64),
}

/// A period of the calendar, in UTC; a week starts on Monday.
///
/// It can be part of a plugin's configuration, as `minute` to `year`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// Which requests share a counter of the same key.
///
/// It can be part of a plugin's configuration, as `entry`, `route` or `gateway`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Requests through this chain entry.
    #[default]
    Entry,
    /// Requests on this route, from every limiter that names the same key.
    Route,
    /// All requests of the gateway, from every limiter that names the same key.
    Gateway,
}

/// What happens to a request that is over the bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// It is refused with 429.
    #[default]
    Enforce,
    /// It goes on, and is counted as over.
    Count,
}

impl Limit {
    fn new(name: impl Into<String>, bound: Bound) -> Self {
        Limit {
            name: name.into(),
            bound,
            key: Vec::new(),
            scope: Scope::default(),
            cost: 1,
            effect: Effect::default(),
        }
    }

    /// `amount` in each `period`, as a token bucket: it begins full, each request takes its cost, and
    /// `amount` tokens flow in evenly during each period. The bucket holds `amount` tokens unless
    /// [`burst`](Limit::burst) sets another number.
    ///
    /// So within one period **up to `amount` + `burst` requests pass**: those of a full bucket, and those that
    /// flow in meanwhile. A rate of 5 per 10 seconds lets 9 through in its first ten seconds, and then one
    /// every two seconds. For a hard number within a period of the calendar use [`quota`](Limit::quota); for
    /// an even flow set a small `burst`.
    ///
    /// Enforced, at a cost of 1, for this chain entry, under the empty key; the methods below change that.
    pub fn rate(name: impl Into<String>, amount: u64, period: Duration) -> Self {
        let burst = amount;
        Limit::new(
            name,
            Bound::Rate {
                amount,
                period,
                burst,
            },
        )
    }

    /// At most `amount` in each period of the calendar, in UTC. The rest is as for [`rate`](Limit::rate).
    pub fn quota(name: impl Into<String>, amount: u64, period: Period) -> Self {
        Limit::new(name, Bound::Quota { amount, period })
    }

    /// At most `amount` at once. The rest is as for [`rate`](Limit::rate).
    pub fn concurrent(name: impl Into<String>, amount: u64) -> Self {
        Limit::new(name, Bound::Concurrent(amount))
    }

    /// Sets how much the bucket of a rate holds. Has no effect on another bound.
    pub fn burst(mut self, tokens: u64) -> Self {
        if let Bound::Rate { burst, .. } = &mut self.bound {
            *burst = tokens;
        }
        self
    }

    /// Sets what is counted. Parts are kept apart, so they may hold what a client sent.
    pub fn key<I>(mut self, parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.key = parts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets who shares the counter.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets how much this request takes.
    pub fn cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }

    /// Lets requests over the bound pass, and only counts them as over.
    pub fn count_only(mut self) -> Self {
        self.effect = Effect::Count;
        self
    }
}

/// What a request really costs, now that its response is known: what a
/// [`LimiterSettle`](crate::LimiterSettle) answers.
///
/// ```
/// use tollgate_plugin::Settlement;
///
/// Settlement::new("tokens", 1_742);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Settlement {
    /// The name of a [`Limit`] that this chain entry charged on the way in.
    pub limit: String,
    /// The whole cost; the difference to what was charged is charged or given back.
    pub cost: u64,
}

impl Settlement {
    pub fn new(limit: impl Into<String>, cost: u64) -> Self {
        Settlement {
            limit: limit.into(),
            cost,
        }
    }
}
