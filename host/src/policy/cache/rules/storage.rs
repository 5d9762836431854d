//! How a cache policy wants a response to be kept.

use std::time::Duration;

use http::HeaderName;

/// The plugin's answer on the way out; [`Storage::Standard`] if it has no such hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// RFC 9111 decides.
    Standard,
    /// RFC 9111 decides about the response without these fields, and it is stored without them.
    StandardWithout(Vec<HeaderName>),
    Never,
    /// The plugin faulted: not stored, which says nothing about other responses under the key.
    Unjudged,
    /// Kept like this, whatever `Cache-Control` says; but only a complete response to a GET.
    Retain(Retention),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    pub fresh: Duration,
    pub stale_while_revalidate: Duration,
    pub stale_if_error: Duration,
    pub tags: Vec<String>,
    /// Fields to remove before storing.
    pub without: Vec<HeaderName>,
}
