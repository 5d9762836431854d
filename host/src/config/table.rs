//! What the reader walks: tables, their values, and where each of them stands.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::Position;

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
}

impl<'t> Table<'t> {
    pub fn new(path: String, position: Position, entries: &'t DeTable<'t>) -> Table<'t> {
        Table {
            path,
            position,
            entries,
            asked: Vec::new(),
        }
    }

    /// The keys of a section, sorted, without reading it.
    pub fn names(&self, section: &str) -> Vec<&'t str> {
        match self.entries.get(section).map(|value| value.get_ref()) {
            Some(DeValue::Table(entries)) => entries.keys().map(|key| &**key.get_ref()).collect(),
            _ => Vec::new(),
        }
    }

    /// Where the values of these sections stand, by their paths: the keys, and where a key is a name
    /// those below it.
    pub fn places(&self, sections: &[&str]) -> BTreeMap<String, Position> {
        let mut places = BTreeMap::new();
        for section in sections {
            if let Some(value) = self.entries.get(*section) {
                below(section, value.get_ref(), 2, &mut places);
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
