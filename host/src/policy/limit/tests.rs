//! The rules of limits, one at a time. `model` compares the whole with a naive one.

mod calendar;
mod hostile;
mod keys;
mod model;
mod parallel;
mod respond;
mod shared;

use std::sync::Arc;

use super::*;
use crate::limits::limiter::LIMIT_SHARD_KEYS_MIN;

const PLACE: ScopeNames<'static> = ScopeNames {
    entry: "main/3",
    route: "get-pet",
};

/// 2026-05-23 12:00:00 UTC, a Saturday.
const NOON: i64 = 1_779_537_600_000;

/// This many milliseconds after noon.
fn at(ms: u64) -> Now {
    Now {
        monotonic_ns: ms * 1_000_000,
        unix_ms: NOON + i64::try_from(ms).expect("a test's time"),
    }
}

fn limit(name: &str, bound: Bound) -> Limit {
    Limit {
        name: name.into(),
        bound,
        key: vec![name.into()],
        scope: Scope::Gateway,
        cost: 1,
        enforce: true,
    }
}

fn rate(name: &str, amount: u64, period_ms: u64, burst: u64) -> Limit {
    let bound = Bound::Rate {
        amount,
        period_ms,
        burst,
    };
    limit(name, bound)
}

fn quota(name: &str, amount: u64, period: Period) -> Limit {
    limit(name, Bound::Quota { amount, period })
}

fn concurrent(name: &str, amount: u64) -> Limit {
    limit(name, Bound::Concurrent(amount))
}

impl Limit {
    fn cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }

    fn key(mut self, parts: &[&str]) -> Self {
        self.key = parts.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    fn count_only(mut self) -> Self {
        self.enforce = false;
        self
    }
}

struct Bench {
    limiter: Arc<Limiter>,
}

impl Bench {
    fn new() -> Self {
        Bench::of(100_000)
    }

    fn of(keys_max: usize) -> Self {
        Bench {
            limiter: Arc::new(Limiter::new(keys_max)),
        }
    }

    fn charge(&self, limits: &[Limit], now: Now) -> Charge {
        let charge = self.limiter.charge(PLACE, limits, now);
        charge.unwrap_or_else(|bad| panic!("{bad}"))
    }

    /// Each limit's finding, and what it leaves.
    fn ask(&self, limits: &[Limit], now: Now) -> Vec<(Finding, u64)> {
        let charge = self.charge(limits, now);
        let standings = charge.standings();
        standings.map(|one| (one.finding, one.left)).collect()
    }

    fn passes(&self, limits: &[Limit], now: Now) -> bool {
        !self.charge(limits, now).refused()
    }

    fn left(&self, limit: &Limit, now: Now) -> u64 {
        self.ask(&[limit.clone().cost(0)], now)[0].1
    }
}

use Finding::{Never, NoRoom, Over, Within};

#[test]
fn a_charge_goes_where_a_body_goes() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Charge>();
}

#[test]
fn a_rate_lets_a_burst_pass_and_then_what_flows() {
    let bench = Bench::new();
    let ten = [rate("ten", 10, 1_000, 3)];
    assert_eq!(bench.ask(&ten, at(0)), [(Within, 2)]);
    assert_eq!(bench.ask(&ten, at(0)), [(Within, 1)]);
    assert_eq!(bench.ask(&ten, at(0)), [(Within, 0)]);
    assert_eq!(bench.ask(&ten, at(99)), [(Over, 0)]);
    assert_eq!(bench.ask(&ten, at(100)), [(Within, 0)]);
    assert_eq!(bench.ask(&ten, at(199)), [(Over, 0)]);
    assert_eq!(bench.ask(&ten, at(60_000)), [(Within, 2)]);
}

#[test]
fn a_rate_that_is_no_whole_number_of_nanoseconds_does_not_drift() {
    let bench = Bench::new();
    // A token every 333.3 ms; asked every millisecond, so that any rounding would add up.
    let third = [rate("third", 3, 1_000, 2)];
    let passed = (0..=200_000).filter(|&ms| bench.passes(&third, at(ms)));
    assert_eq!(passed.count(), 2 + 600);
}

#[test]
fn time_that_another_thread_read_earlier_takes_nothing_back() {
    let bench = Bench::new();
    let one = [rate("one", 1, 1_000, 2)];
    assert!(bench.passes(&one, at(5_000)));
    assert!(bench.passes(&one, at(4_000)));
    assert!(!bench.passes(&one, at(5_999)));
    assert!(bench.passes(&one, at(6_000)));
}

#[test]
fn another_tier_keeps_what_is_used() {
    let bench = Bench::new();
    let tier = |amount, burst| [rate("tier", amount, 1_000, burst)];
    assert_eq!(bench.ask(&tier(1, 5), at(0)), [(Within, 4)]);
    assert_eq!(bench.ask(&tier(10, 100), at(0)), [(Within, 98)]);
    let tier = |amount| [quota("day", amount, Period::Day)];
    assert_eq!(bench.ask(&tier(1), at(0)), [(Within, 0)]);
    assert_eq!(bench.ask(&tier(1), at(0)), [(Over, 0)]);
    assert_eq!(bench.ask(&tier(5), at(0)), [(Within, 3)]);
    assert_eq!(bench.ask(&tier(1), at(0)), [(Over, 0)]);
}

#[test]
fn a_quota_ends_with_its_window() {
    let bench = Bench::new();
    let two = [quota("two", 2, Period::Minute)];
    assert_eq!(bench.ask(&two, at(59_998)), [(Within, 1)]);
    assert_eq!(bench.ask(&two, at(59_998)), [(Within, 0)]);
    assert_eq!(bench.ask(&two, at(59_999)), [(Over, 0)]);
    assert_eq!(bench.ask(&two, at(60_000)), [(Within, 1)]);
    // A thread that read the clock just before counts in the same window as the others.
    assert_eq!(bench.ask(&two, at(59_999)), [(Within, 0)]);
    assert_eq!(bench.ask(&two, at(60_000)), [(Over, 0)]);
}

#[test]
fn a_clock_that_was_set_back_does_not_lock_out() {
    // In one shard, where the hand cannot find them all before they are asked for.
    let bench = Bench::of(LIMIT_SHARD_KEYS_MIN);
    let keys = || (0..20).map(|key| [quota(&key.to_string(), 1, Period::Year)]);
    let year = 366 * 86_400_000;
    assert!(keys().all(|one| bench.passes(&one, at(year))));
    assert!(keys().all(|one| bench.passes(&one, at(0))));
    assert!(keys().all(|one| !bench.passes(&one, at(1))));
}

#[test]
fn what_is_held_is_released_when_the_charge_is_dropped() {
    let bench = Bench::new();
    let two = [concurrent("two", 2)];
    let first = bench.charge(&two, at(0));
    let second = bench.charge(&two, at(0));
    assert!(!bench.passes(&two, at(0)));
    drop(second);
    assert_eq!(bench.ask(&two, at(0)), [(Within, 0)]);
    drop(first);
    assert_eq!(
        bench.ask(&[concurrent("two", 2).cost(2)], at(0)),
        [(Within, 0)]
    );
    assert_eq!(bench.limiter.keys(), 0, "nobody holds it");
}

#[test]
fn what_is_held_is_released_when_its_holder_panics() {
    let bench = Bench::new();
    let one = [concurrent("one", 1)];
    let held = bench.charge(&one, at(0));
    let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _held = held;
        // Unwinds without a message among the test's output.
        std::panic::resume_unwind(Box::new("a holder's end"));
    }));
    assert!(end.is_err());
    assert!(bench.passes(&one, at(0)));
}

#[test]
fn all_are_charged_or_none() {
    let bench = Bench::new();
    let all = || {
        vec![
            rate("rate", 1, 1_000, 5),
            quota("quota", 5, Period::Hour),
            concurrent("slots", 5),
            quota("watched", 5, Period::Hour).count_only(),
        ]
    };
    for refusing in 0..3 {
        let mut limits = all();
        limits[refusing].cost = 6;
        let found = bench.ask(&limits, at(0));
        assert!(found.iter().all(|&(_, left)| left == 5), "{found:?}");
        assert_eq!(found[refusing].0, Never);
    }
    assert!(
        bench
            .ask(&all(), at(0))
            .iter()
            .all(|one| *one == (Within, 4))
    );
}

#[test]
fn count_only_limits_never_refuse() {
    let bench = Bench::new();
    let day = [quota("day", 1, Period::Day).count_only()];
    assert_eq!(bench.ask(&day, at(0)), [(Within, 0)]);
    assert_eq!(bench.ask(&day, at(0)), [(Over, 0)]);
    assert!(bench.passes(&day, at(0)));
    // Charged on: in a wider bound, three are used.
    assert_eq!(bench.left(&quota("day", 10, Period::Day), at(0)), 7);

    let slots = [concurrent("slots", 1).count_only()];
    let _first = bench.charge(&slots, at(0));
    let second = bench.charge(&slots, at(0));
    assert!(!second.refused());
    assert_eq!(second.standings().next().map(|one| one.finding), Some(Over));
    assert_eq!(bench.left(&concurrent("slots", 10), at(0)), 8);
}

#[test]
fn a_count_only_rate_finds_over_what_it_would_refuse() {
    let bench = Bench::new();
    let (watched, kept) = (
        rate("watched", 10, 1_000, 5).count_only(),
        rate("kept", 10, 1_000, 5),
    );
    // Twice the rate for a minute.
    for ms in (0..60_000).step_by(50) {
        let watched = bench.ask(std::slice::from_ref(&watched), at(ms));
        let kept = bench.ask(std::slice::from_ref(&kept), at(ms));
        assert_eq!(watched, kept);
    }
}

#[test]
fn a_cost_of_nothing_only_reports() {
    let bench = Bench::new();
    let limits = |cost| {
        [
            rate("rate", 1, 1_000, 2).cost(cost),
            quota("quota", 0, Period::Day).cost(0),
            concurrent("slots", 2).cost(cost),
        ]
    };
    assert_eq!(
        bench.ask(&limits(0), at(0)),
        [(Within, 2), (Within, 0), (Within, 2)]
    );
    assert_eq!(bench.limiter.keys(), 0, "nothing is written for it");
    let mut held = bench.charge(&limits(2), at(0));
    held.settle("rate", 50, at(0)).expect("a name");
    assert_eq!(
        bench.ask(&limits(0), at(0)),
        [(Within, 0), (Within, 0), (Within, 0)]
    );
}

#[test]
fn a_cost_above_the_bound_never_passes() {
    let bench = Bench::new();
    for limit in [
        rate("rate", 100, 1_000, 5),
        quota("quota", 5, Period::Day),
        concurrent("slots", 5),
    ] {
        assert_eq!(bench.ask(&[limit.clone().cost(6)], at(0)), [(Never, 5)]);
        assert_eq!(bench.ask(&[limit.cost(5)], at(0)), [(Within, 0)]);
    }
}

#[test]
fn settling_charges_the_difference_or_gives_it_back() {
    let bench = Bench::new();
    let limits = [
        rate("rate", 1, 1_000, 10).cost(4),
        quota("quota", 10, Period::Hour).cost(4),
        concurrent("slots", 10).cost(4),
    ];
    let mut charge = bench.charge(&limits, at(0));
    let left = |charge: &Charge| -> Vec<u64> { charge.standings().map(|one| one.left).collect() };
    for limit in &limits {
        charge.settle(&limit.name, 1, at(0)).expect("a name");
    }
    assert_eq!(left(&charge), [9, 9, 9]);
    for limit in &limits {
        charge.settle(&limit.name, 7, at(0)).expect("a name");
    }
    assert_eq!(left(&charge), [3, 3, 3]);
    // Into debt: nothing passes until it is repaid.
    for limit in &limits {
        charge.settle(&limit.name, 12, at(0)).expect("a name");
    }
    assert_eq!(left(&charge), [0, 0, 0]);
    assert!(!bench.passes(&[rate("rate", 1, 1_000, 10)], at(2_999)));
    assert!(bench.passes(&[rate("rate", 1, 1_000, 10)], at(3_000)));
    assert!(!bench.passes(&[quota("quota", 12, Period::Hour)], at(0)));
    assert!(bench.passes(&[quota("quota", 13, Period::Hour)], at(0)));
    drop(charge);
    assert_eq!(bench.left(&concurrent("slots", 10), at(0)), 10);
}

#[test]
fn giving_back_never_overfills() {
    let bench = Bench::new();
    let full = [rate("rate", 1, 1_000, 10).cost(10)];
    let mut charge = bench.charge(&full, at(0));
    // All of it has flowed back since, and the key may be forgotten.
    charge.settle("rate", 0, at(60_000)).expect("a name");
    assert_eq!(bench.left(&full[0], at(60_000)), 10);
    charge.settle("rate", 3, at(60_000)).expect("a name");
    assert_eq!(bench.left(&full[0], at(60_000)), 7);
}

#[test]
fn what_is_settled_for_an_ended_window_is_dropped() {
    let bench = Bench::new();
    let minute = [quota("minute", 5, Period::Minute).cost(2)];
    let mut charge = bench.charge(&minute, at(0));
    charge.settle("minute", 9, at(60_000)).expect("a name");
    assert_eq!(bench.left(&minute[0], at(60_000)), 5);
    // Even if others already count in the new one.
    assert!(bench.passes(&minute, at(60_000)));
    charge.settle("minute", 0, at(60_000)).expect("a name");
    assert_eq!(bench.left(&minute[0], at(60_000)), 3);
}

#[test]
fn a_debt_ends_with_its_window() {
    let bench = Bench::new();
    let minute = [quota("minute", 5, Period::Minute)];
    let mut charge = bench.charge(&minute, at(0));
    charge.settle("minute", 500, at(0)).expect("a name");
    assert_eq!(bench.ask(&minute, at(59_999)), [(Over, 0)]);
    assert_eq!(bench.ask(&minute, at(60_000)), [(Within, 4)]);
}

#[test]
fn only_what_was_charged_is_settled() {
    let bench = Bench::new();
    let one = [quota("one", 1, Period::Day)];
    let mut charge = bench.charge(&one, at(0));
    assert!(charge.settle("two", 1, at(0)).is_err());
    let mut refused = bench.charge(&one, at(0));
    refused.settle("one", 5, at(0)).expect("a name");
    charge.settle("one", 0, at(0)).expect("a name");
    assert_eq!(bench.left(&one[0], at(0)), 1);
}
