//! Entries that are for some requests only. Tests of single predicates are beside the code.

use tollgate_tests::{Folder, Gateway, Origin, Response};

use super::{inwards, outwards, reversed, traced};
use crate::kinds::{PATIENT, transformer};
use crate::scene::Scene;

/// Entries whose names say what they are for, in one chain.
const CHAIN: &str = r#"
    [routes.all]
    match = "/{rest+}"
    upstream = "origin"
    chain = [
        { policy = "get", when = { methods = ["GET", "HEAD"] } },
        { policy = "put", when = { methods = ["PUT"] } },
        { policy = "admin", when = { path = "/admin/{rest+}" } },
        { policy = "pet", when = { path = "/pets/{id}" } },
        { policy = "host", when = { hosts = ["*.example"] } },
        { policy = "one", when = { headers = { x-debug = "1" } } },
        { policy = "some", when = { headers = { x-debug = true } } },
        { policy = "no", when = { headers = { x-debug = false } } },
        { policy = "q", when = { query = { "a b" = "c&d" } } },
        { policy = "qs", when = { query = { q = true } } },
        { policy = "noq", when = { query = { q = false } } },
        { policy = "both", when = { methods = ["PUT"], path = "/pets/{id}", headers = { x-debug = "1" }, query = { q = "1" } } },
        "always",
    ]
"#;

const LABELS: [&str; 13] = [
    "get", "put", "admin", "pet", "host", "one", "some", "no", "q", "qs", "noq", "both", "always",
];

#[test]
fn each_entry_asks_for_what_it_is_for() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = traced(&folder, &origin, &LABELS)
        .with(CHAIN)
        .route("plain", "/plain", &[]);
    let gateway = Gateway::start(&scene.toml());
    for (request, labels) in [
        ("GET /x - ", "get no noq always"),
        ("HEAD /x -", "get no noq always"),
        ("POST /x -", "no noq always"),
        ("PUT /x -", "put no noq always"),
        ("GET /admin/x -", "get admin no noq always"),
        // As a lenient server behind the gateway might read them.
        ("GET //admin//x -", "get admin no noq always"),
        ("GET /admin%2fx -", "get admin no noq always"),
        ("GET /%61dmin/x -", "get admin no noq always"),
        ("GET /admin;v=1/x -", "get admin no noq always"),
        ("GET /public/admin/x -", "get no noq always"),
        ("GET /admin -", "get no noq always"),
        ("POST /pets/7 -", "pet no noq always"),
        ("POST /pets/7/8 -", "no noq always"),
        ("POST /x a.example:81", "host no noq always"),
        ("POST /x A.EXAMPLE", "host no noq always"),
        ("POST /x example", "no noq always"),
        ("POST /x - x-debug:1", "one some noq always"),
        ("POST /x - X-Debug:2", "some noq always"),
        ("POST /x - x-debug:", "some noq always"),
        ("POST /x - x-debug:2 x-debug:1", "one some noq always"),
        ("POST /x?a+b=c%26d -", "no q noq always"),
        ("POST /x?a%20b=1&a%20b=c%26d -", "no q noq always"),
        ("POST /x?a+b=c&d -", "no noq always"),
        ("POST /x?q -", "no qs always"),
        ("POST /x?q=&%71=2 -", "no qs always"),
        (
            "PUT /pets/7?q=1 - x-debug:1",
            "put pet one some qs both always",
        ),
        ("PUT /pets/7?q=2 - x-debug:1", "put pet one some qs always"),
        ("POST /pets/7?q=1 - x-debug:1", "pet one some qs always"),
    ] {
        let response = send(&gateway, request);
        assert_eq!(response.status, 200, "{request}");
        assert_eq!(outwards(&response), reversed(labels), "{request}");
        if !request.starts_with("HEAD") {
            assert_eq!(inwards(&response), labels, "{request}");
        }
    }
}

/// `"METHOD target host name:value"`, with `-` for the usual host.
fn send(gateway: &Gateway, request: &str) -> Response {
    let mut words = request.split_ascii_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target, host) = (word(), word(), word());
    let host = if host == "-" { "test" } else { &host };
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for header in words {
        head.push_str(&format!("{header}\r\n"));
    }
    gateway.request(format!("{head}\r\n"))
}

/// An entry that edits, before and behind entries that look at what it edits.
#[track_caller]
fn edited(edit: &str, when: &str, request: &str, before: bool) -> Response {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = traced(&folder, &origin, &["early", "late", "not"])
        .policy("edit", "trace", &format!("config.edit = {edit}"))
        .with(&format!(
            "[routes.all]\nmatch = \"/{{rest+}}\"\nupstream = \"origin\"\nchain = [\n\
             {{ policy = \"early\", when = {when} }},\n\"edit\",\n\
             {{ policy = \"late\", when = {when} }},\n]"
        ))
        .route("plain", "/plain", &[]);
    let gateway = Gateway::start(&scene.toml());
    let response = send(&gateway, request);
    let expected = if before { "early" } else { "late" };
    assert_eq!(inwards(&response), expected, "{edit} {when}");
    assert_eq!(outwards(&response), expected, "{edit} {when}");
    response
}

/// Who was skipped on the way in is skipped on the way out, though by then it would hold; and who was
/// entered is passed again, though by then it would not.
#[test]
fn an_entry_is_for_the_request_as_edited_so_far() {
    for (edit, when, request) in [
        (
            "{ set = { x-a = \"1\" } }",
            "{ headers = { x-a = \"1\" } }",
            "POST /x -",
        ),
        (
            "{ set = { x-a = \"1\" } }",
            "{ headers = { x-a = true } }",
            "POST /x -",
        ),
        (
            "{ remove = [\"x-a\"] }",
            "{ headers = { x-a = false } }",
            "POST /x - x-a:1",
        ),
        (
            "{ method = \"PUT\" }",
            "{ methods = [\"PUT\"] }",
            "POST /x -",
        ),
        (
            "{ path = \"/admin/x\" }",
            "{ path = \"/admin/{id}\" }",
            "POST /x -",
        ),
        (
            "{ query = \"a=1\" }",
            "{ query = { a = \"1\" } }",
            "POST /x?a=2 -",
        ),
        (
            "{ query = \"a=1\" }",
            "{ query = { b = false } }",
            "POST /x?b -",
        ),
    ] {
        edited(edit, when, request, false);
    }
    for (edit, when, request) in [
        (
            "{ remove = [\"x-a\"] }",
            "{ headers = { x-a = \"1\" } }",
            "POST /x - x-a:1",
        ),
        (
            "{ set = { x-a = \"1\" } }",
            "{ headers = { x-a = false } }",
            "POST /x -",
        ),
        (
            "{ method = \"PUT\" }",
            "{ methods = [\"POST\"] }",
            "POST /x -",
        ),
        (
            "{ path = \"/y\" }",
            "{ path = \"/admin/{id}\" }",
            "POST /admin/x -",
        ),
        (
            "{ query = \"a=1\" }",
            "{ query = { b = true } }",
            "POST /x?b -",
        ),
    ] {
        edited(edit, when, request, true);
    }
}

#[test]
fn inherited_entries_have_conditions_of_their_own() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = traced(&folder, &origin, &["g", "a", "r"])
        .with("[gateway]\nchain = [{ policy = \"g\", when = { path = \"/store/{id}\" } }]")
        .with("[apis.store]\nbase = \"/store\"")
        // The path is the whole one, whatever the base.
        .with(
            "chain = [{ policy = \"a\", when = { path = \"/store/{id}\", methods = [\"GET\"] } }]",
        )
        .with("[routes.store]\napi = \"store\"\nmatch = \"/{id}\"\nupstream = \"origin\"")
        .with("chain = [{ policy = \"r\", when = { path = \"/{id}\" } }]")
        .route("rest", "/{rest+}", &["r"]);
    let gateway = Gateway::start(&scene.toml());
    let passes = |request: &str, labels: &str| {
        let response = send(&gateway, request);
        assert_eq!(inwards(&response), labels, "{request}");
        assert_eq!(outwards(&response), reversed(labels), "{request}");
    };
    passes("GET /store/7 -", "g a");
    passes("POST /store/7 -", "g");
    passes("POST /elsewhere -", "r");
}

#[test]
fn a_skipped_entry_is_neither_called_nor_recorded() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = Scene::new(&origin)
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy("some", "trace", "config.label = \"some\"")
        .with(
            "[routes.all]\nmatch = \"/{rest+}\"\nupstream = \"origin\"\n\
             chain = [{ policy = \"some\", when = { headers = { x-a = true } } }]",
        )
        .route("plain", "/plain", &[]);
    let gateway = Gateway::start(&scene.toml());
    let calls = |side| {
        let labels = [("policy", "some"), ("side", side)];
        gateway.metric("tollgate_plugin_calls_total", &labels)
    };
    // A fault that it is not asked for does not happen.
    assert_eq!(
        gateway.get_with("/a", &[("x-act", "fault:some")]).status,
        200
    );
    assert_eq!((calls("in"), calls("out")), (0.0, 0.0));
    let record = gateway.record(|record| record["path"] == "/a");
    assert_eq!(record["entries"], serde_json::json!([]));
    assert_eq!(gateway.get_with("/b", &[("x-a", "")]).status, 200);
    assert_eq!((calls("in"), calls("out")), (1.0, 1.0));
}
