//! A plugin with one configuration, ready to be called: what a chain entry runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::tollgate::plugin::{
    authorizer, lifecycle, request_transformer, response_transformer,
};
use super::bindings::tollgate::plugin::http as wit;
use super::contract::Hooks;
use super::fault::{Fault, FaultKind};
use super::lease::{Answer, Hook, Idle, Lease};
use super::load::{self, LoadError, Plugin};
use super::snapshot::{self, NoSnapshot};
use super::state::{Identity, State};
use super::trial;
use crate::http::exchange::{Exchange, Grant};
use crate::http::fields;
use crate::limits;

/// How many calls one instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    pub calls: u32,
}

/// The hooks' exports, looked up once.
pub(super) struct Exports {
    pub lifecycle: lifecycle::GuestIndices,
    pub authorizer: Option<authorizer::GuestIndices>,
    pub request_transformer: Option<request_transformer::GuestIndices>,
    pub response_transformer: Option<response_transformer::GuestIndices>,
}

/// One policy of the configuration.
pub struct Policy {
    pub identity: Identity,
    pub hooks: Hooks,
    pub instances: Instances,
    pub(super) plugin: Arc<Plugin>,
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
    /// Configured at the start of each instance, where there is no snapshot.
    pub(super) configure_each: Option<String>,
    pub(super) idle: Idle,
    /// Calls of this plugin at once.
    pub(super) permits: Arc<tokio::sync::Semaphore>,
}

/// A whole response that a plugin made, checked.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a visit on the way in came to.
#[derive(Debug)]
pub enum WayIn {
    /// An authorizer allowed it.
    Allowed,
    /// An authorizer denied it.
    Denied(Reply),
    /// Nothing stood in the way.
    Passed,
    /// A transformer answered it.
    Responded(Reply),
}

/// What a visit on the way out came to.
#[derive(Debug)]
pub enum WayOut {
    Passed,
    /// This takes the response's place.
    Replaced(Reply),
}

/// A visit of one entry: the message comes back whatever happened.
#[derive(Debug)]
pub struct Visit<T> {
    pub exchange: Box<Exchange>,
    pub result: Result<T, Fault>,
    pub elapsed: Duration,
    /// Processor time, where the visit was long enough for a tick of the clock to be seen.
    pub cpu: Option<Duration>,
}

impl Policy {
    /// Configures a plugin.
    ///
    /// # Errors
    /// If the plugin refuses the configuration, or cannot be captured although it must.
    pub fn load(
        plugin: &Arc<Plugin>,
        name: &Arc<str>,
        config: &serde_json::Value,
        instances: Instances,
        permits: Arc<tokio::sync::Semaphore>,
    ) -> Result<Policy, LoadError> {
        load::guarded(|| Policy::prepare(plugin, name, config, instances, permits))
    }

    fn prepare(
        plugin: &Arc<Plugin>,
        name: &Arc<str>,
        config: &serde_json::Value,
        instances: Instances,
        permits: Arc<tokio::sync::Semaphore>,
    ) -> Result<Policy, LoadError> {
        plugin.check_config(config)?;
        let config = config.to_string();
        let (component, configure_each) = component(plugin, name, config, instances)?;
        let pre = plugin.link(&component).map_err(LoadError::plugin)?;
        let exports = exports(&pre, plugin.shape.hooks).map_err(LoadError::plugin)?;
        let policy = Policy {
            identity: Identity {
                plugin: Arc::clone(&plugin.spec.name),
                policy: Arc::clone(name),
            },
            hooks: plugin.shape.hooks,
            instances,
            plugin: Arc::clone(plugin),
            pre,
            exports,
            configure_each,
            idle: Idle::new(plugin.runtime.idle_per_policy),
            permits,
        };
        trial::try_out(&policy)?;
        Ok(policy)
    }

    /// Runs the hooks of the way in: the authorizer, then the request transformer, in one instance.
    pub async fn way_in(&self, exchange: Box<Exchange>) -> Visit<WayIn> {
        let started = Instant::now();
        let mut lease = match Lease::take(self, exchange).await {
            Ok(lease) => lease,
            Err((exchange, fault)) => return Visit::failed(exchange, fault, started),
        };
        let mut outcome = Ok(WayIn::Passed);
        if self.exports.authorizer.is_some() {
            outcome = match lease.call(Hook::Authorize).await {
                Ok(Answer::Decision(decision)) => settle(&mut lease, decision),
                Ok(_) => Err(unexpected()),
                Err(fault) => Err(fault),
            };
        }
        let goes_on = matches!(outcome, Ok(WayIn::Passed | WayIn::Allowed));
        if goes_on && self.exports.request_transformer.is_some() {
            let transformed = match lease.call(Hook::TransformRequest).await {
                Ok(Answer::Next) => Ok(None),
                Ok(Answer::Respond(reply)) => check(reply).map(Some),
                Ok(_) => Err(unexpected()),
                Err(fault) => Err(fault),
            };
            match transformed {
                Ok(None) => {}
                Ok(Some(reply)) => outcome = Ok(WayIn::Responded(reply)),
                Err(fault) => outcome = Err(fault),
            }
        }
        lease.finish(outcome, started)
    }

    /// Runs the hook of the way out. The exchange has a response.
    pub async fn way_out(&self, exchange: Box<Exchange>) -> Visit<WayOut> {
        let started = Instant::now();
        let mut lease = match Lease::take(self, exchange).await {
            Ok(lease) => lease,
            Err((exchange, fault)) => return Visit::failed(exchange, fault, started),
        };
        let outcome = match lease.call(Hook::TransformResponse).await {
            Ok(Answer::Next) => Ok(WayOut::Passed),
            Ok(Answer::Respond(reply)) => check(reply).map(WayOut::Replaced),
            Ok(_) => Err(unexpected()),
            Err(fault) => Err(fault),
        };
        lease.finish(outcome, started)
    }
}

impl<T> Visit<T> {
    fn failed(exchange: Box<Exchange>, fault: Fault, started: Instant) -> Self {
        Visit {
            exchange,
            result: Err(fault),
            elapsed: started.elapsed(),
            cpu: None,
        }
    }
}

/// The captured component, or, where the operator accepts it, the plain one with the configuration
/// for each instance.
fn component(
    plugin: &Plugin,
    name: &Arc<str>,
    config: String,
    instances: Instances,
) -> Result<(Component, Option<String>), LoadError> {
    if !plugin.spec.snapshot {
        return Ok((plugin.component.clone(), Some(config)));
    }
    match snapshot::configured(plugin, name, &config) {
        Ok(component) => Ok((component, None)),
        Err(NoSnapshot::Refused(error)) => Err(error),
        Err(NoSnapshot::NotPossible(text)) if instances.calls > 1 => {
            tracing::warn!(
                plugin = &*plugin.spec.name,
                policy = &**name,
                "no snapshot, so each instance is configured anew: {text}"
            );
            Ok((plugin.component.clone(), Some(config)))
        }
        Err(NoSnapshot::NotPossible(text)) => Err(LoadError::plugin(format!(
            "its configured memory cannot be captured: {text}. Say `snapshot = false` on the plugin \
             to configure it on every call, or `instances = {{ calls = N }}` on the policy to do so \
             on every Nth"
        ))),
    }
}

fn exports(pre: &InstancePre<State>, hooks: Hooks) -> Result<Exports, String> {
    let named = |interface: &str, error: wasmtime::Error| {
        format!("its `{interface}` is not that of the contract: {error:?}")
    };
    Ok(Exports {
        lifecycle: lifecycle::GuestIndices::new(pre).map_err(|error| named("lifecycle", error))?,
        authorizer: hooks
            .authorizer
            .then(|| authorizer::GuestIndices::new(pre))
            .transpose()
            .map_err(|error| named("authorizer", error))?,
        request_transformer: hooks
            .request_transformer
            .then(|| request_transformer::GuestIndices::new(pre))
            .transpose()
            .map_err(|error| named("request-transformer", error))?,
        response_transformer: hooks
            .response_transformer
            .then(|| response_transformer::GuestIndices::new(pre))
            .transpose()
            .map_err(|error| named("response-transformer", error))?,
    })
}

/// Each hook has one kind of answer; another is a bug in the host, which must not panic for it.
fn unexpected() -> Fault {
    Fault::new(FaultKind::Error, "the hook's answer is of another hook")
}

/// Applies a decision to the message.
fn settle(lease: &mut Lease<'_>, decision: authorizer::Decision) -> Result<WayIn, Fault> {
    match decision.verdict {
        authorizer::Verdict::Deny(reply) => check(reply).map(WayIn::Denied),
        authorizer::Verdict::Allow(grant) => {
            let bytes = grant.principal.len()
                + grant.usage_key.as_ref().map_or(0, String::len)
                + grant
                    .claims
                    .iter()
                    .map(|(name, value)| name.len() + value.len())
                    .sum::<usize>();
            if bytes > limits::GRANT_BYTES_MAX || grant.claims.len() > limits::CLAIMS_MAX {
                return Err(Fault::new(
                    FaultKind::BadReply,
                    format!(
                        "the grant has {bytes} bytes and {} claims; at most {} and {} are kept",
                        grant.claims.len(),
                        limits::GRANT_BYTES_MAX,
                        limits::CLAIMS_MAX
                    ),
                ));
            }
            let mut granted = Grant::default();
            granted.extend(Grant {
                principal: grant.principal,
                usage_key: grant.usage_key,
                claims: grant.claims,
            });
            let Some(exchange) = lease.exchange() else {
                return Err(unexpected());
            };
            match &mut exchange.grant {
                Some(earlier) => earlier.extend(granted),
                None => exchange.grant = Some(granted),
            }
            Ok(WayIn::Allowed)
        }
    }
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
    if reply.body.len() > limits::REPLY_BODY_BYTES_MAX {
        return Err(bad(format!(
            "the body has {} bytes; at most {} are sent",
            reply.body.len(),
            limits::REPLY_BODY_BYTES_MAX
        )));
    }
    let mut headers =
        HeaderMap::with_capacity(reply.headers.len().min(limits::MESSAGE_HEADER_LINES_MAX));
    for (name, value) in &reply.headers {
        let name: http::HeaderName = name
            .parse()
            .map_err(|_| bad(format!("`{}` is not a header name", name.escape_debug())))?;
        let value = fields::value(&name, value).map_err(bad)?;
        fields::room(&headers, 0, name.as_str().len() + value.len()).map_err(bad)?;
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
