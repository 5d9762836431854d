//! A plugin as a component: where it lives, and how each hook's types become the contract's.

use std::cell::UnsafeCell;

use crate::bindings::imports::tollgate::plugin::{decisions, http};
use crate::bindings::{
    authorizer, cache_lookup, cache_store, limiter, limiter_settle, request_transformer,
    response_transformer,
};
use crate::host::milliseconds;
use crate::{
    Authorizer, BodyStream, Bound, CacheLookup, CacheStore, Decision, EditableRequest,
    EditableResponse, Effect, EntryKey, Limit, Limiter, LimiterSettle, Outcome, Period, Plugin,
    Reply, Request, RequestStream, RequestTransformer, Response, ResponseStream,
    ResponseTransformer, Scope, Source, Storage, Verdict,
};

/// Heap that `configure` leaves free, in bytes. The snapshot keeps it, so that an ordinary
/// call never has to grow the memory.
const FREE_HEAP: usize = 64 * 1024;

/// Where the configured plugin lives for as long as the instance does.
pub struct Slot<P>(UnsafeCell<Option<P>>);

// SAFETY: an instance has one thread, and the host never calls into an instance that has
// not answered yet, so nothing is ever accessed twice at once.
unsafe impl<P> Sync for Slot<P> {}

impl<P: Plugin> Slot<P> {
    #[expect(clippy::new_without_default, reason = "a static needs a const fn")]
    pub const fn new() -> Self {
        Slot(UnsafeCell::new(None))
    }

    /// Parses the configuration and makes the plugin.
    pub fn configure(&self, config: &str) -> Result<(), String> {
        std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
        let config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let plugin = P::configure(config).map_err(|error| error.to_string())?;
        // SAFETY: see `Sync` above; no reference from `get` is alive while the host calls
        // `configure`.
        unsafe { *self.0.get() = Some(plugin) };
        let mut free = Vec::<u8>::new();
        // A plugin near its limit goes without. Without `black_box` all of this is nothing
        // to an optimiser.
        let _ = free.try_reserve_exact(FREE_HEAP);
        drop(std::hint::black_box(free));
        Ok(())
    }

    /// The plugin. The host configures before it calls a hook.
    pub fn get(&self) -> &P {
        // SAFETY: see `Sync` above; written only by `configure`, which is over.
        unsafe { &*self.0.get() }
            .as_ref()
            .expect("a hook was called before `configure`")
    }
}

fn reply(reply: Reply) -> http::Reply {
    http::Reply {
        status: reply.status,
        headers: reply.headers,
        body: reply.body,
    }
}

pub fn authorize<P: Authorizer>(
    plugin: &P,
    request: &http::Request,
) -> Result<authorizer::exports::tollgate::plugin::authorizer::Decision, String> {
    use authorizer::exports::tollgate::plugin::authorizer as wit;
    let Decision {
        verdict,
        remember,
        across,
    } = plugin
        .authorize(Request::wrap(request))
        .map_err(|error| error.to_string())?;
    for source in across {
        match source {
            Source::Fetch => decisions::across_fetch(),
            Source::Kv => decisions::across_kv(),
        }
    }
    Ok(wit::Decision {
        verdict: match verdict {
            Verdict::Allow(grant) => wit::Verdict::Allow(wit::Grant {
                principal: grant.principal,
                claims: grant
                    .claims
                    .into_iter()
                    .map(|(name, value)| (name, value.to_string()))
                    .collect(),
                usage_key: grant.usage_key,
            }),
            Verdict::Deny(denial) => wit::Verdict::Deny(reply(denial)),
        },
        remember_ms: remember.map(|time| u32::try_from(milliseconds(time)).unwrap_or(u32::MAX)),
    })
}

pub fn transform_request<P: RequestTransformer>(
    plugin: &P,
    request: &http::Request,
    edits: &http::RequestEdits,
) -> Result<request_transformer::exports::tollgate::plugin::request_transformer::Outcome, String> {
    use request_transformer::exports::tollgate::plugin::request_transformer as wit;
    let mut request = EditableRequest::new(Request::wrap(request), edits);
    match plugin.transform_request(&mut request) {
        Ok(Outcome::Next) => Ok(wit::Outcome::Next),
        Ok(Outcome::Respond(answer)) => Ok(wit::Outcome::Respond(reply(answer))),
        Err(error) => Err(error.to_string()),
    }
}

pub fn transform_response<P: ResponseTransformer>(
    plugin: &P,
    request: &http::Request,
    response: &http::Response,
    edits: &http::ResponseEdits,
) -> Result<response_transformer::exports::tollgate::plugin::response_transformer::Outcome, String>
{
    use response_transformer::exports::tollgate::plugin::response_transformer as wit;
    let mut response = EditableResponse::new(Response::wrap(response), edits);
    match plugin.transform_response(Request::wrap(request), &mut response) {
        Ok(Outcome::Next) => Ok(wit::Outcome::Next),
        Ok(Outcome::Respond(answer)) => Ok(wit::Outcome::Respond(reply(answer))),
        Err(error) => Err(error.to_string()),
    }
}

pub fn limits<P: Limiter>(
    plugin: &P,
    request: &http::Request,
) -> Result<Vec<limiter::exports::tollgate::plugin::limiter::Limit>, String> {
    use limiter::exports::tollgate::plugin::limiter as wit;
    let limits = plugin
        .limits(Request::wrap(request))
        .map_err(|error| error.to_string())?;
    let limit = |limit: Limit| wit::Limit {
        name: limit.name,
        bound: match limit.bound {
            Bound::Rate {
                amount,
                period,
                burst,
            } => wit::Bound::Rate(wit::Rate {
                amount,
                period_ms: milliseconds(period),
                burst,
            }),
            Bound::Quota { amount, period } => wit::Bound::Quota(wit::Quota {
                amount,
                period: match period {
                    Period::Minute => wit::Period::Minute,
                    Period::Hour => wit::Period::Hour,
                    Period::Day => wit::Period::Day,
                    Period::Week => wit::Period::Week,
                    Period::Month => wit::Period::Month,
                    Period::Year => wit::Period::Year,
                },
            }),
            Bound::Concurrent(amount) => wit::Bound::Concurrent(amount),
        },
        key: limit.key,
        scope: match limit.scope {
            Scope::Entry => wit::Scope::Entry,
            Scope::Route => wit::Scope::Route,
            Scope::Gateway => wit::Scope::Gateway,
        },
        cost: limit.cost,
        effect: match limit.effect {
            Effect::Enforce => wit::Effect::Enforce,
            Effect::Count => wit::Effect::Count,
        },
    };
    Ok(limits.into_iter().map(limit).collect())
}

pub fn settle<P: LimiterSettle>(
    plugin: &P,
    request: &http::Request,
    response: &http::Response,
) -> Result<Vec<limiter_settle::exports::tollgate::plugin::limiter_settle::Settlement>, String> {
    use limiter_settle::exports::tollgate::plugin::limiter_settle as wit;
    let settlements = plugin
        .settle(Request::wrap(request), Response::wrap(response))
        .map_err(|error| error.to_string())?;
    Ok(settlements
        .into_iter()
        .map(|settlement| wit::Settlement {
            limit: settlement.limit,
            cost: settlement.cost,
        })
        .collect())
}

pub fn lookup<P: CacheLookup>(
    plugin: &P,
    request: &http::Request,
) -> Result<cache_lookup::exports::tollgate::plugin::cache_lookup::EntryKey, String> {
    use cache_lookup::exports::tollgate::plugin::cache_lookup as wit;
    match plugin.lookup(Request::wrap(request)) {
        Ok(EntryKey::Bypass) => Ok(wit::EntryKey::Bypass),
        Ok(EntryKey::Standard) => Ok(wit::EntryKey::Standard),
        Ok(EntryKey::Keyed(parts)) => Ok(wit::EntryKey::Keyed(parts)),
        Err(error) => Err(error.to_string()),
    }
}

pub fn store<P: CacheStore>(
    plugin: &P,
    request: &http::Request,
    response: &http::Response,
) -> Result<cache_store::exports::tollgate::plugin::cache_store::Storage, String> {
    use cache_store::exports::tollgate::plugin::cache_store as wit;
    match plugin.store(Request::wrap(request), Response::wrap(response)) {
        Ok(Storage::Standard) => Ok(wit::Storage::Standard),
        Ok(Storage::StandardWithout(headers)) => Ok(wit::Storage::StandardWithout(headers)),
        Ok(Storage::Never) => Ok(wit::Storage::Never),
        Ok(Storage::Retain(retention)) => Ok(wit::Storage::Retain(wit::Retention {
            fresh_ms: milliseconds(retention.fresh),
            stale_while_revalidate_ms: milliseconds(retention.stale_while_revalidate),
            stale_if_error_ms: milliseconds(retention.stale_if_error),
            tags: retention.tags,
            without: retention.without,
        })),
        Err(error) => Err(error.to_string()),
    }
}

/// Where the stream of the body lives that goes through the instance.
pub struct StreamSlot(UnsafeCell<Option<Box<dyn BodyStream>>>);

// SAFETY: as of `Slot`.
unsafe impl Sync for StreamSlot {}

impl StreamSlot {
    #[expect(clippy::new_without_default, reason = "a static needs a const fn")]
    pub const fn new() -> Self {
        StreamSlot(UnsafeCell::new(None))
    }

    fn put(&self, stream: Option<Box<dyn BodyStream>>) {
        // SAFETY: see `Sync` above; no reference into the cell outlives the line that makes it.
        unsafe { *self.0.get() = stream }
    }

    pub fn chunk(&self, piece: &[u8], last: bool) -> Result<Vec<u8>, String> {
        // SAFETY: as in `put`.
        let Some(mut stream) = unsafe { &mut *self.0.get() }.take() else {
            return Err("no body was opened".to_owned());
        };
        let answer = stream
            .chunk(piece, last)
            .map_err(|error| error.to_string())?;
        if !last {
            self.put(Some(stream));
        }
        Ok(answer)
    }
}

pub fn open_request<P: RequestStream>(
    plugin: &'static P,
    slot: &StreamSlot,
    request: &http::Request,
) -> Result<bool, String> {
    let stream = plugin.open_request(Request::wrap(request));
    let stream = stream.map_err(|error| error.to_string())?;
    let opened = stream.is_some();
    slot.put(stream);
    Ok(opened)
}

pub fn open_response<P: ResponseStream>(
    plugin: &'static P,
    slot: &StreamSlot,
    request: &http::Request,
    response: &http::Response,
) -> Result<bool, String> {
    let stream = plugin.open_response(Request::wrap(request), Response::wrap(response));
    let stream = stream.map_err(|error| error.to_string())?;
    let opened = stream.is_some();
    slot.put(stream);
    Ok(opened)
}
