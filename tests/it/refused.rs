//! Files that are no plugin, or none that this gateway runs: each is refused in words, at its place,
//! within its bounds.

use std::path::Path;

use tollgate_tests::{Check, Folder, Gateway, Origin, check, guest};

use crate::components::assembled;
use crate::loading::assert_refused;
use crate::scene::Scene;

pub fn of(wasm: &Path, more: &str) -> String {
    Scene::unserved()
        .plugin("odd", wasm, more)
        .policy("entry", "odd", "")
        .toml()
}

/// Refused as a plugin, with these texts.
#[track_caller]
pub fn assert_no_plugin(wasm: &Path, texts: &[&str]) -> Check {
    let toml = of(wasm, "");
    let check = check(&toml);
    assert_refused(
        &check,
        &toml,
        "odd]",
        &[&["plugin `odd` does not load: "], texts].concat(),
    );
    check
}

/// Refused for its file, with these texts where that is named.
#[track_caller]
fn assert_no_file(wasm: &Path, more: &str, texts: &[&str]) -> Check {
    let toml = of(wasm, more);
    let check = check(&toml);
    let at = format!("\"{}\"", wasm.display());
    let texts = [&["plugin `odd` does not load: "], texts].concat();
    assert_refused(&check, &toml, &at, &texts);
    check
}

/// Loads, and passes a request on.
#[track_caller]
pub fn assert_serves(wasm: &Path, more: &str) {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .plugin("odd", wasm, more)
        .policy("entry", "odd", "");
    let gateway = Gateway::start(&scene.toml());
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").status, 200);
    }
}

#[test]
fn what_is_not_webassembly_is_refused() {
    let folder = Folder::new();
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("text", b"#!/bin/sh\nexit 0\n".to_vec()),
        ("zeros", vec![0; 4096]),
        (
            "elf",
            std::fs::read(tollgate_tests::binary()).expect("the gateway")[..65_536].to_vec(),
        ),
    ] {
        let wasm = folder.write(&format!("{name}.wasm"), bytes);
        assert_no_plugin(
            &wasm,
            &["it is neither a WebAssembly component nor a core module"],
        );
    }
    let wasm = folder.write("module.wasm", wat::parse_str("(module)").expect("a module"));
    assert_no_plugin(&wasm, &["`tollgate:plugin/lifecycle`"]);
    let head = folder.write("head.wasm", b"\0asm\x01\0\0\0");
    assert_no_plugin(&head, &["`tollgate:plugin/lifecycle`"]);
    let absent = folder.path().join("absent.wasm");
    assert_no_file(&absent, "", &["absent.wasm", "cannot be read"]);
    assert_no_file(folder.path(), "", &["cannot be read"]);
}

#[test]
fn a_file_of_any_length_of_a_plugin_is_refused() {
    let folder = Folder::new();
    let whole = std::fs::read(guest("guest_bench_request")).expect("a guest");
    let mut scene = Scene::unserved();
    for part in 0..16 {
        let wasm = folder.write(&format!("{part}.wasm"), &whole[..whole.len() * part / 16]);
        let name = format!("part-{part}");
        scene = scene.plugin(&name, &wasm, "").policy(&name, &name, "");
    }
    let toml = scene.toml();
    let check = check(&toml);
    for part in 0..16 {
        let text = format!("plugin `part-{part}` does not load: ");
        assert_refused(&check, &toml, &format!("part-{part}]"), &[&text]);
    }
}

#[test]
fn flipped_bits_never_take_the_gateway_down() {
    let folder = Folder::new();
    let whole = std::fs::read(guest("guest_bench_request")).expect("a guest");
    let mut scene = Scene::unserved();
    for place in 0..12 {
        let mut bytes = whole.clone();
        let at = 8 + place * (bytes.len() - 9) / 12;
        bytes[at] ^= 0x55;
        let wasm = folder.write(&format!("{place}.wasm"), bytes);
        let name = format!("flip-{place}");
        scene = scene.plugin(&name, &wasm, "").policy(&name, &name, "");
    }
    let check = check(&scene.toml());
    // Some still are plugins: a byte of data or of a name does not matter.
    assert!(matches!(check.code, Some(0 | 1)), "{check:?}");
    assert!(!check.stderr.contains("thread '"), "{}", check.stderr);
}

#[test]
fn a_file_beyond_the_bound_is_refused() {
    let folder = Folder::new();
    let path = folder.write("large.wasm", b"\0asm\x0d\0\x01\0");
    let file = std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("the file");
    file.set_len(70 << 20).expect("a sparse file");
    assert_no_file(&path, "", &["large.wasm", "has more than 67108864 bytes"]);
}

#[test]
fn a_pin_holds_the_file_to_its_content() {
    let folder = Folder::new();
    let wasm = folder.write(
        "pinned.wasm",
        std::fs::read(guest("guest_bench_request")).expect("it"),
    );
    let wrong = "0".repeat(64);
    let pin = format!("sha256 = \"{wrong}\"");
    let refused = assert_no_file(&wasm, &pin, &["not the one that `sha256` pins"]);
    let told = refused
        .stderr
        .split("has SHA-256 ")
        .nth(1)
        .and_then(|rest| rest.get(..64));
    let told = told.expect("what the file has").to_owned();

    let right = of(&wasm, &format!("sha256 = \"{told}\""));
    assert!(check(&right).ok);
    let upper = of(&wasm, &format!("sha256 = \"{}\"", told.to_uppercase()));
    assert!(check(&upper).ok);
    // One byte more at the end, and it is another file.
    let mut bytes = std::fs::read(&wasm).expect("it");
    bytes.extend([0, 2, 1, b'x']);
    folder.write("pinned.wasm", bytes);
    let pin = format!("sha256 = \"{told}\"");
    assert_no_file(&wasm, &pin, &["not the one that `sha256` pins"]);
}

#[test]
fn each_odd_component_has_its_answer() {
    let folder = Folder::new();
    for (name, texts) in [
        ("imported-tag", ["exceptions proposal not enabled", ""]),
        ("memory64", ["memory64 must be enabled", ""]),
        (
            "no-hook",
            ["it exports no hook, so there is nothing to run", ""],
        ),
        (
            "no-lifecycle",
            [
                "it does not export `tollgate:plugin/lifecycle`",
                "no Tollgate plugin",
            ],
        ),
        ("table-bomb", ["table", "exceeds the limit of 20000"]),
        (
            "unknown-import",
            ["it imports `telepathy`", "not in the contract"],
        ),
    ] {
        assert_no_plugin(&assembled(&folder, name), &texts);
    }
    assert_serves(&assembled(&folder, "minimal"), "");
    assert_serves(&assembled(&folder, "two-memories"), "");
    for (name, text) in [
        ("nested", "nested components"),
        ("table-set", "unsupported `table.set`"),
    ] {
        let wasm = assembled(&folder, name);
        let toml = of(&wasm, "");
        let texts = [
            "policy `entry` does not load",
            text,
            "`snapshot = false`",
            "calls = N",
        ];
        assert_refused(&check(&toml), &toml, "entry]", &texts);
        assert_serves(&wasm, "snapshot = false");
    }
}

#[test]
fn a_hook_of_another_type_is_refused_at_load() {
    let folder = Folder::new();
    let toml = of(&assembled(&folder, "wrong-shape"), "");
    let check = check(&toml);
    assert_eq!(check.code, Some(1), "{check:?}");
    assert!(
        check
            .stderr
            .contains("`authorizer` is not that of the contract"),
        "{}",
        check.stderr
    );
}

#[test]
fn a_start_function_has_a_bound_in_time() {
    let folder = Folder::new();
    assert_no_plugin(
        &assembled(&folder, "start-loop"),
        &["its processor time is spent"],
    );
}
