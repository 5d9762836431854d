//! One limit of a request: how it was judged, and what was taken.

use super::calendar::{Calendar, Window};
use super::counter::{Counter, Finding};
use super::digest::KeyDigest;
use super::{Bound, Limit, Now};

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
    pub digest: KeyDigest,
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
