//! The charges of one request, kept until its response's body has ended.

use std::sync::Arc;

use super::counted::{Counted, Standing};
use super::{BadLimits, Bound, Limit, Limiter, Now, ScopeNames};

impl Limiter {
    /// Judges a request by all limits, and charges all of them if none refuses.
    pub fn charge(
        self: &Arc<Self>,
        place: ScopeNames<'_>,
        limits: &[Limit],
        now: Now,
    ) -> Result<Charge, BadLimits> {
        Ok(Charge {
            counted: self.count(place, limits, now)?,
            limiter: Arc::clone(self),
        })
    }
}

/// The charges of one request. Dropping it releases what it holds at once. It travels with the body, so
/// however that ends, by error, panic or a client that left, the places are free again.
#[must_use = "dropping a charge releases what is held"]
pub struct Charge {
    pub(super) limiter: Arc<Limiter>,
    pub(super) counted: Vec<Counted>,
}

impl Charge {
    /// Whether an enforced limit refused, so that nothing was charged.
    pub fn refused(&self) -> bool {
        self.standings().any(Standing::refuses)
    }

    /// Returns one standing for each limit, in their order.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.counted.iter().map(|counted| &counted.standing)
    }

    /// Corrects a limit's charge to the request's real cost. Does nothing if it was not charged or its window
    /// has ended.
    pub fn settle(&mut self, name: &str, cost: u64, now: Now) -> Result<(), String> {
        let mut all = self.counted.iter_mut();
        let Some(counted) = all.find(|counted| counted.standing.name == name) else {
            // The wrong name is not repeated: it may be of any length.
            return Err("a settlement names a limit that was not asked for".into());
        };
        self.limiter.settle(counted, cost, now);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for counted in &self.counted {
            if let (Bound::Concurrent(_), Some(held)) = (counted.standing.bound, counted.charged)
                && held > 0
            {
                self.limiter.release(counted.digest, held);
            }
        }
    }
}
