//! The README of the project: what is on its first page.

use tollgate_tests::repository;

use super::{Readme, Upstream};

/// The whole configuration on the first page.
#[test]
fn first_gateway() {
    let text = std::fs::read_to_string(repository().join("README.md")).expect("a README");
    let mut sections = text.split("\n## ");
    let first = sections.find(|section| section.starts_with("A first gateway\n"));
    let readme = Readme::of(".", first.expect("a first gateway"));
    let run = readme.steps.run.as_deref();
    assert_eq!(run, Some("target/release/tollgate run gateway.toml"));
    let _upstream = Upstream::start(&readme.at(9001).expect("an upstream"));
    let check = readme.gateway().check(&readme.config());
    assert!(check.stdout.ends_with(": all is well\n"), "{check:?}");
    let gateway = readme.gateway().start(&readme.config());
    readme.execute(&gateway);
    assert_eq!(readme.steps.commands.len(), 1);
}
