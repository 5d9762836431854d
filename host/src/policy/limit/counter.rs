//! The counter of one key: arithmetic on values, no storage. Every number may come from a plugin, so every
//! sum is bounded, and numbers are only rounded for display.

use super::calendar::{Calendar, Window};
use super::{Bound, Now};
use crate::limits::limiter::CLOCK_SKEW_MS;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_SECOND: u128 = 1_000_000_000;

/// A limit's verdict on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    Within,
    Over,
    /// The cost alone exceeds the bound: the request can never pass.
    Never,
    /// It cannot be counted: all the keys that the gateway may keep hold requests in flight.
    NoRoom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    Rate {
        /// The bucket of the amount that was asked for last.
        own: Bucket,
        /// The bucket of another amount, if limits of different amounts share the counter. Each flows at its
        /// own amount: otherwise the loose limit would refill the tight one, or the tight one hold up the
        /// loose one.
        other: Bucket,
        at_ns: u64,
    },
    Quota {
        window: Window,
        used: u64,
    },
    Concurrent {
        held: u64,
    },
}

/// A token bucket, stored as what is missing from it. A token has as many units as the period has
/// nanoseconds, so exactly `amount` units flow in each nanosecond. A change of `burst` keeps what is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Two words, upper first: a `u128` would be aligned to 16 bytes.
    missing: [u64; 2],
    /// 0 if there is no bucket.
    amount: u64,
}

impl Bucket {
    const NONE: Bucket = Bucket {
        missing: [0, 0],
        amount: 0,
    };

    /// Returns the bucket after the time since `at_ns` has passed.
    fn flow(self, at_ns: u64, now: Now) -> Bucket {
        let elapsed = u128::from(now.monotonic_ns.saturating_sub(at_ns));
        let missing = join(self.missing).saturating_sub(elapsed * u128::from(self.amount));
        Bucket {
            missing: split(missing),
            ..self
        }
    }

    fn is_full(self) -> bool {
        self.missing == [0, 0]
    }

    /// Returns the nanoseconds until it is full.
    fn rest(self) -> u128 {
        join(self.missing) / u128::from(self.amount.max(1))
    }

    /// Takes what was used under another amount: at most a period's worth, so that use of a loose limit does
    /// not use up a tight one for longer than that.
    fn share(&mut self, more: u128, period_ms: u64) {
        let missing = join(self.missing);
        let most = u128::from(self.amount) * units(period_ms);
        self.missing = split(missing.max(missing.saturating_add(more).min(most)));
    }
}

/// Returns the buckets as a limit of this amount sees them, its own first. A new amount begins with what is
/// used, so that a caller whose amount changes keeps that; of three buckets the tightest two are kept.
fn seen_by(amount: u64, own: Bucket, other: Bucket) -> [Bucket; 2] {
    let begun = |missing| Bucket { missing, amount };
    if own.is_full() && other.is_full() {
        [begun([0, 0]), Bucket::NONE]
    } else if own.amount == amount {
        [own, other]
    } else if other.amount == amount {
        [other, own]
    } else if other.amount == 0 {
        [begun(own.missing), own]
    } else if own.amount < other.amount {
        [begun(other.missing), own]
    } else {
        [begun(own.missing), other]
    }
}

/// Returns the units of one token. The longest period in nanoseconds is below 2^55, so products with any
/// number of tokens fit.
fn units(period_ms: u64) -> u128 {
    u128::from(period_ms) * u128::from(NS_PER_MS)
}

fn join(words: [u64; 2]) -> u128 {
    u128::from(words[0]) << 64 | u128::from(words[1])
}

fn split(units: u128) -> [u64; 2] {
    [(units >> 64) as u64, units as u64]
}

impl Counter {
    /// Returns the counter as it is now for this bound; without a stored one, a full bucket, an untouched
    /// window or no holder.
    pub fn at(stored: Option<Counter>, bound: &Bound, calendar: &Calendar, now: Now) -> Counter {
        match (*bound, stored) {
            (Bound::Rate { amount, .. }, Some(Counter::Rate { own, other, at_ns })) => {
                let [own, other] = [own, other].map(|bucket| bucket.flow(at_ns, now));
                let [own, other] = seen_by(amount, own, other);
                Counter::Rate {
                    own,
                    other,
                    // Threads read the clock one after another: an earlier reading takes nothing back.
                    at_ns: at_ns.max(now.monotonic_ns),
                }
            }
            (Bound::Rate { amount, .. }, _) => {
                let [own, other] = seen_by(amount, Bucket::NONE, Bucket::NONE);
                Counter::Rate {
                    own,
                    other,
                    at_ns: now.monotonic_ns,
                }
            }
            (Bound::Quota { period, .. }, stored) => {
                let current = calendar.window(period, now.unix_ms);
                match stored {
                    Some(Counter::Quota { window, used }) if holds(window, current, now) => {
                        Counter::Quota { window, used }
                    }
                    _ => Counter::Quota {
                        window: current,
                        used: 0,
                    },
                }
            }
            (Bound::Concurrent(_), Some(Counter::Concurrent { held })) => {
                Counter::Concurrent { held }
            }
            (Bound::Concurrent(_), _) => Counter::Concurrent { held: 0 },
        }
    }

    /// Returns what the bound leaves, in whole units of cost.
    pub fn left(&self, bound: &Bound) -> u64 {
        match (*self, *bound) {
            (
                Counter::Rate { own, .. },
                Bound::Rate {
                    period_ms, burst, ..
                },
            ) => {
                let unit = units(period_ms);
                let there = (u128::from(burst) * unit).saturating_sub(join(own.missing));
                u64::try_from(there / unit).unwrap_or(u64::MAX)
            }
            (Counter::Quota { used, .. }, bound) => bound.most().saturating_sub(used),
            (Counter::Concurrent { held }, bound) => bound.most().saturating_sub(held),
            (Counter::Rate { .. }, _) => 0,
        }
    }

    pub fn find(&self, bound: &Bound, cost: u64) -> Finding {
        // A cost of 0 is within any bound, even in debt.
        if cost > bound.most() {
            Finding::Never
        } else if cost > self.left(bound) {
            Finding::Over
        } else {
            Finding::Within
        }
    }

    /// Takes this much, even into debt; returns how much could be recorded.
    pub fn take(&mut self, bound: &Bound, cost: u64) -> u64 {
        match (self, *bound) {
            (Counter::Rate { own, other, .. }, Bound::Rate { period_ms, .. }) => {
                let more = u128::from(cost) * units(period_ms);
                own.missing = split(join(own.missing).saturating_add(more));
                other.share(more, period_ms);
                cost
            }
            (Counter::Quota { used: sum, .. } | Counter::Concurrent { held: sum }, _) => {
                let more = cost.min(u64::MAX - *sum);
                *sum += more;
                more
            }
            (Counter::Rate { .. }, _) => 0,
        }
    }

    /// Gives back to its own bucket only: the other may have been charged less than it would get back.
    pub fn give_back(&mut self, bound: &Bound, cost: u64) {
        match (self, *bound) {
            (Counter::Rate { own, .. }, Bound::Rate { period_ms, .. }) => {
                let less = u128::from(cost) * units(period_ms);
                own.missing = split(join(own.missing).saturating_sub(less));
            }
            (Counter::Quota { used: sum, .. } | Counter::Concurrent { held: sum }, _) => {
                *sum = sum.saturating_sub(cost);
            }
            (Counter::Rate { .. }, _) => {}
        }
    }

    /// Returns the seconds, rounded up, until this cost would pass, if waiting helps and time alone decides.
    pub fn wait_seconds(&self, bound: &Bound, cost: u64, now: Now) -> Option<u64> {
        match (*self, *bound) {
            _ if cost > bound.most() => None,
            (
                Counter::Rate { own, .. },
                Bound::Rate {
                    amount,
                    period_ms,
                    burst,
                },
            ) => {
                let unit = units(period_ms);
                let most = u128::from(burst) * unit;
                let after = join(own.missing).saturating_add(u128::from(cost) * unit);
                Some(seconds_of_flow(after.saturating_sub(most), amount))
            }
            (Counter::Quota { window, .. }, _) => Some(seconds_to(window, now)),
            (Counter::Concurrent { .. } | Counter::Rate { .. }, _) => None,
        }
    }

    /// Returns the draft's effective window (section 4.1.2): the seconds, rounded up, in which a client
    /// should use no more than what is left. For a rate it is the time in which that much flows: what is left
    /// per window is then the policy's own rate, as section 8.5 asks. A few seconds beside a full bucket of
    /// an hour's tokens would read as permission to send that many every few seconds.
    pub fn effective_seconds(&self, bound: &Bound, now: Now) -> Option<u64> {
        match (*self, *bound) {
            (
                Counter::Rate { .. },
                Bound::Rate {
                    amount, period_ms, ..
                },
            ) => match self.left(bound) {
                0 => self.wait_seconds(bound, 1, now),
                left => Some(seconds_of_flow(u128::from(left) * units(period_ms), amount)),
            },
            (Counter::Quota { window, .. }, _) => Some(seconds_to(window, now)),
            (Counter::Concurrent { .. } | Counter::Rate { .. }, _) => None,
        }
    }

    /// Whether dropping it makes no difference.
    pub fn idle(&self, now: Now) -> bool {
        match *self {
            Counter::Rate { own, other, at_ns } => {
                own.flow(at_ns, now).is_full() && other.flow(at_ns, now).is_full()
            }
            Counter::Quota { window, used } => {
                used == 0 || now.unix_ms >= window.end_ms || is_reset(window, now)
            }
            Counter::Concurrent { held } => held == 0,
        }
    }

    /// Returns the rank for displacement, lowest first: nanoseconds until it is idle, then what is used in
    /// its window. `None` if it must not be displaced.
    pub fn worth(&self, now: Now) -> Option<(u128, u64)> {
        if self.idle(now) {
            return Some((0, 0));
        }
        match *self {
            Counter::Rate { own, other, at_ns } => {
                let rest = |bucket: Bucket| bucket.flow(at_ns, now).rest();
                Some((rest(own).max(rest(other)), 0))
            }
            Counter::Quota { window, used } => {
                let ms = window.end_ms.saturating_sub(now.unix_ms);
                let ms = u128::try_from(ms).unwrap_or(0);
                Some((ms * u128::from(NS_PER_MS), used))
            }
            Counter::Concurrent { .. } => None,
        }
    }
}

/// Whether use in this window counts in the current one: it is the same, or a little ahead because another
/// thread read its clock later.
fn holds(window: Window, current: Window, now: Now) -> bool {
    window == current || (window.start_ms > current.start_ms && !is_reset(window, now))
}

/// Whether the clock was set back since then.
fn is_reset(window: Window, now: Now) -> bool {
    window.start_ms.saturating_sub(now.unix_ms) > CLOCK_SKEW_MS
}

fn seconds_to(window: Window, now: Now) -> u64 {
    let ms = window.end_ms.saturating_sub(now.unix_ms);
    u64::try_from(ms).unwrap_or(0).div_ceil(1_000)
}

fn seconds_of_flow(units: u128, amount: u64) -> u64 {
    let ns = units.div_ceil(u128::from(amount.max(1)));
    u64::try_from(ns.div_ceil(NS_PER_SECOND)).unwrap_or(u64::MAX)
}
