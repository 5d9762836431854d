//! Any text makes a configuration or problems, never a panic.

use proptest::prelude::*;

use super::*;

/// Pieces that make a text more than noise.
const PIECES: [&str; 36] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'",
    "\"\"\"",
    "\n",
    "\r\n",
    "#",
    " ",
    "routes",
    "match",
    "listeners",
    "a",
    "upstreams",
    "servers",
    "policies",
    "plugin",
    "config",
    "secrets",
    "5",
    "-1e9",
    "inf",
    "true",
    "2026-11-22",
    "\"x\"",
    "é",
    "\\u",
    "\0",
    "\u{feff}",
];

fn checked(text: &str) {
    match read(text) {
        Ok(config) => assert!(!config.routes.is_empty() && !config.listeners.is_empty()),
        Err(problems) => assert!(!problems.problems.is_empty() && !problems.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,60}") {
        checked(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        checked(&pieces.concat());
    }

    #[test]
    fn mutated_text(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(&PIECES[..])), 1..6),
    ) {
        let mut text = GOOD.to_owned();
        for (index, length, piece) in changes {
            let start = text.floor_char_boundary(index.index(text.len() + 1));
            let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
            text.replace_range(start..end, piece);
        }
        checked(&text);
    }

    #[test]
    fn shuffled_lines(lines in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let all: Vec<&str> = GOOD.lines().collect();
        let text: Vec<&str> = lines.iter().map(|index| all[index.index(all.len())]).collect();
        checked(&text.join("\n"));
    }
}
