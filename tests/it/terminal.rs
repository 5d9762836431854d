//! What is seen on a terminal while plugins compile. `script` (of util-linux) makes the terminal.

use std::process::{Command, Stdio};

use tollgate_tests::{Folder, binary};

/// Standard error of `tollgate check` with a cold cache, as a terminal gets it, or as a pipe does.
fn check(folder: &Folder, is_terminal: bool) -> String {
    let mut toml = "[runtime]\nplugin-cache = false\n[listeners.a]\naddress = \"127.0.0.1:0\"\n\
                    [routes.a]\nmatch = \"/\"\nrespond = { status = 204 }\n"
        .to_owned();
    for number in 0..40 {
        toml.push_str(&format!(
            "[policies.p{number}]\nplugin = \"headers\"\n\
             config.response.set.x-number = \"{number}\"\n"
        ));
    }
    let config = folder.write("gateway.toml", toml);
    let shown = format!("{} check {}", binary().display(), config.display());
    let mut command = if is_terminal {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &shown, "/dev/null"]);
        script
    } else {
        let mut check = Command::new(binary());
        check.arg("check").arg(&config);
        check
    };
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn progress_is_shown_and_erased() {
    let folder = Folder::new();
    let shown = check(&folder, true);
    let (_, last) = shown
        .rsplit_once("compiling plugins ")
        .unwrap_or_else(|| panic!("no progress in {shown:?}"));
    // It is erased before anything else is said, and every line of the log has its own.
    assert!(last.contains("/41\r\x1b[K"), "{shown:?}");
    assert!(shown.contains(": 40 warnings"), "{shown:?}");
    assert!(!shown.contains("tracing"), "{shown:?}");
    for line in shown.split('\n').filter(|line| line.contains("INFO")) {
        let last = line.rsplit("\x1b[K").next().unwrap_or_default();
        assert!(!last.contains("compiling"), "{line:?}");
    }

    let piped = check(&folder, false);
    assert!(
        !piped.contains("compiling") && !piped.contains('\r'),
        "{piped:?}"
    );
}
