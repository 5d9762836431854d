//! What failed, whose fault it is, and what the client is told of it.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};

use crate::http::body::Upload;
use crate::http::cause::Cause;
use crate::http::exchange::ResponseHead;

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Client,
    Plugin,
    Upstream,
    Gateway,
}

impl Blame {
    pub const fn label(self) -> &'static str {
        match self {
            Blame::Client => "client",
            Blame::Plugin => "plugin",
            Blame::Upstream => "upstream",
            Blame::Gateway => "gateway",
        }
    }
}

/// A request that the gateway itself answers, or that ended without an answer.
#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: FailureKind,
    /// For the log: may name hosts and plugins.
    pub detail: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Failure {}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    /// Not a request that may be forwarded; the text is for the client.
    BadRequest(&'static str),
    TargetTooLong,
    HeadersTooLarge,
    /// A policy reads bodies up to a size, and this one is larger.
    BodyTooLarge,
    /// Bodies that policies hold take up all that they may, together.
    BodiesFull,
    /// The body is not what its framing says.
    BadBody,
    /// No body came for too long.
    ClientStalled,
    /// The client went away.
    ClientGone,
    NoRoute,
    MethodNotAllowed(Vec<Method>),
    /// TRACE, which would show a client what plugins add to its request.
    NotImplemented,
    /// The request passed through here before, again and again.
    Loop,
    /// All request permits are taken.
    Overloaded,
    /// The process stopped before the request ended.
    Stopped,
    /// A plugin faulted, and its entry fails closed.
    Plugin,
    /// A plugin's instances are all taken.
    PluginBusy,
    /// No server of the upstream accepted a connection.
    Unreachable,
    ConnectTimeout,
    /// This machine has no socket for a connection to the upstream: no descriptor, memory or port.
    Exhausted,
    FirstByteTimeout,
    TotalTimeout,
    /// The upstream broke off, or did not speak HTTP.
    BadGateway,
}

impl Failure {
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Failure {
            kind,
            detail: detail.into(),
        }
    }

    /// Why an upload did not come whole: what we ended it for, or what its client did.
    pub fn of_upload(upload: &Upload) -> Option<Failure> {
        if let Some(cause) = upload.cause() {
            return cause.get().cloned();
        }
        let (kind, detail) = if let Some(text) = upload.malformed() {
            (FailureKind::BadBody, text)
        } else if upload.stalled.load(Ordering::Relaxed) {
            (FailureKind::ClientStalled, "the upload stalled")
        } else if upload.broken.load(Ordering::Relaxed) {
            (FailureKind::ClientGone, "the client broke off its upload")
        } else {
            return None;
        };
        Some(Failure::new(kind, detail))
    }

    /// The failure that a body was ended for, if we ended it.
    pub fn of_body(error: &std::io::Error) -> Option<Failure> {
        Cause::of(error)?.get().cloned()
    }

    pub fn blame(&self) -> Blame {
        use FailureKind as K;
        match self.kind {
            K::BadRequest(_)
            | K::TargetTooLong
            | K::HeadersTooLarge
            | K::BodyTooLarge
            | K::BadBody
            | K::ClientStalled
            | K::ClientGone
            | K::NoRoute
            | K::MethodNotAllowed(_)
            | K::NotImplemented => Blame::Client,
            K::Loop | K::Overloaded | K::BodiesFull | K::Stopped | K::Exhausted => Blame::Gateway,
            K::Plugin | K::PluginBusy => Blame::Plugin,
            K::Unreachable
            | K::ConnectTimeout
            | K::FirstByteTimeout
            | K::TotalTimeout
            | K::BadGateway => Blame::Upstream,
        }
    }

    /// A stable word for logs.
    pub fn label(&self) -> &'static str {
        use FailureKind as K;
        match self.kind {
            K::BadRequest(_) => "bad-request",
            K::TargetTooLong => "target-too-long",
            K::HeadersTooLarge => "headers-too-large",
            K::BodyTooLarge => "body-too-large",
            K::BodiesFull => "bodies-full",
            K::BadBody => "bad-body",
            K::ClientStalled => "client-stalled",
            K::ClientGone => "client-gone",
            K::NoRoute => "no-route",
            K::MethodNotAllowed(_) => "method-not-allowed",
            K::NotImplemented => "not-implemented",
            K::Loop => "loop",
            K::Overloaded => "overloaded",
            K::Stopped => "stopped",
            K::Plugin => "plugin-fault",
            K::PluginBusy => "plugin-busy",
            K::Unreachable => "unreachable",
            K::ConnectTimeout => "connect-timeout",
            K::Exhausted => "exhausted",
            K::FirstByteTimeout => "first-byte-timeout",
            K::TotalTimeout => "total-timeout",
            K::BadGateway => "bad-gateway",
        }
    }

    /// The status, and what the client may know. Names of plugins and servers stay in the log.
    fn public(&self) -> (StatusCode, &'static str) {
        use FailureKind as K;
        match self.kind {
            K::BadRequest(text) => (StatusCode::BAD_REQUEST, text),
            K::TargetTooLong => (StatusCode::URI_TOO_LONG, "the request's target is too long"),
            K::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request's headers are too large",
            ),
            K::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request's body is too large for this route",
            ),
            K::BadBody => (
                StatusCode::BAD_REQUEST,
                "the request's body is not what its framing says",
            ),
            K::ClientStalled | K::ClientGone => (
                StatusCode::REQUEST_TIMEOUT,
                "the request did not arrive whole",
            ),
            K::NoRoute => (StatusCode::NOT_FOUND, "no route matches this request"),
            K::MethodNotAllowed(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "no route at this path takes this method",
            ),
            K::NotImplemented => (
                StatusCode::NOT_IMPLEMENTED,
                "the gateway does not trace requests",
            ),
            K::Loop => (
                StatusCode::LOOP_DETECTED,
                "the request came back to the gateway that forwarded it",
            ),
            K::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway serves as many requests as it may",
            ),
            K::BodiesFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway holds as many bodies as it may",
            ),
            K::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
            K::Plugin => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "a policy of this route failed",
            ),
            K::PluginBusy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "a policy of this route is overloaded",
            ),
            K::Unreachable => (StatusCode::BAD_GATEWAY, "the upstream cannot be reached"),
            K::ConnectTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "the upstream did not accept a connection in time",
            ),
            K::Exhausted => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway has no socket for another connection",
            ),
            K::FirstByteTimeout | K::TotalTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "the upstream did not answer in time",
            ),
            K::BadGateway => (
                StatusCode::BAD_GATEWAY,
                "the upstream did not give a valid answer",
            ),
        }
    }

    /// The one place where a failure becomes HTTP: a problem document (RFC 9457).
    pub fn respond(&self, request_id: &str) -> (ResponseHead, Bytes) {
        let (status, detail) = self.public();
        let body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "request-id": request_id,
        });
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match &self.kind {
            FailureKind::MethodNotAllowed(methods) => {
                if let Some(value) = allow(methods) {
                    headers.insert(ALLOW, value);
                }
            }
            FailureKind::Overloaded
            | FailureKind::BodiesFull
            | FailureKind::PluginBusy
            | FailureKind::Exhausted => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        (ResponseHead { status, headers }, body.to_string().into())
    }
}

/// These methods as the value of `Allow`.
pub fn allow(methods: &[Method]) -> Option<HeaderValue> {
    let list: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::try_from(list.join(", ")).ok()
}

/// How a plugin's call went wrong. Kinds are labels of a metric: few, and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest trapped: a panic, an unreachable, an access out of bounds, a stack overflow.
    Trap,
    /// The processor-time budget of the call is spent.
    Cpu,
    /// The call took longer than its wall-time budget.
    Wall,
    /// The guest trapped after it was refused memory.
    Memory,
    /// The hook answered an error.
    Error,
    /// The hook answered what is not HTTP, or more than the bounds allow.
    BadReply,
    /// No instance could be made.
    Instantiate,
    /// All of the plugin's, or all of the process's, calls are taken, and none came free in time.
    Busy,
    /// Bodies that are held for plugins take up all that they may, together: there was no room for one.
    BodiesFull,
    /// The response's body cannot be handed to the plugin: it is a part, or in an encoding that is not
    /// undone. The upstream's fault.
    Unreadable,
    /// The client's body is larger than the plugin may hold. The client's fault.
    BodyTooLarge,
    /// The client's body did not come whole. The client's fault.
    BodyBroken,
    /// The client's body is not in the encoding that it says, or in one that is not undone. The
    /// client's fault.
    BodyEncoding,
}

impl FaultKind {
    pub const ALL: [FaultKind; 13] = [
        FaultKind::Trap,
        FaultKind::Cpu,
        FaultKind::Wall,
        FaultKind::Memory,
        FaultKind::Error,
        FaultKind::BadReply,
        FaultKind::Instantiate,
        FaultKind::Busy,
        FaultKind::BodiesFull,
        FaultKind::Unreadable,
        FaultKind::BodyTooLarge,
        FaultKind::BodyBroken,
        FaultKind::BodyEncoding,
    ];

    /// Whether it is the client's fault.
    pub const fn is_clients(self) -> bool {
        matches!(
            self,
            FaultKind::BodyTooLarge | FaultKind::BodyBroken | FaultKind::BodyEncoding
        )
    }

    pub const fn label(self) -> &'static str {
        match self {
            FaultKind::Trap => "trap",
            FaultKind::Cpu => "cpu",
            FaultKind::Wall => "wall",
            FaultKind::Memory => "memory",
            FaultKind::Error => "error",
            FaultKind::BadReply => "bad-reply",
            FaultKind::Instantiate => "instantiate",
            FaultKind::Busy => "busy",
            FaultKind::BodiesFull => "bodies-full",
            FaultKind::Unreadable => "unreadable",
            FaultKind::BodyTooLarge => "body-too-large",
            FaultKind::BodyBroken => "body-broken",
            FaultKind::BodyEncoding => "body-encoding",
        }
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}
