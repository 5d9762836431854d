//! One fetch for many (RFC 9111, section 4, "collapsed requests").
//!
//! The first request for a key leads; requests that come while it fetches wait for the head, and read the
//! body as it grows. If the head takes long, one of them fetches too, then two, then four: a hanging fetch
//! holds up no request for ever, and a slow origin never meets them all at once.
//!
//! A key whose response turns out not to be shareable is remembered for a while, so that such requests do not
//! wait for each other in vain.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::Instant;

use super::store::{Generation, StoredResponse};
use crate::limits::cache::{COLLAPSE_WAIT, COLLAPSE_WAITERS_MAX, UNSHARED, UNSHARED_KEYS_MAX};
use crate::policy::cache::rules::key::StoreKey;

/// The outcome of a fetch. If its leaders give up, the channel closes instead.
#[derive(Clone)]
pub enum Landing {
    Waiting,
    /// The response, for the requests that it fits.
    Shared(StoredResponse),
    /// Not shared: each request fetches for itself.
    Alone,
}

/// The key of the fetched response, and the secondary key of the variant, as far as it is known what it
/// varies by.
pub type FlightKey = (StoreKey, Vec<u8>);

/// The role of a request in a fetch.
pub enum Role {
    Leads(Lead),
    Follows(Follower),
    /// Too many requests wait already.
    Crowded,
}

pub struct Flights {
    table: Mutex<Table>,
    /// By hash, since keys may be long. Two keys with one hash share an entry: at worst, requests do not wait
    /// where they could.
    unshared: quick_cache::sync::Cache<u64, SystemTime>,
    hasher: RandomState,
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
    /// Leaders now, and leaders so far.
    leads: usize,
    led: usize,
    /// When the last waiting time began, and how many more followers may lead without further waiting.
    since: Instant,
    open: usize,
}

impl Flights {
    pub fn new() -> Arc<Flights> {
        Arc::new(Flights {
            table: Mutex::default(),
            unshared: quick_cache::sync::Cache::new(UNSHARED_KEYS_MAX),
            hasher: RandomState::new(),
        })
    }

    /// Follows the flight for this key, or begins one if its generation is another or what landed is
    /// `too_old`.
    pub fn join(
        self: &Arc<Self>,
        key: FlightKey,
        generation: Generation,
        too_old: impl FnOnce(&StoredResponse) -> bool,
    ) -> Role {
        let mut table = self.lock();
        if let Some(flight) = table.flights.get(&key)
            && flight.generation == generation
            && !matches!(&*flight.landing.borrow(), Landing::Shared(kept) if too_old(kept))
        {
            if flight.landing.receiver_count() >= COLLAPSE_WAITERS_MAX {
                return Role::Crowded;
            }
            return Role::Follows(Follower {
                landing: flight.landing.subscribe(),
                number: flight.number,
                until: flight.since + COLLAPSE_WAIT,
                flights: Arc::clone(self),
                key,
            });
        }
        table.next += 1;
        let number = table.next;
        let landing = Arc::new(watch::Sender::new(Landing::Waiting));
        let flight = Flight {
            number,
            generation,
            landing: Arc::clone(&landing),
            leads: 1,
            led: 1,
            since: Instant::now(),
            open: 0,
        };
        // The flight it replaces began before an invalidation: requests that wait for it may have its
        // response, requests that come now may not.
        table.flights.insert(key.clone(), flight);
        Role::Leads(Lead {
            flights: Arc::clone(self),
            key,
            number,
            landing,
        })
    }

    pub fn is_unshared(&self, key: &StoreKey, now: SystemTime) -> bool {
        let since = self.unshared.get(&self.hasher.hash_one(key));
        since.is_some_and(|since| {
            now.duration_since(since)
                .is_ok_and(|passed| passed < UNSHARED)
        })
    }

    pub fn note_unshared(&self, key: &StoreKey, now: SystemTime) {
        self.unshared.insert(self.hasher.hash_one(key), now);
    }

    pub fn note_shared(&self, key: &StoreKey) {
        self.unshared.remove(&self.hasher.hash_one(key));
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for a fetch.
pub struct Follower {
    flights: Arc<Flights>,
    key: FlightKey,
    number: u64,
    landing: watch::Receiver<Landing>,
    /// When to check whether to lead too.
    until: Instant,
}

/// The outcome of waiting.
pub enum Waited {
    /// `Waiting` if all leaders gave up.
    Landed(Landing),
    /// The fetch takes long: fetch too.
    Lead(Lead),
}

impl Follower {
    pub async fn wait(mut self) -> Waited {
        loop {
            let landed = self
                .landing
                .wait_for(|landing| !matches!(landing, Landing::Waiting));
            match tokio::time::timeout_at(self.until, landed).await {
                Ok(Ok(landing)) => return Waited::Landed(landing.clone()),
                Ok(Err(_closed)) => return Waited::Landed(Landing::Waiting),
                Err(_elapsed) => {}
            }
            if let Some(lead) = self.lead_too() {
                return Waited::Lead(lead);
            }
        }
    }

    /// Returns a lead if this follower may fetch too. After each waiting time as many may begin as have begun
    /// before.
    fn lead_too(&mut self) -> Option<Lead> {
        let mut table = self.flights.lock();
        let flight = table.flights.get_mut(&self.key);
        // A flight that has ended or was replaced says so through its channel.
        let flight = flight.filter(|flight| flight.number == self.number);
        let Some(flight) = flight else {
            self.until = Instant::now() + COLLAPSE_WAIT;
            return None;
        };
        let now = Instant::now();
        if now >= flight.since + COLLAPSE_WAIT {
            flight.since = now;
            flight.open = flight.led;
        }
        self.until = flight.since + COLLAPSE_WAIT;
        flight.open = flight.open.checked_sub(1)?;
        flight.leads += 1;
        flight.led += 1;
        Some(Lead {
            flights: Arc::clone(&self.flights),
            key: self.key.clone(),
            number: self.number,
            landing: Arc::clone(&flight.landing),
        })
    }
}

/// The right and the duty to fetch for others. Dropping the last lead ends the flight: followers that still
/// wait see the channel closed, and one of them leads next.
pub struct Lead {
    flights: Arc<Flights>,
    key: FlightKey,
    number: u64,
    landing: Arc<watch::Sender<Landing>>,
}

impl Lead {
    /// Tells the followers, and until the flight ends also those that join later. A response that one leader
    /// shared cannot be taken back by another.
    pub fn land(&self, landing: Landing) {
        self.landing.send_if_modified(|landed| {
            let keeps = matches!((&*landed, &landing), (Landing::Shared(_), Landing::Alone));
            if !keeps {
                *landed = landing;
            }
            !keeps
        });
    }

    pub fn followers(&self) -> Followers {
        Followers(Arc::downgrade(&self.landing))
    }

    /// Tells the current followers, and no later request.
    pub fn land_and_end(self, landing: Landing) {
        let mut table = self.flights.lock();
        if table
            .flights
            .get(&self.key)
            .is_some_and(|flight| flight.number == self.number)
        {
            table.flights.remove(&self.key);
        }
        drop(table);
        self.land(landing);
    }
}

/// The followers of a fetch, seen from outside. This is no lead: it does not keep the channel open when the
/// leaders give up.
pub struct Followers(Weak<watch::Sender<Landing>>);

impl Followers {
    pub fn are_waiting(&self) -> bool {
        let landing = self.0.upgrade();
        landing.is_some_and(|landing| landing.receiver_count() > 0)
    }

    /// Waits until no follower is left: all have gone, or have what landed.
    pub async fn gone(&self) {
        if let Some(landing) = self.0.upgrade() {
            landing.closed().await;
        }
    }

    /// As [`Followers::gone`], if anything landed. Otherwise returns at once, so that followers see the
    /// channel closed.
    pub async fn told(&self) {
        let Some(landing) = self.0.upgrade() else {
            return;
        };
        let landed = !matches!(&*landing.borrow(), Landing::Waiting);
        if landed {
            landing.closed().await;
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut table = self.flights.lock();
        if let Some(flight) = table.flights.get_mut(&self.key)
            && flight.number == self.number
        {
            flight.leads -= 1;
            if flight.leads == 0 {
                table.flights.remove(&self.key);
            }
        }
    }
}
