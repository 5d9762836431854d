//! What the gateway says of what it did: the access log. `metrics` has the metrics and the admin
//! listener.

mod metrics;

use serde_json::{Value, json};
use tollgate_tests::{Gateway, Origin, Response, Step, dead_address, guest, ok};

/// The key whose hash stands in the configuration.
const KEY: &str = "wonderland";

fn gateway(origin: &Origin) -> Gateway {
    let toml = format!(
        r#"
[listeners.public]
address = "127.0.0.1:0"

[plugins.hostile]
wasm = "{guest}"

[policies.key]
plugin = "api-key"
config.consumers.alice.sha256 = ["a71a7c7011f53a1bab3642ec2ce12593f05230ace8de1e3e7645f69efac1443d"]

[policies.mark]
plugin = "headers"
config.request.set = {{ x-marked = "1" }}
config.response.set = {{ x-marked = "1" }}

[policies.trap]
plugin = "hostile"
config = {{ act = "trap" }}

[upstreams.origin]
servers = ["{url}"]

[upstreams.dead]
servers = ["http://{dead}"]

[routes.pet]
match = "GET,POST /pets/{{id}}"
chain = ["mark", "key"]
upstream = "origin"

[routes.dead]
match = "/dead"
chain = ["mark"]
upstream = "dead"

[routes.trap]
match = "/trap"
chain = ["mark", "trap"]
upstream = "origin"

[routes.plain]
match = "/plain"
upstream = "origin"
"#,
        guest = guest("guest_hostile").display(),
        url = origin.url(),
        dead = dead_address(),
    );
    Gateway::builder()
        .env("TOLLGATE_LOG", "info,tollgate=trace")
        .start(&toml)
}

/// The record of this answer, without what differs each time; that is checked here.
#[track_caller]
fn record(gateway: &Gateway, answer: &Response) -> Value {
    let id = answer.header("x-request-id").expect("an id");
    let mut record = gateway.record(|record| record["id"] == id);
    let fields = record.as_object_mut().expect("an object");
    fields.remove("id");
    let time = fields.remove("time").expect("a time");
    let time = time.as_str().expect("text");
    assert!(
        time.starts_with("20") && time.ends_with('Z') && time.contains('T'),
        "{time}"
    );
    let whole = fields
        .remove("us")
        .and_then(|us| us.as_u64())
        .expect("microseconds");
    let mut within = 0;
    for entry in fields["entries"].as_array_mut().expect("entries") {
        let entry = entry.as_object_mut().expect("an entry");
        within += entry
            .remove("us")
            .and_then(|us| us.as_u64())
            .expect("microseconds");
        entry.remove("cpu_us");
    }
    if let Some(upstream) = fields["upstream"].as_object_mut() {
        let first = upstream.remove("first_byte_us").and_then(|us| us.as_u64());
        within = within.max(first.expect("microseconds"));
    }
    assert!(within <= whole, "{within} us within {whole} us");
    record
}

#[test]
fn a_success_is_told_in_full() {
    let origin = Origin::raw(|_| vec![Step::Send(ok("text/plain", "a pet"))]);
    let gateway = gateway(&origin);
    let answer = gateway.request(format!(
        "POST /pets/7?page=2 HTTP/1.1\r\nhost: api.example\r\nx-api-key: {KEY}\r\ncontent-length: 3\r\n\r\nabc"
    ));
    assert_eq!(answer.status, 200);
    assert_eq!(
        record(&gateway, &answer),
        json!({
            "listener": "public", "client": "127.0.0.1", "method": "POST", "host": "api.example",
            "path": "/pets/7", "route": "pet", "principal": "alice", "status": 200,
            "bytes_in": 3, "bytes_out": 5, "complete": true,
            "entries": [
                { "policy": "mark", "side": "in", "verdict": "next" },
                { "policy": "key", "side": "in", "verdict": "allow" },
                { "policy": "mark", "side": "out", "verdict": "next" },
            ],
            "upstream": { "name": "origin", "server": origin.address().to_string(), "status": 200 },
        })
    );
}

#[test]
fn what_ends_early_is_told_with_whom_to_blame() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let common = |path: &str, route: Option<&str>, status: u16, bytes: usize| {
        json!({
            "listener": "public", "client": "127.0.0.1", "method": "GET", "host": "test.example",
            "path": path, "route": route, "status": status, "bytes_in": 0, "bytes_out": bytes,
            "complete": true, "entries": [], "upstream": null,
        })
    };
    let mark = |side: &str| json!({ "policy": "mark", "side": side, "verdict": "next" });

    let denied = gateway.get("/pets/7");
    let mut expected = common("/pets/7", Some("pet"), 401, denied.body.len());
    let deny = json!({ "policy": "key", "side": "in", "verdict": "deny" });
    expected["entries"] = json!([mark("in"), deny, mark("out")]);
    assert_eq!(record(&gateway, &denied), expected);

    let dead = gateway.get("/dead");
    let mut seen = record(&gateway, &dead);
    let detail = seen["failure"]["detail"].take();
    assert!(
        detail.as_str().is_some_and(|text| text.contains("refused")),
        "{detail}"
    );
    let mut expected = common("/dead", Some("dead"), 502, dead.body.len());
    expected["entries"] = json!([mark("in"), mark("out")]);
    expected["failure"] = json!({ "blame": "upstream", "kind": "unreachable", "detail": null });
    assert_eq!(seen, expected);

    let trapped = gateway.get("/trap");
    let mut seen = record(&gateway, &trapped);
    let detail = seen["failure"]["detail"].take();
    assert!(
        detail
            .as_str()
            .is_some_and(|text| text.starts_with("trap: trap: ")),
        "{detail}"
    );
    let mut expected = common("/trap", Some("trap"), 500, trapped.body.len());
    // Its other hook had let the request in.
    expected["principal"] = json!("hostile");
    let fault = json!({ "policy": "trap", "side": "in", "verdict": "fault", "fault": "trap" });
    expected["entries"] = json!([mark("in"), fault, mark("out")]);
    expected["failure"] = json!({ "blame": "plugin", "kind": "plugin-fault", "detail": null });
    assert_eq!(seen, expected);

    // A refusal before any route has a host too.
    for (path, status, kind) in [
        ("/nowhere", 404, "no-route"),
        ("/a/../b", 400, "bad-request"),
    ] {
        let answer = gateway.get(path);
        let mut seen = record(&gateway, &answer);
        seen["failure"]["detail"].take();
        let mut expected = common(path, None, status, answer.body.len());
        expected["failure"] = json!({ "blame": "client", "kind": kind, "detail": null });
        assert_eq!(seen, expected);
    }
    let answer = gateway.request("PUT /pets/7 HTTP/1.1\r\nhost: test.example\r\n\r\n");
    assert_eq!(
        record(&gateway, &answer)["failure"]["kind"],
        "method-not-allowed"
    );
}

#[test]
fn queries_and_keys_stay_out_of_the_logs() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    for path in ["/plain", "/pets/1", "/dead", "/trap", "/nowhere", "/a/../b"] {
        let headers = [
            ("x-api-key", "t0psecret"),
            ("authorization", "Bearer t0psecret"),
        ];
        gateway.get_with(&format!("{path}?key=t0psecret"), &headers);
        gateway.record(|record| record["path"] == path);
    }
    gateway.request("GET /\u{1}?key=t0psecret HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(
        !gateway.stdout().contains("t0psecret"),
        "{}",
        gateway.stdout()
    );
    assert!(
        !gateway.stderr().contains("t0psecret"),
        "{}",
        gateway.stderr()
    );
}
