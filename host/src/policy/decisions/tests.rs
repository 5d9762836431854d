//! Functions of their reads stand in for plugins; time only passes when a test says so.

mod crowds;
mod model;

use super::*;
use crate::http::exchange::{Caller, Exchange};
use crate::http::facts::tests::exchange;
use crate::limits::decisions::{
    DECISION_BYTES_MAX, FACT_LISTS_DECLINED_MAX, FACT_LISTS_MAX, FACT_NAME_BYTES_MAX, FACTS_MAX,
    REMEMBER_MAX,
};

#[derive(Debug, PartialEq)]
struct Decided(String);

impl Weigh for Decided {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.0.capacity()
    }
}

const STORE: u64 = 1 << 20;
const MINUTE: Duration = Duration::from_secs(60);

fn memory() -> Memory<Decided> {
    Memory::new(&Decisions::new(STORE), Arc::from("policy"), REMEMBER_MAX)
}

fn header(name: &str) -> Fact {
    Fact::Header(name.to_owned())
}

fn decided(text: &str) -> Arc<Decided> {
    Arc::new(Decided(text.to_owned()))
}

/// The known decision on a request, if any; otherwise gives the turn to ask back.
async fn known(memory: &Memory<Decided>, exchange: &Exchange) -> Option<String> {
    match memory.recall(Facts::of(exchange)).await {
        Recalled::Known(decision) => Some(decision.0.clone()),
        Recalled::Ask(_) => None,
    }
}

async fn ask<'m>(memory: &'m Memory<Decided>, exchange: &Exchange) -> Asking<'m, Decided> {
    match memory.recall(Facts::of(exchange)).await {
        Recalled::Ask(asking) => asking,
        Recalled::Known(decision) => panic!("{decision:?} is known"),
    }
}

/// Asks, and remembers for a minute.
async fn teach(memory: &Memory<Decided>, exchange: &Exchange, reads: &[Fact], text: &str) {
    let _ = taught(memory, exchange, reads, text).await;
}

async fn taught(
    memory: &Memory<Decided>,
    exchange: &Exchange,
    reads: &[Fact],
    text: &str,
) -> Result<(), NotKept> {
    let asking = ask(memory, exchange).await;
    asking.learn(Facts::of(exchange), reads.to_vec(), MINUTE, &decided(text))
}

#[tokio::test(start_paused = true)]
async fn the_operators_bound_holds() {
    let (decisions, request) = (Decisions::new(STORE), exchange("/", &[]));
    let of = |at_most| Memory::new(&decisions, Arc::from("policy"), at_most);
    let memory = of(MINUTE / 2);
    teach(&memory, &request, &[Fact::Path], "1").await;
    tokio::time::advance(MINUTE / 2 - Duration::from_millis(1)).await;
    assert!(known(&memory, &request).await.is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(known(&memory, &request).await.is_none());

    let memory = of(Duration::ZERO);
    assert_eq!(memory.allowed(MINUTE), None);
    assert_eq!(taught(&memory, &request, &[Fact::Path], "1").await, Ok(()));
    assert!(known(&memory, &request).await.is_none());

    assert!(of(MINUTE).is_bounded_by(MINUTE) && !of(MINUTE).is_bounded_by(MINUTE / 2));
    assert!(of(Duration::MAX).is_bounded_by(REMEMBER_MAX));
}

#[tokio::test(start_paused = true)]
async fn equal_values_share_and_others_do_not() {
    type Lines = &'static [(&'static str, &'static str)];
    let known_request = exchange("/a?q=1", &[("x-key", "k"), ("x-other", "1")]);
    let cases: &[(&[Fact], &str, Lines, bool)] = &[
        // Values that were not read may differ.
        (&[header("x-key")], "/b?q=2", &[("x-key", "k")], true),
        (&[header("x-key")], "/a?q=1", &[("x-key", "l")], false),
        (&[header("x-key")], "/a?q=1", &[], false),
        (
            &[header("x-key")],
            "/a",
            &[("x-key", "k"), ("x-key", "l")],
            true,
        ),
        (
            &[Fact::HeaderValues("x-key".into())],
            "/a",
            &[("x-key", "k"), ("x-key", "l")],
            false,
        ),
        // A decision for one path is not one for another.
        (
            &[Fact::Path, header("x-key")],
            "/b",
            &[("x-key", "k")],
            false,
        ),
        (
            &[header("x-key"), Fact::Path],
            "/a",
            &[("x-key", "k")],
            true,
        ),
        (&[Fact::QueryParameter("q".into())], "/b?p=1&q=1", &[], true),
        (&[Fact::QueryParameter("q".into())], "/a", &[], false),
        (&[header("absent")], "/a", &[("x-key", "l")], true),
        (&[header("absent")], "/a", &[("absent", "")], false),
        (&[], "/anything", &[], true),
    ];
    for (index, (reads, target, lines, shared)) in cases.iter().enumerate() {
        let memory = memory();
        teach(&memory, &known_request, reads, "yes").await;
        assert_eq!(known(&memory, &known_request).await.as_deref(), Some("yes"));
        let other = exchange(target, lines);
        assert_eq!(
            known(&memory, &other).await.is_some(),
            *shared,
            "case {index}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn memories_share_nothing_but_their_bound() {
    let decisions = Decisions::new(STORE);
    let request = exchange("/", &[]);
    let before = Memory::new(&decisions, Arc::from("policy"), REMEMBER_MAX);
    teach(&before, &request, &[Fact::Path], "before").await;
    // Like a new configuration while the old one still serves.
    let after = Memory::new(&decisions, Arc::from("policy"), REMEMBER_MAX);
    assert_eq!(known(&after, &request).await, None);
    teach(&after, &request, &[Fact::Path], "after").await;
    assert_eq!(known(&before, &request).await.as_deref(), Some("before"));
    drop(before);
    assert_eq!(known(&after, &request).await.as_deref(), Some("after"));
}

#[tokio::test(start_paused = true)]
async fn decisions_expire_to_the_moment() {
    let memory = memory();
    let request = exchange("/", &[]);
    teach(&memory, &request, &[Fact::Path], "1").await;
    tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
    assert!(known(&memory, &request).await.is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(known(&memory, &request).await.is_none());

    let asking = ask(&memory, &request).await;
    let _ = asking.learn(
        Facts::of(&request),
        vec![Fact::Path],
        Duration::MAX,
        &decided("2"),
    );
    tokio::time::advance(REMEMBER_MAX - Duration::from_millis(1)).await;
    assert!(known(&memory, &request).await.is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(known(&memory, &request).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_the_visit_changed_is_not_what_the_plugin_saw() {
    let memory = memory();
    let reads = [Fact::OwnAttribute("n".into()), Fact::Principal];
    let mut after = exchange("/", &[]);
    let (plugin, policy) = (Arc::from("plugin"), Arc::from("policy"));
    after.attributes.set(&plugin, &policy, "n", "1").unwrap();
    after.caller = Some(Caller::default());
    let before = exchange("/", &[]);
    for known_then in [false, true] {
        let asking = ask(&memory, &before).await;
        let _ = asking.learn(Facts::of(&after), reads.to_vec(), MINUTE, &decided("first"));
        assert_eq!(known(&memory, &before).await.is_some(), known_then);
        assert_eq!(known(&memory, &after).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_is_bounded_in_bytes() {
    let decisions = Decisions::new(STORE);
    let memory = Memory::new(&decisions, Arc::from("policy"), REMEMBER_MAX);
    let text = "x".repeat(1_000);
    for path in 0..5_000 {
        let request = exchange(&format!("/{path}"), &[]);
        teach(&memory, &request, &[Fact::Path], &text).await;
        assert!(decisions.bytes() <= STORE);
    }
    assert!(decisions.bytes() > STORE / 2);

    let request = exchange("/large", &[]);
    let large = "x".repeat(DECISION_BYTES_MAX);
    let kept = taught(&memory, &request, &[Fact::Path], &large).await;
    assert!(matches!(kept, Err(NotKept::TooLarge { .. })));
    assert_eq!(known(&memory, &request).await, None);
}

#[tokio::test(start_paused = true)]
async fn lists_and_their_use_are_bounded() {
    let memory = memory();
    let request = exchange("/", &[]);
    for name in 0..FACT_LISTS_MAX {
        let reads = [header(&name.to_string())];
        // A new path, so that it is always asked anew.
        let asking = ask(&memory, &exchange("/", &[("0", &name.to_string())])).await;
        asking.decline(Some(reads.to_vec()));
    }
    assert_eq!(memory.lists.len(), FACT_LISTS_DECLINED_MAX);
    for name in 0..2 * FACT_LISTS_MAX {
        let Recalled::Ask(asking) = memory.recall(Facts::of(&request)).await else {
            break;
        };
        let reads = vec![header(&name.to_string()), Fact::Query];
        let _ = asking.learn(
            Facts::of(&request),
            reads,
            Duration::from_nanos(1),
            &decided("x"),
        );
        tokio::time::advance(Duration::from_nanos(1)).await;
    }
    assert_eq!(memory.lists.len(), FACT_LISTS_MAX);
    let kept = taught(&memory, &request, &[header("other")], "x").await;
    assert!(matches!(kept, Err(NotKept::TooManyLists { .. })));
    assert_eq!(known(&memory, &request).await, None);

    let memory = self::memory();
    let many = (0..=FACTS_MAX).map(|name| header(&name.to_string()));
    teach(&memory, &request, &many.collect::<Vec<_>>(), "x").await;
    let long = header(&"x".repeat(FACT_NAME_BYTES_MAX + 1));
    teach(&memory, &request, &[long], "x").await;
    assert_eq!(memory.lists.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_too_costly_to_hold_against_the_lists_is_asked_for() {
    let memory = memory();
    let plain = exchange("/", &[]);
    let reads = (0..FACTS_MAX).map(|name| Fact::QueryParameter(name.to_string()));
    teach(&memory, &plain, &reads.collect::<Vec<_>>(), "x").await;
    assert!(known(&memory, &plain).await.is_some());
    let costly = exchange(&format!("/?{}", "x".repeat(15_000)), &[]);
    let first = ask(&memory, &costly).await;
    let second = ask(&memory, &costly).await;
    second.decline(None);
    let _ = first.learn(Facts::of(&costly), vec![Fact::Path], MINUTE, &decided("y"));
    assert_eq!(memory.lists.len(), 1);
}
