//! The house keeps its order: imports of the host point one way, and what one module alone shall know
//! is named nowhere else. Read from the source, with comments left out.

mod rooms;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tollgate_tests::repository;

/// Which modules each module may import. `main > cli > server > {proxy, reload > assembly} > gateway > {route, chain} >
/// plugin > policy > {store, upstream} > {http, error, pace, quote, read_file, shortage, limits}`; only cli, reload and
/// assembly read `config`, and `observe` is written to from above.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    // Measures the parts, with the feature of its name alone.
    (
        "bench",
        &["assembly", "cli", "gateway", "http", "policy", "route"],
    ),
    (
        "cli",
        &[
            "assembly", "config", "limits", "observe", "reload", "server",
        ],
    ),
    (
        "server",
        &[
            "assembly", "http", "limits", "observe", "pace", "proxy", "reload",
        ],
    ),
    (
        "reload",
        &["assembly", "config", "limits", "observe", "shortage"],
    ),
    (
        "proxy",
        &[
            "chain", "error", "gateway", "http", "limits", "observe", "policy", "route", "upstream",
        ],
    ),
    (
        "assembly",
        &[
            "read_file",
            "chain",
            "config",
            "gateway",
            "http",
            "limits",
            "observe",
            "plugin",
            "policy",
            "route",
            "quote",
            "store",
            "upstream",
        ],
    ),
    // All that a request looks at. It knows nothing of what was written or how it was built.
    (
        "gateway",
        &["chain", "http", "observe", "route", "upstream"],
    ),
    (
        "chain",
        &[
            "error", "http", "limits", "observe", "plugin", "policy", "quote",
        ],
    ),
    ("route", &["http", "limits"]),
    (
        "plugin",
        &[
            "error", "http", "limits", "observe", "policy", "shortage", "quote", "store",
            "upstream",
        ],
    ),
    ("policy", &["read_file", "http", "limits"]),
    ("store", &["limits"]),
    ("upstream", &["error", "http", "limits", "pace"]),
    // What was written is checked with what routes are.
    (
        "config",
        &["read_file", "http", "limits", "route", "shortage", "quote"],
    ),
    ("observe", &["error", "http", "limits", "quote"]),
    // A failure is answered with a response.
    ("error", &["http"]),
    ("http", &["limits", "pace", "quote"]),
    ("read_file", &["shortage"]),
    ("pace", &["limits"]),
    ("shortage", &[]),
    ("quote", &["limits"]),
    ("limits", &[]),
];

/// Imports that the order does not have, each with why it is there. One that is gone must go here too.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "server",
        "config",
        "the addresses and bounds of the listeners",
    ),
    (
        "plugin",
        "route",
        "a path that a plugin sets is checked as a client's is",
    ),
    (
        "chain",
        "route",
        "an entry is for requests as a route is: one type of predicate",
    ),
];

/// Crates that are named in one module alone.
const KNOWN_TO_ONE: &[(&str, &str)] = &[
    ("wasmtime::", "plugin"),
    ("wasmtime_wasi::", "plugin"),
    ("wasmtime_wizer::", "plugin"),
    ("wit_component::", "plugin"),
    ("wasmparser::", "plugin"),
    ("hyper::server", "server"),
    ("hyper::service", "server"),
    ("hyper::client", "upstream"),
    ("toml::", "config"),
    ("clap::", "cli"),
    ("prometheus_client::", "observe"),
];

/// A file's module and its code.
struct Source {
    module: String,
    path: PathBuf,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = repository().join("host/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let source = |path: PathBuf| {
        let below = path.strip_prefix(&root).expect("a file of the host");
        let first = below
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy();
        let text = std::fs::read_to_string(&path).expect("source");
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        Source {
            module: first.trim_end_matches(".rs").to_owned(),
            code: code.collect::<Vec<_>>().join("\n"),
            path,
        }
    };
    files.into_iter().map(source).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder of sources");
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules that this code names with `crate::`, alone or in braces.
fn imports(code: &str) -> BTreeSet<String> {
    named_after("crate::", code)
}

/// What this code names after `start`, alone or in braces.
fn named_after(start: &str, code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|char| char.is_alphanumeric() || *char == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for rest in code.split(start).skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0_u32;
        let mut item = String::new();
        for char in list.chars() {
            match char {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(word(item.trim()));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(char);
        }
        found.insert(word(item.trim()));
    }
    found.remove("");
    found
}

#[test]
fn imports_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut used = BTreeSet::new();
    let mut made = BTreeSet::new();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module.as_str();
        let Some(allowed) = allowed.get(module) else {
            panic!("`{module}` is not in the order: {}", source.path.display());
        };
        for import in imports(&source.code) {
            // A re-export of the crate's root, and the module itself.
            if import == module || allowed.contains(&import.as_str()) {
                made.insert((module.to_owned(), import));
                continue;
            }
            let excepted = EXCEPTIONS
                .iter()
                .position(|(from, to, _)| *from == module && *to == import);
            match excepted {
                Some(index) => {
                    used.insert(index);
                }
                None => wrong.push(format!("{}: crate::{import}", source.path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "against the order:\n{}", wrong.join("\n"));
    let all = MAY_IMPORT.iter();
    // `main` is not a file that names the crate by `crate`.
    let all = all.filter(|(from, _)| *from != "main");
    let permissions = all.flat_map(|(from, to)| to.iter().map(move |to| (*from, *to)));
    let unused: Vec<_> = permissions
        .filter(|(from, to)| !made.contains(&(from.to_string(), to.to_string())))
        .collect();
    assert!(
        unused.is_empty(),
        "permissions that nobody uses: {unused:?}"
    );
    for (index, (from, to, _)) in EXCEPTIONS.iter().enumerate() {
        assert!(
            used.contains(&index),
            "`{from}` no longer imports `{to}`: remove the exception"
        );
    }
}

#[test]
fn the_order_has_no_circle() {
    // Exceptions included: an import that closes a circle has no excuse.
    let mut left: BTreeMap<&str, BTreeSet<&str>> = MAY_IMPORT
        .iter()
        .map(|(module, imports)| (*module, imports.iter().copied().collect()))
        .collect();
    for (from, to, _) in EXCEPTIONS {
        left.entry(from).or_default().insert(to);
    }
    // What only may be written to is above and below: nothing that it imports may import it.
    for (from, to, _) in EXCEPTIONS.iter().filter(|(from, ..)| *from == "observe") {
        let imports = sources().into_iter().filter(|source| source.module == *to);
        let back = imports
            .flat_map(|source| imports_of(&source))
            .any(|import| import == *from);
        assert!(!back, "`{from}` and `{to}` import each other");
        left.entry(to).or_default().remove(from);
    }
    while !left.is_empty() {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, imports)| imports.iter().all(|import| !left.contains_key(import)))
            .map(|(module, _)| *module)
            .collect();
        assert!(!free.is_empty(), "a circle among {:?}", left.keys());
        for module in free {
            left.remove(module);
        }
    }
}

fn imports_of(source: &Source) -> BTreeSet<String> {
    imports(&source.code)
}

#[test]
fn what_one_module_knows_no_other_names() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, module) in KNOWN_TO_ONE {
            // Not as the end of a longer name.
            let named = source.code.match_indices(name).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                !before.is_some_and(|char| char.is_alphanumeric() || char == '_')
            });
            if named && source.module != *module {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
    }
    // Streams of bytes are theirs; everybody else has messages.
    let wire = ["server", "upstream"];
    let sources = sources().into_iter();
    let others = sources.filter(|source| !wire.contains(&source.module.as_str()));
    for source in others.filter(|source| source.code.contains("hyper::")) {
        wrong.push(format!("{} names hyper", source.path.display()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_climbs_out_of_its_module_by_super() {
    for source in sources() {
        let root = repository().join("host/src");
        let below = source.path.strip_prefix(&root).expect("a file of the host");
        // The file of a module at the root has one `super` to the root, each folder one more.
        let depth = below.components().count() + usize::from(source.code.contains("\nmod "));
        let climb = "super::".repeat(depth + 1);
        assert!(!source.code.contains(&climb), "{}", source.path.display());
        if below.components().count() == 1 {
            let out = source
                .code
                .lines()
                .any(|line| line.starts_with("use super::"));
            assert!(!out, "{} imports through `super`", source.path.display());
        }
    }
}

#[test]
fn plugins_are_built_from_the_public_sdk_alone() {
    let root = repository();
    let mut manifests = vec![root.join("examples/third-party/tenant-guard/Cargo.toml")];
    for folder in ["plugins", "tests/guests"] {
        let entries = std::fs::read_dir(root.join(folder)).expect("plugins");
        manifests.extend(
            entries
                .flatten()
                .filter(|entry| entry.path().is_dir())
                .map(|entry| entry.path().join("Cargo.toml")),
        );
    }
    for manifest in manifests {
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        for line in text.lines().filter(|line| line.contains("path = \"..")) {
            assert!(
                line.starts_with("tollgate-plugin = "),
                "{}: {line}",
                manifest.display()
            );
        }
    }
    for (manifest, name) in [
        ("plugin-sdk/Cargo.toml", "tollgate ="),
        ("tests/Cargo.toml", "tollgate ="),
    ] {
        let text = std::fs::read_to_string(root.join(manifest)).expect("a manifest");
        assert!(
            !text.lines().any(|line| line.starts_with(name)),
            "{manifest} uses the host"
        );
    }
}

#[test]
fn imports_are_found_alone_and_in_braces() {
    let code = "use crate::a::B;\nuse crate::{c, d::{E, F}, g as h};\nlet x = crate::i::j();";
    let found = imports(code);
    assert!(
        found
            .iter()
            .map(String::as_str)
            .eq(["a", "c", "d", "g", "i"]),
        "{found:?}"
    );
}
