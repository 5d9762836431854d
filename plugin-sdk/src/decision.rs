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
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Decision {
    pub verdict: Verdict,
    /// How long the gateway may reuse this decision for requests that look the same in everything
    /// that `authorize` read. `None`: not at all.
    pub remember: Option<Duration>,
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
        }
    }

    /// Adds a claim to a grant; nothing on a denial.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        if let Verdict::Allow(grant) = &mut self.verdict {
            grant.claims.push((name.into(), value.into()));
        }
        self
    }

    /// Sets what limits are counted under; nothing on a denial.
    pub fn usage_key(mut self, key: impl Into<String>) -> Self {
        if let Verdict::Allow(grant) = &mut self.verdict {
            grant.usage_key = Some(key.into());
        }
        self
    }

    /// Lets the gateway reuse this decision, denial or not, for this long (whole milliseconds, at
    /// most about 49 days).
    pub fn remember(mut self, time: Duration) -> Self {
        self.remember = Some(time);
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
        }
    }
}
