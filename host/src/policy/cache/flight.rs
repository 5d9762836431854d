//! One fetch for many (RFC 9111, section 4, "collapsed requests").
//!
//! The first request for a key leads; those that come while it is fetched wait for its head, and read
//! the body as it grows. What turns out not to be shareable is remembered for a while, so that such
//! requests do not wait for each other in vain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::bounds::{CACHE_COLLAPSE_WAITERS_MAX, CACHE_UNSHARED, CACHE_UNSHARED_KEYS_MAX};
use super::key::Key;
use super::store::{Generation, Kept};

/// What has become of a fetch. If its leader gives up the channel closes instead.
#[derive(Clone)]
pub enum Landing {
    Waiting,
    /// Here is the response, for those that it fits.
    Shared(Kept),
    /// Everybody for himself.
    Alone,
}

/// The response that is fetched: its key, and the secondary key of the variant, as far as it is known
/// what it varies by.
pub type FlightKey = (Key, Vec<u8>);

/// What a request is to a fetch.
pub enum Place {
    Leads(Lead),
    Follows(watch::Receiver<Landing>),
    /// Too many wait already.
    Crowded,
}

pub struct Flights {
    table: Mutex<Table>,
    unshared: quick_cache::sync::Cache<
        Key,
        SystemTime,
        quick_cache::UnitWeighter,
        std::hash::RandomState,
    >,
}

#[derive(Default)]
struct Table {
    flights: HashMap<FlightKey, Flight>,
    next: u64,
}

struct Flight {
    number: u64,
    generation: Generation,
    landing: Arc<watch::Sender<Landing>>,
}

impl Flights {
    pub fn new() -> Arc<Flights> {
        Arc::new(Flights {
            table: Mutex::default(),
            unshared: quick_cache::sync::Cache::with(
                CACHE_UNSHARED_KEYS_MAX,
                CACHE_UNSHARED_KEYS_MAX as u64,
                quick_cache::UnitWeighter,
                std::hash::RandomState::new(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
        })
    }

    /// What began in another generation is not what is wanted.
    pub fn join(self: &Arc<Self>, key: FlightKey, generation: Generation) -> Place {
        let mut table = self.lock();
        if let Some(flight) = table.flights.get(&key)
            && flight.generation == generation
        {
            return match flight.landing.receiver_count() < CACHE_COLLAPSE_WAITERS_MAX {
                true => Place::Follows(flight.landing.subscribe()),
                false => Place::Crowded,
            };
        }
        table.next += 1;
        let number = table.next;
        let landing = Arc::new(watch::Sender::new(Landing::Waiting));
        let flight = Flight {
            number,
            generation,
            landing: Arc::clone(&landing),
        };
        // What it replaces began before something was made obsolete: those who wait for it may
        // have it, those who come now may not.
        table.flights.insert(key.clone(), flight);
        Place::Leads(Lead {
            flights: Arc::clone(self),
            key,
            number,
            landing,
        })
    }

    pub fn is_unshared(&self, key: &Key, now: SystemTime) -> bool {
        let since = self.unshared.get(key);
        since.is_some_and(|since| {
            now.duration_since(since)
                .is_ok_and(|passed| passed < CACHE_UNSHARED)
        })
    }

    pub fn note_unshared(&self, key: &Key, now: SystemTime) {
        self.unshared.insert(Arc::clone(key), now);
    }

    pub fn note_shared(&self, key: &Key) {
        self.unshared.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right and the duty to fetch for others. Dropped, it ends the flight: those who still wait for
/// a landing see it closed, and one of them leads next.
pub struct Lead {
    flights: Arc<Flights>,
    key: FlightKey,
    number: u64,
    landing: Arc<watch::Sender<Landing>>,
}

impl Lead {
    /// Tells those who wait. Those who come later are told the same until this is dropped.
    pub fn land(&self, landing: Landing) {
        self.landing.send_replace(landing);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut table = self.flights.lock();
        let own = |flight: &Flight| flight.number == self.number;
        if table.flights.get(&self.key).is_some_and(own) {
            table.flights.remove(&self.key);
        }
    }
}
