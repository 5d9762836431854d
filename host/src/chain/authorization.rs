//! Authorization at an entry: by its memory, or by its plugin.

use std::sync::Arc;
use std::time::Duration;

use super::remember::remember;
use super::{Decided, Entry};
use crate::http::exchange::{Caller, Exchange};
use crate::http::facts::Facts;
use crate::http::side::Side;
use crate::observe::{EntryVisit, Record};
use crate::plugin::{Fault, Reply, Verdict, Visit};
use crate::policy::decisions::{Asking, Recalled};

/// How a request is authorized at an entry.
pub(super) enum Authorization<'m> {
    /// Allowed by a remembered decision; the caller is in the exchange.
    Known,
    /// Ask the plugin, if it is an authorizer.
    Ask,
    /// Ask the plugin; its decision may be remembered.
    AskAndRemember(Asking<'m, Decided>),
}

/// Looks for a remembered decision of the entry's authorizer on this request.
///
/// # Errors
/// Its reply, if it denied the request.
pub(super) async fn recall<'m>(
    entry: &'m Entry,
    exchange: &mut Exchange,
    record: &mut Record,
) -> Result<Authorization<'m>, Reply> {
    let Some(memory) = &entry.memory else {
        return Ok(Authorization::Ask);
    };
    let decided = match memory.recall(Facts::of(exchange)).await {
        Recalled::Ask(asking) => return Ok(Authorization::AskAndRemember(asking)),
        Recalled::Known(decided) => decided,
    };
    let identity = &entry.policy.identity;
    if !decided.writes.is_empty() {
        let mut attributes = exchange.attributes.clone();
        let mut write = |(name, value): &(String, String)| {
            attributes.set(&identity.plugin, &identity.policy, name, value)
        };
        if decided.writes.iter().any(|note| write(note).is_err()) {
            // The notes of the decision would exceed their bound: the plugin is asked again.
            return Ok(Authorization::Ask);
        }
        exchange.attributes = attributes;
    }
    let (verdict, outcome) = match &decided.verdict {
        Verdict::Allow(caller) => {
            allow(exchange, caller.clone());
            ("allow", Ok(Authorization::Known))
        }
        Verdict::Deny(reply) => ("deny", Err(reply.clone())),
    };
    entry.metrics.count_remembered();
    record.entries.push(EntryVisit {
        policy: Arc::clone(&identity.policy),
        side: Side::Request,
        verdict,
        remembered: true,
        fault: None,
        elapsed: Duration::ZERO,
        cpu: None,
    });
    outcome
}

fn allow(exchange: &mut Exchange, granted: Caller) {
    match &mut exchange.caller {
        Some(earlier) => earlier.extend(granted),
        None => exchange.caller = Some(granted),
    }
}

/// Asks the authorizer, unless its decision is known. Returns the reply of a denial.
pub(super) async fn authorize(
    entry: &Entry,
    visit: &mut Visit<'_>,
    authorization: Authorization<'_>,
) -> Result<Option<Reply>, Fault> {
    let asking = match authorization {
        Authorization::Known => return Ok(None),
        Authorization::Ask => None,
        Authorization::AskAndRemember(asking) => Some(asking),
    };
    let decision = match visit.authorize().await {
        Ok(decision) => decision,
        Err(fault) => {
            if let Some(asking) = asking {
                asking.decline(None);
            }
            return Err(fault);
        }
    };
    let exchange = visit.exchange();
    if let Some(asking) = asking {
        remember(
            entry,
            asking,
            exchange,
            decision.reads,
            decision.remember,
            &decision.verdict,
        );
    }
    Ok(match decision.verdict {
        Verdict::Allow(caller) => {
            allow(exchange, caller);
            None
        }
        Verdict::Deny(reply) => Some(reply),
    })
}
