//! Header values with expressions in braces: `Bearer {claim.token}`.

use std::borrow::Cow;

use serde_json::Value;
use tollgate_plugin::template::{self, Part};
use tollgate_plugin::{Request, Response, Result};

use crate::{Side, is_field_name};

/// The value of a line to come.
pub struct Template(Vec<Part<Expression>>);

enum Expression {
    Path(String),
    Query(String),
    Header(String),
    ResponseHeader(String),
    Claim(String),
    Variable(String),
    Principal,
    UsageKey,
    ClientAddress,
    RequestId,
    Route,
    Method,
    Host,
    Status,
}

impl Template {
    pub fn parse(text: &str, side: Side) -> Result<Template, String> {
        if text.contains(|character: char| character != '\t' && character.is_ascii_control()) {
            return Err("has a control character, which no header may have".into());
        }
        let parts = template::parse(text, |name| Expression::parse(name, side))?;
        Ok(Template(parts))
    }

    /// The value, or nothing if any expression refers to something absent.
    pub fn render(
        &self,
        request: &Request,
        response: Option<&Response>,
    ) -> Result<Option<Cow<'_, [u8]>>> {
        // What needs nothing from the request is not even copied.
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
                    Some(value) => bytes.extend(value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(Cow::Owned(bytes)))
    }
}

impl Expression {
    fn parse(text: &str, side: Side) -> Result<Expression, String> {
        let (kind, name) = match text.split_once('.') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (text, None),
        };
        let expression = match (kind, name) {
            (_, Some(name)) if name.is_empty() => return Err(format!("`{{{text}}}` has no name")),
            ("header" | "response", Some(name)) if !is_field_name(&name) => {
                return Err(format!(
                    "`{{{text}}}`: {name:?} is not the name of a header"
                ));
            }
            ("path", Some(name)) => Expression::Path(name),
            ("query", Some(name)) => Expression::Query(name),
            ("header", Some(name)) => Expression::Header(name),
            ("response", Some(name)) => Expression::ResponseHeader(name),
            ("claim", Some(name)) => Expression::Claim(name),
            ("variable", Some(name)) => Expression::Variable(name),
            ("principal", None) => Expression::Principal,
            ("usage-key", None) => Expression::UsageKey,
            ("client-address", None) => Expression::ClientAddress,
            ("request-id", None) => Expression::RequestId,
            ("route", None) => Expression::Route,
            ("method", None) => Expression::Method,
            ("host", None) => Expression::Host,
            ("status", None) => Expression::Status,
            _ => {
                return Err(format!(
                    "`{{{text}}}` is not known; there are path.NAME, query.NAME, header.NAME, \
                     response.NAME, claim.NAME, variable.NAME, principal, usage-key, \
                     client-address, request-id, route, method, host and status"
                ));
            }
        };
        let late = matches!(
            expression,
            Expression::ResponseHeader(_) | Expression::Status
        );
        if late && side == Side::Request {
            return Err(format!("`{{{text}}}` is known in `response` only"));
        }
        Ok(expression)
    }

    fn value(&self, request: &Request, response: Option<&Response>) -> Result<Option<Vec<u8>>> {
        let text = match self {
            Expression::Header(name) => return Ok(request.header(name)),
            Expression::ResponseHeader(name) => return Ok(response.and_then(|it| it.header(name))),
            Expression::Claim(name) => match request.claim(name)? {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text),
                Some(other) => Some(other.to_string()),
            },
            Expression::Path(name) => request.path_parameter(name),
            Expression::Query(name) => request.query_parameter(name),
            Expression::Variable(name) => request.variable(name),
            Expression::Principal => request.principal(),
            Expression::UsageKey => request.usage_key(),
            Expression::ClientAddress => Some(request.client_address()),
            Expression::RequestId => Some(request.id()),
            Expression::Route => Some(request.route_name()),
            Expression::Method => Some(request.method()),
            Expression::Host => Some(request.authority()).filter(|host| !host.is_empty()),
            Expression::Status => response.map(|it| it.status().to_string()),
        };
        Ok(text.map(String::into_bytes))
    }
}
