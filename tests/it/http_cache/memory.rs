//! What the cache is counted as is what the process holds.

use tollgate_tests::{Client, Gateway, Origin, Step};

use super::{FRESH, answer, cached};

const STORE: &str = "[store]\ncache = \"16MiB\"";
/// The store's bound.
const BOUND: u64 = 16 << 20;
/// What the allocator keeps of what was given back, and connections of what they read, at most.
const SLACK: u64 = 24 << 20;

/// Bytes of the process that are in memory.
fn resident(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid()));
    let status = status.expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("VmRSS") << 10
}

/// Answers `/large/BYTES` with so many bytes for one alone, and what is else with a KiB: `/small/...` for
/// all, `/warm/...` for one.
fn of_all_sizes() -> Origin {
    Origin::raw(|request| {
        let mut parts = request.target.split('/').skip(1);
        let (kind, rest) = (parts.next(), parts.next().unwrap_or_default());
        let bytes = match kind {
            Some("large") => {
                let length: u64 = rest.parse().expect("a size");
                let head = "HTTP/1.1 200 OK\r\ncache-control: no-store\r\n";
                let head = format!("{head}content-length: {length}\r\n\r\n");
                return vec![Step::Send(head.into_bytes()), Step::Flood(length)];
            }
            Some("small") => answer(FRESH, &"x".repeat(1024)),
            _ => answer("cache-control: no-store\r\n", &"x".repeat(1024)),
        };
        vec![Step::Send(bytes)]
    })
}

/// Asks for small things, each after a large one, on one connection.
fn ask_in_turn(client: &mut Client, small: &str, times: usize, size: usize) {
    for number in 0..times {
        let large = client.get(&format!("/large/{size}"));
        assert_eq!(large.body.len(), size);
        let small = client.get(&format!("/{small}/{size}/{number}"));
        assert_eq!(small.body.len(), 1024);
    }
}

/// Response heads are slices of the upstream connection's buffer, and large bodies make that large. What
/// is stored must not hold it.
#[test]
fn small_responses_beside_large_ones_hold_what_they_are_counted_as() {
    const SIZES: [(usize, usize); 5] = [
        (1 << 10, 300),
        (20 << 10, 300),
        (100 << 10, 300),
        (1 << 20, 200),
        (4 << 20, 100),
    ];
    let origin = of_all_sizes();
    let gateway = Gateway::start(&cached(&origin).with(STORE).toml());
    let mut client = gateway.client();
    for (size, _) in SIZES {
        ask_in_turn(&mut client, "warm", 10, size);
    }
    let before = resident(&gateway);
    for (size, times) in SIZES {
        ask_in_turn(&mut client, "small", times, size);
        let (now, counted) = (resident(&gateway), stored(&gateway));
        assert!(
            now <= before + counted + SLACK,
            "beside bodies of {size} bytes: {counted} bytes are counted, and {now} resident; before \
             {before}"
        );
    }
}

/// Also where the store is full, and what is old makes room.
#[test]
fn a_full_store_holds_what_it_may() {
    let origin = of_all_sizes();
    let gateway = Gateway::start(&cached(&origin).with(STORE).toml());
    let mut client = gateway.client();
    ask_in_turn(&mut client, "warm", 300, 1 << 10);
    let before = resident(&gateway);
    for number in 0..12_000 {
        assert_eq!(client.get(&format!("/small/{number}")).status, 200);
    }
    let (now, counted) = (resident(&gateway), stored(&gateway));
    assert!(counted <= BOUND && counted > BOUND / 8 * 7, "{counted}");
    assert!(
        now <= before + BOUND + SLACK,
        "{counted} bytes are counted, and {now} resident; before {before}"
    );
}

fn stored(gateway: &Gateway) -> u64 {
    gateway.metric("tollgate_cache_stored_bytes", &[]) as u64
}
