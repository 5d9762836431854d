//! What the reader walks: tables, their values, and where each of them stands.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::{Position, Problem};

/// A value, with the path of keys that leads to it.
pub(super) struct Item<'t> {
    pub path: String,
    pub position: Position,
    pub value: &'t DeValue<'t>,
}

/// An entry of a table whose keys are names that the operator chose.
pub(super) struct Named<'t> {
    pub name: String,
    pub position: Position,
    pub item: Item<'t>,
}

/// A table being read. It remembers the keys asked for: what is left over is unknown.
pub(super) struct Table<'t> {
    pub path: String,
    pub position: Position,
    pub(super) entries: &'t DeTable<'t>,
    pub(super) asked: Vec<&'static str>,
    /// What is not there: one of these keys, and what is to be said of that.
    pub(super) lacking: Vec<(Vec<&'static str>, Problem)>,
}

impl<'t> Table<'t> {
    pub fn new(path: String, position: Position, entries: &'t DeTable<'t>) -> Table<'t> {
        Table {
            path,
            position,
            entries,
            asked: Vec::new(),
            lacking: Vec::new(),
        }
    }

    /// One of these keys has to be there, and none is. This is told when the table has been read, unless
    /// it is there in another spelling.
    pub fn lacks(&mut self, keys: &[&'static str], problem: Problem) {
        self.lacking.push((keys.to_vec(), problem));
    }

    /// The keys of a section, sorted, without reading it.
    pub fn names(&self, section: &str) -> Vec<&'t str> {
        match self.entries.get(section).map(|value| value.get_ref()) {
            Some(DeValue::Table(entries)) => entries.keys().map(|key| &**key.get_ref()).collect(),
            _ => Vec::new(),
        }
    }

    /// Where the values of these sections stand, by their paths, down to so many levels: names, and the
    /// keys below them.
    pub fn places(&self, sections: &[(&str, usize)]) -> BTreeMap<String, Position> {
        let mut places = BTreeMap::new();
        for (section, levels) in sections {
            if let Some(value) = self.entries.get(*section) {
                below(section, value.get_ref(), *levels, &mut places);
            }
        }
        places
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&mut self, key: &'static str) -> Option<Item<'t>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let value = self.entries.get(key)?;
        Some(Item {
            path: join(&self.path, key),
            position: value.span().into(),
            value: value.get_ref(),
        })
    }
}

fn below(path: &str, value: &DeValue<'_>, levels: usize, places: &mut BTreeMap<String, Position>) {
    let DeValue::Table(entries) = value else {
        return;
    };
    for (key, value) in entries {
        let path = join(path, key.get_ref());
        if levels > 1 {
            below(&path, value.get_ref(), levels - 1, places);
        }
        // A section as its header names it; a table is wherever its keys are.
        let span = match value.get_ref() {
            DeValue::Table(_) => key.span(),
            _ => value.span(),
        };
        places.insert(path, span.into());
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
