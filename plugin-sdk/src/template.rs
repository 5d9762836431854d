//! Text with expressions in braces, as operators write it in the configurations of plugins: `pet-{path.id}`. One
//! language for all plugins: `{{` and `}}` are braces, and these are the expressions:
//!
//! | expression | is | absent if |
//! |---|---|---|
//! | `{path.NAME}` | a parameter of the route's path, decoded | the route has none of this name |
//! | `{query.NAME}` | the first value of a query parameter, decoded | it is not in the query |
//! | `{header.NAME}` | the first value of a request header, byte for byte | it is not there |
//! | `{claim.NAME}` | what an authorizer said of the caller: a string without quotes, other JSON compact, with all its digits | not said, or `null` |
//! | `{variable.NAME}` | a variable of the route or its API | there is none |
//! | `{principal}`, `{usage-key}` | who the caller is, and what its usage is counted under | no authorizer has said it |
//! | `{client-address}` | the client's IP address; `unknown` if a trusted proxy does not say it | never |
//! | `{request-id}`, `{route}` | the request's identifier, the route's name | never |
//! | `{method}`, `{path}` | the method; the path, encoded | never |
//! | `{host}` | the host that was asked for, with the port if one was named | an HTTP/1.0 client named none |
//! | `{status}` | the response's status code, on [`Side::Response`] | never |
//! | `{response.NAME}` | the first value of a response header, on [`Side::Response`] | it is not there |
//!
//! A NAME is all that stands between the first `.` and the `}`: `{claim.https://id.example/roles}`.
//!
//! ```
//! use tollgate_plugin::template::{Side, Template};
//! use tollgate_plugin::testing;
//!
//! let template = Template::parse("{{{method}}} of {principal}", Side::Request).unwrap();
//! let request = testing::request("GET", "/").principal("ann").build();
//! assert_eq!(template.render(&request, None).unwrap().unwrap(), "{GET} of ann".as_bytes());
//! let stranger = testing::request("GET", "/").build();
//! assert_eq!(template.render(&stranger, None), Ok(None));
//!
//! for wrong in ["{id", "id}", "{nothing}", "{path.}", "{status}"] {
//!     assert!(Template::parse(wrong, Side::Request).is_err());
//! }
//! ```
//!
//! A plugin with expressions of its own, or another way to put values into their place, uses [`parse`] and
//! [`Expression`] by themselves.

use std::borrow::Cow;

use crate::{Request, Response, Result};

/// Where a template is used: a request knows nothing of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On the way in.
    Request,
    /// On the way out, where the request is as the entries on the way in left it.
    Response,
}

/// Text with expressions of the table above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<Part<Expression>>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// In words for the operator, to stand behind the name of the key: a brace that has no other, or an expression that
    /// is not known on this side.
    pub fn parse(text: &str, side: Side) -> Result<Template, String> {
        parse(text, |name| Expression::parse(name, side)).map(Template)
    }

    /// The text for a message, or `None` if anything that an expression names is absent. `response` is there on
    /// [`Side::Response`].
    ///
    /// # Errors
    /// If a claim is not JSON.
    pub fn render(
        &self,
        request: &Request,
        response: Option<&Response>,
    ) -> Result<Option<Cow<'_, [u8]>>> {
        // Fixed text is not even copied.
        match self.0.as_slice() {
            [] => return Ok(Some(Cow::Borrowed(b""))),
            [Part::Text(text)] => return Ok(Some(Cow::Borrowed(text.as_bytes()))),
            _ => {}
        }
        let mut bytes = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                Part::Value(expression) => match expression.value(request, response)? {
                    Some(value) => bytes.extend(value.into_bytes()),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(Cow::Owned(bytes)))
    }
}

/// What stands between braces: see the table above.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expression {
    /// `{path.NAME}`.
    PathParameter(String),
    /// `{query.NAME}`.
    Query(String),
    /// `{header.NAME}`.
    Header(String),
    /// `{claim.NAME}`.
    Claim(String),
    /// `{variable.NAME}`.
    Variable(String),
    /// `{principal}`.
    Principal,
    /// `{usage-key}`.
    UsageKey,
    /// `{client-address}`.
    ClientAddress,
    /// `{request-id}`.
    RequestId,
    /// `{route}`.
    Route,
    /// `{method}`.
    Method,
    /// `{path}`.
    Path,
    /// `{host}`.
    Host,
    /// `{status}`.
    Status,
    /// `{response.NAME}`.
    ResponseHeader(String),
}

/// What an expression is of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, mostly UTF-8: a header may have other bytes.
    Text(Vec<u8>),
    /// JSON text that is no string: a claim of another type, and the status.
    Json(String),
}

impl Value {
    /// As it stands in a header.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Value::Text(bytes) => bytes,
            Value::Json(json) => json.into_bytes(),
        }
    }

    /// As text. What is not UTF-8 becomes U+FFFD.
    pub fn into_text(self) -> String {
        match self {
            Value::Text(bytes) => String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            Value::Json(json) => json,
        }
    }

    /// As JSON: text is a string, everything else stays what it is.
    pub fn into_json(self) -> String {
        match self {
            Value::Json(json) => json,
            text @ Value::Text(_) => serde_json::Value::from(text.into_text()).to_string(),
        }
    }
}

impl Expression {
    /// Reads what stands between the braces.
    ///
    /// # Errors
    /// In words for the operator: it is not known, not on this side, or names nothing.
    pub fn parse(text: &str, side: Side) -> Result<Expression, String> {
        let (kind, name) = match text.split_once('.') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (text, None),
        };
        let expression = match (kind, name) {
            (_, Some(name)) if name.is_empty() => return Err(format!("`{{{text}}}` has no name")),
            ("header" | "response", Some(name)) if !is_token(&name) => {
                return Err(format!(
                    "`{{{text}}}`: {name:?} is not the name of a header"
                ));
            }
            ("path", Some(name)) => Expression::PathParameter(name),
            ("query", Some(name)) => Expression::Query(name),
            ("header", Some(name)) => Expression::Header(name),
            ("claim", Some(name)) => Expression::Claim(name),
            ("variable", Some(name)) => Expression::Variable(name),
            ("principal", None) => Expression::Principal,
            ("usage-key", None) => Expression::UsageKey,
            ("client-address", None) => Expression::ClientAddress,
            ("request-id", None) => Expression::RequestId,
            ("route", None) => Expression::Route,
            ("method", None) => Expression::Method,
            ("path", None) => Expression::Path,
            ("host", None) => Expression::Host,
            ("status", None) => Expression::Status,
            ("response", Some(name)) => Expression::ResponseHeader(name),
            _ => {
                let late = match side {
                    Side::Request => "",
                    Side::Response => ", status, response.NAME",
                };
                return Err(format!(
                    "`{{{text}}}` is not known; there are path.NAME, query.NAME, header.NAME, claim.NAME, \
                     variable.NAME, principal, usage-key, client-address, request-id, route, method, path, \
                     host{late}; braces that are none are written `{{{{` and `}}}}`"
                ));
            }
        };
        match expression {
            Expression::Status | Expression::ResponseHeader(_) if side == Side::Request => {
                Err(format!("`{{{text}}}` is known of a response only"))
            }
            expression => Ok(expression),
        }
    }

    /// What it is of a message, or `None` if that is absent. `response` is there on [`Side::Response`].
    ///
    /// # Errors
    /// If a claim is not JSON.
    pub fn value(&self, request: &Request, response: Option<&Response>) -> Result<Option<Value>> {
        let text = match self {
            Expression::Header(name) => return Ok(request.header(name).map(Value::Text)),
            Expression::ResponseHeader(name) => {
                let value = response.and_then(|response| response.header(name));
                return Ok(value.map(Value::Text));
            }
            Expression::Status => {
                return Ok(response.map(|response| Value::Json(response.status().to_string())));
            }
            // Not read as a number, which would lose digits.
            Expression::Claim(name) => match request.claim_json(name) {
                None => None,
                Some(json) if json == "null" => None,
                Some(json) if json.starts_with('"') => Some(
                    serde_json::from_str(&json)
                        .map_err(|error| format!("claim `{name}`: {error}"))?,
                ),
                Some(json) => {
                    let json =
                        compact(&json).map_err(|error| format!("claim `{name}`: {error}"))?;
                    return Ok(Some(Value::Json(json)));
                }
            },
            Expression::PathParameter(name) => request.path_parameter(name),
            Expression::Query(name) => request.query_parameter(name),
            Expression::Variable(name) => request.variable(name),
            Expression::Principal => request.principal(),
            Expression::UsageKey => request.usage_key(),
            Expression::ClientAddress => Some(request.client_address()),
            Expression::RequestId => Some(request.id()),
            Expression::Route => Some(request.route_name()),
            Expression::Method => Some(request.method()),
            Expression::Path => Some(request.path()),
            Expression::Host => Some(request.authority()).filter(|host| !host.is_empty()),
        };
        Ok(text.map(|text: String| Value::Text(text.into_bytes())))
    }
}

/// The same JSON text without whitespace between its tokens, so that it has a place in one line.
fn compact(json: &str) -> serde_json::Result<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(json)?;
    let (mut in_string, mut is_escaped) = (false, false);
    let kept = json.chars().filter(|character| {
        let is_blank = !in_string && matches!(character, ' ' | '\t' | '\r' | '\n');
        match character {
            '"' if !is_escaped => in_string = !in_string,
            _ => {}
        }
        is_escaped = in_string && !is_escaped && *character == '\\';
        !is_blank
    });
    Ok(kept.collect())
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<E> {
    /// Goes on as it is. At least one byte; two of them never follow each other.
    Text(String),
    /// What stands for a value of the message.
    Value(E),
}

/// Takes a template apart. `{{` and `}}` are braces; what is between others is given to `expression`.
///
/// # Errors
/// In words for the operator, to stand behind the name of the key: a brace that has no other, or what
/// `expression` said.
pub fn parse<E>(
    text: &str,
    mut expression: impl FnMut(&str) -> Result<E, String>,
) -> Result<Vec<Part<E>>, String> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        let (brace, after) = from.split_at(1);
        literal.push_str(before);
        if let Some(after) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err("has a `}` that closes nothing; write `}}` for a brace".into());
        }
        let (name, after) = after
            .split_once('}')
            .ok_or("has a `{` that is not closed; write `{{` for a brace")?;
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(Part::Value(expression(name)?));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn claims_are_compact_and_keep_their_digits() {
        for (json, expected) in [
            (" 7 ", "7"),
            ("12345678901234567890.10", "12345678901234567890.10"),
            (
                "[1,\n \"a b\\\" c \", {\"k\" : null}]",
                "[1,\"a b\\\" c \",{\"k\":null}]",
            ),
            ("\"\\\\\"", "\\"),
            ("\"a\\nb\"", "a\nb"),
        ] {
            let request = testing::request("GET", "/").claim_text("c", json).build();
            let value = Expression::Claim("c".into()).value(&request, None);
            let value = value.expect(json).expect(json);
            assert_eq!(value.into_text(), expected, "{json}");
        }
        for json in ["", "{", "1 2", "nul", "\"", "\"a\" b"] {
            let request = testing::request("GET", "/").claim_text("c", json).build();
            let value = Expression::Claim("c".into()).value(&request, None);
            assert!(value.is_err(), "{json}: {value:?}");
        }
    }

    #[test]
    fn what_is_absent_makes_all_of_it_absent() {
        let request = testing::request("GET", "/a?q=1").claim("none", serde_json::Value::Null);
        let request = request.build();
        for (text, expected) in [
            ("{query.q}-{path}", Some("1-/a")),
            ("{query.x}", None),
            ("x{claim.none}", None),
            ("{principal}", None),
            ("", Some("")),
        ] {
            let template = Template::parse(text, Side::Request).expect(text);
            let rendered = template.render(&request, None).expect(text);
            assert_eq!(rendered.as_deref(), expected.map(str::as_bytes), "{text}");
        }
    }
}
