//! What is wrong with the file, and how to show it: position, source line, caret, help.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Position;
use crate::limits::config::{CONFIG_LINE_CHARS_SHOWN, CONFIG_PROBLEMS_SHOWN};
use crate::quote::clear;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Absent when the problem is not in the text, as with a file that cannot be read.
    pub position: Option<Position>,
    pub message: String,
    pub help: Option<String>,
    /// The place that it is in conflict with.
    pub other: Option<Position>,
}

impl Problem {
    pub fn new(position: impl Into<Option<Position>>, message: impl Into<String>) -> Problem {
        Problem {
            position: position.into(),
            message: message.into(),
            help: None,
            other: None,
        }
    }

    pub fn with_help(self, help: impl Into<String>) -> Problem {
        Problem {
            help: Some(help.into()),
            ..self
        }
    }

    /// What problems are in the order of.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.position.map(|at| (at.start, at.end))
    }

    pub fn with_other(self, other: Option<Position>) -> Problem {
        Problem { other, ..self }
    }
}

/// Everything that is wrong with one file, in the order of the file. Its `Display` is what the
/// operator reads.
#[derive(Debug, Clone)]
pub struct Problems {
    pub source: Arc<Source>,
    pub problems: Vec<Problem>,
    /// What alone would keep nothing from being loaded.
    pub warnings: Vec<Problem>,
}

impl Problems {
    pub fn new(source: Arc<Source>, mut problems: Vec<Problem>) -> Problems {
        problems.sort_by_key(Problem::place);
        Problems {
            source,
            problems,
            warnings: Vec::new(),
        }
    }

    pub fn with_warnings(self, warnings: Vec<Problem>) -> Problems {
        Problems { warnings, ..self }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.render(&self.problems))?;
        f.write_str(&self.source.render_warnings(&self.warnings))
    }
}

impl std::error::Error for Problems {}

/// An object of `file`, `errors` and `warnings`: without lines of the file, which may hold secrets.
impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("file", &self.source.file.to_string_lossy())?;
        object.serialize_entry("errors", &self.source.placed(&self.problems))?;
        object.serialize_entry("warnings", &self.source.placed(&self.warnings))?;
        object.end()
    }
}

/// A problem for programs: as it is printed, and no more of them than are printed.
#[derive(serde::Serialize)]
pub struct Placed<'p> {
    message: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'p str>,
    #[serde(flatten)]
    at: Option<LineColumn>,
    /// That of the other one that it is in conflict with.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<LineColumn>,
}

/// As an editor counts them, from 1.
#[derive(serde::Serialize)]
struct LineColumn {
    line: usize,
    column: usize,
}

/// The text of a configuration file, kept so that what is found later (a plugin that refuses its
/// configuration) is shown in the same way as what the reader finds.
#[derive(Default)]
pub struct Source {
    pub file: PathBuf,
    pub text: String,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
    /// What a printed line shows as stars: what is or may be a secret.
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

    /// Where the line of this place begins.
    pub(super) fn line_start(&self, offset: usize) -> usize {
        self.lines.get(self.line(offset)).copied().unwrap_or(0)
    }

    /// Line and column as an editor counts them.
    fn place(&self, position: Position) -> (usize, usize) {
        let start = self.text.floor_char_boundary(position.start);
        let from = self.line_start(start);
        let before = self.text.get(from..start).unwrap_or("").chars().count();
        (self.line(start) + 1, before + 1)
    }

    pub(super) fn hide(&mut self, secrets: Vec<Position>) {
        self.hidden.extend(secrets);
    }

    /// The number of the line, from 0.
    fn line(&self, offset: usize) -> usize {
        self.lines
            .partition_point(|&start| start <= offset)
            .saturating_sub(1)
    }

    /// The line without its end that starts at this offset.
    fn line_at(&self, start: usize) -> &str {
        let rest = self.text.get(start..).unwrap_or("");
        rest.lines().next().unwrap_or("")
    }

    /// These problems, for programs.
    pub fn placed<'p>(&self, problems: &'p [Problem]) -> Vec<Placed<'p>> {
        let place = |position| {
            let (line, column) = self.place(position);
            LineColumn { line, column }
        };
        let placed = |problem: &'p Problem| Placed {
            message: &problem.message,
            help: problem.help.as_deref(),
            at: problem.position.map(place),
            other: problem.other.map(place),
        };
        let shown = problems.iter().take(CONFIG_PROBLEMS_SHOWN);
        shown.map(placed).collect()
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
                let (line, column) = self.place(position);
                let _ = writeln!(out, "{file}:{line}:{column}: {label}: {}", problem.message);
                let from = self.line_start(position.start);
                self.render_line(out, from, column - 1, position)
            }
        };
        if let Some(other) = problem.other {
            let (line, column) = self.place(other);
            let _ = writeln!(out, "note: the other one is at {file}:{line}:{column}");
        }
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
