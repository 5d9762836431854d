//! The contract in `wit/`: it parses, its worlds resolve, and its interfaces have the shape that lets
//! it grow.

use tollgate_tests::repository;
use wit_parser::{Interface, Resolve, WorldItem};

fn contract() -> (Resolve, wit_parser::PackageId) {
    let mut resolve = Resolve::default();
    let pushed = resolve.push_dir(repository().join("wit"));
    let (package, _) = pushed.unwrap_or_else(|error| panic!("wit/ does not parse:\n{error:?}"));
    (resolve, package)
}

#[test]
fn it_is_one_package_with_a_version() {
    let (resolve, package) = contract();
    assert_eq!(
        resolve.packages[package].name.to_string(),
        "tollgate:plugin@0.1.0"
    );
    assert_eq!(resolve.packages.len(), 1, "the contract depends on nothing");
}

#[test]
fn there_is_a_world_for_each_kind() {
    let (resolve, package) = contract();
    let worlds: Vec<&str> = resolve.packages[package]
        .worlds
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        worlds,
        [
            "plugin",
            "authorizer-plugin",
            "transformer-plugin",
            "limiter-plugin",
            "cache-policy-plugin",
            "stream-plugin"
        ]
    );
    // What a world may import without a grant.
    let free = [
        "http",
        "log",
        "clock",
        "random",
        "crypto",
        "signatures",
        "metrics",
        "decisions",
    ];
    for (name, id) in &resolve.packages[package].worlds {
        let world = &resolve.worlds[*id];
        for item in world.imports.values() {
            let WorldItem::Interface { id, .. } = item else {
                panic!("`{name}` imports what is no interface");
            };
            let import = resolve.interfaces[*id].name.as_deref().unwrap_or_default();
            assert!(
                free.contains(&import),
                "`{name}` imports `{import}`, which needs a grant"
            );
        }
        let exports: Vec<String> = exported(&resolve, *id)
            .map(|it| name_of(it).to_owned())
            .collect();
        assert!(
            exports.contains(&"lifecycle".to_owned()),
            "`{name}` exports {exports:?}"
        );
        assert_eq!(
            exports.len(),
            world.exports.len(),
            "`{name}` exports what is no interface"
        );
    }
}

fn exported(resolve: &Resolve, world: wit_parser::WorldId) -> impl Iterator<Item = &Interface> {
    let items = resolve.worlds[world].exports.values();
    items.filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some(&resolve.interfaces[*id]),
        _ => None,
    })
}

fn name_of(interface: &Interface) -> &str {
    interface.name.as_deref().unwrap_or_default()
}

#[test]
fn a_hook_is_one_function() {
    let (resolve, package) = contract();
    let mut hooks = std::collections::BTreeSet::new();
    for id in resolve.packages[package].worlds.values() {
        for interface in exported(&resolve, *id) {
            let name = name_of(interface);
            if name == "lifecycle" {
                let functions: Vec<&str> = interface.functions.keys().map(String::as_str).collect();
                assert_eq!(functions, ["describe", "configure"]);
                continue;
            }
            // Of a stream, what opens it and what takes its pieces.
            let functions = if name.ends_with("-stream") { 2 } else { 1 };
            assert_eq!(
                interface.functions.len(),
                functions,
                "`{name}` can never get another function"
            );
            hooks.insert(name.to_owned());
        }
    }
    let expected = [
        "authorizer",
        "cache-lookup",
        "cache-store",
        "limiter",
        "limiter-settle",
        "request-stream",
        "request-transformer",
        "response-stream",
        "response-transformer",
    ];
    assert!(hooks.iter().map(String::as_str).eq(expected), "{hooks:?}");
}

#[test]
fn every_interface_says_what_it_is_for() {
    let (resolve, package) = contract();
    for (name, id) in &resolve.packages[package].interfaces {
        let docs = resolve.interfaces[*id]
            .docs
            .contents
            .as_deref()
            .unwrap_or_default();
        assert!(!docs.trim().is_empty(), "`{name}` has no documentation");
    }
}
