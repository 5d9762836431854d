//! What is changed in a document, checked once and applied to each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_plugin::template::Side;
use tollgate_plugin::{Request, Response, Result};

use crate::document::Node;
use crate::keep::{Keep, project};
use crate::path::{self, Path, Step};
use crate::template::Template;

/// As it is configured; applied in this order.
#[derive(Default)]
pub struct Changes {
    pub keep: Option<Vec<String>>,
    pub remove: Vec<String>,
    pub rename: BTreeMap<String, String>,
    pub add: BTreeMap<String, Value>,
    pub set: BTreeMap<String, Value>,
}

pub struct Edits {
    keep: Option<Keep>,
    remove: Vec<Path>,
    /// Where the objects are, and old and new names in them.
    rename: Vec<(Path, Vec<(String, String)>)>,
    /// Those to add before those to set.
    lines: Vec<Line>,
}

struct Line {
    path: Path,
    value: Template,
    /// Only where there is nothing.
    add: bool,
    /// For the log.
    place: String,
}

/// Why a document was not edited.
pub enum Trouble {
    Json(serde_json::Error),
    /// At the place of `set`, there is something of another kind.
    NoPlace(String),
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Trouble::Json(error)
    }
}

/// A byte order mark.
const MARK: &str = "\u{feff}";

/// The values of `lines`; none where something absent is referred to.
pub type Values = Vec<Option<String>>;

impl Edits {
    /// The error begins with the place.
    pub fn new(changes: Changes, side: Side) -> Result<Edits, String> {
        let keep = match changes.keep {
            Some(texts) if texts.is_empty() => return Err("keep: names nothing".into()),
            Some(texts) => Some(Keep::new(paths("keep", &texts)?)),
            None => None,
        };
        let mut rename: Vec<(Path, Vec<(String, String)>)> = Vec::new();
        for (old, new) in changes.rename {
            let wrong = |why: &str| format!("rename.{old:?}: {why}");
            let mut path = path::parse(&old).map_err(|why| wrong(&why))?;
            let name = match path.pop() {
                Some(Step::Member(name) | Step::Token(name, _)) => name,
                _ => return Err(wrong("does not end with the name of a member")),
            };
            if name == new {
                return Err(wrong("is its own new name"));
            }
            let at = rename.iter().position(|(parent, _)| *parent == path);
            let at = at.unwrap_or_else(|| {
                rename.push((path, Vec::new()));
                rename.len() - 1
            });
            let others = &mut rename[at].1;
            let twice = |(one, other): &(String, String)| *one == name || *other == new;
            if others.iter().any(twice) {
                return Err(wrong("its old or new name is in another line as well"));
            }
            others.push((name, new));
        }
        let mut lines = Vec::new();
        for (key, values, add) in [("add", changes.add, true), ("set", changes.set, false)] {
            for (text, value) in values {
                let place = format!("{key}.{text:?}");
                let wrong = |why: String| format!("{place}: {why}");
                lines.push(Line {
                    path: path::parse(&text).map_err(wrong)?,
                    value: Template::new(&value, side).map_err(wrong)?,
                    add,
                    place,
                });
            }
        }
        Ok(Edits {
            keep,
            remove: paths("remove", &changes.remove)?,
            rename,
            lines,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.keep.is_none()
            && self.remove.is_empty()
            && self.rename.is_empty()
            && self.lines.is_empty()
    }

    /// Whether something is kept from whoever reads the document.
    pub fn hides(&self) -> bool {
        self.keep.is_some() || !self.remove.is_empty()
    }

    pub fn values(&self, request: &Request, response: Option<&Response>) -> Result<Values> {
        let values = self.lines.iter();
        values
            .map(|line| line.value.render(request, response))
            .collect()
    }

    /// The document, edited; none if it stays as it is. Where `set` has no place, it is refused if
    /// that is `strict`, and else left out.
    pub fn apply(
        &self,
        text: &[u8],
        values: Values,
        strict: bool,
    ) -> Result<Option<String>, Trouble> {
        // Some writers begin a document with a byte order mark (RFC 8259, section 8.1). Whoever reads it
        // is used to it.
        let (mark, text) = match text.strip_prefix(MARK.as_bytes()) {
            Some(text) => (MARK, text),
            None => ("", text),
        };
        let mut root = Node::parse(text)?;
        let mut changed = false;
        if let Some(keep) = &self.keep
            && !project(&mut root, &[keep], &mut changed)?
        {
            root = Node::Made("null".into());
            changed = true;
        }
        for path in &self.remove {
            remove(&mut root, path, &mut changed)?;
        }
        for (path, names) in &self.rename {
            rename(&mut root, path, names, &mut changed)?;
        }
        for (line, value) in self.lines.iter().zip(values) {
            match value {
                Some(value) => {
                    let placed = put(&mut root, &line.path, &value, line.add, &mut changed)?;
                    if !placed && strict && !line.add {
                        return Err(Trouble::NoPlace(line.place.clone()));
                    }
                }
                // Whoever reads a member that is set here trusts it: a value that came in with the
                // document must not stand in for the one that is missing.
                None if !line.add => remove(&mut root, &line.path, &mut changed)?,
                None => {}
            }
        }
        Ok(changed.then(|| {
            let mut out = String::with_capacity(mark.len() + text.len() + 256);
            out.push_str(mark);
            root.write(&mut out);
            out
        }))
    }
}

fn paths(key: &str, texts: &[String]) -> Result<Vec<Path>, String> {
    let parsed = texts.iter().enumerate().map(|(index, text)| {
        path::parse(text).map_err(|why| format!("{key}[{index}]: {text:?} {why}"))
    });
    parsed.collect()
}

/// The values that a step leads to.
fn select<'n, 'a>(node: &'n mut Node<'a>, step: &Step) -> Vec<&'n mut Node<'a>> {
    match node {
        Node::Object(members) => members
            .iter_mut()
            .filter(|(name, _)| step.is_for_member(name))
            .map(|(_, value)| value)
            .collect(),
        Node::Array(elements) => elements
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| step.is_for_element(*index))
            .map(|(_, value)| value)
            .collect(),
        Node::Written(_) | Node::Made(_) => Vec::new(),
    }
}

fn remove(node: &mut Node<'_>, path: &[Step], changed: &mut bool) -> Result<(), Trouble> {
    let [step, rest @ ..] = path else {
        return Ok(());
    };
    node.open()?;
    if !rest.is_empty() {
        for value in select(node, step) {
            remove(value, rest, changed)?;
        }
        return Ok(());
    }
    match node {
        Node::Object(members) => {
            let before = members.len();
            members.retain(|(name, _)| !step.is_for_member(name));
            *changed |= members.len() < before;
        }
        Node::Array(elements) => {
            let before = elements.len();
            let mut index = 0;
            elements.retain(|_| {
                index += 1;
                !step.is_for_element(index - 1)
            });
            *changed |= elements.len() < before;
        }
        Node::Written(_) | Node::Made(_) => {}
    }
    Ok(())
}

/// All names are read before any is written: they may be swapped.
fn rename(
    node: &mut Node<'_>,
    path: &[Step],
    names: &[(String, String)],
    changed: &mut bool,
) -> Result<(), Trouble> {
    node.open()?;
    if let [step, rest @ ..] = path {
        for value in select(node, step) {
            rename(value, rest, names, changed)?;
        }
        return Ok(());
    }
    let Node::Object(members) = node else {
        return Ok(());
    };
    let is_there = |old: &str| members.iter().any(|(name, _)| name == old);
    let moves: Vec<_> = names.iter().filter(|(old, _)| is_there(old)).collect();
    if moves.is_empty() {
        return Ok(());
    }
    *changed = true;
    members.retain(|(name, _)| {
        let moved = moves.iter().any(|(old, _)| name == old);
        moved || !moves.iter().any(|(_, new)| name == new)
    });
    for (name, _) in members {
        if let Some((_, new)) = moves.iter().find(|(old, _)| name == old) {
            *name = Cow::Owned(new.clone());
        }
    }
    Ok(())
}

/// Puts the value where the path leads, making the objects on the way that are not there. Elements,
/// and members that only a `*` names, are never made. Answers whether there was a place: that there
/// is nothing of what `*` names is one.
fn put(
    node: &mut Node<'_>,
    path: &[Step],
    value: &str,
    add: bool,
    changed: &mut bool,
) -> Result<bool, Trouble> {
    let [step, rest @ ..] = path else {
        if !add {
            *node = Node::Made(value.to_owned());
            *changed = true;
        }
        return Ok(true);
    };
    node.open()?;
    let makes = path.iter().all(|step| step.name().is_some());
    if makes && node.is_null() {
        *node = Node::Object(Vec::new());
    }
    match node {
        Node::Object(members) if step.is_for_objects() => {
            if let Some(name) = step.name() {
                if rest.is_empty() {
                    put_member(members, name, value, add, changed);
                    return Ok(true);
                }
                if makes && !members.iter().any(|(one, _)| one == name) {
                    members.push((Cow::Owned(name.to_owned()), Node::Object(Vec::new())));
                }
            }
        }
        Node::Array(_) if step.is_for_arrays() => {}
        _ => return Ok(false),
    }
    let mut placed = true;
    for one in select(node, step) {
        placed &= put(one, rest, value, add, changed)?;
    }
    Ok(placed)
}

fn put_member(
    members: &mut Vec<(Cow<'_, str>, Node<'_>)>,
    name: &str,
    value: &str,
    add: bool,
    changed: &mut bool,
) {
    let Some(first) = members.iter().position(|(one, _)| one == name) else {
        members.push((Cow::Owned(name.to_owned()), Node::Made(value.to_owned())));
        *changed = true;
        return;
    };
    if add {
        return;
    }
    // A name that is there twice would let two readers see two values.
    let mut index = 0;
    members.retain(|(one, _)| {
        index += 1;
        index - 1 <= first || one != name
    });
    if let Some((_, old)) = members.get_mut(first) {
        *old = Node::Made(value.to_owned());
    }
    *changed = true;
}
