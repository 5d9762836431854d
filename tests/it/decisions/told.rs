//! A decision that asks to be remembered and cannot be: the operator is told why. And what the operator
//! allows of what is asked for.

use tollgate_tests::{Folder, Gateway, Origin, check, eventually};

use super::{INSTANCES, calls, remembered, scene};

/// Lines of the log about it.
fn told(gateway: &Gateway) -> Vec<String> {
    let log = gateway.stderr();
    let lines = log.lines();
    lines
        .filter(|line| line.contains("asked to be remembered"))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn in_vain(gateway: &Gateway) -> f64 {
    let labels = [("policy", "auth"), ("route", "all")];
    gateway.metric("tollgate_decisions_not_remembered_total", &labels)
}

#[test]
fn what_is_asked_for_in_vain_is_told_once() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let id = "read the request's identifier";
    for (reads, why) in [
        ("\"path\", \"clock\"", "because it read the clock: "),
        ("\"random\"", "because it used `random`: "),
        (
            "\"random\", \"clock\"",
            "read the clock and used `random`: ",
        ),
        ("\"id\"", id),
        ("\"header:X-Request-ID\"", id),
        ("\"header-values:x-request-id\"", id),
        ("\"headers\"", id),
    ] {
        let authorize = format!("{{ reads = [{reads}], remember-ms = 3_600_000 }}");
        for instances in INSTANCES {
            let gateway = Gateway::start(&scene(&folder, &origin, &authorize, instances).toml());
            for _ in 0..3 {
                assert_eq!(gateway.get("/a").status, 200);
            }
            let line = gateway.wait_for_log(why);
            for text in [
                " WARN ",
                "asked to be remembered for 3600s and is not",
                "plugin=\"auth\"",
                "policy=\"auth\"",
                "leave `remember` out",
                "`tollgate_decisions_not_remembered_total` counts on",
            ] {
                assert!(line.contains(text), "no `{text}` in {line}");
            }
            assert_eq!(told(&gateway).len(), 1, "{reads}");
            assert_eq!((calls(&gateway), remembered(&gateway)), (3, 0), "{reads}");
            assert_eq!(in_vain(&gateway), 3.0, "{reads}");
        }
    }
}

#[test]
fn what_is_too_much_is_told_too() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let many: Vec<String> = (0..=64)
        .map(|name| format!("\"header:x-{name}\""))
        .collect();
    let large = format!("\"path\", \"literal:{}\"", "x".repeat(20_000));
    let note = format!(
        "{large}], notes = {{ n = \"literal:{}\" }}, branches = {{ ",
        "y".repeat(40_000)
    );
    for (reads, why) in [
        (
            many.join(", ") + "], branches = { ",
            "called more getters of the request than",
        ),
        (note, "bytes with its notes, and at most 65536 are kept"),
    ] {
        let authorize = format!("{{ reads = [{reads}}}, remember-ms = 3_600_000 }}");
        let gateway = Gateway::start(
            &scene(&folder, &origin, &authorize, "")
                .toml()
                .replace("chain = [\"auth\", \"tell\"]", "chain = [\"auth\"]"),
        );
        for _ in 0..2 {
            assert_eq!(gateway.get("/a").status, 200);
        }
        gateway.wait_for_log(why);
        assert_eq!(told(&gateway).len(), 1);
        assert_eq!(in_vain(&gateway), 2.0);
    }
}

/// Nothing is told of what nobody asked for, nor of what is remembered.
#[test]
fn nothing_is_told_where_nothing_is_wrong() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for (authorize, more) in [
        ("{ reads = [\"clock\"] }", ""),
        ("{ reads = [\"clock\"], remember-ms = 0 }", ""),
        (
            "{ reads = [\"path\", \"header-names\"], remember-ms = 3_600_000 }",
            "",
        ),
        (
            "{ reads = [\"clock\"], remember-ms = 3_600_000 }",
            "remember-at-most = \"0s\"",
        ),
    ] {
        let gateway = Gateway::start(&scene(&folder, &origin, authorize, more).toml());
        gateway.get("/a");
        gateway.get("/a");
        assert_eq!(in_vain(&gateway), 0.0, "{authorize}");
        assert_eq!(told(&gateway), [""; 0], "{authorize}");
    }
}

const PATH: &str = "{ reads = [\"path\"], remember-ms = 3_600_000 }";

#[test]
fn the_operator_forbids_or_shortens_it() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let toml = |more: &str| {
        scene(&folder, &origin, PATH, more)
            .with("[runtime]\nwatch = false")
            .toml()
    };
    let gateway = Gateway::start(&toml("remember-at-most = \"0s\""));
    for round in 1..=3 {
        gateway.get("/a");
        assert_eq!((calls(&gateway), remembered(&gateway)), (round, 0));
    }
    // What a reload allows is remembered, and what it forbids is forgotten.
    gateway.reload(&toml(""));
    gateway.get("/a");
    gateway.get("/a");
    assert_eq!((calls(&gateway), remembered(&gateway)), (4, 1));
    gateway.reload(&toml("remember-at-most = \"24h\""));
    gateway.get("/a");
    assert_eq!(
        (calls(&gateway), remembered(&gateway)),
        (4, 2),
        "the default"
    );
    gateway.reload(&toml("remember-at-most = \"1h\""));
    gateway.get("/a");
    gateway.get("/a");
    assert_eq!((calls(&gateway), remembered(&gateway)), (5, 3));
    gateway.reload(&toml("remember-at-most = \"50ms\""));
    eventually("calls again and again", || {
        gateway.get("/a");
        (calls(&gateway) > 8).then_some(())
    });
}

#[test]
fn bad_bounds_are_refused_in_their_place() {
    for (value, text) in [
        ("\"25h\"", "0ms to 24h"),
        ("5", "a string with a unit"),
        ("\"5\"", "one of the units"),
        ("false", "a string with a unit"),
    ] {
        let toml = format!(
            "[listeners.a]\naddress = \"127.0.0.1:0\"\n[policies.p]\nplugin = \"basic-auth\"\n\
             remember-at-most = {value}\n[routes.r]\nmatch = \"/\"\nrespond = {{ status = 200 }}\n"
        );
        let said = check(&toml);
        let first = said.stderr.lines().next().unwrap_or_default();
        assert!(
            !said.ok && first.contains(":5:20: error:"),
            "{}",
            said.stderr
        );
        assert!(first.contains("policies.p.remember-at-most"), "{first}");
        assert!(said.stderr.contains(text), "no `{text}` in {}", said.stderr);
    }
}
