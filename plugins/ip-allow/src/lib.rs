//! Lets in only clients at certain addresses. README.md says how it is configured.
//!
//! A request transformer and not an authorizer, which would have to name a principal: an address says
//! where a request comes from, not who the caller is, and must not replace what an authorizer said.

mod addresses;

use addresses::Addresses;
use tollgate_plugin::{
    EditableRequest, Outcome, Plugin, Reply, RequestTransformer, Result, export,
};

// An empty list is told from one that is not there: what fills `allow` may have found nothing, and
// that must not let in everybody.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Who may call: addresses and networks, such as `192.0.2.1` or `2001:db8::/32`. Left out: all
    /// that `deny` does not name.
    allow: Option<Vec<String>>,
    /// Who may not call, even if `allow` names them.
    deny: Option<Vec<String>>,
}

struct IpAllow {
    /// None: everybody.
    allow: Option<Addresses>,
    deny: Addresses,
    refusal: Reply,
    unknown: Reply,
}

impl Plugin for IpAllow {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        match (&config.allow, &config.deny) {
            (Some(allow), _) if allow.is_empty() => {
                return Err(
                    "`allow` is empty: nobody could call; leave it out to let in all that \
                            `deny` does not name"
                        .into(),
                );
            }
            (None, None) => return Err("give `allow`, `deny` or both".into()),
            (None, Some(deny)) if deny.is_empty() => {
                return Err("`deny` is empty and there is no `allow`: everybody could call".into());
            }
            _ => {}
        }
        let allow = config
            .allow
            .map(|texts| Addresses::new("allow", &texts))
            .transpose()?;
        Ok(IpAllow {
            allow,
            deny: Addresses::new("deny", &config.deny.unwrap_or_default())?,
            refusal: Reply::problem(403, "requests from this address are not accepted"),
            unknown: Reply::problem(403, "the address of the client is not known"),
        })
    }
}

impl RequestTransformer for IpAllow {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        // It may be any, one that `deny` names among them.
        let Ok(client) = request.client_address().parse() else {
            return Ok(Outcome::Respond(self.unknown.clone()));
        };
        let allowed = match &self.allow {
            Some(allow) => allow.contains(client),
            None => true,
        };
        if allowed && !self.deny.contains(client) {
            Ok(Outcome::Next)
        } else {
            Ok(Outcome::Respond(self.refusal.clone()))
        }
    }
}

export!(IpAllow: RequestTransformer);

#[cfg(test)]
mod tests;
