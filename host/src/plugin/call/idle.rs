//! Instances that wait for their next call, warmest last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::lease::Leased;

/// Places for waiting instances: of all policies of all gateways of the process, since during a reload
/// there are two of each. The pool has as many beside those of the calls in progress, so that it can
/// never run out, whatever is loaded.
pub struct Places(AtomicUsize);

impl Places {
    pub fn new(count: usize) -> Arc<Places> {
        Arc::new(Places(AtomicUsize::new(count)))
    }

    fn take(&self) -> bool {
        let one_less = |free: usize| free.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.is_ok()
    }

    fn give_back(&self, count: usize) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

/// Those of one policy.
pub struct Idle {
    waiting: Mutex<Waiting>,
    places: Arc<Places>,
}

struct Waiting {
    instances: Vec<Leased>,
    /// Taken for them, and kept while they work, so that a call costs nothing that all threads share.
    places: usize,
    max: usize,
}

impl Idle {
    pub fn new(max: usize, places: &Arc<Places>) -> Self {
        Idle {
            waiting: Mutex::new(Waiting {
                instances: Vec::new(),
                places: 0,
                max,
            }),
            places: Arc::clone(places),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self) -> usize {
        self.lock().instances.len()
    }

    /// The one that worked last.
    pub fn take(&self) -> Option<Leased> {
        self.lock().instances.pop()
    }

    /// Keeps an instance, or drops it where there is no place for it.
    pub fn give(&self, leased: Leased) {
        let mut waiting = self.lock();
        if waiting.instances.len() == waiting.places {
            if waiting.places == waiting.max || !self.places.take() {
                return;
            }
            waiting.places += 1;
        }
        waiting.instances.push(leased);
    }

    /// Keeps none from now on: nobody begins a call of this policy any more.
    pub fn close(&self) {
        let none = Waiting {
            instances: Vec::new(),
            places: 0,
            max: 0,
        };
        let waiting = std::mem::replace(&mut *self.lock(), none);
        // They leave the pool before others take their places.
        drop(waiting.instances);
        self.places.give_back(waiting.places);
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.close();
    }
}
