//! The hooks of the contract, as calls into one instance.

use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};
use wasmtime::{Result, Store, bail};

use super::wasmtime_internal::checked_borrow::{CheckedBorrow, HandleIndices};
use super::wasmtime_internal::with_memory::{GuestMemory, WithMemory};
use crate::http::side::Side;
use crate::plugin::host::bindings::exports::tollgate::plugin::{
    authorizer, cache_lookup, cache_store, limiter, limiter_settle, request_transformer,
    response_transformer,
};
use crate::plugin::host::bindings::tollgate::plugin::http as wit;
use crate::plugin::host::state::{
    RequestEditsHandle, RequestHandle, ResponseEditsHandle, ResponseHandle, State,
};

/// What a component exports of the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hooks {
    pub authorizer: bool,
    pub limiter: bool,
    pub limiter_settle: bool,
    pub cache_lookup: bool,
    pub cache_store: bool,
    pub request_transformer: bool,
    pub response_transformer: bool,
    pub request_stream: bool,
    pub response_stream: bool,
}

impl Hooks {
    /// Whether a visit may begin with a hook that is handed the request alone, and go on with one that is
    /// handed more.
    pub fn hand_one_then_more(self) -> bool {
        (self.authorizer || self.limiter) && self.request_transformer
    }

    /// Whether the entry calls its plugin on the way in, whatever the request's body is.
    pub fn on_way_in(self) -> bool {
        self.authorizer || self.limiter || self.cache_lookup || self.request_transformer
    }

    /// Whether the entry does anything on the way out, with its plugin or by a mechanism.
    pub fn on_way_out(self) -> bool {
        self.limiter || self.cache_lookup || self.response_transformer || self.response_stream
    }
}

/// Which export to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Authorize,
    Limits,
    Lookup,
    TransformRequest,
    TransformResponse,
    Store,
    Settle,
    OpenRequest,
    OpenResponse,
}

impl Hook {
    /// How many handles it is handed.
    fn handles(self) -> u32 {
        match self {
            Hook::Authorize | Hook::Limits | Hook::Lookup | Hook::OpenRequest => 1,
            Hook::TransformRequest | Hook::Store | Hook::Settle | Hook::OpenResponse => 2,
            Hook::TransformResponse => 3,
        }
    }
}

/// What a hook answered, as it stands in the contract.
pub enum Answer {
    Decision(authorizer::Decision),
    Limits(Vec<limiter::Limit>),
    Settlements(Vec<limiter_settle::Settlement>),
    Key(cache_lookup::EntryKey),
    Storage(cache_store::Storage),
    Next,
    Respond(wit::Reply),
    /// Whether the body goes through the plugin.
    Through(bool),
}

/// The functions of the hooks, looked up once.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Exports {
    authorize: Option<ComponentExportIndex>,
    limits: Option<ComponentExportIndex>,
    lookup: Option<ComponentExportIndex>,
    transform_request: Option<ComponentExportIndex>,
    transform_response: Option<ComponentExportIndex>,
    store: Option<ComponentExportIndex>,
    settle: Option<ComponentExportIndex>,
    open_request: Option<ComponentExportIndex>,
    open_response: Option<ComponentExportIndex>,
    request_chunk: Option<ComponentExportIndex>,
    response_chunk: Option<ComponentExportIndex>,
}

impl Exports {
    pub fn of(component: &Component, hooks: Hooks) -> Exports {
        let function = |exported: bool, interface: &str, function: &str| {
            let interface = format!("tollgate:plugin/{interface}@0.1.0");
            let interface = component
                .get_export_index(None, &*interface)
                .filter(|_| exported)?;
            component.get_export_index(Some(&interface), function)
        };
        Exports {
            authorize: function(hooks.authorizer, "authorizer", "authorize"),
            limits: function(hooks.limiter, "limiter", "limits"),
            lookup: function(hooks.cache_lookup, "cache-lookup", "lookup"),
            transform_request: function(
                hooks.request_transformer,
                "request-transformer",
                "transform-request",
            ),
            transform_response: function(
                hooks.response_transformer,
                "response-transformer",
                "transform-response",
            ),
            store: function(hooks.cache_store, "cache-store", "store"),
            settle: function(hooks.limiter_settle, "limiter-settle", "settle"),
            open_request: function(hooks.request_stream, "request-stream", "open-request"),
            open_response: function(hooks.response_stream, "response-stream", "open-response"),
            request_chunk: function(hooks.request_stream, "request-stream", "on-request-chunk"),
            response_chunk: function(
                hooks.response_stream,
                "response-stream",
                "on-response-chunk",
            ),
        }
    }

    /// Holds the functions of an instance against the contract's types.
    ///
    /// # Errors
    /// The interface that differs, and how.
    pub fn check(&self, store: &mut Store<State>, instance: &Instance) -> Result<(), String> {
        /// Looks one hook up with its types, if it is there.
        macro_rules! fits {
            ($($function:ident, $interface:literal, ($($parameter:ty),+) -> $answer:ty;)+) => {$(
                if let Some(index) = &self.$function {
                    instance
                        .get_typed_func::<($(CheckedBorrow<$parameter>,)+), (WithMemory<Result<$answer, String>>,)>(&mut *store, index)
                        .map_err(|error| format!("its `{}` is not that of the contract: {error:?}", $interface))?;
                }
            )+};
        }
        fits! {
            authorize, "authorizer", (RequestHandle) -> authorizer::Decision;
            limits, "limiter", (RequestHandle) -> Vec<limiter::Limit>;
            lookup, "cache-lookup", (RequestHandle) -> cache_lookup::EntryKey;
            transform_request, "request-transformer",
                (RequestHandle, RequestEditsHandle) -> request_transformer::Outcome;
            transform_response, "response-transformer",
                (RequestHandle, ResponseHandle, ResponseEditsHandle) -> response_transformer::Outcome;
            store, "cache-store", (RequestHandle, ResponseHandle) -> cache_store::Storage;
            settle, "limiter-settle",
                (RequestHandle, ResponseHandle) -> Vec<limiter_settle::Settlement>;
            open_request, "request-stream", (RequestHandle) -> bool;
            open_response, "response-stream", (RequestHandle, ResponseHandle) -> bool;
        }
        for (index, interface) in [
            (&self.request_chunk, "request-stream"),
            (&self.response_chunk, "response-stream"),
        ] {
            if let Some(index) = index {
                instance
                    .get_typed_func::<(&[u8], bool), (Chunk,)>(&mut *store, index)
                    .map_err(|error| {
                        format!("its `{interface}` is not that of the contract: {error:?}")
                    })?;
            }
        }
        Ok(())
    }
}

/// What goes on in the place of a piece of a body.
type Chunk = Result<Vec<u8>, String>;

/// Hands a piece of a body to an instance that opened it.
pub(in crate::plugin) async fn chunk(
    exports: &Exports,
    store: &mut Store<State>,
    instance: &Instance,
    side: Side,
    piece: &[u8],
    last: bool,
) -> wasmtime::Result<Chunk> {
    let index = match side {
        Side::Request => &exports.request_chunk,
        Side::Response => &exports.response_chunk,
    };
    let function = index
        .as_ref()
        .and_then(|index| instance.get_func(&mut *store, index));
    let Some(function) = function else {
        bail!("the component has no stream of a {side:?}");
    };
    // SAFETY: `Exports::check` has held an instance of this component against these types.
    let function = unsafe { TypedFunc::<(&[u8], bool), (Chunk,)>::new_unchecked(function) };
    let (answer,) = function.call_async(store, (piece, last)).await?;
    Ok(answer)
}

/// What a guest answered, and where it has its memory.
pub(in crate::plugin) type Called = (Result<Answer, String>, GuestMemory);

/// Calls a hook of an instance of the component that `exports` are of. If it was put back, nothing of what
/// was before may show.
///
/// # Errors
/// [`super::wasmtime_internal::checked_borrow::IndexMismatch`] if something would; no code of the guest has run then.
pub(in crate::plugin) async fn call(
    exports: &Exports,
    store: &mut Store<State>,
    instance: &Instance,
    hook: Hook,
    indices: &mut HandleIndices,
) -> Result<Called> {
    /// Calls one function.
    macro_rules! call {
        ($function:ident($($parameter:expr),+) -> $answer:ty, $made:expr) => {{
            let index = exports.$function.as_ref();
            let Some(function) = index.and_then(|index| instance.get_func(&mut *store, index)) else {
                bail!("the component has no {hook:?}");
            };
            // SAFETY: `Exports::check` has held an instance of this component against these types.
            let function: TypedFunc<_, (WithMemory<Result<$answer, String>>,)> =
                unsafe { TypedFunc::new_unchecked(function) };
            let (answered,) = function.call_async(&mut *store, ($($parameter,)+)).await?;
            (answered.value.map($made), answered.memory)
        }};
    }
    let request = CheckedBorrow::<RequestHandle>::new(1, indices);
    let edits = CheckedBorrow::<RequestEditsHandle>::new(2, indices);
    let response = CheckedBorrow::<ResponseHandle>::new(2, indices);
    let response_edits = CheckedBorrow::<ResponseEditsHandle>::new(3, indices);
    indices.call(hook.handles());
    Ok(match hook {
        Hook::Authorize => call!(authorize(request) -> authorizer::Decision, Answer::Decision),
        Hook::Limits => call!(limits(request) -> Vec<limiter::Limit>, Answer::Limits),
        Hook::Lookup => call!(lookup(request) -> cache_lookup::EntryKey, Answer::Key),
        Hook::TransformRequest => call!(
            transform_request(request, edits) -> request_transformer::Outcome,
            |outcome| match outcome {
                request_transformer::Outcome::Next => Answer::Next,
                request_transformer::Outcome::Respond(reply) => Answer::Respond(reply),
            }
        ),
        Hook::TransformResponse => call!(
            transform_response(request, response, response_edits) -> response_transformer::Outcome,
            |outcome| match outcome {
                response_transformer::Outcome::Next => Answer::Next,
                response_transformer::Outcome::Respond(reply) => Answer::Respond(reply),
            }
        ),
        Hook::Store => call!(store(request, response) -> cache_store::Storage, Answer::Storage),
        Hook::OpenRequest => call!(open_request(request) -> bool, Answer::Through),
        Hook::OpenResponse => call!(open_response(request, response) -> bool, Answer::Through),
        Hook::Settle => {
            call!(settle(request, response) -> Vec<limiter_settle::Settlement>, Answer::Settlements)
        }
    })
}
