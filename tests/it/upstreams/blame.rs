//! Whose time and whose fault it was.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tollgate_tests::{Gateway, Origin, Step, ok};

use super::{PATIENT, gateway, pass, quoted};

/// Of the time that a request takes, the upstream's is what it had the request for.
#[test]
fn the_time_of_an_upstream_is_its_own() {
    const SLOW: Duration = Duration::from_millis(300);
    let service = Origin::raw(|_| {
        let head = "HTTP/1.1 200 OK\r\nx-user: alice\r\ncontent-length: 0\r\n\r\n";
        vec![Step::Wait(SLOW), Step::Send(head.into())]
    });
    let origin = Origin::raw(|request| match request.target.as_str() {
        "/slow" => vec![Step::Wait(SLOW), Step::Send(ok("text/plain", ""))],
        _ => vec![Step::Send(ok("text/plain", ""))],
    });
    let gateway = Gateway::start(&format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[plugins.ext-auth]
grant = {{ fetch = ["service"] }}
limits = {{ cpu = "5s", wall = "20s" }}

[policies.slow]
plugin = "ext-auth"
config = {{ upstream = "service", path = "/", principal = {{ header = "x-user" }}, timeout = "10s" }}

[upstreams.service]
servers = ["{}"]

[upstreams.origin]
servers = ["{}"]

[routes.guarded]
match = "/guarded"
chain = ["slow"]
upstream = "origin"

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        service.url(),
        origin.url()
    ));
    let slow = u64::try_from(SLOW.as_micros()).expect("some microseconds");
    let times = |path: &str| {
        let record = gateway.record(|record| record["path"] == path);
        let first = record["upstream"]["first_byte_us"].as_u64();
        let all = record["us"].as_u64().expect("a time");
        (first.expect("a time"), all)
    };
    assert_eq!(gateway.get("/guarded").status, 200);
    let (first, all) = times("/guarded");
    assert!(
        first + slow <= all,
        "{first} us of {all}, {slow} of them before"
    );
    assert_eq!(gateway.get("/slow").status, 200);
    let (first, all) = times("/slow");
    assert!(first >= slow && first <= all, "{first} us of {all}");
    // Nor is a client slow on the upstream's account.
    let mut client = gateway.client();
    client.send("POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na");
    pass(SLOW);
    client.send_more("b");
    assert_eq!(client.read().status, 200);
    let (first, all) = times("/upload");
    // The gateway's time begins when it reads the head, which may be a little after it was sent.
    assert!(
        first + slow / 2 <= all,
        "{first} us of {all}, {slow} of them before"
    );
}

/// A gateway that has no descriptor left says so, and blames no upstream.
#[test]
fn own_want_of_descriptors_is_no_fault_of_the_upstreams() {
    let origin = Origin::echo();
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let mut client = gateway.client();
    // Accepted, and refused before it comes to an upstream.
    client.send("TRACE /first HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.read().status, 501);
    let folder = format!("/proc/{}/fd", gateway.pid());
    let open: Vec<u64> = std::fs::read_dir(folder)
        .expect("a process")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let free = (0..).find(|number| !open.contains(number));
    let pid = i32::try_from(gateway.pid()).ok().and_then(Pid::from_raw);
    let limit = |current| Rlimit {
        current,
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(pid, Resource::Nofile, limit(free)).expect("a limit");
    let answer = client.get("/p");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    let record = gateway.record(|record| record["path"] == "/p");
    assert_eq!(record["failure"]["blame"], "gateway", "{record}");
    assert_eq!(record["failure"]["kind"], "exhausted", "{record}");
    gateway.wait_for_log("no socket for a connection to");
    prlimit(pid, Resource::Nofile, before).expect("a limit");
    assert_eq!(client.get("/p").status, 200);
}
