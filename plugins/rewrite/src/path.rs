//! Paths as rules see them: what matches, and what is put in.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but the characters that never need an escape (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path in the form that patterns match. Escapes of characters that a path may also hold as they
/// are (`%61` for `a`) are those characters, since servers take both for the same and a rule must not
/// be slipped past; all others stay, in capital letters (RFC 3986, section 6.2.2).
pub struct Normal<'p> {
    sent: &'p str,
    text: Cow<'p, str>,
    /// Where each byte of `text`, and its end, stands in `sent`. Empty if they are the same.
    places: Vec<usize>,
}

impl<'p> Normal<'p> {
    pub fn new(sent: &'p str) -> Normal<'p> {
        if !sent.contains('%') {
            return Normal {
                sent,
                text: Cow::Borrowed(sent),
                places: Vec::new(),
            };
        }
        let mut text = String::with_capacity(sent.len());
        let mut places = Vec::with_capacity(sent.len() + 1);
        let mut characters = sent.char_indices();
        while let Some((place, character)) = characters.next() {
            match escape(&sent[place..]) {
                Some(byte) => {
                    characters.nth(1);
                    if is_path_byte(byte) {
                        text.push(char::from(byte));
                        places.push(place);
                    } else {
                        text.push_str(&sent[place..place + 3].to_ascii_uppercase());
                        places.extend([place, place + 1, place + 2]);
                    }
                }
                None => {
                    text.push(character);
                    places.extend(place..place + character.len_utf8());
                }
            }
        }
        places.push(sent.len());
        Normal {
            sent,
            text: Cow::Owned(text),
            places,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was sent, where the text has this range.
    pub fn sent(&self, start: usize, end: usize) -> &'p str {
        let place = |index: usize| self.places.get(index).copied();
        let range = if self.places.is_empty() {
            Some(start..end)
        } else {
            place(start).zip(place(end)).map(|(start, end)| start..end)
        };
        range
            .and_then(|range| self.sent.get(range))
            .unwrap_or_default()
    }
}

/// The byte that a text begins with an escape of.
fn escape(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [b'%', high, low, ..] => unhex(*high, *low),
        _ => None,
    }
}

fn unhex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// What a segment may hold without an escape (RFC 3986, section 3.3).
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// A path that is part of others: `/store`. Compared segment by segment and decoded, as the gateway's
/// routes are.
pub struct Prefix(Vec<String>);

impl Prefix {
    /// The error continues a sentence that begins with the key.
    pub fn parse(text: &str) -> Result<Prefix, String> {
        check_prefix(text)?;
        let segments = text.split('/').skip(1);
        Ok(Prefix(segments.map(decoded).collect()))
    }

    /// What follows the prefix, as it was sent: nothing, or a path.
    pub fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut rest = path;
        for expected in &self.0 {
            let after = rest.strip_prefix('/')?;
            let end = after.find('/').unwrap_or(after.len());
            let (segment, after) = after.split_at(end);
            if segment != expected && (!segment.contains('%') || decoded(segment) != *expected) {
                return None;
            }
            rest = after;
        }
        Some(rest)
    }
}

pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A value as one segment of a path, or a part of one: nothing in it can end the segment.
pub fn encoded(value: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(value, RESERVED)
}

/// The end of a path, as it was sent, that decodes to this value and begins behind a slash. Slashes
/// that were sent as `%2F` so stay what they are.
pub fn tail<'p>(path: &'p str, value: &str) -> Option<&'p str> {
    let mut rest = path.as_bytes();
    for expected in value.bytes().rev() {
        let (before, byte) = match rest {
            // A `%` is never decoded from anything but `%25`, so this is no part of another escape.
            [before @ .., b'%', high, low] => (before, unhex(*high, *low)?),
            [before @ .., byte] => (before, *byte),
            [] => return None,
        };
        if byte != expected {
            return None;
        }
        rest = before;
    }
    rest.ends_with(b"/").then(|| &path[rest.len()..])
}

/// Refuses what cannot be a prefix. The error continues a sentence that begins with the key.
pub fn check_prefix(text: &str) -> Result<(), String> {
    if text.len() < 2 || text.ends_with('/') {
        return Err("must be a path without a slash at its end, such as /v1".into());
    }
    check(text)
}

/// Refuses what the gateway would refuse as a path, as soon as the configuration is read. The error
/// continues a sentence that begins with the key.
pub fn check(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("must begin with a slash".into());
    }
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if character == '%' && escape(rest).is_none() {
            return Err("has a `%` without two hexadecimal digits".into());
        }
        let fits = u8::try_from(character).is_ok_and(is_path_byte) || "/%".contains(character);
        if !fits {
            return Err(format!(
                "has {character:?} in it, which must be percent-encoded{}",
                if "?#".contains(character) {
                    "; parameters are set with `query`"
                } else {
                    ""
                }
            ));
        }
        rest = &rest[character.len_utf8()..];
    }
    if text.contains("//") {
        return Err("has an empty segment".into());
    }
    if text
        .split('/')
        .any(|segment| matches!(&*decoded(segment), "." | ".."))
    {
        return Err("has a dot segment".into());
    }
    Ok(())
}
