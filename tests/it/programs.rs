//! What the programs say to who types them: the build of a plugin, and the upstream of the demo.

use std::process::{Command, Output};

use tollgate_tests::{Folder, Gateway, Origin, binary, guest, repository, target};

use crate::scene::Scene;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Builds a crate as an author does, from the repository's folder.
fn build(of: &str, out: &Folder) -> Output {
    let mut command = Command::new(binary());
    command
        .args(["plugin", "build", of, "--out"])
        .arg(out.path())
        .current_dir(repository())
        .env("CARGO_TARGET_DIR", target());
    command.output().expect("it runs")
}

#[test]
fn the_build_warns_of_what_does_nothing_in_the_sandbox() {
    let folder = Folder::new();
    // Built before, so that tests that build guests do not wait for this one.
    guest("guest_closed_doors");
    let built = build("tests/guests/closed-doors", &folder);
    assert!(built.status.success(), "{built:?}");
    let said = text(&built.stderr);
    let warnings: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("warning: tests/guests/"))
        .collect();
    let place = "warning: tests/guests/closed-doors/src/lib.rs:";
    for (word, advice) in [
        (
            "SystemTime::now",
            "panics in the sandbox, although it works in native tests: use `tollgate_plugin::clock`",
        ),
        (
            "println!",
            "prints nothing in the sandbox: use `tollgate_plugin::log`",
        ),
        ("thread::sleep", "panics in the sandbox"),
        ("env::var", "finds nothing in the sandbox"),
        ("std::fs", "fails in the sandbox"),
    ] {
        let told = warnings.iter().any(|line| {
            line.starts_with(place) && line.contains(&format!("`{word}`")) && line.contains(advice)
        });
        assert!(told, "no warning of {word} in {said}");
    }
    assert_eq!(warnings.len(), 5, "{said}");
}

#[test]
fn the_build_warns_of_nothing_else() {
    let folder = Folder::new();
    guest("guest_kinds");
    let built = build("tests/guests/kinds", &folder);
    assert!(built.status.success(), "{built:?}");
    let said = text(&built.stderr);
    assert!(!said.contains("sandbox"), "{said}");
}

/// What the warnings say is true.
#[test]
fn behind_the_doors_there_is_nothing() {
    let origin = Origin::echo();
    let toml = Scene::new(&origin)
        .plugin(
            "doors",
            &guest("guest_closed_doors"),
            "limits = { cpu = \"5s\", wall = \"20s\" }",
        )
        .policy("doors", "doors", "")
        .policy(
            "tell",
            "headers",
            "config.request.set.x-known = \"{principal}\"",
        )
        .toml();
    let gateway = Gateway::start(&toml);
    for (knock, status, known) in [
        ("time", 500, ""),
        ("sleep", 500, ""),
        ("print", 200, "printed"),
        ("environment", 200, "no home"),
        ("file", 200, "operation not supported on this platform"),
    ] {
        let response = gateway.get_with("/a", &[("x-knock", knock)]);
        assert_eq!(response.status, status, "{knock}");
        if status == 200 {
            assert_eq!(response.echoed("x-known"), [known.as_bytes()], "{knock}");
        }
    }
    gateway.wait_for_log("time not implemented on this platform");
    assert!(!gateway.stderr().contains("knock\n"));
}

#[test]
fn the_upstream_of_the_demo_says_how_it_is_used() {
    let program = binary().with_file_name("upstream");
    let run = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).output();
        output.expect("it runs")
    };
    for help in ["--help", "-h"] {
        let output = run(&[help]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("usage: upstream ADDRESS"));
    }
    let taken = Origin::echo();
    let address = taken.address().to_string();
    for (arguments, why) in [
        (&[][..], "an address is missing"),
        (&["a", "b"], "there is one argument"),
        (&["--port"], "cannot listen on `--port`: "),
        (&["127.0.0.1"], "cannot listen on `127.0.0.1`: "),
        (&[&address], "cannot listen on `127.0.0.1:"),
    ] {
        let output = run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(why), "{said}");
        assert!(said.contains("usage: upstream ADDRESS"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
