//! Asks an HTTP service whether a request may go on. README.md says how it is configured.
//!
//! The conventions are those that such services know already: the fields that Traefik's `forwardAuth`
//! sends, the statuses that nginx's `auth_request` understands, and the path prefix of Envoy's
//! `ext_authz` over HTTP.

mod answer;
mod forward;
mod question;

use std::collections::BTreeMap;
use std::time::Duration;

use answer::{Reading, SourceConfig};
use forward::Forward;
use question::{Method, Question};
use tollgate_plugin::fetch::Answer;
use tollgate_plugin::{
    Authorizer, Decision, EditableRequest, Grant, Outcome, Plugin, Reply, Request,
    RequestTransformer, Result, export, log,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    /// The upstream that is asked. It must be granted: `grant = { fetch = ["NAME"] }`.
    upstream: String,
    /// The path that is asked, with a query or without.
    path: Option<String>,
    /// What stands before the request's own path and query, in place of `path`.
    path_prefix: Option<String>,
    /// The method that is used: a name, or `original` for the request's own.
    #[serde(default = "method")]
    method: String,
    /// The request headers that are sent along.
    #[serde(default = "headers")]
    headers: Vec<String>,
    /// How long the whole exchange may take.
    #[serde(default = "timeout")]
    timeout: String,
    /// Where the answer says who the caller is.
    principal: SourceConfig,
    /// Who the caller is, if an answer that allows does not say so. Left out: that is no answer.
    anonymous: Option<String>,
    /// Where the answer says what usage is counted under.
    #[serde(default)]
    #[schemars(with = "SourceConfig")]
    usage_key: Option<SourceConfig>,
    /// Where the answer says what later entries can read of the caller, by the claim's name.
    #[serde(default)]
    claims: BTreeMap<String, SourceConfig>,
    /// The headers of an answer that allows which the upstream gets. What a client sends under these
    /// names never passes.
    #[serde(default)]
    forward: Vec<String>,
    /// The headers of an answer that refuses which the client gets.
    #[serde(default = "deny_headers")]
    deny_headers: Vec<String>,
}

fn method() -> String {
    "GET".into()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn headers() -> Vec<String> {
    names(&["authorization", "cookie", "x-request-id"])
}

fn timeout() -> String {
    "1s".into()
}

fn deny_headers() -> Vec<String> {
    names(&[
        "www-authenticate",
        "location",
        "set-cookie",
        "content-type",
        "cache-control",
        "retry-after",
    ])
}

struct ExtAuth {
    upstream: String,
    question: Question,
    reading: Reading,
    forward: Forward,
    /// In lower case.
    deny_headers: Vec<String>,
    unavailable: Reply,
}

impl Plugin for ExtAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        if config.upstream.is_empty() {
            return Err("`upstream` is empty".into());
        }
        let method = Method::new(&config.method)?;
        let timeout = duration(&config.timeout).map_err(|why| format!("`timeout`: {why}"))?;
        let headers = fields("headers", &config.headers)?;
        let reading = Reading::new(
            config.principal,
            config.anonymous,
            config.usage_key,
            config.claims,
        )?;
        Ok(ExtAuth {
            upstream: config.upstream,
            question: Question::new(config.path, config.path_prefix, method, headers, timeout)?,
            reading,
            forward: Forward(fields("forward", &config.forward)?),
            deny_headers: fields("deny-headers", &config.deny_headers)?,
            unavailable: Reply::problem(503, "it cannot be found out at present who is calling"),
        })
    }
}

impl Authorizer for ExtAuth {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let answer = match self.question.about(request).send(&self.upstream) {
            Ok(answer) => answer,
            Err(error) => return Ok(self.closed(&error.to_string())),
        };
        match answer.status() {
            200..=299 => match self.reading.grant(&answer) {
                Ok(grant) => self.allow(request, grant, &answer),
                Err(why) => Ok(self.closed(&why)),
            },
            // 304 answers a condition, and none was asked.
            304 => Ok(self.closed("the service answered 304")),
            300..=399 | 401 | 403 | 429 => Ok(Decision::deny(self.denial(answer))),
            // A path that is not there, or a service that fails, says nothing of the caller.
            status => Ok(self.closed(&format!("the service answered {status}"))),
        }
    }
}

impl RequestTransformer for ExtAuth {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        self.forward.write(request)?;
        Ok(Outcome::Next)
    }
}

export!(ExtAuth: Authorizer, RequestTransformer);

impl ExtAuth {
    /// Whatever is not an answer lets nobody in.
    fn closed(&self, why: &str) -> Decision {
        log::error(&format!("answered 503: {why}"));
        Decision::deny(self.unavailable.clone())
    }

    fn allow(&self, request: &Request, grant: Grant, answer: &Answer) -> Result<Decision> {
        self.forward.note(request, answer)?;
        Ok(grant.into())
    }

    fn denial(&self, answer: Answer) -> Reply {
        let mut reply = Reply::from(answer);
        reply.headers.retain(|(name, _)| {
            let name = name.to_ascii_lowercase();
            // Without this one a body that has it could not be read.
            name == "content-encoding" || self.deny_headers.contains(&name)
        });
        reply
    }
}

/// Names of headers, checked and in lower case.
fn fields(key: &str, names: &[String]) -> Result<Vec<String>, String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let mut fields: Vec<String> = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let wrong = |why: &str| Err(format!("`{key}[{index}]`: {name:?} {why}"));
        let field = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(token) {
            return wrong("is not the name of a header");
        }
        let own = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "content-length",
            "host",
        ];
        if own.contains(&field.as_str()) {
            return wrong("belongs to the connection, which is the gateway's own");
        }
        if fields.contains(&field) {
            return wrong("is named twice");
        }
        fields.push(field);
    }
    Ok(fields)
}

/// `300ms`, `2s`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        _ => None,
    };
    let time = number.parse::<u32>().ok().zip(unit_ms);
    let time = time.map(|(number, unit)| Duration::from_millis(u64::from(number) * unit));
    // No call of a plugin may take longer than a minute.
    time.filter(|time| (1..=60_000).contains(&time.as_millis())).ok_or_else(|| {
        format!("{text:?} must be 1ms to 60s: a whole number and one of the units ms, s, as in \"300ms\"")
    })
}

#[cfg(test)]
mod tests;
