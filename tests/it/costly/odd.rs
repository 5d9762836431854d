//! Components that are valid, or nearly, as no tool chain makes them.

use std::path::PathBuf;

use tollgate_tests::{Folder, Gateway, Origin};

use super::says;
use crate::components::{assembled, variant};
use crate::scene::Scene;

/// A name of some hundred bytes, in C++'s way of writing them, that stands for one of terabytes: each of its
/// types has the one before it twice.
fn endless_name() -> String {
    let digit = |number: usize| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number]);
    let mut name = "_Z1f1BI1AS0_E".to_owned();
    for number in 1..35 {
        let before = digit(number);
        name.push_str(&format!("S_IS{before}_S{before}_E"));
    }
    name
}

/// It is written to the log with the guest's backtrace, on the thread that serves or reloads.
#[test]
fn names_that_stand_for_endless_ones_are_not_written_out() {
    let folder = Folder::new();
    let name = endless_name();
    let trap = format!("(func ${name} unreachable)");
    let traps = |name: &str, from: &str, to: &str| {
        variant(
            &folder,
            name,
            &[
                (
                    "(memory (export \"memory\") 1)",
                    &format!("(memory (export \"memory\") 1) {trap}"),
                ),
                (from, to),
            ],
        )
    };
    let origin = Origin::echo();
    let hook = "(call $drop-edits (local.get 1))";
    let calls = format!("(call ${name})");
    let wasm = traps("hook", hook, &format!("{hook} {calls}"));
    let scene = Scene::new(&origin)
        .plugin("p", &wasm, "")
        .policy("q", "p", "");
    let gateway = Gateway::start(&scene.toml());
    assert_eq!(gateway.get("/a").status, 500);
    gateway.wait_for_event(&["wasm `unreachable`", &name]);
    let describe = "(result i32) (i32.const 8))";
    let (ok, said) = says(
        &traps(
            "describe",
            describe,
            &format!("(result i32) {calls} {}", &describe[13..]),
        ),
        "",
    );
    assert!(!ok && said.contains(&name), "{said}");
}

/// A number as WebAssembly writes it (LEB128).
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        bytes.push(low | if number > 0 { 0x80 } else { 0 });
        if number == 0 {
            return bytes;
        }
    }
}

/// `minimal.wat` with another section behind it.
fn with_section(folder: &Folder, name: &str, id: u8, content: &[u8]) -> PathBuf {
    let mut bytes = std::fs::read(assembled(folder, "minimal")).expect("a file");
    bytes.push(id);
    bytes.extend(leb(content.len()));
    bytes.extend(content);
    folder.write(&format!("{name}.wasm"), bytes)
}

/// Components within components, this deep.
fn nested(depth: usize) -> Vec<u8> {
    let preamble = b"\0asm\x0d\0\x01\0";
    let mut inner = preamble.to_vec();
    for _ in 0..depth {
        inner = [&preamble[..], &[4], &leb(inner.len()), &inner].concat();
    }
    inner
}

/// Components of which each is made of the one before twice: a few bytes for each doubling.
fn multiplied(times: usize, innermost: &str) -> String {
    let mut text = format!("(component $c0 {innermost})");
    for number in 0..times {
        text.push_str(&format!(
            "(component $c{} (alias outer 1 $c{number} (component $d)) \
             (instance (instantiate $d)) (instance (instantiate $d)))",
            number + 1
        ));
    }
    text + &format!("(instance (instantiate $c{times}))")
}

/// Each is refused in so many words or runs; none takes the gateway with it, or long.
#[test]
fn odd_components_are_refused_or_run() {
    let folder = Folder::new();
    let memory = "(memory (export \"memory\") 1)";
    let in_place = |name: &str, text: &str| variant(&folder, name, &[(memory, text)]);
    let beside = |name: &str, text: &str| in_place(name, &format!("{memory} {text}"));
    let kept = "(memory (export \"memory\")";
    let long = "n".repeat(90_000);
    let types: String = (0..50_000).map(|_| "(type (func))".to_owned()).collect();
    let functions: String = (0..50_000).map(|_| "(func)".to_owned()).collect();
    let globals: String = (0..20_000)
        .map(|_| "(global (mut i32) (i32.const 0))".to_owned())
        .collect();
    // The type of each is twice the one before.
    let doubled: String = (0..40)
        .map(|number| format!("(type $t{} (tuple $t{number} $t{number}))", number + 1))
        .collect();
    let imports: String = (0..2_000)
        .map(|number| format!("(import \"wasi:a/b{number}@0.2.0\" (instance))"))
        .collect();
    let component = "(component\n  (import";
    let outside = |name: &str, text: &str| {
        variant(
            &folder,
            name,
            &[(component, &format!("(component {text}\n  (import"))],
        )
    };
    let core = "(core module $x) (core instance (instantiate $x))".to_owned();
    let cases = [
        (
            beside("start", "(func $s (loop (br 0))) (start $s)"),
            Some("processor time"),
        ),
        (
            beside("traps", "(func $s (unreachable)) (start $s)"),
            Some("unreachable"),
        ),
        (in_place("large", &format!("{kept} 16385)")), Some("memory")),
        (
            in_place("largest", &format!("{kept} 65536)")),
            Some("memory"),
        ),
        (in_place("fixed", &format!("{kept} 1 1)")), None),
        (beside("second", "(memory 200)"), None),
        (beside("third", "(memory 1) (memory 1)"), Some("memor")),
        (beside("table", "(table 20000 funcref)"), None),
        (
            beside("larger-table", "(table 20001 funcref)"),
            Some("table"),
        ),
        (
            beside("largest-table", "(table 10000000 funcref)"),
            Some("table"),
        ),
        (
            beside("tables", &"(table 1 funcref)".repeat(5)),
            Some("table"),
        ),
        (beside("data", "(data (i32.const 65535) \"\\01\")"), None),
        (
            beside("data-beyond", "(data (i32.const 65536) \"\\01\")"),
            Some(""),
        ),
        (beside("types", &types), None),
        (beside("functions", &functions), None),
        (beside("globals", &globals), None),
        (
            beside("export", &format!("(func (export \"{long}\"))")),
            None,
        ),
        (
            outside("import", &format!("(import \"a:b/{long}\" (instance))")),
            Some("it imports"),
        ),
        (outside("imports", &imports), Some("more than 1000 imports")),
        (
            outside("doubled", &format!("(type $t0 (tuple u8 u8)){doubled}")),
            None,
        ),
        (
            outside("instances", &multiplied(40, &core)),
            Some("more than 8 core instances"),
        ),
        (outside("few-instances", &multiplied(2, &core)), None),
        (
            outside("empty-instances", &multiplied(40, "")),
            Some("more than 1000 instances of components"),
        ),
        (with_section(&folder, "nested", 4, &nested(1_000)), None),
        (with_section(&folder, "deep", 4, &nested(2_000)), None),
        (
            with_section(
                &folder,
                "custom",
                0,
                &[&leb(4), &b"name"[..], &[0xff; 99]].concat(),
            ),
            None,
        ),
        (
            with_section(&folder, "unknown", 77, b"what"),
            Some("malformed section id"),
        ),
        (folder.write("module.wasm", b"\0asm\x01\0\0\0"), Some("")),
        (
            folder.write("head.wasm", b"\0asm\x0d\0\x01\0"),
            Some("lifecycle"),
        ),
        (
            folder.write("empty.wasm", b""),
            Some("neither a WebAssembly component"),
        ),
    ];
    for (wasm, refused) in cases {
        let (ok, said) = says(&wasm, "");
        let name = wasm.display();
        if let Some(text) = refused {
            assert!(!ok && said.contains(text), "{name}: {ok} {said}");
        }
        assert!(said.len() < 20_000, "{name}: {} bytes are said", said.len());
        assert!(!said.contains("process ended"), "{name}: {said}");
    }
}
