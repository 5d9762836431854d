//! Snapshots: what memory is captured, however full, and what is said where it cannot be.

use tollgate_tests::{Folder, Gateway, Origin, check};

use crate::components::hostile_without_growth;
use crate::loading::assert_refused;
use crate::scene::Scene;

#[test]
fn memory_that_configure_filled_is_captured() {
    let origin = Origin::echo();
    let mut scene = Scene::new(&origin)
        .plugin(
            "small",
            &tollgate_tests::guest("guest_hostile"),
            "limits.memory = \"2MiB\"",
        )
        .hostile("");
    let mut paths = Vec::new();
    for (plugin, pages) in [("small", 32), ("hostile", 256)] {
        let mut add = |name: String, config: &str| {
            let path = format!("/{name}");
            scene = scene
                .clone()
                .policy(&name, plugin, config)
                .route(&name, &path, &[&name]);
            paths.push(path);
        };
        add(
            format!("{plugin}-full"),
            "config = { act = \"memory-fill\" }",
        );
        for but in 0..=4 {
            let config = format!(
                "config = {{ act = \"memory-fill-but\", amount = {but}, memory-pages = {pages} }}"
            );
            add(format!("{plugin}-but-{but}"), &config);
        }
    }
    let gateway = Gateway::start(&scene.toml());
    for path in paths {
        for _ in 0..3 {
            assert_eq!(gateway.get(&path).status, 200, "{path}");
        }
    }
}

#[test]
fn a_large_configuration_is_captured() {
    let origin = Origin::echo();
    let edits = "[\"set\", \"x-a\", \"a value\"], ".repeat(30_000);
    let scene = Scene::new(&origin)
        .hostile("limits = { memory = \"64MiB\", cpu = \"2s\", wall = \"10s\" }")
        .policy(
            "large",
            "hostile",
            &format!("config = {{ act = \"edit\", edits = [{edits}] }}"),
        );
    let gateway = Gateway::start(&scene.toml());
    assert_eq!(gateway.get("/a").echoed("x-a"), [b"a value"]);
}

#[test]
fn memory_that_may_not_grow_is_refused_with_what_to_do() {
    let folder = Folder::new();
    // `minimal.wat` needs no heap, so that its first page is enough for all but the capture.
    let path = tollgate_tests::repository().join("tests/guests/hostile/wat/minimal.wat");
    let text = std::fs::read_to_string(path).expect("minimal.wat");
    let fixed = text.replace(
        "(memory (export \"memory\") 1)",
        "(memory (export \"memory\") 1 1)",
    );
    assert_ne!(text, fixed);
    let wasm = folder.write("fixed.wasm", wat::parse_str(&fixed).expect("it assembles"));
    let scene = |origin: &Origin, more: &str, entry: &str| {
        Scene::new(origin)
            .plugin("fixed", &wasm, more)
            .policy("entry", "fixed", entry)
            .toml()
    };
    let origin = Origin::echo();
    let toml = scene(&origin, "", "");
    let texts = [
        "policy `entry` does not load",
        "maximum of memory",
        "`snapshot = false`",
    ];
    assert_refused(&check(&toml), &toml, "entry]", &texts);
    for (more, entry) in [("snapshot = false", ""), ("", "instances = { calls = 2 }")] {
        let gateway = Gateway::start(&scene(&origin, more, entry));
        for _ in 0..3 {
            assert_eq!(gateway.get("/a").status, 200);
        }
    }

    // A guest that needs its heap to say what it is cannot run at all.
    let toml = Scene::unserved()
        .plugin("stiff", &hostile_without_growth(&folder), "")
        .policy("entry", "stiff", "")
        .toml();
    assert_refused(&check(&toml), &toml, "stiff]", &["`describe`"]);
}
