//! Who leads a fetch may leave before its head has come: it goes on for those who wait.

use tollgate_tests::{Gate, Gateway, Origin, Response, Step, eventually};

use super::{FRESH, Slow, answer, assert_hit, cached, field, said, wait_for_requests};

const FOLLOWERS: usize = 10;

/// Answers when the gate is open, with these lines; to whom says so, at once.
fn held(gate: &Gate, lines: &'static str) -> Origin {
    let gate = gate.clone();
    Origin::raw(move |request| {
        let mut steps = vec![Step::Send(answer(lines, "whole"))];
        if field(request, "x-who") != "at once" {
            steps.insert(0, Step::WaitFor(gate.clone()));
        }
        steps
    })
}

/// A gateway that takes a client for gone as soon as that closes its side: those who wait are to be told of
/// it before one of them fetches, too, for having waited long.
fn start(origin: &Origin) -> Gateway {
    let listener = "[listeners.public]\n";
    let impatient = format!("{listener}half-closed = \"0s\"\n");
    let text = cached(origin).toml();
    assert!(text.contains(listener), "{text}");
    Gateway::start(&text.replace(listener, &impatient))
}

/// Leaves, and waits until the gateway has noticed.
#[track_caller]
fn leave(gateway: &Gateway, client: Slow) {
    let connections = || gateway.metric("tollgate_connections", &[]);
    let before = connections();
    drop(client);
    eventually("a connection less", || {
        (connections() < before).then_some(())
    });
}

/// Those who wait for a fetch whose leader, which sent these lines, has left.
#[track_caller]
fn left_by_leader(gateway: &Gateway, origin: &Origin, lines: &str) -> Vec<Slow> {
    let leader = Slow::get(gateway, "/a", lines);
    origin.request(0);
    let follow = |_| Slow::get(gateway, "/a", "");
    let others = (0..FOLLOWERS).map(follow).collect();
    wait_for_requests(gateway, 1 + FOLLOWERS);
    leave(gateway, leader);
    others
}

#[track_caller]
fn finish_whole(client: Slow) -> Response {
    let response = client.finish();
    assert_eq!((response.status, response.text()), (200, "whole".into()));
    response
}

#[test]
fn a_leader_that_leaves_before_the_head_takes_nothing_away() {
    let gate = Gate::new();
    let origin = held(&gate, FRESH);
    let gateway = start(&origin);
    let others = left_by_leader(&gateway, &origin, "");
    // One who comes later follows, too.
    let later = Slow::get(&gateway, "/a", "");
    wait_for_requests(&gateway, 2 + FOLLOWERS);
    gate.open();
    for other in others.into_iter().chain([later]) {
        let response = finish_whole(other);
        assert!(said(&response).contains("; collapsed"), "{response:?}");
    }
    assert_eq!(origin.requests(), 1);
    assert_hit(&gateway.get("/a"), "whole");
    let record = gateway.record(|record| record["complete"] == false);
    assert_eq!(record["failure"]["blame"], "client", "{record}");
    wait_for_requests(&gateway, 0);
}

/// What cannot be shared is fetched by each who waited.
#[test]
fn who_waited_for_what_is_not_shared_fetches_it() {
    let gate = Gate::new();
    let origin = held(&gate, "cache-control: no-store\r\n");
    let gateway = start(&origin);
    let others = left_by_leader(&gateway, &origin, "");
    gate.open();
    for other in others {
        finish_whole(other);
    }
    assert_eq!(origin.requests(), 1 + FOLLOWERS);
    wait_for_requests(&gateway, 0);
}

/// A fetch that nobody waits for ends: it holds no permit, and nobody joins it.
#[test]
fn when_all_have_left_the_fetch_ends() {
    let gate = Gate::new();
    let origin = held(&gate, FRESH);
    let gateway = start(&origin);
    let leader = Slow::get(&gateway, "/a", "");
    origin.request(0);
    let other = Slow::get(&gateway, "/a", "");
    wait_for_requests(&gateway, 2);
    leave(&gateway, leader);
    // It goes on, and counts.
    wait_for_requests(&gateway, 2);
    leave(&gateway, other);
    wait_for_requests(&gateway, 0);
    let next = gateway.get_with("/a", &[("x-who", "at once")]);
    assert_eq!((next.status, next.text()), (200, "whole".into()));
    assert_eq!(origin.requests(), 2);
    gate.open();
}

/// The upstream breaks off the fetch that its leader has left: one of those who wait leads next.
#[test]
fn a_fetch_that_was_left_and_fails_is_begun_anew_by_one() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |request| match field(request, "x-who").as_str() {
        "leader" => vec![Step::WaitFor(held.clone()), Step::Close],
        _ => vec![Step::Send(answer(FRESH, "whole"))],
    });
    let gateway = start(&origin);
    let others = left_by_leader(&gateway, &origin, "x-who: leader\r\n");
    gate.open();
    for other in others {
        finish_whole(other);
    }
    assert_eq!(origin.requests(), 2);
    wait_for_requests(&gateway, 0);
}
