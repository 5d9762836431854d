//! Requests that two servers may read in two ways. Each is sent with an honest request behind it, in
//! one write. It is refused, or forwarded in one framing; and the next request is answered as itself
//! or not at all, so that nothing of the one can become the other.

use tollgate_tests::{Origin, Response, latin1};

use super::{answers, gateway, statuses, targets};

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

enum Fate {
    /// 400, or a closed connection; the origin sees nothing of it.
    Refused,
    /// The head may have reached the origin; its body never ends there.
    BrokenOff,
    /// The origin sees it with this body.
    Forwarded(&'static str),
}

use Fate::{BrokenOff, Forwarded, Refused};

#[test]
fn framing_is_never_ambiguous() {
    const CHUNKS: &str = "\r\n3\r\nabc\r\n0\r\n\r\n";
    let chunked = |fields: &str| format!("{fields}\r\n{CHUNKS}").into_bytes();
    let plain = |fields: &str| format!("{fields}\r\n\r\nabc").into_bytes();
    let table: Vec<(&str, Vec<u8>, Fate)> = vec![
        (
            "length, then chunked",
            chunked("Content-Length: 4\r\nTransfer-Encoding: chunked"),
            Forwarded("abc"),
        ),
        (
            "chunked, then length",
            chunked("Transfer-Encoding: chunked\r\nContent-Length: 4"),
            Forwarded("abc"),
        ),
        (
            "the same length twice",
            plain("Content-Length: 3\r\nContent-Length: 3"),
            Forwarded("abc"),
        ),
        (
            "two lengths",
            plain("Content-Length: 3\r\nContent-Length: 30"),
            Refused,
        ),
        ("a list of lengths", plain("Content-Length: 3, 3"), Refused),
        ("a negative length", plain("Content-Length: -3"), Refused),
        ("a length with a sign", plain("Content-Length: +3"), Refused),
        (
            "a hexadecimal length",
            plain("Content-Length: 0x3"),
            Refused,
        ),
        ("an empty length", plain("Content-Length:"), Refused),
        (
            "a length beyond 64 bits",
            plain("Content-Length: 18446744073709551619"),
            Refused,
        ),
        (
            "a length that is the largest",
            plain("Content-Length: 18446744073709551615"),
            Refused,
        ),
        (
            "an unknown coding",
            chunked("Transfer-Encoding: xchunked"),
            Refused,
        ),
        (
            "a quoted coding",
            chunked("Transfer-Encoding: \"chunked\""),
            Refused,
        ),
        (
            "chunked, then identity",
            chunked("Transfer-Encoding: chunked, identity"),
            Refused,
        ),
        (
            "chunked, then identity, in two lines",
            chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
            Refused,
        ),
        (
            "a coding that nobody would decode",
            chunked("Transfer-Encoding: gzip, chunked"),
            Refused,
        ),
        (
            "an unknown coding, then chunked",
            chunked("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
            Refused,
        ),
        (
            "chunked twice in a line",
            chunked("Transfer-Encoding: chunked, chunked"),
            Refused,
        ),
        (
            "chunked in two lines",
            chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            Refused,
        ),
        (
            "a vertical tab",
            chunked("Transfer-Encoding: \x0bchunked"),
            Refused,
        ),
        (
            "a tab",
            chunked("Transfer-Encoding:\tchunked"),
            Forwarded("abc"),
        ),
        (
            "a space before the colon",
            chunked("Transfer-Encoding : chunked"),
            Refused,
        ),
        (
            "a folded line",
            chunked("Transfer-Encoding:\r\n chunked"),
            Refused,
        ),
        (
            "a folded line elsewhere",
            plain("X: a\r\n b\r\nContent-Length: 3"),
            Refused,
        ),
        (
            "a NUL in a value",
            plain("X: a\0b\r\nContent-Length: 3"),
            Refused,
        ),
        (
            "a NUL in a name",
            plain("X\0: a\r\nContent-Length: 3"),
            Refused,
        ),
        (
            "a bare CR in a value",
            plain("X: a\rContent-Length: 30\r\nContent-Length: 3"),
            Refused,
        ),
        (
            "a bare CR as the line's end",
            plain("X: a\r\rContent-Length: 30\r\nContent-Length: 3"),
            Refused,
        ),
        ("an empty name", plain(": a\r\nContent-Length: 3"), Refused),
        (
            "a space in a name",
            plain("a b: c\r\nContent-Length: 3"),
            Refused,
        ),
        (
            "a line without a colon",
            plain("nonsense\r\nContent-Length: 3"),
            Refused,
        ),
        (
            "a bare LF as the line's end",
            plain("X: a\nContent-Length: 3"),
            Forwarded("abc"),
        ),
        (
            "a chunk's size with 0x",
            b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n".to_vec(),
            BrokenOff,
        ),
        (
            "a negative chunk's size",
            b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n".to_vec(),
            BrokenOff,
        ),
        (
            "a chunk's size beyond 64 bits",
            b"Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n".to_vec(),
            BrokenOff,
        ),
        (
            "a chunk that is longer than its size",
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n".to_vec(),
            BrokenOff,
        ),
        (
            "a chunk extension that ends in LF",
            b"Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n".to_vec(),
            BrokenOff,
        ),
        (
            "chunks that end in LF",
            b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n".to_vec(),
            BrokenOff,
        ),
    ];
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut wrong = Vec::new();
    for (name, fields, fate) in table {
        let before = origin.requests();
        let head = b"POST /p HTTP/1.1\r\nHost: a\r\n";
        let all = answers(&gateway, [head, &fields[..], NEXT].concat());
        let seen = origin.received().split_off(before);
        let next = all
            .last()
            .filter(|answer| answer.status == 200)
            .is_some_and(is_next);
        let own = all.len() - usize::from(next);
        let good = match fate {
            Refused => {
                seen.iter().all(|it| it.target == "/next")
                    && own <= 1
                    && all
                        .iter()
                        .take(own)
                        .all(|it| matches!(it.status, 400 | 431))
            }
            BrokenOff => seen.iter().all(|it| !it.complete || it.target == "/next") && !next,
            Forwarded(body) => {
                let framings = |name: &str| seen.first().map_or(0, |it| it.values(name).len());
                let framings = framings("content-length") + framings("transfer-encoding");
                seen.first().is_some_and(|it| it.body == body.as_bytes())
                    && framings == 1
                    && targets(&seen[1..]).iter().all(|it| *it == "/next")
                    && own <= 1
            }
        };
        if !good {
            let seen: Vec<_> = seen
                .iter()
                .map(|it| (&it.target, latin1(&it.body)))
                .collect();
            let statuses = statuses(&all);
            wrong.push(format!("{name}: {statuses:?}, the origin saw {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_next(answer: &Response) -> bool {
    answer.json()["target"] == "/next"
}

/// A framing that HTTP/1.0 does not know is refused.
#[test]
fn http_1_0_has_no_chunks() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let raw = "POST /p HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let all = answers(&gateway, raw);
    assert!(all.iter().all(|answer| answer.status == 400), "{all:?}");
    assert_eq!(origin.requests(), 0);
}
