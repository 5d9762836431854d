//! Values to put into a document: JSON whose strings may have expressions in braces.

use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_plugin::template::{self, Part};
use tollgate_plugin::{Request, Response, Result};

use crate::document::string;

/// As it is put together for a message.
pub enum Template {
    /// JSON text, without expressions.
    Fixed(String),
    /// A string of parts.
    Text(Vec<Part<Expression>>),
    /// One expression and nothing else: the value itself.
    Whole(Expression),
    Object(Vec<(String, Template)>),
    Array(Vec<Template>),
}

pub enum Expression {
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

/// What an expression is.
enum Found {
    Text(String),
    /// JSON text of another kind.
    Json(String),
}

impl Template {
    pub fn new(value: &Value, on_response: bool) -> Result<Template, String> {
        Ok(match value {
            Value::String(text) => parse(text, on_response)?,
            Value::Array(elements) => {
                let elements = elements
                    .iter()
                    .map(|value| Template::new(value, on_response));
                Template::Array(elements.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let member = |(name, value): (&String, &Value)| {
                    Ok((name.clone(), Template::new(value, on_response)?))
                };
                Template::Object(members.iter().map(member).collect::<Result<_, String>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Template::Fixed(value.to_string()),
        })
    }

    /// JSON text, or nothing if any expression refers to something absent.
    pub fn render(&self, request: &Request, response: Option<&Response>) -> Result<Option<String>> {
        let mut out = String::new();
        Ok(self.write(&mut out, request, response)?.then_some(out))
    }

    /// False if anything is absent.
    fn write(
        &self,
        out: &mut String,
        request: &Request,
        response: Option<&Response>,
    ) -> Result<bool> {
        match self {
            Template::Fixed(json) => out.push_str(json),
            Template::Whole(expression) => match expression.value(request, response)? {
                Some(Found::Text(text)) => out.push_str(&string(&text)),
                Some(Found::Json(json)) => out.push_str(&json),
                None => return Ok(false),
            },
            Template::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(part) => text.push_str(part),
                        Part::Value(expression) => match expression.value(request, response)? {
                            Some(Found::Text(value) | Found::Json(value)) => text.push_str(&value),
                            None => return Ok(false),
                        },
                    }
                }
                out.push_str(&string(&text));
            }
            Template::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    if !element.write(out, request, response)? {
                        return Ok(false);
                    }
                }
                out.push(']');
            }
            Template::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&string(name));
                    out.push(':');
                    if !value.write(out, request, response)? {
                        return Ok(false);
                    }
                }
                out.push('}');
            }
        }
        Ok(true)
    }
}

/// A string with expressions.
fn parse(text: &str, on_response: bool) -> Result<Template, String> {
    let parts = template::parse(text, |name| Expression::parse(name, on_response))?;
    if parts.is_empty() {
        return Ok(Template::Fixed(string("")));
    }
    Ok(match <[Part<Expression>; 1]>::try_from(parts) {
        Ok([Part::Text(text)]) => Template::Fixed(string(&text)),
        Ok([Part::Value(expression)]) => Template::Whole(expression),
        Err(parts) => Template::Text(parts),
    })
}

impl Expression {
    fn parse(text: &str, on_response: bool) -> Result<Expression, String> {
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
        if late && !on_response {
            return Err(format!("`{{{text}}}` is known in `response` only"));
        }
        Ok(expression)
    }

    fn value(&self, request: &Request, response: Option<&Response>) -> Result<Option<Found>> {
        let bytes = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let text = match self {
            // As the authorizer wrote it: a number keeps all its digits.
            Expression::Claim(name) => {
                let Some(json) = request.claim::<Box<RawValue>>(name)? else {
                    return Ok(None);
                };
                return Ok(match json.get().as_bytes().first() {
                    Some(b'"') => Some(Found::Text(serde_json::from_str(json.get())?)),
                    _ if json.get() == "null" => None,
                    _ => Some(Found::Json(json.get().to_owned())),
                });
            }
            Expression::Status => {
                return Ok(response.map(|it| Found::Json(it.status().to_string())));
            }
            Expression::Header(name) => request.header(name).map(bytes),
            Expression::ResponseHeader(name) => response.and_then(|it| it.header(name)).map(bytes),
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
        };
        Ok(text.map(Found::Text))
    }
}

fn is_field_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}
