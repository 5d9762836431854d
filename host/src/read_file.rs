//! Files that others choose, read within a bound.

use std::fs::OpenOptions;
use std::io::{Error, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::shortage;

/// Reads a file, of a longer one no more than a byte beyond `most`, by which the caller sees that it is
/// longer.
///
/// # Errors
/// Those of the system, and what is not a file: a pipe would be waited for, for ever.
pub fn within(path: &Path, most: u64) -> Result<Vec<u8>> {
    read_within(path, most).inspect_err(shortage::note_in)
}

fn read_within(path: &Path, most: u64) -> Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags).map_err(Error::other)?)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
