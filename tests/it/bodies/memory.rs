//! How much memory the gateway takes (proc(5)).

use tollgate_tests::{Gateway, eventually};

fn status(gateway: &Gateway, name: &str) -> usize {
    let path = format!("/proc/{}/status", gateway.pid());
    let status = std::fs::read_to_string(path).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: usize = kib.and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

/// In bytes, at its most since the last of these calls. Where a kernel cannot forget that, since the start.
pub fn peak(gateway: &Gateway) -> usize {
    let peak = status(gateway, "VmHWM:");
    let _ = std::fs::write(format!("/proc/{}/clear_refs", gateway.pid()), "5");
    peak
}

/// In bytes, once it stays the same for a while.
pub fn settled(gateway: &Gateway) -> usize {
    let (mut last, mut same) = (0, 0);
    eventually("memory that stays the same", || {
        let now = status(gateway, "VmRSS:");
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == 100).then_some(now)
    })
}
