//! Lists that a broken or malicious plugin might return. Overflow would panic in these tests.

use proptest::prelude::*;

use super::super::calendar::Calendar;
use super::super::counter::Counter;
use super::*;
use crate::limits::limiter::{
    LIMIT_KEY_BYTES_MAX, LIMIT_KEY_PARTS_MAX, LIMITS_MAX, RATE_PERIOD_MS_MAX,
};

fn complaint(limits: &[Limit]) -> String {
    let charged = Bench::new().limiter.charge(PLACE, limits, at(0));
    charged.err().map(|bad| bad.0).unwrap_or_default()
}

#[test]
fn bad_lists_are_refused_in_words() {
    let one = || concurrent("one", 1);
    let named = |name: &str| concurrent(name, 1);
    let parts = |count| Limit {
        key: vec![String::new(); count],
        ..one()
    };
    let many = |count: usize| -> Vec<Limit> {
        (0..count)
            .map(|index| concurrent(&index.to_string(), 1))
            .collect()
    };
    let long_key = "k".repeat(LIMIT_KEY_BYTES_MAX);
    let cases: &[(Vec<Limit>, &str)] = &[
        (vec![], ""),
        (vec![one()], ""),
        (many(LIMITS_MAX), ""),
        (many(LIMITS_MAX + 1), "17 limits"),
        (
            vec![one(), one().key(&["other"])],
            "\"one\": two limits have this name",
        ),
        (
            vec![one(), named("two").key(&["one"])],
            "\"one\" and \"two\" have one scope",
        ),
        (vec![rate("r", 0, 1, 1)], "amount is 0"),
        (vec![rate("r", 1, 0, 1)], "period is 0 ms"),
        (vec![rate("r", 1, 1, 0)], "burst is 0"),
        (vec![rate("r", 1, RATE_PERIOD_MS_MAX, 1)], ""),
        (vec![rate("r", 1, RATE_PERIOD_MS_MAX + 1, 1)], "366 days"),
        (vec![quota("q", 0, Period::Day)], ""),
        (vec![concurrent("c", 0)], ""),
        (vec![named("")], "limit 1: the name is empty"),
        (vec![named(&"n".repeat(64))], ""),
        (vec![named(&"n".repeat(65))], "65 bytes"),
        (vec![named("caf\u{e9}")], "printable"),
        (vec![named("a\r\nSet-Cookie: b")], "printable"),
        (vec![one().key(&[&long_key])], ""),
        (vec![one().key(&[&long_key, "k"])], "81921 bytes"),
        (vec![parts(LIMIT_KEY_PARTS_MAX)], ""),
        (vec![parts(LIMIT_KEY_PARTS_MAX + 1)], "33 parts"),
    ];
    for (limits, text) in cases {
        let complaint = complaint(limits);
        assert!(complaint.contains(text), "{complaint:?} for {text:?}");
        assert_eq!(complaint.is_empty(), text.is_empty(), "{complaint}");
    }
}

#[test]
fn no_key_is_in_any_answer() {
    let bench = Bench::new();
    let limits = [quota("n", 0, Period::Day).key(&["sk-4711"])];
    let charge = bench.charge(&limits, at(0));
    let (_, headers, body) = charge.refusal("r").expect("a refusal");
    assert!(!format!("{headers:?}{body:?}").contains("4711"));
    let twice = [
        limits[0].clone(),
        quota("m", 0, Period::Day).key(&["sk-4711"]),
    ];
    assert!(!complaint(&twice).contains("4711"));
}

#[test]
fn one_holder_of_everything_takes_only_what_is_its_own() {
    let bench = Bench::new();
    let slots = |cost| [concurrent("slots", u64::MAX).cost(cost).count_only()];
    let three = bench.charge(&slots(3), at(0));
    let mut greedy = bench.charge(&slots(u64::MAX), at(0));
    greedy.settle("slots", u64::MAX, at(0)).expect("a name");
    drop(greedy);
    assert_eq!(bench.left(&concurrent("slots", 10), at(0)), 7);
    drop(three);
    assert_eq!(bench.limiter.keys(), 0);
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        1..1_000_u64,
        any::<u64>(),
        (0..64_u32).prop_map(|bit| 1 << bit),
    ]
}

fn period() -> impl Strategy<Value = Period> {
    use Period::{Day, Hour, Minute, Month, Week, Year};
    prop::sample::select(vec![Minute, Hour, Day, Week, Month, Year])
}

fn bound() -> impl Strategy<Value = Bound> {
    let rate = (number(), number(), number()).prop_map(|(amount, period_ms, burst)| Bound::Rate {
        amount: amount.max(1),
        period_ms: period_ms.clamp(1, RATE_PERIOD_MS_MAX),
        burst: burst.max(1),
    });
    let quota = (number(), period()).prop_map(|(amount, period)| Bound::Quota { amount, period });
    prop_oneof![rate, quota, number().prop_map(Bound::Concurrent)]
}

fn time() -> impl Strategy<Value = Now> {
    (number(), any::<i64>()).prop_map(|(monotonic_ns, unix_ms)| Now {
        monotonic_ns,
        unix_ms,
    })
}

proptest! {
    /// Any numbers at any times: nothing overflows, and every response can be written.
    #[test]
    fn hostile_numbers_change_nothing_else(
        charges in prop::collection::vec((bound(), number(), any::<bool>(), number(), time(), time()), 1..20),
    ) {
        let bench = Bench::of(50);
        let mut held = Vec::new();
        for (bound, cost, enforce, settled, then, later) in charges {
            let limits = [Limit { cost, enforce, ..limit("same", bound) }, rate("other", 1, 1, 1)];
            let mut charge = bench.charge(&limits, then);
            charge.fields();
            charge.refusal("id");
            charge.settle("same", settled, later).expect("a name");
            charge.fields();
            bench.limiter.sweep(later);
            held.push(charge);
        }
        drop(held);
    }

    /// A client that waits as long as told passes; one that comes a second earlier is told to wait again.
    #[test]
    fn waiting_as_told_helps(
        amount in 1..1_000_000_u64,
        period_ms in 1..100_000_000_u64,
        burst in 1..1_000_u64,
        used in 1..2_000_u64,
        cost in 1..1_000_u64,
        time in 0..1_000_000_000_000_u64,
    ) {
        let bound = Bound::Rate { amount, period_ms, burst };
        let calendar = Calendar::default();
        let start = Now { monotonic_ns: time, unix_ms: 0 };
        let mut counter = Counter::at(None, &bound, &calendar, start);
        counter.take(&bound, used);
        let found = counter.find(&bound, cost);
        let wait = counter.wait_seconds(&bound, cost, start);
        prop_assert_eq!(found == Never, wait.is_none());
        let after = |seconds: u64| {
            let monotonic_ns = time + seconds * 1_000_000_000;
            let now = Now { monotonic_ns, unix_ms: 0 };
            Counter::at(Some(counter), &bound, &calendar, now).find(&bound, cost)
        };
        if let Some(wait) = wait {
            prop_assert_eq!(found == Over, wait > 0);
            prop_assert_eq!(after(wait), Within);
            prop_assert!(wait == 0 || after(wait - 1) == Over);
        }
    }
}
