//! What the documents refer to is there: files, headings, and the tests that ARCHITECTURE.md names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tollgate_tests::repository;

/// All files below a folder with this extension, without what was built.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
}

fn all(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&repository().join(folder), extension, &mut found);
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Text and code of a document, where it is no block of code.
fn prose(text: &str) -> String {
    let blocks = text.split("\n```").step_by(2);
    blocks.collect::<Vec<_>>().join("\n")
}

/// Where the links of a document lead, but for those to other sites.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')'));
    targets
        .map(|(target, _)| target.to_owned())
        .filter(|target| !target.contains("://"))
        .collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        words.replace('`', "").chars().filter(kept).collect()
    };
    headings.map(|line| slug(line).replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let documents = all(".", "md");
    let mut broken = Vec::new();
    let mut followed = 0;
    for document in &documents {
        for link in links(&prose(&read(document))) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = document.parent().expect("a folder");
            let target = match file {
                "" => document.clone(),
                file => folder.join(file),
            };
            let found = target.exists()
                && (anchor.is_empty()
                    || anchors(&prose(&read(&target)))
                        .iter()
                        .any(|it| it == anchor));
            if !found {
                broken.push(format!("{}: {link}", document.display()));
            }
            followed += 1;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(documents.len() > 20 && followed > 50, "{followed} links");
}

/// What is between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_invariant_has_its_tests() {
    let text = read(&repository().join("ARCHITECTURE.md"));
    let part = text
        .split("\n## ")
        .find(|part| part.starts_with("What is always true\n"));
    let rows = part.expect("invariants").lines().filter_map(|line| {
        let (_, tests) = line.strip_prefix("| ")?.split_once(" | ")?;
        tests.contains('`').then_some(tests)
    });
    let sources: String = all("tests/it", "rs")
        .iter()
        .map(|path| read(path))
        .collect();
    let exists = |name: &str| {
        let module = repository().join("tests/it").join(name.replace("::", "/"));
        sources.contains(&format!("#[test]\nfn {name}()"))
            || module.with_extension("rs").is_file()
            || repository().join("host/src").join(name).is_file()
    };
    let names: Vec<&str> = rows.flat_map(quoted).collect();
    let missing: Vec<_> = names.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "no tests of these names: {missing:?}");
    assert!(names.len() > 20, "{names:?}");
}

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let text = read(&repository().join("ARCHITECTURE.md"));
    let part_of_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let named = text
        .split(|c| !part_of_path(c))
        .filter(|word| word.ends_with(".rs") || word.ends_with(".wit"));
    let there: Vec<PathBuf> = ["rs", "wit"].iter().flat_map(|it| all(".", it)).collect();
    let missing: Vec<&str> = named
        .filter(|name| !there.iter().any(|path| path.ends_with(name)))
        .collect();
    assert!(missing.is_empty(), "no such files: {missing:?}");
}

/// The templates of all plugins are one language, which has one table: in the SDK, and for operators.
#[test]
fn expressions_of_templates_are_listed_for_operators() {
    let expressions = |path: &str, is_row: fn(&str) -> Option<&str>| -> BTreeSet<String> {
        let text = std::fs::read_to_string(repository().join(path)).expect(path);
        let rows = text.lines().filter_map(is_row);
        let cells = rows.filter_map(|row| row.split('|').nth(1).map(str::to_owned));
        cells
            .flat_map(|cell| {
                let marked: Vec<String> = cell
                    .split('`')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_owned)
                    .collect();
                marked
            })
            .filter(|name| name.starts_with('{'))
            .collect()
    };
    let in_sdk = expressions("plugin-sdk/src/template.rs", |line| {
        line.strip_prefix("//! ")
            .filter(|row| row.starts_with("| `{"))
    });
    let for_operators = expressions("plugins/README.md", |line| {
        Some(line).filter(|row| row.starts_with("| `{"))
    });
    assert!(in_sdk.len() > 10, "{in_sdk:?}");
    assert_eq!(in_sdk, for_operators);
}
