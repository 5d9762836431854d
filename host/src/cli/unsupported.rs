//! What a plugin uses of the standard library that has nothing behind it in the sandbox: it compiles, it
//! works in native tests, and in the gateway it panics or does nothing.
//!
//! Two places tell. What panics or prints is still named in what was compiled: in the crate's library, as
//! symbols that it calls, and in the component, as texts of the panics. What only fails may be optimised
//! away to its error, so it is looked for in the crate's own sources.

use std::path::{Path, PathBuf};

/// A part of the standard library.
struct Part {
    /// A module and a function in it, as they stand in mangled names.
    symbols: &'static [(&'static str, &'static str)],
    /// What it panics with.
    panics: &'static [&'static str],
    /// What names it in a source.
    words: &'static [&'static str],
    /// Whether the words alone tell, without a trace in what was compiled.
    by_words: bool,
    /// What it is called where no source names it.
    name: &'static str,
    /// What is wrong with it, and what there is instead.
    advice: &'static str,
}

const PARTS: [Part; 6] = [
    Part {
        symbols: &[
            ("3std4time", "10SystemTime3now"),
            ("3std4time", "10SystemTime7elapsed"),
            ("3std4time", "7Instant3now"),
            ("3std4time", "7Instant7elapsed"),
        ],
        panics: &["time not implemented on this platform"],
        words: &["SystemTime::now", "Instant::now", "UNIX_EPOCH.elapsed"],
        by_words: false,
        name: "std::time",
        advice: "panics in the sandbox, although it works in native tests: use `tollgate_plugin::clock`",
    },
    Part {
        symbols: &[
            ("3std2io5stdio", "6__print"),
            ("3std2io5stdio", "6_print"),
            ("3std2io5stdio", "7__eprint"),
            ("3std2io5stdio", "7_eprint"),
            ("3std2io5stdio", "6stdout"),
            ("3std2io5stdio", "6stderr"),
        ],
        panics: &[],
        words: &[
            "eprintln!",
            "println!",
            "eprint!",
            "print!",
            "dbg!",
            "io::stdout",
            "io::stderr",
        ],
        by_words: false,
        name: "printing",
        advice: "prints nothing in the sandbox: use `tollgate_plugin::log`",
    },
    Part {
        symbols: &[
            ("3std6thread", "5spawn"),
            ("3std6thread", "15spawn_unchecked"),
            ("3std6thread", "5sleep"),
        ],
        panics: &["failed to spawn thread", "can't sleep"],
        words: &[
            "thread::spawn",
            "thread::scope",
            "thread::Builder",
            "thread::sleep",
        ],
        by_words: false,
        name: "std::thread",
        advice: "panics in the sandbox, where a call has one thread and nothing to sleep on",
    },
    Part {
        symbols: &[],
        panics: &[],
        words: &["env::var", "env::args", "env::current_dir", "env::home_dir"],
        by_words: true,
        name: "std::env",
        advice: "finds nothing in the sandbox, or panics: use the plugin's configuration, or \
                 `tollgate_plugin::secrets`",
    },
    Part {
        symbols: &[],
        panics: &[],
        words: &[
            "std::fs",
            "fs::read",
            "fs::write",
            "File::open",
            "File::create",
            "OpenOptions::new",
        ],
        by_words: true,
        name: "std::fs",
        advice: "fails in the sandbox, which has no files: use the plugin's configuration, \
                 `tollgate_plugin::secrets` or `tollgate_plugin::kv`",
    },
    Part {
        symbols: &[],
        panics: &[],
        words: &["TcpStream::connect", "TcpListener::bind", "UdpSocket::bind"],
        by_words: true,
        name: "std::net",
        advice: "fails in the sandbox, which has no sockets: use `tollgate_plugin::fetch`",
    },
];

/// A source of the crate.
pub struct SourceFile {
    /// As it is shown.
    pub name: String,
    pub text: String,
}

/// Says of each part that the plugin uses where, if a source tells, and what to use instead. `library` and
/// `component` are what was compiled; either may be empty.
pub fn warnings(library: &[u8], component: &[u8], sources: &[SourceFile]) -> Vec<String> {
    let warning = |part: &Part| {
        let place = sources.iter().find_map(|source| {
            let (line, word) = first(&source.text, part.words)?;
            Some(format!("{}:{line}: `{word}`", source.name))
        });
        let is_in = |(module, function): &(&str, &str)| {
            calls(library, module, function) || calls(component, module, function)
        };
        let panics = |text: &&str| find(component, text.as_bytes()).is_some();
        let compiled = part.symbols.iter().any(is_in) || part.panics.iter().any(panics);
        match place {
            Some(place) if compiled || part.by_words => Some(format!("{place} {}", part.advice)),
            None if compiled => Some(format!(
                "`{}`, which a dependency uses, {}",
                part.name, part.advice
            )),
            _ => None,
        }
    };
    PARTS.iter().filter_map(warning).collect()
}

/// Whether a function of a module is named in what was compiled. Between both stands a back reference in
/// the newer of Rust's two manglings, and nothing in the older.
fn calls(bytes: &[u8], module: &str, function: &str) -> bool {
    const BETWEEN: usize = 24;
    let mut rest = bytes;
    while let Some(at) = find(rest, module.as_bytes()) {
        rest = &rest[at + module.len()..];
        let near = &rest[..rest.len().min(BETWEEN + function.len())];
        if find(near, function.as_bytes()).is_some() {
            return true;
        }
    }
    false
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// The first line that has one of the words outside of comments and unit tests, counted from 1, and which.
fn first<'w>(text: &str, words: &[&'w str]) -> Option<(usize, &'w str)> {
    for (index, line) in text.lines().enumerate() {
        // Unit tests stand at the end of a file, and run natively.
        if line.trim_start().starts_with("#[cfg(test)]") {
            return None;
        }
        let code = line.split("//").next().unwrap_or_default();
        let word = words.iter().find(|word| names(code, word));
        if let Some(word) = word {
            return Some((index + 1, word));
        }
    }
    None
}

/// Whether the word stands in the code, and not as the end of another.
fn names(code: &str, word: &str) -> bool {
    let mut places = code.match_indices(word);
    places.any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

/// The sources below a folder that the compiler read, by the file in which it noted them: `OUT: SOURCE...`,
/// with blanks in names escaped.
pub fn sources(noted: &str, folder: &Path, shown_from: &Path) -> Vec<SourceFile> {
    let names = noted.lines().next().unwrap_or_default();
    let names = names.split_once(": ").map_or("", |(_, names)| names);
    let names = names.replace("\\ ", "\0");
    let paths = names.split(' ').map(|name| name.replace('\0', " "));
    let sources = paths.map(PathBuf::from).filter_map(|path| {
        let below = path.strip_prefix(folder).is_ok();
        let text = std::fs::read_to_string(&path).ok().filter(|_| below)?;
        let name = path.strip_prefix(shown_from).unwrap_or(&path);
        Some(SourceFile {
            name: name.display().to_string(),
            text,
        })
    });
    let mut sources: Vec<SourceFile> = sources.collect();
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> [SourceFile; 1] {
        [SourceFile {
            name: "src/lib.rs".to_owned(),
            text: text.to_owned(),
        }]
    }

    #[test]
    fn what_panics_is_told_by_what_was_compiled() {
        let newer = b"\0_RNvMs5_NtCsebHcaeoSrxy_3std4timeNtB5_10SystemTime3now\0".as_slice();
        let older = b"\0_ZN3std4time7Instant3now17h7e3ff05ea7c7a170E\0".as_slice();
        let text = "\nfn now() {\n    let now = std::time::SystemTime::now();\n}\n";
        for library in [newer, older] {
            let said = warnings(library, b"", &source(text));
            assert_eq!(
                said,
                [
                    "src/lib.rs:3: `SystemTime::now` panics in the sandbox, although it works in native \
                     tests: use `tollgate_plugin::clock`"
                ]
            );
        }
        let said = warnings(b"", b"..time not implemented on this platform..", &[]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("`std::time`, which a dependency uses, panics"));
        // Named, and not used.
        assert!(warnings(b"", b"", &source(text)).is_empty());
        // Another crate's type of that name.
        let other = b"_RNvMNtCs1_8web_time4timeNtB2_7Instant3now";
        assert!(warnings(other, b"", &source("")).is_empty());
    }

    #[test]
    fn printing_and_threads() {
        let printed = b"_RNvNtNtCsebHcaeoSrxy_3std2io5stdio6__print";
        let said = warnings(printed, b"", &source("println!(\"a\");"));
        assert!(
            said[0].starts_with("src/lib.rs:1: `println!` prints nothing"),
            "{said:?}"
        );
        let said = warnings(printed, b"", &source("eprintln!(\"a\");"));
        assert!(said[0].starts_with("src/lib.rs:1: `eprintln!`"), "{said:?}");
        let said = warnings(b"", b"can't sleep", &source("std::thread::sleep(A)"));
        assert!(
            said[0].starts_with("src/lib.rs:1: `thread::sleep` panics"),
            "{said:?}"
        );
        assert!(warnings(b"", b"", &source("println!(\"a\");")).is_empty());
    }

    #[test]
    fn what_only_fails_is_told_by_the_sources() {
        for (text, expected) in [
            ("let a = std::env::var(\"A\");", "`env::var` finds nothing"),
            ("use std::fs;", "`std::fs` fails"),
            ("let f = File::open(\"a\");", "`File::open` fails"),
            ("TcpStream::connect(a)", "`TcpStream::connect` fails"),
        ] {
            let said = warnings(b"", b"", &source(text));
            assert_eq!(said.len(), 1, "{text}");
            assert!(said[0].contains(expected), "{said:?}");
        }
        for text in [
            "// std::env::var",
            "    /// as `std::fs` does",
            "const A: &str = env!(\"CARGO_PKG_NAME\");",
            "let a = my_env::var(1);",
            "use std::net::IpAddr;",
            "#[cfg(test)]\nmod tests { use std::fs; }",
        ] {
            assert!(warnings(b"", b"", &source(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn sources_are_those_of_the_crate() {
        let folder = std::env::temp_dir().join(format!("tollgate sources {}", std::process::id()));
        let own = folder.join("own");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("lib.rs"), "a").unwrap();
        std::fs::write(folder.join("other.rs"), "b").unwrap();
        let escaped = |path: PathBuf| path.display().to_string().replace(' ', "\\ ");
        let (lib, other) = (
            escaped(own.join("lib.rs")),
            escaped(folder.join("other.rs")),
        );
        let noted = format!("out.wasm: {other} {lib} {lib}.gone\n\n{lib}:\n");
        let found = sources(&noted, &own, &folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let names: Vec<&str> = found.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["own/lib.rs"]);
        assert_eq!(found[0].text, "a");
    }
}
