//! The order within `plugin/`, and where what wasmtime hides is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tollgate_tests::repository;

use super::{named_after, sources};

/// Which rooms of `plugin/` each may import: `load > call > engine > host`, and below them what all of them
/// talk of, which is beside them.
const ROOMS: &[(&str, &[&str])] = &[
    ("load", &["call", "engine", "host"]),
    ("call", &["engine", "host"]),
    ("engine", &["host"]),
    ("host", &[]),
];
const BESIDE_ROOMS: &[&str] = &["fault", "grants", "key", "secrets", "spec"];

#[test]
fn rooms_of_plugin_import_one_way() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let root = repository().join("host/src/plugin");
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for source in sources() {
        let Ok(below) = source.path.strip_prefix(&root) else {
            continue;
        };
        let shown = below.display();
        let below: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let (allowed, named): (&[&str], _) = match below.as_slice() {
            [] => continue,
            [file] if file == "mod.rs" => continue,
            [file] => {
                let name = file.trim_end_matches(".rs");
                assert!(BESIDE_ROOMS.contains(&name), "{file} is in no room");
                let mut named = named_after("crate::plugin::", &source.code);
                named.extend(named_after("super::", &source.code));
                (&[], named)
            }
            [room, inside @ ..] => {
                let climbs = source.code.contains("super::super::") && inside.len() == 1;
                assert!(!climbs, "{shown} leaves its room by `super`");
                let allowed = rooms.get(&**room);
                seen.insert(room.to_string());
                let mut named = named_after("crate::plugin::", &source.code);
                named.remove(&**room);
                (
                    allowed.unwrap_or_else(|| panic!("{room} is no room")),
                    named,
                )
            }
        };
        let wrongs = named.into_iter().filter(|name| {
            !allowed.contains(&name.as_str()) && !BESIDE_ROOMS.contains(&name.as_str())
        });
        wrong.extend(wrongs.map(|name| format!("{shown}: {name}")));
    }
    assert!(wrong.is_empty(), "against the order:\n{}", wrong.join("\n"));
    assert!(rooms.keys().all(|room| seen.contains(*room)), "{seen:?}");
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        let below: Vec<&str> = ROOMS[index + 1..].iter().map(|(room, _)| *room).collect();
        assert_eq!(*allowed, below, "{room}");
    }
}

/// `policy/cache` is three rooms and two ways: what RFC 9111 says is asked of nobody else, and what is kept stands on
/// both.
const CACHE_ROOMS: &[(&str, &[&str])] = &[
    ("kept", &["bodies", "rules"]),
    ("bodies", &[]),
    ("rules", &[]),
];

#[test]
fn rooms_of_the_cache_import_one_way() {
    let root = repository().join("host/src/policy/cache");
    for (room, allowed) in CACHE_ROOMS {
        let sources = sources().into_iter();
        let mut files = 0;
        for source in sources.filter(|source| source.path.starts_with(root.join(room))) {
            files += 1;
            let shown = source.path.display();
            assert!(!source.code.contains("super::super::"), "{shown} climbs");
            let mut named = named_after("crate::policy::cache::", &source.code);
            named.retain(|name| name != room && !allowed.contains(&name.as_str()));
            assert!(named.is_empty(), "{shown} names {named:?}");
        }
        assert!(files > 1, "{room} is empty");
    }
}

#[test]
fn what_wasmtime_hides_is_in_one_folder_and_of_one_version() {
    let root = repository().join("host/src");
    let naming = sources()
        .into_iter()
        .filter(|source| source.code.contains("__internal"));
    let files: Vec<PathBuf> = naming.map(|source| source.path).collect();
    let folder = root.join("plugin/call/wasmtime_internal");
    assert!(!files.is_empty(), "nothing names it: this test can go");
    for file in &files {
        assert!(file.starts_with(&folder), "{}", file.display());
    }
    let manifest = repository().join("host/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).expect("a manifest");
    let crates = ["wasmtime", "wasmtime-wasi", "wasmtime-wizer"];
    let crates = crates
        .iter()
        .chain(&["wasi-preview1-component-adapter-provider"]);
    let versions: BTreeSet<&str> = crates
        .map(|name| {
            let mut lines = manifest.lines();
            let line = lines.find(|line| line.starts_with(&format!("{name} = ")));
            let line = line.unwrap_or_else(|| panic!("{name} is not in the manifest"));
            let quoted = line.split('"').find(|text| text.starts_with('='));
            quoted.unwrap_or_else(|| panic!("{line} names no one version"))
        })
        .collect();
    assert_eq!(versions.len(), 1, "{versions:?}");
}
