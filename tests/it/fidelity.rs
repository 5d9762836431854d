//! Header fields on their way through: what is kept to the byte, what is removed, what is made true.

use tollgate_tests::{Gateway, Origin, Response, guest};

/// Routes without plugins (`/plain`), through the bundled `headers` and a guest that does nothing
/// (`/chain`), and the listeners `public`, which trusts nobody, and `inner`, which trusts the test.
fn gateway(origin: &Origin) -> Gateway {
    Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[listeners.inner]
address = "127.0.0.1:0"
trusted-proxies = ["127.0.0.0/8", "10.0.0.0/8"]

[upstreams.origin]
servers = ["{url}"]

[plugins.hostile]
wasm = "{guest}"

[policies.idle]
plugin = "hostile"

[policies.mark]
plugin = "headers"
config.request.set = {{ x-marked = "in" }}
config.response.set = {{ x-marked = "out" }}

[routes.plain]
match = "/plain"
upstream = "origin"

[routes.chain]
match = "/chain"
chain = ["mark", "idle"]
upstream = "origin"
"#,
        url = origin.url(),
        guest = guest("guest_hostile").display(),
    ))
}

/// A `GET` with these lines, as bytes.
fn request(path: &str, lines: &[&[u8]]) -> Vec<u8> {
    let mut raw = format!("GET {path} HTTP/1.1\r\nhost: api.example:81\r\n").into_bytes();
    for line in lines {
        raw.extend(*line);
        raw.extend(b"\r\n");
    }
    raw.extend(b"\r\n");
    raw
}

#[test]
fn values_keep_their_bytes_and_order() {
    const LINES: [&[u8]; 9] = [
        b"X-Twice: one",
        b"x-other: between",
        b"x-twice: two, and a comma",
        b"X-TWICE: one",
        b"x-latin: caf\xe9 \xff\x80",
        b"x-empty:",
        b"x-tab: a\tb",
        b"x-spaces:   inside  kept  \t ",
        b"x-quoted: \"a\\\"b\", ;=",
    ];
    let values: [(&str, &[&[u8]]); 6] = [
        ("x-twice", &[b"one", b"two, and a comma", b"one"]),
        ("x-latin", &[b"caf\xe9 \xff\x80"]),
        ("x-empty", &[b""]),
        ("x-tab", &[b"a\tb"]),
        ("x-spaces", &[b"inside  kept"]),
        ("x-quoted", &[b"\"a\\\"b\", ;="]),
    ];
    let lines = LINES.join(&b"\r\n"[..]);
    let origin = Origin::fixed(
        [
            b"HTTP/1.1 200 Fine\r\ncontent-length: 0\r\nset-cookie: a=1; Path=/\r\n",
            &lines[..],
            b"\r\nset-cookie: b=\"2\"; HttpOnly\r\nSet-Cookie: a=1; Path=/\r\n\r\n",
        ]
        .concat(),
    );
    let gateway = gateway(&origin);
    for (number, path) in ["/plain", "/chain"].into_iter().enumerate() {
        let answer = gateway.request(request(path, &LINES));
        let received = origin.request(number);
        for (name, values) in values {
            assert_eq!(
                received.values(name),
                values,
                "{name} of the request at {path}"
            );
            assert_eq!(
                answer.values(name),
                values,
                "{name} of the response at {path}"
            );
        }
        let cookies: [&[u8]; 3] = [b"a=1; Path=/", b"b=\"2\"; HttpOnly", b"a=1; Path=/"];
        assert_eq!(answer.values("set-cookie"), cookies, "at {path}");
        let marks = (received.header("x-marked"), answer.header("x-marked"));
        if path == "/chain" {
            assert_eq!(marks, (Some("in".into()), Some("out".into())));
        } else {
            assert_eq!(marks, (None, None));
        }
    }
}

#[test]
fn fields_of_the_connection_stay_on_it() {
    const LINES: [&[u8]; 9] = [
        b"Connection: X-Named, x-listed",
        b"connection: keep-alive",
        b"x-named: 1",
        b"X-Listed: 1",
        b"keep-alive: timeout=5",
        b"proxy-connection: keep-alive",
        b"te: trailers",
        b"trailer: x-late",
        b"upgrade: h3",
    ];
    const GONE: [&str; 8] = [
        "connection",
        "x-named",
        "x-listed",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    ];
    let lines = LINES.join(&b"\r\n"[..]);
    let origin = Origin::fixed(
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-kept: 1\r\n",
            &lines[..],
            b"\r\n\r\n",
        ]
        .concat(),
    );
    let gateway = gateway(&origin);
    for (number, path) in ["/plain", "/chain"].into_iter().enumerate() {
        let mut lines = LINES.to_vec();
        lines.push(b"x-kept: 1");
        let answer = gateway.request(request(path, &lines));
        let received = origin.request(number);
        for name in GONE {
            assert_eq!(
                received.header(name),
                None,
                "{name} of the request at {path}"
            );
            assert_eq!(
                answer.header(name),
                None,
                "{name} of the response at {path}"
            );
        }
        assert_eq!(received.header("x-kept").as_deref(), Some("1"));
        assert_eq!(answer.header("x-kept").as_deref(), Some("1"));
    }
}

#[test]
fn connection_cannot_strip_what_others_rely_on() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let answer = gateway.request(request(
        "/chain",
        &[
            b"connection: close, host, x-forwarded-for, x-forwarded-proto, x-forwarded-host",
            b"connection: x-request-id, authorization, cookie, x-marked, content-type",
            b"authorization: Bearer x",
            b"cookie: a=1",
            b"content-type: text/plain",
        ],
    ));
    for name in [
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
        "authorization",
        "cookie",
        "content-type",
        "x-marked",
    ] {
        assert_eq!(answer.echoed(name).len(), 1, "{name}");
    }
}

/// What the origin is told of the client.
fn forwarded(answer: &Response) -> [Vec<String>; 4] {
    [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "forwarded",
    ]
    .map(|name| {
        let values = answer.echoed(name).into_iter();
        values
            .map(|value| String::from_utf8(value).expect("text"))
            .collect()
    })
}

#[test]
fn a_stranger_cannot_say_whom_it_forwards() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let lines: [&[u8]; 5] = [
        b"x-forwarded-for: 203.0.113.9",
        b"X-Forwarded-For: 10.0.0.1",
        b"x-forwarded-proto: https",
        b"x-forwarded-host: evil.example",
        b"forwarded: for=203.0.113.9",
    ];
    let answer = gateway.request(request("/plain", &lines));
    let [client, proto, host, standard] = forwarded(&answer);
    assert_eq!(client, ["127.0.0.1"]);
    assert_eq!(proto, ["http"]);
    assert_eq!(host, ["api.example:81"]);
    assert!(standard.is_empty());
    assert_eq!(
        gateway.record(|record| record["path"] == "/plain")["client"],
        "127.0.0.1"
    );
}

#[test]
fn a_trusted_proxy_is_believed_and_added() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let lines: [&[u8]; 5] = [
        b"x-forwarded-for: 192.0.2.66, 203.0.113.9",
        b"x-forwarded-for: 10.0.0.1",
        b"x-forwarded-proto: https",
        b"x-forwarded-host: www.example",
        b"forwarded: for=203.0.113.10",
    ];
    let answer = gateway.request_to("inner", request("/plain", &lines));
    let [client, proto, host, standard] = forwarded(&answer);
    assert_eq!(client, ["192.0.2.66, 203.0.113.9, 10.0.0.1, 127.0.0.1"]);
    assert_eq!(proto, ["https"]);
    assert_eq!(host, ["www.example"]);
    assert!(standard.is_empty());
    let record = gateway.record(|record| record["path"] == "/plain");
    assert_eq!(record["client"], "203.0.113.9");
    assert_eq!(record["listener"], "inner");

    let answer = gateway.request_to("inner", request("/plain", &[]));
    let [client, proto, host, _] = forwarded(&answer);
    assert_eq!(client, ["127.0.0.1"]);
    assert_eq!(proto, ["http"]);
    assert_eq!(host, ["api.example:81"]);
}

#[test]
fn host_is_the_clients() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    for path in ["/plain", "/chain"] {
        let answer = gateway.request(request(path, &[]));
        assert_eq!(answer.echoed("host"), [b"api.example:81"], "at {path}");
    }
}

#[test]
fn one_id_names_a_request_everywhere() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut ids = Vec::new();
    for path in ["/plain", "/chain", "/nowhere"] {
        let lines: [&[u8]; 2] = [b"x-request-id: mine", b"X-Request-Id: and mine"];
        let answer = gateway.request(request(path, &lines));
        let id = answer.header("x-request-id").expect("an id");
        assert_eq!(answer.values("x-request-id").len(), 1);
        if path == "/nowhere" {
            assert_eq!(answer.json()["request-id"], id);
        } else {
            assert_eq!(answer.echoed("x-request-id"), [id.as_bytes()]);
        }
        assert_eq!(gateway.record(|record| record["path"] == path)["id"], id);
        ids.push(id);
    }
    assert!(
        ids[0] < ids[1] && ids[1] < ids[2],
        "{ids:?} are in the order of time"
    );
}

/// An upstream that answers with an id of its own does not hide ours.
#[test]
fn the_origins_own_request_id_is_replaced() {
    let origin =
        Origin::fixed("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-request-id: theirs\r\n\r\n");
    let gateway = gateway(&origin);
    let answer = gateway.get("/plain");
    let id = gateway.record(|record| record["path"] == "/plain")["id"].clone();
    assert_eq!(
        answer.headers("x-request-id"),
        [id.as_str().expect("an id")]
    );
}

#[test]
fn paths_and_queries_are_passed_on_as_they_came() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&format!(
        "[listeners.public]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.origin]\nservers = [\"{}\"]\n\
         [routes.all]\nmatch = \"/p/{{a}}/{{rest+}}\"\nupstream = \"origin\"\n",
        origin.url()
    ));
    for target in [
        "/p/a%20b/c",
        "/p/%C3%A9/%c3%a9/",
        "/p/x/y?",
        "/p/x/y?a=%2F&a=b+c&d&&e==%zz",
        "/p/a%2fb/~!$&'()*+,;=:@",
        "/p/x//y",
    ] {
        assert_eq!(gateway.get(target).json()["target"], target);
    }
}
