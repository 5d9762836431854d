//! The contract's `fetch`: requests to the upstreams that a plugin was granted. They have connections
//! of their own, so that a plugin cannot take those that requests are proxied over.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, Request};
use wasmtime::Result;

use super::bindings::tollgate::plugin::fetch::{self, FetchError, Outbound};
use super::bindings::tollgate::plugin::http::Reply;
use super::edits::lines;
use super::reads::Dependence;
use super::state::NO_WAITING;
use super::state::State;
use crate::error::FailureKind;
use crate::http::body::{BoxBody, Content, Incomplete, RequestBody};
use crate::http::body_budget::HeldBodies;
use crate::http::side::Side;
use crate::http::target::Target;
use crate::http::{fields, hops};
use crate::limits;
use crate::quote::quoted;
use crate::upstream::{OutgoingRequest, Upstream};

const NO_ROOM: &str = "the gateway holds as many bodies as it may";

type Fetched = std::result::Result<Reply, FetchError>;

impl fetch::Host for State {
    async fn send(&mut self, upstream: String, outbound: Outbound) -> Result<Fetched> {
        self.only_in_calls("fetch.send")?;
        let headers: usize = outbound
            .headers
            .iter()
            .map(|(n, v)| n.len() + v.len())
            .sum();
        self.works(upstream.len() + outbound.target.len() + headers + outbound.body.len())?;
        self.depends_on(Dependence::Fetch);
        let Some(upstream) = self.grants.fetch.get(&upstream).cloned() else {
            let name = quoted(&upstream);
            return Ok(Err(FetchError::Failed(format!(
                "upstream {name} is not granted to this plugin; add `grant = {{ fetch = [\"{}\"] }}` to it",
                name.trim_matches('`')
            ))));
        };
        let time = outbound
            .timeout_ms
            .map(|ms| Duration::from_millis(ms.into()));
        let all = Arc::clone(&self.grants.held_bodies);
        let passes = self.exchange()?.passes;
        let request = match request(outbound, passes, &all) {
            Ok(request) => request,
            Err(text) => return Ok(Err(FetchError::Failed(text))),
        };
        let Some(_waiting) = self.may_wait().await else {
            return Ok(Err(FetchError::Failed(NO_WAITING.to_owned())));
        };
        self.cpu.waits();
        let sending = ask(&upstream, request, &all);
        let answer = match time {
            None => sending.await,
            Some(time) => tokio::time::timeout(time, sending)
                .await
                .unwrap_or(Err(FetchError::Timeout)),
        };
        self.cpu.goes_on();
        self.works(answer.as_ref().map_or(0, |reply| reply.body.len()))?;
        Ok(answer)
    }
}

/// What the plugin wrote, as a request that may be sent: the same rules hold as for edits.
fn request(
    outbound: Outbound,
    passes: usize,
    all: &Arc<HeldBodies>,
) -> std::result::Result<Request<RequestBody>, String> {
    let shown = || quoted(&outbound.target);
    if !outbound.target.starts_with('/')
        || outbound.target.len() > limits::message::TARGET_BYTES_MAX
    {
        return Err(format!("{} is not a path with a query", shown()));
    }
    let (path, query) = match outbound.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (outbound.target.as_str(), None),
    };
    let target = Target::new(path, query)?;
    let method = match Method::from_bytes(outbound.method.as_bytes()) {
        Ok(Method::CONNECT) | Err(_) => {
            return Err(format!(
                "{} is not a method to send",
                quoted(&outbound.method)
            ));
        }
        Ok(method) => method,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &outbound.headers {
        let name: HeaderName = match name.parse() {
            // The host that the server is told may be chosen, as with `set-authority`.
            Ok(http::header::HOST) => http::header::HOST,
            _ => fields::editable(Side::Request, name)?,
        };
        let value = fields::value(&name, value)?;
        fields::room(&headers, name.as_str().len() + value.len())?;
        headers.append(name, value);
    }
    let mut hosts = headers.get_all(http::header::HOST).iter();
    let valid = |host: &http::HeaderValue| host.to_str().is_ok_and(fields::is_authority);
    if hosts.next().is_some_and(|host| !valid(host)) || hosts.next().is_some() {
        return Err("its `host` is not one host with a port".to_owned());
    }
    hops::say(&mut headers, passes);
    let body = all.keep(outbound.body).ok_or(NO_ROOM)?;
    let mut request = Request::new(RequestBody::whole(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.uri().clone();
    *request.headers_mut() = headers;
    Ok(request)
}

async fn ask(upstream: &Upstream, request: Request<RequestBody>, all: &Arc<HeldBodies>) -> Fetched {
    let (mut head, body) = request.into_parts();
    let answer = upstream
        .send(OutgoingRequest {
            method: &head.method,
            uri: &head.uri,
            headers: &mut head.headers,
            keeps_headers: false,
            wants_identity: false,
            body,
        })
        .await
        .map_err(|failure| match failure.kind {
            FailureKind::ConnectTimeout
            | FailureKind::FirstByteTimeout
            | FailureKind::TotalTimeout => FetchError::Timeout,
            _ => FetchError::Failed(failure.detail),
        })?;
    let (mut head, body) = answer.response.into_parts();
    let body: BoxBody = Box::pin(body);
    let body = match Content::stream(body)
        .collect(limits::plugin::FETCH_BODY_BYTES_MAX, all)
        .await
    {
        Ok(body) => body.to_vec(),
        Err(Incomplete::TooLarge) => {
            return Err(FetchError::TooLarge(
                limits::plugin::FETCH_BODY_BYTES_MAX as u64,
            ));
        }
        Err(Incomplete::Broken(text)) => return Err(FetchError::Failed(text)),
        Err(Incomplete::Late) => return Err(FetchError::Timeout),
        Err(Incomplete::NoRoom) => return Err(FetchError::Failed(NO_ROOM.to_owned())),
    };
    fields::remove_hop_by_hop(&mut head.headers);
    Ok(Reply {
        status: head.status.as_u16(),
        headers: lines(&head.headers),
        body,
    })
}
