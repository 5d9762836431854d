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
use toml::de::{DeTable, DeValue};

use super::source::Problem;
use super::table::join;
pub(super) use super::table::{Item, Named, Table};
use super::{Position, units};
use crate::limits::config::{CONFIG_NAMES_SHOWN, CONFIG_PROBLEMS_SHOWN, NAME_BYTES_MAX};
use crate::quote::{nearest, quoted};

pub(super) struct Reader<'a> {
    /// The folder that relative paths start from.
    pub folder: &'a Path,
    /// The names of the bundled plugins.
    pub bundled: &'a [&'a str],
    /// What stands where a secret was written and none belongs.
    pub secrets: Vec<Position>,
    /// Where texts begin whose meaning is known, and is not a secret: a printed line shows no others.
    shown: HashSet<usize>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub fn new(folder: &'a Path, bundled: &'a [&'a str]) -> Reader<'a> {
        Reader {
            folder,
            bundled,
            secrets: Vec::new(),
            shown: HashSet::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Everything noted: the problems, and what keeps nothing from being loaded.
    pub fn into_noted(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Notes what is allowed and hardly meant.
    pub fn warn(&mut self, problem: Problem) {
        self.warnings.push(problem);
    }

    /// Lets printed lines show this text.
    pub fn show(&mut self, item: &Item<'_>) {
        self.shown.insert(item.position.start);
    }

    /// Lets them show the texts of a list too.
    pub fn show_all(&mut self, item: &Item<'_>) {
        self.show(item);
        if let DeValue::Array(values) = item.value {
            let starts = values.iter().map(|value| value.span().start);
            self.shown.extend(starts);
        }
    }

    /// What printed lines hide: what is or may be a secret.
    pub fn hidden(&mut self, root: &DeTable<'_>) -> Vec<Position> {
        let mut hidden = std::mem::take(&mut self.secrets);
        let mut found = |at: Position| {
            if !self.shown.contains(&at.start) {
                hidden.push(at);
            }
        };
        for value in root.values() {
            texts(value, &mut found);
        }
        hidden
    }

    pub fn problem(&mut self, position: Position, message: impl Into<String>) {
        self.note(Problem::new(position, message));
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
            table.lacks(
                &[key],
                Problem::new(table.position, message).with_help(help),
            );
        }
        item
    }

    /// Reports the keys that are not there, and those that nobody asked for; `later` are those planned
    /// for another release.
    pub fn finish(&mut self, table: &Table<'_>, later: &[&str]) {
        let mut meant = Vec::new();
        for key in table.entries.keys() {
            let (name, position) = (key.get_ref().as_ref(), Position::from(key.span()));
            let path = quoted(&join(&table.path, name));
            if table.asked.contains(&name) {
                continue;
            }
            if later.contains(&name) {
                self.problem(position, format!("{path} is not supported in this release"));
                continue;
            }
            let nearest = self.nearest(name, &table.asked);
            meant.extend(nearest);
            let help = nearest.map_or_else(
                || {
                    let place = if table.path.is_empty() {
                        "the file".into()
                    } else {
                        quoted(&table.path)
                    };
                    format!("{place} has the keys {}", list(&table.asked))
                },
                did_you_mean,
            );
            self.note(Problem::new(position, format!("unknown key {path}")).with_help(help));
        }
        for (keys, problem) in &table.lacking {
            // What is spelled wrong is there, and has been told of.
            if !keys.iter().any(|key| meant.contains(key)) {
                self.note(problem.clone());
            }
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
            let help = match (self.nearest(name, known), known) {
                (Some(nearest), _) => did_you_mean(nearest),
                (None, []) => format!("there is no {kind} at all"),
                (None, _) => format!("known {}: {}", plural(kind), list(known)),
            };
            let message = format!("there is no {kind} {}", quoted(name));
            self.note(Problem::new(item.position, message).with_help(help));
            return None;
        }
        Some(name)
    }

    /// The one that was likely meant.
    fn nearest<'n>(&self, name: &str, known: &[&'n str]) -> Option<&'n str> {
        // Distances cost: none for problems that will not be shown.
        if self.problems.len() > CONFIG_PROBLEMS_SHOWN {
            return None;
        }
        nearest(name, known)
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
        let text = self.hidden_text(item, example)?;
        self.show(item);
        Some(text)
    }

    /// The same of a text that may be a secret.
    pub fn hidden_text<'t>(&mut self, item: &Item<'t>, example: &str) -> Option<&'t str> {
        let DeValue::String(text) = item.value else {
            self.wrong_type(item, &format!("a string such as {example}"));
            return None;
        };
        Some(text)
    }

    /// Whether there are not too many of these in the item; if there are, that is noted.
    pub fn bounded(&mut self, item: &Item<'_>, what: &str, count: usize, most: usize) -> bool {
        if count > most {
            let message = format!("{} has more than {most} {what}", quoted(&item.path));
            self.problem(item.position, message);
        }
        count <= most
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
        self.show(item);
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

/// Calls `found` with the place of each string.
fn texts(value: &Spanned<DeValue<'_>>, found: &mut impl FnMut(Position)) {
    match value.get_ref() {
        DeValue::String(_) => found(value.span().into()),
        DeValue::Array(values) => values.iter().for_each(|value| texts(value, found)),
        DeValue::Table(values) => values.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    }
}

/// In backquotes with commas, and not all of many.
fn list(names: &[&str]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(CONFIG_NAMES_SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > CONFIG_NAMES_SHOWN {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}
