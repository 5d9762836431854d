//! The folder of compiled plugins, which several processes may share.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use tollgate_tests::{Folder, Gateway, binary, eventually};

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
        path.as_mut_os_string().push(".4711.0192");
        fs::write(&path, "half of it").expect("ours");
        path
    };
    let (old, new) = (beside(0), beside(1));
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let times = FileTimes::new().set_modified(yesterday);
    let file = File::options().write(true).open(&old).expect("a file");
    file.set_times(times).expect("ours");
    let gateway = Gateway::start(&toml);
    assert_answers(&gateway);
    assert!(!old.exists(), "it is still there");
    assert!(new.exists(), "another process may be writing it");
    assert!(whole.iter().all(|path| path.exists()));
}
