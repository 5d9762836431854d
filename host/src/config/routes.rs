//! `[upstreams]` and `[routes]`: where requests go, and by which way.

use std::collections::BTreeMap;

use http::uri::Authority;
use http::{Method, Uri};
use toml::de::DeValue;

use super::plugins::Names;
use super::reader::{Item, Named, Reader, Table, quoted};
use super::source::Problem;
use super::{Route, Timeouts, Upstream, UpstreamServer};
use crate::limits;
use crate::route::{HostPattern, Match, PathTemplate, Router};

const SERVER: &str = "\"http://127.0.0.1:9001\"";
const MATCH: &str = "\"GET,HEAD /pets/{id}\"";

pub(super) fn upstreams(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
) -> BTreeMap<String, Upstream> {
    let mut all = BTreeMap::new();
    for named in reader.named(root, "upstreams") {
        let Some(mut table) = reader.entry(&named) else {
            continue;
        };
        let item = reader.required(&mut table, "servers", &format!("[{SERVER}]"));
        let servers = item.map(|item| servers(reader, &item)).unwrap_or_default();
        let timeouts = table
            .get("timeouts")
            .and_then(|item| timeouts(reader, &item));
        reader.finish(&table, &["tls"]);
        let timeouts = timeouts.unwrap_or_default();
        all.insert(
            named.name.clone(),
            Upstream {
                name: named.name,
                servers,
                timeouts,
            },
        );
    }
    all
}

fn servers(reader: &mut Reader<'_>, item: &Item<'_>) -> Vec<UpstreamServer> {
    let Some(items) = reader.list(item, &format!("[{SERVER}]")) else {
        return Vec::new();
    };
    let most = limits::UPSTREAM_SERVERS_MAX;
    if !(1..=most).contains(&items.len()) {
        let message = format!("{} must have 1 to {most} servers", quoted(&item.path));
        reader.problem(item.position, message);
    }
    items
        .iter()
        .filter_map(|item| server(reader, item))
        .collect()
}

fn server(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<UpstreamServer> {
    match item.value {
        DeValue::String(_) => Some(UpstreamServer {
            authority: authority(reader, item)?,
            weight: 1,
        }),
        DeValue::Table(_) => {
            let mut table = reader.table(item, SERVER)?;
            let url = reader.required(&mut table, "url", SERVER);
            let authority = url.and_then(|item| authority(reader, &item));
            let weight = table.get("weight");
            let weight = weight.map(|item| reader.number(&item, limits::SERVER_WEIGHT));
            reader.finish(&table, &[]);
            Some(UpstreamServer {
                authority: authority?,
                weight: weight.unwrap_or(Some(1))?,
            })
        }
        _ => {
            reader.wrong_type(
                item,
                &format!("{SERVER} or {{ url = {SERVER}, weight = 2 }}"),
            );
            None
        }
    }
}

/// The messages do not repeat the URL: it may carry a password.
fn authority(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Authority> {
    let text = reader.text(item, SERVER)?;
    let wanted = format!("{} must be a URL such as {SERVER}", quoted(&item.path));
    let message = match server_url(text) {
        Ok(authority) => return Some(authority),
        Err(Some(why)) => format!("{wanted}: {why}"),
        Err(None) => wanted,
    };
    reader.problem(item.position, message);
    None
}

fn server_url(text: &str) -> Result<Authority, Option<&'static str>> {
    let scheme = text
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.as_deref() == Some("https") {
        return Err(Some(
            "https is not supported yet, terminate TLS in front of the upstream",
        ));
    }
    if scheme.as_deref() != Some("http") {
        return Err(Some("it must begin with http://"));
    }
    // http::Uri drops a fragment without a word.
    let uri: Uri = text
        .parse()
        .ok()
        .filter(|_| !text.contains('#'))
        .ok_or(None)?;
    let authority = uri.authority().ok_or(None)?;
    if authority.as_str().contains('@') {
        return Err(Some("a user and a password cannot stand in it"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(Some("a path or a query cannot stand in it"));
    }
    if !matches!(
        HostPattern::parse(authority.host()),
        Ok(HostPattern::Exact(_))
    ) {
        return Err(Some("its host is not one"));
    }
    let host = authority.host();
    match authority.as_str().strip_prefix(host) {
        Some("") => format!("{host}:80").parse().map_err(|_| None),
        _ if authority.port_u16().is_some_and(|port| port > 0) => Ok(authority.clone()),
        _ => Err(Some("its port must be from 1 to 65535")),
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: limits::CONNECT_DEFAULT,
            first_byte: limits::FIRST_BYTE_DEFAULT,
            total: limits::TOTAL_DEFAULT,
        }
    }
}

fn timeouts(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Timeouts> {
    let mut table = reader.table(
        item,
        "{ connect = \"2s\", first-byte = \"15s\", total = \"60s\" }",
    )?;
    let mut timeouts = Timeouts::default();
    let mut set = |key, value: &mut _, range| {
        let written = table
            .get(key)
            .and_then(|item| reader.duration(&item, range));
        *value = written.unwrap_or(*value);
    };
    set("connect", &mut timeouts.connect, limits::CONNECT);
    set("first-byte", &mut timeouts.first_byte, limits::FIRST_BYTE);
    set("total", &mut timeouts.total, limits::TOTAL);
    reader.finish(&table, &[]);
    Some(timeouts)
}

pub(super) fn routes(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
    names: &Names<'_>,
) -> Vec<Route> {
    let entries = reader.named(root, "routes");
    if entries.is_empty() {
        let help = "add a section `[routes.NAME]` with `match` and `upstream`";
        reader.absent(Problem::new(None, "there is no route").with_help(help));
    }
    let all: Vec<Route> = entries
        .into_iter()
        .filter_map(|named| route(reader, named, names))
        .collect();
    let table = all
        .iter()
        .map(|route| (route.name.as_str(), &route.matches));
    for conflict in Router::build(table).err().unwrap_or_default() {
        let position = all.get(conflict.second).map(|route| route.position);
        let help = "make them differ, or give one of them a `priority`: the higher one wins";
        reader.note(Problem::new(position, conflict.message).with_help(help));
    }
    all
}

fn route(reader: &mut Reader<'_>, named: Named<'_>, names: &Names<'_>) -> Option<Route> {
    let mut table = reader.entry(&named)?;
    let matches = reader.required(&mut table, "match", MATCH);
    let matches = matches.and_then(|item| {
        let matches = matches_of(reader, &item)?;
        bounded(
            reader,
            &item,
            "methods",
            matches.methods.len(),
            limits::ROUTE_METHODS_MAX,
        );
        bounded(
            reader,
            &item,
            "hosts",
            matches.hosts.len(),
            limits::ROUTE_HOSTS_MAX,
        );
        Some(matches)
    });
    let priority = table.get("priority");
    let priority = priority.map(|item| reader.number(&item, limits::ROUTE_PRIORITY));
    let chain = table
        .get("chain")
        .map(|item| chain(reader, &item, &names.policies));
    let upstream = reader.required(&mut table, "upstream", "\"name\"");
    let upstream = upstream.and_then(|item| reader.reference(&item, "upstream", &names.upstreams));
    let later = [
        "api",
        "split",
        "respond",
        "redirect",
        "when",
        "chain-reset",
        "variables",
    ];
    reader.finish(&table, &later);
    Some(Route {
        name: named.name,
        matches: Match {
            priority: priority.unwrap_or(Some(0))?,
            ..matches?
        },
        chain: chain.unwrap_or_default(),
        upstream: upstream?.to_owned(),
        position: named.position,
    })
}

fn chain(reader: &mut Reader<'_>, item: &Item<'_>, policies: &[&str]) -> Vec<String> {
    let items = reader.list(item, "[\"policy\"]").unwrap_or_default();
    bounded(
        reader,
        item,
        "policies",
        items.len(),
        limits::CHAIN_POLICIES_MAX,
    );
    items
        .iter()
        .filter_map(|item| link(reader, item, policies))
        .collect()
}

fn bounded(reader: &mut Reader<'_>, item: &Item<'_>, what: &str, count: usize, most: usize) {
    if count > most {
        let message = format!("{} has more than {most} {what}", quoted(&item.path));
        reader.problem(item.position, message);
    }
}

fn link(reader: &mut Reader<'_>, item: &Item<'_>, policies: &[&str]) -> Option<String> {
    let name = match item.value {
        DeValue::String(_) => reader.reference(item, "policy", policies),
        DeValue::Table(_) => {
            let mut table = reader.table(item, "{ policy = \"name\" }")?;
            let name = reader.required(&mut table, "policy", "\"name\"");
            let name = name.and_then(|item| reader.reference(&item, "policy", policies));
            reader.finish(&table, &["when"]);
            name
        }
        _ => {
            reader.wrong_type(item, "the name of a policy or { policy = \"name\" }");
            None
        }
    };
    name.map(str::to_owned)
}

fn matches_of(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Match> {
    match item.value {
        DeValue::String(text) => {
            // A path begins with a slash, and a method cannot contain one.
            let (methods, path) = text.split_at(text.find('/').unwrap_or(0));
            let methods = methods.trim();
            let names = methods
                .split(',')
                .map(str::trim)
                .filter(|_| !methods.is_empty());
            let methods = self::methods(reader, names.map(|name| (name, item)));
            Some(Match {
                methods,
                hosts: Vec::new(),
                path: template(reader, item, path)?,
                priority: 0,
            })
        }
        DeValue::Table(_) => matches_of_table(reader, item),
        _ => {
            reader.wrong_type(item, &format!("a string such as {MATCH}, or a table"));
            None
        }
    }
}

fn matches_of_table(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Match> {
    let mut table = reader.table(item, "{ path = \"/pets\" }")?;
    let path = reader.required(&mut table, "path", "\"/pets/{id}\"");
    let path = path.and_then(|item| {
        let text = reader.text(&item, "\"/pets/{id}\"")?;
        template(reader, &item, text)
    });
    let written = strings(reader, &mut table, "methods", "[\"GET\"]");
    let methods = methods(reader, written.iter().map(|(name, item)| (*name, item)));
    let mut hosts = Vec::new();
    for (text, item) in strings(reader, &mut table, "hosts", "[\"example.com\"]") {
        match HostPattern::parse(text) {
            Ok(host) => hosts.push(host),
            Err(why) => reader.problem(item.position, format!("{}: {why}", quoted(text))),
        }
    }
    reader.finish(&table, &["headers", "query"]);
    Some(Match {
        methods,
        hosts,
        path: path?,
        priority: 0,
    })
}

/// The strings of an optional array. An empty array is an error, since what it means is anyone's
/// guess: nothing to the eye, anything to a matcher.
fn strings<'t>(
    reader: &mut Reader<'_>,
    table: &mut Table<'t>,
    key: &'static str,
    example: &str,
) -> Vec<(&'t str, Item<'t>)> {
    let Some(item) = table.get(key) else {
        return Vec::new();
    };
    let Some(items) = reader.list(&item, example) else {
        return Vec::new();
    };
    if items.is_empty() {
        let problem = Problem::new(item.position, format!("{} is empty", quoted(&item.path)));
        reader.note(problem.with_help("to accept any, leave it out"));
    }
    let texts = items
        .into_iter()
        .filter_map(|item| Some((reader.text(&item, example)?, item)));
    texts.collect()
}

fn methods<'n, 't: 'n>(
    reader: &mut Reader<'_>,
    names: impl Iterator<Item = (&'n str, &'n Item<'t>)>,
) -> Vec<Method> {
    const STANDARD: [&str; 9] = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ];
    let mut all = Vec::new();
    for (name, item) in names {
        let capitals = name.to_ascii_uppercase();
        let help = if name == "*" {
            "to accept any method, leave the methods out".to_owned()
        } else if capitals != name && STANDARD.contains(&capitals.as_str()) {
            format!("methods are in capitals: {capitals}")
        } else if let Ok(method) = Method::from_bytes(name.as_bytes()) {
            all.push(method);
            continue;
        } else {
            format!("`match` is methods and a path, such as {MATCH}")
        };
        let message = format!("{} is not a method", quoted(name));
        reader.note(Problem::new(item.position, message).with_help(help));
    }
    all
}

fn template(reader: &mut Reader<'_>, item: &Item<'_>, text: &str) -> Option<PathTemplate> {
    let template = PathTemplate::parse(text);
    let note = |why| reader.problem(item.position, format!("the path {} {why}", quoted(text)));
    template.map_err(note).ok()
}
