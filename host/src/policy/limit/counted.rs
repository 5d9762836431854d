//! One limit of a request: its judgement and its charge.

use super::calendar::{Calendar, Window};
use super::counter::{Counter, Finding};
use super::digest::KeyDigest;
use super::{Bound, Limit, Now};

/// A limit's state after the request was judged and, if it passed, charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    pub bound: Bound,
    pub enforce: bool,
    pub finding: Finding,
    /// How much more may be used, in units of cost.
    pub left: u64,
    /// Seconds, rounded up: if the limit is over, until this request would pass; otherwise, those in which no
    /// more than `left` should be used. `None` if it does not depend on time.
    pub more_seconds: Option<u64>,
    /// The quota's window that this refers to.
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
    pub digest: KeyDigest,
    pub cost: u64,
    /// The counter as last seen.
    pub counter: Counter,
    /// How much of it this request took; `None` if nothing was charged (settling then does nothing).
    pub charged: Option<u64>,
}

impl Counted {
    /// Judges a request by a limit, with the counter as it is stored.
    pub fn judge(
        limit: &Limit,
        digest: KeyDigest,
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

    /// Whether this limit is charged when no limit refuses.
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

    /// Fills in the standing.
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
