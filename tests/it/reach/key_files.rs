//! Key sets in files, which are replaced while the gateway runs.

use std::path::Path;

use tollgate_tests::{Folder, Gateway, eventually};

use super::alone;
use super::signatures::{set_of, verify};
use super::tokens::{ED_X, EDDSA, EDDSA_TWO, ES256, PAYLOAD, RS256};

fn start(path: &Path, reload: &str) -> Gateway {
    let set = format!(
        "[key-sets.keys]\nfile = \"{}\"\nreload = \"{reload}\"",
        path.display()
    );
    Gateway::start(&alone().with(&set).toml())
}

/// As an operator's tool does it: in one step.
fn replace(folder: &Folder, path: &Path, text: impl AsRef<[u8]>) {
    let new = folder.write("keys.json.new", text);
    std::fs::rename(new, path).expect("a rename");
}

fn accepted(gateway: &Gateway, token: &str) -> bool {
    verify(gateway, token, "keys")["payload"] == PAYLOAD
}

#[track_caller]
fn becomes(gateway: &Gateway, what: &str, token: &str, expected: bool) {
    eventually(what, || {
        (accepted(gateway, token) == expected).then_some(())
    });
}

/// No token asks for it: what is withdrawn is gone within the interval.
#[test]
fn a_replaced_file_is_read_again() {
    let folder = Folder::new();
    let path = folder.write("keys.json", set_of(&["rsa", "ed"]));
    let gateway = start(&path, "1s");
    assert!(accepted(&gateway, RS256) && accepted(&gateway, EDDSA));
    assert!(!accepted(&gateway, ES256));
    replace(&folder, &path, set_of(&["ed"]));
    becomes(&gateway, "the withdrawn key is refused", RS256, false);
    assert!(accepted(&gateway, EDDSA));
    let line = gateway.wait_for_log("read again");
    assert!(line.contains("key_set=\"keys\""), "{line}");
}

#[test]
fn a_file_that_is_no_set_changes_nothing() {
    let folder = Folder::new();
    let path = folder.write("keys.json", set_of(&["ed"]));
    let gateway = start(&path, "1s");
    let mut said = 0;
    for bad in [
        "",
        "{\"keys\": [",
        "{\"keys\": []}",
        "{\"keys\": [{\"kty\": \"RSA\", \"kid\": \"rsa\", \"n\": \"AQAB\", \"e\": \"AQAB\"}]}",
        "not JSON, but something secret",
    ] {
        replace(&folder, &path, bad);
        let lines = || {
            let log = gateway.stderr();
            log.matches("the keys stay as they were").count()
        };
        eventually("a line about it", || (lines() > said).then_some(()));
        said += 1;
        assert_eq!(lines(), said, "once for each: {}", gateway.stderr());
        assert!(accepted(&gateway, EDDSA), "after {bad:?}");
    }
    std::fs::remove_file(&path).expect("a file");
    gateway.wait_for_event(&["the keys stay as they were", "keys.json", "No such file"]);
    assert!(accepted(&gateway, EDDSA));
    assert!(!gateway.stderr().contains("something secret"));
    // And it recovers.
    folder.write("keys.json", set_of(&["two"]));
    becomes(&gateway, "the new key is taken", EDDSA_TWO, true);
    assert!(!accepted(&gateway, EDDSA));
}

/// The interval alone would have come tomorrow.
#[test]
fn an_unknown_key_has_the_file_looked_at() {
    let folder = Folder::new();
    let path = folder.write("keys.json", set_of(&["ed"]));
    let gateway = start(&path, "24h");
    assert!(!accepted(&gateway, EDDSA_TWO));
    replace(&folder, &path, set_of(&["ed", "two"]));
    becomes(&gateway, "the new key is taken", EDDSA_TWO, true);
    assert!(accepted(&gateway, EDDSA));
    // Again and again, also after a look that found nothing.
    for _ in 0..3 {
        assert!(!accepted(&gateway, RS256));
    }
    replace(&folder, &path, set_of(&["rsa"]));
    becomes(&gateway, "the next key is taken", RS256, true);
    assert!(!accepted(&gateway, EDDSA));
}

/// A set that is written as it was keeps its keys over a reload, whatever its file has come to; and it
/// goes on being read, beside sets that are new.
#[test]
fn a_reload_leaves_a_set_as_it_is() {
    let folder = Folder::new();
    let path = folder.write("keys.json", set_of(&["ed"]));
    let scene = alone().with(&format!(
        "[key-sets.keys]\nfile = \"{}\"\nreload = \"24h\"",
        path.display()
    ));
    let gateway = Gateway::start(&scene.clone().toml());
    assert!(accepted(&gateway, EDDSA));
    replace(&folder, &path, "no keys");
    let second = folder.write("more.json", set_of(&["two"]));
    let more = format!("[key-sets.more]\nfile = \"{}\"", second.display());
    gateway.reload(&scene.clone().with(&more).toml());
    assert!(accepted(&gateway, EDDSA) && !accepted(&gateway, EDDSA_TWO));
    assert_eq!(verify(&gateway, EDDSA_TWO, "more")["payload"], PAYLOAD);
    gateway.wait_for_one_gateway();
    replace(&folder, &path, set_of(&["two"]));
    becomes(&gateway, "the new key is taken", EDDSA_TWO, true);
    gateway.reload(&scene.toml());
    assert!(accepted(&gateway, EDDSA_TWO) && !accepted(&gateway, EDDSA));
    let gone = verify(&gateway, EDDSA_TWO, "more");
    assert!(gone["error"].is_string(), "{gone}");
}

/// A plugin's calls in progress, and all later ones, see the new keys without a restart, whoever asks.
#[test]
fn all_calls_see_the_new_keys() {
    let folder = Folder::new();
    let path = folder.write("keys.json", set_of(&["ed"]));
    let set = format!("[key-sets.keys]\nfile = \"{}\"", path.display());
    let scene = alone().with(&set).policy(
        "reused",
        "reach",
        "instances = { calls = 1000000 }\nconfig.configure = []",
    );
    let scene = scene.route("reused", "/reused", &["reused"]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let mut reused = |token: &str| {
        let steps = serde_json::json!([{ "jws": "keys" }]);
        client.send(super::asking("/reused", &steps, token));
        super::told(&client.read())[0]["payload"] == PAYLOAD
    };
    assert!(reused(EDDSA) && !reused(EDDSA_TWO));
    replace(&folder, &path, set_of(&["two"]));
    eventually("the new key", || reused(EDDSA_TWO).then_some(()));
    assert!(!reused(EDDSA) && !accepted(&gateway, EDDSA));
    assert!(!gateway.stderr().contains(ED_X));
}
