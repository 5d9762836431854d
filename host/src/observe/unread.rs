//! What can be told of a head that cannot be read.

use crate::limits;

/// What a client asked for in a head that is none, as far as it looks like one. Parts are empty that do not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unread {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub host: String,
}

impl Unread {
    /// Reads the beginning of a head.
    pub fn of(head: &[u8]) -> Unread {
        let begin = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let mut lines = head[begin.unwrap_or(head.len())..].split(|byte| *byte == b'\n');
        let mut words = lines
            .next()
            .unwrap_or_default()
            .trim_ascii_end()
            .split(|byte| *byte == b' ');
        let method = words.next().unwrap_or_default();
        let Some(target) = words.next() else {
            return Unread::default();
        };
        let is_word = |word: &[u8]| word.iter().all(|byte| !byte.is_ascii_control());
        if method.len() > limits::logs::METHOD_BYTES_SHOWN || !is_word(method) || !is_word(target) {
            return Unread::default();
        }
        let path = target.split(|byte| matches!(byte, b'?' | b'#')).next();
        let mut hosts = lines.filter_map(|line| {
            let name = line.get(..5)?;
            name.eq_ignore_ascii_case(b"host:").then_some(&line[5..])
        });
        let host = hosts.next().unwrap_or_default().trim_ascii();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Unread {
            method: text(method),
            path: text(path.unwrap_or_default()),
            host: text(&host[..host.len().min(limits::logs::HOST_BYTES_SHOWN)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_request_is_told() {
        let cases: [(&[u8], [&str; 3]); 10] = [
            (b"", ["", "", ""]),
            (b"\r\n\r\n", ["", "", ""]),
            (b"\x16\x03\x01\x02\0 \x01\0", ["", "", ""]),
            (b"no words", ["no", "words", ""]),
            (b"word", ["", "", ""]),
            (b"\r\nGET /a HTTP/1.1\r\nhost: b\r\n", ["GET", "/a", "b"]),
            (
                b"G/T /a?key=s HTTP/1.1\r\nx: y\r\nHost:b:1",
                ["G/T", "/a", "b:1"],
            ),
            (b"GET /a b HTTP/1.1\r\n", ["GET", "/a", ""]),
            (b"GET /a\r\n", ["GET", "/a", ""]),
            (b"PRI * HTTP/2.0\r\n\r\nSM", ["PRI", "*", ""]),
        ];
        for (head, [method, path, host]) in cases {
            let unread = Unread::of(head);
            let found = [&*unread.method, &*unread.path, &*unread.host];
            assert_eq!(found, [method, path, host], "{}", head.escape_ascii());
        }
    }
}
