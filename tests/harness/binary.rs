//! Where the program and the components are that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository's folder.
pub fn repository() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The gateway: `$TOLLGATE_BIN`, or the one of the profile that the tests were built with.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let beside = || {
            // target/release/deps/it-0123456789abcdef, or target/release/some-tool
            let own = std::env::current_exe().ok()?;
            let folder = own.parent()?;
            let profile = if folder.ends_with("deps") {
                folder.parent()?
            } else {
                folder
            };
            Some(profile.join("tollgate"))
        };
        let named = std::env::var_os("TOLLGATE_BIN").map(PathBuf::from);
        let path = named.or_else(beside).unwrap_or_default();
        assert!(
            path.is_file(),
            "there is no gateway at `{}`: run `make test`, which builds it first, or name one in \
             TOLLGATE_BIN",
            path.display()
        );
        path
    })
}

/// The target folder that the gateway was built in.
pub fn target() -> PathBuf {
    let folder = binary().parent().and_then(Path::parent);
    folder.unwrap_or(Path::new("target")).to_owned()
}

/// The component of a crate under `tests/guests`, by its file's name without `.wasm`. Those that are
/// missing are built, once.
pub fn guest(name: &str) -> PathBuf {
    let out = guests();
    let path = out.join(format!("{name}.wasm"));
    if !path.is_file() {
        static BUILT: OnceLock<()> = OnceLock::new();
        static BUILT_WASIP2: OnceLock<()> = OnceLock::new();
        if name == "guest_wasip2" {
            BUILT_WASIP2.get_or_init(|| build_wasip2(&out));
        } else {
            BUILT.get_or_init(|| build(&out));
        }
    }
    assert!(
        path.is_file(),
        "no crate under tests/guests makes `{}`",
        path.display()
    );
    path
}

fn guests() -> PathBuf {
    let named = std::env::var_os("TOLLGATE_GUESTS").map(PathBuf::from);
    named.unwrap_or_else(|| target().join("guests/out"))
}

/// Builds all of `tests/guests` but the one for WASI, as an author builds a plugin.
fn build(out: &Path) {
    let folder = repository().join("tests/guests");
    let entries = std::fs::read_dir(&folder).expect("the guests' folder");
    let crates: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("Cargo.toml").is_file() && !path.ends_with("wasip2"))
        .collect();
    let mut command = Command::new(binary());
    command
        .args(["plugin", "build"])
        .args(crates)
        .arg("--out")
        .arg(out);
    run(command, "building the guests of the tests");
}

/// Builds the guest for WASI: its target's own linker makes it a component.
fn build_wasip2(out: &Path) {
    // What cannot be fetched may be installed already; if it is not, cargo says so.
    let _ = Command::new("rustup")
        .args(["target", "add", "wasm32-wasip2"])
        .output();
    let built = target().join("guests");
    let mut command = Command::new("cargo");
    command
        .args([
            "build",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--package",
            "guest-wasip2",
        ])
        .args(["--config", "profile.release.strip=\"debuginfo\""])
        .arg("--target-dir")
        .arg(&built)
        .current_dir(repository())
        .env_remove("RUSTFLAGS");
    run(command, "building the guest for wasm32-wasip2");
    std::fs::create_dir_all(out).expect("the folder of the guests");
    let made = built.join("wasm32-wasip2/release/guest_wasip2.wasm");
    std::fs::copy(&made, out.join("guest_wasip2.wasm"))
        .unwrap_or_else(|error| panic!("cannot copy `{}`: {error}", made.display()));
}

fn run(mut command: Command, what: &str) {
    eprintln!("{what}; this is done once");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        output.status.success(),
        "{what} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
