//! No file of the host needs one that needs it: what a file imports can be read, changed and tested before
//! it. Read from the source: every path that begins at the crate, at a parent or at a child module, resolved
//! through re-exports to the file that has the item.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tollgate_tests::repository;

/// One file of the host, which is one module.
#[derive(Default)]
struct File {
    name: String,
    /// Paths that are named in it, but for its re-exports of what is below it.
    named: Vec<Vec<String>>,
    /// What its `use` statements give a name to.
    bindings: BTreeMap<String, Vec<String>>,
}

/// Files by the path of their module; that of the crate's root is empty.
type Files = BTreeMap<Vec<String>, File>;

fn files() -> Files {
    let root = repository().join("host/src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let mut texts = BTreeMap::new();
    for name in paths {
        let mut module: Vec<String> = name
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        match module.last().map(String::as_str) {
            // The program has its own root, and imports the library as anybody does.
            Some("main") => continue,
            Some("mod" | "lib") => _ = module.pop(),
            _ => {}
        }
        // Tests are imported by nothing.
        if !module.iter().any(|part| part == "tests") {
            let text = std::fs::read_to_string(root.join(&name)).expect("source");
            texts.insert(module, (name, text));
        }
    }
    let modules: BTreeSet<Vec<String>> = texts.keys().cloned().collect();
    let read = |(module, (name, text)): (Vec<String>, (String, String))| {
        let mut file = read(&code(&text), &module, &modules);
        file.name = name;
        (module, file)
    };
    texts.into_iter().map(read).collect()
}

fn collect(folder: &Path, names: &mut Vec<String>) {
    let root = repository().join("host/src");
    for entry in std::fs::read_dir(folder)
        .expect("a folder of sources")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(&root).expect("a file of the host");
            names.push(below.to_string_lossy().into_owned());
        }
    }
}

/// A file without its comments and its unit tests, which are at its end.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {");
    let lines = text[..end.unwrap_or(text.len())].lines();
    let code = lines.map(|line| {
        if line.trim_start().starts_with("//") {
            ""
        } else {
            line.split(" // ").next().unwrap_or(line)
        }
    });
    code.collect::<Vec<_>>().join("\n")
}

fn read(code: &str, module: &[String], modules: &BTreeSet<Vec<String>>) -> File {
    let mut file = File::default();
    let mut rest = String::new();
    let mut statement: Option<(bool, String)> = None;
    for line in code.lines() {
        let trimmed = line.trim_start();
        let after_visibility = trimmed.strip_prefix("pub").map(|after| {
            let in_brackets = after
                .strip_prefix('(')
                .and_then(|after| after.split_once(')'));
            in_brackets.map_or(after, |(_, after)| after).trim_start()
        });
        if statement.is_none() && after_visibility.unwrap_or(trimmed).starts_with("use ") {
            let list = after_visibility
                .unwrap_or(trimmed)
                .trim_start_matches("use ");
            statement = Some((after_visibility.is_some(), list.to_owned()));
        } else if let Some((_, list)) = &mut statement {
            list.push_str(trimmed);
        } else {
            rest.push_str(line);
            rest.push('\n');
        }
        if let Some((public, list)) = statement.take_if(|(_, list)| list.ends_with(';')) {
            for (name, path) in expand(list.trim_end_matches(';')) {
                let below =
                    absolute(&path, module, modules).filter(|path| path.starts_with(module));
                if !(public && below.is_some()) {
                    file.named.push(path.clone());
                }
                file.bindings.insert(name, path);
            }
        }
    }
    let children = modules
        .iter()
        .filter(|below| below.len() == module.len() + 1 && below.starts_with(module));
    let starts = children.filter_map(|below| below.last().map(String::as_str));
    for start in starts.chain(["crate", "super", "self"]) {
        for (at, _) in rest.match_indices(&format!("{start}::")) {
            let before = rest[..at].chars().next_back();
            if !before.is_some_and(|char| char.is_alphanumeric() || "_:.".contains(char)) {
                file.named.push(path_at(&rest[at..]));
            }
        }
    }
    file
}

/// The identifiers at the beginning of this text, for as long as `::` joins them.
fn path_at(text: &str) -> Vec<String> {
    let parts = text.split("::").map(|part| {
        let end = part.find(|char: char| !char.is_alphanumeric() && char != '_');
        (&part[..end.unwrap_or(part.len())], end.is_none())
    });
    let mut path = Vec::new();
    for (word, goes_on) in parts {
        path.extend((!word.is_empty()).then(|| word.to_owned()));
        if !goes_on {
            break;
        }
    }
    path
}

/// The names that a `use` statement gives, and what they are of.
fn expand(list: &str) -> Vec<(String, Vec<String>)> {
    let list = list.trim();
    if let Some((before, inside)) = list.split_once('{') {
        let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
        let mut depth = 0_usize;
        let items = inside.split(|char| {
            match char {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            char == ',' && depth == 0
        });
        let items = items.filter(|item| !item.trim().is_empty());
        return items
            .flat_map(|item| expand(&format!("{before}{}", item.trim())))
            .collect();
    }
    let (path, alias) = match list.split_once(" as ") {
        Some((path, alias)) => (path, Some(alias.trim())),
        None => (list, None),
    };
    let mut path: Vec<String> = path
        .split("::")
        .map(|part| part.trim().to_owned())
        .collect();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.map(str::to_owned).or_else(|| path.last().cloned());
    vec![(name.unwrap_or_default(), path)]
}

/// A path from the crate's root on; none if it begins in another crate or in the file itself.
fn absolute(
    path: &[String],
    module: &[String],
    modules: &BTreeSet<Vec<String>>,
) -> Option<Vec<String>> {
    let mut at = module.to_vec();
    let mut parts = path.iter();
    let mut rest = parts.clone();
    match parts.next()?.as_str() {
        "crate" => {
            at.clear();
            rest.next();
        }
        "self" => _ = rest.next(),
        "super" => {
            while rest.clone().next().is_some_and(|part| part == "super") {
                rest.next();
                at.pop();
            }
        }
        first => {
            let mut child = at.clone();
            child.push(first.to_owned());
            modules.contains(&child).then_some(())?;
        }
    }
    at.extend(rest.cloned());
    Some(at)
}

/// The module whose file has what this path names, through what is imported on the way.
fn home(
    files: &Files,
    modules: &BTreeSet<Vec<String>>,
    path: &[String],
    module: &[String],
    depth: usize,
) -> Option<Vec<String>> {
    let path = absolute(path, module, modules)?;
    let mut at = Vec::new();
    for (index, part) in path.iter().enumerate() {
        at.push(part.clone());
        if modules.contains(&at) {
            continue;
        }
        at.pop();
        let Some(target) = files.get(&at)?.bindings.get(part).filter(|_| depth > 0) else {
            return Some(at);
        };
        let whole: Vec<String> = target.iter().chain(&path[index + 1..]).cloned().collect();
        return home(files, modules, &whole, &at, depth - 1);
    }
    Some(at)
}

/// What each file imports, by their names.
fn graph(files: &Files) -> BTreeMap<&str, BTreeSet<&str>> {
    const RE_EXPORTS_MAX: usize = 8;
    let modules: BTreeSet<Vec<String>> = files.keys().cloned().collect();
    let mut graph = BTreeMap::new();
    for (module, file) in files {
        let homes = file
            .named
            .iter()
            .filter_map(|path| home(files, &modules, path, module, RE_EXPORTS_MAX));
        let needed: BTreeSet<&str> = homes
            .filter(|home| home != module)
            .filter_map(|home| Some(files.get(&home)?.name.as_str()))
            .collect();
        graph.insert(file.name.as_str(), needed);
    }
    graph
}

/// Files that reach each other, in groups.
fn circles<'g>(graph: &BTreeMap<&'g str, BTreeSet<&'g str>>) -> BTreeSet<Vec<&'g str>> {
    let reach = |from: &'g str| {
        let mut found = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            let needed = graph.get(next).into_iter().flatten();
            open.extend(needed.filter(|name| found.insert(**name)));
        }
        found
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|name| (*name, reach(name))).collect();
    let in_circle = reached.iter().filter(|(name, found)| found.contains(*name));
    let group = |(name, found): (&&'g str, &BTreeSet<&'g str>)| {
        let group = found.iter().filter(|other| reached[**other].contains(name));
        group.copied().collect()
    };
    in_circle.map(group).collect()
}

#[test]
fn no_circles_between_files() {
    let files = files();
    let graph = graph(&files);
    let found = circles(&graph);
    let told: Vec<String> = found
        .iter()
        .map(|circle| {
            let edges = circle.iter().map(|name| {
                let inside: Vec<&str> = graph[name]
                    .iter()
                    .copied()
                    .filter(|needed| circle.contains(needed))
                    .collect();
                format!("  {name} -> {}", inside.join(", "))
            });
            format!("{circle:?}\n{}", edges.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    assert!(
        told.is_empty(),
        "files import each other:\n{}",
        told.join("\n")
    );
    // An empty graph has no circle either.
    assert!(graph["plugin/call/visit.rs"].contains("plugin/call/lease.rs"));
    assert!(
        graph["chain/inward.rs"].contains("plugin/call/visit.rs"),
        "through re-exports"
    );
}

#[test]
fn a_circle_is_found_through_a_re_export() {
    let sources = [
        (
            "a/mod.rs",
            "a",
            "mod b;\nmod c;\npub use b::B;\npub use c::C;",
        ),
        ("a/b.rs", "a::b", "use super::C;\nstruct B;"),
        (
            "a/c.rs",
            "a::c",
            "use std::fmt;\nstruct C;\nfn f() { let b = crate::a::B; }",
        ),
        ("d.rs", "d", "use crate::a::{self, B as Other};"),
    ];
    let path = |module: &str| -> Vec<String> { module.split("::").map(str::to_owned).collect() };
    let modules: BTreeSet<_> = sources.iter().map(|(_, module, _)| path(module)).collect();
    let files: Files = sources
        .iter()
        .map(|(name, module, text)| {
            let mut file = read(&code(text), &path(module), &modules);
            file.name = (*name).to_owned();
            (path(module), file)
        })
        .collect();
    let graph = graph(&files);
    assert!(graph["a/mod.rs"].is_empty(), "{graph:?}");
    assert_eq!(graph["d.rs"], BTreeSet::from(["a/b.rs", "a/mod.rs"]));
    assert_eq!(circles(&graph), BTreeSet::from([vec!["a/b.rs", "a/c.rs"]]));
}
