//! Path templates: `/pets/{id}/files/{rest+}`.

use std::fmt;
use std::sync::Arc;

use tollgate_readings::TooMany;

use super::path;
use crate::http::target::Target;
use crate::limits::config::NAME_BYTES_MAX;
use crate::limits::message::PATH_SEGMENTS_MAX;

/// The pattern of a route's path: literal segments, `{name}` for any one segment that is not empty, and at
/// the end `{name+}` for all that is left, which must not be empty, or `{name*}`, which may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
    captures: Arc<[Capture]>,
}

/// One segment of a template. It has no parameter name: equal segments match the same requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// Percent-decoded.
    Literal(String),
    Parameter,
    /// All that is left.
    Rest(Rest),
}

/// Whether a parameter for all that is left may also be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rest {
    Some,
    Any,
}

/// The place of a parameter in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capture {
    pub name: String,
    pub segment: usize,
    pub greedy: bool,
}

impl PathTemplate {
    /// Parses a template. The error completes "the path `...`".
    pub fn parse(text: &str) -> Result<PathTemplate, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("must begin with a slash".to_owned());
        };
        let parts: Vec<&str> = rest.split('/').collect();
        if parts.len() > PATH_SEGMENTS_MAX {
            return Err(format!("has more than {PATH_SEGMENTS_MAX} segments"));
        }
        let mut segments = Vec::with_capacity(parts.len());
        let mut captures: Vec<Capture> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let last = index + 1 == parts.len();
            let Some(name) = part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'))
            else {
                segments.push(literal(part, last)?);
                continue;
            };
            let written = name;
            let (name, rest) = match (name.strip_suffix('+'), name.strip_suffix('*')) {
                (Some(name), _) => (name, Some(Rest::Some)),
                (_, Some(name)) => (name, Some(Rest::Any)),
                _ => (name, None),
            };
            check_name(name)?;
            if rest.is_some() && !last {
                return Err(format!("has {{{written}}} before its end"));
            }
            if captures.iter().any(|capture| capture.name == name) {
                return Err(format!("has the parameter {{{name}}} twice"));
            }
            captures.push(Capture {
                name: name.to_owned(),
                segment: index,
                greedy: rest.is_some(),
            });
            segments.push(rest.map_or(Segment::Parameter, Segment::Rest));
        }
        Ok(PathTemplate {
            text: text.to_owned(),
            segments,
            captures: captures.into(),
        })
    }

    /// Returns the template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the names of its parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|capture| capture.name.as_str())
    }

    /// Whether the path of a target matches this template, as the router or some lenient server reads it.
    /// Either is enough, so that no spelling gets a request past an entry for this path. A path that can be
    /// read in too many ways matches every template.
    pub(super) fn fits(&self, target: &Target) -> bool {
        self.fits_as_written(target.path())
            || match target.readings() {
                Ok(readings) => readings.iter().any(|other| self.fits_as_written(other)),
                Err(TooMany) => true,
            }
    }

    fn fits_as_written(&self, path: &str) -> bool {
        let mut rest = path.strip_prefix('/');
        for segment in &self.segments {
            let Some(left) = rest else { return false };
            let (part, after) = match left.split_once('/') {
                Some((part, after)) => (part, Some(after)),
                None => (left, None),
            };
            match segment {
                Segment::Rest(Rest::Some) => return !left.is_empty(),
                Segment::Rest(Rest::Any) => return true,
                Segment::Parameter if part.is_empty() => return false,
                Segment::Literal(text) if path::decoded(part) != text.as_str() => return false,
                Segment::Parameter | Segment::Literal(_) => rest = after,
            }
        }
        rest.is_none()
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn captures(&self) -> Arc<[Capture]> {
        Arc::clone(&self.captures)
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn literal(part: &str, last: bool) -> Result<Segment, String> {
    if part.is_empty() && !last {
        return Err("has an empty segment before its end".to_owned());
    }
    if part == "*" || part == "**" {
        return Err(format!(
            "has the segment {part}; write {{name}}, {{name+}} or {{name*}}"
        ));
    }
    let bad = |character: &char| character.is_whitespace() || "{}?#".contains(*character);
    match part.chars().find(bad) {
        Some('{' | '}') => {
            return Err("has a brace inside a segment; a parameter is a whole segment".to_owned());
        }
        Some(character) => {
            return Err(format!(
                "has {character:?} in it, which must be percent-encoded"
            ));
        }
        None => {}
    }
    // A template cannot match what no request may contain.
    path::check_segment(part).map_err(|why| format!("matches no request: {why}"))?;
    Ok(Segment::Literal(path::decoded(part).into_owned()))
}

fn check_name(name: &str) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let fits = |byte: u8| letter(byte) || byte.is_ascii_digit() || byte == b'-';
    let starts = name.bytes().next().is_some_and(letter);
    if starts && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "has a parameter whose name is not 1 to {NAME_BYTES_MAX} letters, digits, _ or -"
    ))
}
