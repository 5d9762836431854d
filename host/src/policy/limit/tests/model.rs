//! Any sequence of charges, settlements and ends is counted as by a naive model that keeps every key for
//! ever, steps through time by the millisecond, and uses its own whole numbers.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// A step's use of one limit: its index, its cost, and whether it is enforced.
type Ask = (usize, u64, bool);

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Charge(Vec<Ask>),
    /// Settles this charge's limit, both by number.
    Settle(usize, usize, u64),
    End(usize),
    Sweep,
}

/// Few, so that they often share counters.
fn catalogue() -> Vec<Limit> {
    let mut all = vec![
        rate("third", 3, 1_000, 5),
        rate("slow", 1, 700, 2),
        rate("fast", 2_000, 1_000, 6),
        quota("minute", 8, Period::Minute),
        quota("hour", 20, Period::Hour),
        concurrent("slots", 4),
    ];
    // The same limits again under other names, with other numbers where that keeps the counter.
    let again = [
        rate("third-2", 3, 1_000, 2)
            .key(&["third"])
            .scope(Scope::Route),
        quota("minute-2", 3, Period::Minute),
        concurrent("slots-2", 9),
    ];
    all.extend(again);
    all
}

fn step() -> impl Strategy<Value = Step> {
    let numbers: Vec<usize> = (0..catalogue().len()).collect();
    let asks = subsequence(numbers, 1..=4).prop_shuffle();
    let asks = (
        asks,
        prop::collection::vec((0..5_u64, prop::bool::weighted(0.7)), 4),
    );
    let charge = asks.prop_map(|(numbers, rest)| {
        let asks = numbers.into_iter().zip(rest);
        Step::Charge(
            asks.map(|(number, (cost, enforce))| (number, cost, enforce))
                .collect(),
        )
    });
    prop_oneof![
        3 => prop_oneof![0..3_u64, 100..2_000_u64, select(vec![60_000, 3_600_000])].prop_map(Step::Wait),
        6 => charge,
        2 => (0..8_usize, 0..4_usize, 0..9_u64).prop_map(|(charge, limit, cost)| Step::Settle(charge, limit, cost)),
        3 => (0..8_usize).prop_map(Step::End),
        1 => Just(Step::Sweep),
    ]
}

#[derive(Default)]
struct Model {
    ms: u64,
    /// For each rate, the thousandths of a token's period that are missing, and since when.
    missing: HashMap<usize, (u128, u64)>,
    used: HashMap<(usize, i64), u64>,
    held: HashMap<usize, u64>,
}

/// A charge of the model: the limit, how much, and in which window.
type Charged = (usize, Option<u64>, i64);

impl Model {
    fn window(&self, period: Period) -> i64 {
        let length = match period {
            Period::Minute => 60_000,
            Period::Hour => 3_600_000,
            _ => panic!("not in this model"),
        };
        at(self.ms).unix_ms / length
    }

    /// What is missing now, computed millisecond by millisecond.
    fn missing(&self, number: usize, amount: u64) -> u128 {
        let Some(&(mut missing, since)) = self.missing.get(&number) else {
            return 0;
        };
        for _ in since..self.ms {
            if missing == 0 {
                break;
            }
            missing = missing.saturating_sub(amount.into());
        }
        missing
    }

    fn left(&self, number: usize, bound: Bound) -> u64 {
        match bound {
            Bound::Rate {
                amount,
                period_ms,
                burst,
            } => {
                let full = u128::from(burst * period_ms);
                let there = full.saturating_sub(self.missing(number, amount));
                u64::try_from(there).expect("small") / period_ms
            }
            Bound::Quota { amount, period } => {
                let used = self.used.get(&(number, self.window(period)));
                amount.saturating_sub(used.copied().unwrap_or(0))
            }
            Bound::Concurrent(amount) => {
                amount.saturating_sub(self.held.get(&number).copied().unwrap_or(0))
            }
        }
    }

    /// Adds to what is used, or takes from it.
    fn add(&mut self, number: usize, bound: Bound, window: i64, more: i128) {
        let sum = |old: u64| u64::try_from((i128::from(old) + more).max(0)).expect("small");
        match bound {
            Bound::Rate {
                amount, period_ms, ..
            } => {
                let missing = i128::try_from(self.missing(number, amount)).expect("small");
                let missing = (missing + more * i128::from(period_ms)).max(0);
                let missing = u128::try_from(missing).expect("not negative");
                self.missing.insert(number, (missing, self.ms));
            }
            Bound::Quota { period, .. } if window == self.window(period) => {
                let used = self.used.entry((number, window)).or_default();
                *used = sum(*used);
            }
            Bound::Quota { .. } => {}
            Bound::Concurrent(_) => {
                let held = self.held.entry(number).or_default();
                *held = sum(*held);
            }
        }
    }

    fn charge(&mut self, asks: &[Ask], all: &[Limit]) -> (Vec<(Finding, u64)>, Vec<Charged>) {
        let find = |&(number, cost, _): &Ask| {
            let bound = all[number].bound;
            match cost {
                0 => Within,
                _ if cost > bound.most() => Never,
                _ if cost > self.left(number, bound) => Over,
                _ => Within,
            }
        };
        let found: Vec<Finding> = asks.iter().map(find).collect();
        let refused = asks
            .iter()
            .zip(&found)
            .any(|(ask, one)| ask.2 && *one != Within);
        let mut charged = Vec::new();
        for (&(number, cost, _), &finding) in asks.iter().zip(&found) {
            let bound = all[number].bound;
            let window = match bound {
                Bound::Quota { period, .. } => self.window(period),
                _ => 0,
            };
            let over_rate = finding != Within && matches!(bound, Bound::Rate { .. });
            let taken = (!refused && !over_rate).then_some(cost);
            self.add(number, bound, window, taken.unwrap_or(0).into());
            charged.push((number, taken, window));
        }
        let left = asks.iter().map(|ask| self.left(ask.0, all[ask.0].bound));
        (found.into_iter().zip(left).collect(), charged)
    }

    fn settle(&mut self, charged: &mut Charged, cost: u64, all: &[Limit]) {
        let (number, Some(taken), window) = *charged else {
            return;
        };
        let bound = all[number].bound;
        let difference = i128::from(cost) - i128::from(taken);
        self.add(number, bound, window, difference);
        charged.1 = Some(cost);
    }

    fn end(&mut self, charged: Vec<Charged>, all: &[Limit]) {
        for (number, taken, window) in charged {
            if let (Bound::Concurrent(_), Some(taken)) = (all[number].bound, taken) {
                self.add(number, all[number].bound, window, -i128::from(taken));
            }
        }
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (all, bench, mut model) = (catalogue(), Bench::new(), Model::default());
    let mut held: Vec<(Charge, Vec<Charged>)> = Vec::new();
    for step in steps {
        let now = at(model.ms);
        match step {
            Step::Wait(ms) => model.ms += ms,
            Step::Sweep => bench.limiter.sweep(now),
            Step::Charge(asks) => {
                let limits = asks.iter().map(|&(number, cost, enforce)| Limit {
                    cost,
                    enforce,
                    ..all[number].clone()
                });
                let charge = bench.charge(&limits.collect::<Vec<_>>(), now);
                let found = charge.standings().map(|one| (one.finding, one.left));
                let found: Vec<(Finding, u64)> = found.collect();
                let (expected, charged) = model.charge(&asks, &all);
                prop_assert_eq!(found, expected);
                held.push((charge, charged));
            }
            Step::Settle(number, limit, cost) => {
                let Some((charge, charged)) = held.get_mut(number) else {
                    continue;
                };
                let Some(one) = charged.get_mut(limit) else {
                    continue;
                };
                charge.settle(&all[one.0].name, cost, now).expect("a name");
                model.settle(one, cost, &all);
            }
            Step::End(number) if number < held.len() => {
                let (charge, charged) = held.remove(number);
                drop(charge);
                model.end(charged, &all);
            }
            Step::End(_) => {}
        }
    }
    let left: Vec<u64> = all
        .iter()
        .map(|one| bench.left(one, at(model.ms)))
        .collect();
    let numbers = 0..all.len();
    let expected: Vec<u64> = numbers
        .map(|number| model.left(number, all[number].bound))
        .collect();
    prop_assert_eq!(left, expected);
    drop(held);
    bench.limiter.sweep(at(model.ms + 86_400_000));
    prop_assert_eq!(bench.limiter.keys(), 0);
    Ok(())
}

proptest! {
    #[test]
    fn every_course_is_counted_as_a_naive_model_counts_it(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(steps)?;
    }
}
