//! Instances that are put back after a visit: nothing that a guest can change stays, and what cannot be put
//! back is not used again.

use std::path::Path;

use tollgate_tests::{Folder, Gateway, Origin, check, guest};

use crate::components::variant;
use crate::scene::Scene;

const ENTRY: &str = "(call $drop-request (local.get 0))";
const MEMORY: &str = "(memory (export \"memory\") 1)";
const ROUNDS: usize = 40;

/// Faults unless all of its memory is zero behind the first 2048 bytes, where its configuration and answers
/// are, and then writes each byte of it.
const HIDES_IN_MEMORY: &str = "
  (local.set $at (i32.const 2048))
  (loop $next
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0)) (then unreachable))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $at) (i32.const 65536))))
  (memory.fill (i32.const 2048) (i32.const 171) (i32.const 63488))
  (call $drop-request (local.get 0))";

fn hides_in_memory(folder: &Folder) -> std::path::PathBuf {
    let hook = "(func (export \"transform-request\") (param i32 i32) (result i32)";
    let changes = [
        (hook, &*format!("{hook} (local $at i32)")),
        (ENTRY, HIDES_IN_MEMORY),
    ];
    variant(folder, "hides-in-memory", &changes)
}

/// Serves with fresh instances, and answers how many of them wait for another call.
fn waiting_after(wasm: &Path, more: &str) -> f64 {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .with("[runtime]\nworkers = 1")
        .with(more)
        .plugin("guest", wasm, "limits = { cpu = \"1s\", wall = \"10s\" }")
        .policy("guest", "guest", "");
    let gateway = Gateway::start(&scene.toml());
    for round in 0..ROUNDS {
        let response = gateway.get("/x");
        assert_eq!(response.status, 200, "round {round}: {response:?}");
    }
    let faults = gateway.metric("tollgate_plugin_faults_total", &[("plugin", "guest")]);
    assert_eq!(faults, 0.0);
    gateway.metric(
        "tollgate_plugin_instances",
        &[("plugin", "guest"), ("state", "waiting")],
    )
}

#[test]
fn every_byte_of_memory_is_put_back() {
    let folder = Folder::new();
    let wasm = hides_in_memory(&folder);
    assert_eq!(waiting_after(&wasm, ""), 1.0);
}

#[test]
fn where_pages_are_not_looked_up_instances_are_made_anew() {
    let folder = Folder::new();
    let wasm = hides_in_memory(&folder);
    assert_eq!(waiting_after(&wasm, "page-scan = false"), 0.0);
}

#[test]
fn a_changed_global_ends_its_instance() {
    let folder = Folder::new();
    for ty in ["i32", "i64", "f64"] {
        let global = format!("{MEMORY} (global $seen (mut {ty}) ({ty}.const 0))");
        let hides = format!(
            "(if ({ty}.ne (global.get $seen) ({ty}.const 0)) (then unreachable))
             (global.set $seen ({ty}.const 7)) {ENTRY}"
        );
        let changes = [(MEMORY, &*global), (ENTRY, &*hides)];
        let wasm = variant(&folder, "hides-in-a-global", &changes);
        assert_eq!(waiting_after(&wasm, ""), 0.0, "{ty}");
    }
}

#[test]
fn a_global_that_is_as_it_was_ends_nothing() {
    let folder = Folder::new();
    let changes = [
        (
            MEMORY,
            "(memory (export \"memory\") 1) (global $stack (mut i32) (i32.const 5))",
        ),
        (
            ENTRY,
            "(global.set $stack (i32.const 9)) (call $drop-request (local.get 0))
             (global.set $stack (i32.const 5))",
        ),
    ];
    let wasm = variant(&folder, "moves-a-pointer", &changes);
    assert_eq!(waiting_after(&wasm, ""), 1.0);
}

#[test]
fn memory_that_grew_ends_its_instance() {
    let folder = Folder::new();
    let grows = "(if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then unreachable))
                 (i32.store (i32.const 70000) (i32.const 1))
                 (call $drop-request (local.get 0))";
    let wasm = variant(&folder, "grows", &[(ENTRY, grows)]);
    assert_eq!(waiting_after(&wasm, ""), 0.0);
}

#[test]
fn the_order_in_which_handles_were_dropped_does_not_show() {
    let folder = Folder::new();
    // The first handle is number 1 in a new instance; dropped first, it would be the second's next time.
    let first = "(if (i32.ne (local.get 0) (i32.const 1)) (then unreachable))
                 (if (i32.ne (local.get 1) (i32.const 2)) (then unreachable))";
    let drops = "(call $drop-request (local.get 0))
      (call $drop-edits (local.get 1))";
    let kept = "(call $drop-edits (local.get 1)) (call $drop-request (local.get 0))";
    for drops_as in [drops, kept] {
        let wasm = variant(&folder, "drops", &[(drops, &format!("{first} {drops_as}"))]);
        assert_eq!(waiting_after(&wasm, ""), 1.0, "{drops_as}");
    }
}

/// The order in which three handles were let go shows in the numbers of two that are handed after one.
#[test]
fn nor_does_it_show_to_a_later_call_of_a_visit() {
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .with("[runtime]\nworkers = 1")
        .plugin("handles", &guest("guest_handles"), "")
        .policy("handles", "handles", "");
    let gateway = Gateway::start(&scene.toml());
    for round in 0..ROUNDS {
        let request = |line: &str| format!("GET /x HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n");
        let bit = round % 3 % 2;
        let response = gateway.request(request(&format!("x-bit: {bit}")));
        assert_eq!(response.status, 200, "{response:?}");
        let told = gateway.request(request("x-tell: 1")).text();
        assert_eq!(told, "1 2", "after {bit}");
    }
}

const RESOURCES: [(&str, &str); 4] = [
    (
        "(core func $drop-edits (canon resource.drop $request-edits))",
        "(core func $drop-edits (canon resource.drop $request-edits))
         (type $own (resource (rep i32)))
         (core func $new (canon resource.new $own))",
    ),
    (
        "(import \"http\" \"drop-edits\" (func $drop-edits (param i32)))",
        "(import \"http\" \"drop-edits\" (func $drop-edits (param i32)))
         (import \"http\" \"new\" (func $new (param i32) (result i32)))",
    ),
    (
        "(export \"drop-edits\" (func $drop-edits))))))",
        "(export \"drop-edits\" (func $drop-edits)) (export \"new\" (func $new))))))",
    ),
    (
        ENTRY,
        "(if (i32.ne (call $new (i32.const 7)) (i32.const 3)) (then unreachable))
         (call $drop-request (local.get 0))",
    ),
];

/// What stands behind the handle of a resource of its own is in no memory.
#[test]
fn a_guest_with_resources_of_its_own_is_made_anew() {
    let folder = Folder::new();
    let wasm = variant(&folder, "makes-resources", &RESOURCES);
    let origin = Origin::echo();
    let scene = |more: &str| {
        Scene::new(&origin)
            .plugin("guest", &wasm, more)
            .policy("guest", "guest", "")
            .toml()
    };
    let said = check(&scene(""));
    assert_eq!(said.code, Some(1), "{said:?}");
    for text in ["it makes resources of its own", "snapshot = false"] {
        assert!(said.stderr.contains(text), "{said:?}");
    }

    let gateway = Gateway::start(&scene("snapshot = false"));
    for round in 0..ROUNDS {
        let response = gateway.get("/x");
        assert_eq!(response.status, 200, "round {round}: {response:?}");
    }
    let labels = [("plugin", "guest"), ("state", "waiting")];
    assert_eq!(gateway.metric("tollgate_plugin_instances", &labels), 0.0);
}

/// A guest's text is cut before it reaches the log and the record.
#[test]
fn the_text_of_an_error_is_bounded() {
    let folder = Folder::new();
    let fails = "(memory.fill (i32.const 2048) (i32.const 97) (i32.const 60000))
                 (i32.store8 (i32.const 256) (i32.const 1))
                 (i32.store (i32.const 260) (i32.const 2048))
                 (i32.store (i32.const 264) (i32.const 60000))
                 (call $drop-request (local.get 0))";
    let wasm = variant(&folder, "tells-much", &[(ENTRY, fails)]);
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .plugin("guest", &wasm, "")
        .policy("guest", "guest", "");
    let gateway = Gateway::start(&scene.toml());
    assert_eq!(gateway.get("/x").status, 500);
    let record = gateway.record(|record| record["path"] == "/x");
    let detail = record["failure"]["detail"].as_str().expect("a text");
    assert!(detail.ends_with("aaa… (60000 bytes)"), "{detail}");
    assert!(detail.len() < 4200, "{}", detail.len());
}

#[test]
fn a_visit_with_an_error_is_put_back_too_and_one_with_a_trap_is_not() {
    let folder = Folder::new();
    // Answers `err` with an empty text, after it has written all over.
    let fails = "(memory.fill (i32.const 2048) (i32.const 171) (i32.const 63488))
                 (i32.store8 (i32.const 256) (i32.const 1))
                 (call $drop-request (local.get 0))";
    let fails = variant(&folder, "fails", &[(ENTRY, fails)]);
    let traps = variant(&folder, "traps", &[(ENTRY, "unreachable")]);
    for (wasm, kind, waiting) in [(fails, "error", 1.0), (traps, "trap", 0.0)] {
        let origin = Origin::echo();
        let scene = Scene::new(&origin)
            .plugin("guest", &wasm, "")
            .policy("guest", "guest", "");
        let gateway = Gateway::start(&scene.toml());
        for _ in 0..ROUNDS {
            assert_eq!(gateway.get("/x").status, 500);
        }
        let labels = [("plugin", "guest"), ("kind", kind)];
        let faults = gateway.metric("tollgate_plugin_faults_total", &labels);
        assert_eq!(faults, ROUNDS as f64);
        let labels = [("plugin", "guest"), ("state", "waiting")];
        let instances = gateway.metric("tollgate_plugin_instances", &labels);
        assert!(instances >= waiting, "{kind}: {instances}");
        if kind == "trap" {
            assert_eq!(instances, 0.0);
        }
    }
}

#[test]
fn many_at_once_see_nothing_of_each_other() {
    let folder = Folder::new();
    let wasm = hides_in_memory(&folder);
    let origin = Origin::echo();
    let mut scene = Scene::new(&origin).with("[runtime]\nworkers = 2");
    scene = scene.plugin("guest", &wasm, "limits = { cpu = \"1s\", wall = \"10s\" }");
    for policy in ["a", "b", "c"] {
        scene = scene.policy(policy, "guest", "");
    }
    let gateway = Gateway::start(&scene.toml());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let response = gateway.get("/x");
                    assert_eq!(response.status, 200, "round {round}: {response:?}");
                }
            });
        }
    });
}
