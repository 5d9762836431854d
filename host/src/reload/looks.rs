//! Whether files changed, by looking at them: no notification tells of changes on every file system,
//! and of links that are pointed elsewhere, as Kubernetes does it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What some files looked like. Links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looks(BTreeMap<PathBuf, Look>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    File {
        device: u64,
        inode: u64,
        bytes: u64,
        /// In seconds and nanoseconds.
        modified: (i64, i64),
        /// Of what is known about it, too: a file can be given its old time, and not its old time of this.
        changed: (i64, i64),
    },
    None(ErrorKind),
}

impl Looks {
    pub fn at(files: impl IntoIterator<Item = PathBuf>) -> Looks {
        let look = |path: PathBuf| {
            let look = look(&path);
            (path, look)
        };
        Looks(files.into_iter().map(look).collect())
    }

    /// With further files, as they look now.
    pub fn and(mut self, files: impl IntoIterator<Item = PathBuf>) -> Looks {
        for path in files {
            self.0.entry(path).or_insert_with_key(|path| look(path));
        }
        self
    }

    /// Of this file alone.
    pub fn of(&self, path: &Path) -> Looks {
        let of_it = self.0.get_key_value(path);
        let pair = of_it.map(|(path, look)| (path.clone(), look.clone()));
        Looks(pair.into_iter().collect())
    }

    /// The same files, as they look now.
    pub fn again(&self) -> Looks {
        Looks::at(self.0.keys().cloned())
    }
}

fn look(path: &Path) -> Look {
    match std::fs::metadata(path) {
        Ok(found) => Look::File {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        },
        Err(error) => Look::None(error.kind()),
    }
}
