//! Asking the cache, as a cache policy says.

use std::time::SystemTime;

use http::Method;
use http_body::Body;

use super::{Cached, Ended, Entry, Mechanisms, Passage};
use crate::http::exchange::Exchange;
use crate::plugin::Lookup;
use crate::policy::cache::{CacheRequest, Found, KeyMode};

fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Asks the cache. Returns the verdict for the record, and how the way in ended, if it did.
pub(super) async fn look_up(
    entry: &Entry,
    index: usize,
    exchange: &mut Exchange,
    lookup: Lookup,
    charge: Option<usize>,
    mechanisms: &Mechanisms,
    passage: &mut Passage,
) -> (&'static str, Option<Ended>) {
    let mode = match lookup {
        // A request body is not part of any key.
        _ if is_safe(&exchange.request.method) && !exchange.request_body.is_end_stream() => {
            KeyMode::Bypass
        }
        Lookup::Bypass => KeyMode::Bypass,
        Lookup::Key(mode) => mode,
    };
    let head = &exchange.request;
    let request = CacheRequest {
        method: &head.method,
        uri: head.target.uri(),
        scheme: exchange.scheme,
        authority: head.authority().unwrap_or_default(),
        headers: &head.headers,
    };
    let now = SystemTime::now();
    let namespace = &entry.namespace;
    let found = mechanisms.cache.lookup(&request, mode, &namespace.own, now);
    match found.await {
        Found::Served(answer) => {
            passage.answer_cached(exchange, answer);
            passage.tell_limits(exchange, charge);
            ("hit", Some(Ended::Answered))
        }
        Found::AnswerAndRevalidate(answer, fill) => {
            passage.answer_cached(exchange, answer);
            passage.tell_limits(exchange, charge);
            let fill = Box::new(fill);
            ("stale", Some(Ended::AnsweredStale { index, fill }))
        }
        Found::Fetch(fill) => {
            let followers = fill.followers();
            passage.enter_to_fill(index, charge, fill, exchange);
            let leads = followers.map(|followers| Ended::Leads { index, followers });
            ("miss", leads)
        }
        Found::Pass(pass) => {
            let pass = pass.also_in(&namespace.all);
            passage.enter(index, charge, Some(Cached::Pass(pass)));
            ("pass", None)
        }
    }
}
