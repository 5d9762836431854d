//! What a client's connection does beside carrying messages: bytes that are none, floods, ends.

mod accepting;
mod chunks;
mod ends;
mod floods;
mod following;
mod heads;
mod slow;

use tollgate_tests::{Gateway, Origin};

/// A gateway with one thread, which sends everything but `/refused` to one origin.
fn gateway(origin: &Origin, listener: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
[runtime]
workers = 1

[listeners.public]
address = "127.0.0.1:0"
{listener}

[upstreams.origin]
servers = ["{}"]
timeouts = {{ connect = "1s", first-byte = "20s", total = "60s" }}

[routes.all]
match = "/{{rest+}}"
upstream = "origin"

[routes.refused]
match = "/refused"
respond = {{ status = 403, body = "no" }}
"#,
        origin.url()
    ))
}
