//! Changes of a query. Parameters that no change names are kept byte for byte, in their order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tollgate_plugin::{Request, Result, readings};

use crate::template::{Captured, Template};

/// Applied in this order.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// Removes all parameters but these.
    keep_only: Option<Vec<String>>,
    /// Parameters to remove.
    remove: Vec<String>,
    /// Old names and new names; all values are kept.
    rename: BTreeMap<String, String>,
    /// Parameters and the one value that each is to have.
    set: BTreeMap<String, String>,
    /// Parameters and what is added behind all others.
    append: BTreeMap<String, Values>,
}

/// A value, or several.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// Changes, checked and parsed. Names are decoded.
pub struct Changes {
    keep_only: Option<Vec<String>>,
    remove: Vec<String>,
    rename: BTreeMap<String, String>,
    /// Those to set before those to append.
    values: Vec<Value>,
}

struct Value {
    name: String,
    template: Template,
    append: bool,
}

/// One parameter. Servers that divide queries at `;` as well see the parameters that this sees, and none
/// that it does not, so that nothing is slipped past a change behind a `;`.
struct Piece<'q> {
    separator: char,
    name: Cow<'q, str>,
    text: Cow<'q, str>,
}

impl Changes {
    /// The error begins with the place.
    pub fn new(query: Query, groups: &[Option<String>]) -> Result<Changes, String> {
        let kept = query.keep_only.as_deref().unwrap_or_default();
        for (key, names) in [("keep-only", kept), ("remove", &query.remove)] {
            for name in names {
                named(key, name)?;
            }
        }
        let mut news = Vec::new();
        for (old, new) in &query.rename {
            named("rename", old)?;
            named("rename", new)?;
            if old == new {
                return Err(format!("rename.{old:?} is its own new name"));
            }
            if news.contains(&new) {
                return Err(format!("rename.{old:?}: {new:?} is named twice"));
            }
            news.push(new);
        }
        let mut changes = Changes {
            keep_only: query.keep_only,
            remove: query.remove,
            rename: query.rename,
            values: Vec::new(),
        };
        let set = query.set.into_iter();
        let set = set
            .map(|(name, value)| (name, Values::One(value)))
            .collect();
        for (key, all) in [("set", set), ("append", query.append)] {
            for (name, values) in all {
                named(key, &name)?;
                let texts = match values {
                    Values::One(text) => vec![text],
                    Values::Many(texts) => texts,
                };
                for text in texts {
                    let template = Template::parse(&text, groups)
                        .map_err(|why| format!("{key}.{name:?} {why}"))?;
                    changes.values.push(Value {
                        name: name.clone(),
                        template,
                        append: key == "append",
                    });
                }
            }
        }
        if changes.keep_only.is_none()
            && changes.remove.is_empty()
            && changes.rename.is_empty()
            && changes.values.is_empty()
        {
            return Err("changes nothing".into());
        }
        Ok(changes)
    }

    /// The query after all changes; none if nothing is left of it.
    pub fn apply(
        &self,
        query: Option<&str>,
        request: &Request,
        sent: &str,
        captured: &Captured<'_>,
    ) -> Result<Option<String>> {
        let pieces = query.into_iter().flat_map(readings::pieces);
        let mut pieces: Vec<Piece<'_>> = pieces
            .map(|piece| Piece {
                separator: piece.separator.unwrap_or('&'),
                name: decoded(piece.name),
                text: Cow::Borrowed(piece.text),
            })
            .collect();
        pieces.retain(|piece| {
            let kept = self.keep_only.as_ref();
            let is_named = |names: &Vec<String>| names.iter().any(|name| *name == piece.name);
            kept.is_none_or(is_named) && !is_named(&self.remove)
        });
        self.rename(&mut pieces);
        for Value {
            name,
            template,
            append,
        } in &self.values
        {
            if !append {
                pieces.retain(|piece| piece.name != *name);
            }
            if let Some(value) = template.value(request, sent, captured)? {
                pieces.push(Piece {
                    separator: '&',
                    name: Cow::Borrowed(name),
                    text: Cow::Owned(format!("{}={}", encoded(name), encoded(&value))),
                });
            }
        }
        let mut changed: Option<String> = None;
        for piece in &pieces {
            match &mut changed {
                None => changed = Some(piece.text.to_string()),
                Some(query) => {
                    query.push(piece.separator);
                    query.push_str(&piece.text);
                }
            }
        }
        Ok(changed)
    }

    /// What is renamed takes the place of what had the new name; names may be swapped.
    fn rename<'q>(&'q self, pieces: &mut Vec<Piece<'q>>) {
        let is_there = |name: &String| pieces.iter().any(|piece| piece.name == *name);
        let renamed = self.rename.iter().filter(|(old, _)| is_there(old));
        let taken: Vec<&str> = renamed.map(|(_, new)| new.as_str()).collect();
        if taken.is_empty() {
            return;
        }
        pieces.retain(|piece| {
            self.rename.contains_key(&*piece.name) || !taken.contains(&piece.name.as_ref())
        });
        for piece in pieces {
            if let Some(new) = self.rename.get(&*piece.name) {
                let value = piece.text.find('=').map_or("", |at| &piece.text[at..]);
                piece.text = Cow::Owned(format!("{}{value}", encoded(new)));
                piece.name = Cow::Borrowed(new);
            }
        }
    }
}

fn named(key: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err(format!("{key} has an empty name"))
    } else {
        Ok(())
    }
}

/// Decodes a name or a value of application/x-www-form-urlencoded.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    // Without a `=` in it, all of the text is the name of one pair.
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    pairs.next().map(|(name, _)| name).unwrap_or_default()
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
