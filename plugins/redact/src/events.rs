//! Server-sent events (the HTML standard, section 9.2): where in a stream one ends.

/// Looks for the ends of events: an empty line, whichever way lines end.
#[derive(Default)]
pub struct Events {
    /// Whether the line has anything in it.
    in_line: bool,
    /// Whether the last byte was a carriage return: a line feed behind it belongs to it.
    after_return: bool,
    /// Whether the event has any line.
    in_event: bool,
}

/// What of a stream comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A part of an event, and whether the event ends with it.
    Part(&'a [u8], bool),
    /// What stands between two events.
    Between(&'a [u8]),
}

impl Events {
    /// Takes the beginning of what is left of a piece.
    pub fn next<'a>(&mut self, left: &mut &'a [u8]) -> Option<Next<'a>> {
        let whole = *left;
        let between = whole.iter().take_while(|byte| self.is_between(**byte));
        let between = between.count();
        if between > 0 {
            *left = &whole[between..];
            self.after_return = whole[between - 1] == b'\r';
            return Some(Next::Between(&whole[..between]));
        }
        for (index, byte) in whole.iter().enumerate() {
            if self.ends_with(*byte) {
                let (part, rest) = whole.split_at(index + 1);
                *left = rest;
                return Some(Next::Part(part, true));
            }
        }
        *left = &[];
        (!whole.is_empty()).then_some(Next::Part(whole, false))
    }

    fn is_between(&self, byte: u8) -> bool {
        !self.in_event && matches!(byte, b'\r' | b'\n')
    }

    /// Notes a byte of an event; says whether it ends it.
    fn ends_with(&mut self, byte: u8) -> bool {
        self.in_event = true;
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if !matches!(byte, b'\r' | b'\n') {
            self.in_line = true;
            return false;
        }
        if byte == b'\n' && after_return {
            return false;
        }
        let empty = !std::mem::replace(&mut self.in_line, false);
        self.in_event = !empty;
        empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a stream in pieces of this size, and what stands between them.
    fn split(stream: &str, size: usize) -> Vec<String> {
        let mut events = Events::default();
        let mut all = vec![String::new()];
        for mut piece in stream.as_bytes().chunks(size) {
            while let Some(next) = events.next(&mut piece) {
                let (text, ends) = match next {
                    Next::Part(text, ends) => (text, ends),
                    Next::Between(text) => (text, false),
                };
                let event = all.last_mut().expect("one");
                event.push_str(std::str::from_utf8(text).expect("ASCII"));
                if ends {
                    all.push(String::new());
                }
            }
        }
        all
    }

    #[test]
    fn an_empty_line_ends_an_event_whatever_ends_lines() {
        for (stream, expected) in [
            (
                "data: 1\n\ndata: 2\n\n",
                vec!["data: 1\n\n", "data: 2\n\n", ""],
            ),
            ("a\r\rb\r\r", vec!["a\r\r", "b\r\r", ""]),
            // What belongs to the end stands between.
            ("a\r\n\r\nb", vec!["a\r\n\r", "\nb"]),
            ("a\nb\r\nc\n\r\n\n\nd", vec!["a\nb\r\nc\n\r", "\n\n\nd"]),
            ("\n\r\na\n\n", vec!["\n\r\na\n\n", ""]),
            ("", vec![""]),
        ] {
            for size in 1..=stream.len().max(1) {
                assert_eq!(split(stream, size), expected, "{stream:?} by {size}");
            }
        }
    }
}
