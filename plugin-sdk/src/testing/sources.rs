//! What a decision depended on beside the values of getters, noted as the gateway does: whether it would
//! be remembered.

use super::host::HOST;
use crate::{Decision, Result, Source};

/// What no request shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depends {
    Body,
    Fetch,
    Kv,
    Clock,
    Random,
    KeySet,
    Id,
}

/// The header in which the gateway writes each request's identifier before any plugin sees it.
const REQUEST_ID: &str = "x-request-id";

impl Depends {
    /// What the hook did.
    fn deed(self) -> &'static str {
        match self {
            Depends::Body => "read a body",
            Depends::Fetch => "used `fetch`",
            Depends::Kv => "used `kv`",
            Depends::Clock => "read the clock",
            Depends::Random => "used `random`",
            Depends::KeySet => "verified a token with a key set",
            Depends::Id => {
                "read the request's identifier (`id`, or the header `x-request-id`, alone or among all \
                 headers)"
            }
        }
    }

    /// How the plugin can answer for it, if it can.
    fn source(self) -> Option<Source> {
        match self {
            Depends::Fetch => Some(Source::Fetch),
            Depends::Kv => Some(Source::Kv),
            _ => None,
        }
    }
}

/// Notes it for the call in progress.
pub fn note(what: Depends) {
    HOST.with_borrow_mut(|host| {
        if !host.depends.contains(&what) {
            host.depends.push(what);
        }
    });
}

/// Notes that a header is read.
pub fn note_header(name: &str) {
    if name.eq_ignore_ascii_case(REQUEST_ID) {
        note(Depends::Id);
    }
}

/// Begins a call.
pub fn begin() {
    HOST.with_borrow_mut(|host| host.depends.clear());
}

/// Whether the gateway can remember the decision of the call that has ended, if it asks for that.
pub fn check(decision: &Decision) -> Result<()> {
    let Some(time) = decision.remember.filter(|time| !time.is_zero()) else {
        return Ok(());
    };
    let answered_for = |what: &Depends| {
        let source = what.source();
        source.is_some_and(|source| decision.across.contains(&source))
    };
    let depends = HOST.with_borrow(|host| host.depends.clone());
    let left: Vec<Depends> = depends
        .into_iter()
        .filter(|what| !answered_for(what))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let deeds: Vec<&str> = left.iter().map(|what| what.deed()).collect();
    let advice = match left.iter().all(|what| what.source().is_some()) {
        true => "answer for it with `Decision::across`, or leave `remember` out",
        false => "leave that out, or leave `remember` out",
    };
    let deeds = deeds.join(" and ");
    Err(format!(
        "the decision asks to be remembered for {time:?}, and the gateway would not remember it, because \
         `authorize` {deeds}: {advice}"
    )
    .into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fetch::Fetch;
    use crate::{Authorizer, Plugin, Reply, Request, clock, kv, random, signatures, testing};

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Empty {}

    /// Does something, and asks to be remembered across these.
    struct Asks(fn(&Request), &'static [Source]);

    impl Plugin for Asks {
        type Config = Empty;

        fn configure(_: Empty) -> Result<Self> {
            Err("made by the test itself".into())
        }
    }

    impl Authorizer for Asks {
        fn authorize(&self, request: &Request) -> Result<Decision> {
            (self.0)(request);
            let decision = Decision::allow("a").remember(Duration::from_secs(1));
            Ok(self
                .1
                .iter()
                .fold(decision, |it, source| it.across(*source)))
        }
    }

    fn error(does: fn(&Request), across: &'static [Source]) -> Option<String> {
        testing::upstream("u", |_| Ok(Reply::new(200)));
        let request = testing::request("GET", "/a").build();
        let decision = testing::authorize(&Asks(does, across), &request);
        decision.err().map(|error| error.to_string())
    }

    #[test]
    fn what_the_gateway_would_not_remember_fails() {
        type Asks = fn(&Request);
        let cases: [(Asks, &str); 9] = [
            (
                |request| _ = request.read_body(),
                "read a body: leave that out",
            ),
            (
                |_| _ = Fetch::get("/").send("u"),
                "used `fetch`: answer for it with `Decision::across`",
            ),
            (|_| _ = kv::get("k"), "used `kv`: answer for it"),
            (|_| _ = clock::monotonic(), "read the clock: leave that out"),
            (|_| _ = random::next_u64(), "used `random`: leave that out"),
            (
                |_| _ = signatures::verify_jws("t", "k"),
                "verified a token with a key set: leave that out",
            ),
            (|request| _ = request.id(), "read the request's identifier"),
            (
                |request| _ = request.header("X-Request-ID"),
                "read the request's identifier",
            ),
            (
                |request| _ = request.headers(),
                "read the request's identifier",
            ),
        ];
        for (does, expected) in cases {
            let error = error(does, &[]).unwrap_or_else(|| panic!("not told: {expected}"));
            assert!(error.contains(expected), "{error}\nbut not: {expected}");
            assert!(error.starts_with("the decision asks to be remembered for 1s"));
        }
    }

    #[test]
    fn what_is_answered_for_does_not() {
        let both: fn(&Request) = |_| {
            _ = Fetch::get("/").send("u");
            _ = kv::get("k");
        };
        assert_eq!(error(both, &[Source::Kv, Source::Fetch]), None);
        let left = error(both, &[Source::Kv]).unwrap();
        assert!(left.contains("because `authorize` used `fetch`:"), "{left}");
        assert_eq!(error(|request| _ = request.header("x-key"), &[]), None);
        assert_eq!(error(|request| _ = request.header_names(), &[]), None);
    }

    #[test]
    fn each_call_is_judged_by_itself() {
        clock::monotonic();
        assert_eq!(error(|request| _ = request.path(), &[]), None);
    }
}
