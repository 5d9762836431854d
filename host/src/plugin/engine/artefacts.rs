//! The disk cache of compiled plugins.
//!
//! Deserialising a compiled component is only safe for bytes that this program wrote, so the folder
//! is used only if it is ours alone (owner, mode 0700, no link), each file only if it is ours and
//! nobody else can write it, and the SHA-256 in it is checked over the very bytes that are then
//! deserialised. Whatever does not fit is rebuilt, never trusted, and never an error.
//!
//! The folder may be one that others use too, by mistake. Nothing is removed from it, or counted, but what
//! has a name that only this program gives, and begins as only this program begins a file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::limits;
use crate::plugin::key::{CodeKey, DIGEST_BYTES, hex};

/// What every file of this form begins with. Then come the length of the payload and the digest.
const MAGIC: [u8; 8] = *b"tollgat1";
const HEAD_BYTES: usize = MAGIC.len() + size_of::<u64>() + DIGEST_BYTES;

/// What the folder is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// By a process that serves: what it compiles is kept, and the folder is held to its bound.
    Serve,
    /// By one that only looks at a configuration: it adds while there is room, and removes nothing.
    Check,
}

/// The folder, or none if it cannot be used.
#[derive(Debug, Default)]
pub struct Artefacts(Option<Folder>);

#[derive(Debug)]
struct Folder {
    /// Everything in it is reached from here, so that it stays the folder that was looked at, whatever
    /// is put in the place of its name.
    handle: OwnedFd,
    path: PathBuf,
    used_for: Purpose,
    /// Of our files, in bytes, as it was opened, with what was added since.
    bytes: AtomicU64,
}

impl Artefacts {
    pub fn none() -> Self {
        Artefacts(None)
    }

    /// Opens, and where needed makes, the folder.
    ///
    /// # Errors
    /// Why it is not used, in words for the operator; the caller goes on with [`Artefacts::none`].
    pub fn open(path: &Path, used_for: Purpose) -> Result<Self, String> {
        let shown = path.display();
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| format!("cannot make `{shown}`: {error}"))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = rustix::fs::open(path, flags, Mode::empty());
        let handle = File::from(
            handle.map_err(|error| format!("`{shown}` must be a folder, not a link: {error}"))?,
        );
        let found = handle
            .metadata()
            .map_err(|error| format!("cannot look at `{shown}`: {error}"))?;
        let ours = rustix::process::geteuid().as_raw();
        if found.uid() != ours || found.mode() & 0o077 != 0 {
            return Err(format!(
                "`{shown}` must be a folder (not a link) that belongs to user {ours} and that no \
                 one else can enter; `chmod 700` it or name another in `runtime.plugin-cache`"
            ));
        }
        let mut folder = Folder {
            handle: handle.into(),
            path: path.to_owned(),
            used_for,
            bytes: AtomicU64::new(0),
        };
        let (entries, stranger) = folder
            .entries()
            .map_err(|error| format!("cannot list `{shown}`: {error}"))?;
        if let Some(name) = stranger {
            tracing::warn!(
                "`{shown}`, the folder of compiled plugins, has things in it that this release did not \
                 write, such as {}: they are left alone and not counted; remove them, or name a folder of \
                 its own in `runtime.plugin-cache`",
                crate::quote::quoted(&name)
            );
        }
        folder.bytes = AtomicU64::new(entries.iter().map(|entry| entry.bytes).sum());
        Ok(Artefacts(Some(folder)))
    }

    /// The compiled bytes under this key, if they are there and whole.
    pub fn get(&self, key: CodeKey) -> Option<Vec<u8>> {
        let folder = self.0.as_ref()?;
        let mut file = folder.open(&file_name(key)).ok()?;
        let length = payload_length(&mut file)?;
        let mut digest = [0; DIGEST_BYTES];
        file.read_exact(&mut digest).ok()?;
        let mut payload = Vec::new();
        payload.try_reserve_exact(length).ok()?;
        payload.resize(length, 0);
        file.read_exact(&mut payload).ok()?;
        if seal(key, &payload).as_ref() != digest {
            return None;
        }
        if folder.used_for == Purpose::Serve {
            // The time of last use, for `prune`; a cache that cannot note it is still right.
            let _ = file.set_modified(SystemTime::now());
        }
        Some(payload)
    }

    /// Keeps compiled bytes. Written under a temporary name, synced, then renamed, so that no other
    /// process ever sees half of it.
    pub fn put(&self, key: CodeKey, payload: &[u8]) {
        let Some(folder) = &self.0 else { return };
        let bytes = (payload.len() + HEAD_BYTES) as u64;
        let before = folder.bytes.fetch_add(bytes, Ordering::Relaxed);
        let full = before.saturating_add(bytes) > limits::loading::ARTEFACT_FOLDER_BYTES_MAX;
        if payload.len() > limits::loading::COMPILED_BYTES_MAX
            || full && folder.used_for == Purpose::Check
        {
            return;
        }
        if let Err(error) = folder.write(key, payload) {
            tracing::warn!(folder = %folder.path.display(), %error, "cannot keep a compiled plugin");
        }
    }

    /// Removes what was used least recently, until the folder is within its bound, and what a process
    /// that was killed left half written. For after each load. Other processes may do the same at this
    /// moment: what is read is open, and what is gone is rebuilt.
    pub fn prune(&self) {
        let Some(folder) = &self.0 else { return };
        if folder.used_for == Purpose::Check {
            return;
        }
        let Ok((mut entries, _)) = folder.entries() else {
            return;
        };
        entries.sort_by_key(|entry| entry.used);
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let mut files = entries.len();
        for entry in entries {
            let age = entry.used.elapsed().unwrap_or_default();
            let goes = match entry.kind {
                Kind::Temporary => age > limits::loading::ARTEFACT_TEMPORARY_AGE,
                Kind::Whole => {
                    total > limits::loading::ARTEFACT_FOLDER_BYTES_MAX
                        || files > limits::loading::ARTEFACT_FILES_MAX
                }
            };
            // Another may be in its place by now.
            if !goes || folder.look(&entry.name, entry.kind).is_none() {
                continue;
            }
            match rustix::fs::unlinkat(&folder.handle, &entry.name, AtFlags::empty()) {
                Err(error) if error.kind() != ErrorKind::NotFound => {}
                _ => {
                    total -= entry.bytes;
                    files -= 1;
                }
            }
        }
        folder.bytes.store(total, Ordering::Relaxed);
    }
}

/// A file that this program wrote.
struct CodeFile {
    name: String,
    kind: Kind,
    bytes: u64,
    used: SystemTime,
}

impl Folder {
    /// Our entries, and the name of one that is not.
    fn entries(&self) -> io::Result<(Vec<CodeFile>, Option<String>)> {
        let (mut entries, mut stranger) = (Vec::new(), None);
        for found in rustix::fs::Dir::read_from(&self.handle)? {
            let found = found?;
            let name = found.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            match kind(&name).and_then(|kind| self.look(&name, kind)) {
                Some(entry) => entries.push(entry),
                // Or it has gone at this moment, and is no stranger.
                None if stranger.is_none() && self.exists(&name) => stranger = Some(name),
                None => {}
            }
        }
        Ok((entries, stranger))
    }

    fn exists(&self, name: &str) -> bool {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// What is under one of our names, if it is a file of ours, nobody else can write it, and it begins as
    /// our files begin: one that was left half written may have ended before that.
    fn look(&self, name: &str, kind: Kind) -> Option<CodeFile> {
        let mut file = self.open(name).ok()?;
        let found = file.metadata().ok()?;
        match kind {
            Kind::Whole => {
                payload_length(&mut file)?;
            }
            Kind::Temporary => {
                let mut beginning = Vec::new();
                let most = MAGIC.len() as u64;
                file.take(most).read_to_end(&mut beginning).ok()?;
                MAGIC.starts_with(&beginning).then_some(())?;
            }
        }
        Some(CodeFile {
            name: name.to_owned(),
            kind,
            bytes: found.len(),
            used: found.modified().ok()?,
        })
    }

    /// Opens a file of ours that nobody else can write.
    fn open(&self, name: &str) -> io::Result<File> {
        // No link is followed, and a pipe is not waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(
            &self.handle,
            name,
            flags,
            Mode::empty(),
        )?);
        let found = file.metadata()?;
        let ours = rustix::process::geteuid().as_raw();
        if !found.is_file() || found.uid() != ours || found.mode() & 0o022 != 0 {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(file)
    }

    fn write(&self, key: CodeKey, payload: &[u8]) -> io::Result<()> {
        let name = file_name(key);
        let process = std::process::id();
        let temporary = format!("{name}.{process}.{}", uuid::Uuid::now_v7());
        let result = (|| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let mut file = File::from(rustix::fs::openat(&self.handle, &temporary, flags, mode)?);
            file.write_all(&MAGIC)?;
            file.write_all(&(payload.len() as u64).to_le_bytes())?;
            file.write_all(seal(key, payload).as_ref())?;
            file.write_all(payload)?;
            file.sync_all()?;
            rustix::fs::renameat(&self.handle, &temporary, &self.handle, name)?;
            Ok(())
        })();
        if result.is_err() {
            let _ = rustix::fs::unlinkat(&self.handle, &temporary, AtFlags::empty());
        }
        result
    }
}

/// Reads the beginning of an entry, up to its digest. The length of its payload, if that is what the file
/// has, so that no more is ever read, or made room for, than was written.
fn payload_length(file: &mut File) -> Option<usize> {
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).ok()?;
    let mut length = [0; size_of::<u64>()];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let whole = length.checked_add(HEAD_BYTES as u64)?;
    let fits = magic == MAGIC
        && file.metadata().ok()?.len() == whole
        && length <= limits::loading::COMPILED_BYTES_MAX as u64;
    usize::try_from(length).ok().filter(|_| fits)
}

fn file_name(key: CodeKey) -> String {
    format!("{}.cwasm", hex(&key.0))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `KEY.cwasm`
    Whole,
    /// One that was, or is being, written: `KEY.cwasm.PROCESS.UUID`.
    Temporary,
}

/// What an entry of this name would be, if it is a name that we give.
fn kind(name: &str) -> Option<Kind> {
    let (key, rest) = name.split_at_checked(2 * DIGEST_BYTES)?;
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !key.bytes().all(digit) {
        return None;
    }
    let rest = rest.strip_prefix(".cwasm")?;
    if rest.is_empty() {
        return Some(Kind::Whole);
    }
    let (process, uuid) = rest.strip_prefix('.')?.split_once('.')?;
    let is_number = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = uuid::Uuid::try_parse(uuid).ok()?;
    (is_number && parsed.to_string() == uuid && parsed.get_version_num() == 7)
        .then_some(Kind::Temporary)
}

/// The digest of an entry: over its key too, so that one entry cannot stand in the place of another.
fn seal(key: CodeKey, payload: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&key.0);
    context.update(payload);
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_we_give_are_known_and_no_others() {
        let name = file_name(CodeKey::of(&[b"a"]));
        let uuid = uuid::Uuid::now_v7();
        assert_eq!(kind(&name), Some(Kind::Whole));
        assert_eq!(kind(&format!("{name}.1.{uuid}")), Some(Kind::Temporary));
        for other in [
            String::new(),
            "id_ed25519".to_owned(),
            "photos.cwasm".to_owned(),
            name.to_uppercase(),
            name.replacen(|_: char| true, "g", 1),
            name.replace(".cwasm", ""),
            name.replace(".cwasm", ".cwasm~"),
            format!("a{name}"),
            format!("{name}.bak"),
            format!("{name}.4711.0192"),
            format!("{name}..{uuid}"),
            format!("{name}.x1.{uuid}"),
            format!("{name}.1.{}", uuid.simple()),
            format!("{name}.1.{}", uuid::Uuid::nil()),
            format!("{name}.1.{uuid}.bak"),
            name.replacen(|_: char| true, "é", 2),
        ] {
            assert_eq!(kind(&other), None, "{other}");
        }
    }
}
