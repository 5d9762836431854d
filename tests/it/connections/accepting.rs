//! Connections that are not accepted yet wait in the kernel.

use std::net::TcpStream;
use std::time::Duration;

use tollgate_tests::{Gateway, Origin};

#[test]
fn many_connections_may_wait_to_be_accepted() {
    let kernels = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let kernels: usize = kernels
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(128);
    let origin = Origin::echo();
    let gateway = Gateway::start(&format!(
        r#"
[runtime]
connections = 1

[listeners.public]
address = "127.0.0.1:0"

[upstreams.origin]
servers = ["{}"]

[routes.all]
match = "/{{rest+}}"
upstream = "origin"
"#,
        origin.url()
    ));
    let mut first = gateway.client();
    assert_eq!(first.get("/first").status, 200);
    let address = gateway.address("public");
    let waiting: Vec<TcpStream> = (0..kernels.min(600))
        .map(|number| {
            // What finds the queue full is asked again after a second.
            TcpStream::connect_timeout(&address, Duration::from_millis(900))
                .unwrap_or_else(|error| panic!("connection {number}: {error}"))
        })
        .collect();
    drop(waiting);
    assert_eq!(first.get("/last").status, 200);
}
