//! What others wrote, as it stands in texts of ours: of a bounded length, and unable to begin a line that
//! looks like another's or to speak to a terminal.

use crate::limits;

/// In backquotes, without control characters.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(limits::QUOTED_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
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
            character if character.is_control() => line.push(char::REPLACEMENT_CHARACTER),
            character => line.push(character),
        }
    }
    if kept.len() < text.len() {
        line.push_str(&format!("… ({} bytes)", text.len()));
    }
    line
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
    }
}
