//! What the system refuses for now, and may give later: descriptors, memory, threads, processes, an answer of
//! a disk. Where something was not loaded for that, nothing about it has to change before it can be.

use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

static NOTED: AtomicU64 = AtomicU64::new(0);

/// How many were noted since the process began.
pub fn noted() -> u64 {
    NOTED.load(Ordering::Relaxed)
}

/// Notes one.
pub fn note() {
    NOTED.fetch_add(1, Ordering::Relaxed);
}

/// Notes an error, if it is one.
pub fn note_in(error: &Error) {
    if error.kind() == ErrorKind::OutOfMemory || Errno::from_io_error(error).is_some_and(is_one) {
        note();
    }
}

/// Whether this error is one.
pub fn is_one(error: Errno) -> bool {
    [
        Errno::AGAIN,
        Errno::BUSY,
        Errno::DQUOT,
        Errno::INTR,
        Errno::IO,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOLCK,
        Errno::NOMEM,
        Errno::NOSPC,
        Errno::STALE,
        Errno::TIMEDOUT,
    ]
    .contains(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_wrong() {
        for errno in [Errno::MFILE, Errno::NOMEM, Errno::AGAIN, Errno::IO] {
            assert!(is_one(errno), "{errno}");
        }
        for errno in [
            Errno::NOENT,
            Errno::ACCESS,
            Errno::ISDIR,
            Errno::LOOP,
            Errno::NOEXEC,
        ] {
            assert!(!is_one(errno), "{errno}");
        }
        let before = noted();
        note_in(&Error::from(Errno::MFILE));
        assert!(noted() > before);
    }
}
