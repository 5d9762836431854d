use std::time::Duration;

/// Whether a request may be answered from the cache, and under which key: what a
/// [`CacheLookup`](crate::CacheLookup) returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum EntryKey {
    /// This request neither reads nor fills the cache.
    Bypass,
    /// The usual key (RFC 9111, section 2): the method and the target URI, with `Vary`.
    Standard,
    /// This key in place of the URI, as parts that need no escaping. `Vary` still applies.
    Keyed(Vec<String>),
}

impl EntryKey {
    /// A key of these parts.
    ///
    /// ```
    /// use tollgate_plugin::EntryKey;
    ///
    /// let key = EntryKey::keyed(["pets", "7"]);
    /// assert_eq!(key, EntryKey::Keyed(vec!["pets".into(), "7".into()]));
    /// ```
    pub fn keyed<I>(parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        EntryKey::Keyed(parts.into_iter().map(Into::into).collect())
    }
}

/// Whether and for how long a response is kept: what a [`CacheStore`](crate::CacheStore) returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Storage {
    /// RFC 9111 decides, from the response's headers. A response that has `Set-Cookie` or `Set-Cookie2` is
    /// not kept.
    Standard,
    /// RFC 9111 decides, as if the response did not have these headers, without which it is kept.
    StandardWithout(Vec<String>),
    /// Not kept.
    Never,
    /// Kept as said here, whatever its `Cache-Control` says.
    Retain(Retention),
}

/// How long a response is kept. All times in whole milliseconds; a part of one counts as one.
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::{Retention, Storage};
///
/// let retention = Retention::fresh(Duration::from_secs(60))
///     .stale_while_revalidate(Duration::from_secs(10))
///     .stale_if_error(Duration::from_secs(3600))
///     .tag("pets");
/// let storage: Storage = retention.into();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    /// How long it is fresh.
    pub fresh: Duration,
    /// How much longer it may be served while a new one is fetched (RFC 5861, section 3).
    pub stale_while_revalidate: Duration,
    /// How much longer it may be served when the upstream fails (RFC 5861, section 4).
    pub stale_if_error: Duration,
    /// Names under which it can be purged.
    pub tags: Vec<String>,
    /// Response headers that it is kept without. A response that has `Set-Cookie` or `Set-Cookie2` is kept
    /// only if they are named here.
    pub without: Vec<String>,
}

impl Retention {
    /// Fresh for this long, and not served after that.
    pub fn fresh(time: Duration) -> Self {
        Retention {
            fresh: time,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            tags: Vec::new(),
            without: Vec::new(),
        }
    }

    /// Lets it be served for this much longer while a new one is fetched.
    pub fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.stale_while_revalidate = time;
        self
    }

    /// Lets it be served for this much longer when the upstream fails.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    /// Adds a name under which it can be purged.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Keeps it without this response header, such as `set-cookie`.
    pub fn without(mut self, header: impl Into<String>) -> Self {
        self.without.push(header.into());
        self
    }
}

impl From<Retention> for Storage {
    fn from(retention: Retention) -> Self {
        Storage::Retain(retention)
    }
}
