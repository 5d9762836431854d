//! Text with expressions in braces, and how what they stand for is put into it: `/pets/{path.id}`.

use serde_json::Value;
use tollgate_plugin::template::{self, Expression, Side};
use tollgate_plugin::{Request, Result};

/// Text parts have at least one byte.
#[derive(Default)]
pub struct Template {
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Value(Expression, Escape),
    /// As a whole JSON value: what is absent is `null`, a claim keeps its type.
    Json(Expression),
}

/// What must be done to a value so that it cannot leave the place where it is put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Nothing.
    None,
    /// It is in a JSON string (RFC 8259, section 7).
    Json,
    /// It is in the text or in a quoted attribute of HTML or XML.
    Markup,
}

impl Template {
    pub fn parse(text: &str, escape: Escape) -> Result<Template, String> {
        let parts = template::parse(text, expression)?;
        let parts = parts.into_iter().map(|part| match part {
            template::Part::Text(text) => Part::Text(text),
            template::Part::Value(expression) => Part::Value(expression, escape),
        });
        Ok(Template {
            parts: parts.collect(),
        })
    }

    /// The text of a JSON value, whose strings are templates; the names of members are not.
    pub fn of_json(value: &Value) -> Result<Template, String> {
        let mut template = Template::default();
        template.push_json(value, "json")?;
        Ok(template)
    }

    /// The error begins with the place.
    fn push_json(&mut self, value: &Value, place: &str) -> Result<(), String> {
        match value {
            Value::String(text) => {
                let string = Template::parse(text, Escape::Json);
                self.push_string(string.map_err(|why| format!("{place}: {why}"))?);
            }
            Value::Array(items) => {
                self.push("[");
                for (index, item) in items.iter().enumerate() {
                    self.push(if index > 0 { "," } else { "" });
                    self.push_json(item, &format!("{place}[{index}]"))?;
                }
                self.push("]");
            }
            Value::Object(members) => {
                self.push("{");
                for (index, (name, member)) in members.iter().enumerate() {
                    self.push(if index > 0 { "," } else { "" });
                    self.push(&quoted(name));
                    self.push(":");
                    self.push_json(member, &format!("{place}.{name:?}"))?;
                }
                self.push("}");
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.push(&value.to_string()),
        }
        Ok(())
    }

    fn push_string(&mut self, mut string: Template) {
        if let [Part::Value(..)] = string.parts.as_slice()
            && let Some(Part::Value(expression, _)) = string.parts.pop()
        {
            self.parts.push(Part::Json(expression));
            return;
        }
        self.push("\"");
        for part in string.parts {
            match part {
                Part::Text(text) => self.push(inside_quotes(&quoted(&text))),
                part => self.parts.push(part),
            }
        }
        self.push("\"");
    }

    fn push(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Bytes that are the same for all requests.
    pub fn fixed_bytes(&self) -> usize {
        let bytes = |part: &Part| match part {
            Part::Text(text) => text.len(),
            _ => 0,
        };
        self.parts.iter().map(bytes).sum()
    }

    /// A body: of what is absent there is nothing.
    pub fn body(&self, request: &Request) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(self.fixed_bytes());
        for part in &self.parts {
            match part {
                Part::Text(text) => body.extend_from_slice(text.as_bytes()),
                Part::Value(expression, escape) => {
                    let value = expression.value(request, None)?;
                    let text = value.map(template::Value::into_text).unwrap_or_default();
                    body.extend(escape.escaped(&text).bytes());
                }
                Part::Json(expression) => match expression.value(request, None)? {
                    Some(value) => body.extend(value.into_json().bytes()),
                    None => body.extend(b"null"),
                },
            }
        }
        Ok(body)
    }

    /// The value of a header: nothing if anything in it is absent.
    pub fn line(&self, request: &Request) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::with_capacity(self.fixed_bytes());
        for part in &self.parts {
            match part {
                Part::Text(text) => line.extend_from_slice(text.as_bytes()),
                Part::Value(expression, _) | Part::Json(expression) => {
                    match expression.value(request, None)? {
                        Some(value) => line.extend(value.into_bytes()),
                        None => return Ok(None),
                    }
                }
            }
        }
        Ok(Some(line))
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn inside_quotes(string: &str) -> &str {
    let inside = string.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inside.unwrap_or(string)
}

impl Escape {
    /// How values are put into a body of this media type.
    pub fn of_type(content_type: &str) -> Escape {
        let essence = content_type.split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        let (_, subtype) = essence.split_once('/').unwrap_or_default();
        let suffix = subtype.rsplit('+').next();
        match suffix {
            Some("json") => Escape::Json,
            Some("html" | "xml") => Escape::Markup,
            _ => Escape::None,
        }
    }

    fn escaped(self, text: &str) -> String {
        match self {
            Escape::None => text.to_owned(),
            Escape::Json => inside_quotes(&quoted(text)).to_owned(),
            Escape::Markup => {
                let mut escaped = String::with_capacity(text.len());
                for character in text.chars() {
                    match character {
                        '&' => escaped.push_str("&amp;"),
                        '<' => escaped.push_str("&lt;"),
                        '>' => escaped.push_str("&gt;"),
                        '"' => escaped.push_str("&quot;"),
                        '\'' => escaped.push_str("&#39;"),
                        other => escaped.push(other),
                    }
                }
                escaped
            }
        }
    }
}

/// `{id}` is another way to write `{request-id}`.
fn expression(name: &str) -> Result<Expression, String> {
    match name {
        "id" => Ok(Expression::RequestId),
        name => Expression::parse(name, Side::Request),
    }
}
