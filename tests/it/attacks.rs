//! What a red team found: each test is an attack that once worked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::json;

use tollgate_tests::{
    Folder, Gateway, Origin, PATIENCE, binary, check, eventually, guest, repository, target,
};

use crate::components::assembled;
use crate::loading::assert_refused;
use crate::refused::of;
use crate::scene::Scene;

/// What begins the request hook of `minimal.wat`.
const HOOK: &str = "(func (export \"transform-request\") (param i32 i32) (result i32)";

/// `minimal.wat` with other text in it.
fn variant(folder: &Folder, name: &str, changes: &[(&str, &str)]) -> PathBuf {
    let path = repository().join("tests/guests/hostile/wat/minimal.wat");
    let mut text = std::fs::read_to_string(path).expect("minimal.wat");
    for (from, to) in changes {
        assert!(text.contains(from), "no {from} in minimal.wat");
        text = text.replacen(from, to, 1);
    }
    let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    folder.write(&format!("{name}.wasm"), bytes)
}

/// Compares 2 MB with themselves so many times, in a straight line and through no function of its own:
/// nowhere does compiled code look at the clock.
fn comparer(folder: &Folder, times: usize) -> PathBuf {
    let import = "(import \"tollgate:plugin/http@";
    let crypto = format!(
        "(import \"tollgate:plugin/crypto@0.1.0\" (instance $crypto
           (export \"constant-time-equal\" (func
             (param \"a\" (list u8)) (param \"b\" (list u8)) (result bool)))))
         (core module $mem (memory (export \"memory\") 40))
         (core instance $mem (instantiate $mem))
         (alias core export $mem \"memory\" (core memory $shared))
         (core func $equal
           (canon lower (func $crypto \"constant-time-equal\") (memory $shared)))
         {import}"
    );
    let memory = "(import \"mem\" \"memory\" (memory 40))
         (import \"crypto\" \"equal\" (func $equal (param i32 i32 i32 i32) (result i32)))
         (export \"memory\" (memory 0))";
    let with = "(instantiate $main
         (with \"mem\" (instance $mem))
         (with \"crypto\" (instance (export \"equal\" (func $equal))))";
    let call = "(drop (call $equal
         (i32.const 131072) (i32.const 2000000) (i32.const 131072) (i32.const 2000000)))\n";
    let calls = format!("{HOOK}\n{}", call.repeat(times));
    let changes = [
        ("(memory (export \"memory\") 1)", memory),
        (import, crypto.as_str()),
        ("(instantiate $main", with),
        (HOOK, &calls),
    ];
    variant(folder, &format!("comparer-{times}"), &changes)
}

#[test]
fn host_calls_in_a_straight_line_are_charged() {
    let folder = Folder::new();
    let origin = Origin::echo();
    let limits = "snapshot = false\nlimits = { cpu = \"100ms\", wall = \"30s\" }";
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .plugin("one", &comparer(&folder, 1), limits)
            .plugin("many", &comparer(&folder, 5000), limits)
            .policy("one", "one", "")
            .policy("many", "many", "")
            .route("one", "/one", &["one"])
            .route("many", "/many", &["many"])
            .toml(),
    );
    assert_eq!(gateway.get("/one").status, 200, "the component works");
    let served = origin.requests();
    for round in 1..=2 {
        assert_eq!(gateway.get("/many").status, 500);
        let labels = [("policy", "many"), ("kind", "cpu")];
        let faults = gateway.metric("tollgate_plugin_faults_total", &labels);
        assert_eq!(faults, f64::from(round));
    }
    let record = gateway.record(|record| record["path"] == "/many");
    let entry = &record["entries"][0];
    assert_eq!(entry["verdict"], "fault", "{record}");
    assert_eq!(entry["fault"], "cpu", "{record}");
    assert_eq!(origin.requests(), served);
}

#[test]
fn bytes_that_are_no_text_do_not_hide_the_client() {
    let origin = Origin::echo();
    let trusting =
        "[listeners.inner]\naddress = \"127.0.0.1:0\"\ntrusted-proxies = [\"127.0.0.0/8\"]";
    let gateway = Gateway::start(&Scene::new(&origin).with(trusting).toml());
    for (path, list, client) in [
        (
            "/after",
            &b"1.1.1.1\xff, 203.0.113.9"[..],
            json!("203.0.113.9"),
        ),
        // The walk ends at what is no address: nobody knows who the client is.
        ("/last", b"203.0.113.9, 1.1.1.1\xff", json!(null)),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-forwarded-for: ");
        let answer = gateway.request_to("inner", [head.as_bytes(), list, b"\r\n\r\n"].concat());
        assert_eq!(answer.status, 200);
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(record["client"], client, "{record}");
    }
}

#[test]
fn edits_before_a_reply_that_is_none_are_undone() {
    let folder = Folder::new();
    let wasm = assembled(&folder, "edit-then-respond");
    let origin = Origin::echo();
    for more in ["", "snapshot = false", "instances = { calls = 10 }"] {
        let (plugin, policy) = match more.strip_prefix("instances") {
            Some(_) => ("", more),
            None => (more, ""),
        };
        let gateway = Gateway::start(
            &Scene::new(&origin)
                .plugin("odd", &wasm, plugin)
                .policy("open", "odd", &format!("on-fault = \"open\"\n{policy}"))
                .policy("closed", "odd", policy)
                .route("open", "/open", &["open"])
                .route("closed", "/closed", &["closed"])
                .toml(),
        );
        for round in 1..=2 {
            let response = gateway.get_with("/open", &[("x-red", "client")]);
            assert_eq!(response.status, 200, "{response:?}");
            assert_eq!(response.echoed("x-red"), [b"client"]);
            assert!(response.values("x-red").is_empty(), "{response:?}");
            for side in ["in", "out"] {
                let calls = gateway.metric(
                    "tollgate_plugin_calls_total",
                    &[("policy", "open"), ("side", side)],
                );
                assert_eq!(calls, f64::from(round), "{side}");
            }
            let labels = [("policy", "open"), ("kind", "bad-reply")];
            let faults = gateway.metric("tollgate_plugin_faults_total", &labels);
            assert_eq!(faults, f64::from(2 * round));
        }
        let served = origin.requests();
        let response = gateway.get("/closed");
        assert_eq!(response.status, 500);
        assert!(response.values("x-red").is_empty(), "{response:?}");
        assert_eq!(origin.requests(), served);
    }
}

#[test]
fn a_snapshot_from_the_cache_keeps_to_a_lower_limit() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    // `configure` takes 32 MiB, which the snapshot then has from the start.
    let toml = |cache: &str, memory: &str| {
        Scene::new(&origin)
            .hostile(&format!("limits.memory = \"{memory}\""))
            .policy(
                "entry",
                "hostile",
                "config = { act = \"memory-fill-but\", memory-pages = 512 }",
            )
            .with(&format!(
                "[runtime]\nplugin-cache = \"{}\"",
                folder.path().join(cache).display()
            ))
            .toml()
    };
    let whole = check(&toml("filled", "64MiB"));
    assert!(whole.ok, "{whole:?}");
    let compiled = crate::artefacts::compiled(&folder.path().join("filled"));
    assert_eq!(compiled, 2, "the plugin and its snapshot");
    for (cache, text) in [
        (
            "filled",
            "it was refused more than 16777216 bytes of memory",
        ),
        ("empty", "cannot grow to 512 pages"),
    ] {
        let refused = check(&toml(cache, "16MiB"));
        assert_eq!(refused.code, Some(1), "{cache}: {refused:?}");
        assert!(refused.stderr.contains(text), "{refused:?}");
        assert!(!refused.stderr.contains("thread '"), "{refused:?}");
    }
    let gateway = Gateway::start(&toml("filled", "64MiB"));
    assert_eq!(gateway.get("/a").status, 200, "nothing of it is kept");
}

#[test]
fn a_plugins_error_cannot_speak_to_the_terminal() {
    let folder = Folder::new();
    let text = "bad\\1b[2J\\1b]0;title\\07\\08\\7f\\c2\\9b31m\\0dforged: one\\0d\\0a\
                forged: two\\0a\\0aforged: three\\0a";
    // Each escape of three characters is one byte.
    let length = text.len() - 2 * text.matches('\\').count();
    let configure = "(func (export \"configure\") (param i32 i32) (result i32) (i32.const 256))";
    // `error`, a pointer and a length.
    let fails = format!(
        "(func (export \"configure\") (param i32 i32) (result i32) (i32.const 320))
         (data (i32.const 320) \"\\01\\00\\00\\00\\80\\01\\00\\00\\{length:02x}\\00\\00\\00\")
         (data (i32.const 384) \"{text}\")"
    );
    // A schema that is none, and is quoted in the error: as long as what it replaces.
    let schema = (
        "A plugin in text\\\",\\\"config-schema\\\":{}",
        "A\\\",\\\"config-schema\\\":{\\\"type\\\":\\\"\\\\u001b\\\"}",
    );
    let fails = (configure, fails.as_str());
    for (name, change, more, said) in [
        ("captured", fails, "", "forged: three"),
        ("each-time", fails, "snapshot = false", "forged: three"),
        ("schema", schema, "", "config schema"),
    ] {
        let toml = of(&variant(&folder, name, &[change]), more);
        let check = check(&toml);
        assert_eq!(check.code, Some(1), "{name}: {check:?}");
        assert!(check.stderr.contains(said), "{check:?}");
        let printed = format!("{}{}", check.stdout, check.stderr);
        let control = printed.chars().find(|it| it.is_control() && *it != '\n');
        assert_eq!(control, None, "{name}: {check:?}");
        for line in printed.lines() {
            assert!(!line.starts_with("forged"), "{name}: {check:?}");
        }
    }
}

#[test]
fn a_plugin_that_is_no_regular_file_is_refused_at_once() {
    let folder = Folder::new();
    let fifo = folder.path().join("fifo.wasm");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    for path in [&fifo, folder.path(), Path::new("/dev/zero")] {
        let toml = of(path, "");
        let (tell, told) = mpsc::channel();
        let asked = toml.clone();
        std::thread::spawn(move || tell.send(check(&asked)));
        let Ok(check) = told.recv_timeout(PATIENCE) else {
            // Lets the gateway go on that waits for a writer.
            let _ = std::fs::write(&fifo, b"");
            panic!("`{}` is waited for", path.display());
        };
        let at = format!("\"{}\"", path.display());
        assert_refused(&check, &toml, &at, &["cannot be read: it is not a file"]);
    }
}

/// How `tollgate check` ends when nobody reads what it says on these.
#[track_caller]
fn unread(toml: &str, stdout: bool, stderr: bool) -> Option<i32> {
    let folder = Folder::new();
    let file = folder.write("gateway.toml", toml);
    let stream = |closed: bool| {
        if closed {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            Stdio::from(writer)
        } else {
            Stdio::null()
        }
    };
    let mut command = Command::new(binary());
    command
        .arg("check")
        .arg(&file)
        .env("XDG_CACHE_HOME", target().join("test-plugin-cache"))
        .stdin(Stdio::null())
        .stdout(stream(stdout))
        .stderr(stream(stderr));
    let mut process = command.spawn().expect("the gateway starts");
    eventually("the end of the check", || {
        process.try_wait().expect("a child")
    })
    .code()
}

#[test]
fn problems_that_nobody_reads_are_no_panic() {
    assert_eq!(unread("nonsense = 1", false, true), Some(1));
    // Loading logs what the plugins say, and then fails.
    let toml = Scene::unserved()
        .plugin("hostile", &guest("guest_hostile"), "snapshot = false")
        .policy(
            "talks",
            "hostile",
            "config = { act = \"huge-log\", hook = \"configure\", amount = 3 }",
        )
        .policy(
            "fails",
            "hostile",
            "config = { act = \"panic\", hook = \"configure\" }",
        )
        .toml();
    assert_eq!(unread(&toml, false, true), Some(1));
    assert_eq!(unread(&toml, true, true), Some(1));
}

#[test]
fn success_that_nobody_reads_is_no_panic() {
    let toml = Scene::unserved().toml();
    assert_eq!(unread(&toml, false, false), Some(0));
    let code = unread(&toml, true, false);
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
}

#[test]
fn a_reply_without_content_has_no_length() {
    let folder = Folder::new();
    // `ok`, `respond`: 204, no headers, and a body all the same.
    let reply = format!(
        "{HOOK} (call $drop-request (local.get 0)) (call $drop-edits (local.get 1)) (i32.const 512))
         (data (i32.const 512) \"\\00\\00\\00\\00\\01\\00\\00\\00\\cc\\00\\00\\00\")
         (data (i32.const 532) \"\\10\\00\\00\\00\\02\\00\\00\\00\")
         (func (export \"old\") (param i32 i32) (result i32)"
    );
    let wasm = variant(&folder, "empty", &[(HOOK, &reply)]);
    let origin = Origin::echo();
    let scene = Scene::new(&origin)
        .plugin("odd", &wasm, "")
        .policy("entry", "odd", "");
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    // On one connection: bytes of a body would be taken for the next answer.
    for _ in 0..3 {
        let response = client.get("/a");
        assert_eq!(response.status, 204, "{response:?}");
        for name in ["content-length", "transfer-encoding"] {
            assert_eq!(response.header(name), None, "{response:?}");
        }
    }
    assert_eq!(origin.requests(), 0);
}
