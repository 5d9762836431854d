use std::time::Duration;

use crate::Reply;

/// What an [`Authorizer`](crate::Authorizer) decided.
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::{Decision, Reply};
///
/// Decision::allow("alice").claim("tier", "gold").remember(Duration::from_secs(60));
/// Decision::deny(Reply::problem(403, "not on the list"));
/// ```
///
/// See [`remember`](Decision::remember) for what keeps a decision from being remembered.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Decision {
    pub verdict: Verdict,
    /// How long the gateway may reuse this decision: see [`remember`](Decision::remember). `None`: not
    /// at all.
    pub remember: Option<Duration>,
    /// What the plugin answers for while it is remembered: see [`across`](Decision::across).
    pub across: Vec<Source>,
}

/// What no request shows, and a plugin can answer for: see [`Decision::across`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What services answered to [`fetch`](crate::fetch).
    Fetch,
    /// What stood in [`kv`](crate::kv).
    Kv,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Allow(Grant),
    Deny(Reply),
}

/// What an allowed caller is known as by all later entries of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Who the caller is.
    pub principal: String,
    /// Facts about the caller.
    pub claims: Vec<(String, serde_json::Value)>,
    /// What limits are counted under, if not the principal.
    pub usage_key: Option<String>,
}

impl Decision {
    /// The request may go on, as this principal.
    pub fn allow(principal: impl Into<String>) -> Self {
        Grant {
            principal: principal.into(),
            claims: Vec::new(),
            usage_key: None,
        }
        .into()
    }

    /// The request ends with this reply.
    pub fn deny(reply: Reply) -> Self {
        Decision {
            verdict: Verdict::Deny(reply),
            remember: None,
            across: Vec::new(),
        }
    }

    /// Adds a claim to a grant. Has no effect on a denial.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        if let Verdict::Allow(grant) = &mut self.verdict {
            grant.claims.push((name.into(), value.into()));
        }
        self
    }

    /// Sets what limits are counted under. Has no effect on a denial.
    pub fn usage_key(mut self, key: impl Into<String>) -> Self {
        if let Verdict::Allow(grant) = &mut self.verdict {
            grant.usage_key = Some(key.into());
        }
        self
    }

    /// Lets the gateway reuse this decision, allowed or denied, for this long: for requests in which every
    /// getter of [`Request`](crate::Request) that `authorize` called returns the same value again. So a
    /// decision made from a path and a header is never used for another path. Identical requests that
    /// arrive at once are one call; the others wait for it.
    ///
    /// In whole milliseconds (a part of one counts as one), at most one day, and no longer than the
    /// operator allows (`remember-at-most` of the policy).
    ///
    /// **A decision that depended on anything else is not remembered**: on a body
    /// ([`read_body`](crate::Request::read_body)), [`fetch`](crate::fetch), [`kv`](crate::kv), a key set
    /// ([`verify_jws`](crate::signatures::verify_jws)), the [`clock`](crate::clock),
    /// [`random`](crate::random), or the request's identifier ([`id`](crate::Request::id), the header
    /// `x-request-id`, and so [`headers`](crate::Request::headers)). You can answer for `fetch` and `kv`
    /// with [`across`](Decision::across). Nor is one remembered that called more than 64 getters, or has
    /// more than 64 KiB with its notes.
    ///
    /// If a decision asks for a time and is not remembered, the gateway logs a warning, once for each
    /// policy, and counts it in `tollgate_decisions_not_remembered_total`. In a test
    /// [`testing::authorize`](crate::testing::authorize) fails.
    ///
    /// When a decision is reused, `authorize` is not called. The notes that it wrote with
    /// [`set_attribute`](crate::Request::set_attribute) are written again, so the plugin's other hooks
    /// find them.
    pub fn remember(mut self, time: Duration) -> Self {
        self.remember = Some(time);
        self
    }

    /// Says that [`remember`](Decision::remember) holds although `authorize` used this source: for the
    /// time given, you answer for what it said not changing. Requests are still told apart by every getter
    /// that `authorize` called, so call one for everything that the service decides by.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate_plugin::fetch::Fetch;
    /// use tollgate_plugin::{Decision, Reply, Request, Result, Source};
    ///
    /// fn authorize(request: &Request) -> Result<Decision> {
    ///     let key = request.header_text("x-key").unwrap_or_default();
    ///     let answer = Fetch::get("/check").header("x-key", &key).send("keys")?;
    ///     if answer.status() != 200 {
    ///         // Not remembered: a key that was just created works at once.
    ///         return Ok(Decision::deny(Reply::problem(401, "this key is not known")));
    ///     }
    ///     let user = String::from_utf8(answer.into_body())?;
    ///     // A key that was revoked works for up to two more seconds, for any path.
    ///     Ok(Decision::allow(user).remember(Duration::from_secs(2)).across(Source::Fetch))
    /// }
    /// ```
    ///
    /// Without [`remember`](Decision::remember) it has no effect.
    pub fn across(mut self, source: Source) -> Self {
        if !self.across.contains(&source) {
            self.across.push(source);
        }
        self
    }

    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allow(_))
    }
}

impl From<Grant> for Decision {
    fn from(grant: Grant) -> Self {
        Decision {
            verdict: Verdict::Allow(grant),
            remember: None,
            across: Vec::new(),
        }
    }
}
