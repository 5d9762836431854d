//! Admits callers that show a valid JSON Web Token (RFC 7519), as OAuth 2.0 bearers do (RFC 6750).
//! README.md says how it is configured.
//!
//! The gateway verifies signatures with keys that it holds; this plugin judges what a token says. What
//! a client is told has nothing of its token, and nothing that would help to forge one: why a token was
//! refused is in the log and the metrics.

mod claims;
mod config;
mod place;

use claims::{Lines, Reason, Refusal, Rules, Taken, refusal};
use config::Config;
use place::{Places, Shown};
use serde_json::{Map, Value};
use tollgate_plugin::{
    Authorizer, Decision, EditableRequest, Grant, Outcome, Plugin, Reply, Request,
    RequestTransformer, Result, clock, export, log, metrics, signatures,
};

/// Where the authorizer notes the header lines that the transformer writes.
const HEADERS_NOTE: &str = "headers";

struct Jwt {
    key_set: String,
    places: Places,
    strip: bool,
    rules: Rules,
    taken: Taken,
    missing: Reply,
    several: Reply,
    invalid: Reply,
    scope: Reply,
}

impl Plugin for Jwt {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        if config.key_set.is_empty() {
            return Err("`key-set` is empty".into());
        }
        let places = Places::new(config.header, config.cookie, config.query)?;
        config::claims("require", &config.require)?;
        config::claims("principal", std::slice::from_ref(&config.principal))?;
        config::claims("usage-key", config.usage_key.as_slice())?;
        if config.principal_prefix.contains(char::is_control) {
            return Err("`principal-prefix` has control characters".into());
        }
        let taken = Taken {
            principal: config.principal,
            principal_prefix: config.principal_prefix,
            usage_key: config.usage_key,
            claims: match config.claims {
                config::Claims::All(config::All::All) => None,
                config::Claims::Named(names) => {
                    config::claims("claims", &names)?;
                    Some(names)
                }
            },
            headers: config::headers(config.headers)?,
        };
        let rules = Rules {
            issuers: config.issuer.values("issuer")?,
            audiences: config.audience.values("audience")?,
            leeway_s: config::leeway(&config.leeway)?,
            require: config.require,
            kind: config.typ.map(|typ| claims::media_type(&typ).to_owned()),
            algorithms: config::algorithms(config.algorithms)?,
            scopes: config::scopes(config.scopes)?,
        };
        if rules.kind.as_deref() == Some("") {
            return Err("`typ` is empty".into());
        }
        let scopes = rules.scopes.join(" ");
        Ok(Jwt {
            // RFC 6750, section 3.1: who shows nothing is told no error.
            missing: refuse(401, &places.needed(), ""),
            several: refuse(
                400,
                &places.needed(),
                ", error=\"invalid_request\", error_description=\"exactly one token is needed\"",
            ),
            invalid: refuse(
                401,
                "the token is not valid",
                ", error=\"invalid_token\", error_description=\"the token is not valid\"",
            ),
            scope: refuse(
                403,
                "the token does not have the scopes that are needed",
                &format!(", error=\"insufficient_scope\", scope=\"{scopes}\""),
            ),
            key_set: config.key_set,
            places,
            strip: config.strip,
            rules,
            taken,
        })
    }
}

/// RFC 6750, section 3. Descriptions have nothing of a request, and nothing that a quoted text cannot
/// have; the detail in the body may.
fn refuse(status: u16, detail: &str, error: &str) -> Reply {
    let challenge = format!("Bearer realm=\"tollgate\"{error}");
    Reply::problem(status, detail).header("www-authenticate", challenge)
}

impl Authorizer for Jwt {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let token = match self.places.find(request) {
            Shown::Token(token) => token,
            Shown::Nothing => return Ok(denied("missing", &self.missing)),
            Shown::Several => return Ok(denied("several", &self.several)),
        };
        let refusal = match self.judge(&token) {
            Ok((grant, headers)) => {
                if !headers.is_empty() {
                    request.set_attribute(HEADERS_NOTE, &serde_json::to_string(&headers)?)?;
                }
                return Ok(grant.into());
            }
            Err(refusal) => refusal,
        };
        log::debug(&format!("a token was refused: {}", refusal.text));
        let reply = match refusal.reason {
            Reason::Scope => &self.scope,
            _ => &self.invalid,
        };
        Ok(denied(refusal.reason.name(), reply))
    }
}

impl RequestTransformer for Jwt {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        if self.strip {
            self.places.strip(request)?;
        }
        // What the client sent under these names is no claim of its token.
        for (_, field) in &self.taken.headers {
            request.remove_header(field)?;
        }
        if !self.taken.headers.is_empty()
            && let Some(note) = request.own_attribute(HEADERS_NOTE)
        {
            for (field, value) in serde_json::from_str::<Vec<(String, String)>>(&note)? {
                request.set_header(&field, value)?;
            }
        }
        Ok(Outcome::Next)
    }
}

export!(Jwt: Authorizer, RequestTransformer);

fn denied(reason: &str, reply: &Reply) -> Decision {
    metrics::counter_add("refused_total", &[("reason", reason)], 1);
    Decision::deny(reply.clone())
}

impl Jwt {
    /// What the token grants, and the header lines for the upstream.
    fn judge(&self, token: &str) -> Result<(Grant, Lines<'_>), Refusal> {
        let token = signatures::verify_jws(token, &self.key_set)
            .map_err(|why| refusal(Reason::Signature, why.to_string()))?;
        // The parser's own words could quote the token.
        let claims: Map<String, Value> = token
            .claims()
            .map_err(|_| refusal(Reason::Claims, "its payload is not a JSON object"))?;
        let now_s = clock::since_epoch().as_secs_f64();
        self.rules.check(&token.header, &claims, now_s)?;
        let grant = self.taken.grant(&claims)?;
        let headers = self.taken.headers(&claims)?;
        self.rules.check_scopes(&claims)?;
        Ok((grant, headers))
    }
}

#[cfg(test)]
mod tests;
