//! Hooks, called as the gateway calls them.

use std::time::Duration;

use super::http::check_header;
use super::{TestRequest, TestResponse, sources};
use crate::{
    Authorizer, Bound, CacheLookup, CacheStore, Decision, EntryKey, Limit, Limiter, LimiterSettle,
    Outcome, Reply, RequestTransformer, ResponseTransformer, Result, Settlement, Storage, Verdict,
};

/// The longest period of a rate that the gateway takes.
const RATE_PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Calls an authorizer as the gateway does.
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::{Authorizer, Decision, Plugin, Request, Result, clock, testing};
/// # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Empty {}
///
/// struct ByHour;
/// # impl Plugin for ByHour {
/// #     type Config = Empty;
/// #     fn configure(_: Empty) -> Result<Self> { Ok(ByHour) }
/// # }
/// impl Authorizer for ByHour {
///     fn authorize(&self, _: &Request) -> Result<Decision> {
///         let hour = clock::since_epoch().as_secs() / 3600 % 24;
///         Ok(Decision::allow(format!("hour {hour}")).remember(Duration::from_secs(60)))
///     }
/// }
///
/// let request = testing::request("GET", "/").build();
/// let error = testing::authorize(&ByHour, &request).unwrap_err();
/// assert!(error.to_string().contains("because `authorize` read the clock"));
/// ```
///
/// # Errors
/// The hook's error; a reply that is not HTTP; a decision that asks to be
/// [remembered](Decision::remember) and depended on what keeps it from that. (The gateway uses such a
/// decision, does not remember it, and logs a warning.)
pub fn authorize(plugin: &impl Authorizer, request: &TestRequest) -> Result<Decision> {
    sources::begin();
    let decision = plugin.authorize(request)?;
    sources::check(&decision)?;
    if let Verdict::Deny(reply) = &decision.verdict {
        check_reply(reply)?;
    }
    Ok(decision)
}

/// Calls a request transformer as the gateway does: what it did can be read from the request
/// afterwards.
///
/// # Errors
/// The hook's, and where its reply is not HTTP. The edits are undone then.
pub fn transform_request(
    plugin: &impl RequestTransformer,
    request: &mut TestRequest,
) -> Result<Outcome> {
    let before = request.state().borrow().clone();
    request
        .edit(|request| plugin.transform_request(request))
        .and_then(check_outcome)
        .inspect_err(|_| *request.state().borrow_mut() = before)
}

/// Calls a response transformer as the gateway does: what it did can be read from the response
/// afterwards.
///
/// # Errors
/// The hook's, and where its reply is not HTTP. The edits are undone then.
pub fn transform_response(
    plugin: &impl ResponseTransformer,
    request: &TestRequest,
    response: &mut TestResponse,
) -> Result<Outcome> {
    request.send();
    let before = response.state().borrow().clone();
    response
        .edit(|response| plugin.transform_response(request, response))
        .and_then(check_outcome)
        .inspect_err(|_| *response.state().borrow_mut() = before)
}

/// Calls a limiter as the gateway does.
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::{Limit, Limiter, Plugin, Request, Result, testing};
/// # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Empty {}
///
/// struct Twice;
/// # impl Plugin for Twice {
/// #     type Config = Empty;
/// #     fn configure(_: Empty) -> Result<Self> { Ok(Twice) }
/// # }
/// impl Limiter for Twice {
///     fn limits(&self, request: &Request) -> Result<Vec<Limit>> {
///         let second = Limit::rate("calls", 1, Duration::from_secs(1));
///         let minute = Limit::rate("calls", 9, Duration::from_secs(60));
///         Ok(vec![second, minute])
///     }
/// }
///
/// let error = testing::limits(&Twice, &testing::request("GET", "/").build()).unwrap_err();
/// assert_eq!(error.to_string(), "limit `calls`: two limits have this name");
/// ```
///
/// # Errors
/// The hook's, and where the gateway would refuse the list: for names that are not unique, not
/// printable ASCII, or empty; for two limits with one counter; for rates that can never let anything
/// pass.
pub fn limits(plugin: &impl Limiter, request: &TestRequest) -> Result<Vec<Limit>> {
    let limits = plugin.limits(request)?;
    for (index, limit) in limits.iter().enumerate() {
        if let Some(wrong) = wrong(limit, &limits[..index]) {
            return Err(format!("limit `{}`: {wrong}", limit.name).into());
        }
    }
    Ok(limits)
}

/// Calls a limiter's second half as the gateway does, after its first half charged these limits: `charged`
/// is what [`limits()`] returned. See the example at [`LimiterSettle`].
///
/// # Errors
/// The hook's, and where a settlement names a limit that was not charged.
pub fn settle(
    plugin: &impl LimiterSettle,
    request: &TestRequest,
    response: &TestResponse,
    charged: &[Limit],
) -> Result<Vec<Settlement>> {
    request.send();
    let settlements = plugin.settle(request, response)?;
    for settlement in &settlements {
        if !charged.iter().any(|limit| limit.name == settlement.limit) {
            let name = &settlement.limit;
            return Err(format!("limit `{name}` is settled but was not charged").into());
        }
    }
    Ok(settlements)
}

/// Calls a cache policy as the gateway does.
///
/// # Errors
/// The hook's.
pub fn lookup(plugin: &impl CacheLookup, request: &TestRequest) -> Result<EntryKey> {
    plugin.lookup(request)
}

/// Calls a cache policy's second half as the gateway does.
///
/// # Errors
/// The hook's.
pub fn store(
    plugin: &impl CacheStore,
    request: &TestRequest,
    response: &TestResponse,
) -> Result<Storage> {
    request.send();
    plugin.store(request, response)
}

fn check_outcome(outcome: Outcome) -> Result<Outcome> {
    if let Outcome::Respond(reply) = &outcome {
        check_reply(reply)?;
    }
    Ok(outcome)
}

fn check_reply(reply: &Reply) -> Result<()> {
    if !(200..=599).contains(&reply.status) {
        return Err(format!("status {} is not between 200 and 599", reply.status).into());
    }
    for (name, value) in &reply.headers {
        check_header(name, value)?;
    }
    Ok(())
}

fn wrong(limit: &Limit, before: &[Limit]) -> Option<&'static str> {
    if limit.name.is_empty() || !limit.name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Some("a name is printable ASCII and not empty");
    }
    if before.iter().any(|other| other.name == limit.name) {
        return Some("two limits have this name");
    }
    if before.iter().any(|other| share_counter(other, limit)) {
        return Some("an earlier limit has the same counter: scope, period and key are the same");
    }
    match limit.bound {
        Bound::Rate { amount: 0, .. } => Some("a rate of 0 lets nothing flow"),
        Bound::Rate { burst: 0, .. } => Some("a bucket that holds 0 lets nothing pass"),
        Bound::Rate { period, .. } if period.is_zero() || period > RATE_PERIOD_MAX => {
            Some("the period of a rate is more than nothing and at most 366 days")
        }
        _ => None,
    }
}

/// A counter is named by scope, kind of bound, period and key, whatever the amounts.
fn share_counter(one: &Limit, other: &Limit) -> bool {
    let bounds = match (one.bound, other.bound) {
        (Bound::Rate { period: a, .. }, Bound::Rate { period: b, .. }) => a == b,
        (Bound::Quota { period: a, .. }, Bound::Quota { period: b, .. }) => a == b,
        (Bound::Concurrent(_), Bound::Concurrent(_)) => true,
        _ => false,
    };
    bounds && one.scope == other.scope && one.key == other.key
}
