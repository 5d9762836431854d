//! The mechanism of the HTTP cache: what is stored, when it answers, and who waits for whom.
//!
//! A shared cache (RFC 9111) in memory. A plugin says whether and under which key a request may be
//! answered from it; everything else is decided here. It does no I/O: the host asks [`Cache::lookup`]
//! on the way in and hands the response of the inner chain to [`Fill::answer`] or [`Pass::answer`] on
//! the way out.

mod body;
mod conditions;
mod date;
mod directives;
mod fill;
mod flight;
mod freshen;
mod freshness;
mod growing;
mod head;
mod keep;
mod key;
mod lookup;
mod object;
mod pass;
mod pump;
mod range;
mod serve;
mod status;
mod storage;
mod store;
mod vary;

#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body::Body;
use tokio::sync::Semaphore;

pub use self::body::CacheBody;
pub use self::fill::{Fill, Filled};
pub use self::flight::Followers;
pub use self::pass::Pass;
pub use self::storage::{Retention, Storage};
pub use self::vary::may_vary_inside;

use self::flight::Flights;
use self::key::Target;
use self::object::Budgets;
use self::store::Store;
use crate::limits::cache::{FILLING_PART, FILLS_ALONE_MAX};

/// How much the cache may hold, and what it may keep.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// All that is stored, in bytes, heads and bookkeeping included.
    pub bytes_max: u64,
    /// The body of one stored response, in bytes.
    pub entry_bytes_max: u64,
}

/// The head of a request, as the entries so far have edited it.
#[derive(Debug, Clone, Copy)]
pub struct CacheRequest<'a> {
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    pub scheme: &'a str,
    pub authority: &'a str,
    pub headers: &'a HeaderMap,
}

/// What the plugin said on the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMode {
    /// Neither read nor fill. An unsafe method still invalidates its URI.
    Bypass,
    /// Scheme, authority, path and query.
    Standard,
    /// These parts in place of the URI.
    Keyed(Vec<String>),
}

/// What is to be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeKey {
    /// What was stored under [`KeyMode::Standard`] for this URI.
    Uri {
        scheme: String,
        authority: String,
        path_and_query: String,
    },
    /// What was stored under [`KeyMode::Keyed`] with these parts.
    Parts(Vec<String>),
    Tag(String),
    All,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests answered without going inwards, fresh or stale.
    pub hits: u64,
    /// Requests that went inwards although the cache might have answered them.
    pub misses: u64,
    /// Requests answered by another request's fetch.
    pub collapsed: u64,
    /// Weight of what is stored, in bytes.
    pub bytes: u64,
    /// Keys that have something stored.
    pub entries: u64,
}

/// The body of the inner chain's response.
pub type InnerBody = Pin<Box<dyn Body<Data = Bytes, Error = io::Error> + Send>>;

/// A response to send on, its head complete.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: CacheBody,
}

/// What to do with a request.
pub enum Found {
    /// Send this; the request goes no further inwards.
    Answer(Answer),
    /// Send this, which is stale, and run the inner chain beside it for the [`Fill`], whose answer
    /// nobody gets: drop it.
    AnswerAndRevalidate(Answer, Fill),
    /// Go inwards; the response belongs to the [`Fill`].
    Fetch(Fill),
    /// Go inwards with the request as it is; the response's head belongs to the [`Pass`].
    Pass(Pass),
}

/// A shared cache.
pub struct Cache {
    settings: Settings,
    store: Arc<Store>,
    flights: Arc<Flights>,
    /// What bodies may hold.
    budgets: Budgets,
    /// Who may read a body that nobody else reads.
    alone: Arc<Semaphore>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    collapsed: AtomicU64,
}

impl Cache {
    pub fn new(mut settings: Settings) -> Arc<Cache> {
        // A body that fills the store would push out all others.
        settings.entry_bytes_max = settings.entry_bytes_max.min(settings.bytes_max / 2);
        let filling = settings.bytes_max / FILLING_PART;
        // In pieces of a usual size.
        let largest = settings.entry_bytes_max + settings.entry_bytes_max / 8;
        Arc::new(Cache {
            settings,
            store: Arc::new(Store::new(settings.bytes_max, settings.entry_bytes_max)),
            flights: Flights::new(),
            budgets: Budgets::new(settings.bytes_max, filling.max(largest)),
            alone: Arc::new(Semaphore::new(FILLS_ALONE_MAX)),
            counters: Counters::default(),
        })
    }

    /// Drops what is stored under a key, with all its variants, in one namespace or in all. Answers
    /// how many keys went.
    pub fn purge(&self, namespace: Option<&str>, what: &PurgeKey) -> usize {
        let key = |namespace: &str| match what {
            PurgeKey::Uri {
                scheme,
                authority,
                path_and_query,
            } => Some(Target::new(scheme, authority, path_and_query).key(namespace)),
            PurgeKey::Parts(parts) => Some(key::keyed(namespace, parts)),
            PurgeKey::Tag(_) | PurgeKey::All => None,
        };
        if let Some(key) = namespace.and_then(key) {
            return usize::from(self.store.invalidate(&key));
        }
        let wanted = key("");
        self.store.invalidate_all(|key, variants| {
            let here =
                namespace.is_none_or(|namespace| key::namespace(key) == namespace.as_bytes());
            here && match what {
                PurgeKey::All => true,
                PurgeKey::Tag(tag) => variants.iter().any(|kept| kept.head.tags.contains(tag)),
                _ => wanted
                    .as_ref()
                    .is_some_and(|wanted| key::within(wanted) == key::within(key)),
            }
        })
    }

    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            hits: read(&self.counters.hits),
            misses: read(&self.counters.misses),
            collapsed: read(&self.counters.collapsed),
            bytes: self.store.bytes(),
            entries: self.store.entries(),
        }
    }
}

impl Answer {
    fn empty(status: StatusCode) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_LENGTH, 0.into());
        Answer {
            status,
            headers,
            body: CacheBody::empty(),
        }
    }
}
