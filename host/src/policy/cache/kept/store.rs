//! The stored responses by key, each with its variants, within a bound of bytes.
//!
//! `quick_cache` decides what to evict: a key that is used once does not push out those used often (S3-FIFO
//! and CLOCK-Pro, so a scan does no harm). All variants of a key are one entry of it, which is why one
//! removal drops them all.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::StatusCode;
use http::header::HeaderMap;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::http::owned;
use crate::limits::cache::{ENTRY_OVERHEAD_BYTES, SHARDS_MAX, STRIPES, USUAL_BYTES, VARIANTS_MAX};
use crate::policy::cache::bodies::growing::Growing;
use crate::policy::cache::bodies::object::Stored;
use crate::policy::cache::rules::freshness::Lifetime;
use crate::policy::cache::rules::key::StoreKey;
use crate::policy::cache::rules::vary::Selection;

/// A response that may be used again.
#[derive(Clone)]
pub struct StoredResponse {
    pub head: Arc<StoredHead>,
    pub content: StoredContent,
}

#[derive(Clone)]
pub enum StoredContent {
    Stored(Arc<Stored>),
    /// Only shared among followers: in the store all bodies are complete.
    Growing(Arc<Growing>),
}

pub struct StoredHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub selection: Selection,
    pub lifetime: Lifetime,
    pub for_authorized: bool,
    pub tags: Vec<String>,
    pub requested: SystemTime,
    pub received: SystemTime,
    /// Its `Date`, which tells the most recent of several.
    pub dated: SystemTime,
}

impl StoredResponse {
    fn bytes(&self) -> u64 {
        let head = &self.head;
        let tags = head.tags.iter().map(|tag| tag.len() + size_of::<String>());
        let bytes = ENTRY_OVERHEAD_BYTES
            + owned::weight(&head.headers)
            + tags.sum::<usize>()
            + head.selection.bytes();
        let body = match &self.content {
            StoredContent::Stored(stored) => stored.bytes(),
            StoredContent::Growing(_) => 0,
        };
        bytes as u64 + body
    }
}

/// The variants under one key, the latest last.
type Variants = Arc<[StoredResponse]>;

/// Returns the best of the variants that a request selects (RFC 9111, section 4.1): a fresh one before a
/// stale one; one chosen by `Vary` before one without a `Vary`, which would hide the others; then the most
/// recent.
pub fn best(
    variants: &[StoredResponse],
    selects: impl Fn(&StoredResponse) -> bool,
    now: SystemTime,
) -> Option<&StoredResponse> {
    let rank = |kept: &&StoredResponse| {
        let head = &kept.head;
        (
            head.lifetime.is_fresh(now),
            !head.selection.is_default(),
            head.dated,
        )
    };
    variants
        .iter()
        .filter(|kept| selects(kept))
        .max_by_key(rank)
}

/// Returns what a key's responses vary by, as far as is known: by the latest one that varies.
pub fn varies_as(variants: &[StoredResponse]) -> Option<&Selection> {
    let mut selections = variants.iter().rev().map(|kept| &kept.head.selection);
    selections.find(|selection| !selection.is_default())
}

#[derive(Clone)]
struct Bytes;

impl Weighter<StoreKey, Variants> for Bytes {
    fn weight(&self, key: &StoreKey, variants: &Variants) -> u64 {
        let variants: u64 = variants.iter().map(StoredResponse::bytes).sum();
        variants + (key.len() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

/// Responses requested in one generation of a key are equally valid: no invalidation came in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

pub struct Store {
    items: Cache<StoreKey, Variants, Bytes, RandomState, DefaultLifecycle<StoreKey, Variants>>,
    hasher: RandomState,
    /// The keys that are being fetched, by their hash. Locked for each change of an entry, too.
    stripes: Vec<Mutex<HashMap<StoreKey, Fetched>>>,
    next_generation: AtomicU64,
    /// The weight of the heaviest entry accepted.
    entry_weight_max: u64,
}

struct Fetched {
    fetches: usize,
    generation: Generation,
}

/// A fetch for a key, which notices an invalidation before its response is stored.
pub struct Watch {
    store: Arc<Store>,
    pub key: StoreKey,
    pub generation: Generation,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut stripe = self.store.stripe(&self.key);
        if let Some(fetched) = stripe.get_mut(&self.key) {
            fetched.fetches -= 1;
            if fetched.fetches == 0 {
                stripe.remove(&self.key);
            }
        }
    }
}

impl Store {
    /// Creates a store in which bodies of up to `entry_bytes_max` fit.
    pub fn new(bytes_max: u64, entry_bytes_max: u64) -> Store {
        // Each shard should hold several of the largest bodies.
        let room = bytes_max / entry_bytes_max.saturating_mul(8).max(1);
        let shards = (room as usize).clamp(1, SHARDS_MAX);
        // The number of items only sizes the memory of evicted keys, which tells keys that are requested
        // again from those that never are.
        let items = (bytes_max / USUAL_BYTES).clamp(1 << 10, 1 << 22) as usize;
        let mut options = OptionsBuilder::new();
        options
            .shards(shards)
            .estimated_items_capacity(items)
            .weight_capacity(bytes_max);
        let hasher = RandomState::new();
        let items = match options.build() {
            Ok(options) => {
                Cache::with_options(options, Bytes, hasher.clone(), DefaultLifecycle::default())
            }
            // Cannot happen: both required options are set above.
            Err(_) => Cache::with(
                items,
                bytes_max,
                Bytes,
                hasher.clone(),
                DefaultLifecycle::default(),
            ),
        };
        let entry_weight_max = items.shard_capacity() / 2;
        Store {
            items,
            hasher,
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            next_generation: AtomicU64::new(0),
            entry_weight_max,
        }
    }

    pub fn get(&self, key: &StoreKey) -> Option<Variants> {
        self.items.get(key)
    }

    /// Registers a fetch. Call this before requesting a response for `key`.
    pub fn watch(self: &Arc<Self>, key: &StoreKey) -> Watch {
        let mut stripe = self.stripe(key);
        let fetched = stripe.entry(Arc::clone(key)).or_insert_with(|| Fetched {
            fetches: 0,
            generation: self.new_generation(),
        });
        fetched.fetches += 1;
        Watch {
            store: Arc::clone(self),
            key: Arc::clone(key),
            generation: fetched.generation,
        }
    }

    /// Stores a response in place of the one that the same requests select, unless it was invalidated
    /// meanwhile.
    pub fn put(&self, watch: &Watch, kept: StoredResponse) -> bool {
        let key = &watch.key;
        let stripe = self.stripe(key);
        let current = stripe.get(key).map(|fetched| fetched.generation);
        if current != Some(watch.generation) {
            return false;
        }
        let old = self.items.peek(key).unwrap_or_else(|| Arc::from([]));
        let same = |other: &StoredResponse| other.head.selection == kept.head.selection;
        let newer = |other: &StoredResponse| other.head.requested > kept.head.requested;
        if old.iter().any(|other| same(other) && newer(other)) {
            return false;
        }
        let mut variants: Vec<StoredResponse> =
            old.iter().filter(|other| !same(other)).cloned().collect();
        variants.push(kept);
        let mut weight = variants.iter().map(StoredResponse::bytes).sum::<u64>();
        let mut surplus = 0;
        for variant in &variants[..variants.len() - 1] {
            let many = variants.len() - surplus > VARIANTS_MAX;
            if !many && weight <= self.entry_weight_max {
                break;
            }
            weight -= variant.bytes();
            surplus += 1;
        }
        variants.drain(..surplus);
        self.items.insert(Arc::clone(key), variants.into());
        drop(stripe);
        true
    }

    /// As [`Store::put`], for a response that replaces another. If the new one no longer varies, no request
    /// needs the old one.
    pub fn put_for(
        &self,
        watch: &Watch,
        kept: StoredResponse,
        replaced: Option<&StoredResponse>,
    ) -> bool {
        let head = Arc::clone(&kept.head);
        let stored = self.put(watch, kept);
        let is_needless = |old: &&StoredResponse| {
            stored
                && head.selection.is_default()
                && !old.head.selection.is_default()
                && head.dated >= old.head.dated
        };
        if let Some(old) = replaced.filter(is_needless) {
            self.drop_variant(&watch.key, old);
        }
        stored
    }

    /// Drops one variant, if it is still there.
    pub fn drop_variant(&self, key: &StoreKey, kept: &StoredResponse) {
        let _stripe = self.stripe(key);
        let Some(old) = self.items.peek(key) else {
            return;
        };
        let others = old
            .iter()
            .filter(|other| !Arc::ptr_eq(&other.head, &kept.head));
        let others: Vec<StoredResponse> = others.cloned().collect();
        if others.is_empty() {
            self.items.remove(key);
        } else if others.len() < old.len() {
            self.items.insert(Arc::clone(key), others.into());
        }
    }

    /// Drops all variants of a key, and what is being fetched for it. Returns whether there were any.
    pub fn invalidate(&self, key: &StoreKey) -> bool {
        let mut stripe = self.stripe(key);
        if let Some(fetched) = stripe.get_mut(key) {
            fetched.generation = self.new_generation();
        }
        self.items.remove(key).is_some()
    }

    /// Does the same for all keys that `wanted` accepts, checking each; no response being fetched is stored,
    /// since it might be one of them. Returns how many keys were dropped.
    pub fn invalidate_all(&self, wanted: impl Fn(&StoreKey, &[StoredResponse]) -> bool) -> usize {
        for stripe in &self.stripes {
            let mut stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            for fetched in stripe.values_mut() {
                fetched.generation = self.new_generation();
            }
        }
        let dropped = AtomicUsize::new(0);
        self.items.retain(|key, variants| {
            let drop = wanted(key, variants);
            dropped.fetch_add(usize::from(drop), Ordering::Relaxed);
            !drop
        });
        dropped.into_inner()
    }

    pub fn bytes(&self) -> u64 {
        self.items.weight()
    }

    pub fn entries(&self) -> u64 {
        self.items.len() as u64
    }

    fn stripe(&self, key: &StoreKey) -> MutexGuard<'_, HashMap<StoreKey, Fetched>> {
        let hash = self.hasher.hash_one(key) as usize;
        let stripe = &self.stripes[hash % STRIPES];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_generation(&self) -> Generation {
        Generation(self.next_generation.fetch_add(1, Ordering::Relaxed))
    }
}
