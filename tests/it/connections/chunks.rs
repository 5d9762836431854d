//! Bodies that are not what their framing says.

use tollgate_tests::{Gateway, Origin, guest};

use crate::scene::Scene;

const MALFORMED: [(&str, &str); 17] = [
    ("no digits", "\r\n"),
    ("a letter", "g\r\nabc\r\n0\r\n\r\n"),
    ("a sign", "+3\r\nabc\r\n0\r\n\r\n"),
    ("less than nothing", "-3\r\nabc\r\n0\r\n\r\n"),
    ("0x", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a space before", " 3\r\nabc\r\n0\r\n\r\n"),
    ("a space between", "3 3\r\nabc\r\n0\r\n\r\n"),
    ("a line feed", "3\nabc\r\n0\r\n\r\n"),
    ("a return", "3\rabc\r\n0\r\n\r\n"),
    ("too much", "3\r\nabcd\r\n0\r\n\r\n"),
    ("a line feed behind", "3\r\nabc\n0\r\n\r\n"),
    ("an overflow", "fffffffffffffffff\r\nabc"),
    ("an extension's line feed", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("a trailer", "3\r\nabc\r\n0\r\nno colon\r\n\r\n"),
    ("a trailer's name", "3\r\nabc\r\n0\r\na b: c\r\n\r\n"),
    ("a trailer's end", "3\r\nabc\r\n0\r\na: b\rc\r\n\r\n"),
    ("an end", "3\r\nabc\r\n0\r\n\rx"),
];

/// Whatever reads the body: the upstream, a plugin that wants it whole, or nobody but the gateway.
#[test]
fn they_are_the_clients_fault_and_no_time_out() {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .plugin(
            "bodies",
            &guest("guest_reach_bodies"),
            "grant.bodies = \"64KiB\"",
        )
        .policy("reads", "bodies", "config.name = \"one\"")
        .route("plain", "/plain", &[])
        .route("read", "/read", &["reads"]);
    let gateway = Gateway::start(&scene.toml());
    for path in ["/plain", "/read"] {
        for (name, chunks) in MALFORMED {
            let mut client = gateway.client();
            client.send(format!(
                "POST {path}?{} HTTP/1.1\r\nhost: a\r\nx-one-in: [\"read\"]\r\n\
                 transfer-encoding: chunked\r\n\r\n",
                name.replace(' ', "-")
            ));
            client.send_more(chunks);
            let answer = client.read();
            assert_eq!(
                (answer.status, answer.complete),
                (400, true),
                "{path} {name}: {answer:?}"
            );
            assert_eq!(
                answer.header("connection").as_deref(),
                Some("close"),
                "{path} {name}"
            );
            let id = answer.header("x-request-id").expect("an id");
            let record = gateway.record(|record| record["id"] == id);
            assert_eq!(
                record["failure"]["kind"], "bad-body",
                "{path} {name}: {record}"
            );
            assert_eq!(
                record["failure"]["blame"], "client",
                "{path} {name}: {record}"
            );
            assert!(client.closed(), "{path} {name}: what follows is no request");
        }
    }
    let whole = |request: &tollgate_tests::Request| request.complete && !request.body.is_empty();
    assert!(
        !origin.received().iter().any(whole),
        "a malformed body arrived"
    );
}
