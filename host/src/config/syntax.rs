//! A text that is no TOML: the one problem that is told of it, and what of its line may be shown.
//!
//! What follows the first mistake is mostly its echo, so that nothing else is told. A bracket or a quote
//! that is not closed is told where it begins: the parser notices it only where something else does not
//! fit, which may be a hundred lines on.

use toml::de::Error;

use super::{Position, Problem};
use crate::quote::quoted;

/// What is told of a text that has these errors, of which there is at least one.
pub(super) fn problem(text: &str, errors: &[Error]) -> Problem {
    let start = |error: &Error| error.span().map_or(0, |span| span.start);
    let first = errors.iter().min_by_key(|error| start(error));
    let (at, message) = match first {
        Some(error) => (error.span().unwrap_or_default(), error.message()),
        None => (0..0, ""),
    };
    if let Some(unclosed) = unclosed(text)
        && unclosed.explains(text, at.start, message)
    {
        return unclosed.problem(text);
    }
    let (message, help) = told(message, text.get(at.clone()).unwrap_or_default());
    let problem = Problem::new(Position::from(at), message);
    match help {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}

/// What the parser says, in words for whoever wrote the text.
fn told(message: &str, there: &str) -> (String, Option<&'static str>) {
    // The parser's way to say that nothing more is expected there.
    let message = message.replace(", expected nothing", "");
    let (text, help) = match message.as_str() {
        "duplicate key" => return (format!("the key {} is set twice", quoted(there)), None),
        text if text.starts_with("string values must be quoted") && there.is_empty() => {
            ("there is no value after `=`", None)
        }
        text if text.starts_with("string values must be quoted")
            || text.starts_with("invalid boolean") =>
        {
            ("this is not a value", Some("text needs quotes: \"text\""))
        }
        text if text.starts_with("unexpected key or value") => (
            "the value before this has ended",
            Some("write each key on a line of its own; only a comment may follow a value"),
        ),
        text if text.starts_with("key with no value") => (
            "this key has no value",
            Some("write `key = value`; the name of a section is written in brackets: `[section]`"),
        ),
        text if text.starts_with("unclosed table") => {
            ("the name of this section is not closed", Some("add `]`"))
        }
        text if text.starts_with("unclosed array table") => {
            ("the name of this section is not closed", Some("add `]]`"))
        }
        text if text.starts_with("missing escaped value") => (
            "this backslash does not begin an escape sequence",
            Some("write `\\\\` for a backslash, or put the text in single quotes: 'C:\\folder'"),
        ),
        text => (text, None),
    };
    (text.to_owned(), help)
}

/// What begins and does not end.
#[derive(Debug)]
struct Unclosed {
    kind: Kind,
    /// Where it begins.
    open: usize,
    /// Where something stands that cannot be in it, or the end of the text.
    noticed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    InlineTable,
    Text(&'static str),
}

impl Unclosed {
    /// Whether the parser's first error is one that this makes.
    fn explains(&self, text: &str, at: usize, message: &str) -> bool {
        if at <= self.open {
            return false;
        }
        // Of what stands in it, what would be right behind it.
        let echoes = [
            "missing comma",
            "missing key",
            "missing assignment",
            "invalid inline table element",
            "extra assignment",
            "duplicate key",
        ];
        at >= self.noticed
            || (self.kind == Kind::Array && begins_key(text.get(at..).unwrap_or_default()))
            || (self.kind == Kind::InlineTable
                && echoes.iter().any(|echo| message.starts_with(echo)))
    }

    fn problem(&self, text: &str) -> Problem {
        let (kind, end) = match self.kind {
            Kind::Array => ("array", "]"),
            Kind::InlineTable => ("inline table", "}"),
            Kind::Text(end) => ("text", end),
        };
        let (line, column) = place(text, self.open);
        let message = format!("the {kind} that begins at {line}:{column} is not closed");
        let help = if self.noticed >= text.trim_end().len() {
            format!("add `{end}`: the file ends before it")
        } else {
            let (line, column) = place(text, self.noticed);
            format!("add `{end}` before {line}:{column}")
        };
        let at = Position {
            start: self.open,
            end: self.open + 1,
        };
        Problem::new(at, message).with_help(help)
    }
}

/// Line and column as an editor counts them.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// The first quote or bracket that is not closed, by a reading of the text that knows only strings,
/// comments, brackets and how lines begin.
fn unclosed(text: &str) -> Option<Unclosed> {
    let bytes = text.as_bytes();
    let mut open: Vec<(Kind, usize)> = Vec::new();
    let mut at = 0;
    // Behind the last thing that is neither white space nor a comment.
    let mut end = 0;
    let mut begins_line = true;
    while let Some(byte) = bytes.get(at).copied() {
        let innermost = open.last().copied();
        let rest = text.get(at..).unwrap_or_default();
        let found = |noticed| {
            innermost.map(|(kind, open)| Unclosed {
                kind,
                open,
                noticed,
            })
        };
        if begins_line && !byte.is_ascii_whitespace() {
            begins_line = false;
            let in_array = innermost.is_some_and(|(kind, _)| kind == Kind::Array);
            match innermost {
                // The name of a section.
                None if byte == b'[' => {
                    at += rest.find('\n').unwrap_or(rest.len());
                    end = at;
                    continue;
                }
                Some(_) if begins_section(rest) || (in_array && begins_key(rest)) => {
                    return found(at);
                }
                _ => {}
            }
        }
        let mut length = 1;
        match byte {
            b'\n' => begins_line = true,
            b'#' => length = rest.find('\n').unwrap_or(rest.len()),
            b'"' | b'\'' => match string(rest) {
                Ok(bytes) => length = bytes,
                Err((quotes, noticed)) => {
                    return Some(Unclosed {
                        kind: Kind::Text(quotes),
                        open: at,
                        noticed: at + noticed,
                    });
                }
            },
            b'[' => open.push((Kind::Array, at)),
            b'{' => open.push((Kind::InlineTable, at)),
            b']' | b'}' => {
                let kind = if byte == b']' {
                    Kind::Array
                } else {
                    Kind::InlineTable
                };
                match open.pop() {
                    Some((other, _)) if other != kind => return found(at),
                    _ => {}
                }
            }
            _ => {}
        }
        at += length;
        if !byte.is_ascii_whitespace() && byte != b'#' {
            end = at;
        }
    }
    let (kind, open) = open.pop()?;
    Some(Unclosed {
        kind,
        open,
        noticed: end,
    })
}

/// The length of the string that a text begins with, or the quotes that it lacks and where that shows.
fn string(text: &str) -> Result<usize, (&'static str, usize)> {
    let quotes = ["\"\"\"", "'''", "\"", "'"];
    let quotes = quotes.into_iter().find(|quotes| text.starts_with(quotes));
    let quotes = quotes.unwrap_or("\"");
    let (has_lines, has_escapes) = (quotes.len() == 3, quotes.starts_with('"'));
    let mut at = quotes.len();
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'\\' if has_escapes => at += 1,
            b'\n' if !has_lines => return Err((quotes, at)),
            _ if text
                .as_bytes()
                .get(at..)
                .is_some_and(|rest| rest.starts_with(quotes.as_bytes())) =>
            {
                at += quotes.len();
                // Up to two quotes may stand before those that close it.
                let more = text.as_bytes().get(at..).unwrap_or_default();
                let quote = quotes.as_bytes().first();
                let more = more.iter().take(2).take_while(|byte| Some(*byte) == quote);
                return Ok(at + if has_lines { more.count() } else { 0 });
            }
            _ => {}
        }
        at += 1;
    }
    Err((quotes, text.trim_end().len()))
}

/// Whether this begins with `[section]`, which no value does: an array has values.
fn begins_section(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let name = line.trim_start_matches('[');
    let Some((name, _)) = name.split_once(']').filter(|_| name.len() < line.len()) else {
        return false;
    };
    name.split('.').all(is_bare_key)
}

/// Whether this begins with `key =`.
fn begins_key(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let Some((key, _)) = line.split_once('=') else {
        return false;
    };
    key.split('.')
        .all(|key| is_bare_key(key.trim().trim_matches(['"', '\''])))
}

/// Whether this can be a key, and no value.
fn is_bare_key(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let key = key.trim();
    key.bytes().all(fits)
        && key.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !matches!(key, "true" | "false" | "inf" | "nan")
}

/// What of the line from `start` is not shown: all but the signs of TOML and the words of a
/// configuration. Where a text is broken it is not known what is a value, and so perhaps a secret.
pub(super) fn hidden(text: &str, start: usize) -> Vec<Position> {
    let line = text.get(start..).unwrap_or_default();
    let line = line.split('\n').next().unwrap_or_default();
    let is_sign = |c: char| c.is_whitespace() || "[]{}=,.\"'#".contains(c);
    let mut at = start;
    let mut hidden = Vec::new();
    for piece in line.split_inclusive(is_sign) {
        let word = piece.trim_end_matches(is_sign);
        if !WORDS.contains(&word) {
            hidden.push(Position {
                start: at,
                end: at + word.len(),
            });
        }
        at += piece.len();
    }
    hidden
}

/// The sections and the keys of a configuration: those of them that are not here are not shown.
const WORDS: [&str; 75] = [
    "runtime",
    "admin",
    "listeners",
    "secrets",
    "plugins",
    "policies",
    "upstreams",
    "key-sets",
    "store",
    "gateway",
    "apis",
    "routes",
    "address",
    "trusted-proxies",
    "wasm",
    "sha256",
    "grant",
    "bodies",
    "fetch",
    "kv",
    "streams",
    "limits",
    "memory",
    "cpu",
    "wall",
    "concurrency",
    "snapshot",
    "large",
    "plugin",
    "config",
    "instances",
    "calls",
    "on-fault",
    "servers",
    "url",
    "weight",
    "timeouts",
    "connect",
    "first-byte",
    "total",
    "chain",
    "variables",
    "base",
    "hosts",
    "match",
    "api",
    "chain-reset",
    "upstream",
    "respond",
    "status",
    "headers",
    "body",
    "priority",
    "env",
    "file",
    "keys",
    "reload",
    "secret",
    "cache",
    "cache-entry",
    "decisions",
    "limit-keys",
    "workers",
    "connections",
    "requests",
    "plugin-calls",
    "page-scan",
    "drain",
    "watch",
    "plugin-cache",
    "path",
    "methods",
    "when",
    "query",
    "policy",
];
