//! The guest `kinds` with only some of its hooks: what a component exports decides what it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tollgate_tests::{Folder, guest};

const HOOKS: [&str; 5] = [
    "authorizer",
    "limiter",
    "limiter-settle",
    "request-transformer",
    "response-transformer",
];

/// Bounds of a plugin that no call meets, however busy the machine is.
pub const PATIENT: &str = "limits = { cpu = \"5s\", wall = \"20s\" }";

/// The component that exports these hooks alone, in a file of the folder.
pub fn kinds(folder: &Folder, hooks: &[&str]) -> PathBuf {
    /// Made once for all tests of a run.
    static MADE: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let name = format!("{}.wasm", hooks.join("+"));
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = made
        .entry(name.clone())
        .or_insert_with(|| with_hooks(hooks));
    folder.write(&name, bytes)
}

/// Who decides whether a request may go on.
pub fn authorizer(folder: &Folder) -> PathBuf {
    kinds(folder, &["authorizer"])
}

pub fn limiter(folder: &Folder) -> PathBuf {
    kinds(folder, &["limiter", "limiter-settle"])
}

/// Who traces the order, both ways.
pub fn transformer(folder: &Folder) -> PathBuf {
    kinds(folder, &["request-transformer", "response-transformer"])
}

fn with_hooks(wanted: &[&str]) -> Vec<u8> {
    let path = guest("guest_kinds");
    let text = wasmprinter::print_file(&path)
        .unwrap_or_else(|error| panic!("cannot print `{}`: {error}", path.display()));
    let unwanted: Vec<&&str> = HOOKS.iter().filter(|hook| !wanted.contains(hook)).collect();
    assert_eq!(
        unwanted.len() + wanted.len(),
        HOOKS.len(),
        "{wanted:?} of {HOOKS:?}"
    );
    let mut removed = 0;
    let is_of = |line: &str, hook: &str| {
        let line = line.trim_start();
        line.starts_with("(export ") && line.contains(&format!("plugin/{hook}@"))
            || line.starts_with("(@custom ")
                && line.contains(&format!(":{hook}-hook:imports and exports"))
    };
    let kept = text.lines().filter(|line| {
        let goes = unwanted.iter().any(|hook| is_of(line, hook));
        removed += usize::from(goes);
        !goes
    });
    let kept = kept.collect::<Vec<_>>().join("\n");
    assert_eq!(
        removed,
        3 * unwanted.len(),
        "of each the function, what frees its result, and the world"
    );
    wat::parse_str(&kept).expect("the rewritten text assembles")
}
