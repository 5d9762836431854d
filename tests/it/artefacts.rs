//! The folder of compiled plugins, which several processes may share.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use tollgate_tests::{Folder, Gateway, Origin, binary, eventually};

use crate::components::assembled;
use crate::scene::Scene;

const POLICIES: usize = 12;

/// Many configurations of one plugin, each with a route and an answer of its own.
fn toml(cache: &Path) -> String {
    let mut toml = format!(
        "[runtime]\nplugin-cache = \"{}\"\n[listeners.public]\naddress = \"127.0.0.1:0\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n",
        cache.display()
    );
    for number in 0..POLICIES {
        toml.push_str(&format!(
            "[policies.p{number}]\nplugin = \"headers\"\n\
             config.response.set.x-number = \"{number}\"\n\
             [routes.r{number}]\nmatch = \"/{number}\"\nchain = [\"p{number}\"]\n\
             respond = {{ status = 204 }}\n"
        ));
    }
    toml
}

fn assert_answers(gateway: &Gateway) {
    for number in 0..POLICIES {
        let answer = gateway.get(&format!("/{number}"));
        assert_eq!(answer.status, 204);
        assert_eq!(answer.headers("x-number"), [number.to_string()]);
    }
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(cache)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    entries
}

/// How many of the entries are compiled code. Others are the component that was made of a core module, and
/// those without content, which say what was found to fit its schema.
pub fn compiled(cache: &Path) -> usize {
    const HEAD: usize = 8 + 8 + 32;
    let entries = entries(cache)
        .into_iter()
        .filter_map(|path| fs::read(path).ok());
    let is_code = |entry: &Vec<u8>| {
        let content = entry.get(HEAD..);
        content.is_some_and(|content| content.starts_with(b"\x7fELF"))
    };
    entries.filter(is_code).count()
}

/// What a temporary file has behind the name that it will have.
const TEMPORARY: &str = ".4711.01931b5e-7c1e-7000-8000-0123456789ab";

/// Sets when it was used last, in days before now.
fn last_used(path: &Path, days: u32) {
    let then = SystemTime::now() - days * Duration::from_secs(86_400);
    let times = FileTimes::new().set_modified(then);
    let file = File::options().write(true).open(path).expect("a file");
    file.set_times(times).expect("ours");
}

/// An entry as the gateway writes it, with a payload of this many bytes, none of which are on the disk.
fn entry(cache: &Path, name: u8, bytes: u64) -> PathBuf {
    use std::io::Write;
    let path = cache.join(format!("{:064x}.cwasm", name));
    let mut file = File::create(&path).expect("ours");
    let head = [&b"tollgat1"[..], &bytes.to_le_bytes(), &[name; 32]].concat();
    file.write_all(&head).expect("ours");
    file.set_len(bytes + head.len() as u64)
        .expect("a sparse file");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
    path
}

/// A folder that only its owner may enter.
fn private(folder: &Folder) -> PathBuf {
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("a folder");
    fs::set_permissions(&cache, Permissions::from_mode(0o700)).expect("ours");
    cache
}

#[test]
fn processes_share_a_cold_folder_and_one_is_killed() {
    let folder = Folder::new();
    let cache = folder.path().join("cache");
    let toml = toml(&cache);
    let config = folder.write("killed.toml", &toml);
    let mut killed = Command::new(binary())
        .arg("run")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the gateway starts");
    let gateways: Vec<Gateway> = std::thread::scope(|scope| {
        let start = || Gateway::start(&toml);
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(start)).collect();
        eventually("something is being kept", || {
            (!entries(&cache).is_empty()).then_some(())
        });
        killed.kill().expect("SIGKILL can be sent");
        killed.wait().expect("a child");
        let started = starting.into_iter().map(|gateway| gateway.join());
        started
            .map(|gateway| gateway.expect("the gateway listens"))
            .collect()
    });
    gateways.iter().for_each(assert_answers);
    // Cold for some of them, and warm for the next.
    let kept = entries(&cache).len();
    assert!(kept > POLICIES, "{kept} are kept");
    assert_answers(&Gateway::start(&toml));
}

#[test]
fn what_is_broken_is_made_again() {
    let folder = Folder::new();
    let cache = folder.path().join("cache");
    let toml = toml(&cache);
    assert_answers(&Gateway::start(&toml));
    let whole = entries(&cache);
    assert!(whole.len() > POLICIES, "{whole:?}");
    let read = |path: &PathBuf| fs::read(path).expect("an entry");
    let last = read(&whole[whole.len() - 1]);
    for (number, path) in whole.iter().enumerate() {
        let mut bytes = read(path);
        match number % 6 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes.clear(),
            2 => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            3 => bytes.push(0),
            // Another's, whole, under a name that is not its own.
            4 => bytes.clone_from(&last),
            _ => {
                // Whoever could write it could have written anything.
                fs::set_permissions(path, Permissions::from_mode(0o666)).expect("ours");
                continue;
            }
        }
        fs::write(path, bytes).expect("ours");
    }
    let broken: Vec<Vec<u8>> = whole.iter().map(read).collect();
    let gateway = Gateway::start(&toml);
    assert_answers(&gateway);
    assert_eq!(entries(&cache), whole, "nothing more is kept");
    for (number, (path, broken)) in whole.iter().zip(&broken).enumerate() {
        let found = fs::metadata(path).expect("an entry");
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{number}");
        let made_again = read(path) != *broken || number % 6 == 5 || *broken == last;
        assert!(made_again, "entry {number} is as it was broken");
    }
}

#[test]
fn what_a_killed_process_left_behind_goes_in_time() {
    let folder = Folder::new();
    let cache = folder.path().join("cache");
    let toml = toml(&cache);
    assert_answers(&Gateway::start(&toml));
    let whole = entries(&cache);
    let beside = |number: usize| {
        let mut path = whole[number].clone();
        path.as_mut_os_string().push(TEMPORARY);
        fs::write(&path, "tollgat1 and half of it").expect("ours");
        path
    };
    let (old, new) = (beside(0), beside(1));
    last_used(&old, 1);
    let gateway = Gateway::start(&toml);
    assert_answers(&gateway);
    assert!(!old.exists(), "it is still there");
    assert!(new.exists(), "another process may be writing it");
    assert!(whole.iter().all(|path| path.exists()));
}

/// It may be somebody's home: "the user's own, mode 0700".
#[test]
fn what_others_keep_there_is_neither_removed_nor_counted() {
    let folder = Folder::new();
    let cache = private(&folder);
    let key = |digit: &str| digit.repeat(64);
    let old = |path: PathBuf| {
        last_used(&path, 400);
        path
    };
    let file = |name: &str, text: &str| {
        let path = cache.join(name);
        fs::write(&path, text).expect("ours");
        old(path)
    };
    let outside = folder.write("outside", "not in it");
    // Three gigabytes of something else, and names like ours of what is not.
    let photos = File::create(cache.join("photos.tar")).expect("ours");
    photos.set_len(3 << 30).expect("a sparse file");
    let mut strangers = vec![
        old(cache.join("photos.tar")),
        file("id_ed25519", "a key"),
        file("notes.cwasm.txt", "notes"),
        file("a.cwasm.1.2", "notes"),
        file(&format!("{}.cwasm", key("a")), "not compiled"),
        file(&format!("{}.cwasm", key("B")), "tollgat1 it begins"),
        file(&format!("{}.cwasm{TEMPORARY}", key("c")), "not compiled"),
        file(
            &format!("{}.cwasm.4711.0192", key("c")),
            "tollgat1 it begins",
        ),
        file(
            &format!("{}.cwasm{TEMPORARY}.bak", key("c")),
            "tollgat1 it begins",
        ),
    ];
    let linked = cache.join(format!("{}.cwasm", key("d")));
    fs::hard_link(&outside, &linked).expect("a link");
    let pointing = cache.join(format!("{}.cwasm{TEMPORARY}", key("e")));
    std::os::unix::fs::symlink(&outside, &pointing).expect("a link");
    let inner = cache.join(format!("{}.cwasm", key("f")));
    fs::create_dir(&inner).expect("a folder");
    strangers.extend([linked, pointing, inner.clone()]);
    strangers.push(file(&format!("{}.cwasm/thesis.tex", key("f")), "a thesis"));
    let content = || -> Vec<_> {
        let content = |path: &PathBuf| match fs::metadata(path) {
            Ok(found) if found.len() < 1 << 20 => fs::read(path).ok(),
            found => Some(found.expect("it is there").len().to_le_bytes().to_vec()),
        };
        strangers.iter().map(content).collect()
    };
    let before = content();
    // Of ours there is more than there may be.
    let ours: Vec<PathBuf> = (0..5).map(|name| entry(&cache, name, 500 << 20)).collect();
    let ours_old = |days: u32| {
        let file = |(number, path): (usize, &PathBuf)| last_used(path, days - number as u32);
        ours.iter().enumerate().for_each(file);
    };
    ours_old(300);

    let toml = toml(&cache);
    let checked = tollgate_tests::check(&toml);
    assert!(checked.ok, "{}", checked.stderr);
    assert!(ours.iter().all(|path| path.exists()), "`check` removed one");
    assert_eq!(entries(&cache).len(), strangers.len() - 1 + ours.len());
    let text = "has things in it that this release did not write";
    assert!(checked.stderr.contains(text), "{}", checked.stderr);

    let gateway = Gateway::start(&toml);
    gateway.wait_for_event(&["WARN", text, "`runtime.plugin-cache`"]);
    assert_answers(&gateway);
    assert_eq!(content(), before);
    assert!(strangers.iter().all(|path| path.symlink_metadata().is_ok()));
    // The least recently used of ours went, and no more than had to.
    let left: Vec<bool> = ours.iter().map(|path| path.exists()).collect();
    assert_eq!(left, [false, true, true, true, true]);
}

/// `check` adds what it compiled, for the start that follows it, and alters nothing else.
#[test]
fn a_check_removes_nothing_and_writes_nothing_twice() {
    let folder = Folder::new();
    let cache = private(&folder);
    let toml = toml(&cache);
    let left = cache.join(format!("{}.cwasm{TEMPORARY}", "a".repeat(64)));
    fs::write(&left, "tollgat1").expect("ours");
    last_used(&left, 1);
    let looks = || -> Vec<_> {
        let modified = |path: &PathBuf| fs::metadata(path).and_then(|found| found.modified());
        let entries = entries(&cache).into_iter();
        entries.map(|path| (modified(&path).ok(), path)).collect()
    };
    assert!(tollgate_tests::check(&toml).ok);
    let kept = looks();
    assert!(kept.len() > POLICIES, "{kept:?}");
    assert!(tollgate_tests::check(&toml).ok);
    assert_eq!(looks(), kept);
    assert!(left.exists());
    assert_answers(&Gateway::start(&toml));
    assert!(!left.exists());
}

/// Its length is another's doing, and may be any.
#[test]
fn an_entry_of_another_length_is_not_read() {
    let folder = Folder::new();
    let cache = folder.path().join("cache");
    let toml = toml(&cache);
    let gateway = Gateway::start(&toml);
    assert_answers(&gateway);
    let usual = gateway.resident();
    drop(gateway);
    let whole = entries(&cache);
    for (number, path) in whole.iter().enumerate() {
        let file = File::options().write(true).open(path).expect("ours");
        let length = file.metadata().expect("ours").len();
        let longer = [
            8 << 40,
            3 << 30,
            400 << 20,
            length + 1,
            length - 1,
            47,
            8,
            0,
        ];
        // As large as the file system lets it be.
        let set = (0..20).any(|halved| file.set_len(longer[number % 8] >> halved).is_ok());
        assert!(set, "{}", path.display());
    }
    let gateway = Gateway::start(&toml);
    assert_answers(&gateway);
    let resident = gateway.resident();
    assert!(
        resident < usual + (64 << 20),
        "{resident}, and {usual} before"
    );
    assert_eq!(entries(&cache), whole);
}

#[test]
fn without_a_folder_nothing_is_written() {
    let (root, origin) = (Folder::new(), Origin::echo());
    let home = root.path().join("home");
    let start = |setting: &str| {
        let scene = Scene::new(&origin)
            .hostile("")
            .policy("any", "hostile", "")
            .with(setting);
        let home = home.to_string_lossy();
        let gateway = Gateway::builder()
            .env("XDG_CACHE_HOME", &home)
            .start(&scene.toml());
        assert_eq!(gateway.get("/a").status, 200);
    };
    start("[runtime]\nplugin-cache = false");
    assert!(!home.exists());
    start("");
    let folder = home.join("tollgate");
    assert_eq!(compiled(&folder), 2);
    let mode = fs::metadata(&folder)
        .expect("the folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn another_release_of_a_plugin_is_another_entry() {
    let (root, origin) = (Folder::new(), Origin::echo());
    let wasm = assembled(&root, "minimal");
    let cache = root.path().join("cache");
    let toml = Scene::new(&origin)
        .plugin("minimal", &wasm, "")
        .policy("any", "minimal", "")
        .with(&format!(
            "[runtime]\nplugin-cache = \"{}\"",
            cache.display()
        ))
        .toml();
    let count = || compiled(&cache);
    assert!(tollgate_tests::check(&toml).ok);
    assert_eq!(count(), 2);
    let mut bytes = fs::read(&wasm).expect("it");
    // A custom section: the same code, and another file.
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&wasm, bytes).expect("it");
    assert!(tollgate_tests::check(&toml).ok);
    assert_eq!(count(), 4);
}
