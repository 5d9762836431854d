//! Components that no tool chain makes: variants of the smallest plugin that answer nonsense, break the
//! rules, or belong to other versions of the contract.

use tollgate_tests::{Folder, Gateway, Origin, check};

use crate::components::variant;
use crate::loading::assert_refused;
use crate::refused::{assert_no_plugin, assert_serves, of};
use crate::scene::Scene;

#[test]
fn a_guest_that_answers_nonsense_is_refused_or_faults() {
    let folder = Folder::new();
    let pointer = "\\10\\00\\00\\00\\50";
    for (name, from, to, text) in [
        ("outside", pointer, "\\10\\00\\ff\\7f\\50", "`describe`"),
        (
            "not-utf-8",
            "\\\"name\\\":\\\"wat\\\"",
            "\\\"name\\\":\\\"w\\fft\\\"",
            "`describe`",
        ),
        (
            "no-json",
            "{\\\"name",
            "[\\\"name",
            "its answer is not understood",
        ),
        (
            "no-version",
            "\\\"version\\\"",
            "\\\"versiom\\\"",
            "missing field `version`",
        ),
        (
            "no-schema",
            "\\\"config-schema\\\":{}",
            "\\\"config-schema\\\":[]",
            "no valid config schema",
        ),
    ] {
        assert_no_plugin(&variant(&folder, name, &[(from, to)]), &[text]);
    }

    let configure = "(func (export \"configure\") (param i32 i32) (result i32) (i32.const 256))";
    for (name, answer) in [("far", "i32.const -8"), ("odd-case", "i32.const 16")] {
        let changed = configure.replace("i32.const 256", answer);
        let toml = of(&variant(&folder, name, &[(configure, &changed)]), "");
        assert_refused(&check(&toml), &toml, "entry]", &["`configure` failed"]);
    }

    // `ok`, `respond`: status 200, and headers or a body that are not there.
    let reply = |headers: &str, body: &str| {
        format!(
            "(func (export \"transform-request\") (param i32 i32) (result i32) (i32.const 512))\n\
             (data (i32.const 512) \"\\00\\00\\00\\00\\01\\00\\00\\00\\c8\\00\\00\\00{headers}{body}\")\n\
             (func (export \"old\") (param i32 i32) (result i32)"
        )
    };
    let none = "\\00\\00\\00\\00\\00\\00\\00\\00";
    let far = "\\00\\00\\00\\7f\\10\\00\\00\\00";
    let many = "\\00\\00\\00\\00\\ff\\ff\\ff\\0f";
    let hook = "(func (export \"transform-request\") (param i32 i32) (result i32)";
    let origin = Origin::echo();
    let mut scene = Scene::new(&origin);
    let names = ["far-headers", "many-headers", "far-body", "many-body"];
    let replies = [
        reply(far, none),
        reply(many, none),
        reply(none, far),
        reply(none, many),
    ];
    for (name, reply) in names.into_iter().zip(&replies) {
        let wasm = variant(&folder, name, &[(hook, reply)]);
        scene = scene.plugin(name, &wasm, "").policy(name, name, "").route(
            name,
            &format!("/{name}"),
            &[name],
        );
    }
    let gateway = Gateway::start(&scene.toml());
    for name in names {
        assert_eq!(gateway.get(&format!("/{name}")).status, 500, "{name}");
        let faults = gateway.metric("tollgate_plugin_faults_total", &[("policy", name)]);
        assert_eq!(faults, 1.0, "{name}");
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn versions_of_the_contract_are_told_apart() {
    let folder = Folder::new();
    let at = |version: &str| variant(&folder, version, &[("@0.1.0", &format!("@{version}"))]);
    // A later release of the same contract only adds.
    assert_serves(&at("0.1.7"), "");
    for version in ["0.2.0", "0.10.0", "1.0.0"] {
        let text = format!("tollgate:plugin/lifecycle@{version}");
        assert_no_plugin(&at(version), &["built against", &text]);
    }
    let hook = "plugin/request-transformer@";
    for (name, text) in [
        (
            "limiter-settle",
            "it exports `limiter-settle` without `limiter`, so it would never be called",
        ),
        (
            "cache-store",
            "it exports `cache-store` without `cache-lookup`, so it would never be called",
        ),
        ("mind-reader", "it exports `mind-reader`, which is no hook"),
    ] {
        let wasm = variant(&folder, name, &[(hook, &format!("plugin/{name}@"))]);
        assert_no_plugin(&wasm, &[text]);
    }
}

#[test]
fn what_configure_leaves_in_globals_is_captured_too() {
    let folder = Folder::new();
    let changes = [
        (
            "(memory (export \"memory\") 1)",
            "(memory (export \"memory\") 1) (global $seen (mut i64) (i64.const 0))",
        ),
        (
            "(func (export \"configure\") (param i32 i32) (result i32) (i32.const 256))",
            "(func (export \"configure\") (param i32 i32) (result i32)
               (global.set $seen (i64.const 77)) (i32.const 256))",
        ),
        (
            "(call $drop-request (local.get 0))",
            "(if (i64.ne (global.get $seen) (i64.const 77)) (then unreachable))
             (global.set $seen (i64.const 1))
             (call $drop-request (local.get 0))",
        ),
    ];
    // Serves three requests, each from the captured value and not from what the last one wrote.
    assert_serves(&variant(&folder, "globals", &changes), "");
    assert_serves(&variant(&folder, "globals", &changes), "snapshot = false");
}

#[test]
fn a_guest_that_breaks_the_rules_of_components_faults() {
    let folder = Folder::new();
    let lift =
        "(canon lift (core func $main \"transform-request\") (memory $memory) (realloc $realloc)";
    let after = format!("{lift} (post-return (core func $main \"after\"))");
    let hook = "(func (export \"transform-request\")";
    let endless = format!("(func (export \"after\") (param i32) (loop (br 0)))\n{hook}");
    let kept = variant(
        &folder,
        "kept",
        &[("(call $drop-request (local.get 0))", "")],
    );
    let twice = "(call $drop-edits (local.get 1)) (call $drop-edits (local.get 1))";
    let twice = variant(
        &folder,
        "twice",
        &[("(call $drop-edits (local.get 1))", twice)],
    );
    let other = "(call $drop-request (local.get 1))";
    let other = variant(
        &folder,
        "other",
        &[("(call $drop-request (local.get 0))", other)],
    );
    let after = variant(&folder, "after", &[(lift, &after), (hook, &endless)]);
    let origin = Origin::echo();
    let mut scene = Scene::new(&origin);
    let cases = [
        ("kept", &kept, "trap"),
        ("twice", &twice, "trap"),
        ("other", &other, "trap"),
        ("after", &after, "cpu"),
    ];
    for (name, wasm, _) in cases {
        scene = scene
            .plugin(name, wasm, "limits.wall = \"5s\"")
            .policy(name, name, "instances = { calls = 10 }")
            .route(name, &format!("/{name}"), &[name]);
    }
    let gateway = Gateway::start(&scene.toml());
    for (name, _, kind) in cases {
        for round in 1..=2 {
            assert_eq!(gateway.get(&format!("/{name}")).status, 500, "{name}");
            let labels = [("policy", name), ("kind", kind)];
            let faults = gateway.metric("tollgate_plugin_faults_total", &labels);
            assert_eq!(faults, f64::from(round), "{name}");
        }
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_log_of_many_short_lines_is_bounded_too() {
    let folder = Folder::new();
    let flood = |name: &str, length: u32| {
        let write = format!(
            "(loop (call $write (i32.const 1) (i32.const 16) (i32.const {length})) (br 0))
             (call $drop-request (local.get 0))"
        );
        let import = "(import \"tollgate:plugin/http@";
        let log = format!(
            "(import \"tollgate:plugin/log@0.1.0\" (instance $log
               (type $level' (enum \"debug\" \"info\" \"warn\" \"error\"))
               (export \"level\" (type $level (eq $level')))
               (export \"write\" (func (param \"level\" $level) (param \"message\" string)))))
             (core module $mem (memory (export \"memory\") 1))
             (core instance $mem (instantiate $mem))
             (alias core export $mem \"memory\" (core memory $shared))
             (core func $write (canon lower (func $log \"write\") (memory $shared)))
             {import}"
        );
        let memory = "(import \"mem\" \"memory\" (memory 1))
             (import \"log\" \"write\" (func $write (param i32 i32 i32)))
             (export \"memory\" (memory 0))";
        let with = "(instantiate $main
             (with \"mem\" (instance $mem))
             (with \"log\" (instance (export \"write\" (func $write))))";
        let changes = [
            ("(memory (export \"memory\") 1)", memory),
            (import, log.as_str()),
            ("(instantiate $main", with),
            ("(call $drop-request (local.get 0))", &write),
        ];
        variant(&folder, name, &changes)
    };
    let origin = Origin::echo();
    for (name, length) in [("empty", 0), ("short", 1)] {
        let scene = Scene::new(&origin)
            .plugin(
                "odd",
                &flood(name, length),
                "snapshot = false\nlimits = { cpu = \"20ms\", wall = \"5s\" }",
            )
            .policy("entry", "odd", "");
        let gateway = Gateway::start(&scene.toml());
        assert_eq!(gateway.get("/a").status, 500);
        gateway.wait_for_event(&["fault=\"cpu\""]);
        let written = gateway.stderr().len();
        assert!(
            written < 64 << 10,
            "{name}: {written} bytes of log for one call"
        );
    }
}
