//! `[plugins]` and `[policies]`: the code that runs, and the code with its configuration.

use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use toml::de::DeValue;

use super::json::plugin_config;
use super::reader::{Item, Named, Reader, Table};
use super::sections::path;
use super::source::Problem;
use super::units::show_duration;
use super::{Grant, Instances, OnFault, Plugin, PluginCode, PluginConfig, PluginLimits, Policy};
use crate::limits;
use crate::limits::decisions::REMEMBER_MAX;
use crate::limits::plugin::{GRANTED_BODY_BYTES, GRANTED_WALL_DEFAULT};
use crate::quote::quoted;

/// The names that others refer to, as written: a reference to an entry that is itself wrong is not
/// a second problem.
pub(super) struct Names<'t> {
    pub plugins: Vec<&'t str>,
    pub policies: Vec<&'t str>,
    pub upstreams: Vec<&'t str>,
    pub apis: Vec<&'t str>,
}

impl<'t> Names<'t> {
    pub fn of(root: &Table<'t>, bundled: &[&'t str]) -> Names<'t> {
        let mut plugins = root.names("plugins");
        plugins.extend(bundled);
        plugins.sort_unstable();
        plugins.dedup();
        Names {
            plugins,
            policies: root.names("policies"),
            upstreams: root.names("upstreams"),
            apis: root.names("apis"),
        }
    }
}

pub(super) fn plugins(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
    names: &Names<'_>,
) -> BTreeMap<String, Plugin> {
    let named = reader.named(root, "plugins");
    named
        .into_iter()
        .filter_map(|named| Some((named.name.clone(), plugin(reader, named, &names.upstreams)?)))
        .collect()
}

fn plugin(reader: &mut Reader<'_>, named: Named<'_>, upstreams: &[&str]) -> Option<Plugin> {
    let mut table = reader.entry(&named)?;
    let code_position = table
        .get("wasm")
        .map_or(named.position, |item| item.position);
    let code = code(reader, &mut table, &named);
    let grant = table
        .get("grant")
        .and_then(|item| grant(reader, &item, upstreams))
        .unwrap_or_default();
    let mut limits = PluginLimits::default();
    if grant.bodies.is_some() || !grant.fetch.is_empty() {
        limits.wall = GRANTED_WALL_DEFAULT;
    }
    if let Some(item) = table.get("limits") {
        limits = plugin_limits(reader, &item, &limits).unwrap_or(limits);
    }
    let snapshot = table.get("snapshot").and_then(|item| reader.boolean(&item));
    let large = table.get("large").and_then(|item| reader.boolean(&item));
    reader.finish(&table, &[]);
    Some(Plugin {
        name: named.name,
        code: code?,
        grant,
        limits,
        snapshot: snapshot.unwrap_or(true),
        large: large.unwrap_or(false),
        position: named.position,
        code_position,
        is_written: true,
    })
}

fn code(reader: &mut Reader<'_>, table: &mut Table<'_>, named: &Named<'_>) -> Option<PluginCode> {
    let (wasm, pin) = (table.get("wasm"), table.get("sha256"));
    let Some(wasm) = wasm else {
        if let Some(pin) = pin {
            let message = format!(
                "{} pins a `wasm` file, and there is none",
                quoted(&pin.path)
            );
            table.lacks(&["wasm"], Problem::new(pin.position, message));
        }
        if !reader.bundled.contains(&named.name.as_str()) {
            let message = format!(
                "`{}` has no `wasm`, and is not a bundled plugin",
                table.path
            );
            let help = match reader.bundled {
                [] => "add `wasm = \"path\"`; no plugins are bundled".to_owned(),
                names => format!("add `wasm = \"path\"`; bundled are {}", names.join(", ")),
            };
            let problem = Problem::new(named.position, message).with_help(help);
            table.lacks(&["wasm"], problem);
            return None;
        }
        return Some(PluginCode::Bundled);
    };
    let path = path(reader, &wasm);
    let sha256 = match pin {
        Some(pin) => Some(sha256(reader, &pin)?),
        None => None,
    };
    Some(PluginCode::File {
        path: path?,
        sha256,
    })
}

fn sha256(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<[u8; 32]> {
    let text = reader.text(item, "\"9f86d0…\"")?;
    let mut hash = [0; 32];
    let good = text.len() == 2 * hash.len() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !good {
        let message = format!("{} must be 64 hexadecimal digits", quoted(&item.path));
        let help = "it is what `sha256sum` prints for the file";
        reader.note(Problem::new(item.position, message).with_help(help));
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |index: usize| {
            digits
                .get(index)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        let value = digit(0)? * 16 + digit(1)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(hash)
}

fn grant(reader: &mut Reader<'_>, item: &Item<'_>, upstreams: &[&str]) -> Option<Grant> {
    let mut table = reader.table(item, "{ secrets = [\"API_TOKEN\"] }")?;
    let mut grant = Grant::default();
    if let Some(item) = table.get("secrets") {
        for item in reader.list(&item, "[\"API_TOKEN\"]").unwrap_or_default() {
            let Some(name) = reader.text(&item, "\"API_TOKEN\"") else {
                continue;
            };
            if reader.name(name, item.position) {
                grant.secrets.push(name.to_owned());
            }
        }
    }
    let bodies = table.get("bodies");
    grant.bodies = bodies.and_then(|item| reader.size(&item, GRANTED_BODY_BYTES));
    if let Some(item) = table.get("fetch") {
        for item in reader.list(&item, "[\"upstream\"]").unwrap_or_default() {
            let name = reader.reference(&item, "upstream", upstreams);
            grant.fetch.extend(name.map(str::to_owned));
        }
    }
    let kv = table.get("kv").and_then(|item| reader.boolean(&item));
    grant.kv = kv.unwrap_or(false);
    let streams = table.get("streams");
    let streams = streams.and_then(|item| reader.boolean(&item));
    grant.streams = streams.unwrap_or(false);
    reader.finish(&table, &[]);
    Some(grant)
}

impl Default for PluginLimits {
    fn default() -> PluginLimits {
        PluginLimits {
            memory: limits::plugin::PLUGIN_MEMORY_BYTES_DEFAULT,
            cpu: limits::plugin::PLUGIN_CPU_DEFAULT,
            wall: limits::plugin::PLUGIN_WALL_DEFAULT,
            concurrency: limits::plugin::PLUGIN_CONCURRENCY_DEFAULT,
        }
    }
}

fn plugin_limits(
    reader: &mut Reader<'_>,
    item: &Item<'_>,
    default: &PluginLimits,
) -> Option<PluginLimits> {
    let mut table = reader.table(
        item,
        "{ memory = \"16MiB\", cpu = \"10ms\", wall = \"100ms\" }",
    )?;
    let memory = table.get("memory");
    let memory = memory.and_then(|item| reader.size(&item, limits::plugin::PLUGIN_MEMORY_BYTES));
    let (cpu, wall) = (table.get("cpu"), table.get("wall"));
    let at = cpu
        .as_ref()
        .or(wall.as_ref())
        .map_or(item.position, |item| item.position);
    let cpu = cpu.map(|item| reader.duration(&item, limits::plugin::PLUGIN_CPU));
    let wall = wall.map(|item| reader.duration(&item, limits::plugin::PLUGIN_WALL));
    let concurrency = table.get("concurrency");
    let concurrency =
        concurrency.and_then(|item| reader.number(&item, limits::plugin::PLUGIN_CONCURRENCY));
    reader.finish(&table, &[]);

    let cpu_default = if cpu.is_none() { ", the default" } else { "" };
    let wall_default = if wall.is_none() { ", the default" } else { "" };
    let (cpu, wall) = (
        cpu.unwrap_or(Some(default.cpu))?,
        wall.unwrap_or(Some(default.wall))?,
    );
    if cpu > wall {
        let message = format!(
            "`limits.cpu` ({}{cpu_default}) is more than `limits.wall` ({}{wall_default})",
            show_duration(cpu),
            show_duration(wall),
        );
        let help = "`cpu` is processor time and `wall` the time on the clock, which is never less";
        reader.note(Problem::new(at, message).with_help(help));
    }
    Some(PluginLimits {
        memory: memory.unwrap_or(default.memory),
        cpu,
        wall,
        concurrency: concurrency.unwrap_or(default.concurrency),
    })
}

pub(super) fn policies(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
    names: &Names<'_>,
) -> BTreeMap<String, Policy> {
    let named = reader.named(root, "policies");
    let policies = named
        .into_iter()
        .filter_map(|named| policy(reader, named, &names.plugins));
    policies
        .map(|policy| (policy.name.clone(), policy))
        .collect()
}

fn policy(reader: &mut Reader<'_>, named: Named<'_>, plugins: &[&str]) -> Option<Policy> {
    let mut table = reader.entry(&named)?;
    let plugin = reader.required(&mut table, "plugin", "\"name\"");
    let plugin = plugin.and_then(|item| reader.reference(&item, "plugin", plugins));
    let config = match table.get("config") {
        Some(item) => plugin_config(reader, &item),
        None => Some(PluginConfig {
            json: Value::Object(serde_json::Map::new()),
            positions: BTreeMap::from([(String::new(), named.position)]),
            keys: BTreeMap::new(),
        }),
    };
    let instances = match table.get("instances") {
        Some(item) => instances(reader, &item),
        None => Some(Instances::Fresh),
    };
    let on_fault_item = table.get("on-fault");
    let on_fault_position = on_fault_item.as_ref().map(|item| item.position);
    let on_fault = match on_fault_item {
        Some(item) => on_fault(reader, &item),
        None => Some(OnFault::Closed),
    };
    let remember_at_most = table.get("remember-at-most");
    let remember_at_most =
        remember_at_most.map(|item| reader.duration(&item, Duration::ZERO..=REMEMBER_MAX));
    reader.finish(&table, &[]);
    Some(Policy {
        name: named.name,
        plugin: plugin?.to_owned(),
        config: config?,
        instances: instances?,
        on_fault: on_fault?,
        remember_at_most: remember_at_most.unwrap_or(Some(REMEMBER_MAX))?,
        position: named.position,
        on_fault_position,
    })
}

fn instances(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Instances> {
    reader.show(item);
    match item.value {
        DeValue::String(text) if text == "fresh" => Some(Instances::Fresh),
        DeValue::Table(_) => {
            let mut table = reader.table(item, "{ calls = 1000 }")?;
            let calls = reader.required(&mut table, "calls", "1000");
            let calls = calls.and_then(|item| reader.number(&item, limits::plugin::INSTANCE_CALLS));
            reader.finish(&table, &[]);
            Some(Instances::Reused { calls: calls? })
        }
        _ => {
            let message = format!(
                "{} must be \"fresh\" or {{ calls = N }}",
                quoted(&item.path)
            );
            reader.problem(item.position, message);
            None
        }
    }
}

fn on_fault(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<OnFault> {
    match reader.text(item, "\"closed\"")? {
        "closed" => Some(OnFault::Closed),
        "open" => Some(OnFault::Open),
        _ => {
            let message = format!("{} must be \"closed\" or \"open\"", quoted(&item.path));
            reader.problem(item.position, message);
            None
        }
    }
}

/// Gives an entry with the defaults to every bundled plugin that a policy uses without one.
pub(super) fn add_bundled(
    plugins: &mut BTreeMap<String, Plugin>,
    policies: &BTreeMap<String, Policy>,
) {
    for policy in policies.values() {
        plugins
            .entry(policy.plugin.clone())
            .or_insert_with(|| Plugin {
                name: policy.plugin.clone(),
                code: PluginCode::Bundled,
                grant: Grant::default(),
                limits: PluginLimits::default(),
                snapshot: true,
                large: false,
                position: policy.position,
                code_position: policy.position,
                is_written: false,
            });
    }
}
