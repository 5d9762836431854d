//! The typed reader: it walks the spanned tree, notes every problem and goes on.
//!
//! A method that returns `None` has noted why. Callers read all keys of a table before they give up
//! on it, so that one run shows everything that is wrong.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::source::{Problem, Source};
use super::table::join;
pub(super) use super::table::{Item, Named, Table};
use super::{Position, units};
use crate::limits::{CONFIG_PROBLEMS_SHOWN, NAME_BYTES_MAX};
use crate::shown::quoted;

pub(super) struct Reader<'a> {
    /// The folder that relative paths start from.
    pub folder: &'a Path,
    /// The names of the bundled plugins.
    pub bundled: &'a [&'a str],
    /// Strings that stand where a secret was written and none belongs.
    pub secrets: Vec<Position>,
    problems: Vec<Problem>,
    /// Syntax errors leave holes in the tree. With one, nothing is said about what is not there.
    broken: bool,
}

impl<'a> Reader<'a> {
    pub fn new(folder: &'a Path, bundled: &'a [&'a str], broken: bool) -> Reader<'a> {
        Reader {
            folder,
            bundled,
            secrets: Vec::new(),
            problems: Vec::new(),
            broken,
        }
    }

    /// Everything noted. What is said about a line with a syntax error is left out: it is likely an
    /// echo of it.
    pub fn into_problems(mut self, source: &Source, syntax: Vec<Problem>) -> Vec<Problem> {
        let line = |problem: &Problem| problem.position.map(|at| source.line(at.start));
        let broken: HashSet<_> = syntax.iter().filter_map(line).collect();
        self.problems
            .retain(|problem| line(problem).is_none_or(|line| !broken.contains(&line)));
        self.problems.extend(syntax);
        self.problems
    }

    pub fn note(&mut self, problem: Problem) {
        // The parser puts an empty value at the very start where it could not read one.
        let hole = problem.position.is_some_and(|at| at.end == 0);
        if !(self.broken && hole) {
            self.problems.push(problem);
        }
    }

    pub fn problem(&mut self, position: Position, message: impl Into<String>) {
        self.note(Problem::new(position, message));
    }

    /// A problem that consists in something not being there.
    pub fn absent(&mut self, problem: Problem) {
        if !self.broken {
            self.note(problem);
        }
    }

    pub fn required<'t>(
        &mut self,
        table: &mut Table<'t>,
        key: &'static str,
        example: &str,
    ) -> Option<Item<'t>> {
        let item = table.get(key);
        if item.is_none() {
            let message = format!("`{}` has no `{key}`", table.path);
            let help = format!("add `{key} = {example}`");
            self.absent(Problem::new(table.position, message).with_help(help));
        }
        item
    }

    /// Reports the keys that nobody asked for; `later` are those planned for another release.
    pub fn finish(&mut self, table: &Table<'_>, later: &[&str]) {
        for key in table.entries.keys() {
            let (name, position) = (key.get_ref().as_ref(), Position::from(key.span()));
            let path = quoted(&join(&table.path, name));
            if table.asked.contains(&name) {
                continue;
            }
            if later.contains(&name) {
                self.problem(position, format!("{path} is not in this release"));
                continue;
            }
            let help = self.suggestion(name, &table.asked).unwrap_or_else(|| {
                let place = if table.path.is_empty() {
                    "the file".into()
                } else {
                    quoted(&table.path)
                };
                format!("{place} has the keys {}", list(&table.asked))
            });
            self.note(Problem::new(position, format!("unknown key {path}")).with_help(help));
        }
    }

    /// The entries of a section whose keys are names, in the order written.
    pub fn named<'t>(&mut self, root: &mut Table<'t>, section: &'static str) -> Vec<Named<'t>> {
        let Some(item) = root.get(section) else {
            return Vec::new();
        };
        let all = self.pairs(
            &item,
            &format!("a table of tables such as [{section}.NAME]"),
        );
        let named = |named: &Named<'_>| self.name(&named.name, named.position);
        all.into_iter().filter(named).collect()
    }

    /// The entries of a table whose keys may be anything, in the order written.
    pub fn pairs<'t>(&mut self, item: &Item<'t>, wanted: &str) -> Vec<Named<'t>> {
        let DeValue::Table(entries) = item.value else {
            self.wrong_type(item, wanted);
            return Vec::new();
        };
        let pair = |(key, value): (&'t Spanned<Cow<'t, str>>, &'t Spanned<DeValue<'t>>)| Named {
            name: key.get_ref().to_string(),
            position: key.span().into(),
            item: Item {
                path: join(&item.path, key.get_ref()),
                position: value.span().into(),
                value: value.get_ref(),
            },
        };
        let mut all: Vec<Named<'t>> = entries.iter().map(pair).collect();
        all.sort_by_key(|named| named.position.start);
        all
    }

    pub fn is_name(name: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
    }

    /// Whether this can be a name; if not, that is noted.
    pub fn name(&mut self, name: &str, position: Position) -> bool {
        let good = Self::is_name(name);
        if !good {
            let message = format!("{} cannot be a name", quoted(name));
            let help =
                format!("a name has 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 _ -");
            self.note(Problem::new(position, message).with_help(help));
        }
        good
    }

    /// A string that names one of `known`, which are sorted.
    pub fn reference<'t>(
        &mut self,
        item: &Item<'t>,
        kind: &str,
        known: &[&str],
    ) -> Option<&'t str> {
        let name = self.text(item, "\"name\"")?;
        if known.binary_search(&name).is_err() {
            let help = self.suggestion(name, known).unwrap_or_else(|| match known {
                [] => format!("there is no {kind} at all"),
                _ => format!("there are {}", list(known)),
            });
            let message = format!("there is no {kind} {}", quoted(name));
            self.absent(Problem::new(item.position, message).with_help(help));
            return None;
        }
        Some(name)
    }

    fn suggestion(&self, name: &str, known: &[&str]) -> Option<String> {
        // Distances cost: none for what is surely far, nor for problems that will not be shown.
        if name.len() > NAME_BYTES_MAX || self.problems.len() > CONFIG_PROBLEMS_SHOWN {
            return None;
        }
        let distance = |candidate: &&&str| strsim::osa_distance(name, candidate);
        let nearest = known.iter().min_by_key(distance)?;
        let near = distance(&nearest) <= 1 + nearest.len().min(name.len()) / 4;
        near.then(|| format!("did you mean `{nearest}`?"))
    }

    pub fn wrong_type(&mut self, item: &Item<'_>, wanted: &str) {
        let found = match item.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let message = format!("{} must be {wanted}, not {found}", quoted(&item.path));
        self.problem(item.position, message);
    }

    pub fn text<'t>(&mut self, item: &Item<'t>, example: &str) -> Option<&'t str> {
        let DeValue::String(text) = item.value else {
            self.wrong_type(item, &format!("a string such as {example}"));
            return None;
        };
        Some(text)
    }

    pub fn boolean(&mut self, item: &Item<'_>) -> Option<bool> {
        let DeValue::Boolean(value) = item.value else {
            self.wrong_type(item, "true or false");
            return None;
        };
        Some(*value)
    }

    pub fn list<'t>(&mut self, item: &Item<'t>, example: &str) -> Option<Vec<Item<'t>>> {
        let DeValue::Array(array) = item.value else {
            self.wrong_type(item, &format!("an array such as {example}"));
            return None;
        };
        let items = array.iter().enumerate().map(|(index, value)| Item {
            path: format!("{}[{index}]", item.path),
            position: value.span().into(),
            value: value.get_ref(),
        });
        Some(items.collect())
    }

    pub fn table<'t>(&mut self, item: &Item<'t>, example: &str) -> Option<Table<'t>> {
        let DeValue::Table(entries) = item.value else {
            self.wrong_type(item, &format!("a table such as {example}"));
            return None;
        };
        Some(Table::new(item.path.clone(), item.position, entries))
    }

    /// The table of a named entry; what it lacks is reported at its name.
    pub fn entry<'t>(&mut self, named: &Named<'t>) -> Option<Table<'t>> {
        let table = self.table(&named.item, &format!("[{}]", named.item.path))?;
        Some(Table {
            position: named.position,
            ..table
        })
    }

    pub fn number<T>(&mut self, item: &Item<'_>, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let (from, to) = (range.start(), range.end());
        let DeValue::Integer(integer) = item.value else {
            self.wrong_type(item, &format!("an integer from {from} to {to}"));
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.and_then(|number| T::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let path = quoted(&item.path);
            self.problem(item.position, format!("{path} must be from {from} to {to}"));
        }
        number
    }

    pub fn duration(
        &mut self,
        item: &Item<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.quantity(
            item,
            range,
            "\"10ms\"",
            units::duration,
            units::show_duration,
        )
    }

    pub fn size(&mut self, item: &Item<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        self.quantity(item, range, "\"16MiB\"", units::size, units::show_size)
    }

    fn quantity<T: PartialOrd + Copy>(
        &mut self,
        item: &Item<'_>,
        range: RangeInclusive<T>,
        example: &str,
        parse: fn(&str) -> Result<T, String>,
        show: fn(T) -> String,
    ) -> Option<T> {
        let DeValue::String(text) = item.value else {
            self.wrong_type(item, &format!("a string with a unit such as {example}"));
            return None;
        };
        let wanted = match parse(text) {
            Ok(value) if range.contains(&value) => return Some(value),
            Ok(_) => format!("from {} to {}", show(*range.start()), show(*range.end())),
            Err(wanted) => wanted,
        };
        self.problem(
            item.position,
            format!("{} must be {wanted}", quoted(&item.path)),
        );
        None
    }
}

/// In backquotes with commas; no more than a reader takes in.
fn list(names: &[&str]) -> String {
    const SHOWN: usize = 24;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > SHOWN {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}
