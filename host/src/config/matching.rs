//! Which requests: the `match` of a route and the `when` of a chain's entry.

use http::{HeaderName, HeaderValue, Method};
use toml::de::DeValue;

use super::reader::{Item, Reader, Table};
use super::source::Problem;
use crate::http::fields::is_framing;
use crate::limits;
use crate::limits::config::FIELD_TESTS_MAX;
use crate::quote::quoted;
use crate::route::{FieldTest, HostPattern, Match, PathTemplate, Predicate, Wanted};

pub(super) const MATCH: &str = "\"GET,HEAD /pets/{id}\"";

/// The `match` of a route; `base` is its API's, in front of the path.
pub(super) fn matches_of(reader: &mut Reader<'_>, item: &Item<'_>, base: &str) -> Option<Match> {
    match item.value {
        DeValue::String(text) => {
            reader.show(item);
            // A path begins with a slash, and a method cannot contain one. A route can be its API's
            // base itself, and has no path then.
            let no_path = if base.is_empty() { 0 } else { text.len() };
            let (methods, path) = text.split_at(text.find('/').unwrap_or(no_path));
            let methods = methods.trim();
            let names: Vec<_> = methods
                .split(',')
                .map(|name| (name.trim(), item))
                .filter(|_| !methods.is_empty())
                .collect();
            reader.bounded(
                item,
                "methods",
                names.len(),
                limits::config::ROUTE_METHODS_MAX,
            );
            let methods = self::methods(reader, &names);
            Some(Match {
                methods,
                hosts: Vec::new(),
                path: template(reader, item, base, path)?,
                priority: 0,
            })
        }
        DeValue::Table(_) => {
            let mut table = reader.table(item, "{ path = \"/pets\" }")?;
            let path = reader.required(&mut table, "path", "\"/pets/{id}\"");
            let path = path.and_then(|item| path_of(reader, &item, base));
            let methods = methods_of(reader, &mut table);
            let hosts = hosts(reader, &mut table, limits::config::ROUTE_HOSTS_MAX);
            reader.finish(&table, &["headers", "query"]);
            Some(Match {
                methods,
                hosts,
                path: path?,
                priority: 0,
            })
        }
        _ => {
            reader.wrong_type(item, &format!("a string such as {MATCH}, or a table"));
            None
        }
    }
}

/// The `when` of a chain's entry. Its path is the whole one, whatever the base of an API.
pub(super) fn predicate(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Predicate> {
    let mut table = reader.table(item, "{ methods = [\"GET\"] }")?;
    if table.is_empty() {
        let problem = Problem::new(item.position, format!("{} is empty", quoted(&item.path)));
        reader.note(problem.with_help("without `when` the entry is for all requests"));
        return None;
    }
    let path = table.get("path").map(|item| path_of(reader, &item, ""));
    let methods = methods_of(reader, &mut table);
    let hosts = hosts(reader, &mut table, limits::config::ROUTE_HOSTS_MAX);
    let headers = tests(reader, &mut table, "headers");
    let query = tests(reader, &mut table, "query");
    reader.finish(&table, &[]);
    Some(Predicate {
        methods,
        hosts,
        path: match path {
            Some(path) => Some(path?),
            None => None,
        },
        headers: fields(reader, headers),
        query: query.into_iter().map(|(test, _)| test).collect(),
    })
}

/// The strings of an optional array. An empty array is an error, since what it means is anyone's
/// guess: nothing to the eye, anything to a matcher.
fn strings<'t>(
    reader: &mut Reader<'_>,
    table: &mut Table<'t>,
    key: &'static str,
    most: usize,
    example: &str,
) -> Vec<(&'t str, Item<'t>)> {
    let Some(item) = table.get(key) else {
        return Vec::new();
    };
    let Some(items) = reader.list(&item, example) else {
        return Vec::new();
    };
    if items.is_empty() {
        empty(reader, &item);
    }
    if !reader.bounded(&item, key, items.len(), most) {
        return Vec::new();
    }
    let texts = items
        .into_iter()
        .filter_map(|item| Some((reader.text(&item, example)?, item)));
    texts.collect()
}

fn empty(reader: &mut Reader<'_>, item: &Item<'_>) {
    let problem = Problem::new(item.position, format!("{} is empty", quoted(&item.path)));
    reader.note(problem.with_help("to accept any, leave it out"));
}

fn methods_of(reader: &mut Reader<'_>, table: &mut Table<'_>) -> Vec<Method> {
    let most = limits::config::ROUTE_METHODS_MAX;
    let written = strings(reader, table, "methods", most, "[\"GET\"]");
    let names: Vec<_> = written.iter().map(|(name, item)| (*name, item)).collect();
    methods(reader, &names)
}

fn methods(reader: &mut Reader<'_>, names: &[(&str, &Item<'_>)]) -> Vec<Method> {
    const STANDARD: [&str; 9] = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ];
    let mut all = Vec::new();
    for (name, item) in names {
        let capitals = name.to_ascii_uppercase();
        let help = if *name == "*" {
            "to accept any method, leave the methods out".to_owned()
        } else if capitals != *name && STANDARD.contains(&capitals.as_str()) {
            format!("methods are written in capitals: {capitals}")
        } else if let Ok(method) = Method::from_bytes(name.as_bytes()) {
            all.push(method);
            continue;
        } else if item.path.ends_with(".match") {
            format!("`match` is methods and a path, such as {MATCH}")
        } else {
            "a method is a word such as GET".to_owned()
        };
        let message = format!("{} is not a method", quoted(name));
        reader.note(Problem::new(item.position, message).with_help(help));
    }
    all
}

/// The `hosts` of a table.
pub(super) fn hosts(
    reader: &mut Reader<'_>,
    table: &mut Table<'_>,
    most: usize,
) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for (text, item) in strings(reader, table, "hosts", most, "[\"example.com\"]") {
        match HostPattern::parse(text) {
            Ok(host) => hosts.push(host),
            Err(why) => reader.problem(item.position, format!("{}: {why}", quoted(text))),
        }
    }
    hosts
}

fn path_of(reader: &mut Reader<'_>, item: &Item<'_>, base: &str) -> Option<PathTemplate> {
    let text = reader.text(item, "\"/pets/{id}\"")?;
    template(reader, item, base, text)
}

fn template(
    reader: &mut Reader<'_>,
    item: &Item<'_>,
    base: &str,
    text: &str,
) -> Option<PathTemplate> {
    let whole = format!("{base}{text}");
    let (shown, template) = if base.is_empty() || text.is_empty() || text.starts_with('/') {
        (whole.as_str(), PathTemplate::parse(&whole))
    } else {
        // Behind a base it would only lengthen the base's last segment.
        (text, PathTemplate::parse(text))
    };
    match template {
        Ok(template) => {
            warn_of_others_syntax(reader, item, text);
            Some(template)
        }
        Err(why) => {
            reader.problem(item.position, format!("the path {} {why}", quoted(shown)));
            None
        }
    }
}

/// Segments that stand for anything elsewhere, and here for themselves.
fn warn_of_others_syntax(reader: &mut Reader<'_>, item: &Item<'_>, path: &str) {
    for segment in path.split('/') {
        let is_colon = segment.strip_prefix(':').is_some_and(Reader::is_name);
        if is_colon || (segment.starts_with('<') && segment.ends_with('>')) {
            let message = format!("the segment {} matches only itself", quoted(segment));
            let help = "for any segment write `{name}`";
            reader.warn(Problem::new(item.position, message).with_help(help));
        }
    }
}

/// `{ x-debug = "1", x-beta = true, x-old = false }`
fn tests<'t>(
    reader: &mut Reader<'_>,
    table: &mut Table<'t>,
    key: &'static str,
) -> Vec<(FieldTest, Item<'t>)> {
    let Some(item) = table.get(key) else {
        return Vec::new();
    };
    let example = "a table such as { a = \"1\", b = true, c = false }";
    let pairs = reader.pairs(&item, example);
    if pairs.is_empty() && matches!(item.value, DeValue::Table(_)) {
        empty(reader, &item);
    }
    if !reader.bounded(&item, key, pairs.len(), FIELD_TESTS_MAX) {
        return Vec::new();
    }
    let mut all = Vec::with_capacity(pairs.len());
    for named in pairs {
        let wanted = match named.item.value {
            DeValue::String(text) => Wanted::Equals(text.to_string()),
            DeValue::Boolean(true) => Wanted::Present,
            DeValue::Boolean(false) => Wanted::Absent,
            _ => {
                let wanted = "a string to equal, true (present) or false (absent)";
                reader.wrong_type(&named.item, wanted);
                continue;
            }
        };
        let name = named.name;
        all.push((FieldTest { name, wanted }, named.item));
    }
    all
}

/// The tests on header fields, with those refused that no request passes or that every one does.
fn fields(reader: &mut Reader<'_>, tests: Vec<(FieldTest, Item<'_>)>) -> Vec<FieldTest> {
    let mut all: Vec<FieldTest> = Vec::with_capacity(tests.len());
    for (test, item) in tests {
        let why = match HeaderName::from_bytes(test.name.as_bytes()) {
            Err(_) => "is not the name of a header",
            Ok(name) if is_framing(&name) => {
                "belongs to the connection and is never seen in a chain"
            }
            Ok(name) if all.iter().any(|other| other.name == name.as_str()) => {
                "is given twice; capitals do not make another name"
            }
            Ok(_) if matches!(&test.wanted, Wanted::Equals(text) if !is_value(text)) => {
                "is compared with a value that no header can have"
            }
            Ok(name) => {
                all.push(FieldTest {
                    name: name.as_str().to_owned(),
                    ..test
                });
                continue;
            }
        };
        reader.problem(item.position, format!("{} {why}", quoted(&test.name)));
    }
    all
}

/// Whether a header can have this value; white space around it is no part of one (RFC 9110, section
/// 5.5).
fn is_value(text: &str) -> bool {
    HeaderValue::from_bytes(text.as_bytes()).is_ok() && text.trim_matches([' ', '\t']) == text
}
