//! Plugins that misbehave while they serve: each fault in each hook ends its own request alone, with
//! the answer, the count, the record and the log lines that it should leave.

use std::time::{Duration, Instant};

use tollgate_tests::{Gateway, Origin, Response};

use crate::scene::Scene;

const HOOKS: [&str; 3] = ["authorize", "transform-request", "transform-response"];

/// One route `/HOOK` for each hook in which this act happens, and `/good` with an instance that
/// behaves.
fn in_each_hook(act: &str, limits: &str) -> (Gateway, Origin) {
    let origin = Origin::echo();
    let mut scene = Scene::new(&origin)
        .hostile(&format!("limits = {{ {limits} }}"))
        .policy("good", "hostile", "")
        .route("good", "/good", &["good"]);
    for hook in HOOKS {
        let config = format!("config = {{ act = \"{act}\", hook = \"{hook}\" }}");
        scene = scene
            .policy(hook, "hostile", &config)
            .route(hook, &format!("/{hook}"), &[hook]);
    }
    (Gateway::start(&scene.toml()), origin)
}

#[track_caller]
fn assert_problem(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.complete);
    assert_eq!(
        response.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    let problem = response.json();
    assert_eq!(problem["status"], status);
    assert_eq!(
        problem["request-id"].as_str(),
        response.header("x-request-id").as_deref()
    );
    // What failed is for the log.
    let text = response.text();
    for inside in ["hostile", "boom", "deliberate", "wasm"] {
        assert!(!text.contains(inside), "{text}");
    }
}

/// Asks the route of each hook, twice, and a good one after each. Answers the log.
#[track_caller]
fn faults_in_each_hook(act: &str, limits: &str, kind: &str) -> (Gateway, Origin) {
    let (gateway, origin) = in_each_hook(act, limits);
    for (index, hook) in HOOKS.into_iter().enumerate() {
        let before = origin.requests();
        for round in 1..=2 {
            let started = Instant::now();
            let response = gateway.get(&format!("/{hook}"));
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{act} in {hook}"
            );
            assert_problem(&response, 500);
            let faults = gateway.metric(
                "tollgate_plugin_faults_total",
                &[
                    ("kind", kind),
                    ("policy", hook),
                    ("plugin", "hostile"),
                    ("route", hook),
                ],
            );
            assert_eq!(
                faults,
                f64::from(round),
                "{act} in {hook}:\n{}",
                gateway.metrics()
            );
        }
        // A fault on the way in never reaches the upstream; one on the way out comes after it.
        let reached = if index < 2 { 0 } else { 2 };
        assert_eq!(origin.requests() - before, reached, "{act} in {hook}");
        assert_eq!(gateway.get("/good").status, 200, "after {act} in {hook}");

        let record = gateway.record(|record| record["route"] == hook);
        assert_eq!(record["status"], 500);
        assert_eq!(record["failure"]["blame"], "plugin");
        assert_eq!(record["failure"]["kind"], "plugin-fault");
        let visits = record["entries"].as_array().expect("visits");
        let visit = visits.last().expect("a visit");
        assert_eq!(visit["verdict"], "fault");
        assert_eq!(visit["fault"], kind);
        assert_eq!(visit["side"], if index < 2 { "in" } else { "out" });
    }
    let all = gateway.metric("tollgate_plugin_faults_total", &[]);
    assert_eq!(all, 6.0, "other faults than of kind {kind}");
    (gateway, origin)
}

#[test]
fn an_endless_loop_ends_with_its_budget() {
    let (gateway, _origin) = faults_in_each_hook("loop", "cpu = \"20ms\", wall = \"4s\"", "cpu");
    gateway.wait_for_log("the call used more than 20ms of processor time (`limits.cpu`)");
    let record = gateway.record(|record| record["route"] == "authorize");
    let cpu = record["entries"][0]["cpu_us"]
        .as_u64()
        .expect("measured time");
    assert!((19_000..60_000).contains(&cpu), "{cpu} us");
}

#[test]
fn endless_recursion_traps() {
    let (gateway, _origin) = faults_in_each_hook("recurse", "cpu = \"1s\", wall = \"4s\"", "trap");
    let log = gateway.stderr();
    // Either bound may be the first: the guest's own stack lies below its data, the host's is larger.
    assert!(
        log.contains("call stack exhausted") || log.contains("out of bounds"),
        "{log}"
    );
}

#[test]
fn memory_that_cannot_be_had_traps() {
    let limits = "memory = \"4MiB\", cpu = \"1s\", wall = \"4s\"";
    let (gateway, _origin) = faults_in_each_hook("out-of-memory", limits, "memory");
    gateway.wait_for_log("it was refused more than 4194304 bytes (`limits.memory`)");
}

#[test]
fn unreachable_traps() {
    let (gateway, _origin) = faults_in_each_hook("trap", "", "trap");
    gateway.wait_for_log("`unreachable` instruction executed");
}

#[test]
fn a_panic_is_told_with_its_text_and_where_it_was() {
    let (gateway, _origin) = faults_in_each_hook("panic", "", "trap");
    for hook in HOOKS {
        let record = gateway.record(|record| record["route"] == hook);
        let id = record["id"].as_str().expect("an identifier");
        let event = gateway.wait_for_event(&[id, "fault=\"trap\""]);
        for part in [
            &format!("boom from {hook}"),
            "tests/guests/hostile/src/lib.rs",
            "plugin=\"hostile\"",
            &format!("policy=\"{hook}\""),
            &format!("route=\"{hook}\""),
            "wasm backtrace",
            "guest_hostile::Hostile",
            "::panicking::panic_fmt",
        ] {
            assert!(event.contains(part), "no {part} in {event}");
        }
    }
}

#[test]
fn an_error_is_told_with_its_text() {
    let (gateway, _origin) = faults_in_each_hook("error", "", "error");
    for hook in HOOKS {
        let policy = format!("policy=\"{hook}\"");
        gateway.wait_for_event(&["deliberate error", "fault=\"error\"", &policy, "request=\""]);
    }
}

#[test]
fn a_reply_that_is_not_http_is_a_fault() {
    let (gateway, _origin) = faults_in_each_hook("bad-reply", "", "bad-reply");
    gateway.wait_for_log("status 99 is not between 200 and 599");
}

#[test]
fn a_guest_that_is_refused_memory_and_bears_it_goes_on() {
    let limits = "memory = \"4MiB\", cpu = \"1s\", wall = \"4s\"";
    let (gateway, _origin) = in_each_hook("memory-bomb", limits);
    let authorize = gateway.get("/authorize");
    let request = gateway.get("/transform-request");
    let response = gateway.get("/transform-response");
    let told = |value: Option<String>| -> u64 {
        value
            .and_then(|text| text.parse().ok())
            .expect("what was allocated")
    };
    let request = request.echoed("x-allocated-kib").pop();
    let request = request.map(|value| String::from_utf8_lossy(&value).into_owned());
    for got in [
        told(authorize.header("x-allocated-kib")),
        told(request),
        told(response.header("x-allocated-kib")),
    ] {
        assert!((1_024..4_096).contains(&got), "{got} KiB of 4 MiB");
    }
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &[]), 0.0);
}

#[test]
fn a_huge_log_is_cut_and_the_cut_is_told() {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .hostile("limits = { cpu = \"1s\", wall = \"4s\" }")
        .policy(
            "loud",
            "hostile",
            "config = { act = \"huge-log\", amount = 50 }",
        );
    let gateway = Gateway::start(&scene.toml());
    let before = gateway.stderr().len();
    assert_eq!(gateway.get("/a").status, 200);
    let line = gateway.wait_for_log("a call logged more than its bound");
    assert!(
        line.contains("bytes=49") && line.contains("policy=\"loud\""),
        "{line}"
    );
    let written = gateway.stderr().len() - before;
    assert!(
        (16 << 10..24 << 10).contains(&written),
        "{written} bytes of 5 MB"
    );
}

#[test]
fn attributes_are_bounded() {
    let (gateway, _origin) = in_each_hook("attribute-bomb", "cpu = \"1s\", wall = \"4s\"");
    let told = [
        gateway.get("/authorize").headers("x-attributes"),
        gateway.get("/transform-response").headers("x-attributes"),
    ];
    let request = gateway.get("/transform-request").echoed("x-attributes");
    // 64 KiB of names and values, in notes of 1 KiB and a name.
    assert_eq!(told, [["63"], ["63"]]);
    assert_eq!(request, [b"63"]);
}

#[test]
fn a_header_bomb_is_bounded_on_both_sides() {
    let (gateway, origin) = {
        let origin = Origin::echo();
        let mut scene = Scene::new(&origin).hostile("limits = { cpu = \"1s\", wall = \"4s\" }");
        for hook in &HOOKS[1..] {
            let config = format!("config = {{ act = \"header-bomb\", hook = \"{hook}\" }}");
            scene =
                scene
                    .policy(hook, "hostile", &config)
                    .route(hook, &format!("/{hook}"), &[hook]);
        }
        (Gateway::start(&scene.toml()), origin)
    };
    let response = gateway.get("/transform-request");
    assert_eq!(response.status, 200);
    let received = origin.request(0);
    assert_bombed(
        &received.head,
        received.values("x-bomb").len(),
        received.header("x-bomb-count"),
    );
    assert_eq!(received.header("x-bomb-huge").as_deref(), Some("refused"));

    let response = gateway.get("/transform-response");
    assert_eq!(response.status, 200);
    assert_bombed(
        &response.head,
        response.values("x-bomb").len(),
        response.header("x-bomb-count"),
    );
    assert_eq!(response.header("x-bomb-huge").as_deref(), Some("refused"));
    assert_eq!(
        response.json()["method"],
        "GET",
        "the body is the upstream's"
    );
}

#[track_caller]
fn assert_bombed(head: &[u8], lines: usize, told: Option<String>) {
    assert_eq!(told.and_then(|text| text.parse().ok()), Some(lines));
    assert!((110..=128).contains(&lines), "{lines} lines of 1 KiB");
    assert!(head.len() < (128 << 10) + 1_536, "{} bytes", head.len());
}

#[test]
fn an_unusual_reply_is_sent_as_it_is() {
    let (gateway, origin) = in_each_hook("reply", "");
    for (index, hook) in HOOKS.into_iter().enumerate() {
        let response = gateway.get(&format!("/{hook}"));
        assert_eq!(response.status, 418, "{response:?}");
        assert_eq!(
            response.headers("set-cookie"),
            ["a=1; Path=/", "b=2; Path=/"]
        );
        assert_eq!(response.values("x-latin-1"), [b"caf\xe9"]);
        assert_eq!(response.header("content-length").as_deref(), Some("6"));
        assert_eq!(response.body, b"teapot");
        assert_eq!(origin.requests(), usize::from(index == 2), "{hook}");
        let record = gateway.record(|record| record["route"] == hook);
        let verdict = if index == 0 { "deny" } else { "respond" };
        let visits = record["entries"].as_array().expect("visits");
        assert_eq!(visits.last().expect("a visit")["verdict"], verdict);
        assert_eq!(
            record["failure"],
            serde_json::Value::Null,
            "a decision is no failure"
        );
    }
}

#[test]
fn what_a_call_may_use_is_its_own_and_not_what_others_left() {
    // Spins through most of its budget in every call of one reused instance: budgets are per call.
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .hostile("limits = { cpu = \"100ms\", wall = \"5s\" }")
        .policy(
            "busy",
            "hostile",
            "config = { act = \"spin\", amount = 20_000_000 }\ninstances = { calls = 1000 }",
        );
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    for _ in 0..30 {
        assert_eq!(client.get("/a").status, 200);
    }
    let visits = gateway.record(|record| record["entries"][0]["cpu_us"].as_u64() > Some(1_000));
    assert_eq!(visits["entries"][0]["verdict"], "allow");
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &[]), 0.0);
}

#[test]
fn the_record_says_why_in_one_line() {
    for (act, why) in [("panic", "boom from authorize"), ("trap", "unreachable")] {
        let origin = Origin::echo();
        let config = format!("config = {{ act = \"{act}\", hook = \"authorize\" }}");
        let scene = Scene::new(&origin)
            .hostile("")
            .policy("bad", "hostile", &config);
        let gateway = Gateway::start(&scene.toml());
        assert_problem(&gateway.get("/a"), 500);
        let record = gateway.record(|record| record["route"] == "all");
        let detail = record["failure"]["detail"].as_str().expect("a detail");
        assert!(
            detail.starts_with("bad: trap: ") && detail.contains(why),
            "{detail}"
        );
    }
}
