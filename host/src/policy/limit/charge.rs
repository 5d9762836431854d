//! What was charged for one request: kept until its response's body has ended.

use std::sync::Arc;

use super::calendar::{Calendar, Window};
use super::counter::Counter;
use super::digest::Digest;
use super::{Bound, Limit, Limiter, Now};

/// What a limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    Within,
    Over,
    /// The cost alone is more than the bound ever allows: it can never pass.
    Never,
    /// It cannot be counted: as many keys as the gateway may keep hold requests in flight.
    NoRoom,
}

/// How a limit stands after the request was judged and, if it passed, charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    pub bound: Bound,
    pub enforce: bool,
    pub finding: Finding,
    /// How much more may be used, in units of cost.
    pub left: u64,
    /// Seconds, rounded up: for a limit that is over, until this request would pass; else those in
    /// which no more than `left` should be used. `None` where waiting does not decide it.
    pub more_seconds: Option<u64>,
    /// The window of a quota that this is about.
    pub(super) window: Option<Window>,
}

impl Standing {
    pub fn refuses(&self) -> bool {
        self.enforce && self.finding != Finding::Within
    }
}

/// One limit of a charge.
pub(super) struct Counted {
    pub standing: Standing,
    pub digest: Digest,
    pub cost: u64,
    /// What the counter was last seen at.
    pub counter: Counter,
    /// What of it is ours. `None` if it was not charged, which settling leaves so.
    pub charged: Option<u64>,
}

impl Counted {
    /// Judges a request by a limit, with the counter as it is stored.
    pub fn judge(
        limit: &Limit,
        digest: Digest,
        stored: Option<Counter>,
        calendar: &Calendar,
        now: Now,
    ) -> Self {
        let counter = Counter::at(stored, &limit.bound, calendar, now);
        Counted {
            standing: Standing {
                name: limit.name.clone(),
                bound: limit.bound,
                enforce: limit.enforce,
                finding: counter.find(&limit.bound, limit.cost),
                left: 0,
                more_seconds: None,
                window: None,
            },
            digest,
            cost: limit.cost,
            counter,
            charged: None,
        }
    }

    /// Whether it is charged when no limit refuses.
    pub fn is_charged(&self) -> bool {
        match (self.standing.finding, self.standing.bound) {
            (Finding::Within, _) => true,
            (Finding::NoRoom, _) | (_, Bound::Rate { .. }) => false,
            (Finding::Over | Finding::Never, _) => true,
        }
    }

    pub fn charge(&mut self) {
        self.charged = Some(self.counter.take(&self.standing.bound, self.cost));
    }

    /// Writes down how it stands.
    pub fn report(&mut self, now: Now) {
        let standing = &mut self.standing;
        standing.left = self.counter.left(&standing.bound);
        standing.more_seconds = match standing.finding {
            Finding::Over => self.counter.wait_seconds(&standing.bound, self.cost, now),
            _ => self.counter.effective_seconds(&standing.bound, now),
        };
        standing.window = match self.counter {
            Counter::Quota { window, .. } => Some(window),
            _ => None,
        };
    }
}

/// The counts of one request. Dropping it lets go of what it holds at once; so it goes where the body
/// goes, and however that ends, by error, panic or a client that left, the places are free again.
#[must_use = "dropping a charge releases what is held"]
pub struct Charge {
    pub(super) limiter: Arc<Limiter>,
    pub(super) counted: Vec<Counted>,
}

impl Charge {
    /// Whether an enforced limit refused. Then nothing was charged.
    pub fn refused(&self) -> bool {
        self.standings().any(Standing::refuses)
    }

    /// One for each limit, in their order.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.counted.iter().map(|counted| &counted.standing)
    }

    /// Corrects what a limit was charged to what the request really costs. Where it was not charged,
    /// and where its window has ended, there is nothing to correct.
    pub fn settle(&mut self, name: &str, cost: u64, now: Now) -> Result<(), String> {
        let mut all = self.counted.iter_mut();
        let Some(counted) = all.find(|counted| counted.standing.name == name) else {
            // What is no name is not repeated: it may be of any length.
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
