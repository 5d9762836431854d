//! Names for purging, with expressions in braces: `pet-{path.id}`.

use serde_json::Value;
use tollgate_plugin::template::{self, Part};
use tollgate_plugin::{Request, Response, Result};

use crate::is_field_name;

pub struct Tag(Vec<Part<Expression>>);

enum Expression {
    Path(String),
    Query(String),
    Header(String),
    ResponseHeader(String),
    Claim(String),
    Variable(String),
    Principal,
    Route,
    Host,
}

impl Tag {
    pub fn parse(text: &str) -> Result<Tag, String> {
        if text.is_empty() {
            return Err("is empty".into());
        }
        Ok(Tag(template::parse(text, Expression::parse)?))
    }

    /// The tag, or nothing if any expression refers to something absent.
    pub fn render(&self, request: &Request, response: &Response) -> Result<Option<String>> {
        let mut tag = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => tag.push_str(text),
                Part::Value(expression) => match expression.value(request, response)? {
                    Some(value) => tag.push_str(&value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(tag))
    }
}

impl Expression {
    fn parse(text: &str) -> Result<Expression, String> {
        let (kind, name) = match text.split_once('.') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (text, None),
        };
        Ok(match (kind, name) {
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
            ("route", None) => Expression::Route,
            ("host", None) => Expression::Host,
            _ => {
                return Err(format!(
                    "`{{{text}}}` is not known; there are path.NAME, query.NAME, header.NAME, \
                     response.NAME, claim.NAME, variable.NAME, principal, route and host"
                ));
            }
        })
    }

    fn value(&self, request: &Request, response: &Response) -> Result<Option<String>> {
        Ok(match self {
            Expression::Path(name) => request.path_parameter(name),
            Expression::Query(name) => request.query_parameter(name),
            Expression::Header(name) => request.header_text(name),
            Expression::ResponseHeader(name) => response.header_text(name),
            Expression::Claim(name) => match request.claim::<Value>(name)? {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text),
                Some(other) => Some(other.to_string()),
            },
            Expression::Variable(name) => request.variable(name),
            Expression::Principal => request.principal(),
            Expression::Route => Some(request.route_name()),
            Expression::Host => Some(request.authority()).filter(|host| !host.is_empty()),
        })
    }
}
