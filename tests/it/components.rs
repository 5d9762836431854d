//! Components with one thing changed, through their text.

use std::path::PathBuf;

use tollgate_tests::{Folder, guest};

/// The text of a guest; sections that the text format does not know stay as annotations.
fn text(name: &str) -> String {
    let path = guest(name);
    wasmprinter::print_file(&path)
        .unwrap_or_else(|error| panic!("cannot print `{}`: {error}", path.display()))
}

/// A guest with another text, in a file of the folder.
pub fn rewritten(folder: &Folder, name: &str, rewrite: impl FnOnce(&str) -> String) -> PathBuf {
    let text = rewrite(&text(name));
    let bytes = wat::parse_str(&text).expect("the rewritten text assembles");
    folder.write(&format!("{name}.wasm"), bytes)
}

/// The hostile guest without its authorizer, since nothing that authorizes may fail open.
pub fn hostile_transformer(folder: &Folder) -> PathBuf {
    rewritten(folder, "guest_hostile", |text| {
        let of_authorizer = |line: &str| {
            let line = line.trim_start();
            line.starts_with("(export ") && line.contains("plugin/authorizer@")
                || line.starts_with("(@custom ")
                    && line.contains(":authorizer-hook:imports and exports")
        };
        let mut removed = 0;
        let kept = text.lines().filter(|line| {
            removed += usize::from(of_authorizer(line));
            !of_authorizer(line)
        });
        let text = kept.collect::<Vec<_>>().join("\n");
        assert_eq!(
            removed, 3,
            "the function, what frees its result, and the world"
        );
        text
    })
}

/// The hostile guest with a memory that cannot grow.
pub fn hostile_without_growth(folder: &Folder) -> PathBuf {
    rewritten(folder, "guest_hostile", |text| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with("(memory "));
        let line = line.expect("a memory");
        // `(memory (;0;) 2)`
        let pages = line
            .trim_end_matches(')')
            .rsplit(' ')
            .next()
            .expect("its size");
        let fixed = line.replacen(&format!(" {pages})"), &format!(" {pages} {pages})"), 1);
        assert_ne!(line, fixed);
        text.replacen(line, &fixed, 1)
    })
}

/// The component of a file under `tests/guests/hostile/wat`, assembled.
pub fn assembled(folder: &Folder, name: &str) -> PathBuf {
    let path = tollgate_tests::repository().join(format!("tests/guests/hostile/wat/{name}.wat"));
    let bytes = wat::parse_file(&path)
        .unwrap_or_else(|error| panic!("`{}` does not assemble: {error}", path.display()));
    folder.write(&format!("{name}.wasm"), bytes)
}

/// `minimal.wat` with other text in it.
pub fn variant(folder: &Folder, name: &str, changes: &[(&str, &str)]) -> PathBuf {
    let path = tollgate_tests::repository().join("tests/guests/hostile/wat/minimal.wat");
    let mut text = std::fs::read_to_string(path).expect("minimal.wat");
    for (from, to) in changes {
        assert!(text.contains(from), "no {from} in minimal.wat");
        text = text.replace(from, to);
    }
    let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    folder.write(&format!("{name}.wasm"), bytes)
}
