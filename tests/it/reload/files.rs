//! Files that are looked at.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tollgate_tests::{Folder, Gateway, binary, eventually, guest, replace};

use super::{UNWATCHED, WATCHED, answering, plugin_file, respond};

fn becomes(gateway: &Gateway, path: &str, text: &str) {
    eventually(&format!("{path} answers {text}"), || {
        (gateway.get(path).text() == text).then_some(())
    });
}

#[test]
fn a_changed_configuration_is_taken_over() {
    let gateway = Gateway::start(&(WATCHED.to_owned() + &respond("a", "/a", "old")));
    assert_eq!(gateway.get("/a").text(), "old");
    gateway.write_config(&(WATCHED.to_owned() + &respond("a", "/a", "new")));
    becomes(&gateway, "/a", "new");
    assert_eq!(gateway.reloads("applied"), 1);
}

/// The file is emptied and written again, as editors do it, one piece after the other.
#[test]
fn a_file_that_is_written_in_pieces_is_taken_over_whole() {
    use std::io::Write;
    let toml = |body: &str| {
        format!(
            "{WATCHED}[admin]\naddress = \"127.0.0.1:0\"\n{}",
            respond("a", "/a", body)
        )
    };
    let gateway = Gateway::start(&toml("old"));
    let new = toml("new");
    let mut file = std::fs::File::create(gateway.config()).expect("the file");
    for piece in new.as_bytes().chunks(8) {
        file.write_all(piece).expect("a piece");
        assert_eq!(gateway.get("/a").text(), "old");
    }
    drop(file);
    becomes(&gateway, "/a", "new");
}

/// As Kubernetes replaces what it mounts: the names are links through a link, which is replaced.
#[test]
fn a_link_that_is_pointed_elsewhere_is_a_change() {
    let folder = Folder::new();
    let toml = |body: &str| {
        format!(
            "{WATCHED}[admin]\naddress = \"127.0.0.1:0\"\n{}",
            respond("a", "/a", body)
        )
    };
    folder.write("one/gateway.toml", toml("one"));
    folder.write("two/gateway.toml", toml("two"));
    let gateway = Gateway::start(&toml("none"));
    let data = folder.path().join("data");
    symlink("one", &data).expect("a link");
    std::fs::remove_file(gateway.config()).expect("a file");
    symlink(data.join("gateway.toml"), gateway.config()).expect("a link");
    becomes(&gateway, "/a", "one");
    let new = folder.path().join("data.new");
    symlink("two", &new).expect("a link");
    std::fs::rename(&new, &data).expect("a rename");
    becomes(&gateway, "/a", "two");
}

#[test]
fn nothing_is_looked_at_if_it_is_said_so() {
    let toml = |more: &str, body: &str| UNWATCHED.to_owned() + &respond("a", "/a", body) + more;
    let gateway = Gateway::start(&toml("", "old"));
    // What one asks for by SIGHUP can begin to look.
    gateway.write_config(&toml("", "new").replace("watch = false", "watch = true"));
    gateway.hang_up_for("applied");
    assert_eq!(gateway.get("/a").text(), "new");
    gateway.write_config(&toml("", "newer"));
    becomes(&gateway, "/a", "newer");
    // And end it: that was the last one that was seen.
    gateway.write_config(&toml("", "newest"));
    gateway.hang_up_for("applied");
    assert_eq!(gateway.reloads("applied"), 3);
}

/// Also of a plugin file whose name stays: what is loaded is what the file holds.
#[test]
fn a_plugin_is_replaced_under_load_and_no_request_is_lost() {
    let folder = Folder::new();
    let (wasm, section) = plugin_file(&folder, "v0");
    let gateway = Gateway::start(&(WATCHED.to_owned() + &section));
    let (ended, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.client();
                let mut last = String::from("v0");
                while !ended.load(Ordering::SeqCst) {
                    let answer = client.get("/answer");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    assert!(answer.complete);
                    let text = answer.text();
                    assert!(text >= last, "{text} after {last}");
                    last = text;
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // Ends the load also if this fails.
        let _end = EndsLoad(&ended);
        for number in 1..=3 {
            let text = format!("v{number}");
            replace(&wasm, answering(&text));
            becomes(&gateway, "/answer", &text);
        }
    });
    assert!(served.load(Ordering::SeqCst) > 100);
    assert_eq!(gateway.reloads("applied"), 3);
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &[]), 0.0);
    gateway.wait_for_one_gateway();
}

/// A file that is missed is looked for, as while it is being built again.
#[test]
fn a_bundled_plugin_that_is_gone_for_a_while() {
    let folder = Folder::new();
    let bundled = binary().with_file_name("plugins").join("headers.wasm");
    let bytes = std::fs::read(bundled).expect("a bundled plugin");
    let wasm = folder.write("headers.wasm", &bytes);
    let toml = format!(
        "{WATCHED}[policies.mark]\nplugin = \"headers\"\nconfig.response.set.x-mark = \"a\"\n\
         [routes.a]\nmatch = \"/a\"\nchain = [\"mark\"]\nrespond = {{ status = 204 }}\n"
    );
    let gateway = Gateway::builder()
        .env("TOLLGATE_PLUGINS", &folder.path().to_string_lossy())
        .start(&toml);
    std::fs::remove_file(&wasm).expect("a file");
    gateway.wait_for_event(&["everything stays as it was", "`headers` does not load"]);
    assert_eq!(gateway.get("/a").headers("x-mark"), ["a"]);
    std::fs::write(&wasm, &bytes).expect("a file");
    gateway.wait_for_event(&["nothing has changed"]);
    // The same with one more custom section is another file: its name `x`, and nothing in it.
    replace(&wasm, [&bytes[..], &[0, 2, 1, b'x']].concat());
    gateway.wait_for_event(&["reloaded", "policies=1 kept=0"]);
    assert_eq!(gateway.get("/a").headers("x-mark"), ["a"]);
    assert_eq!(gateway.reloads("refused"), 1, "{}", gateway.stderr());
}

/// Ends the load when dropped.
pub struct EndsLoad<'a>(pub &'a AtomicBool);

impl Drop for EndsLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Nothing about the files is wrong, and none of them changes again.
#[test]
fn what_failed_for_want_of_descriptors_is_tried_again() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let gateway = Gateway::start(&(WATCHED.to_owned() + &respond("a", "/a", "old")));
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "old");
    let pid = i32::try_from(gateway.pid()).ok().and_then(Pid::from_raw);
    let few = Rlimit {
        current: Some(3),
        ..rustix::process::getrlimit(Resource::Nofile)
    };
    let before = prlimit(pid, Resource::Nofile, few).expect("ours");
    gateway.write_config(&(WATCHED.to_owned() + &respond("a", "/a", "new")));
    gateway.wait_for_event(&[
        "ERROR",
        "everything stays as it was, and it is tried again",
        "Too many open files",
    ]);
    assert_eq!(client.get("/a").text(), "old");
    prlimit(pid, Resource::Nofile, before).expect("ours");
    becomes(&gateway, "/a", "new");
    assert_eq!(gateway.reloads("applied"), 1, "{}", gateway.stderr());
    // It is said once.
    assert_eq!(gateway.reloads("refused"), 1, "{}", gateway.stderr());
}

#[test]
fn a_changed_secret_makes_another_snapshot() {
    let toml = format!(
        "{WATCHED}[secrets]\nGUEST_SECRET = {{ file = \"secret.txt\" }}\n\
         [plugins.keeper]\nwasm = \"{}\"\ngrant = {{ secrets = [\"GUEST_SECRET\"] }}\n\
         [policies.kept]\nplugin = \"keeper\"\n\
         [routes.a]\nmatch = \"/a\"\nchain = [\"kept\"]\nrespond = {{ status = 204 }}\n",
        guest("guest_secret").display()
    );
    let gateway = Gateway::builder().file("secret.txt", "short").start(&toml);
    let path = gateway.config().with_file_name("secret.txt");
    let length = || gateway.get("/a").headers("x-secret-length").concat();
    assert_eq!(length(), "5");
    replace(&path, "a much longer one");
    eventually("the new secret", || (length() == "17").then_some(()));
    // Without it nothing changes.
    std::fs::remove_file(&path).expect("a file");
    gateway.wait_for_event(&["everything stays as it was", "secret `GUEST_SECRET`"]);
    assert_eq!(length(), "17");
    replace(&path, "back");
    eventually("the next secret", || (length() == "4").then_some(()));
    assert!(!gateway.stderr().contains("a much longer one"));
}
