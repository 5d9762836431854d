//! The folder of compiled plugins: what is served from it, and that nothing found there is trusted for
//! its name.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tollgate_tests::{Folder, Gateway, Origin};

use crate::scene::Scene;

/// Of an entry, in bytes: what each begins with, the length of its content, and the digest.
const HEAD: usize = 8 + 8 + 32;

/// Whether an entry is compiled code. Others are the component that was made of a core module, and those
/// without content, which say what was found to fit its schema.
fn is_code(entry: &[u8]) -> bool {
    entry
        .get(HEAD..)
        .is_some_and(|content| content.starts_with(b"\x7fELF"))
}

/// A gateway with a cache folder of its own, and two policies that can be told apart.
struct Kept {
    _root: Folder,
    folder: PathBuf,
    toml: String,
    _origin: Origin,
}

impl Kept {
    fn new() -> Kept {
        let (root, origin) = (Folder::new(), Origin::echo());
        let folder = root.path().join("cache");
        let mark = |value: &str| {
            format!("config = {{ act = \"edit\", edits = [[\"set\", \"x-mark\", \"{value}\"]] }}")
        };
        let toml = Scene::new(&origin)
            .hostile("")
            .policy("one", "hostile", &mark("one"))
            .policy("two", "hostile", &mark("two"))
            .policy("same-as-two", "hostile", &mark("two"))
            .route("one", "/one", &["one"])
            .route("two", "/two", &["two"])
            .route("same", "/same", &["same-as-two"])
            .with(&format!(
                "[runtime]\nplugin-cache = \"{}\"",
                folder.display()
            ))
            .toml();
        Kept {
            _root: root,
            folder,
            toml,
            _origin: origin,
        }
    }

    /// Starts, asks, stops; answers what was logged.
    #[track_caller]
    fn run(&self) -> String {
        let mut gateway = Gateway::start(&self.toml);
        for (path, mark) in [("/one", "one"), ("/two", "two"), ("/same", "two")] {
            assert_eq!(
                gateway.get(path).echoed("x-mark"),
                [mark.as_bytes()],
                "{path}"
            );
        }
        assert!(gateway.stop().success());
        gateway.stderr()
    }

    fn compiled(&self) -> usize {
        let entries = self.entries();
        entries.values().filter(|bytes| is_code(bytes)).count()
    }

    /// Everything in the folder.
    fn entries(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = std::fs::read_dir(&self.folder)
            .expect("the cache folder")
            .flatten();
        entries
            .map(|entry| {
                let path = entry.path();
                // A pipe would be waited for.
                let is_file = std::fs::metadata(&path).is_ok_and(|found| found.is_file());
                let bytes = if is_file {
                    std::fs::read(&path).ok()
                } else {
                    None
                };
                (path, bytes.unwrap_or_default())
            })
            .collect()
    }

    /// As below, of what is compiled code.
    #[track_caller]
    fn compiled_is_rebuilt(&self, what: &str, change: impl Fn(&Path, &[u8])) {
        self.are_rebuilt(what, is_code, change);
    }

    #[track_caller]
    fn all_are_rebuilt(&self, what: &str, change: impl Fn(&Path, &[u8])) {
        self.are_rebuilt(what, |_| true, change);
    }

    /// Runs with these entries changed, and expects others in their place that are used from then on. They
    /// need not have the same bytes: to compile is not wholly deterministic.
    #[track_caller]
    fn are_rebuilt(&self, what: &str, these: fn(&[u8]) -> bool, change: impl Fn(&Path, &[u8])) {
        let mut whole = self.entries();
        let names: Vec<PathBuf> = whole.keys().cloned().collect();
        whole.retain(|_, bytes| these(bytes));
        for (path, bytes) in &whole {
            change(path, bytes);
        }
        let changed = self.entries();
        self.run();
        let now = self.entries();
        assert!(now.keys().eq(&names), "{what}: other entries than before");
        for (path, bytes) in &whole {
            let found = std::fs::symlink_metadata(path).expect("an entry");
            let ours = found.is_file() && found.permissions().mode() & 0o777 == 0o600;
            let same = changed.get(path) != Some(bytes) && now.get(path) == changed.get(path);
            let rebuilt = ours && !same && found.len() == bytes.len() as u64;
            assert!(rebuilt, "{what}: {} was not rebuilt", path.display());
        }
        self.run();
        assert!(
            self.entries() == now,
            "{what}: what was rebuilt is not used"
        );
    }
}

#[test]
fn a_second_start_is_served_from_the_folder() {
    let kept = Kept::new();
    kept.run();
    let first = kept.entries();
    // The plugin as it is, and one snapshot for each configuration: two policies share theirs.
    assert_eq!(kept.compiled(), 3, "{:?}", first.keys());
    for path in first.keys() {
        let found = std::fs::symlink_metadata(path).expect("an entry");
        assert_eq!(
            found.permissions().mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
        assert_eq!(
            path.extension().and_then(|text| text.to_str()),
            Some("cwasm")
        );
    }
    let mode = std::fs::metadata(&kept.folder)
        .expect("the folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    // What is used is marked as used, so that the oldest can go first.
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    for path in first.keys() {
        let file = std::fs::File::options()
            .write(true)
            .open(path)
            .expect("an entry");
        file.set_modified(long_ago).expect("its time");
    }
    kept.run();
    assert!(
        kept.entries() == first,
        "a second start wrote something else"
    );
    for path in first.keys() {
        let modified = std::fs::metadata(path).and_then(|found| found.modified());
        assert_ne!(
            modified.expect("its time"),
            long_ago,
            "{} was not used",
            path.display()
        );
    }
}

#[test]
fn two_gateways_may_fill_one_folder_at_once() {
    let kept = Kept::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| kept.run());
        }
    });
    assert_eq!(kept.compiled(), 3, "{:?}", kept.entries().keys());
}

#[test]
fn a_corrupt_entry_is_rebuilt() {
    let kept = Kept::new();
    kept.run();
    for part in 0..=6 {
        kept.all_are_rebuilt(&format!("flipped in part {part}"), |path, bytes| {
            let mut bytes = bytes.to_vec();
            // The beginning, the length, the hash, its end, and the content from its first byte to its last.
            let last = bytes.len() - 1;
            let at = [0, 8, 16, HEAD - 1, HEAD, bytes.len() / 2, last][part];
            bytes[at.min(last)] ^= 1;
            std::fs::write(path, bytes).expect("an entry");
        });
    }
    for length in [0, 1, 8, 16, HEAD - 1, HEAD, HEAD + 1, 4096] {
        kept.all_are_rebuilt(&format!("cut to {length}"), |path, bytes| {
            let shorter = length.min(bytes.len() - 1);
            std::fs::write(path, &bytes[..shorter]).expect("an entry");
        });
    }
    kept.all_are_rebuilt("a byte longer", |path, bytes| {
        std::fs::write(path, [bytes, b"x"].concat()).expect("an entry");
    });
}

#[test]
fn an_entry_of_another_name_is_not_taken_for_this_one() {
    let kept = Kept::new();
    kept.run();
    let whole = kept.entries();
    let paths: Vec<&PathBuf> = whole.keys().collect();
    for (index, path) in paths.iter().enumerate() {
        let other = &whole[paths[(index + 1) % paths.len()]];
        std::fs::write(path, other).expect("an entry");
    }
    // Each route must still do what its own configuration says.
    let swapped = kept.entries();
    kept.run();
    for (path, bytes) in kept.entries() {
        assert_ne!(
            swapped.get(&path),
            Some(&bytes),
            "what lay under another's name was not rebuilt"
        );
    }
}

#[test]
fn an_entry_that_somebody_else_could_have_made_is_rebuilt() {
    let kept = Kept::new();
    kept.run();
    let aside = kept.folder.parent().expect("its parent").join("aside");
    std::fs::create_dir(&aside).expect("a folder");
    kept.all_are_rebuilt("a link", |path, bytes| {
        let copy = aside.join(path.file_name().expect("a name"));
        std::fs::write(&copy, bytes).expect("a copy");
        std::fs::remove_file(path).expect("an entry");
        symlink(&copy, path).expect("a link");
    });
    for path in kept.entries().keys() {
        assert!(std::fs::symlink_metadata(path).expect("an entry").is_file());
    }
    kept.all_are_rebuilt("writable by all", |path, _| {
        let mode = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(path, mode).expect("its mode");
    });
    for path in kept.entries().keys() {
        let mode = std::fs::metadata(path)
            .expect("an entry")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{} is still writable", path.display());
    }
    // A reader of a pipe would wait for ever.
    kept.all_are_rebuilt("a pipe", |path, _| {
        std::fs::remove_file(path).expect("an entry");
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.is_ok_and(|status| status.success()), "no pipe");
    });
}

#[test]
fn a_foreign_entry_with_the_right_hash_is_rebuilt() {
    let kept = Kept::new();
    kept.run();
    let other_version = |bytes: &[u8]| {
        let mut payload = bytes[HEAD..].to_vec();
        let section = payload
            .windows(16)
            .position(|part| part == b".wasmtime.engine");
        assert!(section.is_some(), "no artefact of wasmtime");
        // The name of the release that compiled it.
        let version = payload
            .windows(3)
            .position(|part| part == b"48." || part == b"\x0248");
        let version = version.or_else(|| payload.windows(2).position(|part| part == b"48"));
        payload[version.expect("a version")] ^= 1;
        payload
    };
    kept.compiled_is_rebuilt("of another version", |path, bytes| {
        let payload = other_version(bytes);
        std::fs::write(path, sealed(path, &payload)).expect("an entry");
    });
    for foreign in [
        &b""[..],
        b"MZ, surely",
        &[0x7f; 4096],
        b"\x7fELF\x02\x01\x01\0",
    ] {
        kept.compiled_is_rebuilt("no artefact at all", |path, _| {
            std::fs::write(path, sealed(path, foreign)).expect("an entry");
        });
    }
}

/// An entry with this content, as the gateway would have written it.
fn sealed(path: &Path, content: &[u8]) -> Vec<u8> {
    let name = path.file_name().expect("a name").to_string_lossy();
    let digit = |at: usize| u8::from_str_radix(&name[at..at + 2], 16).expect("a digit");
    let key: Vec<u8> = (0..64).step_by(2).map(digit).collect();
    let length = (content.len() as u64).to_le_bytes().to_vec();
    let seal = sha256(&[&key, content].concat());
    [b"tollgat1".to_vec(), length, seal, content.to_vec()].concat()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("sha256sum");
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum");
    process
        .stdin
        .take()
        .expect("a pipe")
        .write_all(bytes)
        .expect("it reads");
    let output = process.wait_with_output().expect("sha256sum ends");
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let hash: Vec<u8> = output.stdout[..64].chunks(2).filter_map(digits).collect();
    assert_eq!(hash.len(), 32);
    hash
}

#[test]
fn a_folder_that_others_can_enter_is_not_used() {
    let kept = Kept::new();
    std::fs::create_dir(&kept.folder).expect("a folder");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&kept.folder, mode).expect("its mode");
    let log = kept.run();
    assert!(
        log.contains("compiled plugins are not kept: ") && log.contains("chmod 700"),
        "{log}"
    );
    assert!(kept.entries().is_empty());

    let kept = Kept::new();
    let real = kept.folder.with_file_name("real");
    std::fs::create_dir(&real).expect("a folder");
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&real, mode).expect("its mode");
    symlink(&real, &kept.folder).expect("a link");
    let log = kept.run();
    assert!(
        log.contains("compiled plugins are not kept: ") && log.contains("not a link"),
        "{log}"
    );
    assert!(kept.entries().is_empty());

    let kept = Kept::new();
    std::fs::write(&kept.folder, "a file").expect("a file in its place");
    let log = kept.run();
    assert!(log.contains("compiled plugins are not kept: "), "{log}");
}
