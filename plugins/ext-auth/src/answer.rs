//! What an answer that allows says of the caller.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_plugin::Grant;
use tollgate_plugin::fetch::Answer;

/// A place in an answer: one of the two.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// A response header.
    header: Option<String>,
    /// A member of the body, which is JSON; or a JSON pointer (RFC 6901) into it.
    body: Option<String>,
}

enum Source {
    Header(String),
    Body(String),
}

pub struct Reading {
    principal: Source,
    anonymous: Option<String>,
    usage_key: Option<Source>,
    claims: BTreeMap<String, Source>,
}

impl Reading {
    pub fn new(
        principal: SourceConfig,
        anonymous: Option<String>,
        usage_key: Option<SourceConfig>,
        claims: BTreeMap<String, SourceConfig>,
    ) -> Result<Reading, String> {
        if let Some(name) = &anonymous
            && !is_name(name)
        {
            return Err(format!(
                "`anonymous`: {name:?}; a name is not empty, without control characters or blanks \
                 around it"
            ));
        }
        if claims.contains_key("") {
            return Err("`claims` has an empty name".into());
        }
        let claims = claims.into_iter().map(|(name, source)| {
            let source = source.check(&format!("claims.{name}"))?;
            Ok((name, source))
        });
        Ok(Reading {
            principal: principal.check("principal")?,
            anonymous,
            usage_key: usage_key
                .map(|source| source.check("usage-key"))
                .transpose()?,
            claims: claims.collect::<Result<_, String>>()?,
        })
    }

    /// The error is for the log: it names places, and nothing that stands there.
    pub fn grant(&self, answer: &Answer) -> Result<Grant, String> {
        let body = self.body(answer)?;
        let principal = match self.principal.text(answer, &body)? {
            Some(name) if is_name(&name) => name,
            Some(_) => return Err("the service allowed, and its principal is no name".into()),
            None => self
                .anonymous
                .clone()
                .ok_or("the service allowed, and did not say whom")?,
        };
        let usage_key = match &self.usage_key {
            Some(source) => source.text(answer, &body)?.filter(|key| !key.is_empty()),
            None => None,
        };
        let mut claims = Vec::with_capacity(self.claims.len());
        for (name, source) in &self.claims {
            if let Some(value) = source.value(answer, &body)? {
                claims.push((name.clone(), value));
            }
        }
        Ok(Grant {
            principal,
            claims,
            usage_key,
        })
    }

    /// Null where nothing is read from it, or there is none.
    fn body(&self, answer: &Answer) -> Result<Value, String> {
        let mut sources = self.claims.values().chain(&self.usage_key);
        let is_read = matches!(self.principal, Source::Body(_))
            || sources.any(|source| matches!(source, Source::Body(_)));
        if !is_read || answer.body().is_empty() {
            return Ok(Value::Null);
        }
        let error = |error| format!("the service allowed, and its body is not JSON: {error}");
        answer.json().map_err(error)
    }
}

impl SourceConfig {
    fn check(self, key: &str) -> Result<Source, String> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match (self.header, self.body) {
            (Some(name), None) if name.is_empty() || !name.bytes().all(token) => Err(format!(
                "`{key}.header`: {name:?} is not the name of a header"
            )),
            (Some(name), None) => Ok(Source::Header(name)),
            (None, Some(name)) if name.is_empty() => Err(format!("`{key}.body` is empty")),
            (None, Some(name)) => Ok(Source::Body(name)),
            _ => Err(format!("`{key}` names one `header` or one `body`")),
        }
    }
}

impl Source {
    /// Nothing if it is absent or null.
    fn value(&self, answer: &Answer, body: &Value) -> Result<Option<Value>, String> {
        let value = match self {
            Source::Header(name) => match answer.header_values(name).as_slice() {
                [] => None,
                // Which of several is meant would be anyone's guess.
                [value] => match str::from_utf8(value) {
                    Ok(text) => Some(Value::from(text)),
                    Err(_) => return Err(format!("the service's `{name}` is not UTF-8")),
                },
                _ => return Err(format!("the service sent `{name}` more than once")),
            },
            Source::Body(name) if name.starts_with('/') => body.pointer(name).cloned(),
            Source::Body(name) => body.get(name).cloned(),
        };
        Ok(value.filter(|value| !value.is_null()))
    }

    /// The same as a text: strings without quotes, numbers as they are written.
    fn text(&self, answer: &Answer, body: &Value) -> Result<Option<String>, String> {
        Ok(match self.value(answer, body)? {
            Some(Value::String(text)) => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) => return Err("the service named a caller that is no text".into()),
            None => None,
        })
    }
}

/// Names become log fields and header values.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.contains(char::is_control)
}
