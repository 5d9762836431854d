//! `[routes]`: which requests go by which chain to which end.

use std::sync::Arc;

use super::chains::{Api, Apis, chain, variables};
use super::matching::{MATCH, matches_of};
use super::plugins::Names;
use super::reader::{Named, Reader, Table};
use super::respond::reply;
use super::source::Problem;
use super::{Link, Route, RouteEnd};
use crate::limits;
use crate::route::{Match, Router};

pub(super) fn routes(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
    names: &Names<'_>,
    apis: &Apis,
) -> Vec<Route> {
    let entries = reader.named(root, "routes");
    if entries.is_empty() {
        let help = "add a section `[routes.NAME]` with `match` and `upstream`";
        let problem = Problem::new(None, "there is no route").with_help(help);
        root.lacks(&["routes"], problem);
    }
    let all: Vec<Route> = entries
        .into_iter()
        .filter_map(|named| route(reader, named, names, apis))
        .collect();
    let table = all
        .iter()
        .map(|route| (route.name.as_str(), &route.matches));
    for conflict in Router::build(table).err().unwrap_or_default() {
        let position = |route: usize| all.get(route).map(|route| route.position);
        let help = "make them differ, or give one of them a `priority`: the higher one wins";
        let problem = Problem::new(position(conflict.second), conflict.message).with_help(help);
        reader.note(problem.with_other(position(conflict.first)));
    }
    all
}

fn route(
    reader: &mut Reader<'_>,
    named: Named<'_>,
    names: &Names<'_>,
    apis: &Apis,
) -> Option<Route> {
    let mut table = reader.entry(&named)?;
    let name = table
        .get("api")
        .map(|item| reader.reference(&item, "api", &names.apis));
    let api = match name {
        Some(name) => name.and_then(|name| apis.named.get(name)),
        None => Some(&apis.none),
    };
    let base = api.and_then(|api| api.base.as_deref());
    // Where the API is not there or is wrong itself, the rest is read all the same.
    let above = api.unwrap_or(&apis.none);
    let matches = reader.required(&mut table, "match", MATCH);
    let matches = matches.and_then(|item| matches_of(reader, &item, base.unwrap_or("")));
    let priority = table.get("priority");
    let priority = priority.map(|item| reader.number(&item, limits::config::ROUTE_PRIORITY));
    let chain = whole_chain(reader, &mut table, &named, names, above);
    let variables = variables(reader, &mut table, &above.inheritance.variables);
    let end = end(reader, &mut table, names);
    reader.finish(&table, &["split", "redirect", "when"]);

    base?;
    let matches = matches?;
    let hosts = if matches.hosts.is_empty() {
        above.hosts.clone()
    } else {
        matches.hosts
    };
    Some(Route {
        name: named.name,
        api: name.flatten().map(str::to_owned),
        matches: Match {
            hosts,
            priority: priority.unwrap_or(Some(0))?,
            ..matches
        },
        chain,
        variables,
        end: end?,
        position: named.position,
    })
}

/// What is inherited, then its own.
fn whole_chain(
    reader: &mut Reader<'_>,
    table: &mut Table<'_>,
    named: &Named<'_>,
    names: &Names<'_>,
    api: &Api,
) -> Vec<Arc<Link>> {
    let place = format!("route {}", named.name);
    let own = chain(reader, table, &place, names);
    let at = table
        .get("chain")
        .map_or(named.position, |item| item.position);
    let reset = table
        .get("chain-reset")
        .and_then(|item| reader.boolean(&item));
    let inherited = match reset {
        Some(true) => &[],
        _ => &api.inheritance.chain[..],
    };
    let (count, most) = (
        inherited.len() + own.len(),
        limits::config::CHAIN_POLICIES_MAX,
    );
    if count > most {
        let message = format!(
            "the chain of `{}` has {count} policies with those that it inherits, more than {most}",
            named.item.path
        );
        reader.problem(at, message);
    }
    inherited.iter().cloned().chain(own).collect()
}

/// Exactly one of `upstream` and `respond`.
fn end(reader: &mut Reader<'_>, table: &mut Table<'_>, names: &Names<'_>) -> Option<RouteEnd> {
    let (upstream, respond) = (table.get("upstream"), table.get("respond"));
    if upstream.is_none() && respond.is_none() {
        let message = format!("`{}` has no `upstream` and no `respond`", table.path);
        let help = "add `upstream = \"name\"`, or `respond = { status = 404 }`";
        let problem = Problem::new(table.position, message).with_help(help);
        table.lacks(&["upstream", "respond"], problem);
    }
    if let (Some(_), Some(item)) = (&upstream, &respond) {
        let message = format!("`{}` has both `upstream` and `respond`", table.path);
        let problem = Problem::new(item.position, message);
        reader.note(problem.with_help("a route has one of them"));
    }
    let upstream = upstream.and_then(|item| reader.reference(&item, "upstream", &names.upstreams));
    let upstream = upstream.map(|name| RouteEnd::Upstream(name.to_owned()));
    let respond = respond.and_then(|item| reply(reader, &item));
    upstream.or(respond.map(RouteEnd::Respond))
}
