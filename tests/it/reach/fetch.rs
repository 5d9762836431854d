//! Requests of a plugin's own, to upstreams that it was granted.

use serde_json::{Value, json};
use tollgate_tests::{
    Gate, Gateway, Origin, Request, Response, Step, dead_address, eventually, ok,
};

use super::{ask, ask_on, asking, scene, told};

fn fetch(fields: &Value) -> Value {
    let mut fetch = json!({ "upstream": "users" });
    if let (Some(fetch), Some(fields)) = (fetch.as_object_mut(), fields.as_object()) {
        fetch.extend(fields.clone());
    }
    json!([{ "fetch": fetch }])
}

#[track_caller]
fn fetched(gateway: &Gateway, fields: &Value) -> Value {
    ask(gateway, &fetch(fields)).remove(0)
}

/// All lines of a received head, but the first.
fn lines(request: &Request) -> Vec<(&str, String)> {
    let lines = request.headers.iter();
    let mut lines: Vec<(&str, String)> = lines
        .map(|(name, value)| (name.as_str(), tollgate_tests::latin1(value)))
        .collect();
    lines.sort_unstable();
    lines
}

fn pairs(value: &Value, name: &str) -> Vec<String> {
    let headers = value["headers"].as_array().into_iter().flatten();
    let named = headers.filter(|line| line[0] == name);
    named
        .filter_map(|line| line[1].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn the_answer_reaches_the_plugin() {
    let users = Origin::fixed(
        &b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
           HTTP/1.1 207 Multi\r\nX-Twice: one\r\ncontent-length: 6\r\nx-twice: two, three\r\n\
           connection: x-named\r\nx-named: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: a\r\n\
           te: trailers\r\nupgrade: h3\r\nx-latin: caf\xe9\r\nset-cookie: a=1\r\n\r\nbody\x00\xff"
            [..],
    );
    let origin = Origin::echo();
    let gateway = Gateway::start(&scene(&origin, &users.url()).toml());
    let answer = fetched(
        &gateway,
        &json!({
            "method": "PUT",
            "target": "/users/7?full=%20yes&a",
            "headers": [["x-own", "1"], ["x-own", "two, three"], ["authorization", "Basic eDp5"]],
            "body": "a body",
        }),
    );
    assert_eq!(answer["status"], 207, "{answer}");
    assert_eq!(answer["body"], "body\u{0}\u{ff}");
    assert_eq!(pairs(&answer, "x-twice"), ["one", "two, three"]);
    assert_eq!(pairs(&answer, "x-latin"), ["caf\u{e9}"]);
    assert_eq!(pairs(&answer, "set-cookie"), ["a=1"]);
    for name in [
        "connection",
        "x-named",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "transfer-encoding",
        "link",
    ] {
        assert!(pairs(&answer, name).is_empty(), "{name}: {answer}");
    }

    let request = users.request(0);
    assert_eq!(request.method, "PUT");
    assert_eq!(request.target, "/users/7?full=%20yes&a");
    assert_eq!(request.body, b"a body");
    // What the plugin wrote, and nothing of the client's request but how often that came by.
    let host = users.address().to_string();
    assert_eq!(
        lines(&request),
        [
            ("authorization", "Basic eDp5".to_owned()),
            ("content-length", "6".to_owned()),
            ("host", host),
            ("via", "1.1 tollgate".to_owned()),
            ("x-own", "1".to_owned()),
            ("x-own", "two, three".to_owned()),
        ]
    );
    assert_eq!(origin.requests(), 0);
}

#[test]
fn every_form_of_answer_is_read() {
    let users = Origin::raw(|request| {
        let bytes: &[u8] = match &*request.target {
            "/chunked" => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx-trailer: 1\r\n\r\n",
            "/closing" => b"HTTP/1.1 200 OK\r\n\r\nabc",
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => b"HTTP/1.1 304 Not Modified\r\ncontent-length: 12\r\n\r\n",
            "/head" => b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n",
            "/500" => b"HTTP/1.1 500 Sorry\r\ncontent-length: 3\r\n\r\nabc",
            "/302" => b"HTTP/1.1 302 Found\r\nlocation: /204\r\ncontent-length: 3\r\n\r\nabc",
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        };
        let mut steps = vec![Step::Send(bytes.to_vec())];
        steps.extend((request.target == "/closing").then_some(Step::Close));
        steps
    });
    let gateway = Gateway::start(&scene(&Origin::echo(), &users.url()).toml());
    let mut client = gateway.client();
    for (method, target, status, body) in [
        ("GET", "/chunked", 200, "abc"),
        ("GET", "/closing", 200, "abc"),
        ("GET", "/204", 204, ""),
        ("GET", "/304", 304, ""),
        ("HEAD", "/head", 200, ""),
        ("POST", "/500", 500, "abc"),
        ("DELETE", "/302", 302, "abc"),
        ("PURGE", "/", 200, "abc"),
        ("OPTIONS", "/?", 200, "abc"),
        ("GET", "/%2e%2e/a//b", 200, "abc"),
    ] {
        let number = users.requests();
        let steps = fetch(&json!({ "method": method, "target": target }));
        let answer = ask_on(&mut client, "/reach", &steps).remove(0);
        assert_eq!(answer["status"], status, "{method} {target}: {answer}");
        assert_eq!(answer["body"], body, "{method} {target}");
        let request = users.request(number);
        assert_eq!((&*request.method, &*request.target), (method, target));
        assert!(request.body.is_empty());
        assert_eq!(request.header("transfer-encoding"), None);
    }
    // A body is sent with its length whatever the method.
    for method in ["GET", "HEAD", "DELETE", "POST"] {
        let number = users.requests();
        let steps = fetch(&json!({ "method": method, "target": "/204", "body": "body" }));
        assert_eq!(ask_on(&mut client, "/reach", &steps)[0]["status"], 204);
        let request = users.request(number);
        assert_eq!(request.body, b"body", "{method}");
        assert_eq!(request.values("content-length"), [b"4"]);
    }
}

#[test]
fn the_host_may_be_chosen() {
    let users = Origin::fixed(ok("text/plain", ""));
    let gateway = Gateway::start(&scene(&Origin::echo(), &users.url()).toml());
    for host in ["users.example", "users.example:81", "[::1]:81"] {
        let number = users.requests();
        let answer = fetched(&gateway, &json!({ "headers": [["Host", host]] }));
        assert_eq!(answer["status"], 200, "{answer}");
        assert_eq!(users.request(number).values("host"), [host.as_bytes()]);
    }
    for headers in [
        json!([["host", "a b"]]),
        json!([["host", ""]]),
        json!([["host", "user@host"]]),
        json!([["host", "a/b"]]),
        json!([["host", "a"], ["host", "b"]]),
    ] {
        let answer = fetched(&gateway, &json!({ "headers": headers }));
        assert!(answer["failed"].is_string(), "{headers}: {answer}");
    }
    assert_eq!(users.requests(), 3);
}

#[test]
fn what_is_no_request_is_refused() {
    let users = Origin::fixed(ok("text/plain", ""));
    let gateway = Gateway::start(&scene(&Origin::echo(), &users.url()).toml());
    let long = format!("/{}", "a".repeat(16 << 10));
    for fields in [
        json!({ "target": "" }),
        json!({ "target": "users" }),
        json!({ "target": "*" }),
        json!({ "target": "http://other.example/" }),
        json!({ "target": "/a b" }),
        json!({ "target": "/a\r\nx-smuggled: 1" }),
        json!({ "target": "/a\u{0}" }),
        json!({ "target": long }),
        json!({ "method": "" }),
        json!({ "method": "GET /" }),
        json!({ "method": "G\r\nET" }),
        json!({ "method": "CONNECT" }),
        json!({ "headers": [["", "1"]] }),
        json!({ "headers": [["a b", "1"]] }),
        json!({ "headers": [["a:", "1"]] }),
        json!({ "headers": [["x", "1\r\ny: 2"]] }),
        json!({ "headers": [["x", "\u{0}"]] }),
        json!({ "headers": [["content-length", "10"]] }),
        json!({ "headers": [["Transfer-Encoding", "chunked"]] }),
        json!({ "headers": [["connection", "close"]] }),
        json!({ "headers": [["keep-alive", "1"]] }),
        json!({ "headers": [["proxy-connection", "close"]] }),
        json!({ "headers": [["te", "trailers"]] }),
        json!({ "headers": [["trailer", "x"]] }),
        json!({ "headers": [["upgrade", "h2c"]] }),
        json!({ "headers": vec![["x", "1"]; 120] }),
    ] {
        let answer = fetched(&gateway, &fields);
        let text = answer["failed"].as_str();
        assert!(
            text.is_some_and(|text| !text.is_empty()),
            "{fields}: {answer}"
        );
    }
    assert_eq!(users.requests(), 0, "{:?}", users.received());
}

#[test]
fn an_upstream_that_is_not_granted_is_refused_by_name() {
    let users = Origin::fixed(ok("text/plain", ""));
    let gateway = Gateway::start(&scene(&users, &users.url()).toml());
    // The first is the routes' own, the second does not exist.
    for name in ["origin", "nowhere", "", "USERS"] {
        let answer = ask(&gateway, &json!([{ "fetch": { "upstream": name } }])).remove(0);
        let text = answer["failed"].as_str().unwrap_or_default();
        assert!(
            text.contains(&format!("upstream `{name}` is not granted"))
                && text.contains(&format!("grant = {{ fetch = [\"{name}\"] }}")),
            "{answer}"
        );
    }
    assert_eq!(users.requests(), 0);
}

#[test]
fn an_upstream_that_cannot_be_reached_is_told() {
    let dead = format!("http://{}", dead_address());
    let gateway = Gateway::start(&scene(&Origin::echo(), &dead).toml());
    let answer = fetched(&gateway, &json!({}));
    assert!(answer["failed"].is_string(), "{answer}");
    // The plugin went on, so that this is no failure of the request.
    let record = gateway.record(|record| record["path"] == "/reach");
    assert!(record["failure"].is_null(), "{record}");
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    for (bytes, end) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart",
            Step::Close,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart",
            Step::Reset,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
            Step::Close,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\npart",
            Step::Reset,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno\r\npart",
            Step::Close,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-le", Step::Close),
        ("", Step::Close),
        ("", Step::Reset),
        ("SSH-2.0-OpenSSH\r\n", Step::Close),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: a\r\nconnection: upgrade\r\n\r\n",
            Step::Close,
        ),
    ] {
        let users = Origin::raw(move |_| vec![Step::Send(bytes.into()), end.clone()]);
        let gateway = Gateway::start(&scene(&Origin::echo(), &users.url()).toml());
        for _ in 0..2 {
            let answer = fetched(&gateway, &json!({ "method": "POST", "body": "a" }));
            assert!(answer["failed"].is_string(), "{bytes:?}: {answer}");
        }
    }
}

#[test]
fn its_connections_are_kept_and_its_own() {
    let users = Origin::fixed(ok("text/plain", "user"));
    let scene = scene(&users, &users.url())
        .with("[routes.users]\nmatch = \"/users\"\nupstream = \"users\"");
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let steps = fetch(&json!({}));
    let connections = |from: usize| -> Vec<usize> {
        let all = users.received();
        all[from..]
            .iter()
            .map(|request| request.connection)
            .collect()
    };
    assert_eq!(client.get("/users").status, 200);
    for _ in 0..3 {
        assert_eq!(ask_on(&mut client, "/reach", &steps)[0]["status"], 200);
        assert_eq!(client.get("/users").status, 200);
    }
    assert_eq!(connections(0), [0, 1, 0, 1, 0, 1, 0]);
    // Each plugin call of one request takes the same, too.
    let twice = json!([{ "fetch": { "upstream": "users" } }, { "fetch": { "upstream": "users" } }]);
    let from = users.requests();
    assert_eq!(ask_on(&mut client, "/reach", &twice).len(), 2);
    assert_eq!(connections(from), [1, 1]);
}

/// A kept connection that the server closed meanwhile is no failure.
#[test]
fn a_kept_connection_that_was_closed_is_replaced() {
    let users = Origin::raw(|_| vec![Step::Send(ok("text/plain", "user")), Step::Close]);
    let gateway = Gateway::start(&scene(&Origin::echo(), &users.url()).toml());
    for method in ["GET", "POST"] {
        for round in 0..5 {
            eventually("the origin closed", || {
                (users.open_connections() == 0).then_some(())
            });
            let answer = fetched(&gateway, &json!({ "method": method, "body": "a" }));
            assert_eq!(answer["status"], 200, "{method} {round}: {answer}");
        }
    }
}

#[test]
fn who_waits_for_an_answer_holds_nobody_up() {
    let gate = Gate::new();
    let opened = gate.clone();
    let users = Origin::raw(move |_| {
        vec![
            Step::WaitFor(opened.clone()),
            Step::Send(ok("text/plain", "user")),
        ]
    });
    let origin = Origin::fixed(ok("text/plain", "fine"));
    let toml = scene(&origin, &users.url()).toml() + "[runtime]\nworkers = 1\n";
    let gateway = Gateway::start(&toml);
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut client = gateway.client();
            client.send(asking("/reach", &fetch(&json!({})), ""));
            client
        })
        .collect();
    eventually("all fetches", || (users.requests() == 20).then_some(()));
    // The only thread serves others, and other plugins.
    for _ in 0..20 {
        assert_eq!(gateway.get("/plain").text(), "fine");
        assert_eq!(
            ask(&gateway, &json!([{ "get": "key" }]))[0],
            json!({ "ok": null })
        );
    }
    gate.open();
    for client in &mut waiting {
        let response: Response = client.read();
        assert_eq!(told(&response)[0]["body"], "user");
    }
}
