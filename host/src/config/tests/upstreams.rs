//! `[upstreams]`.

use super::*;

#[test]
fn reads_upstreams() {
    let config = good();
    let upstream = &config.upstreams["pets"];
    let show = |one: &UpstreamServer| format!("{} {}", one.authority, one.weight);
    let servers: Vec<_> = upstream.servers.iter().map(show).collect();
    assert_eq!(servers, ["127.0.0.1:9001 1", "localhost:80 2", "[::1]:3 1"]);
    assert_eq!(upstream.timeouts.connect, Duration::from_secs(60));
    assert_eq!(upstream.timeouts.first_byte, Duration::from_millis(1_500));
    assert_eq!(upstream.timeouts.total, Duration::from_secs(60));
}

#[test]
fn servers() {
    added(
        "upstreams.v = { servers = [] }",
        "must have 1 to 256 servers",
    );
    for bad in [
        "u",
        "",
        "http://",
        "http://:80",
        "http:///",
        "http://a b",
        "http://[::1",
        "http://u#f",
        "http://%41",
        "http://u:0",
        "http://u:",
        "http://u:65536",
        "http://u:x",
        "http://u/a",
        "http://u?q",
        "http://u/?q",
        "ftp://u",
        "http://*.u",
        "unix:/x",
        "http://me@u",
    ] {
        replaced(
            "\"http://u\"",
            &format!("{bad:?}"),
            "`upstreams.u.servers[0]` must be a URL such as",
        );
    }
    replaced(
        "http://u",
        "https://u",
        "https is not supported yet, terminate TLS in front",
    );
}
