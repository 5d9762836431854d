//! Small files that would take a gateway's time, memory or stack while it serves: what compiles them, and
//! what holds a configuration against their schemas, is another process, which is held to its bounds.

mod odd;
mod schemas;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use tollgate_tests::{Folder, Gateway, Origin, PATIENCE, binary, check, eventually};

use crate::components::{assembled, variant};
use crate::scene::Scene;
use schemas::{doubling, with_schema};

/// What the gateway may take more while something is compiled for it: the file, the code, and what varies.
const BESIDE_BYTES: u64 = 96 << 20;

/// `minimal.wat` with another function, which nobody calls.
fn with_function(folder: &Folder, name: &str, function: &str) -> PathBuf {
    let memory = "(memory (export \"memory\") 1)";
    variant(folder, name, &[(memory, &format!("{memory} {function}"))])
}

/// Each branch has so many ways, and carries so many values along each.
fn branching(tables: usize, ways: usize, values: usize) -> String {
    let results = format!("(result{})", " i32".repeat(values));
    let targets: String = (1..=ways).map(|way| format!(" {way}")).collect();
    let table = format!(
        "(block (br_if 0 (local.get 0)) (call $values) (br_table{targets} (local.get 0)))\n"
    );
    format!(
        "(func $values {results} (unreachable))\n(func (export \"bomb\") (param i32)\n{}{}\
         (unreachable){}(unreachable))",
        format!("(block {results}\n").repeat(ways),
        table.repeat(tables),
        ")".repeat(ways),
    )
}

/// Where paths part and meet the compiler keeps what each variable is.
fn variables(count: usize) -> String {
    let mut function = "(func (export \"bomb\") (param i32) (result i32) (local".to_owned();
    function += &" i32".repeat(count);
    function += ")\n";
    for variable in 1..=count {
        function +=
            &format!("(local.set {variable} (i32.add (local.get 0) (i32.const {variable})))\n");
    }
    function += &"(block (br_if 0 (local.get 0)))\n".repeat(count);
    function += "(local.get 0)";
    for variable in 1..=count {
        function += &format!("(i32.mul (local.get {variable}))\n");
    }
    function + ")"
}

/// Whether the configuration with this plugin, and this configuration of it, is refused or not: in an
/// orderly way, whichever.
#[track_caller]
fn says(wasm: &Path, config: &str) -> (bool, String) {
    let scene = Scene::unserved().plugin("p", wasm, "");
    let said = check(&scene.policy("q", "p", config).toml());
    assert!(matches!(said.code, Some(0 | 1)), "{said:?}");
    for crash in ["panicked at", "overflow", "thread '"] {
        assert!(!said.stderr.contains(crash), "{}", said.stderr);
    }
    (said.ok, said.stderr)
}

#[test]
fn what_takes_the_compiler_too_much_is_refused_and_costs_the_gateway_nothing() {
    let folder = Folder::new();
    let origin = Origin::echo();
    let plain = Scene::new(&origin).with("[runtime]\nwatch = false\nplugin-cache = false");
    let gateway = Gateway::start(&plain.clone().toml());
    let before = gateway.resident();
    for (name, function) in [
        ("branches", branching(60, 300, 1_000)),
        ("variables", variables(12_000)),
    ] {
        let wasm = with_function(&folder, name, &function);
        gateway.write_config(&plain.clone().plugin("bomb", &wasm, "").toml());
        hang_up_and_serve(&gateway);
        gateway.wait_for_event(&[
            "everything stays as it was",
            "plugin `bomb` does not load: compiling it takes more than",
            "say `large = true` if it is meant",
        ]);
    }
    let most = peak(&gateway);
    assert!(most < before + BESIDE_BYTES, "{most}, and {before} before");
    // And what comes next is compiled.
    let wasm = assembled(&folder, "minimal");
    gateway.reload(&plain.plugin("p", &wasm, "").policy("q", "p", "").toml());
    assert_eq!(gateway.get("/a").status, 200);
}

/// Reloads, and sees that it serves until the reload has ended: on a busy machine that is long.
#[track_caller]
fn hang_up_and_serve(gateway: &Gateway) {
    let ended = || gateway.reloads("refused") + gateway.reloads("applied");
    let before = ended();
    gateway.hang_up();
    let until = Instant::now() + 9 * PATIENCE;
    while ended() == before {
        assert_eq!(gateway.get("/a").status, 200);
        assert!(Instant::now() < until, "it has not ended");
    }
}

/// The most memory that the process had, in bytes.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid()));
    let status = status.expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("its memory") * 1024
}

/// Processes that this one has started, and which have not ended.
fn children(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("children")).ok()?;
        let numbers = text.split_whitespace();
        Some(
            numbers
                .filter_map(|number| number.parse().ok())
                .collect::<Vec<u32>>(),
        )
    });
    children.flatten().collect()
}

#[test]
fn what_compiles_ends_with_the_gateway() {
    let folder = Folder::new();
    let wasm = with_schema(&folder, "doubling", &doubling());
    let origin = Origin::echo();
    for end in ["TERM", "KILL"] {
        let plain = Scene::new(&origin).with("[runtime]\nwatch = false");
        let mut gateway = Gateway::start(&plain.clone().toml());
        gateway.write_config(&plain.plugin("p", &wasm, "").policy("q", "p", "").toml());
        gateway.hang_up();
        let compiles = eventually("a process that compiles", || {
            children(gateway.pid()).first().copied()
        });
        // That of what serves may have secrets.
        eventually("an environment of its own", || {
            let environment = std::fs::read(format!("/proc/{compiles}/environ")).ok()?;
            let variables = environment.iter().filter(|byte| **byte == 0).count();
            (environment.starts_with(b"RAYON_NUM_THREADS=") && variables == 1).then_some(())
        });
        // Its own socket, and nothing of what serves.
        let open = std::fs::read_dir(format!("/proc/{compiles}/fd"));
        let open = open.expect("a process").flatten();
        let open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let open: BTreeSet<String> = open.map(|to| to.display().to_string()).collect();
        let sockets = open.iter().filter(|to| to.starts_with("socket:"));
        assert_eq!(sockets.count(), 1, "{open:?}");
        for of_serving in ["memfd:", "pagemap", "eventpoll", "gateway.toml"] {
            assert!(!open.iter().any(|to| to.contains(of_serving)), "{open:?}");
        }
        match end {
            "TERM" => assert!(gateway.stop().success()),
            _ => drop(gateway),
        }
        eventually("its end", || {
            let status = std::fs::read_to_string(format!("/proc/{compiles}/stat"));
            let gone = status.map_or(true, |status| status.contains(") Z "));
            gone.then_some(())
        });
    }
}

/// What serves may have been replaced on the disk since it was started, by a newer one or by nothing.
#[test]
fn the_program_that_compiles_is_the_one_that_runs() {
    let folder = Folder::new();
    let program = folder.path().join("tollgate");
    std::fs::copy(binary(), &program).expect("a copy");
    let wasm = assembled(&folder, "minimal");
    let toml = |more: &str| {
        format!(
            "[runtime]\nplugin-cache = false\n[listeners.public]\naddress = \"127.0.0.1:0\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n{more}[routes.a]\nmatch = \"/a\"\n\
             respond = {{ status = 204 }}\n"
        )
    };
    let config = folder.write("gateway.toml", toml(""));
    let mut process = Command::new(&program)
        .arg("run")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the gateway starts");
    let said = tollgate_tests::Output::of(process.stderr.take().expect("a pipe"));
    let says = |text: &str| {
        let found = said.find(PATIENCE, |line| line.contains(text).then_some(()));
        assert!(found.is_some(), "no `{text}` in {}", said.text());
    };
    says("listening listener=\"admin\"");
    tollgate_tests::replace(&program, "#!/bin/false\n");
    let plugin = format!(
        "[plugins.p]\nwasm = \"{}\"\n[policies.q]\nplugin = \"p\"\n",
        wasm.display()
    );
    tollgate_tests::replace(&config, toml(&plugin));
    says("INFO");
    says("reloaded");
    process.kill().expect("ours");
    process.wait().expect("a child");
}
