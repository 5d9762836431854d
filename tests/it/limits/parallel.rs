//! Many requests at once: not one too many, and not one too few.

use std::io::Read;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use tollgate_tests::{Folder, Gateway, Origin, Step, ok};

use super::concurrent::wait_until_free;
use super::{concurrent, limited, quota, rate};

const CONNECTIONS: usize = 125;

/// Sends so many requests on each connection, all at once; answers how many passed.
fn flood(gateway: &Gateway, each: usize, head: impl Fn(usize, usize) -> String + Sync) -> usize {
    let (passed, start) = (AtomicUsize::new(0), Barrier::new(CONNECTIONS));
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (passed, start, head) = (&passed, &start, &head);
            scope.spawn(move || {
                let mut client = gateway.client();
                start.wait();
                for number in 0..each {
                    client.send(head(connection, number));
                    let response = client.read();
                    match response.status {
                        200 => passed.fetch_add(1, Ordering::Relaxed),
                        429 => 0,
                        _ => panic!("{response:?}"),
                    };
                }
            });
        }
    });
    passed.into_inner()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
}

#[test]
fn of_ten_thousand_requests_a_thousand_pass() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&limited(&folder, &origin, &quota("q", 1_000, "")).toml());
    let passed = flood(&gateway, 10_000 / CONNECTIONS, |_, _| get("/a", ""));
    assert_eq!(passed, 1_000);
    assert_eq!(origin.requests(), 1_000);
}

/// Several limits over several routes, in one counter each and in any order: none is charged alone.
#[test]
fn several_limits_stay_exact_together() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let user = quota("user", 30, "key = [\"header:x-user\"], scope = \"gateway\"");
    let all = quota("all", 500, "key = [\"literal:all\"], scope = \"gateway\"");
    let burst =
        rate("burst", 1, 366 * 24 * 3_600_000, 400).replace("{ name", "{ scope = \"route\", name");
    let scene = super::scene(&folder, &origin)
        .policy(
            "one",
            "limit",
            &format!("config.limits = [{user}, {all}, {burst}]"),
        )
        .policy(
            "two",
            "limit",
            &format!("config.limits = [{burst}, {all}, {user}]"),
        )
        .route("x", "/x", &["one"])
        .route("y", "/y", &["two"]);
    let gateway = Gateway::start(&scene.toml());
    // Five users by thirty are less than five hundred, and all of it is used up.
    let head = |connection: usize, number: usize| {
        let path = if (connection + number).is_multiple_of(2) {
            "/x"
        } else {
            "/y"
        };
        get(path, &format!("x-user: {}\r\n", connection % 5))
    };
    assert_eq!(flood(&gateway, 20, head), 150);
    // The others find what is left of it.
    let head = |connection: usize, number: usize| {
        let path = if (connection + number).is_multiple_of(2) {
            "/x"
        } else {
            "/y"
        };
        get(path, &format!("x-user: new-{}\r\n", connection % 25))
    };
    assert_eq!(flood(&gateway, 20, head), 350);
    assert_eq!(origin.requests(), 500);
}

/// Each request is charged, and its settlement gives all of it back: in the end nothing is used.
#[test]
fn settlements_at_once_lose_nothing() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = quota("q", 1_000_000, "cost = \"header:x-cost\"");
    let gateway = Gateway::start(&limited(&folder, &origin, &limits).toml());
    let head = |connection: usize, number: usize| {
        let cost = (connection * 7 + number) % 50;
        get(
            "/a",
            &format!("x-cost: {cost}\r\nx-settle: q={}\r\n", number % 3),
        )
    };
    let each = 12;
    assert_eq!(flood(&gateway, each, head), CONNECTIONS * each);
    let response = gateway.get_with("/a", &[("x-cost", "0")]);
    // A third each of 0, 1 and 2.
    assert_eq!(
        super::left(&response, "q"),
        (1_000_000 - CONNECTIONS * each) as u64
    );
}

/// However many come, no more are at the upstream at once than there are places, and in the end all
/// places are free.
#[test]
fn there_are_never_more_at_once_than_there_are_places() {
    let folder = Folder::new();
    let most = Arc::new(AtomicUsize::new(0));
    let (now, seen) = (AtomicUsize::new(0), Arc::clone(&most));
    let origin = Origin::raw(move |_| {
        let at_once = now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(at_once, Ordering::SeqCst);
        // Others get their turn to come.
        (0..50).for_each(|_| std::thread::yield_now());
        now.fetch_sub(1, Ordering::SeqCst);
        vec![Step::Send(ok("text/plain", "ok"))]
    });
    let gateway = Gateway::start(&limited(&folder, &origin, &concurrent("c", 5)).toml());
    let passed = flood(&gateway, 20, |_, _| get("/a", ""));
    assert_eq!(passed, origin.requests());
    let most = most.load(Ordering::SeqCst);
    assert!((1..=5).contains(&most), "{most} at once");
    wait_until_free(&gateway, "/a", "c", 4);
}

/// Clients that break off at any moment: before the head is sent, while the plugin runs, while the
/// upstream thinks, in the middle of the body.
#[test]
fn clients_that_break_off_at_any_moment_hold_nothing() {
    let folder = Folder::new();
    let origin = Origin::raw(|_| vec![Step::Send(ok("text/plain", vec![b'x'; 100_000]))]);
    let gateway = Gateway::start(&limited(&folder, &origin, &concurrent("c", 40)).toml());
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let gateway = &gateway;
            scope.spawn(move || {
                for number in 0..8 {
                    let mut client = gateway.client();
                    client.send(get("/a", ""));
                    let mut stream = client.stream();
                    let mut some = vec![0; (connection * number) % 7 * 1_000];
                    let _ = stream.read(&mut some);
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
    });
    wait_until_free(&gateway, "/a", "c", 39);
}
