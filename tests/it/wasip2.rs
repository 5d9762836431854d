//! A component of another tool chain: built for `wasm32-wasip2`, it imports WASI, which is linked and
//! has nothing in it.

use tollgate_tests::{Gateway, Origin, guest};

use crate::scene::Scene;

fn scene(origin: &Origin, config: &str) -> Scene {
    Scene::new(origin)
        .plugin(
            "wasi",
            &guest("guest_wasip2"),
            "limits = { cpu = \"200ms\", wall = \"2s\" }",
        )
        .policy("tries", "wasi", &format!("config = {{ {config} }}"))
}

#[test]
fn what_it_prints_goes_to_the_log() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&scene(&origin, "attempts = [\"print\"]").toml());
    let response = gateway.get("/a");
    assert_eq!(response.status, 200);
    assert_eq!(response.echoed("x-wasi-print"), [b"granted ()"]);
    assert_eq!(response.headers("x-wasi-print"), ["granted ()"]);
    for hook in ["authorize", "transform-request", "transform-response"] {
        for stream in ["stdout", "stderr"] {
            let line = gateway.wait_for_log(&format!("{stream} of {hook}"));
            assert!(line.contains("plugin=\"wasi\""), "{line}");
        }
    }
    // Standard output is the access log's.
    gateway.record(|record| record["status"] == 200);
    assert_eq!(gateway.stdout().lines().count(), 1);
}

#[test]
fn a_panic_is_a_fault_like_any_other() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&scene(&origin, "panic = true").toml());
    for round in 1..=2 {
        assert_eq!(gateway.get("/a").status, 500);
        let faults = gateway.metric("tollgate_plugin_faults_total", &[("kind", "trap")]);
        assert_eq!(faults, f64::from(round));
    }
    gateway.wait_for_log("boom from wasip2");
    // The backtrace has the names of functions.
    gateway.wait_for_log("guest_wasip2::Wasip2 as tollgate_plugin::Authorizer");
    assert_eq!(origin.requests(), 0);
}

#[test]
fn nothing_is_granted() {
    let origin = Origin::echo();
    for (attempt, expected) in [
        ("arguments", "0"),
        ("variables", "0"),
        ("file", "refused "),
        ("socket", "refused "),
    ] {
        let gateway = Gateway::builder()
            .env("SECRET_OF_THE_HOST", "1")
            .start(&scene(&origin, &format!("attempts = [\"{attempt}\"]")).toml());
        let response = gateway.get("/a");
        let name = format!("x-wasi-{attempt}");
        assert_eq!(response.status, 200, "{attempt}: {response:?}");
        for told in [
            response.echoed(&name),
            response.values(&name).iter().map(|v| v.to_vec()).collect(),
        ] {
            let told = String::from_utf8_lossy(&told[0]).into_owned();
            assert!(told.starts_with(expected), "{attempt}: {told}");
        }
    }
}

#[test]
fn time_and_seeds_are_not_secret() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&scene(&origin, "attempts = [\"time\", \"random\"]").toml());
    let response = gateway.get("/a");
    assert_eq!(response.echoed("x-wasi-time"), [b"granted true"]);
    assert_eq!(response.headers("x-wasi-time"), ["granted true"]);
    assert!(response.headers("x-wasi-random")[0].starts_with("granted "));
}

#[test]
fn a_loop_of_prints_is_held_to_its_bounds() {
    let origin = Origin::echo();
    let attempts = "\"print\", ".repeat(200);
    let gateway = Gateway::start(&scene(&origin, &format!("attempts = [{attempts}]")).toml());
    assert_eq!(gateway.get("/a").status, 200);
    gateway.record(|record| record["status"] == 200);
    let log = gateway.stderr();
    let lines = log.matches("stdout of").count() + log.matches("stderr of").count();
    // Three calls, with 16 KiB each; a line counts some 150 bytes.
    assert!((100..600).contains(&lines), "{lines} lines of 1,200");
}
