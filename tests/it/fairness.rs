//! A plugin that loops does not hold up its neighbours, even with one thread for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::{Client, Gateway, Origin, Step, guest, ok};

/// How often the runtime looks after a running guest: `limits::EPOCH_TICK`.
const TICK: Duration = Duration::from_millis(1);
const ROUND: Duration = Duration::from_millis(2_000);
/// A busy machine disturbs a round, or all but one. A runtime without fairness never meets the bound:
/// each loop takes ten ticks.
const ROUNDS: u32 = 20;

/// Asks at this pace for the time of a round, and gives the number of answers and the slowest. Each
/// must have this status.
fn paced(client: &mut Client, path: &str, pace: Duration, status: u16) -> (u32, Duration) {
    let (started, mut count, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while started.elapsed() < ROUND {
        std::thread::sleep((pace * count).saturating_sub(started.elapsed()));
        let asked = Instant::now();
        let answer = client.get(path);
        slowest = slowest.max(asked.elapsed());
        assert_eq!(
            (answer.status, answer.complete),
            (status, true),
            "{path} {count}"
        );
        count += 1;
    }
    (count, slowest)
}

/// One worker thread; `/a` loops in its chain for ten milliseconds, `/b` has no chain.
fn looping(origin: &Origin, wall: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
[runtime]
workers = 1

[listeners.public]
address = "127.0.0.1:0"

[plugins.hostile]
wasm = "{}"
limits = {{ cpu = "10ms", wall = "{wall}" }}

[policies.loop]
plugin = "hostile"
config = {{ act = "loop" }}

[upstreams.origin]
servers = ["{}"]

[routes.a]
match = "/a"
chain = ["loop"]
upstream = "origin"

[routes.b]
match = "/b"
upstream = "origin"

"#,
        guest("guest_hostile").display(),
        origin.url(),
    ))
}

#[test]
fn a_loop_costs_its_neighbours_three_ticks_at_most() {
    let origin = Origin::raw(|_| vec![Step::Send(ok("text/plain", "b"))]);
    let gateway = looping(&origin, "1s");
    let (mut a, mut b) = (gateway.client(), gateway.client());
    let (mut loops, mut rounds) = (0, Vec::new());
    // The machine's own hiccups are rare: what they cost without the loops is what all rounds saw.
    let mut slowest_alone = Duration::ZERO;
    let met = (0..ROUNDS).any(|round| {
        let (_, alone) = paced(&mut b, "/b", Duration::from_millis(5), 200);
        let beside = std::thread::scope(|scope| {
            let looping = scope.spawn(|| paced(&mut a, "/a", Duration::from_millis(50), 500).0);
            // Both paces are multiples of one another, so without a shift each loop would meet the
            // same moment of a neighbour's request in every round.
            std::thread::sleep(round * TICK / 2);
            let (count, slowest) = paced(&mut b, "/b", Duration::from_millis(5), 200);
            loops += looping.join().expect("every loop is answered");
            // Nearly every one of the 400 was asked in its time.
            assert!(count >= 300, "only {count} requests in {ROUND:?}");
            slowest
        });
        rounds.push((alone, beside));
        slowest_alone = slowest_alone.max(alone);
        beside <= slowest_alone + 3 * TICK
    });
    eprintln!("slowest without and with the loops: {rounds:?}");
    assert!(met, "slowest without and with the loops: {rounds:?}");

    // What looped was stopped for its processor time, each time, and nothing else was.
    let faults = |labels: &[(&str, &str)]| gateway.metric("tollgate_plugin_faults_total", labels);
    assert_eq!(faults(&[("route", "a"), ("kind", "cpu")]), f64::from(loops));
    assert_eq!(faults(&[]), f64::from(loops));
    for record in gateway
        .records()
        .iter()
        .filter(|record| record["route"] == "a")
    {
        let entry = &record["entries"][0];
        assert_eq!(
            (&entry["verdict"], &entry["fault"]),
            (&"fault".into(), &"cpu".into())
        );
        assert_eq!(record["failure"]["blame"], "plugin");
        let spent = entry["us"].as_u64().expect("microseconds");
        assert!(spent >= 10_000, "{record}");
    }
}

/// Many loops at once, on the one thread: each is answered, and others in between.
#[test]
fn loops_at_once_are_all_stopped() {
    let origin = Origin::raw(|_| vec![Step::Send(ok("text/plain", "b"))]);
    let gateway = looping(&origin, "20s");
    let done = Arc::new(AtomicBool::new(false));
    let between = std::thread::scope(|scope| {
        let asking = scope.spawn({
            let (done, mut client) = (Arc::clone(&done), gateway.client());
            move || {
                let mut count = 0;
                while !done.load(Ordering::SeqCst) {
                    assert_eq!(client.get("/b").status, 200);
                    count += 1;
                }
                count
            }
        });
        let mut clients: Vec<Client> = (0..32).map(|_| gateway.client()).collect();
        for client in &mut clients {
            client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.read().status, 500);
        }
        done.store(true, Ordering::SeqCst);
        asking.join().expect("the neighbour")
    });
    assert!(between > 1, "{between} answers in between");
    let faults = [("kind", "cpu"), ("route", "a")];
    assert_eq!(
        gateway.metric("tollgate_plugin_faults_total", &faults),
        32.0
    );
}
