//! Limits of different amounts that share a counter, against a naive model: a bucket for each, which flows
//! millisecond by millisecond.

use proptest::prelude::*;

use super::*;

/// Amount in a second, and burst.
const TIERS: [(u64, u64); 2] = [(1, 3), (500, 600)];
const TOKEN: u128 = 1_000;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// Of a tier, at this cost.
    Ask(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => prop_oneof![0..20_u64, 500..3_000_u64].prop_map(Step::Wait),
        3 => (0..4_u64).prop_map(|cost| Step::Ask(0, cost)),
        3 => (0..700_u64).prop_map(|cost| Step::Ask(1, cost)),
    ]
}

fn tier(number: usize, cost: u64) -> Limit {
    let (amount, burst) = TIERS[number];
    Limit {
        cost,
        ..rate("shared", amount, 1_000, burst)
    }
}

#[derive(Default)]
struct Model {
    ms: u64,
    /// What is missing of each, in thousandths; `None` if it was not used since all were full.
    missing: [Option<u128>; 2],
    /// How much the tight one let pass.
    passed: u64,
}

impl Model {
    fn wait(&mut self, ms: u64) {
        for _ in 0..ms {
            for (missing, (amount, _)) in self.missing.iter_mut().zip(TIERS) {
                *missing = missing.map(|missing| missing.saturating_sub(amount.into()));
            }
        }
        self.ms += ms;
    }

    fn ask(&mut self, number: usize, cost: u64) -> (Finding, u64) {
        if self.missing.iter().flatten().all(|missing| *missing == 0) {
            self.missing = [None; 2];
        }
        let [own, other] = [self.missing[number], self.missing[1 - number]];
        let missing = own.or(other).unwrap_or(0);
        let burst = TIERS[number].1;
        let left = |missing| {
            let there = (u128::from(burst) * TOKEN).saturating_sub(missing);
            u64::try_from(there / TOKEN).unwrap()
        };
        if cost > burst {
            return (Never, left(missing));
        }
        if cost > left(missing) {
            return (Over, left(missing));
        }
        let more = u128::from(cost) * TOKEN;
        self.missing[number] = Some(missing + more);
        if let Some(other) = &mut self.missing[1 - number] {
            let most = u128::from(TIERS[1 - number].0) * TOKEN;
            *other = (*other).max((*other + more).min(most));
        }
        if number == 0 {
            self.passed += cost;
        }
        (Within, left(missing + more))
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (bench, mut model) = (Bench::new(), Model::default());
    for step in steps {
        match step {
            Step::Wait(ms) => model.wait(ms),
            Step::Ask(number, cost) => {
                let found = bench.ask(&[tier(number, cost)], at(model.ms));
                prop_assert_eq!(found, [model.ask(number, cost)]);
                let (amount, burst) = TIERS[0];
                prop_assert!(model.passed * 1_000 <= burst * 1_000 + model.ms * amount);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn each_amount_flows_by_itself(steps in prop::collection::vec(step(), 1..60)) {
        run(steps)?;
    }
}

#[test]
fn a_loose_limit_neither_fills_up_a_tight_one_nor_is_held_up_by_it() {
    let bench = Bench::new();
    let tight = || [rate("shared", 2, 3_600_000, 2)];
    let loose = || [rate("shared", 100_000, 3_600_000, 100)];
    assert_eq!(bench.ask(&tight(), at(0)), [(Within, 1)]);
    assert!(bench.passes(&tight(), at(0)));
    for second in 1..1_000 {
        // Less than flows in a second, and far less than in an hour.
        for _ in 0..20 {
            assert!(bench.passes(&loose(), at(second * 1_000)), "{second}");
        }
        assert!(!bench.passes(&tight(), at(second * 1_000)), "{second}");
    }
    // The loose one's use counts as at most a period's worth of the tight one.
    assert!(bench.passes(&tight(), at(1_000_000 + 3_600_000)));
}
