//! Requests that are not what they should be: refused, with a status that says so.

use tollgate_tests::Origin;

use super::gateway;

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
        // One route to us, and the root to a server that takes repeated slashes for one.
        ("//", false),
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
