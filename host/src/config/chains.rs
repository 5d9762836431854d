//! Chains, and what routes inherit: `[gateway]` and `[apis]`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use toml::de::DeValue;

use super::matching::{hosts, predicate};
use super::plugins::Names;
use super::reader::{Item, Named, Reader, Table};
use super::{Link, Problem};
use crate::limits;
use crate::limits::config::{
    API_BASE_BYTES_MAX, API_HOSTS_MAX, VARIABLES_BYTES_MAX, VARIABLES_MAX,
};
use crate::quote::quoted;
use crate::route::{HostPattern, PathTemplate};

/// What a section hands down to the routes below it.
#[derive(Default, Clone)]
pub(super) struct Inheritance {
    /// Outermost first.
    pub chain: Vec<Arc<Link>>,
    pub variables: Arc<BTreeMap<String, String>>,
}

/// `[apis.NAME]`
pub(super) struct Api {
    /// `None` if it is wrong: what its routes are is not known then.
    pub base: Option<String>,
    /// Of the routes that name none themselves.
    pub hosts: Vec<HostPattern>,
    /// The gateway's and its own.
    pub inheritance: Inheritance,
}

pub(super) struct Apis {
    /// What stands in for the API of routes that have none.
    pub none: Api,
    pub named: BTreeMap<String, Api>,
}

/// Reads `[gateway]` and `[apis]`.
pub(super) fn apis(reader: &mut Reader<'_>, root: &mut Table<'_>, names: &Names<'_>) -> Apis {
    let gateway = gateway(reader, root, names);
    let named = reader.named(root, "apis");
    let named = named
        .into_iter()
        .filter_map(|named| Some((named.name.clone(), api(reader, &named, names, &gateway)?)));
    Apis {
        named: named.collect(),
        none: Api {
            base: Some(String::new()),
            hosts: Vec::new(),
            inheritance: gateway,
        },
    }
}

fn gateway(reader: &mut Reader<'_>, root: &mut Table<'_>, names: &Names<'_>) -> Inheritance {
    let nothing = Inheritance::default();
    let Some(item) = root.get("gateway") else {
        return nothing;
    };
    let Some(mut table) = reader.table(&item, "[gateway]") else {
        return nothing;
    };
    let gateway = Inheritance {
        chain: chain(reader, &mut table, "gateway", names),
        variables: variables(reader, &mut table, &nothing.variables),
    };
    reader.finish(&table, &[]);
    gateway
}

fn api(
    reader: &mut Reader<'_>,
    named: &Named<'_>,
    names: &Names<'_>,
    gateway: &Inheritance,
) -> Option<Api> {
    let mut table = reader.entry(named)?;
    let base = match table.get("base") {
        Some(item) => base(reader, &item),
        None => Some(String::new()),
    };
    let hosts = hosts(reader, &mut table, API_HOSTS_MAX);
    let place = format!("api {}", named.name);
    let own = chain(reader, &mut table, &place, names);
    let variables = variables(reader, &mut table, &gateway.variables);
    reader.finish(&table, &[]);
    Some(Api {
        base,
        hosts,
        inheritance: Inheritance {
            chain: gateway.chain.iter().cloned().chain(own).collect(),
            variables,
        },
    })
}

fn base(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<String> {
    let text = reader.text(item, "\"/store\"")?;
    if text.is_empty() {
        return Some(String::new());
    }
    let why = match PathTemplate::parse(text) {
        Err(why) => why,
        Ok(template) if template.names().next().is_some() => {
            "has a parameter; a base is the same for all requests".to_owned()
        }
        Ok(_) if text.ends_with('/') => {
            "ends with a slash; the paths of its routes begin with one".to_owned()
        }
        Ok(_) if text.len() > API_BASE_BYTES_MAX => {
            format!("has more than {API_BASE_BYTES_MAX} bytes")
        }
        Ok(_) => return Some(text.to_owned()),
    };
    reader.problem(item.position, format!("the base {} {why}", quoted(text)));
    None
}

/// The chain of a table; `place` names the table in the names of its entries.
pub(super) fn chain(
    reader: &mut Reader<'_>,
    table: &mut Table<'_>,
    place: &str,
    names: &Names<'_>,
) -> Vec<Arc<Link>> {
    let Some(item) = table.get("chain") else {
        return Vec::new();
    };
    let items = reader.list(&item, "[\"policy\"]").unwrap_or_default();
    if !reader.bounded(
        &item,
        "policies",
        items.len(),
        limits::config::CHAIN_POLICIES_MAX,
    ) {
        return Vec::new();
    }
    let mut uses = HashMap::new();
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        let Some((policy, when)) = link(reader, &item, names) else {
            continue;
        };
        let mut entry = format!("{place}:{policy}");
        let nth: &mut usize = uses.entry(policy).or_default();
        *nth += 1;
        if *nth > 1 {
            entry = format!("{entry}#{nth}");
        }
        all.push(Arc::new(Link {
            policy: policy.to_owned(),
            when,
            entry,
        }));
    }
    all
}

type Written<'t> = (&'t str, Option<crate::route::Predicate>);

fn link<'t>(reader: &mut Reader<'_>, item: &Item<'t>, names: &Names<'_>) -> Option<Written<'t>> {
    match item.value {
        DeValue::String(_) => Some((policy(reader, item, names)?, None)),
        DeValue::Table(_) => {
            let mut table = reader.table(item, "{ policy = \"name\" }")?;
            let name = reader.required(&mut table, "policy", "\"name\"");
            let name = name.and_then(|item| policy(reader, &item, names));
            let when = table.get("when").map(|item| predicate(reader, &item));
            reader.finish(&table, &[]);
            Some((name?, when.map_or(Some(None), |when| when.map(Some))?))
        }
        _ => {
            reader.wrong_type(item, "the name of a policy or { policy = \"name\" }");
            None
        }
    }
}

/// The name of a policy. That of a plugin is a common mistake.
fn policy<'t>(reader: &mut Reader<'_>, item: &Item<'t>, names: &Names<'_>) -> Option<&'t str> {
    if let DeValue::String(name) = item.value
        && names.policies.binary_search(&name.as_ref()).is_err()
        && names.plugins.binary_search(&name.as_ref()).is_ok()
    {
        reader.show(item);
        let message = format!("there is no policy {}", quoted(name));
        let help =
            format!("`{name}` is a plugin; make a policy: [policies.NAME] plugin = \"{name}\"");
        reader.note(Problem::new(item.position, message).with_help(help));
        return None;
    }
    reader.reference(item, "policy", &names.policies)
}

/// The variables of a table, over those inherited.
pub(super) fn variables(
    reader: &mut Reader<'_>,
    table: &mut Table<'_>,
    inherited: &Arc<BTreeMap<String, String>>,
) -> Arc<BTreeMap<String, String>> {
    let Some(item) = table.get("variables") else {
        return Arc::clone(inherited);
    };
    let mut all = BTreeMap::clone(inherited);
    for named in reader.pairs(&item, "a table such as { tier = \"gold\" }") {
        let name = reader.name(&named.name, named.position);
        let value = reader.hidden_text(&named.item, "\"gold\"");
        if let (true, Some(value)) = (name, value) {
            all.insert(named.name, value.to_owned());
        }
    }
    let bytes: usize = all
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if all.len() > VARIABLES_MAX || bytes > VARIABLES_BYTES_MAX {
        let message = format!(
            "{} makes more than {VARIABLES_MAX} variables or {VARIABLES_BYTES_MAX} bytes of them, \
             with those inherited",
            quoted(&item.path)
        );
        reader.problem(item.position, message);
        return Arc::clone(inherited);
    }
    Arc::new(all)
}
