//! Odd heads of responses: what can be put right is, what cannot be is refused, and the upstream blamed.

use tollgate_tests::{Gateway, Origin, Response, Step};

use super::{PATIENT, gateway, quoted};

/// A request of this method, answered with these bytes by an origin that then closes.
fn answered(gateway: &Gateway, method: &str, path: &str) -> Response {
    gateway.request(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
}

/// An origin that answers `/NUMBER` with that line of a table.
fn table_origin(heads: Vec<String>) -> Origin {
    Origin::raw(move |request| {
        let number: usize = request.target[1..].parse().expect("a number");
        vec![Step::Send(heads[number].clone().into()), Step::Close]
    })
}

/// One length, or none, or 502: of every method and status.
#[test]
fn a_length_is_one_number() {
    let values: [(&str, Option<&str>); 17] = [
        ("content-length: 2", Some("2")),
        ("content-length: 02", Some("2")),
        ("content-length: 2, 2", Some("2")),
        ("content-length: 2\r\nContent-Length: 2", Some("2")),
        ("content-length: 2,2\r\ncontent-length:2", Some("2")),
        ("content-length : 2", Some("2")),
        ("content-length:\r\n 2", Some("2")),
        ("content-length: 2\r\ncontent-length: 3", None),
        ("content-length: 2, 3", None),
        ("content-length: +2", None),
        ("content-length: 0x2", None),
        ("content-length: -2", None),
        ("content-length: 2 2", None),
        ("content-length: 2,", None),
        ("content-length:", None),
        ("content-length: \u{b2}", None),
        ("content-length: 18446744073709551616", None),
    ];
    let exchanges = [
        ("GET", "200 OK", "ok"),
        ("HEAD", "200 OK", ""),
        ("GET", "304 Not Modified", ""),
        ("HEAD", "304 Not Modified", ""),
        ("HEAD", "404 Not Found", ""),
    ];
    let mut wrong = Vec::new();
    for (method, status, body) in exchanges {
        let head = |fields: &str| format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n{body}");
        let origin = table_origin(values.iter().map(|(fields, _)| head(fields)).collect());
        let gateway = gateway(&[quoted(origin.url())], PATIENT);
        for (number, (fields, length)) in values.iter().enumerate() {
            let path = format!("/{number}");
            let answer = answered(&gateway, method, &path);
            let record = gateway.record(|record| record["path"] == path);
            let good = match length {
                Some(length) => {
                    let lengths = answer.headers("content-length");
                    // Of a 304 it may be left out.
                    let is_left_out = lengths.is_empty() && answer.status == 304;
                    (is_left_out || lengths == [*length])
                        && status.starts_with(&answer.status.to_string())
                }
                None => answer.status == 502 && record["failure"]["blame"] == "upstream",
            };
            if !good || record["status"] != answer.status || !answer.complete {
                wrong.push(format!("{method} {status} {fields:?}: {answer:?} {record}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What has no content is passed on without a word of any.
#[test]
fn a_response_without_content_has_no_length() {
    for (status, body) in [("204 No Content", ""), ("205 Reset Content", "hello")] {
        for method in ["GET", "HEAD"] {
            let origin = Origin::fixed(format!(
                "HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n{body}"
            ));
            let gateway = gateway(&[quoted(origin.url())], PATIENT);
            let mut client = gateway.client();
            for _ in 0..2 {
                client.send(format!("{method} /p HTTP/1.1\r\nhost: a\r\n\r\n"));
                let answer = client.read();
                let length = answer.header("content-length").unwrap_or("0".to_owned());
                assert!(answer.complete && answer.body.is_empty(), "{answer:?}");
                assert_eq!(
                    (&*length, answer.status / 10),
                    ("0", 20),
                    "{method} {status}"
                );
            }
        }
    }
}

#[test]
fn odd_heads_are_put_right() {
    let table = [
        ("HTTP/1.1 200 OK\r\nx-a : 1\r\n", "1"),
        ("HTTP/1.1 200 OK\r\nx-a\t \t:1\r\n", "1"),
        ("HTTP/1.1 200 OK\r\nx-a: 1\r\n  2\r\n\t3\r\n", "1 2 3"),
        ("HTTP/1.1 200 OK\r\nx-a:\r\n 1\r\n", "1"),
        ("HTTP/1.1 200 OK\r\nx-b: 0\r\n x-a : 2\r\nx-a: 1\r\n", "1"),
        ("\r\n\r\nHTTP/1.1 200 OK\r\nx-a: 1\r\n", "1"),
        ("HTTP/1.1 200 OK\nx-a: 1\n", "1"),
        ("HTTP/1.1 200\r\nx-a: 1\r\n", "1"),
        ("HTTP/1.1 200 \r\nx-a: 1\r\n", "1"),
        ("HTTP/1.1 200 \u{fc}\r\nx-a:1\r\n", "1"),
        ("HTTP/1.0 200 OK\r\nX-A: 1\r\n", "1"),
        ("HTTP/1.1 200 OK\r\nx-a:   1  \r\n", "1"),
        (
            "HTTP/1.1 200 OK\r\nX_a.b!#$%&'*+-^`|~: 0\r\nx-a: 1\r\n",
            "1",
        ),
    ];
    let heads = table.map(|(head, _)| format!("{head}content-length: 2\r\n\r\nok"));
    let origin = table_origin(heads.to_vec());
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for (number, (head, value)) in table.into_iter().enumerate() {
        let answer = answered(&gateway, "GET", &format!("/{number}"));
        assert_eq!((answer.status, &*answer.text()), (200, "ok"), "{head:?}");
        assert_eq!(answer.headers("x-a"), [value], "{head:?}");
        let text = String::from_utf8_lossy(&answer.head).into_owned();
        assert!(
            !text.contains("\nx-a :") && !text.contains("\n "),
            "{text:?}"
        );
    }
}

/// As many lines as may come leave room for those that policies add.
#[test]
fn what_policies_add_has_room_of_its_own() {
    let lines = |lines: usize, bytes: usize| {
        let value = "x".repeat(bytes / lines);
        let line = |number: usize| format!("x-{number:02}: {value}\r\n");
        (0..lines).map(line).collect::<String>()
    };
    let heads = [
        (99, 99),
        (99, 65_000),
        (98, 60_000),
        (99, 68_000),
        (100, 100),
    ];
    let heads = heads.map(|(number, bytes)| {
        let lines = lines(number, bytes);
        format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nok")
    });
    let origin = table_origin(heads.to_vec());
    let gateway = Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[upstreams.origin]
servers = ["{}"]

[policies.more]
plugin = "headers"
[policies.more.config.request]
append = {{ "x-more" = "1" }}
[policies.more.config.response]
append = {{ "x-more" = "1" }}

[routes.all]
match = "/{{rest+}}"
chain = ["more"]
upstream = "origin"
"#,
        origin.url()
    ));
    let mut wanted = Vec::new();
    for number in 0..heads.len() {
        let path = format!("/{number}");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\n{}\r\n",
            lines(98, 60_000)
        );
        let answer = gateway.request(request);
        let record = gateway.record(|record| record["path"] == path);
        if answer.status == 200 {
            assert_eq!(answer.headers("x-more"), ["1"]);
            assert_eq!(origin.request(number).values("x-more"), [b"1"]);
        } else {
            assert_eq!(record["failure"]["blame"], "upstream", "{record}");
            let detail = record["failure"]["detail"].to_string();
            let says = ["100 lines", "65536 bytes"]
                .iter()
                .any(|bound| detail.contains(bound));
            assert!(says, "{detail}");
        }
        wanted.push(answer.status);
    }
    assert_eq!(wanted, [200, 200, 200, 502, 502]);
}
