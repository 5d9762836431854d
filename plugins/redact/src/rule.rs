//! One pattern over a text that comes in pieces: what comes out is what replacing all matches in the whole
//! text gives, wherever the pieces end.

use regex_automata::meta::{self, Regex};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, Match};
use tollgate_plugin::Result;

/// The longest match that is looked for, in bytes: as much as this is held back, for each rule.
const LONGEST_MAX: usize = 64 << 10;
/// What assertions such as `\b` look at on either side, in bytes: one character of UTF-8.
const CONTEXT: usize = 4;

/// A pattern and what is put in the place of its matches.
pub struct Rule {
    regex: Regex,
    replacement: Vec<u8>,
    /// No match that counts has more bytes.
    longest: usize,
    /// Whether the pattern itself says so; else the operator does, and longer matches are possible.
    bounded: bool,
    /// Bytes from a place on that decide whether a match begins there, and which.
    decisive: usize,
}

impl Rule {
    pub fn new(pattern: &str, replacement: &str, longest: Option<usize>) -> Result<Rule> {
        // Bodies are bytes, whatever they claim to be.
        let syntax = syntax::Config::new().utf8(false);
        let hir = syntax::parse_with(pattern, &syntax)?;
        let properties = hir.properties();
        match properties.minimum_len() {
            None => return Err("it matches nothing at all".into()),
            Some(0) => return Err("it matches the empty text, which is everywhere".into()),
            Some(_) => {}
        }
        let bounded = properties.maximum_len();
        let longest = match (bounded, longest) {
            (Some(own), None) => own,
            (Some(own), Some(_)) => {
                return Err(format!(
                    "its matches have at most {own} bytes, and `longest` has no meaning"
                )
                .into());
            }
            (None, Some(longest)) => longest,
            (None, None) => {
                return Err(
                    "its matches may be of any length: say with `longest` how many bytes \
                            are looked at, or bound its repetitions, as in `{1,64}`"
                        .into(),
                );
            }
        };
        if !(1..=LONGEST_MAX).contains(&longest) {
            return Err(format!(
                "its matches may have {longest} bytes; 1 to {LONGEST_MAX} can be held back"
            )
            .into());
        }
        let context = if properties.look_set().is_empty() {
            0
        } else {
            CONTEXT
        };
        // One byte more shows that a match is longer.
        let beyond = usize::from(bounded.is_none());
        let regex = meta::Builder::new()
            .configure(meta::Config::new().utf8_empty(false))
            .build_from_hir(&hir)?;
        // What a search needs is made by the first one, and so is there in each request.
        regex.find(&b" a0\xff"[..]);
        Ok(Rule {
            regex,
            replacement: replacement.as_bytes().to_vec(),
            longest,
            bounded: bounded.is_some(),
            decisive: longest + beyond + context,
        })
    }

    /// The next match from `text.at` on that is decided: one that no text behind what is here can change.
    /// Without one, `Undecided` says from where on.
    fn next(&self, text: &Text, last: bool) -> Result<Next> {
        let bytes = &text.bytes[..];
        // The first place at which what is here does not decide.
        let undecided = if last {
            bytes.len()
        } else {
            (bytes.len() + 1).saturating_sub(self.decisive).max(text.at)
        };
        let mut from = text.at;
        while from < undecided {
            let Some(found) = self.regex.find(Input::new(bytes).span(from..bytes.len())) else {
                break;
            };
            if found.start() >= undecided {
                break;
            }
            if self.bounded {
                return Ok(Next::Match(found));
            }
            // Only as much as is always here must count, or it would hang on where pieces end.
            let end = bytes.len().min(found.start() + self.longest + 1);
            let near = Input::new(bytes).span(found.start()..end);
            match self.regex.find(near.anchored(Anchored::Yes)) {
                Some(near) if near.len() <= self.longest => return Ok(Next::Match(near)),
                // To let the rest of it through would be worse.
                Some(_) => {
                    let longest = self.longest;
                    return Err(format!("a match has more than `longest` ({longest}) bytes").into());
                }
                None => from = found.start() + 1,
            }
        }
        Ok(Next::Undecided(undecided))
    }
}

enum Next {
    Match(Match),
    Undecided(usize),
}

/// The part of a text that a rule has not let go of, and a little of what stood before.
#[derive(Default)]
pub struct Text {
    bytes: Vec<u8>,
    /// What stands before this was let go of, and is context.
    at: usize,
}

impl Text {
    /// Adds a piece; answers what is decided. `last`: the text ends with it, and another may begin.
    pub fn feed(&mut self, rule: &Rule, piece: &[u8], last: bool) -> Result<Vec<u8>> {
        self.bytes.extend_from_slice(piece);
        let mut decided = Vec::with_capacity(piece.len());
        loop {
            match rule.next(self, last)? {
                Next::Match(found) => {
                    decided.extend_from_slice(&self.bytes[self.at..found.start()]);
                    decided.extend_from_slice(&rule.replacement);
                    self.at = found.end();
                }
                Next::Undecided(from) => {
                    decided.extend_from_slice(&self.bytes[self.at..from]);
                    self.at = from;
                    break;
                }
            }
        }
        if last {
            self.bytes.clear();
            self.at = 0;
        } else {
            // Something stays before `at` once anything did, so that no later place is taken for the
            // beginning of the text.
            let before = self.at.saturating_sub(CONTEXT);
            self.bytes.drain(..before);
            self.at -= before;
        }
        Ok(decided)
    }
}
