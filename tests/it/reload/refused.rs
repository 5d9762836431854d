//! What cannot be loaded changes nothing, and the log says why, at its place in the file.

use tollgate_tests::{Folder, Gateway, eventually, guest, replace};

use super::{UNWATCHED, WATCHED, answering, plugin_file, respond};
use crate::loading::place;

#[test]
fn a_bad_file_keeps_the_old_one_and_says_why() {
    let folder = Folder::new();
    let good = UNWATCHED.to_owned() + &respond("a", "/a", "old");
    let gateway = Gateway::start(&good);
    let mut client = gateway.client();
    let no_plugin = folder.write("no-plugin.wasm", "not a component");
    let hostile = guest("guest_hostile");
    let plugin = |wasm: &std::path::Path, config: &str| {
        format!(
            "{good}[plugins.p]\nwasm = \"{}\"\n[policies.q]\nplugin = \"p\"\n{config}",
            wasm.display()
        )
    };
    let cases = [
        // The text, the configuration, a plugin, and a plugin's configuration.
        (
            format!("{good}[routes.b\nmatch = 1"),
            "\nmatch = 1",
            "the name of this section is not closed",
        ),
        (
            good.replace("\"/a\"", "\"a\""),
            "\"a\"",
            "the path `a` must begin with a slash",
        ),
        (
            good.replace("respond =", "responds ="),
            "responds",
            "unknown key `routes.a.responds`",
        ),
        (
            plugin(&no_plugin, ""),
            "p]",
            "plugin `p` does not load: it is neither a WebAssembly component nor a core module",
        ),
        (
            plugin(std::path::Path::new("gone.wasm"), ""),
            "\"gone.wasm\"",
            "plugin `p` does not load: ",
        ),
        (
            plugin(&hostile, "config.act = \"sing\""),
            "\"sing\"",
            "policy `q`: config.act: value is not valid",
        ),
        (
            plugin(
                &hostile,
                "config = { act = \"panic\", hook = \"configure\" }",
            ),
            "{ act",
            "boom from configure",
        ),
        (
            plugin(&hostile, "on-fault = \"open\""),
            "\"open\"",
            "policy `q` is an authorizer and cannot fail open",
        ),
        (
            good.clone() + &respond("again", "/a", "twice"),
            "again]",
            "routes",
        ),
    ];
    for (number, (bad, at, text)) in cases.iter().enumerate() {
        gateway.write_config(bad);
        gateway.hang_up_for("refused");
        assert_eq!(gateway.reloads("refused"), number as u64 + 1);
        let head = format!("{}:{}: error: ", gateway.config().display(), place(bad, at));
        gateway.wait_for_event(&["ERROR", "everything stays as it was", &head, text]);
        assert_eq!(client.get("/a").text(), "old", "{bad}");
        assert_eq!(gateway.get("/a").text(), "old", "{bad}");
    }
    // No file at all.
    std::fs::remove_file(gateway.config()).expect("a file");
    gateway.hang_up_for("refused");
    gateway.wait_for_event(&["ERROR", "error: cannot be read: No such file"]);
    assert_eq!(client.get("/a").text(), "old");
    // A pipe, which nobody writes to.
    let made = std::process::Command::new("mkfifo")
        .arg(gateway.config())
        .status();
    assert!(made.is_ok_and(|made| made.success()));
    gateway.hang_up_for("refused");
    gateway.wait_for_event(&["ERROR", "error: cannot be read: it is not a file"]);
    assert_eq!(gateway.reloads("applied"), 0);
    assert_eq!(gateway.metric("tollgate_gateways", &[]), 1.0);
    // And it recovers.
    gateway.reload(&(UNWATCHED.to_owned() + &respond("a", "/a", "new")));
    assert_eq!(client.get("/a").text(), "new");
    assert!(!gateway.stderr().contains("panicked at host/"));
}

/// It is read when it changes, and not again each second.
#[test]
fn what_is_refused_is_said_once() {
    let folder = Folder::new();
    let (wasm, section) = plugin_file(&folder, "v1");
    let gateway = Gateway::start(&(WATCHED.to_owned() + &section));
    replace(&wasm, "no component");
    gateway.wait_for_event(&["everything stays as it was", "`answer` does not load"]);
    assert_eq!(gateway.get("/answer").text(), "v1");
    replace(&wasm, answering("v2"));
    eventually("the good one", || {
        (gateway.get("/answer").text() == "v2").then_some(())
    });
    // The files were looked at in between, and after it.
    assert_eq!(gateway.reloads("refused"), 1, "{}", gateway.stderr());
    assert_eq!(gateway.reloads("applied"), 1, "{}", gateway.stderr());
}
