//! The reference in host/README.md has every key that the readers of the configuration take and every
//! metric that is registered, and no others.

use std::collections::BTreeSet;

use tollgate_tests::repository;

/// The sources in a folder, without white space.
fn sources(folder: &str) -> String {
    let entries = std::fs::read_dir(repository().join(folder)).expect("a folder");
    let files = entries.flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    files
        .map(|path| std::fs::read_to_string(path).expect("a source"))
        .flat_map(|text| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The strings that follow these calls.
fn given(source: &str, calls: &[&str]) -> BTreeSet<String> {
    let all = calls.iter().flat_map(|call| source.split(call).skip(1));
    all.filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// Where the reference is, in the repository.
const REFERENCE: &str = "host/README.md";

/// The rows of the tables in a part of the reference.
fn rows(from: &str, to: &str) -> Vec<String> {
    let reference = std::fs::read_to_string(repository().join(REFERENCE)).expect("the reference");
    let part = reference
        .split_once(from)
        .and_then(|(_, rest)| rest.split_once(to));
    let lines = part
        .unwrap_or_else(|| panic!("no {from:?} before {to:?}"))
        .0
        .lines();
    let rows = lines.filter(|line| line.starts_with("| `"));
    rows.map(str::to_owned).collect()
}

fn words(text: &str, part_of_word: fn(char) -> bool) -> impl Iterator<Item = String> {
    let words = text.split(move |c| !part_of_word(c));
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

#[test]
fn every_key_is_in_the_reference_and_no_other() {
    let read = given(
        &sources("host/src/config"),
        &[
            ".get(\"",
            "required(&muttable,\"",
            "named(root,\"",
            "strings(reader,table,\"",
            "tests(reader,&muttable,\"",
            "count(\"",
            "size(\"",
            "set(\"",
        ],
    );
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let rows = rows("\n## Configuration\n", "\n### Behind other proxies\n");
    let told: BTreeSet<_> = rows.iter().flat_map(|row| words(row, is_key)).collect();
    let untold: Vec<_> = read.difference(&told).collect();
    assert!(
        untold.is_empty(),
        "keys that {REFERENCE} does not have: {untold:?}"
    );
    // The first column has keys alone, in backquotes.
    let first = rows.iter().filter_map(|row| row.split(" | ").next());
    let code = first.flat_map(|column| column.split('`').skip(1).step_by(2));
    let named: BTreeSet<_> = code.flat_map(|code| words(code, is_key)).collect();
    let unread: Vec<_> = named.difference(&read).collect();
    assert!(unread.is_empty(), "keys that nothing reads: {unread:?}");
    assert!(read.len() > 50 && named.len() > 40, "{read:?} {named:?}");
}

#[test]
fn every_metric_is_in_the_table_and_no_other() {
    let registered = given(
        &(sources("host/src/observe") + &sources("host/src/observe/metrics")),
        &[
            "counter(\"",
            "gauge(\"",
            "registry.register(\"",
            "registry.register_with_unit(\"",
        ],
    );
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let rows = rows("\n## Metrics\n", "\nThe kinds of faults are ");
    let told: BTreeSet<_> = rows
        .iter()
        .flat_map(|row| words(row, is_name))
        .filter_map(|word| word.strip_prefix("tollgate_").map(str::to_owned))
        .collect();
    let is_of = |told: &str, name: &str| {
        let ending = told.strip_prefix(name);
        ending.is_some_and(|ending| ["", "_total", "_seconds", "_bytes"].contains(&ending))
    };
    for name in &registered {
        let found = told.iter().any(|told| is_of(told, name));
        assert!(found, "{REFERENCE} does not have the metric `{name}`");
    }
    for told in &told {
        let found = registered.iter().any(|name| is_of(told, name));
        assert!(found, "nothing registers `tollgate_{told}`");
    }
    assert!(registered.len() > 20, "{registered:?}");
}
