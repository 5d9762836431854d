//! `tollgate plugin build`: the one place that finds a compiler for WebAssembly.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::unsupported;

const TARGET: &str = "wasm32-unknown-unknown";
/// Small, and with the names of functions for backtraces.
const PROFILE: [&str; 4] = [
    "profile.release.lto=true",
    "profile.release.panic=\"abort\"",
    "profile.release.codegen-units=1",
    "profile.release.strip=\"debuginfo\"",
];
/// A policy recurses little, and each page of stack is a page that a fresh instance may touch.
const LINKER_FLAGS: &str = "-Clink-arg=-zstack-size=65536";

/// How plugins are compiled on this machine.
enum Compiler {
    /// The usual one has the target's standard library.
    Installed,
    /// This one has the library's source, and builds it.
    FromSource {
        rustc: PathBuf,
        cargo: PathBuf,
        linker: Linker,
    },
}

/// What links WebAssembly, where the compiler does not bring it along.
enum Linker {
    /// In this folder of rustup's toolchain.
    RustLld(PathBuf),
    /// Of the package `lld`.
    WasmLd,
}

/// Builds each crate; says where each `.wasm` is.
pub fn build(crates: &[PathBuf], out: Option<&Path>) -> Result<(), String> {
    let compiler = find_compiler()?;
    if let Some(out) = out {
        std::fs::create_dir_all(out)
            .map_err(|error| format!("cannot make `{}`: {error}", out.display()))?;
    }
    for folder in crates {
        let mut made = build_crate(&compiler, folder)?;
        if let (Some(out), Some(name)) = (out, made.file_name()) {
            let copy = out.join(name);
            // Under a temporary name first: a gateway may be reading the old one.
            let temporary = copy.with_extension("wasm.part");
            std::fs::copy(&made, &temporary)
                .and_then(|_| std::fs::rename(&temporary, &copy))
                .map_err(|error| format!("cannot copy to `{}`: {error}", copy.display()))?;
            made = copy;
        }
        // A closed pipe has nobody to tell.
        let _ = writeln!(std::io::stdout(), "{}", made.display());
    }
    Ok(())
}

fn find_compiler() -> Result<Compiler, String> {
    if let Some(sysroot) = sysroot(Path::new("rustc"))
        && sysroot.join("lib/rustlib").join(TARGET).is_dir()
    {
        return Ok(Compiler::Installed);
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).stdout(Stdio::null());
    // Where there is no rustup, or it may fetch nothing, the next way is tried.
    if rustup.status().is_ok_and(|status| status.success()) {
        return Ok(Compiler::Installed);
    }
    let mut candidates: Vec<PathBuf> = sysroot(Path::new("rustc")).into_iter().collect();
    candidates.push(PathBuf::from("/usr"));
    for root in candidates {
        let (rustc, cargo) = (root.join("bin/rustc"), root.join("bin/cargo"));
        let Some(sysroot) = sysroot(&rustc) else {
            continue;
        };
        if cargo.is_file()
            && sysroot.join("lib/rustlib/src/rust/library/std").exists()
            && let Some(linker) = linker()
        {
            return Ok(Compiler::FromSource {
                rustc,
                cargo,
                linker,
            });
        }
    }
    Err(format!(
        "no Rust compiler here can build for {TARGET}. Either of these makes one:\n  \
         rustup target add {TARGET}\n  \
         apt-get install -y rustc-web cargo-web rust-web-src lld"
    ))
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// What links where the compiler brings no linker: rustup's own, or a distribution's.
fn linker() -> Option<Linker> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = sysroot(Path::new("rustc"))?
        .join("lib/rustlib")
        .join(host)
        .join("bin");
    if folder.join("rust-lld").is_file() {
        return Some(Linker::RustLld(folder));
    }
    let mut lld = Command::new("wasm-ld");
    lld.arg("--version").stdout(Stdio::null());
    lld.status()
        .is_ok_and(|status| status.success())
        .then_some(Linker::WasmLd)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
    src_path: PathBuf,
}

fn build_crate(compiler: &Compiler, folder: &Path) -> Result<PathBuf, String> {
    let shown = folder.display();
    let manifest = folder
        .join("Cargo.toml")
        .canonicalize()
        .map_err(|error| format!("`{shown}` is no crate: {error}"))?;
    let metadata = metadata(&manifest)?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path == manifest)
        .ok_or_else(|| format!("`{shown}` has no package"))?;
    let is_component = |target: &&Target| target.crate_types.iter().any(|kind| kind == "cdylib");
    let target = package.targets.iter().find(is_component).ok_or_else(|| {
        format!("`{shown}` makes no component; add to its Cargo.toml:\n  [lib]\n  crate-type = [\"cdylib\", \"rlib\"]")
    })?;

    // In a workspace with native crates, plugins get a folder of their own: their settings differ.
    let alone = manifest.parent() == Some(&metadata.workspace_root);
    let target_directory = if alone {
        metadata.target_directory
    } else {
        metadata.target_directory.join("guests")
    };
    let mut cargo = command(compiler);
    cargo
        .arg("build")
        .args(["--release", "--target", TARGET, "--package", &package.name])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_directory)
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            LINKER_FLAGS,
        )
        .env_remove("RUSTFLAGS")
        .stdout(Stdio::null());
    for setting in PROFILE {
        cargo.args(["--config", setting]);
    }
    if matches!(compiler, Compiler::FromSource { .. }) {
        cargo.arg("-Zbuild-std=std,panic_abort");
    }
    let status = cargo
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !status.success() {
        return Err(format!("`{shown}` does not build; see above"));
    }
    let made = target_directory.join(TARGET).join("release");
    let name = target.name.replace('-', "_");
    warn(&made, &name, target);
    Ok(made.join(format!("{name}.wasm")))
}

/// Warns of what compiles and does not work in the sandbox: it would be found by requests alone. What cannot
/// be read is not judged.
fn warn(made: &Path, name: &str, target: &Target) {
    let read = |file: String| std::fs::read(made.join(file)).unwrap_or_default();
    // Without `rlib` among its crate types there is no library.
    let library = read(format!("lib{name}.rlib"));
    let component = read(format!("{name}.wasm"));
    let noted = read(format!("{name}.d"));
    let folder = target.src_path.parent().unwrap_or(Path::new(""));
    let here = std::env::current_dir().unwrap_or_default();
    let sources = unsupported::sources(&String::from_utf8_lossy(&noted), folder, &here);
    for warning in unsupported::warnings(&library, &component, &sources) {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
}

fn command(compiler: &Compiler) -> Command {
    match compiler {
        Compiler::Installed => Command::new("cargo"),
        Compiler::FromSource {
            rustc,
            cargo,
            linker,
        } => {
            let mut command = Command::new(cargo);
            command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
            match linker {
                Linker::WasmLd => {
                    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
                }
                Linker::RustLld(folder) => {
                    let path = std::env::var_os("PATH").unwrap_or_default();
                    let folders =
                        std::iter::once(folder.clone()).chain(std::env::split_paths(&path));
                    if let Ok(path) = std::env::join_paths(folders) {
                        command.env("PATH", path);
                    }
                }
            }
            command
        }
    }
}

fn metadata(manifest: &Path) -> Result<Metadata, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo does not understand `{}`",
            manifest.display()
        ));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo's answer is not understood: {error}"))
}
