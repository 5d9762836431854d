//! A configuration, a plugin or a secret that is replaced while the gateway serves: what changed is
//! built anew, the rest goes on, and no request notices.

mod applied;
mod asked;
mod files;
mod granted;
mod kept;
mod often;
mod refused;

use std::path::PathBuf;

use tollgate_tests::{Folder, repository};

/// A route that the gateway answers itself, with this text.
fn respond(name: &str, path: &str, body: &str) -> String {
    format!(
        "[routes.{name}]\nmatch = \"{path}\"\nrespond = {{ status = 200, body = \"{body}\" }}\n"
    )
}

/// One listener, and nothing that looks at files: SIGHUP alone reloads.
const UNWATCHED: &str = "[runtime]\nwatch = false\n[listeners.public]\naddress = \"127.0.0.1:0\"\n";
/// One listener.
const WATCHED: &str = "[listeners.public]\naddress = \"127.0.0.1:0\"\n";

/// A plugin that answers every request with these two letters.
fn answering(text: &str) -> Vec<u8> {
    assert_eq!(text.len(), 2);
    let path = repository().join("tests/guests/hostile/wat/minimal.wat");
    let minimal = std::fs::read_to_string(path).expect("minimal.wat");
    // The results `ok`, `respond`, the status 200, no headers, and the body behind it.
    let reply = format!(
        "(data (i32.const 320) \"\\00\\00\\00\\00\\01\\00\\00\\00\\c8\\00\\00\\00\
         \\00\\00\\00\\00\\00\\00\\00\\00\\60\\01\\00\\00\\02\\00\\00\\00\")\n\
         (data (i32.const 352) \"{text}\")\n"
    );
    let answers = "(call $drop-edits (local.get 1))\n      (i32.const 256)";
    assert!(minimal.contains(answers) && minimal.contains("    (func (export \"realloc\")"));
    let wat = minimal
        .replace(answers, &answers.replace("256", "320"))
        .replace(
            "    (func (export \"realloc\")",
            &format!("{reply}    (func (export \"realloc\")"),
        );
    wat::parse_str(&wat).expect("it assembles")
}

/// A file of that plugin, and a chain of it alone.
fn plugin_file(folder: &Folder, text: &str) -> (PathBuf, String) {
    let wasm = folder.write("answer.wasm", answering(text));
    let toml = format!(
        "[plugins.answer]\nwasm = \"{}\"\n[policies.answer]\nplugin = \"answer\"\n\
         [routes.answer]\nmatch = \"/answer\"\nchain = [\"answer\"]\n\
         respond = {{ status = 404 }}\n",
        wasm.display()
    );
    (wasm, toml)
}
