//! Key sets: the keys that signatures are verified against, by name, kept fresh in the background.
//!
//! A plugin says which set a token is checked against; the keys never leave the host. Verifying uses the
//! current keys and never waits: [`KeySets::run`] reads files again at their interval, or within a second
//! when a token names a key that the set does not have. A file that has become unreadable or wrong changes
//! nothing but the log, and is read again each second.

mod algorithm;
mod json;
mod jwk;
mod jws;
mod name;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::limits::key_sets::{KEY_SET_BYTES_MAX, KEY_SET_RELOAD, REFRESH_PAUSE};
use crate::read_file;
use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use name::shown;

pub use algorithm::verify;
pub use jwk::KeySet;
pub use jws::Verified;

/// The source of a set's keys.
#[derive(Clone, PartialEq)]
pub enum KeysFrom {
    /// In the configuration: a JWK Set, a list of JWKs, or one JWK.
    Inline(Value),
    /// In a secret, as JSON.
    Secret(Vec<u8>),
    /// In a file, as JSON, read again at this interval.
    File { path: PathBuf, reload: Duration },
}

/// A message about one set for the operator, without key material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub set: String,
    pub text: String,
}

/// Every key set of one configuration.
#[derive(Default)]
pub struct KeySets {
    sets: BTreeMap<String, Arc<LiveSet>>,
    /// Wakes [`KeySets::run`].
    wake: Arc<Notify>,
}

struct LiveSet {
    source: KeysFrom,
    current: ArcSwap<KeySet>,
    file: Option<File>,
}

struct File {
    path: PathBuf,
    reload: Duration,
    /// Whether a token has named a missing key since the file was last read.
    wanted: AtomicBool,
    last: Mutex<Reading>,
}

/// The result of the last reading of a file.
struct Reading {
    at: Instant,
    found: FileFound,
    /// Whether it could be used. A file that could not may have been read while it was being written.
    usable: bool,
}

#[derive(PartialEq, Eq)]
enum FileFound {
    /// The SHA-256 of the content, usable or not.
    Content([u8; 32]),
    Failure(String),
}

impl KeySets {
    /// [`KeySets::load_after`] nothing.
    ///
    /// # Errors
    /// As there.
    #[cfg(test)]
    pub fn load(
        sources: BTreeMap<String, KeysFrom>,
        now: Instant,
    ) -> Result<(KeySets, Vec<Notice>), Vec<Notice>> {
        KeySets::load_after(None, sources, now)
    }

    /// Reads every source, except where a set of the same name already had it: such a set goes on as it is,
    /// shared by both, so both see each new key. A file's first interval begins at `now`. Blocks on files.
    ///
    /// Also returns notices for the operator about each set, such as unused keys.
    ///
    /// # Errors
    /// Lists all sets that have no usable key, and why.
    pub fn load_after(
        previous: Option<&KeySets>,
        sources: BTreeMap<String, KeysFrom>,
        now: Instant,
    ) -> Result<(KeySets, Vec<Notice>), Vec<Notice>> {
        let mut sets = BTreeMap::new();
        let mut warnings = Vec::new();
        let mut problems = Vec::new();
        for (name, source) in sources {
            let before = previous.and_then(|previous| previous.sets.get(&name));
            if let Some(entry) = before.filter(|entry| entry.source == source) {
                sets.insert(name, Arc::clone(entry));
                continue;
            }
            match LiveSet::load(source, now) {
                Ok(entry) => {
                    warnings.extend(notices(&name, entry.current.load().warnings()));
                    sets.insert(name, Arc::new(entry));
                }
                Err(text) => problems.push(Notice { set: name, text }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let wake = Arc::new(Notify::new());
        Ok((KeySets { sets, wake }, warnings))
    }

    /// Whether these are the same sets under the same names.
    pub fn is_same(&self, other: &KeySets) -> bool {
        let mut pairs = self.sets.iter().zip(&other.sets);
        self.sets.len() == other.sets.len()
            && pairs.all(|(ours, others)| ours.0 == others.0 && Arc::ptr_eq(ours.1, others.1))
    }

    /// Returns the current keys of a set.
    pub fn get(&self, name: &str) -> Option<Arc<KeySet>> {
        Some(self.sets.get(name)?.current.load_full())
    }

    /// Verifies a JWS in compact form against the set of this name. Never waits.
    ///
    /// # Errors
    /// If it is not verified; says why, for the log.
    pub fn verify_jws(&self, token: &str, name: &str) -> Result<Verified, String> {
        let Some(entry) = self.sets.get(name) else {
            let name = shown(name);
            return Err(format!(
                "there is no key set {name}; add it to `[key-sets]`"
            ));
        };
        jws::verify(token, &entry.current.load()).map_err(|refusal| {
            if refusal.unknown_key {
                self.want(entry);
            }
            refusal.reason
        })
    }

    fn want(&self, entry: &LiveSet) {
        if let Some(file) = &entry.file
            && !file.wanted.swap(true, Ordering::Relaxed)
        {
            self.wake.notify_one();
        }
    }

    /// Keeps the sets from files fresh until the last other handle to `self` is dropped.
    pub async fn run(self: Arc<Self>) {
        let wake = Arc::clone(&self.wake);
        let sets = Arc::downgrade(&self);
        drop(self);
        while let Some(due) = sets.upgrade().and_then(|sets| sets.next_reading()) {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = wake.notified() => {}
            }
            let Some(sets) = sets.upgrade() else { return };
            let now = Instant::now();
            let refresh = tokio::task::spawn_blocking(move || sets.refresh(now));
            let Ok(changes) = refresh.await else { return };
            for (change, notice) in changes {
                let Notice { set, text } = &notice;
                match change {
                    Change::Replaced => tracing::info!(key_set = set, "{text}"),
                    Change::Kept => tracing::warn!(key_set = set, "{text}"),
                }
            }
        }
    }

    /// Returns when the next file is due to be read; `None` if there are no files.
    fn next_reading(&self) -> Option<Instant> {
        self.files().map(|(_, _, file)| file.due()).min()
    }

    fn files(&self) -> impl Iterator<Item = (&String, &ArcSwap<KeySet>, &File)> {
        self.sets
            .iter()
            .filter_map(|(name, entry)| Some((name, &entry.current, entry.file.as_ref()?)))
    }

    /// Reads the files that are due, and takes over the keys of changed ones. Blocks on files.
    pub fn refresh(&self, now: Instant) -> Vec<(Change, Notice)> {
        let mut changes = Vec::new();
        for (name, current, file) in self.files().filter(|(_, _, file)| file.due() <= now) {
            match file.read_again(now) {
                None => {}
                Some(Ok(set)) => {
                    changes.extend(notices(name, set.warnings()).map(|one| (Change::Kept, one)));
                    let text = format!("read again: {} keys", set.usable());
                    current.store(Arc::new(set));
                    changes.push((Change::Replaced, notice(name, text)));
                }
                Some(Err(error)) => {
                    let text = format!("the keys stay as they were: {error}");
                    changes.push((Change::Kept, notice(name, text)));
                }
            }
        }
        changes
    }
}

/// Makes [`KeySets::run`] end at once, not at the next interval.
impl Drop for KeySets {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// The effect of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The set has new keys.
    Replaced,
    /// Something in the file is not used.
    Kept,
}

fn notice(set: &str, text: String) -> Notice {
    Notice {
        set: set.to_owned(),
        text,
    }
}

fn notices(set: &str, texts: &[String]) -> impl Iterator<Item = Notice> {
    texts.iter().map(move |text| notice(set, text.clone()))
}

impl LiveSet {
    fn load(source: KeysFrom, now: Instant) -> Result<LiveSet, String> {
        let (set, file) = match &source {
            KeysFrom::Inline(value) => (KeySet::from_json(value)?, None),
            KeysFrom::Secret(text) => (KeySet::parse(text)?, None),
            KeysFrom::File { path, reload } => {
                let text = read_bounded(path)?;
                let set = KeySet::parse(&text)
                    .map_err(|error| format!("`{}`: {error}", path.display()))?;
                let file = File {
                    path: path.clone(),
                    reload: (*reload).clamp(*KEY_SET_RELOAD.start(), *KEY_SET_RELOAD.end()),
                    wanted: AtomicBool::new(false),
                    last: Mutex::new(Reading {
                        at: now,
                        found: FileFound::content(&text),
                        usable: true,
                    }),
                };
                (set, Some(file))
            }
        };
        Ok(LiveSet {
            source,
            current: ArcSwap::from_pointee(set),
            file,
        })
    }
}

impl FileFound {
    fn content(text: &[u8]) -> FileFound {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
        FileFound::Content(sha256)
    }
}

impl File {
    fn last(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> Instant {
        let last = self.last();
        if self.wanted.load(Ordering::Relaxed) || !last.usable {
            last.at + self.reload.min(REFRESH_PAUSE)
        } else {
            last.at + self.reload
        }
    }

    /// Reads the file; `None` if it is as it was last time, so that nothing is reported twice. Reads it whole
    /// each time: it is small, and can change while its time and length stay the same.
    fn read_again(&self, now: Instant) -> Option<Result<KeySet, String>> {
        // Held while reading, so that of two readings the later one is also taken over later.
        let mut last = self.last();
        // Reset before reading: a token that comes while it runs may need another reading.
        self.wanted.store(false, Ordering::Relaxed);
        let text = read_bounded(&self.path);
        let found = match &text {
            Ok(text) => FileFound::content(text),
            Err(error) => FileFound::Failure(error.clone()),
        };
        last.at = now;
        if last.found == found {
            return None;
        }
        last.found = found;
        let set = text.and_then(|text| {
            KeySet::parse(&text).map_err(|error| format!("`{}`: {error}", self.path.display()))
        });
        last.usable = set.is_ok();
        Some(set)
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    read_file::within(path, KEY_SET_BYTES_MAX as u64)
        .map_err(|error| format!("`{}`: {error}", path.display()))
}
