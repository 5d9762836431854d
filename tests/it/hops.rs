//! What an intermediary owes to each message: whence it came, and an end to its way (RFC 9110, sections 7.6.2
//! and 7.6.3).

use tollgate_tests::{Gateway, Origin, Step, ok};

use crate::scene::Scene;

#[test]
fn both_messages_say_what_they_passed_through() {
    let origin = Origin::raw(|request| {
        let mut answer = tollgate_tests::echo(request);
        if request.target == "/old" {
            let head = b"HTTP/1.0 200 OK\r\nvia: 1.1 inner\r\n";
            answer.splice(..b"HTTP/1.1 200 OK\r\n".len(), *head);
        }
        vec![Step::Send(answer)]
    });
    let gateway = Gateway::start(&Scene::new(&origin).toml());
    let answer = gateway.get("/new");
    assert_eq!(answer.echoed("via"), [b"1.1 tollgate"]);
    assert_eq!(answer.headers("via"), ["1.1 tollgate"]);
    let answer = gateway.request("GET /old HTTP/1.0\r\nvia: 1.1 fred\r\nvia: 1.1 p (x)\r\n\r\n");
    let passed: [&[u8]; 3] = [b"1.1 fred", b"1.1 p (x)", b"1.0 tollgate"];
    assert_eq!(answer.echoed("via"), passed);
    assert_eq!(answer.headers("via"), ["1.1 inner", "1.0 tollgate"]);
}

/// An upstream that leads back to the gateway, with a body too: the loop ends.
#[test]
fn a_request_that_comes_back_again_and_again_is_refused() {
    // A free port, which the configuration has to name twice.
    let address = tollgate_tests::dead_address().to_string();
    let toml = Scene::at(&format!("http://{address}")).toml();
    let gateway = Gateway::start(&toml.replace("127.0.0.1:0", &address));
    for body in ["content-length: 0\r\n\r\n", "content-length: 3\r\n\r\nabc"] {
        let answer = gateway.request(format!("POST /loop HTTP/1.1\r\nhost: a\r\n{body}"));
        assert_eq!(answer.status, 508);
    }
    let record = gateway.record(|record| record["failure"]["kind"] == "loop");
    assert_eq!(record["failure"]["blame"], "gateway");
    let passes = gateway.records().len();
    assert!(passes <= 12, "{passes} requests");
}

/// Nor does it go on without end if a plugin takes out of the request what says where it was.
#[test]
fn no_edit_makes_a_loop_endless() {
    let address = tollgate_tests::dead_address().to_string();
    for edit in ["remove = [\"via\"]", "set.via = \"1.1 other\""] {
        let scene = Scene::at(&format!("http://{address}"))
            .policy("edit", "headers", &format!("config.request.{edit}"))
            .route("looped", "/looped", &["edit"]);
        let gateway = Gateway::start(&scene.toml().replace("127.0.0.1:0", &address));
        let answer = gateway.get("/looped");
        assert_eq!(answer.status, 508, "{edit}");
        let passes = gateway.records().len();
        assert!(passes <= 6, "{edit}: {passes} requests");
    }
}

/// Nor if a plugin asks the gateway in the middle of a request, and is in the way of its own question.
#[test]
fn a_question_that_asks_itself_has_an_end() {
    let address = tollgate_tests::dead_address().to_string();
    let scene = Scene::at(&format!("http://{address}"))
        .with("[plugins.ext-auth]\ngrant = { fetch = [\"origin\"] }\nlimits = { wall = \"10s\" }")
        .policy(
            "ask",
            "ext-auth",
            "config = { upstream = \"origin\", path = \"/ask\", principal = { header = \"x-user\" } }",
        )
        .route("asks", "/{rest*}", &["ask"]);
    let gateway = Gateway::start(&scene.toml().replace("127.0.0.1:0", &address));
    let answer = gateway.get("/a");
    assert!(answer.status >= 400, "{}", answer.status);
    gateway.record(|record| record["failure"]["kind"] == "loop");
    gateway.record(|record| record["path"] == "/a");
    let passes = gateway.records().len();
    assert!(passes <= 6, "{passes} requests");
}

#[test]
fn options_are_answered_where_their_way_ends() {
    let origin = Origin::echo();
    let toml = Scene::new(&origin)
        .route("pets", "GET,OPTIONS /pets", &[])
        .route("all", "/{rest+}", &[])
        .toml();
    let gateway = Gateway::start(&toml);
    let ask = |method: &str, path: &str, written: &str| {
        let field = format!("max-forwards: {written}\r\n");
        gateway.request(format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\n{field}\r\n"
        ))
    };
    let last = ask("OPTIONS", "/pets", "0");
    assert_eq!(
        (last.status, last.body.len(), last.complete),
        (200, 0, true)
    );
    assert_eq!(last.header("allow").as_deref(), Some("GET, OPTIONS"));
    assert!(ask("OPTIONS", "/any", "0").header("allow").is_some());
    assert_eq!(origin.requests(), 0);

    let left = |method: &str, written: &str| ask(method, "/any", written).echoed("max-forwards");
    assert_eq!(left("OPTIONS", "1"), [b"0"]);
    assert_eq!(left("OPTIONS", "10"), [b"9"]);
    assert_eq!(left("OPTIONS", "x"), [b"x"]);
    assert_eq!(left("GET", "0"), [b"0"]);
    assert_eq!(origin.requests(), 4);
}

/// It would show the client what policies add for the upstream alone.
#[test]
fn trace_is_not_forwarded() {
    let origin = Origin::fixed(ok("message/http", "x-upstream-password: hunter2"));
    let toml = Scene::new(&origin)
        .route("all", "/{rest+}", &[])
        .route("traced", "TRACE /traced", &[])
        .toml();
    let gateway = Gateway::start(&toml);
    for (path, fields) in [
        ("/a", ""),
        ("/traced", ""),
        ("/a", "max-forwards: 0\r\n"),
        ("/a", "max-forwards: 3\r\n"),
    ] {
        let answer = gateway.request(format!("TRACE {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
        assert_eq!(answer.status, 501, "{path}");
        assert_eq!(answer.json()["status"], 501);
    }
    assert_eq!(origin.requests(), 0);
}
