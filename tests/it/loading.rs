//! Configurations that a plugin does not take: every error has its place in the file and says what to
//! do, and no plugin, however it ends, takes the gateway with it.

use tollgate_tests::{Check, Folder, Gateway, Origin, check, guest};

use crate::components::{hostile_transformer, rewritten};
use crate::scene::Scene;

/// `line:column` of the first place of this text, as an editor counts.
#[track_caller]
pub fn place(toml: &str, text: &str) -> String {
    let at = toml
        .find(text)
        .unwrap_or_else(|| panic!("no {text} in the configuration"));
    let before = &toml[..at];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    format!("{line}:{column}")
}

/// An orderly refusal, with this text at this place of the configuration.
#[track_caller]
pub fn assert_refused(check: &Check, toml: &str, at: &str, texts: &[&str]) {
    assert_eq!(check.code, Some(1), "{check:?}");
    assert!(check.stdout.is_empty(), "{}", check.stdout);
    let head = format!("{}:{}: error: ", check.config.display(), place(toml, at));
    assert!(
        check.stderr.contains(&head),
        "no `{head}` in:\n{}",
        check.stderr
    );
    for text in texts {
        assert!(
            check.stderr.contains(text),
            "no `{text}` in:\n{}",
            check.stderr
        );
    }
    // A panic of the host's own says so on a thread of the host; a guest's names its own files.
    for crash in [
        "thread '",
        "panicked at host/",
        "stack backtrace",
        "RUST_BACKTRACE",
    ] {
        assert!(!check.stderr.contains(crash), "{}", check.stderr);
    }
}

fn configured(config: &str) -> String {
    Scene::unserved()
        .hostile("")
        .policy("bad", "hostile", config)
        .toml()
}

#[test]
fn an_end_in_configure_is_an_error_at_the_configuration() {
    for (act, texts) in [
        (
            "panic",
            ["boom from configure", "guest_hostile::Hostile::perform"],
        ),
        (
            "trap",
            [
                "`unreachable` instruction executed",
                "guest_hostile::Hostile::perform",
            ],
        ),
        (
            "error",
            [
                "policy `bad`: config: the plugin refuses it: deliberate error",
                "",
            ],
        ),
        (
            "recurse",
            ["call stack exhausted", "guest_hostile::recurse"],
        ),
        (
            "out-of-memory",
            ["it was refused more than 16777216 bytes of memory", ""],
        ),
    ] {
        let config = format!("config = {{ act = \"{act}\", hook = \"configure\" }}");
        let toml = configured(&config);
        assert_refused(&check(&toml), &toml, "{ act", &texts);
    }
}

#[test]
fn configure_has_a_bound_in_time() {
    let toml = configured("config = { act = \"loop\", hook = \"configure\" }");
    let check = check(&toml);
    assert_refused(
        &check,
        &toml,
        "{ act",
        &["`configure` failed: its processor time is spent"],
    );
}

#[test]
fn what_would_freeze_into_a_snapshot_is_refused_by_name() {
    for (act, import) in [
        ("clock-in-configure", "`clock.unix-ms`"),
        ("random-in-configure", "`random.next-u64`"),
        ("crypto-in-configure", "`crypto.sha256`"),
    ] {
        let config = format!("config = {{ act = \"{act}\" }}");
        let toml = configured(&config);
        let text = format!("{import} was called during `configure`");
        assert_refused(&check(&toml), &toml, "{ act", &[&text, "snapshot = false"]);
    }
    let origin = Origin::echo();
    let scene = Scene::new(&origin).hostile("snapshot = false").policy(
        "late",
        "hostile",
        "config = { act = \"clock-in-configure\" }",
    );
    assert_eq!(Gateway::start(&scene.toml()).get("/a").status, 200);
}

#[test]
fn a_configuration_is_refused_at_load_without_a_snapshot_too() {
    let toml = Scene::unserved()
        .hostile("snapshot = false")
        .policy(
            "bad",
            "hostile",
            "config = { act = \"error\", hook = \"configure\" }",
        )
        .toml();
    assert_refused(&check(&toml), &toml, "{ act", &["deliberate error"]);
}

#[test]
fn what_does_not_fit_the_schema_is_told_at_its_place_all_at_once() {
    let toml = Scene::unserved()
        .hostile("")
        .with("[policies.first]\nplugin = \"hostile\"")
        .with("[policies.first.config]\nact = \"sing\"\namount = \"many\"\nedit = []")
        .with("[policies.second]\nplugin = \"hostile\"\nconfig = { edits = [[\"set\"], [\"set\", 7]] }")
        .policy("third", "headers", "config.request.remove = \"x\"")
        .toml();
    let check = check(&toml);
    for (at, policy) in [
        ("\"sing\"", "policy `first`: config.act: "),
        ("\"many\"", "policy `first`: config.amount: "),
        ("7]", "policy `second`: config.edits.1.1: "),
        ("\"x\"", "policy `third`: config.request.remove: "),
    ] {
        assert_refused(
            &check,
            &toml,
            at,
            &[&format!("{}: error: {policy}", place(&toml, at))],
        );
    }
    let unknown = "policy `first`: config.edit: the plugin knows no such key";
    assert_refused(&check, &toml, "edit = []", &[unknown]);
    // Values may be secrets in the wrong place.
    let messages = check
        .stderr
        .lines()
        .filter(|line| line.contains(": error: "));
    for message in messages {
        assert!(
            !message.contains("sing") && !message.contains("many"),
            "{message}"
        );
    }
}

#[test]
fn the_problems_of_several_plugins_come_together() {
    let toml = Scene::unserved()
        .hostile("")
        .plugin("keeper", &guest("guest_secret"), "")
        .plugin("gone", std::path::Path::new("gone.wasm"), "")
        .policy(
            "boom",
            "hostile",
            "config = { act = \"error\", hook = \"configure\" }",
        )
        .policy("kept", "keeper", "")
        .policy("gone-too", "gone", "")
        .toml();
    let check = check(&toml);
    assert_refused(
        &check,
        &toml,
        "keeper]",
        &["plugin `keeper` does not load: it imports `secrets`"],
    );
    assert_refused(
        &check,
        &toml,
        "\"gone.wasm\"",
        &["plugin `gone` does not load: ", "gone.wasm"],
    );
    assert_refused(&check, &toml, "{ act", &["deliberate error"]);
    assert_eq!(
        check.stderr.matches(": error: ").count(),
        3,
        "{}",
        check.stderr
    );
}

#[test]
fn an_authorizer_cannot_fail_open() {
    let toml = Scene::unserved()
        .hostile("")
        .policy("gate", "hostile", "on-fault = \"open\"")
        .toml();
    let texts = [
        "policy `gate` is an authorizer and cannot fail open",
        "help: remove",
    ];
    assert_refused(&check(&toml), &toml, "\"open\"", &texts);

    let folder = Folder::new();
    let toml = Scene::unserved()
        .plugin("hostile", &hostile_transformer(&folder), "")
        .policy("filter", "hostile", "on-fault = \"open\"")
        .toml();
    assert!(check(&toml).ok, "a transformer can");
}

#[test]
fn a_plugin_that_forges_log_lines_is_seen_through() {
    // Its message has a line break, and what looks like another line of the gateway's own.
    let folder = Folder::new();
    // As long as what it replaces, or the data would move.
    let (real, forged) = ("boom from ", "boom\\0afake:");
    let wasm = rewritten(&folder, "guest_hostile", |text| {
        assert!(text.contains(real));
        text.replace(real, forged)
    });
    let origin = Origin::echo();
    let scene = Scene::new(&origin).plugin("hostile", &wasm, "").policy(
        "bad",
        "hostile",
        "config = { act = \"panic\", hook = \"authorize\" }",
    );
    let gateway = Gateway::start(&scene.toml());
    assert_eq!(gateway.get("/a").status, 500);
    gateway.record(|record| record["status"] == 500);
    for line in gateway.stderr().lines() {
        assert!(
            !line.starts_with("fake:"),
            "a plugin wrote a line of its own:\n{line}"
        );
    }
}
