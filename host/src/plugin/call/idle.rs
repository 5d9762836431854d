//! Sandboxes that wait for their next call, warmest last.

use std::sync::{Arc, Mutex, PoisonError};

use super::sandbox::Sandbox;
use crate::plugin::engine::pool::Places;

/// The waiting sandboxes of one policy.
pub struct IdleSandboxes {
    waiting: Mutex<Waiting>,
    places: Arc<Places>,
}

struct Waiting {
    instances: Vec<Sandbox>,
    /// Taken for them, and kept while they work, so that a call costs nothing that all threads share.
    places: usize,
    max: usize,
}

impl IdleSandboxes {
    pub fn new(max: usize, places: &Arc<Places>) -> Self {
        IdleSandboxes {
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
    pub fn take(&self) -> Option<Sandbox> {
        self.lock().instances.pop()
    }

    /// Keeps an instance, or drops it where there is no place for it.
    pub fn give(&self, sandbox: Sandbox) {
        let mut waiting = self.lock();
        if waiting.instances.len() == waiting.places {
            if waiting.places == waiting.max || !self.places.take() {
                return;
            }
            waiting.places += 1;
        }
        waiting.instances.push(sandbox);
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

impl Drop for IdleSandboxes {
    fn drop(&mut self) {
        self.close();
    }
}
