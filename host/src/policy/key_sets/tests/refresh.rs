//! Key sets from files, and their changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::{Change, KeySets, KeysFrom};
use super::signers::{jwk, plain, token};
use crate::limits::key_sets::{KEY_SET_BYTES_MAX, REFRESH_PAUSE};

const RELOAD: Duration = Duration::from_secs(30);

/// A folder for one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let name = format!("tollgate-key-sets-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, text: impl ToString) -> PathBuf {
        let path = self.0.join("keys.json");
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn file(path: &Path) -> KeysFrom {
    KeysFrom::File {
        path: path.to_owned(),
        reload: RELOAD,
    }
}

fn load(sources: impl IntoIterator<Item = (&'static str, KeysFrom)>, now: Instant) -> KeySets {
    let sources = sources
        .into_iter()
        .map(|(name, source)| (name.to_owned(), source));
    let (sets, warnings) = KeySets::load(sources.collect(), now).unwrap();
    assert_eq!(warnings, []);
    sets
}

fn named(key: &str, id: &str) -> Value {
    let mut key = jwk(key);
    key["kid"] = id.into();
    key
}

fn signed(id: &str) -> String {
    token(
        "EdDSA",
        &json!({ "alg": "EdDSA", "kid": id }).to_string(),
        "{}",
    )
}

fn verifies(sets: &KeySets, token: &str) -> bool {
    sets.verify_jws(token, "issuer").is_ok()
}

fn texts(changes: &[(Change, super::super::Notice)]) -> Vec<&str> {
    changes
        .iter()
        .map(|(_, notice)| notice.text.as_str())
        .collect()
}

#[test]
fn each_source_is_read_and_named() {
    let folder = Folder::new("sources");
    let path = folder.write(jwk("ES256"));
    let sets = load(
        [
            ("inline", KeysFrom::Inline(jwk("RS256"))),
            (
                "secret",
                KeysFrom::Secret(jwk("HS256").to_string().into_bytes()),
            ),
            ("file", file(&path)),
        ],
        Instant::now(),
    );
    for (set, algorithm) in [("inline", "PS256"), ("secret", "HS512"), ("file", "ES256")] {
        let verified = sets.verify_jws(&plain(algorithm), set).unwrap();
        assert_eq!(verified.payload, b"{}");
    }
    assert!(sets.verify_jws(&plain("ES256"), "inline").is_err());
    let error = sets.verify_jws(&plain("ES256"), "in\nline").unwrap_err();
    assert_eq!(
        error,
        r#"there is no key set "in\nline"; add it to `[key-sets]`"#
    );
    assert_eq!(sets.get("file").unwrap().usable(), 1);
    assert!(sets.get("other").is_none());
}

#[test]
fn all_bad_sources_are_told_at_once() {
    let folder = Folder::new("bad");
    let path = folder.write("{");
    let sources = BTreeMap::from([
        ("a".to_owned(), KeysFrom::Inline(json!({}))),
        ("b".to_owned(), KeysFrom::Secret(b"hunter2".to_vec())),
        ("c".to_owned(), file(&path)),
        ("d".to_owned(), file(&folder.0.join("not-there.json"))),
        ("e".to_owned(), file(&folder.0)),
        ("f".to_owned(), KeysFrom::Inline(jwk("ES256"))),
    ]);
    let problems = KeySets::load(sources, Instant::now()).err().unwrap();
    let said: Vec<_> = problems
        .iter()
        .map(|one| (one.set.as_str(), &one.text))
        .collect();
    let expected = [
        ("a", "neither `keys`"),
        ("b", "is not JSON"),
        ("c", "keys.json`: it is not JSON"),
        ("d", "not-there.json`: No such file"),
        ("e", "it is not a file"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for ((set, text), (name, because)) in said.into_iter().zip(expected) {
        assert!(set == name && text.contains(because), "{set}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn warnings_of_every_set_are_told() {
    let sources = BTreeMap::from([(
        "a".to_owned(),
        KeysFrom::Inline(json!([{ "kty": "new" }, jwk("ES256")])),
    )]);
    let (_, warnings) = KeySets::load(sources, Instant::now()).unwrap();
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert_eq!(warning.set, "a");
    assert_eq!(
        warning.text,
        "key 1 is not used: its kind \"new\" is not supported"
    );
}

#[test]
fn a_changed_file_is_taken_over_at_its_interval() {
    let folder = Folder::new("changed");
    let path = folder.write(jwk("ES256"));
    let start = Instant::now();
    let sets = load([("issuer", file(&path))], start);
    assert!(verifies(&sets, &plain("ES256")));

    // The same length, and at the same moment.
    folder.write(jwk("EdDSA"));
    assert_eq!(sets.refresh(start + RELOAD - Duration::from_nanos(1)), []);
    assert!(verifies(&sets, &plain("ES256")));
    let changes = sets.refresh(start + RELOAD);
    assert_eq!(texts(&changes), ["read again: 1 keys"]);
    assert_eq!(changes[0].0, Change::Replaced);
    assert!(verifies(&sets, &plain("EdDSA")) && !verifies(&sets, &plain("ES256")));
    assert_eq!(sets.refresh(start + 2 * RELOAD), []);
}

#[test]
fn a_file_gone_bad_changes_nothing_and_is_told_once() {
    let folder = Folder::new("gone-bad");
    let path = folder.write(jwk("ES256"));
    let start = Instant::now();
    let sets = load([("issuer", file(&path))], start);
    let mut times = (1..).map(|number| start + number * RELOAD);
    let mut refresh = || {
        let changes = sets.refresh(times.next().unwrap());
        assert!(verifies(&sets, &plain("ES256")));
        changes
    };
    for (text, because) in [
        ("", "is not JSON"),
        (r#"{"keys":[]}"#, "no key that can be used"),
        (
            &"[".repeat(KEY_SET_BYTES_MAX + 1),
            "more than 1048576 bytes",
        ),
    ] {
        folder.write(text);
        let changes = refresh();
        let [(Change::Kept, notice)] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(notice.set, "issuer");
        assert!(
            notice.text.starts_with("the keys stay as they were: `"),
            "{}",
            notice.text
        );
        assert!(notice.text.contains(because), "{}", notice.text);
        assert_eq!(refresh(), []);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(texts(&refresh())[0].contains("No such file"));
    assert_eq!(refresh(), []);
    std::fs::create_dir(&path).unwrap();
    assert!(texts(&refresh())[0].contains("it is not a file"));
    std::fs::remove_dir(&path).unwrap();
    folder.write(json!([{ "kty": "new" }, jwk("ES256")]));
    let changes = refresh();
    assert_eq!(
        texts(&changes),
        [
            "key 1 is not used: its kind \"new\" is not supported",
            "read again: 1 keys"
        ]
    );
}

#[test]
fn a_file_read_in_the_middle_of_being_written_is_read_again_soon() {
    let folder = Folder::new("half-written");
    let path = folder.write(jwk("ES256"));
    let start = Instant::now();
    let sets = load([("issuer", file(&path))], start);
    let whole = jwk("EdDSA").to_string();
    folder.write(&whole[..whole.len() / 2]);
    assert_eq!(sets.refresh(start + RELOAD).len(), 1);
    assert_eq!(sets.next_reading(), Some(start + RELOAD + REFRESH_PAUSE));
    folder.write(&whole);
    let now = start + RELOAD + REFRESH_PAUSE;
    assert_eq!(texts(&sets.refresh(now)), ["read again: 1 keys"]);
    assert!(verifies(&sets, &plain("EdDSA")));
    assert_eq!(sets.next_reading(), Some(now + RELOAD));
}

#[test]
fn an_unknown_key_brings_about_one_reading_a_second() {
    let folder = Folder::new("unknown");
    let path = folder.write(named("EdDSA", "old"));
    let start = Instant::now();
    let sets = load(
        [
            ("issuer", file(&path)),
            ("other", KeysFrom::Inline(jwk("ES256"))),
        ],
        start,
    );
    folder.write(json!([named("EdDSA", "old"), named("EdDSA", "new")]));

    // Wrong signatures, wrong forms and known keys cause no reading.
    for token in ["", "a.b.c", &plain("ES256"), &signed("old")] {
        let _ = verifies(&sets, token);
    }
    let moment = Duration::from_millis(1);
    assert_eq!(sets.next_reading(), Some(start + RELOAD));
    assert!(!verifies(&sets, &signed("new")));
    assert_eq!(sets.next_reading(), Some(start + REFRESH_PAUSE));
    assert_eq!(sets.refresh(start + REFRESH_PAUSE - moment), []);
    let now = start + REFRESH_PAUSE;
    assert_eq!(texts(&sets.refresh(now)), ["read again: 2 keys"]);
    assert!(verifies(&sets, &signed("new")) && verifies(&sets, &signed("old")));
    assert_eq!(sets.next_reading(), Some(now + RELOAD));

    // A key that stays unknown is looked for again, at the same pace.
    for _ in 0..1000 {
        assert!(!verifies(&sets, &signed("made up")));
    }
    folder.write(named("EdDSA", "newer"));
    assert_eq!(sets.refresh(now + REFRESH_PAUSE - moment), []);
    assert_eq!(
        texts(&sets.refresh(now + REFRESH_PAUSE)),
        ["read again: 1 keys"]
    );
    assert!(verifies(&sets, &signed("newer")) && !verifies(&sets, &signed("new")));
}

/// Waits until this holds; the paused clock advances by itself while all tasks wait.
async fn becomes(condition: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(3600),
            "it never becomes true"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_background_task_reads_files_at_their_interval_and_when_wanted() {
    let folder = Folder::new("background");
    let path = folder.write(named("EdDSA", "one"));
    let sets = Arc::new(load([("issuer", file(&path))], Instant::now()));
    let task = tokio::spawn(Arc::clone(&sets).run());

    folder.write(named("EdDSA", "two"));
    let has = |id: &str| format!("{:?}", sets.get("issuer").unwrap()).contains(id);
    let waited = becomes(|| has("two")).await;
    assert!(waited >= RELOAD - Duration::from_secs(1) && waited <= RELOAD + Duration::from_secs(1));

    // A token with a new key is refused at first, and accepted a second later.
    folder.write(named("EdDSA", "three"));
    assert!(!verifies(&sets, &signed("three")));
    let waited = becomes(|| has("three")).await;
    assert!(
        waited <= REFRESH_PAUSE + Duration::from_millis(20),
        "{waited:?}"
    );
    assert!(verifies(&sets, &signed("three")));

    // The first token after a quiet time does not wait for the pause.
    tokio::time::sleep(2 * REFRESH_PAUSE).await;
    folder.write(named("EdDSA", "four"));
    assert!(!verifies(&sets, &signed("four")));
    let waited = becomes(|| has("four")).await;
    assert!(waited <= Duration::from_millis(20), "{waited:?}");

    // The task ends with the sets, not at the next interval.
    let start = Instant::now();
    drop(sets);
    task.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn without_files_there_is_nothing_to_run() {
    let sets = Arc::new(load(
        [("issuer", KeysFrom::Inline(jwk("ES256")))],
        Instant::now(),
    ));
    Arc::clone(&sets).run().await;
}
