//! Remembering an authorizer's decision, or telling the operator why it is not remembered.

use std::sync::Arc;
use std::time::Duration;

use super::{Decided, Entry};
use crate::http::exchange::Exchange;
use crate::http::facts::Facts;
use crate::plugin::{Dependences, Reads, Verdict};
use crate::policy::decisions::{Asking, NotKept};

/// Remembers a decision for a time, if the plugin gave one. A decision that cannot be remembered is counted,
/// and logged once for each policy: nothing else would show that each request costs a call.
pub(super) fn remember(
    entry: &Entry,
    asking: Asking<'_, Decided>,
    exchange: &Exchange,
    reads: Result<Reads, Dependences>,
    time: Option<Duration>,
    verdict: &Verdict,
) {
    let Some(memory) = &entry.memory else { return };
    let Some(time) = time.and_then(|time| memory.allowed(time)) else {
        return asking.decline(reads.ok().map(|reads| reads.facts));
    };
    let why = match reads {
        Err(sources) => {
            asking.decline(None);
            hung_on(sources)
        }
        Ok(reads) => {
            let decided = Arc::new(Decided {
                verdict: verdict.clone(),
                writes: reads.writes,
            });
            match asking.learn(Facts::of(exchange), reads.facts, time, &decided) {
                Ok(()) => return,
                Err(not_kept) => refused(not_kept),
            }
        }
    };
    entry.metrics.count_not_remembered();
    if memory.tells_first() {
        let identity = &entry.policy.identity;
        tracing::warn!(
            target: "plugin",
            plugin = &*identity.plugin,
            policy = &*identity.policy,
            route = &*exchange.route,
            request = &*exchange.id,
            "its decision asked to be remembered for {time:?} and is not, because it {why}. Said once; \
             `tollgate_decisions_not_remembered_total` counts on",
        );
    }
}

/// Completes "because it".
fn hung_on(sources: Dependences) -> String {
    let advice = if sources.can_be_answered_for() {
        "what that says may change meanwhile. The plugin can answer for it (`Decision::across`), or leave \
         `remember` out"
    } else {
        "the next request may differ in that. Leave that out, or leave `remember` out"
    };
    format!("{}: {advice}", sources.deeds())
}

fn refused(why: NotKept) -> String {
    match why {
        NotKept::TooLarge { bytes, most } => format!(
            "has {bytes} bytes with its notes, and at most {most} are kept. Let it say less"
        ),
        NotKept::TooManyLists { most } => format!(
            "was made by a way of reading the request that is new, after {most} others were learned. Let \
             the plugin read alike in all cases"
        ),
    }
}
