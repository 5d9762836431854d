//! The disk cache of compiled plugins.
//!
//! Deserialising a compiled component is only safe for bytes that this program wrote, so the folder
//! is used only if it is ours alone (owner, mode 0700, no link), each file only if it is ours and
//! nobody else can write it, and the SHA-256 in it is checked over the very bytes that are then
//! deserialised. Whatever does not fit is rebuilt, never trusted, and never an error.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use rustix::fs::OFlags;

use crate::limits;

const DIGEST_BYTES: usize = 32;

/// What a compiled component is known by: content, configuration, engine and version, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub [u8; DIGEST_BYTES]);

impl Key {
    /// A key of these parts; each is counted in with its length, so that parts cannot run together.
    pub fn of(parts: &[&[u8]]) -> Key {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut key = [0; DIGEST_BYTES];
        key.copy_from_slice(context.finish().as_ref());
        Key(key)
    }

    fn file_name(self) -> String {
        let mut name = hex(&self.0);
        name.push_str(".cwasm");
        name
    }
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The folder, or none if it cannot be used.
#[derive(Debug)]
pub struct Artefacts {
    folder: Option<PathBuf>,
}

impl Artefacts {
    pub fn none() -> Self {
        Artefacts { folder: None }
    }

    /// Opens, and where needed makes, the folder.
    ///
    /// # Errors
    /// Why it is not used, in words for the operator; the caller goes on with [`Artefacts::none`].
    pub fn open(folder: &Path) -> Result<Self, String> {
        let shown = folder.display();
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| format!("cannot make `{shown}`: {error}"))?;
        let found = fs::symlink_metadata(folder)
            .map_err(|error| format!("cannot look at `{shown}`: {error}"))?;
        let ours = rustix::process::geteuid().as_raw();
        if !found.is_dir() || found.uid() != ours || found.mode() & 0o077 != 0 {
            return Err(format!(
                "`{shown}` must be a folder (not a link) that belongs to user {ours} and that no \
                 one else can enter; `chmod 700` it or name another in `runtime.plugin-cache`"
            ));
        }
        Ok(Artefacts {
            folder: Some(folder.to_owned()),
        })
    }

    /// The compiled bytes under this key, if they are there and whole.
    pub fn get(&self, key: Key) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(key.file_name());
        let mut file = File::options()
            .read(true)
            // No link is followed, and a pipe is not waited for.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(path)
            .ok()?;
        let found = file.metadata().ok()?;
        let ours = rustix::process::geteuid().as_raw();
        if !found.is_file() || found.uid() != ours || found.mode() & 0o022 != 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).ok()?);
        Read::by_ref(&mut file)
            .take(limits::ARTEFACT_FOLDER_BYTES_MAX)
            .read_to_end(&mut bytes)
            .ok()?;
        let (written, payload) = bytes.split_at_checked(DIGEST_BYTES)?;
        if seal(key, payload).as_ref() != written {
            return None;
        }
        // The time of last use, for `prune`; a cache that cannot note it is still right.
        let _ = file.set_modified(SystemTime::now());
        bytes.drain(..DIGEST_BYTES);
        Some(bytes)
    }

    /// Keeps compiled bytes. Written under a temporary name, synced, then renamed, so that no other
    /// process ever sees half of it.
    pub fn put(&self, key: Key, payload: &[u8]) {
        let Some(folder) = &self.folder else { return };
        if let Err(error) = write(folder, key, payload) {
            tracing::warn!(folder = %folder.display(), %error, "cannot keep a compiled plugin");
        }
    }

    /// Removes what was used least recently, until the folder is within its bound, and what a process
    /// that was killed left half written. For after each load. Other processes may do the same at this
    /// moment: what is read is open, and what is gone is rebuilt.
    pub fn prune(&self) {
        let Some(folder) = &self.folder else { return };
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let found = entry.metadata().ok()?;
                Some((found.modified().ok()?, found.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (used, bytes, path) in files {
            let left = is_temporary(&path)
                && used
                    .elapsed()
                    .is_ok_and(|age| age > limits::ARTEFACT_TEMPORARY_AGE);
            if total <= limits::ARTEFACT_FOLDER_BYTES_MAX && !left {
                continue;
            }
            match fs::remove_file(path) {
                Ok(()) => total -= bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => total -= bytes,
                Err(_) => {}
            }
        }
    }
}

/// Whether this is an entry that was, or is being, written: `KEY.cwasm.PROCESS.NUMBER`.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.contains(".cwasm."))
}

/// The digest of an entry: over its key too, so that one entry cannot stand in the place of another.
fn seal(key: Key, payload: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&key.0);
    context.update(payload);
    context.finish()
}

fn write(folder: &Path, key: Key, payload: &[u8]) -> std::io::Result<()> {
    let name = key.file_name();
    let temporary = folder.join(format!(
        "{name}.{}.{}",
        std::process::id(),
        uuid::Uuid::now_v7()
    ));
    let result = (|| {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(seal(key, payload).as_ref())?;
        file.write_all(payload)?;
        file.sync_all()?;
        fs::rename(&temporary, folder.join(name))
    })();
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}
