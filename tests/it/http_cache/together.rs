//! Many requests for one thing are one fetch, from which all of them stream.

use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{Gate, Gateway, Origin, Response, Step, eventually};

use super::{FRESH, Slow, answer, ask, assert_hit, cached, field, said, wait_for_requests};

const CLIENTS: usize = 50;
const FIRST: &str = "the first half,";
const REST: &str = " and the rest";

/// Waits at the first gate, sends the head and a half, waits at the second, and sends the rest.
fn halved(before: &Gate, between: &Gate, framing: Framing) -> Origin {
    let (before, between) = (before.clone(), between.clone());
    Origin::raw(move |_| {
        let length = FIRST.len() + REST.len();
        let (head, rest) = match framing {
            Framing::Length => (
                format!("content-length: {length}\r\n\r\n{FIRST}"),
                REST.to_owned(),
            ),
            Framing::Chunks => (
                format!(
                    "transfer-encoding: chunked\r\n\r\n{:x}\r\n{FIRST}\r\n",
                    FIRST.len()
                ),
                format!("{:x}\r\n{REST}\r\n0\r\n\r\n", REST.len()),
            ),
        };
        vec![
            Step::WaitFor(before.clone()),
            Step::Send(format!("HTTP/1.1 200 OK\r\n{FRESH}{head}").into_bytes()),
            Step::WaitFor(between.clone()),
            Step::Send(rest.into_bytes()),
        ]
    })
}

#[derive(Clone, Copy)]
enum Framing {
    Length,
    Chunks,
}

impl Framing {
    /// What a client has read last when it has the first half.
    fn first_half(self) -> String {
        match self {
            Framing::Length => FIRST.to_owned(),
            Framing::Chunks => format!("{FIRST}\r\n"),
        }
    }
}

#[track_caller]
fn assert_whole(response: &Response) {
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.complete, "{response:?}");
    assert_eq!(response.text(), format!("{FIRST}{REST}"));
}

#[test]
fn concurrent_misses_are_one_fetch_that_streams() {
    for framing in [Framing::Length, Framing::Chunks] {
        let (before, between) = (Gate::new(), Gate::new());
        let origin = halved(&before, &between, framing);
        let gateway = Gateway::start(&cached(&origin).toml());
        let get = |_| Slow::get(&gateway, "/a", "");
        let mut clients: Vec<Slow> = (0..CLIENTS).map(get).collect();
        wait_for_requests(&gateway, CLIENTS);
        before.open();
        let half = framing.first_half();
        clients.iter_mut().for_each(|client| client.read_to(&half));
        // Those who come while it grows read along from its beginning.
        let mut late = Slow::get(&gateway, "/a", "");
        late.read_to(&half);
        between.open();
        let mut collapsed = 0;
        for client in clients.into_iter().chain([late]) {
            let response = client.finish();
            assert_whole(&response);
            collapsed += usize::from(said(&response).contains("; collapsed"));
        }
        assert_eq!(origin.requests(), 1);
        assert_eq!(collapsed, CLIENTS);
        let counted = gateway.metric("tollgate_cache_collapsed_total", &[]);
        assert_eq!(counted, CLIENTS as f64);
        assert_hit(&gateway.get("/a"), &format!("{FIRST}{REST}"));
    }
}

/// The gateway has noticed that a client left.
#[track_caller]
fn wait_for_the_leaver(gateway: &Gateway) {
    gateway.record(|record| record["complete"] == false);
}

#[test]
fn a_leader_that_leaves_in_the_middle_takes_nothing_away() {
    for framing in [Framing::Length, Framing::Chunks] {
        let (before, between) = (Gate::new(), Gate::new());
        before.open();
        let origin = halved(&before, &between, framing);
        let gateway = Gateway::start(&cached(&origin).toml());
        let mut leader = Slow::get(&gateway, "/a", "");
        leader.read_to(&framing.first_half());
        let get = |_| Slow::get(&gateway, "/a", "");
        let mut others: Vec<Slow> = (0..10).map(get).collect();
        for other in &mut others {
            other.read_to(&framing.first_half());
        }
        drop(leader);
        wait_for_the_leaver(&gateway);
        let later = Slow::get(&gateway, "/a", "");
        between.open();
        for other in others.into_iter().chain([later]) {
            assert_whole(&other.finish());
        }
        assert_eq!(origin.requests(), 1);
        let hit = gateway.get("/a");
        assert_hit(&hit, &format!("{FIRST}{REST}"));
    }
}

/// Where nobody reads any more, what comes is stored nevertheless.
#[test]
fn a_fetch_goes_on_when_all_have_left() {
    let (before, between) = (Gate::new(), Gate::new());
    before.open();
    let origin = halved(&before, &between, Framing::Length);
    let gateway = Gateway::start(&cached(&origin).toml());
    let mut leader = Slow::get(&gateway, "/a", "");
    leader.read_to(FIRST);
    drop(leader);
    wait_for_the_leaver(&gateway);
    between.open();
    eventually("what is stored", || {
        (gateway.metric("tollgate_cache_keys", &[]) == 1.0).then_some(())
    });
    assert_hit(&gateway.get("/a"), &format!("{FIRST}{REST}"));
    assert_eq!(origin.requests(), 1);
}

#[test]
fn what_is_for_one_alone_is_fetched_by_each() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |request| {
        let who = field(request, "x-who");
        let answer = answer("cache-control: private, max-age=600\r\n", &who);
        vec![Step::WaitFor(held.clone()), Step::Send(answer)]
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    let get = |who: usize| Slow::get(&gateway, "/a", &format!("x-who: {who}\r\n"));
    let clients: Vec<Slow> = (0..20).map(get).collect();
    wait_for_requests(&gateway, 20);
    gate.open();
    for (who, client) in clients.into_iter().enumerate() {
        let response = client.finish();
        assert_eq!((response.status, response.text()), (200, who.to_string()));
        assert!(!said(&response).contains("collapsed"), "{response:?}");
    }
    assert_eq!(origin.requests(), 20);
    assert_eq!(gateway.metric("tollgate_cache_keys", &[]), 0.0);
}

/// A key whose answers are known to be for one alone makes nobody wait for another.
#[test]
fn who_would_wait_in_vain_does_not_wait() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |request| {
        let who = field(request, "x-who");
        let mut steps = vec![Step::Send(answer("cache-control: no-store\r\n", &who))];
        if who == "held" {
            steps.insert(0, Step::WaitFor(held.clone()));
        }
        steps
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_eq!(gateway.get("/a").status, 200);
    let slow = Slow::get(&gateway, "/a", "x-who: held\r\n");
    origin.request(1);
    for who in ["1", "2", "3"] {
        assert_eq!(gateway.get_with("/a", &[("x-who", who)]).text(), who);
    }
    gate.open();
    assert_eq!(slow.finish().text(), "held");
}

/// Variants under concurrency: nobody gets what another's header asked for.
#[test]
fn variants_do_not_mix_under_concurrency() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |request| {
        let lines = format!("{FRESH}vary: accept-language\r\n");
        let answer = answer(&lines, &field(request, "accept-language"));
        vec![Step::WaitFor(held.clone()), Step::Send(answer)]
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    let language = |number: usize| ["de", "en", "fr"][number % 3];
    let get = |number| {
        let line = format!("accept-language: {}\r\n", language(number));
        Slow::get(&gateway, "/a", &line)
    };
    let clients: Vec<Slow> = (0..30).map(get).collect();
    wait_for_requests(&gateway, 30);
    gate.open();
    for (number, client) in clients.into_iter().enumerate() {
        assert_eq!(client.finish().text(), language(number));
    }
    let requests = origin.requests();
    assert!(requests >= 3, "{requests}");
    for number in 0..3 {
        let hit = gateway.get_with("/a", &[("accept-language", language(number))]);
        assert_hit(&hit, language(number));
    }
}

/// A fetch that began before a change is not what is stored after it, and nobody who comes after the
/// change waits for it.
#[test]
fn a_change_in_the_middle_makes_a_fetch_obsolete() {
    for purge in [false, true] {
        let (before, count) = (Gate::new(), AtomicUsize::new(0));
        let held = before.clone();
        let origin = Origin::raw(move |request| {
            if request.method == "POST" {
                return vec![Step::Send(answer("", "changed"))];
            }
            match count.fetch_add(1, Ordering::SeqCst) {
                0 => vec![
                    Step::WaitFor(held.clone()),
                    Step::Send(answer(FRESH, "before")),
                ],
                _ => vec![Step::Send(answer(FRESH, "after"))],
            }
        });
        let gateway = Gateway::start(&cached(&origin).toml());
        let early = Slow::get(&gateway, "/a", "");
        origin.request(0);
        if purge {
            let head = "DELETE /cache?all HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            assert_eq!(gateway.request_to("admin", head).status, 200);
        } else {
            assert_eq!(ask(&gateway, "POST", "test.example", "/a").status, 200);
        }
        // The first fetch still waits.
        assert_eq!(gateway.get("/a").text(), "after", "purge: {purge}");
        before.open();
        assert_eq!(early.finish().text(), "before");
        assert_hit(&gateway.get("/a"), "after");
    }
}

/// One who stops reading holds up its own answer, and not that of others.
#[test]
fn a_client_that_stops_reading_does_not_hold_up_others() {
    const LENGTH: u64 = 64 << 20;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\n{FRESH}transfer-encoding: chunked\r\n\r\n");
        vec![
            Step::WaitFor(held.clone()),
            Step::Send(format!("{head}{LENGTH:x}\r\n").into_bytes()),
            Step::Flood(LENGTH),
            Step::Send(b"\r\n0\r\n\r\n".to_vec()),
        ]
    });
    let store = "[store]\ncache = \"1MiB\"\ncache-entry = \"64KiB\"";
    let gateway = Gateway::start(&cached(&origin).with(store).toml());
    let stopped = Slow::get(&gateway, "/a", "");
    origin.request(0);
    let other = Slow::get(&gateway, "/a", "");
    wait_for_requests(&gateway, 2);
    gate.open();
    let response = other.finish();
    assert!(response.complete, "{} bytes came", response.body.len());
    assert_eq!(response.body.len() as u64, LENGTH);
    drop(stopped);
}

/// Where answers are for one alone, the client's own condition and range are the origin's to meet.
#[test]
fn conditions_of_one_alone_go_through() {
    let origin = Origin::raw(|request| {
        let private = "cache-control: private\r\netag: \"1\"\r\n";
        let bytes = if field(request, "if-none-match") == "\"1\"" {
            format!("HTTP/1.1 304 Not Modified\r\n{private}\r\n").into_bytes()
        } else if field(request, "range") == "bytes=0-1" {
            let range = "content-range: bytes 0-1/5\r\ncontent-length: 2\r\n";
            format!("HTTP/1.1 206 Partial Content\r\n{private}{range}\r\nwh").into_bytes()
        } else {
            answer(private, "whole")
        };
        vec![Step::Send(bytes)]
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_eq!(gateway.get("/a").text(), "whole");
    let own = gateway.get_with("/a", &[("if-none-match", "\"1\"")]);
    assert_eq!((own.status, own.text()), (304, String::new()));
    let part = gateway.get_with("/a", &[("range", "bytes=0-1")]);
    assert_eq!((part.status, part.text()), (206, "wh".into()));
    assert_eq!(part.headers("content-range"), ["bytes 0-1/5"]);
    assert_eq!(gateway.get("/a").text(), "whole");
    assert_eq!(origin.requests(), 4);
}
