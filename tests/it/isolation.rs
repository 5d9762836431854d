//! What separates calls: fresh instances, the end of reused ones, permits, and clients that go away.

use std::time::{Duration, Instant};

use tollgate_tests::{Folder, Gateway, Origin, Step, echo, eventually};

use crate::components::hostile_transformer;
use crate::scene::Scene;

/// The probe scans its whole memory.
const PATIENT: &str = "limits = { cpu = \"1s\", wall = \"10s\" }";

fn probe(gateway: &Gateway, hook: &str) -> String {
    let response = gateway.get(&format!("/{hook}"));
    let told = match hook {
        "transform-request" => response.echoed("x-leak").pop(),
        _ => response.values("x-leak").pop().map(<[u8]>::to_vec),
    };
    let told = told.unwrap_or_else(|| panic!("nothing told: {response:?}"));
    String::from_utf8_lossy(&told).into_owned()
}

#[test]
fn a_fresh_instance_finds_nothing_of_earlier_calls() {
    const HOOKS: [&str; 3] = ["authorize", "transform-request", "transform-response"];
    let origin = Origin::echo();
    let mut scene = Scene::new(&origin).hostile(PATIENT);
    for hook in HOOKS {
        let config = format!("config = {{ act = \"leak\", hook = \"{hook}\" }}");
        scene = scene
            .policy(hook, "hostile", &config)
            .route(hook, &format!("/{hook}"), &[hook]);
    }
    let gateway = Gateway::start(&scene.toml());
    // From several connections, so that slots of the pool change hands.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..150 {
                    let hook = HOOKS[round % 3];
                    assert_eq!(probe(&gateway, hook), "clean", "{hook}, round {round}");
                }
            });
        }
    });
    let visits = gateway.metric(
        "tollgate_plugin_calls_total",
        &[("policy", "transform-request")],
    );
    assert!(visits >= 200.0, "{visits} visits");
}

#[test]
fn the_probe_finds_what_a_reused_instance_keeps_and_a_trap_ends_it() {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        // Each call of the probe takes five pages more, until there are none.
        .hostile("limits = { memory = \"3MiB\", cpu = \"1s\", wall = \"10s\" }")
        .policy(
            "kept",
            "hostile",
            "config = { act = \"leak\" }\ninstances = { calls = 1000 }",
        )
        .route("kept", "/transform-request", &["kept"]);
    let gateway = Gateway::start(&scene.toml());
    let mut calls = 0;
    for _life in 0..2 {
        assert_eq!(probe(&gateway, "transform-request"), "clean");
        calls += 1;
        let failed = loop {
            let response = gateway.get("/transform-request");
            calls += 1;
            assert!(calls < 50, "the memory of a reused instance never ends");
            if response.status != 200 {
                break response;
            }
            let told = response.echoed("x-leak").pop().expect("a finding");
            let told = String::from_utf8_lossy(&told).into_owned();
            for place in ["memory ", "static", "counter ", "thread-local ", "pages "] {
                assert!(told.starts_with("found ") && told.contains(place), "{told}");
            }
        };
        assert_eq!(failed.status, 500);
    }
    let memory = gateway.metric("tollgate_plugin_faults_total", &[("kind", "memory")]);
    assert_eq!(memory, 2.0, "{}", gateway.metrics());
}

#[test]
fn a_reused_instance_serves_as_many_visits_as_it_may() {
    let origin = Origin::echo();
    let count = "config = { act = \"count\", hook = \"transform-response\" }";
    let scene = Scene::new(&origin)
        .hostile("")
        .policy("fresh", "hostile", count)
        .policy(
            "six",
            "hostile",
            &format!("{count}\ninstances = {{ calls = 6 }}"),
        )
        .route("fresh", "/fresh", &["fresh"])
        .route("six", "/six", &["six"]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let mut told = |path: &str| -> (String, String) {
        let response = client.get(path);
        let header = |name| response.header(name).expect("a count");
        (header("x-calls"), header("x-hook-calls"))
    };
    // A request visits the entry twice, with two hooks on the way in and one on the way out.
    for expected in ["1", "2", "3", "1", "2", "3", "1"] {
        let hooks = (expected.parse::<u32>().unwrap_or(0) * 3).to_string();
        assert_eq!(told("/six"), (expected.to_owned(), hooks));
        assert_eq!(told("/fresh"), ("1".to_owned(), "1".to_owned()));
    }
}

#[test]
fn hooks_of_one_visit_share_an_instance() {
    let origin = Origin::echo();
    let scene = Scene::new(&origin).hostile("").policy(
        "count",
        "hostile",
        "config = { act = \"count\", hook = \"transform-request\" }",
    );
    let gateway = Gateway::start(&scene.toml());
    for _ in 0..3 {
        let response = gateway.get("/a");
        assert_eq!(
            response.echoed("x-hook-calls"),
            [b"2"],
            "authorize, then transform-request"
        );
        assert_eq!(response.echoed("x-calls"), [b"1"]);
    }
}

#[test]
fn an_entry_reads_on_the_way_out_what_it_noted_on_the_way_in() {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .hostile("")
        .policy("first", "hostile", "config = { act = \"note\" }")
        .policy(
            "second",
            "hostile",
            "config = { act = \"report\", plugin = \"hostile\" }",
        )
        .route("note", "/note", &["first"])
        .route("report", "/report/{id}", &["first", "second"]);
    let gateway = Gateway::start(&scene.toml());
    assert_eq!(
        gateway
            .get_with("/note", &[("x-note", "mine")])
            .headers("x-note"),
        ["mine"]
    );
    assert_eq!(gateway.get("/note").headers("x-note"), ["noted"]);
    let response = gateway.get_with("/report/a%20b?q=1%2B1", &[("x-note", "seen")]);
    let report = response.json();
    assert_eq!(report["attribute-note"], "seen", "{report}");
    assert_eq!(
        report["own-attribute-note"],
        serde_json::Value::Null,
        "{report}"
    );
    assert_eq!(report["path-parameter-id"], "a b");
    assert_eq!(report["query-parameter-q"], "1+1");
    assert_eq!(report["principal"], "hostile");
    assert_eq!(report["route-name"], "report");
    assert_eq!(report["client-address"], "127.0.0.1");
    assert_eq!(report["authority"], "test.example");
    assert_eq!(
        report["id"].as_str(),
        response.header("x-request-id").as_deref()
    );
    assert_eq!(
        response.headers("x-note"),
        ["seen"],
        "the outer entry saw the reply"
    );
}

#[test]
fn a_call_has_a_wall_time_too() {
    let origin = Origin::echo();
    // On one worker four loops get a quarter of its time each, so that time on the clock ends them.
    let scene = Scene::new(&origin)
        .with("[runtime]\nworkers = 1")
        .hostile("limits = { cpu = \"300ms\", wall = \"300ms\" }")
        .policy("loop", "hostile", "config = { act = \"loop\" }")
        .policy("good", "hostile", "")
        .route("loop", "/loop", &["loop"])
        .route("good", "/good", &["good"]);
    let gateway = Gateway::start(&scene.toml());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let started = Instant::now();
                assert_eq!(gateway.get("/loop").status, 500);
                assert!(started.elapsed() < Duration::from_secs(5));
            });
        }
    });
    let wall = gateway.metric("tollgate_plugin_faults_total", &[("kind", "wall")]);
    assert!(wall >= 3.0, "{}", gateway.metrics());
    gateway.wait_for_log("the call took longer than 300ms (`limits.wall`)");
    assert_eq!(gateway.get("/good").status, 200);
}

fn one_at_a_time() -> (Gateway, Origin) {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .with("[runtime]\nworkers = 2")
        .hostile("limits = { cpu = \"9s\", wall = \"9s\", concurrency = 1 }")
        .policy("loop", "hostile", "config = { act = \"loop\" }")
        .policy("good", "hostile", "")
        .route("loop", "/loop", &["loop"])
        .route("good", "/good", &["good"]);
    (Gateway::start(&scene.toml()), origin)
}

#[test]
fn a_client_that_goes_away_ends_the_call_and_frees_its_place() {
    let (gateway, _origin) = one_at_a_time();
    assert_eq!(gateway.get("/good").status, 200);
    let started = Instant::now();
    let mut client = gateway.client();
    client.send("GET /loop HTTP/1.1\r\nhost: a\r\n\r\n");

    // While the one place is taken, others are told to come back.
    let refused = eventually("a refusal", || {
        let response = gateway.get("/good");
        (response.status == 503).then_some(response)
    });
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    assert_eq!(
        refused.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    let record = gateway.record(|record| record["status"] == 503);
    assert_eq!(record["failure"]["kind"], "plugin-busy");
    // On the way out, if the loop began in between.
    let visits = record["entries"].as_array().expect("visits");
    assert_eq!(visits.last().expect("a visit")["fault"], "busy");

    drop(client);
    eventually("a free place", || {
        (gateway.get("/good").status == 200).then_some(())
    });
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "the call ran to the end of its budget"
    );
    let record = gateway.record(|record| record["path"] == "/loop");
    assert_eq!(record["status"], 0);
    assert_eq!(record["complete"], false);
    assert_eq!(record["failure"]["kind"], "client-gone");
    let spent = gateway.metric("tollgate_plugin_faults_total", &[("policy", "loop")]);
    assert_eq!(spent, 0.0, "that the client went is no fault of the plugin");
    assert_eq!(gateway.metric("tollgate_requests_in_flight", &[]), 0.0);
}

#[test]
fn an_instance_is_not_held_while_the_upstream_thinks() {
    let gate = tollgate_tests::Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |request| match request.target.as_str() {
        "/slow" => vec![Step::WaitFor(held.clone()), Step::Send(echo(request))],
        _ => vec![Step::Send(echo(request))],
    });
    let scene = Scene::new(&origin)
        .hostile("limits.concurrency = 1")
        .policy("good", "hostile", "instances = { calls = 100 }");
    let gateway = Gateway::start(&scene.toml());
    let mut slow = gateway.client();
    slow.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    origin.request(0);
    for _ in 0..5 {
        assert_eq!(gateway.get("/fast").status, 200);
    }
    gate.open();
    assert_eq!(slow.read().status, 200);
}

/// Edits until no more lines fit, and then fails over one that is refused.
fn edits_then_error(hook: &str, first: &str) -> String {
    let fill = "[\"append\", \"x-fill\", \"v\"], ".repeat(120);
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
    let endless = "[\"set\", \"x-new\", \"1\"], ".repeat(20_000);
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
            "limits.cpu = \"1ms\"\nlimits.wall = \"5s\"",
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
