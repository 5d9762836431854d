//! What a fault leaves behind: nothing of its own edits, and an answer that passes the entries that were
//! entered before it.

use tollgate_tests::{Folder, Gateway, Origin, Step, echo};

use crate::components::hostile_transformer;
use crate::scene::Scene;

/// What an entry noted in a call that faulted is no note.
#[test]
fn notes_of_a_call_that_faulted_are_undone() {
    let folder = Folder::new();
    let origin = Origin::echo();
    let trap = |hook: &str| {
        format!("on-fault = \"open\"\nconfig = {{ act = \"note-and-trap\", hook = \"{hook}\" }}")
    };
    let tell = "config = { act = \"note\", plugin = \"hostile\" }";
    let scene = Scene::new(&origin)
        .plugin(
            "hostile",
            &hostile_transformer(&folder),
            "limits.wall = \"5s\"",
        )
        .policy("tell", "hostile", tell)
        .policy("in", "hostile", &trap("transform-request"))
        .policy("out", "hostile", &trap("transform-response"));
    let gateway = Gateway::start(&scene.toml());
    let answer = gateway.get("/a");
    assert_eq!(answer.status, 200);
    // Outermost stands what `tell` noted itself; the entry that trapped on the way in has no note.
    assert_eq!(answer.headers("x-note"), ["noted"]);
    for policy in ["in", "out"] {
        let faults = [("policy", policy), ("kind", "trap")];
        assert!(gateway.metric("tollgate_plugin_faults_total", &faults) >= 1.0);
    }
}

/// Edits until no more lines fit, and then fails over one that is refused.
fn edits_then_error(hook: &str, first: &str) -> String {
    let fill = "[\"append\", \"x-fill\", \"v\"], ".repeat(240);
    format!("config = {{ act = \"edit\", hook = \"{hook}\", edits = [{first}, {fill}] }}")
}

#[test]
fn an_entry_that_fails_open_leaves_no_trace_on_either_side() {
    let folder = Folder::new();
    let origin = Origin::raw(|request| {
        let answer = String::from_utf8_lossy(&echo(request)).into_owned();
        vec![Step::Send(
            answer
                .replacen("\r\n", "\r\nx-keep: up\r\n", 1)
                .into_bytes(),
        )]
    });
    let request = "[\"set-method\", \"DELETE\"], [\"set-path\", \"/elsewhere\"], \
                   [\"set-authority\", \"other\"], [\"remove\", \"x-keep\"], [\"set\", \"x-new\", \"1\"]";
    let response =
        "[\"set-status\", \"404\"], [\"remove\", \"x-keep\"], [\"set\", \"x-new\", \"1\"]";
    let open = "on-fault = \"open\"";
    // Among many lines each edit takes longer, so that the processor time ends among them.
    let fill = "[\"append\", \"x-fill\", \"v\"], ".repeat(80);
    let endless = fill + &"[\"set\", \"x-new\", \"1\"], ".repeat(12_000);
    let cut = |hook: &str| {
        format!("config = {{ act = \"edit\", hook = \"{hook}\", edits = [{endless}] }}\n{open}")
    };
    let (on_request, on_response) = ("transform-request", "transform-response");
    let scene = Scene::new(&origin)
        .plugin(
            "hostile",
            &hostile_transformer(&folder),
            "limits.cpu = \"500ms\"\nlimits.wall = \"5s\"",
        )
        .plugin(
            "short",
            &hostile_transformer(&folder),
            "limits.cpu = \"2ms\"\nlimits.wall = \"5s\"",
        )
        .policy(
            "in",
            "hostile",
            &format!("{}\n{open}", edits_then_error(on_request, request)),
        )
        .policy(
            "out",
            "hostile",
            &format!("{}\n{open}", edits_then_error(on_response, response)),
        )
        .policy("in-cut", "short", &cut(on_request))
        .policy("out-cut", "short", &cut(on_response))
        .policy(
            "last",
            "headers",
            "config.response.set = { x-last = \"seen\" }",
        )
        .policy("closed", "hostile", &edits_then_error(on_request, request))
        .route("open", "/open", &["in", "out", "last"])
        .route("cut", "/cut", &["in-cut", "out-cut", "last"])
        .route("closed", "/closed", &["closed"]);
    let gateway = Gateway::start(&scene.toml());
    for (path, kind, entries) in [
        ("/open", "error", ["in", "out"]),
        ("/cut", "cpu", ["in-cut", "out-cut"]),
    ] {
        let response = gateway.get_with(path, &[("x-keep", "client")]);
        assert_eq!(response.status, 200, "{response:?}");
        let echo = response.json();
        assert_eq!(
            (echo["method"].as_str(), echo["target"].as_str()),
            (Some("GET"), Some(path))
        );
        assert_eq!(response.echoed("x-keep"), [b"client"]);
        assert_eq!(response.echoed("host"), [b"test.example"]);
        assert_eq!(response.headers("x-keep"), ["up"]);
        assert_eq!(response.headers("x-last"), ["seen"]);
        for name in ["x-new", "x-fill", "x-refused"] {
            assert!(response.echoed(name).is_empty() && response.headers(name).is_empty());
        }
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(record["status"], 200);
        assert_eq!(
            record["failure"]["blame"], "plugin",
            "it is told all the same"
        );
        for entry in entries {
            let labels = [("policy", entry), ("kind", kind)];
            assert_eq!(
                gateway.metric("tollgate_plugin_faults_total", &labels),
                1.0,
                "{entry}"
            );
        }
    }
    let before = origin.requests();
    assert_eq!(gateway.get("/closed").status, 500);
    assert_eq!(origin.requests(), before);
}

#[test]
fn an_error_passes_out_through_the_entries_that_were_entered() {
    let origin = Origin::fixed(
        "HTTP/1.1 200 OK\r\nx-upstream: 1\r\nset-cookie: a=1\r\ncontent-length: 2\r\n\r\nok",
    );
    let mark = |name: &str| format!("config.response.set = {{ x-{name} = \"{{status}}\" }}");
    let act = |hook: &str| format!("config = {{ act = \"trap\", hook = \"{hook}\" }}");
    let scene = Scene::new(&origin)
        .hostile("")
        .policy("outer", "headers", &mark("outer"))
        .policy("middle", "headers", &mark("middle"))
        .policy("in", "hostile", &act("transform-request"))
        .policy("out", "hostile", &act("transform-response"))
        .policy("inner", "headers", &mark("inner"))
        .route("in", "/in", &["outer", "middle", "in", "inner"])
        .route("out", "/out", &["outer", "middle", "out", "inner"])
        .with("[upstreams.dead]\nservers = [\"http://127.0.0.1:1\"]")
        .with(
            "[routes.dead]\nmatch = \"/dead\"\nchain = [\"outer\", \"inner\"]\nupstream = \"dead\"",
        );
    let gateway = Gateway::start(&scene.toml());

    let response = gateway.get("/in");
    assert_eq!(response.status, 500);
    assert_eq!(response.headers("x-outer"), ["500"]);
    assert_eq!(response.headers("x-middle"), ["500"]);
    assert!(response.headers("x-inner").is_empty(), "never entered");
    let labels = |policy, side| [("policy", policy), ("side", side)];
    let calls = |policy, side| gateway.metric("tollgate_plugin_calls_total", &labels(policy, side));
    assert_eq!(calls("in", "in"), 1.0);
    assert_eq!(
        calls("in", "out"),
        0.0,
        "the entry that failed does not see its own failure"
    );
    assert_eq!(origin.requests(), 0);

    let response = gateway.get("/out");
    assert_eq!(response.status, 500);
    assert_eq!(response.headers("x-outer"), ["500"]);
    assert_eq!(response.headers("x-middle"), ["500"]);
    // What the upstream said is gone with its answer.
    for name in ["x-upstream", "set-cookie", "x-inner"] {
        assert!(response.headers(name).is_empty(), "{name}");
    }
    assert_eq!(response.json()["status"], 500);
    assert_eq!(origin.requests(), 1);

    let response = gateway.get("/dead");
    assert_eq!(response.status, 502);
    assert_eq!(response.headers("x-outer"), ["502"]);
    assert_eq!(response.headers("x-inner"), ["502"]);
}

#[test]
fn the_least_budget_is_enough_for_a_short_call() {
    // Each call works for a fifth of its budget: that a tick of the clock falls into one, or comes as
    // it begins, does not end it.
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .hostile("limits = { cpu = \"1ms\", wall = \"5s\" }")
        .policy(
            "short",
            "hostile",
            "config = { act = \"spin\", amount = 500_000 }\ninstances = { calls = 1000 }",
        );
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    for round in 0..100 {
        assert_eq!(client.get("/a").status, 200, "round {round}");
    }
}
