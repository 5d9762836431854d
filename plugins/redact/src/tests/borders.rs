//! For any cut of a body into pieces, what comes out is what the whole body gives: an oracle that searches
//! the whole, against patterns and bodies that are made up.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::rule::{Rule, Text};

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// What replacing in the whole body gives.
fn oracle(pattern: &str, body: &[u8]) -> Vec<u8> {
    let syntax = syntax::Config::new().utf8(false);
    let regex = Regex::builder().syntax(syntax).build(pattern).unwrap();
    let mut redacted = Vec::new();
    let mut at = 0;
    for found in regex.find_iter(body) {
        redacted.extend(&body[at..found.start()]);
        redacted.extend(b"<>");
        at = found.end();
    }
    redacted.extend(&body[at..]);
    redacted
}

/// What comes out of these pieces.
fn streamed(rule: &Rule, pieces: &[&[u8]]) -> Vec<u8> {
    let mut text = Text::default();
    let mut redacted = Vec::new();
    for piece in pieces {
        redacted.extend(text.feed(rule, piece, false).unwrap());
    }
    redacted.extend(text.feed(rule, b"", true).unwrap());
    redacted
}

fn cut<'a>(dice: &mut Dice, body: &'a [u8], most: usize) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut left = body;
    while !left.is_empty() {
        let (piece, rest) = left.split_at((dice.below(most + 1)).min(left.len()));
        pieces.push(piece);
        left = rest;
    }
    pieces
}

/// A pattern that never matches the empty text.
fn pattern(dice: &mut Dice, depth: usize) -> String {
    const ATOMS: [&str; 14] = [
        "a",
        "b",
        "ab",
        "[ab]",
        ".",
        r"\w",
        r"\d",
        r"\s",
        "ä",
        "[^a]",
        "(?s:.)",
        r"(?-u:\xC3)",
        "(?i)a",
        "€",
    ];
    const LOOKS: [&str; 10] = [
        r"\b",
        r"\B",
        "^",
        "$",
        "(?m:^)",
        "(?m:$)",
        r"\A",
        r"\z",
        r"\b{start}",
        r"(?-u:\b)",
    ];
    if depth == 0 {
        return dice.of(&ATOMS).to_owned();
    }
    let (one, other) = (pattern(dice, depth - 1), pattern(dice, depth - 1));
    match dice.below(7) {
        0 => format!("(?:{one}|{other})"),
        1 => format!("(?:{one}){{1,3}}"),
        2 => format!("(?:{one}){{1,3}}?{other}"),
        3 => format!("{}(?:{one})", dice.of(&LOOKS)),
        4 => format!("(?:{one}){}", dice.of(&LOOKS)),
        5 => format!("(?:{one})?{other}"),
        _ => format!("{one}{other}"),
    }
}

fn body(dice: &mut Dice) -> Vec<u8> {
    const PIECES: [&[u8]; 13] = [
        b"a",
        b"b",
        b"ab",
        b"A",
        b" ",
        b"\n",
        b"\r\n",
        b"1",
        "ä".as_bytes(),
        "€".as_bytes(),
        "𝄞".as_bytes(),
        b"\xC3",
        b"\xFF",
    ];
    let count = dice.below(40);
    let pieces = (0..count).flat_map(|_| dice.of(&PIECES).to_vec());
    pieces.collect()
}

#[test]
fn any_cut_gives_what_the_whole_gives() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut matched = 0;
    for _ in 0..400 {
        let depth = dice.below(4);
        let pattern = pattern(&mut dice, depth);
        let rule = Rule::new(&pattern, "<>", None);
        let rule = rule.unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for _ in 0..6 {
            let body = body(&mut dice);
            let expected = oracle(&pattern, &body);
            matched += usize::from(expected != body);
            for most in [1, 2, 5, 20] {
                let pieces = cut(&mut dice, &body, most);
                let redacted = streamed(&rule, &pieces);
                assert!(
                    redacted == expected,
                    "{pattern} in {} as {:?}: {} in place of {}",
                    body.escape_ascii(),
                    pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(),
                    redacted.escape_ascii(),
                    expected.escape_ascii()
                );
            }
        }
    }
    // Else this would show nothing.
    assert!(matched > 600, "{matched}");
}

/// Of patterns without a longest match: those that stay within `longest` are found as in the whole.
#[test]
fn any_cut_gives_the_same_for_patterns_of_any_length() {
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    for pattern in [
        "a+",
        r"\ba\w*",
        "(?s)a.*?b",
        "[ab]+$",
        "(?m)^ab?.+$",
        "ä+|a+b",
        r"\w+\b1",
    ] {
        let rule = Rule::new(pattern, "<>", Some(400)).unwrap();
        for _ in 0..300 {
            let body = body(&mut dice);
            for most in [1, 3, 10] {
                let pieces = cut(&mut dice, &body, most);
                let redacted = streamed(&rule, &pieces);
                let expected = oracle(pattern, &body);
                assert!(redacted == expected, "{pattern} in {}", body.escape_ascii());
            }
        }
    }
}

/// What is longer is decided by what is near alone, and so in the same way for every cut.
#[test]
fn what_is_too_long_is_the_same_for_every_cut() {
    let mut dice = Dice(0xD1B5_4A32_D192_ED03);
    for pattern in ["a+b", r"a\w*", "(?s)a.*?b", "(?s)a.*b", r"\ba[ab]+\b"] {
        let rule = Rule::new(pattern, "<>", Some(5)).unwrap();
        for _ in 0..500 {
            let body = body(&mut dice);
            let all = |pieces: &[&[u8]]| {
                let mut text = Text::default();
                let mut fed = pieces.iter().map(|piece| text.feed(&rule, piece, false));
                let fed: Result<Vec<_>, _> = fed.by_ref().collect();
                let end =
                    fed.and_then(|fed| Ok([fed.concat(), text.feed(&rule, b"", true)?].concat()));
                end.map_err(|error| error.to_string())
            };
            let whole = all(&[&body]);
            for most in [1, 3, 10] {
                let pieces = cut(&mut dice, &body, most);
                assert!(
                    all(&pieces) == whole,
                    "{pattern} in {}",
                    body.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn what_is_held_back_is_bounded_by_what_the_pattern_can_match() {
    let rule = Rule::new("secret-[0-9]{4}", "<>", None).unwrap();
    let mut text = Text::default();
    let fed = text.feed(&rule, &[b'x'; 100], false).unwrap();
    assert_eq!(fed.len(), 100 - "secret-000".len());
    // Where a match can begin is not held back longer than it takes to see.
    assert_eq!(
        text.feed(&rule, b"secret-1234", false).unwrap().len(),
        10 + 2
    );
}
