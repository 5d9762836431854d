//! What names a counter, and what happens when there are many.

use super::super::counter::Counter;
use super::super::digest::KeyDigest;
use super::*;
use crate::limits::limiter::LIMIT_SHARD_KEYS_MIN;

#[test]
fn a_key_takes_88_bytes_of_its_own() {
    // The map keeps for each: a hash, the key, the value.
    assert_eq!(size_of::<(u64, KeyDigest, Counter)>(), 88);
}

#[test]
fn a_counter_is_named_by_scope_kind_period_and_key() {
    let a = quota("n", 1, Period::Day).key(&["a", "bc"]);
    let rate_of = |period_ms| rate("n", 1, period_ms, 1).key(&["a", "bc"]);
    let others = [
        a.clone(),
        a.clone().key(&["ab", "c"]),
        a.clone().key(&["abc"]),
        a.clone().key(&["a\0bc"]),
        a.clone().key(&["a", "bc", ""]),
        a.clone().key(&[]),
        a.clone().scope(Scope::Route),
        a.clone().scope(Scope::Entry),
        quota("n", 1, Period::Hour).key(&["a", "bc"]),
        rate_of(86_400_000),
        rate_of(3_600_000),
        concurrent("n", 1).key(&["a", "bc"]),
    ];
    let bench = Bench::new();
    let held: Vec<Charge> = others
        .iter()
        .map(|other| bench.charge(std::slice::from_ref(other), at(0)))
        .collect();
    assert!(held.iter().all(|charge| !charge.refused()));
    assert_eq!(bench.limiter.keys(), others.len());
    for other in others {
        assert!(!bench.passes(&[other], at(0)), "each is used up");
    }
}

#[test]
fn scopes_share_as_they_say() {
    let elsewhere = |entry, route| ScopeNames { entry, route };
    let places = [
        elsewhere("other", PLACE.route),
        elsewhere(PLACE.entry, "other"),
        elsewhere("other", "other"),
    ];
    let shared = |scope| {
        let one = [quota("n", 1, Period::Day).scope(scope)];
        places.map(|place| {
            let bench = Bench::new();
            assert!(bench.passes(&one, at(0)));
            let charge = bench.limiter.charge(place, &one, at(0));
            charge.unwrap_or_else(|bad| panic!("{bad}")).refused()
        })
    };
    assert_eq!(shared(Scope::Entry), [false, true, false]);
    assert_eq!(shared(Scope::Route), [true, false, false]);
    assert_eq!(shared(Scope::Gateway), [true, true, true]);
}

#[test]
fn idle_keys_go_as_others_come() {
    let bench = Bench::of(LIMIT_SHARD_KEYS_MIN);
    for key in 0..200 {
        let key = key.to_string();
        assert!(bench.passes(&[rate("n", 10, 1_000, 10).key(&[&key])], at(0)));
    }
    assert_eq!(bench.limiter.keys(), 200);
    for _ in 0..101 {
        assert!(bench.passes(&[quota("n", 1_000, Period::Day)], at(1_000)));
    }
    assert_eq!(bench.limiter.keys(), 1);
}

#[test]
fn a_sweep_takes_all_idle_keys_and_no_other() {
    let bench = Bench::new();
    let _held = bench.charge(&[concurrent("held", 5)], at(0));
    assert!(bench.passes(&[quota("hour", 5, Period::Hour)], at(0)));
    for key in 0..1_000 {
        let key = key.to_string();
        let limits = [
            rate("rate", 1, 1_000, 10).key(&[&key]),
            quota("minute", 5, Period::Minute).key(&[&key]),
        ];
        assert!(bench.passes(&limits, at(0)));
    }
    assert_eq!(bench.limiter.keys(), 2_002);
    bench.limiter.sweep(at(999));
    assert_eq!(bench.limiter.keys(), 2_002);
    bench.limiter.sweep(at(1_000));
    assert_eq!(bench.limiter.keys(), 1_002);
    bench.limiter.sweep(at(60_000));
    assert_eq!(bench.limiter.keys(), 2);
    assert_eq!(bench.left(&quota("hour", 5, Period::Hour), at(60_000)), 4);
    assert_eq!(bench.left(&concurrent("held", 5), at(60_000)), 4);
}

#[test]
fn there_are_never_more_keys_than_allowed() {
    for keys_max in [0, 1, 7, 300, 1_000, 20_000] {
        let bench = Bench::of(keys_max);
        for key in 0..3 * keys_max.max(10) {
            let key = key.to_string();
            assert!(bench.passes(&[quota("n", 1, Period::Year).key(&[&key])], at(0)));
        }
        let keys = bench.limiter.keys();
        assert!(keys <= keys_max.max(1), "{keys} of {keys_max}");
        assert!(keys >= keys_max * 9 / 10, "{keys} of {keys_max}");
    }
}

#[test]
fn a_new_key_displaces_the_one_nearest_to_idle() {
    let bench = Bench::of(3);
    let soon = rate("soon", 1, 1_000, 5);
    let limits = [
        soon.clone(),
        quota("hour", 5, Period::Hour),
        quota("day", 5, Period::Day),
    ];
    assert!(bench.passes(&limits, at(0)));
    assert!(bench.passes(&[quota("week", 5, Period::Week)], at(0)));
    let left = |limit| bench.left(&limit, at(0));
    assert_eq!(left(soon), 5, "it is gone");
    assert_eq!(left(quota("hour", 5, Period::Hour)), 4);
    assert_eq!(left(quota("day", 5, Period::Day)), 4);
    assert_eq!(left(quota("week", 5, Period::Week)), 4);
}

#[test]
fn a_flood_of_new_keys_does_not_free_an_exhausted_one() {
    let bench = Bench::of(200);
    let exhausted = |key: usize| quota("n", 5, Period::Day).key(&["used up", &key.to_string()]);
    assert!((0..5).all(|key| bench.passes(&[exhausted(key).cost(5)], at(0))));
    for key in 0..10_000 {
        let key = key.to_string();
        assert!(bench.passes(&[quota("n", 5, Period::Day).key(&[&key])], at(0)));
    }
    assert!((0..5).all(|key| bench.left(&exhausted(key), at(0)) == 0));
}

/// However long the flood's counters would last, and however full they are.
#[test]
fn a_flood_at_one_place_frees_no_exhausted_key_at_another() {
    let bench = Bench::of(1_000);
    let exhausted = |key: usize| {
        let quota = quota("n", 2, Period::Day).key(&["used up", &key.to_string()]);
        quota.scope(Scope::Entry)
    };
    assert!((0..5).all(|key| bench.passes(&[exhausted(key).cost(2)], at(0))));
    for key in 0..10_000 {
        let text = key.to_string();
        let flood = match key % 3 {
            0 => quota("m", 1, Period::Year).key(&[&text]),
            1 => quota("m", 10_000, Period::Month).key(&[&text]),
            _ => rate("m", 1, 1_000_000_000 + key, 1).key(&[&text]),
        };
        assert!(bench.passes(&[flood.scope(Scope::Route)], at(0)));
    }
    assert!((0..5).all(|key| bench.left(&exhausted(key), at(0)) == 0));
}

#[test]
fn a_key_that_is_held_is_never_displaced() {
    let bench = Bench::of(4);
    let hold = |key: &str| bench.charge(&[concurrent("n", 1).key(&[key])], at(0));
    let mut held: Vec<Charge> = ["a", "b", "c", "d"].map(hold).into();

    let new = rate("new", 1, 1_000, 5);
    assert_eq!(bench.ask(std::slice::from_ref(&new), at(0)), [(NoRoom, 5)]);
    assert!(!bench.passes(std::slice::from_ref(&new), at(0)));
    // A request under a count-only limit goes on uncounted.
    assert!(bench.passes(&[new.clone().count_only()], at(0)));
    assert!(hold("e").refused());
    for key in ["a", "b", "c", "d"] {
        assert!(hold(key).refused(), "{key} is still held");
    }
    held.pop();
    assert!(bench.passes(&[new], at(0)));
}

#[test]
fn the_limits_of_one_request_do_not_displace_each_other() {
    let bench = Bench::of(1);
    let both = [rate("a", 1, 1_000, 5), rate("b", 1, 1_000, 5)];
    assert_eq!(bench.ask(&both, at(0)), [(Within, 5), (NoRoom, 5)]);
    assert!(bench.passes(&both[..1], at(0)));
    assert!(bench.passes(&both[1..], at(0)));
}

#[test]
fn a_debt_without_room_is_dropped() {
    let bench = Bench::of(1);
    let mut charge = bench.charge(&[rate("a", 1, 1_000, 5).cost(0)], at(0));
    let held = bench.charge(&[concurrent("b", 1)], at(0));
    charge.settle("a", 3, at(0)).expect("a name");
    assert_eq!(bench.limiter.keys(), 1);
    drop(held);
    charge.settle("a", 3, at(0)).expect("a name");
    assert_eq!(bench.left(&rate("a", 1, 1_000, 5), at(0)), 2);
}
