//! Values to put into a document: JSON whose strings may have expressions in braces.

use serde_json::Value;
use tollgate_plugin::template::{self, Expression, Part, Side};
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

impl Template {
    pub fn new(value: &Value, side: Side) -> Result<Template, String> {
        Ok(match value {
            Value::String(text) => parse(text, side)?,
            Value::Array(elements) => {
                let elements = elements.iter().map(|value| Template::new(value, side));
                Template::Array(elements.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let member = |(name, value): (&String, &Value)| {
                    Ok((name.clone(), Template::new(value, side)?))
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
                Some(value) => out.push_str(&value.into_json()),
                None => return Ok(false),
            },
            Template::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(part) => text.push_str(part),
                        Part::Value(expression) => match expression.value(request, response)? {
                            Some(value) => text.push_str(&value.into_text()),
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
fn parse(text: &str, side: Side) -> Result<Template, String> {
    let parts = template::parse(text, |name| Expression::parse(name, side))?;
    if parts.is_empty() {
        return Ok(Template::Fixed(string("")));
    }
    Ok(match <[Part<Expression>; 1]>::try_from(parts) {
        Ok([Part::Text(text)]) => Template::Fixed(string(&text)),
        Ok([Part::Value(expression)]) => Template::Whole(expression),
        Err(parts) => Template::Text(parts),
    })
}
