//! Requests that two servers may read in two ways. Each is sent with an honest request behind it, in
//! one write. It is refused, or forwarded in one framing; and the next request is answered as itself
//! or not at all, so that nothing of the one can become the other.

use tollgate_tests::{Origin, Response};

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
                    && all.iter().take(own).all(|it| it.status == 400)
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
            wrong.push(format!(
                "{name}: {:?}, the origin saw {seen:#?}",
                statuses(&all)
            ));
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

/// A client that is told nothing tries again, or blames the network.
#[test]
fn a_refusal_is_told() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let lines: String = (0..101)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let long = "x".repeat(200 << 10);
    let cases = [
        (
            "a NUL",
            "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a bad length",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a bad coding",
            "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: x\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a bad method",
            "G/T / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            400,
        ),
        (
            "an 8-bit method",
            "G\u{e9}T / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a space in the target",
            "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            400,
        ),
        ("no version", "GET /\r\n\r\n".to_owned(), 400),
        (
            "a version to come",
            "GET / HTTP/3.0\r\nhost: a\r\n\r\n".to_owned(),
            400,
        ),
        (
            "too many lines",
            format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n"),
            431,
        ),
        (
            "a long line",
            format!(
                "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
                &long[..70_000]
            ),
            431,
        ),
        (
            "a very long line",
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
            431,
        ),
        (
            "a long target",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", &long[..17_000]),
            414,
        ),
        (
            "a longer target",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", &long[..70_000]),
            414,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, raw, status) in cases {
        let answer = gateway.request(&raw);
        if answer.status != status {
            wrong.push(format!("{name}: {} instead of {status}", answer.status));
        }
    }
    assert_eq!(origin.requests(), 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_authority_is_one_host() {
    let table = [
        ("GET / HTTP/1.1\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", Err(400)),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n", Err(400)),
        ("GET http://b/ HTTP/1.1\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a b\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a\\b\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a%2fb\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a?b\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a:80:90\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n", Err(400)),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n", Err(400)),
        ("GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n", Err(400)),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n", Err(400)),
        ("GET a:443 HTTP/1.1\r\nHost: a:443\r\n", Err(400)),
        ("GET * HTTP/1.1\r\nHost: a\r\n", Err(400)),
        ("GET p HTTP/1.1\r\nHost: a\r\n", Err(400)),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", Err(404)),
        (
            "GET / HTTP/1.1\r\nHost: A.example:81\r\n",
            Ok(("A.example:81", "/")),
        ),
        (
            "GET / HTTP/1.1\r\nHost: [::1]:81\r\n",
            Ok(("[::1]:81", "/")),
        ),
        (
            "GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n",
            Ok(("b:81", "/x?y")),
        ),
        ("GET http://b?y HTTP/1.1\r\nHost: a\r\n", Ok(("b", "/?y"))),
    ];
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut wrong = Vec::new();
    for (head, expected) in table {
        let answer = gateway.request(format!("{head}\r\n"));
        let found = if answer.status == 200 {
            let hosts = answer.echoed("host");
            let host = String::from_utf8_lossy(&hosts.concat()).into_owned();
            Ok((
                host,
                answer.json()["target"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            ))
        } else {
            Err(answer.status)
        };
        let expected = expected.map(|(host, target)| (host.to_owned(), target.to_owned()));
        if found != expected {
            wrong.push(format!("{head:?}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_that_two_servers_read_in_two_ways_are_refused() {
    let table = [
        ("/a/../admin", false),
        ("/a/..", false),
        ("/./a", false),
        ("/%2e%2e/", false),
        ("/.%2E/", false),
        ("/a%2f..%2fb", false),
        ("/a%5c..%5cb", false),
        ("/a\\..\\b", false),
        // Servlet containers cut path parameters off before they resolve dots.
        ("/a/..;/admin", false),
        ("/a/..;x=1/admin", false),
        ("/a%00", false),
        ("/a%0d%0ax", false),
        ("/%c0%ae%c0%ae/", false),
        ("/%e9", false),
        ("/a%2", false),
        ("/a%zz", false),
        ("//", true),
        ("//other.example/x", true),
        ("/a//b", true),
        ("/a%2fb", true),
        ("/a;x=1/b", true),
        ("/...", true),
        ("/a?x=../..&y=%00", true),
    ];
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut wrong = Vec::new();
    for (target, passes) in table {
        let answer = gateway.get(target);
        let good = if passes {
            answer.status == 200 && answer.json()["target"] == target
        } else {
            answer.status == 400
        };
        if !good {
            wrong.push(format!("{target}: {}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn methods_are_case_sensitive_and_passed_on() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    for method in ["get", "PURGE", "M-SEARCH", "X!#$%&'*+-.^_`|~9"] {
        let answer = gateway.request(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(answer.json()["method"], method);
    }
}
