//! What of the query stands in a key.
//!
//! What is left out of a key still goes to the upstream, which may read the query in another way than this
//! gateway: divided at `;` too, with names in any case, the first or the last of several values. Where such a
//! reading would take something for a parameter that it is not taken for here, the request has no key.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tollgate_plugin::{Request, readings};

#[derive(serde::Deserialize)]
#[serde(
    untagged,
    expecting = "`key.query` is true, false, or a table with `only` or `except`, and `sort`"
)]
pub enum QueryConfig {
    All(bool),
    Some(SomeQuery),
}

/// Of alternatives a schema's error says no more than that none fits; the text above says which there
/// are.
impl schemars::JsonSchema for QueryConfig {
    fn schema_name() -> Cow<'static, str> {
        "QueryConfig".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["boolean", "object"] })
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        QueryConfig::All(true)
    }
}

/// Names may end with a `*`, which stands for any ending.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SomeQuery {
    /// These parameters alone.
    only: Option<Vec<String>>,
    /// All parameters but these.
    except: Option<Vec<String>>,
    /// Whether the order of parameters does not matter.
    #[serde(default)]
    sort: bool,
}

pub enum Query {
    None,
    /// As it is.
    All,
    Some {
        names: Vec<String>,
        /// Whether the names are those that stand in the key.
        only: bool,
        sort: bool,
    },
}

/// A query can be read in more than one way.
pub struct Ambiguous;

impl Query {
    pub fn new(config: QueryConfig) -> Result<Query, String> {
        let some = match config {
            QueryConfig::All(true) => return Ok(Query::All),
            QueryConfig::All(false) => return Ok(Query::None),
            QueryConfig::Some(some) => some,
        };
        let (names, only) = match (some.only, some.except) {
            (Some(_), Some(_)) => {
                return Err("`key.query` has `only` and `except`: give one of them".into());
            }
            (Some(names), None) => (names, true),
            (None, Some(names)) => (names, false),
            (None, None) => (Vec::new(), false),
        };
        if let Some(name) = names.iter().find(|name| !is_pattern(name)) {
            return Err(format!(
                "`key.query`: {name:?}; a name is not empty, and a `*` stands at its end"
            ));
        }
        Ok(Query::Some {
            names,
            only,
            sort: some.sort,
        })
    }

    /// What of the query stands in the key. Parameters stay as they were written: two ways to write
    /// one may be two things to an upstream, and then must be two keys.
    pub fn part(&self, request: &Request) -> Result<Option<String>, Ambiguous> {
        let (names, only, sort) = match self {
            Query::None => return Ok(None),
            Query::All => return Ok(request.query()),
            Query::Some { names, only, sort } => (names, *only, *sort),
        };
        let Some(query) = request.query() else {
            return Ok(None);
        };
        if readings::is_ambiguous(&query) {
            return Err(Ambiguous);
        }
        let mut seen = BTreeSet::new();
        let mut kept: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = name(pair);
            let loose = loosely(&name);
            let is_named = names.iter().any(|pattern| fits(pattern, &name));
            let may_be_named = names.iter().any(|pattern| fits(&loosely(pattern), &loose));
            if is_named != may_be_named {
                return Err(Ambiguous);
            }
            if is_named != only {
                continue;
            }
            if !seen.insert(loose) {
                return Err(Ambiguous);
            }
            kept.push(pair);
        }
        if sort {
            kept.sort_unstable();
        }
        Ok((!kept.is_empty()).then(|| kept.join("&")))
    }
}

/// Whether a request has one of these parameters, by any reading.
pub fn has_any(request: &Request, names: &[String]) -> bool {
    if names.is_empty() {
        return false;
    }
    let query = request.query().unwrap_or_default();
    let divided = query.split('&').chain(query.split(['&', ';']));
    divided.filter(|pair| !pair.is_empty()).any(|pair| {
        let found = loosely(&name(pair));
        names.iter().any(|name| loosely(name) == found)
    })
}

/// The name of a parameter, decoded.
fn name(pair: &str) -> String {
    let parsed = form_urlencoded::parse(pair.as_bytes()).next();
    parsed
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

/// A name as the most lenient of servers read it: in any case; without blanks around it, what follows a NUL,
/// or the brackets of an array; with a `.` or a blank taken for a `_`.
fn loosely(name: &str) -> String {
    let name = name.split('\0').next().unwrap_or_default();
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let end = name.find('[').filter(|end| *end > 0).unwrap_or(name.len());
    let name = name[..end].to_lowercase();
    name.replace(['.', ' '], "_")
}

/// Whether this is a name, or the beginning of one and a `*`.
pub fn is_pattern(text: &str) -> bool {
    !text.is_empty() && !text.strip_suffix('*').unwrap_or(text).contains('*')
}

pub fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}
