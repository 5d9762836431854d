//! What a verified token says, and whether that is enough (RFC 7519, section 4.1; RFC 8725, section 3).

use serde_json::{Map, Value};
use tollgate_plugin::Grant;

/// Claims that the gateway takes from one plugin.
const CLAIMS_MAX: usize = 256;

/// What a token must say.
pub struct Rules {
    /// None: anything.
    pub issuers: Option<Vec<String>>,
    /// None: anything.
    pub audiences: Option<Vec<String>>,
    pub leeway_s: f64,
    pub require: Vec<String>,
    /// Without `application/`.
    pub kind: Option<String>,
    /// None: what the keys allow.
    pub algorithms: Option<Vec<String>>,
    pub scopes: Vec<String>,
}

/// What is taken from a token.
pub struct Taken {
    pub principal: String,
    pub principal_prefix: String,
    pub usage_key: Option<String>,
    /// None: all.
    pub claims: Option<Vec<String>>,
    /// Claims, and the header fields that they go to.
    pub headers: Vec<(String, String)>,
}

/// Why a token is refused. The text is for the log, and has nothing of the token.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Signature,
    Algorithm,
    Type,
    Claims,
    Issuer,
    Audience,
    Expired,
    Early,
    Scope,
}

impl Reason {
    /// As metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Signature => "signature",
            Reason::Algorithm => "algorithm",
            Reason::Type => "type",
            Reason::Claims => "claims",
            Reason::Issuer => "issuer",
            Reason::Audience => "audience",
            Reason::Expired => "expired",
            Reason::Early => "early",
            Reason::Scope => "scope",
        }
    }
}

pub fn refusal(reason: Reason, text: impl Into<String>) -> Refusal {
    Refusal {
        reason,
        text: text.into(),
    }
}

type Claims = Map<String, Value>;

/// Header fields and their values.
pub type Lines<'a> = Vec<(&'a str, String)>;

impl Rules {
    pub fn check(&self, header: &Value, claims: &Claims, now_s: f64) -> Result<(), Refusal> {
        self.check_header(header)?;
        if let Some(missing) = self.require.iter().find(|name| is_missing(claims, name)) {
            return Err(refusal(Reason::Claims, format!("it has no `{missing}`")));
        }
        if let Some(issuers) = &self.issuers {
            match claims.get("iss") {
                Some(Value::String(issuer)) if issuers.contains(issuer) => {}
                Some(_) => return Err(refusal(Reason::Issuer, "its `iss` is another")),
                None => return Err(refusal(Reason::Issuer, "it has no `iss`")),
            }
        }
        if let Some(audiences) = &self.audiences {
            let is_ours = |one: &Value| audiences.iter().any(|ours| one == ours);
            match claims.get("aud") {
                Some(Value::Array(several)) if several.iter().any(is_ours) => {}
                Some(one) if is_ours(one) => {}
                Some(_) => return Err(refusal(Reason::Audience, "its `aud` is another")),
                None => return Err(refusal(Reason::Audience, "it has no `aud`")),
            }
        }
        self.check_times(claims, now_s)
    }

    fn check_header(&self, header: &Value) -> Result<(), Refusal> {
        if let Some(algorithms) = &self.algorithms {
            let used = header["alg"].as_str().unwrap_or_default();
            if !algorithms.iter().any(|name| name == used) {
                return Err(refusal(
                    Reason::Algorithm,
                    "its `alg` is not one of `algorithms`",
                ));
            }
        }
        // RFC 8725, section 3.11: so that a token of another kind, by the same issuer, is not taken.
        if let Some(kind) = &self.kind {
            let own = header["typ"].as_str().unwrap_or_default();
            if !media_type(own).eq_ignore_ascii_case(kind) {
                return Err(refusal(Reason::Type, "its `typ` is another, or missing"));
            }
        }
        Ok(())
    }

    fn check_times(&self, claims: &Claims, now_s: f64) -> Result<(), Refusal> {
        if let Some(end_s) = time(claims, "exp")?
            && now_s >= end_s + self.leeway_s
        {
            return Err(refusal(Reason::Expired, "its `exp` is over"));
        }
        for name in ["nbf", "iat"] {
            if let Some(start_s) = time(claims, name)?
                && now_s < start_s - self.leeway_s
            {
                return Err(refusal(
                    Reason::Early,
                    format!("its `{name}` is still to come"),
                ));
            }
        }
        Ok(())
    }

    /// Scopes are asked for last: only who is known is told what is missing.
    pub fn check_scopes(&self, claims: &Claims) -> Result<(), Refusal> {
        let held: Vec<&str> = ["scope", "scp"]
            .into_iter()
            .filter_map(|name| claims.get(name))
            .flat_map(scopes)
            .collect();
        match self
            .scopes
            .iter()
            .find(|scope| !held.contains(&scope.as_str()))
        {
            Some(missing) => Err(refusal(
                Reason::Scope,
                format!("it lacks the scope {missing:?}"),
            )),
            None => Ok(()),
        }
    }
}

/// RFC 7515, section 4.1.9: `application/` may be left out.
pub fn media_type(name: &str) -> &str {
    match name.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => name,
    }
}

fn is_missing(claims: &Claims, name: &str) -> bool {
    claims.get(name).is_none_or(Value::is_null)
}

/// A NumericDate (RFC 7519, section 2): seconds, which may have a fraction.
fn time(claims: &Claims, name: &str) -> Result<Option<f64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(refusal(
                Reason::Claims,
                format!("its `{name}` is not a number"),
            )),
        },
    }
}

/// A text with blanks (RFC 8693, section 4.2), or a list, as some issuers write it.
fn scopes(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.split(' ').collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

impl Taken {
    pub fn grant(&self, claims: &Claims) -> Result<Grant, Refusal> {
        let principal = name(claims, &self.principal)?.ok_or_else(|| {
            refusal(
                Reason::Claims,
                format!("it has no `{}`, which names the caller", self.principal),
            )
        })?;
        let usage_key = match &self.usage_key {
            Some(claim) => name(claims, claim)?,
            None => None,
        };
        let is_taken = |claim: &str| {
            let named = self.claims.as_ref();
            named.is_none_or(|names| names.iter().any(|name| name == claim))
        };
        let taken: Vec<(String, Value)> = claims
            .iter()
            .filter(|(claim, _)| is_taken(claim))
            .map(|(claim, value)| (claim.clone(), value.clone()))
            .collect();
        if taken.len() > CLAIMS_MAX {
            return Err(refusal(
                Reason::Claims,
                format!("it has more than {CLAIMS_MAX} claims"),
            ));
        }
        Ok(Grant {
            principal: format!("{}{principal}", self.principal_prefix),
            claims: taken,
            usage_key,
        })
    }

    /// The header fields to write, each with its value.
    pub fn headers(&self, claims: &Claims) -> Result<Lines<'_>, Refusal> {
        let mut lines = Lines::new();
        for (claim, field) in &self.headers {
            let value = match claims.get(claim) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            };
            // Blanks at the ends would be lost on the way, and ` alice` become `alice`.
            if value.trim_matches([' ', '\t']) != value || value.contains(char::is_control) {
                let text = format!("its `{claim}` cannot stand in a header field");
                return Err(refusal(Reason::Claims, text));
            }
            lines.push((field.as_str(), value));
        }
        Ok(lines)
    }
}

/// A text or a whole number that can be a name: names become log fields and keys of counters.
fn name(claims: &Claims, claim: &str) -> Result<Option<String>, Refusal> {
    let name = match claims.get(claim) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(_) => {
            let text = format!("its `{claim}` is neither a text nor a whole number");
            return Err(refusal(Reason::Claims, text));
        }
    };
    if name.is_empty() || name.trim() != name || name.contains(char::is_control) {
        let text = format!("its `{claim}` is empty, or has control characters or blanks around it");
        return Err(refusal(Reason::Claims, text));
    }
    Ok(Some(name))
}
