//! The sources of bodies, from clients and upstreams alike.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use http_body::{Body, SizeHint};

use super::body_part::Gathered;
use super::cause::Cause;

/// A body whose source does not matter.
pub type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = io::Error> + Send>>;

/// Why a body could not be collected whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomplete {
    /// It has more bytes than allowed. Nothing is lost: it can still be streamed.
    TooLarge,
    /// Its sender broke off; further reads fail too.
    Broken(String),
    /// Its sender took too long.
    Late,
    /// Other bodies hold so much memory that there is no room for it. Nothing is lost.
    NoRoom,
}

impl From<io::Error> for Incomplete {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Incomplete::Late,
            _ => Incomplete::Broken(error.to_string()),
        }
    }
}

/// Returns a copy of the error: a body that broke off must never look as if it had ended.
pub fn again(error: &io::Error) -> io::Error {
    match Cause::of(error) {
        Some(cause) => cause.clone().into(),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Returns the length of the data read plus that to come.
pub(super) fn after(read: &Gathered, rest: Option<SizeHint>) -> SizeHint {
    let read = read.len() as u64;
    let Some(rest) = rest else {
        return SizeHint::with_exact(read);
    };
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(read));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(read));
    }
    hint
}
