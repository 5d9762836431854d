//! Text with captures of the rule's pattern (`$1`, `${name}`), parameters of the route's path as routes write them
//! (`{id}`, `{rest+}`), and the expressions of all plugins that have a dot (`{claim.tenant}`).

use tollgate_plugin::template::{Expression, Side};
use tollgate_plugin::{Request, Result};

use crate::path;

/// Text parts have at least one byte.
#[derive(Debug)]
pub struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    /// A group of the pattern, by index.
    Capture(usize),
    /// A parameter of the route's path, decoded.
    Parameter(String),
    /// The same as the end of the path, as it was sent.
    Tail(String),
    /// As it is written, for errors, and what it is.
    Expression(String, Expression),
}

/// What the pattern of a rule captured, as it was sent. None where a group took no part.
pub type Captured<'p> = [Option<&'p str>];

impl Template {
    /// `groups` are the names of the pattern's groups, the whole match first; none if there is no
    /// pattern.
    pub fn parse(text: &str, groups: &[Option<String>]) -> Result<Template, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['$', '{', '}']) {
            let (before, from) = rest.split_at(at);
            let (sign, after) = from.split_at(1);
            literal.push_str(before);
            if let Some(after) = after.strip_prefix(sign) {
                literal.push_str(sign);
                rest = after;
                continue;
            }
            let (part, after) = match sign {
                "$" => capture(after, groups)?,
                "{" => parameter(after)?,
                _ => return Err("has a `}` that closes nothing; write `}}` for a brace".into()),
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(part);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template(parts))
    }

    /// As a path, where everything that is put in is this text.
    pub fn sample(&self, inserted: &str) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            _ => inserted,
        });
        parts.collect()
    }

    /// The path. A group that took no part is nothing. The inner error says what else is absent.
    pub fn path(
        &self,
        request: &Request,
        sent: &str,
        captured: &Captured<'_>,
    ) -> Result<Result<String, String>> {
        let mut path = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Capture(group) => path.push_str(group_of(captured, *group).unwrap_or("")),
                Part::Parameter(name) => {
                    path.push_str(&path::encoded(&value(request, name)?).to_string());
                }
                Part::Tail(name) => path.push_str(tail(request, name, sent)?),
                Part::Expression(written, expression) => match expression.value(request, None)? {
                    Some(value) => path.push_str(&path::encoded(&value.into_text()).to_string()),
                    None => return Ok(Err(format!("`{{{written}}}` is absent"))),
                },
            }
        }
        Ok(Ok(path))
    }

    /// The value of a query parameter, decoded. Nothing if a group in it took no part, or an expression is absent.
    pub fn value(
        &self,
        request: &Request,
        sent: &str,
        captured: &Captured<'_>,
    ) -> Result<Option<String>> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Capture(group) => match group_of(captured, *group) {
                    Some(captured) => text.push_str(&path::decoded(captured)),
                    None => return Ok(None),
                },
                Part::Parameter(name) => text.push_str(&value(request, name)?),
                Part::Tail(name) => text.push_str(&path::decoded(tail(request, name, sent)?)),
                Part::Expression(_, expression) => match expression.value(request, None)? {
                    Some(value) => text.push_str(&value.into_text()),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }
}

fn group_of<'p>(captured: &Captured<'p>, group: usize) -> Option<&'p str> {
    captured.get(group).copied().flatten()
}

/// A parameter that the route does not have is a mistake in the configuration, which must not send
/// the request somewhere else: a fault.
fn value(request: &Request, name: &str) -> Result<String> {
    request.path_parameter(name).ok_or_else(|| {
        let route = request.route_name();
        format!("the path of route `{route}` has no parameter {{{name}}}").into()
    })
}

fn tail<'p>(request: &Request, name: &str, sent: &'p str) -> Result<&'p str> {
    path::tail(sent, &value(request, name)?).ok_or_else(|| {
        format!(
            "the path does not end with the parameter {{{name}}}: {{{name}+}} is all that is left"
        )
        .into()
    })
}

/// Behind a `$`.
fn capture<'t>(text: &'t str, groups: &[Option<String>]) -> Result<(Part, &'t str), String> {
    let (name, after) = match text.strip_prefix('{') {
        Some(text) => text
            .split_once('}')
            .ok_or("has a `${` that is not closed; write `$$` for a dollar")?,
        None => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            text.split_at(digits)
        }
    };
    if name.is_empty() {
        return Err(
            "has a `$` without a number or a name in braces; write `$$` for a dollar".into(),
        );
    }
    let group = match name.parse::<usize>() {
        Ok(number) => Some(number).filter(|number| *number < groups.len()),
        Err(_) => groups
            .iter()
            .position(|group| group.as_deref() == Some(name)),
    };
    match group {
        Some(group) => Ok((Part::Capture(group), after)),
        None if groups.is_empty() => Err(format!("has `${name}`, and the rule has no `match`")),
        None => Err(format!("has `${name}`, and `match` has no such group")),
    }
}

/// Behind a `{`.
fn parameter(text: &str) -> Result<(Part, &str), String> {
    let (name, after) = text
        .split_once('}')
        .ok_or("has a `{` that is not closed; write `{{` for a brace")?;
    // A name without a dot is the route's: it may be named `method`.
    if name.contains('.') {
        let expression = Expression::parse(name, Side::Request)?;
        return Ok((Part::Expression(name.to_owned(), expression), after));
    }
    let (name, part): (&str, fn(String) -> Part) = match name.strip_suffix('+') {
        Some(name) => (name, Part::Tail),
        None => (name, Part::Parameter),
    };
    // As routes have it.
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    if !name.bytes().next().is_some_and(letter)
        || !name
            .bytes()
            .all(|byte| letter(byte) || byte.is_ascii_digit() || byte == b'-')
    {
        return Err(format!(
            "has `{{{name}}}`, which is not the name of a path parameter"
        ));
    }
    Ok((part(name.to_owned()), after))
}
