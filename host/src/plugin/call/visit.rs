//! One visit of a policy: its hooks, called in one leased instance, and what they answered, checked.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use super::hooks::{Answer, Hook};
use super::lease::{Lease, Visited};
use super::policy::Policy;
use crate::http::exchange::{Caller, Exchange};
use crate::http::fields;
use crate::limits;
use crate::plugin::fault::{Fault, FaultKind};
use crate::plugin::host::bindings::exports::tollgate::plugin::{
    authorizer, cache_lookup, cache_store, limiter,
};
use crate::plugin::host::bindings::tollgate::plugin::http as wit;
use crate::plugin::host::reads::{Dependences, Reads};
use crate::policy::cache::{KeyMode, Retention, Storage};
use crate::policy::limit::{Bound, Limit, Period, Scope};
use crate::quote::quoted;

/// A whole response that a plugin made, checked.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What an authorizer decided.
#[derive(Debug, Clone)]
pub enum Verdict {
    Allow(Caller),
    Deny(Reply),
}

/// A decision, and what it may be remembered by.
#[derive(Debug)]
pub struct Decision {
    pub verdict: Verdict,
    /// How long the plugin lets it be reused.
    pub remember: Option<Duration>,
    /// The getters that were called and the notes that were written; or what else it hung on.
    pub reads: Result<Reads, Dependences>,
}

/// A policy's instance while it looks at one message.
pub struct Visit<'p> {
    pub(in crate::plugin) lease: Lease<'p>,
    pub(in crate::plugin) started: Instant,
}

impl Policy {
    /// Begins a visit: waits a bounded time for an instance.
    ///
    /// # Errors
    /// If there is none. The message comes back.
    pub async fn visit(&self, exchange: Box<Exchange>) -> Result<Visit<'_>, (Visited, Fault)> {
        let started = Instant::now();
        match Lease::take(self, exchange).await {
            Ok(lease) => Ok(Visit { lease, started }),
            Err((exchange, fault)) => {
                let visited = Visited {
                    exchange,
                    elapsed: started.elapsed(),
                    cpu: None,
                    memory: 0,
                };
                Err((visited, fault))
            }
        }
    }
}

impl Visit<'_> {
    /// The message.
    pub fn exchange(&mut self) -> &mut Exchange {
        self.lease.exchange()
    }

    /// Takes back what the last call did to the message: it ended well, and its answer cannot be used.
    pub fn undo(&mut self) {
        self.lease.undo();
    }

    /// Ends the visit; the message comes out.
    pub async fn end(self) -> Visited {
        self.lease.finish(self.started).await
    }

    pub async fn authorize(&mut self) -> Result<Decision, Fault> {
        let Answer::Decision(decision) = self.lease.call(Hook::Authorize).await? else {
            return Err(unexpected());
        };
        let reads = self.lease.reads();
        let time = decision.remember_ms.filter(|ms| *ms > 0);
        let verdict = match decision.verdict {
            authorizer::Verdict::Deny(reply) => check(reply).map(Verdict::Deny),
            authorizer::Verdict::Allow(grant) => granted(grant).map(Verdict::Allow),
        };
        let verdict = verdict.inspect_err(|_| self.lease.undo())?;
        Ok(Decision {
            verdict,
            remember: time.map(|ms| Duration::from_millis(ms.into())),
            reads: reads.map_or(Err(Dependences::default()), Reads::finish),
        })
    }

    pub async fn limits(&mut self) -> Result<Vec<Limit>, Fault> {
        match self.lease.call(Hook::Limits).await? {
            Answer::Limits(limits) => Ok(limits.into_iter().map(limit).collect()),
            _ => Err(unexpected()),
        }
    }

    pub async fn lookup(&mut self) -> Result<Lookup, Fault> {
        match self.lease.call(Hook::Lookup).await? {
            Answer::Key(cache_lookup::EntryKey::Bypass) => Ok(Lookup::Bypass),
            Answer::Key(cache_lookup::EntryKey::Standard) => Ok(Lookup::Key(KeyMode::Standard)),
            Answer::Key(cache_lookup::EntryKey::Keyed(parts)) => {
                let bytes: usize = parts.iter().map(String::len).sum();
                if bytes > limits::plugin::CACHE_KEY_BYTES_MAX
                    || parts.len() > limits::plugin::CACHE_KEY_PARTS_MAX
                {
                    self.undo();
                    return Err(Fault::new(
                        FaultKind::BadReply,
                        format!(
                            "the cache key has {bytes} bytes in {} parts; at most {} in {} are taken",
                            parts.len(),
                            limits::plugin::CACHE_KEY_BYTES_MAX,
                            limits::plugin::CACHE_KEY_PARTS_MAX
                        ),
                    ));
                }
                Ok(Lookup::Key(KeyMode::Keyed(parts)))
            }
            _ => Err(unexpected()),
        }
    }

    /// Answers the reply that the plugin ends the way in with, if it does.
    pub async fn transform_request(&mut self) -> Result<Option<Reply>, Fault> {
        self.transform(Hook::TransformRequest).await
    }

    /// Answers the reply that takes the response's place, if one does.
    pub async fn transform_response(&mut self) -> Result<Option<Reply>, Fault> {
        self.transform(Hook::TransformResponse).await
    }

    async fn transform(&mut self, hook: Hook) -> Result<Option<Reply>, Fault> {
        match self.lease.call(hook).await? {
            Answer::Next => Ok(None),
            Answer::Respond(reply) => {
                let held = check(reply).and_then(|reply| self.hold(reply));
                Ok(Some(held.inspect_err(|_| self.lease.undo())?))
            }
            _ => Err(unexpected()),
        }
    }

    /// A reply is held like a body: its client may take its time.
    fn hold(&self, mut reply: Reply) -> Result<Reply, Fault> {
        let all = &self.lease.policy().plugin.spec.grants.held_bodies;
        let mut held = all.begin();
        if !held.grow_to(reply.body.len()) {
            let text = "the gateway holds as many bodies as it may";
            return Err(Fault::new(FaultKind::BodiesFull, text));
        }
        if !reply.body.is_empty() {
            reply.body = held.around(reply.body);
        }
        Ok(reply)
    }

    pub async fn store(&mut self) -> Result<Storage, Fault> {
        match self.lease.call(Hook::Store).await? {
            Answer::Storage(storage) => storage_of(storage),
            _ => Err(unexpected()),
        }
    }

    /// Answers what each limit, by its name, really costs.
    pub async fn settle(&mut self) -> Result<Vec<(String, u64)>, Fault> {
        match self.lease.call(Hook::Settle).await? {
            Answer::Settlements(settlements) => Ok(settlements
                .into_iter()
                .map(|settlement| (settlement.limit, settlement.cost))
                .collect()),
            _ => Err(unexpected()),
        }
    }
}

/// Whether a request may be answered from the cache.
#[derive(Debug)]
pub enum Lookup {
    Bypass,
    Key(KeyMode),
}

/// Each hook has one kind of answer; another is a bug in the host, which must not panic for it.
pub(in crate::plugin) fn unexpected() -> Fault {
    Fault::new(FaultKind::Error, "the hook's answer is of another hook")
}

fn storage_of(storage: cache_store::Storage) -> Result<Storage, Fault> {
    Ok(match storage {
        cache_store::Storage::Standard => Storage::Standard,
        cache_store::Storage::StandardWithout(names) => Storage::StandardWithout(names_of(names)?),
        cache_store::Storage::Never => Storage::Never,
        cache_store::Storage::Retain(retention) => Storage::Retain(Retention {
            fresh: Duration::from_millis(retention.fresh_ms),
            stale_while_revalidate: Duration::from_millis(retention.stale_while_revalidate_ms),
            stale_if_error: Duration::from_millis(retention.stale_if_error_ms),
            tags: retention.tags,
            without: names_of(retention.without)?,
        }),
    })
}

/// The fields that a response is stored without.
fn names_of(names: Vec<String>) -> Result<Vec<HeaderName>, Fault> {
    let bad = |text| Fault::new(FaultKind::BadReply, text);
    if names.len() > limits::plugin::CACHE_WITHOUT_MAX {
        let (count, max) = (names.len(), limits::plugin::CACHE_WITHOUT_MAX);
        return Err(bad(format!(
            "`without` names {count} fields; at most {max} are taken"
        )));
    }
    let name = |name: &String| {
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            bad(format!(
                "`without` names {}, which is no field",
                quoted(name)
            ))
        })
    };
    names.iter().map(name).collect()
}

fn limit(limit: limiter::Limit) -> Limit {
    Limit {
        name: limit.name,
        bound: match limit.bound {
            limiter::Bound::Rate(rate) => Bound::Rate {
                amount: rate.amount,
                period_ms: rate.period_ms,
                burst: rate.burst,
            },
            limiter::Bound::Quota(quota) => Bound::Quota {
                amount: quota.amount,
                period: match quota.period {
                    limiter::Period::Minute => Period::Minute,
                    limiter::Period::Hour => Period::Hour,
                    limiter::Period::Day => Period::Day,
                    limiter::Period::Week => Period::Week,
                    limiter::Period::Month => Period::Month,
                    limiter::Period::Year => Period::Year,
                },
            },
            limiter::Bound::Concurrent(most) => Bound::Concurrent(most),
        },
        key: limit.key,
        scope: match limit.scope {
            limiter::Scope::Entry => Scope::Entry,
            limiter::Scope::Route => Scope::Route,
            limiter::Scope::Gateway => Scope::Gateway,
        },
        cost: limit.cost,
        enforce: matches!(limit.effect, limiter::Effect::Enforce),
    }
}

/// Checks what an authorizer grants.
fn granted(grant: authorizer::Grant) -> Result<Caller, Fault> {
    let caller = Caller {
        principal: grant.principal,
        usage_key: grant.usage_key,
        claims: grant.claims,
    };
    let bytes = caller.bytes();
    if bytes > limits::message::CALLER_BYTES_MAX
        || caller.claims.len() > limits::message::CLAIMS_MAX
    {
        return Err(Fault::new(
            FaultKind::BadReply,
            format!(
                "the grant has {bytes} bytes and {} claims; at most {} and {} are kept",
                caller.claims.len(),
                limits::message::CALLER_BYTES_MAX,
                limits::message::CLAIMS_MAX
            ),
        ));
    }
    // One value for each name.
    let mut granted = Caller::default();
    granted.extend(caller);
    Ok(granted)
}

/// Checks that a reply is HTTP, and takes out of it what is the gateway's.
fn check(reply: wit::Reply) -> Result<Reply, Fault> {
    let bad = |text: String| Fault::new(FaultKind::BadReply, text);
    let status = StatusCode::from_u16(reply.status)
        .ok()
        .filter(|status| (200..=599).contains(&status.as_u16()))
        .ok_or_else(|| {
            bad(format!(
                "status {} is not between 200 and 599",
                reply.status
            ))
        })?;
    if reply.body.len() > limits::plugin::REPLY_BODY_BYTES_MAX {
        return Err(bad(format!(
            "the body has {} bytes; at most {} are sent",
            reply.body.len(),
            limits::plugin::REPLY_BODY_BYTES_MAX
        )));
    }
    let mut headers = HeaderMap::with_capacity(
        reply
            .headers
            .len()
            .min(limits::message::MESSAGE_HEADER_LINES_MAX),
    );
    for (name, value) in &reply.headers {
        let name: http::HeaderName = name
            .parse()
            .map_err(|_| bad(format!("{} is not a header name", quoted(name))))?;
        let value = fields::value(&name, value).map_err(bad)?;
        fields::room(&headers, name.as_str().len() + value.len()).map_err(bad)?;
        headers.append(name, value);
    }
    fields::remove_hop_by_hop(&mut headers);
    headers.remove(http::header::CONTENT_LENGTH);
    Ok(Reply {
        status,
        headers,
        body: reply.body.into(),
    })
}
