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
use question::{Method, Question, Said};
use tollgate_plugin::fetch::Answer;
use tollgate_plugin::{
    Authorizer, Decision, EditableRequest, Grant, Outcome, Plugin, Reply, Request,
    RequestTransformer, Result, Source, export, log,
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
    /// The request headers that are sent along. Left out: `authorization`, `cookie`, and, without
    /// `remember`, `x-request-id`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    headers: Option<Vec<String>>,
    /// What of the request is told in headers `x-forwarded-...`.
    #[serde(default = "said")]
    x_forwarded: Vec<Said>,
    /// How long the whole exchange may take.
    #[serde(default = "timeout")]
    timeout: String,
    /// How long an answer that allows holds for requests that ask the service the same. `0s`, or left out:
    /// each request is asked about.
    remember: Option<String>,
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

const REQUEST_ID: &str = "x-request-id";

fn headers(remembers: bool) -> Vec<String> {
    if remembers {
        names(&["authorization", "cookie"])
    } else {
        names(&["authorization", "cookie", REQUEST_ID])
    }
}

fn said() -> Vec<Said> {
    Said::ALL.to_vec()
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
    remember: Option<Duration>,
}

/// Times in milliseconds, and how they are written.
type Range = ((u64, &'static str), (u64, &'static str));

/// No call of a plugin may take longer than a minute.
const TIMEOUT: Range = ((1, "1ms"), (60_000, "60s"));
/// For longer nobody would have a caller let in who is not allowed any more.
const REMEMBER: Range = ((0, "0s"), (3_600_000, "60m"));

impl Plugin for ExtAuth {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        if config.upstream.is_empty() {
            return Err("`upstream` is empty".into());
        }
        let method = Method::new(&config.method)?;
        let timeout = duration("timeout", &config.timeout, TIMEOUT)?;
        let remember = config.remember;
        let remember = remember.map(|text| duration("remember", &text, REMEMBER));
        let remember = remember.transpose()?.filter(|time| !time.is_zero());
        let headers = config
            .headers
            .unwrap_or_else(|| headers(remember.is_some()));
        let headers = fields("headers", &headers)?;
        if remember.is_some() && headers.iter().any(|name| name == REQUEST_ID) {
            return Err(format!(
                "`headers`: `{REQUEST_ID}` is another in each request, so no answer would hold for the next \
                 one; leave it out, or leave `remember` out"
            )
            .into());
        }
        let mut said: Vec<Said> = Vec::new();
        for one in config.x_forwarded {
            if !said.contains(&one) {
                said.push(one);
            }
        }
        let reading = Reading::new(
            config.principal,
            config.anonymous,
            config.usage_key,
            config.claims,
        )?;
        Ok(ExtAuth {
            upstream: config.upstream,
            question: Question::new(
                config.path,
                config.path_prefix,
                method,
                headers,
                said,
                timeout,
            )?,
            reading,
            forward: Forward(fields("forward", &config.forward)?),
            deny_headers: fields("deny-headers", &config.deny_headers)?,
            unavailable: Reply::problem(503, "it cannot be found out at present who is calling"),
            remember,
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
        let decision = Decision::from(grant);
        Ok(match self.remember {
            // Requests are told apart by all that the service is told of them.
            Some(time) => decision.remember(time).across(Source::Fetch),
            None => decision,
        })
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

/// `300ms`, `2s`, `5m`.
fn duration(key: &str, text: &str, (least, most): Range) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let time = number.parse::<u32>().ok().zip(unit_ms);
    let ms = time.map(|(number, unit)| u64::from(number) * unit);
    let ms = ms.filter(|ms| (least.0..=most.0).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| {
        format!(
            "`{key}`: {text:?} must be {} to {}: a whole number and one of the units ms, s, m, as in \
             \"300ms\"",
            least.1, most.1
        )
    })
}

#[cfg(test)]
mod tests;
