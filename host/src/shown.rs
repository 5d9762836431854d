//! What others wrote, as it stands in texts of ours: of a bounded length, and unable to begin a line that
//! looks like another's or to speak to a terminal.

use crate::limits;

/// In backquotes, without control characters.
pub fn quoted(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(limits::QUOTED_CHARS_MAX) {
        match disturbs(character) {
            true => shown.extend(character.escape_unicode()),
            false => shown.extend(character.escape_debug()),
        }
    }
    if text.chars().nth(limits::QUOTED_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A guest's text as one line of the log, without control characters. What is beyond
/// [`limits::LOG_MESSAGE_BYTES_MAX`] is cut before anything is done with it, and said to be.
pub fn one_line(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(limits::LOG_MESSAGE_BYTES_MAX)];
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
    match character.is_control() || disturbs(character) {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_bounded_and_of_one_line() {
        let long = "\u{1}".repeat(4 << 20);
        let quote = quoted(&long);
        assert!(
            quote.starts_with("`\\u{1}\\u{1}") && quote.ends_with("…`"),
            "{quote}"
        );
        assert!(
            quote.len() < 6 * limits::QUOTED_CHARS_MAX,
            "{}",
            quote.len()
        );
        let line = one_line(&long);
        assert!(line.ends_with("… (4194304 bytes)"), "{line}");
        assert!(
            line.len() < 3 * limits::LOG_MESSAGE_BYTES_MAX + 32,
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
