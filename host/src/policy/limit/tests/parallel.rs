//! Many threads at once count exactly.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::limits::limiter::LIMITS_MAX;

const THREADS: usize = 100;
const CHARGES: usize = 100;

/// Runs 10,000 charges, and counts those for which the job returns true.
fn count(job: impl Fn(usize) -> bool + Sync) -> usize {
    let start = Barrier::new(THREADS);
    let run = |thread: usize| {
        start.wait();
        (0..CHARGES).filter(|_| job(thread)).count()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a count"))
            .sum()
    })
}

#[test]
fn ten_thousand_requests_are_counted_exactly() {
    let bench = Bench::new();
    for one in [
        rate("rate", 1, 3_600_000, 6_000),
        quota("quota", 6_000, Period::Day),
    ] {
        let one = [one];
        assert_eq!(count(|_| bench.passes(&one, at(0))), 6_000);
        let wider = [quota("quota", 20_000, Period::Day)];
        if one[0].name == "quota" {
            assert_eq!(bench.left(&wider[0], at(0)), 14_000);
        }
    }
}

#[test]
fn several_limits_in_any_order_charge_all_or_none() {
    let bench = Bench::new();
    let limits = || {
        vec![
            rate("rate", 1, 3_600_000, 3_000),
            quota("quota", 7_000, Period::Day),
            concurrent("slots", 1_000),
            quota("watched", 20_000, Period::Day).count_only(),
        ]
    };
    let passed = count(|thread| {
        let mut limits = limits();
        limits.rotate_left(thread % 4);
        bench.passes(&limits, at(0))
    });
    assert_eq!(passed, 3_000);
    let left: Vec<u64> = limits().iter().map(|one| bench.left(one, at(0))).collect();
    assert_eq!(left, [0, 4_000, 1_000, 17_000]);
}

#[test]
fn never_more_are_held_than_allowed() {
    let bench = Bench::new();
    let slots = [concurrent("slots", 7)];
    let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
    count(|_| {
        let charge = bench.charge(&slots, at(0));
        if charge.refused() {
            return false;
        }
        let now = held.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        thread::yield_now();
        held.fetch_sub(1, Ordering::SeqCst);
        true
    });
    assert!(most.into_inner() <= 7);
    assert_eq!(bench.limiter.keys(), 0);
}

#[test]
fn charges_sweeps_and_displacement_do_not_stop_each_other() {
    let bench = Bench::of(500);
    count(|thread| {
        let keys = (thread..thread + 16).map(|key| {
            let key = (key * 7 % 40).to_string();
            rate(&key, 1, 1_000, 10)
        });
        let mut limits: Vec<Limit> = keys.collect();
        limits.push(concurrent("slots", 1_000_000));
        limits.truncate(LIMITS_MAX - 1);
        limits.push(concurrent("slots", 1_000_000));
        let time = at(thread as u64 * 10);
        let mut charge = bench.charge(&limits, time);
        charge.settle(&limits[0].name, 3, time).expect("a name");
        if thread.is_multiple_of(10) {
            bench.limiter.sweep(time);
        }
        !charge.refused()
    });
    assert!(bench.limiter.keys() <= 500);
    bench.limiter.sweep(at(60_000));
    assert_eq!(bench.limiter.keys(), 0);
}
