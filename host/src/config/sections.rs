//! The sections about the process: `[runtime]`, `[admin]`, `[listeners]`, `[secrets]`.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;

use super::machine;
use super::reader::{Item, Reader, Table};
use super::source::Problem;
use super::{Admin, Listener, PluginCache, Position, Runtime, SecretSource};
use crate::limits;
use crate::quote::quoted;

pub(super) fn runtime(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Runtime {
    let mut runtime = Runtime {
        workers: std::thread::available_parallelism().map_or(1, Into::into),
        plugin_cache: PluginCache::Default,
        connections: limits::process::CONNECTIONS_DEFAULT,
        requests: limits::process::REQUESTS_DEFAULT,
        plugin_calls: limits::process::PLUGIN_CALLS_DEFAULT,
        bodies: bodies_default(),
        page_scan: true,
        drain: limits::process::DRAIN_DEFAULT,
        watch: true,
    };
    let Some(item) = root.get("runtime") else {
        return runtime;
    };
    let Some(mut table) = reader.table(&item, "[runtime]") else {
        return runtime;
    };
    let mut count = |key, value: &mut usize, range| {
        let written = table.get(key).and_then(|item| reader.number(&item, range));
        *value = written.unwrap_or(*value);
    };
    count("workers", &mut runtime.workers, limits::process::WORKERS);
    count(
        "connections",
        &mut runtime.connections,
        limits::process::CONNECTIONS,
    );
    count("requests", &mut runtime.requests, limits::process::REQUESTS);
    count(
        "plugin-calls",
        &mut runtime.plugin_calls,
        limits::process::PLUGIN_CALLS,
    );
    if let Some(item) = table.get("bodies") {
        let written = reader.size(&item, limits::process::RUNTIME_BODIES_BYTES);
        runtime.bodies = written.unwrap_or(runtime.bodies);
    }
    if let Some(item) = table.get("page-scan") {
        runtime.page_scan = reader.boolean(&item).unwrap_or(runtime.page_scan);
    }
    if let Some(item) = table.get("drain") {
        runtime.drain = reader
            .duration(&item, limits::process::DRAIN)
            .unwrap_or(runtime.drain);
    }
    if let Some(item) = table.get("plugin-cache") {
        runtime.plugin_cache = plugin_cache(reader, &item).unwrap_or(runtime.plugin_cache);
    }
    let watch = table.get("watch").and_then(|item| reader.boolean(&item));
    runtime.watch = watch.unwrap_or(runtime.watch);
    reader.finish(&table, &[]);
    runtime
}

/// What bodies may take together where nobody says it.
fn bodies_default() -> u64 {
    let (least, most) = limits::process::RUNTIME_BODIES_BYTES_DEFAULT.into_inner();
    let part = machine::memory() / limits::process::RUNTIME_BODIES_PART_DEFAULT;
    part.clamp(least, most)
}

fn plugin_cache(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<PluginCache> {
    match item.value {
        DeValue::Boolean(false) => Some(PluginCache::Off),
        DeValue::String(_) => path(reader, item).map(PluginCache::Folder),
        DeValue::Boolean(true) => {
            let problem = Problem::new(item.position, "`runtime.plugin-cache` cannot be true");
            reader.note(problem.with_help("leave it out: the cache is on by default"));
            None
        }
        _ => {
            reader.wrong_type(item, "a string with the path of a folder, or false");
            None
        }
    }
}

/// A path, relative to the configuration file's folder.
pub(super) fn path(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<PathBuf> {
    let text = reader.text(item, "\"path\"")?;
    if text.is_empty() || text.contains('\0') {
        reader.problem(
            item.position,
            format!("{} must be a path", quoted(&item.path)),
        );
        return None;
    }
    Some(reader.folder.join(text))
}

pub(super) fn admin(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Admin {
    let mut admin = Admin {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, limits::process::ADMIN_PORT_DEFAULT)),
        position: None,
    };
    let Some(item) = root.get("admin") else {
        return admin;
    };
    let Some(mut table) = reader.table(&item, "[admin]") else {
        return admin;
    };
    if let Some(item) = table.get("address")
        && let Some(address) = address(reader, &item)
    {
        if !address.ip().is_loopback() {
            let problem = Problem::new(item.position, "`admin.address` must be a loopback address");
            reader.note(problem.with_help(
                "anyone who reaches it sees everything: use 127.0.0.1 or [::1], and a tunnel from other machines",
            ));
        }
        admin.address = address;
        admin.position = Some(item.position);
    }
    reader.finish(&table, &[]);
    admin
}

pub(super) fn listeners(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
    admin: &Admin,
) -> Vec<Listener> {
    let mut all = Vec::new();
    let mut taken = HashMap::from([(admin.address, ("admin".to_owned(), admin.position))]);
    let entries = reader.named(root, "listeners");
    if entries.is_empty() {
        let problem = Problem::new(None, "there is no listener");
        let help = "add a section `[listeners.public]` with `address = \"0.0.0.0:8080\"`";
        root.lacks(&["listeners"], problem.with_help(help));
    }
    for named in entries {
        let Some(mut table) = reader.entry(&named) else {
            continue;
        };
        let item = reader.required(&mut table, "address", "\"0.0.0.0:8080\"");
        let proxies = table
            .get("trusted-proxies")
            .map(|item| trusted_proxies(reader, &item));
        let least_pace = table
            .get("least-pace")
            .and_then(|item| reader.size(&item, limits::client::LEAST_PACE))
            .unwrap_or(limits::client::LEAST_PACE_DEFAULT);
        let half_closed = table
            .get("half-closed")
            .and_then(|item| reader.duration(&item, limits::client::HALF_CLOSED))
            .unwrap_or(limits::client::HALF_CLOSED_DEFAULT);
        reader.finish(&table, &["tls"]);
        let Some(item) = item else { continue };
        let Some(address) = address(reader, &item) else {
            continue;
        };
        // Port 0 is any free port, so it is never taken.
        let here = (table.path, Some(item.position));
        if address.port() != 0
            && let Some((other, at)) = taken.insert(address, here)
        {
            let message = format!("{address} is already the address of `{other}`");
            reader.note(Problem::new(item.position, message).with_other(at));
        }
        let trusted_proxies = proxies.unwrap_or_default();
        all.push(Listener {
            name: named.name,
            address,
            position: item.position,
            trusted_proxies,
            least_pace,
            half_closed,
        });
    }
    all
}

fn address(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<SocketAddr> {
    let text = reader.text(item, "\"127.0.0.1:8080\"")?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("{} must be an IP address and a port", quoted(&item.path));
        let help = "such as \"0.0.0.0:8080\" or \"[::]:8080\"; host names are not looked up";
        reader.note(Problem::new(item.position, message).with_help(help));
    }
    address
}

fn trusted_proxies(reader: &mut Reader<'_>, item: &Item<'_>) -> Vec<IpNet> {
    let mut all = Vec::new();
    for item in reader.list(item, "[\"10.0.0.0/8\"]").unwrap_or_default() {
        let Some(text) = reader.text(&item, "\"10.0.0.0/8\"") else {
            continue;
        };
        match text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        {
            Ok(network) => all.push(network.trunc()),
            Err(_) => {
                let message = format!("{} must be an IP address or a network", quoted(&item.path));
                let help = "such as \"10.0.0.0/8\" or \"192.0.2.7\"";
                reader.note(Problem::new(item.position, message).with_help(help));
            }
        }
    }
    all
}

pub(super) fn secrets(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
) -> BTreeMap<String, SecretSource> {
    let mut all = BTreeMap::new();
    if let Some(item) = root.get("secrets") {
        hide(reader, &item);
    }
    for named in reader.named(root, "secrets") {
        if let DeValue::String(_) = named.item.value {
            let message = format!(
                "the value of the secret `{}` must not be in this file",
                named.name
            );
            let help = "say where it comes from: { env = \"VARIABLE\" } or { file = \"path\" }";
            reader.note(Problem::new(named.position, message).with_help(help));
            continue;
        }
        let Some(mut table) = reader.table(&named.item, "{ env = \"VARIABLE\" }") else {
            continue;
        };
        let (variable, file) = (table.get("env"), table.get("file"));
        let needs_one = || {
            let message = format!("the secret `{}` needs one of `env` and `file`", named.name);
            Problem::new(named.position, message)
        };
        let source = match (variable, file) {
            (Some(item), None) => environment(reader, &item),
            (None, Some(item)) => path(reader, &item).map(SecretSource::File),
            (None, None) => {
                table.lacks(&["env", "file"], needs_one());
                None
            }
            (Some(_), Some(_)) => {
                reader.note(needs_one());
                None
            }
        };
        reader.finish(&table, &[]);
        all.extend(source.map(|source| (named.name, source)));
    }
    all
}

fn environment(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<SecretSource> {
    let name = reader.text(item, "\"VARIABLE\"")?;
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = format!("{} must be the name of a variable", quoted(&item.path));
        reader.problem(item.position, message);
        return None;
    }
    Some(SecretSource::Environment(name.to_owned()))
}

/// Hides what may be a secret from every printed line: any value but those of `env` and `file`.
fn hide(reader: &mut Reader<'_>, section: &Item<'_>) {
    let DeValue::Table(secrets) = section.value else {
        reader.secrets.push(section.position);
        return;
    };
    for (_, secret) in secrets {
        let DeValue::Table(table) = secret.get_ref() else {
            reader.secrets.push(secret.span().into());
            continue;
        };
        let known = |key: &str| key == "env" || key == "file";
        let others = table.iter().filter(|(key, _)| !known(key.get_ref()));
        reader
            .secrets
            .extend(others.map(|(_, value)| Position::from(value.span())));
    }
}
