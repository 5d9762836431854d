//! What is wrong with the file, and how to show it: position, source line, caret, help.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::Position;
use crate::limits::{CONFIG_LINE_CHARS_SHOWN, CONFIG_PROBLEMS_SHOWN};
use crate::shown::{clear, quoted};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Absent when the problem is not in the text, as with a file that cannot be read.
    pub position: Option<Position>,
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(position: impl Into<Option<Position>>, message: impl Into<String>) -> Problem {
        Problem {
            position: position.into(),
            message: message.into(),
            help: None,
        }
    }

    pub fn with_help(self, help: impl Into<String>) -> Problem {
        Problem {
            help: Some(help.into()),
            ..self
        }
    }
}

/// Everything that is wrong with one file, in the order of the file. Its `Display` is what the
/// operator reads.
#[derive(Debug, Clone)]
pub struct Problems {
    pub source: Arc<Source>,
    pub problems: Vec<Problem>,
}

impl Problems {
    pub fn new(source: Arc<Source>, mut problems: Vec<Problem>) -> Problems {
        problems.sort_by_key(|problem| problem.position.map(|at| (at.start, at.end)));
        Problems { source, problems }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.render(&self.problems))
    }
}

impl std::error::Error for Problems {}

/// The text of a configuration file, kept so that what is found later (a plugin that refuses its
/// configuration) is shown in the same way as what the reader finds.
#[derive(Default)]
pub struct Source {
    pub file: PathBuf,
    pub text: String,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
    /// What a printed line shows as stars: secrets that were written where none belongs.
    hidden: Vec<Position>,
}

/// Leaves the text out: a dump of a configuration must not carry what a printed line hides.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Source {
    pub fn new(file: impl Into<PathBuf>, text: impl Into<String>) -> Source {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        let hidden = user_infos(&text);
        Source {
            file: file.into(),
            text,
            lines,
            hidden,
        }
    }

    /// What the parser says, with the key that is set twice by name.
    pub(super) fn syntax_error(&self, error: &toml::de::Error) -> Problem {
        let key = error.span().and_then(|span| self.text.get(span));
        let message = match (error.message(), key) {
            ("duplicate key", Some(key)) => format!("the key {} is set twice", quoted(key)),
            // The parser's way to say that nothing more is expected there.
            (message, _) => message.replace(", expected nothing", ""),
        };
        Problem::new(error.span().map(Position::from), message)
    }

    pub(super) fn hide(&mut self, secrets: Vec<Position>) {
        self.hidden.extend(secrets);
    }

    /// Hides every value in these sections, found by their lines alone. This is for a file with
    /// syntax errors, where the tree may not hold the value that the error is about.
    pub(super) fn hide_sections(&mut self, sections: &[&str]) {
        let mut inside = false;
        let mut hidden = Vec::new();
        for &start in &self.lines {
            let line = self.line_at(start);
            let code = line.trim_start();
            let name = code.trim_start_matches(['[', ' ', '\t', '"', '\'']);
            let named = sections.iter().any(|section| name.starts_with(section));
            // A line that begins with `[{` goes on with an array of tables.
            let header = code.starts_with('[') && !name.starts_with('{');
            if header || named {
                inside = named;
            }
            if inside && !header {
                hidden.push(Position {
                    start: start + value_of(line),
                    end: start + line.len(),
                });
            }
        }
        self.hide(hidden);
    }

    /// The number of the line, from 0.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.lines
            .partition_point(|&start| start <= offset)
            .saturating_sub(1)
    }

    /// The line without its end that starts at this offset.
    fn line_at(&self, start: usize) -> &str {
        let rest = self.text.get(start..).unwrap_or("");
        rest.lines().next().unwrap_or("")
    }

    /// Each problem as `file:line:column: error: message`, its source line, a caret and the help.
    pub fn render(&self, problems: &[Problem]) -> String {
        self.render_as("error", problems)
    }

    /// The same of what keeps nothing from being loaded.
    pub fn render_warnings(&self, problems: &[Problem]) -> String {
        self.render_as("warning", problems)
    }

    fn render_as(&self, label: &str, problems: &[Problem]) -> String {
        let mut out = String::new();
        for problem in problems.iter().take(CONFIG_PROBLEMS_SHOWN) {
            self.render_one(&mut out, label, problem);
        }
        if let Some(more @ 1..) = problems.len().checked_sub(CONFIG_PROBLEMS_SHOWN) {
            let file = self.file.display();
            let _ = writeln!(out, "{file}: {label}: {more} more problems");
        }
        out
    }

    fn render_one(&self, out: &mut String, label: &str, problem: &Problem) {
        let file = self.file.display();
        // Writing to a String cannot fail.
        let _ = match problem.position {
            None => writeln!(out, "{file}: {label}: {}", problem.message),
            Some(position) => {
                let start = self.text.floor_char_boundary(position.start);
                let line = self.line(start);
                let from = self.lines.get(line).copied().unwrap_or(0);
                let before = self.text.get(from..start).unwrap_or("").chars().count();
                let _ = writeln!(
                    out,
                    "{file}:{}:{}: {label}: {}",
                    line + 1,
                    before + 1,
                    problem.message
                );
                self.render_line(out, from, before, position)
            }
        };
        if let Some(help) = &problem.help {
            let _ = writeln!(out, "help: {help}");
        }
    }

    /// The source line and its carets. A long line is shown from shortly before the carets.
    fn render_line(
        &self,
        out: &mut String,
        from: usize,
        before: usize,
        at: Position,
    ) -> fmt::Result {
        let line = self.line_at(from);
        let skipped = match before.checked_sub(CONFIG_LINE_CHARS_SHOWN / 2) {
            Some(skipped) if line.len() > CONFIG_LINE_CHARS_SHOWN => skipped,
            _ => 0,
        };
        // Of the hidden places, which may be many, those in sight.
        let first = line.char_indices().nth(skipped).map_or(0, |(at, _)| at);
        let last = first + char::MAX_LEN_UTF8 * CONFIG_LINE_CHARS_SHOWN;
        let in_sight = |hidden: &&Position| hidden.start < from + last && hidden.end > from + first;
        let hidden: Vec<&Position> = self.hidden.iter().filter(in_sight).collect();
        let shown = line
            .char_indices()
            .skip(skipped)
            .take(CONFIG_LINE_CHARS_SHOWN);
        let (mut text, mut carets) = (String::new(), String::new());
        for (index, character) in shown {
            let offset = from + index;
            let is_hidden = hidden.iter().any(|at| (at.start..at.end).contains(&offset));
            text.push(if is_hidden { '*' } else { printable(character) });
            if offset < at.start {
                carets.push(if character == '\t' { '\t' } else { ' ' });
            } else if offset < at.end {
                carets.push('^');
            }
        }
        if !carets.ends_with('^') {
            carets.push('^');
        }
        writeln!(out, "    {text}\n    {carets}")
    }
}

fn printable(character: char) -> char {
    match character {
        '\t' => '\t',
        character => clear(character),
    }
}

/// Where the value begins in a line: behind `key =`, if that is what it has, or at its start, since it
/// may go on with a value, as of a key in base64, which may end in `=`.
fn value_of(line: &str) -> usize {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b" \t{._-".contains(&byte);
    match line.split_once('=') {
        Some((key, value)) if key.bytes().all(bare) && !matches!(value.trim(), "" | "=") => {
            key.len() + 1
        }
        _ => 0,
    }
}

/// Where a URL carries a user and a password: `http://user:password@host`. What looks like a URL is
/// enough, since the password may be what makes it a wrong one.
fn user_infos(text: &str) -> Vec<Position> {
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split_inclusive(['"', '\'', '\n', ' ']) {
        if let (Some(scheme), Some(at)) = (word.find("://"), word.rfind('@')) {
            found.push(Position {
                start: start + scheme + "://".len(),
                end: start + at,
            });
        }
        start += word.len();
    }
    found
}
