//! The cache of a process: its parts, purging, and its statistics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use super::bodies::object::Budgets;
use super::kept::flight::Flights;
use super::kept::store::Store;
use super::rules::key::{self, Target};
use crate::limits::cache::{FILLING_PART, FILLS_ALONE_MAX};

/// How much the cache may hold, and what it may keep.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// All that is stored, in bytes, heads and bookkeeping included.
    pub bytes_max: u64,
    /// The body of one stored response, in bytes.
    pub entry_bytes_max: u64,
}

/// What to purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeKey {
    /// Responses stored under [`KeyMode::Standard`] for this URI.
    Uri {
        scheme: String,
        authority: String,
        path_and_query: String,
    },
    /// Responses stored under [`KeyMode::Keyed`] with these parts.
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
    /// Weight of all stored responses, in bytes.
    pub bytes: u64,
    /// Keys that have something stored.
    pub entries: u64,
}

/// A shared cache.
pub struct Cache {
    pub(super) settings: Settings,
    pub(super) store: Arc<Store>,
    pub(super) flights: Arc<Flights>,
    /// The memory that bodies may hold.
    pub(super) budgets: Budgets,
    /// Permits to go on reading bodies that no client reads any more.
    pub(super) alone: Arc<Semaphore>,
    pub(super) counters: Counters,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) collapsed: AtomicU64,
}

impl Cache {
    pub fn new(mut settings: Settings) -> Arc<Cache> {
        // A body that fills the store would push out all others.
        settings.entry_bytes_max = settings.entry_bytes_max.min(settings.bytes_max / 2);
        let filling = settings.bytes_max / FILLING_PART;
        // Bookkeeping for pieces of a usual size included.
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

    /// Drops what is stored under a key, with all its variants, in one namespace or in all. Returns how many
    /// keys were dropped.
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
