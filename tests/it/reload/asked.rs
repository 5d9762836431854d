//! `POST /reload` of the admin listener: what SIGHUP does, and what came of it.

use serde_json::{Value, json};
use tollgate_tests::{Folder, Gateway};

use super::{UNWATCHED, plugin_file, respond};

fn ask(gateway: &Gateway) -> (u16, Value) {
    let head = "POST /reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let response = gateway.request_to("admin", head);
    let body = serde_json::from_str(&response.text()).expect("JSON");
    (response.status, body)
}

#[test]
fn what_came_of_it_is_answered() {
    let folder = Folder::new();
    let (_, plugin) = plugin_file(&folder, "ab");
    let toml = format!("{UNWATCHED}{}{plugin}", respond("a", "/a", "old"));
    let gateway = Gateway::start(&toml);
    assert_eq!(ask(&gateway), (200, json!({ "outcome": "unchanged" })));

    let other = toml.replace("old", "new")
        + "[store]\nkv = \"1MiB\"\n[upstreams.idle]\nservers = [\"http://127.0.0.1:1\"]\n";
    gateway.write_config(&other);
    let (status, mut applied) = ask(&gateway);
    assert_eq!(status, 200, "{applied}");
    // It is served when the answer comes.
    assert_eq!(gateway.get("/a").text(), "new");
    assert!(applied["milliseconds"].take().is_u64());
    let line = |text: &str| {
        1 + other
            .lines()
            .position(|line| line.starts_with(text))
            .expect("a line")
    };
    let unused = applied["warnings"].take();
    assert_eq!(unused[0]["line"], line("[upstreams.idle]"), "{unused}");
    let restart = applied["after-restart"].take();
    assert_eq!(
        restart[0]["message"],
        "`store.kv` takes effect only after a restart"
    );
    assert_eq!(restart[0]["line"], line("kv"), "{restart}");
    assert_eq!(
        applied,
        json!({
            "outcome": "applied", "policies": 1, "kept": 1, "milliseconds": null, "warnings": null,
            "after-restart": null,
        })
    );

    gateway.write_config(&toml.replace("status = 200", "status = 20"));
    let (status, refused) = ask(&gateway);
    assert_eq!(status, 422, "{refused}");
    assert_eq!(refused["outcome"], "refused");
    let problems = &refused["problems"];
    assert_eq!(problems["file"], gateway.config().display().to_string());
    let error = &problems["errors"][0];
    assert!(
        error["message"].as_str().expect("a text").contains("20"),
        "{refused}"
    );
    let line = 1 + toml
        .lines()
        .position(|line| line.contains("status = 200"))
        .expect("a line");
    assert_eq!(
        (&error["line"], error["column"].is_u64()),
        (&json!(line), true),
        "{refused}"
    );
    assert_eq!(
        gateway.get("/a").text(),
        "new",
        "everything stays as it was"
    );
    assert_eq!(
        (
            gateway.reloads("unchanged"),
            gateway.reloads("applied"),
            gateway.reloads("refused")
        ),
        (1, 1, 1)
    );
}

/// All that ask at once hear of a reload that began after they asked.
#[test]
fn many_may_ask_at_once() {
    let gateway = Gateway::start(&(UNWATCHED.to_owned() + &respond("a", "/a", "old")));
    gateway.write_config(&(UNWATCHED.to_owned() + &respond("a", "/a", "new")));
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let (status, outcome) = ask(&gateway);
                assert_eq!(status, 200, "{outcome}");
                assert_eq!(gateway.get("/a").text(), "new", "{outcome}");
            });
        }
    });
    assert_eq!(gateway.reloads("applied"), 1);
}

#[test]
fn nothing_else_reloads() {
    let gateway = Gateway::start(&(UNWATCHED.to_owned() + &respond("a", "/a", "old")));
    for (method, fields, status) in [
        ("GET", "", 405),
        ("PUT", "", 405),
        // A page in a browser, whichever it is.
        ("POST", "origin: http://localhost:3000\r\n", 403),
        ("POST", "origin: null\r\n", 403),
    ] {
        let head = format!("{method} /reload HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
        let response = gateway.request_to("admin", head);
        assert_eq!(response.status, status, "{method} {fields}");
        if status == 405 {
            assert_eq!(response.headers("allow"), ["POST"]);
        }
    }
    for outcome in ["unchanged", "applied", "refused"] {
        assert_eq!(gateway.reloads(outcome), 0);
    }
}
