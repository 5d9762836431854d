//! What separates calls: fresh instances, the end of reused ones, permits, and clients that go away.

use std::time::{Duration, Instant};

use tollgate_tests::{Gateway, Origin, Step, echo, eventually};

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
