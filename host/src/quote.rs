//! What others wrote, as it stands in texts of ours: of a bounded length, and unable to begin a line that
//! looks like another's or to speak to a terminal.

use crate::limits;

/// In backquotes, without control characters.
pub fn quoted(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(limits::logs::QUOTED_CHARS_MAX) {
        if disturbs(character) {
            shown.extend(character.escape_unicode())
        } else {
            shown.extend(character.escape_debug())
        }
    }
    if text.chars().nth(limits::logs::QUOTED_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A guest's text as one line of the log, without control characters. What is beyond
/// [`limits::plugin::LOG_MESSAGE_BYTES_MAX`] is cut before anything is done with it, and said to be.
pub fn one_line(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(limits::plugin::LOG_MESSAGE_BYTES_MAX)];
    let mut line = String::with_capacity(kept.len());
    for character in kept.chars() {
        match character {
            '\n' => line.push_str("\\n"),
            character => line.push(clear(character)),
        }
    }
    if kept.len() < text.len() {
        line.push_str(&format!("… ({} bytes)", text.len()));
    }
    line
}

/// A character as it may be shown beside others: a sign that something stood there, of one that is not
/// seen itself.
pub fn clear(character: char) -> char {
    if character.is_control() || disturbs(character) {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    }
}

/// Whether a character that is no control character begins a line for some readers, or changes how what
/// stands around it is shown without being seen itself: Unicode's separators of lines and paragraphs, and
/// its characters of the category Cf (format), among them those that turn the direction of text.
fn disturbs(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The name that was likely meant by another that is not known.
pub fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    // Distances cost: none for what is surely far.
    if name.len() > limits::config::NAME_BYTES_MAX {
        return None;
    }
    let distance = |candidate: &&&str| strsim::osa_distance(name, candidate);
    let nearest = known.iter().min_by_key(distance)?;
    let near = distance(&nearest) <= 1 + nearest.len().min(name.len()) / 4;
    // The one of many, as `policy` of `policies`.
    let stem = name.get(..name.len().saturating_sub(1));
    let stem = stem.filter(|stem| stem.len() >= 3);
    let of_many = || {
        let mut known = known.iter();
        known.find(|known| stem.is_some_and(|stem| known.starts_with(stem)))
    };
    Some(nearest).filter(|_| near).or_else(of_many).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_near() {
        let known = ["plugins", "policies", "upstreams", "key-sets"];
        assert_eq!(nearest("plugin", &known), Some("plugins"));
        assert_eq!(nearest("policy", &known), Some("policies"));
        assert_eq!(nearest("upstraem", &known), Some("upstreams"));
        assert_eq!(nearest("routes", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), &known), None);
    }

    #[test]
    fn what_is_shown_is_bounded_and_of_one_line() {
        let long = "\u{1}".repeat(4 << 20);
        let quote = quoted(&long);
        assert!(
            quote.starts_with("`\\u{1}\\u{1}") && quote.ends_with("…`"),
            "{quote}"
        );
        assert!(
            quote.len() < 6 * limits::logs::QUOTED_CHARS_MAX,
            "{}",
            quote.len()
        );
        let line = one_line(&long);
        assert!(line.ends_with("… (4194304 bytes)"), "{line}");
        assert!(
            line.len() < 3 * limits::plugin::LOG_MESSAGE_BYTES_MAX + 32,
            "{}",
            line.len()
        );
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(one_line("a\nb\u{1b}[m"), "a\\nb\u{fffd}[m");
        for character in
            "\u{85}\u{ad}\u{200b}\u{200e}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e0041}".chars()
        {
            assert_eq!(one_line(&format!("a{character}b")), "a\u{fffd}b");
            let escaped = character.escape_unicode();
            assert_eq!(quoted(&format!("a{character}b")), format!("`a{escaped}b`"));
        }
        for text in ["ä", "日本", "🦀", "a b", "e\u{301}", "\u{a0}"] {
            assert_eq!(one_line(text), text);
        }
    }
}
