//! Limits on concurrency: a place is held from the limiter until the response's body has ended, however
//! it ends.

use std::io::Write;
use std::net::Shutdown;

use tollgate_tests::{Client, Folder, Gate, Gateway, Origin, Step, dead_address, eventually, ok};

use super::{concurrent, left, limited, scene};
use crate::kinds::{PATIENT, kinds, transformer};
use crate::scene::Scene;

/// Asks until so many places are left beside that of the request itself. Such a request holds one
/// only for its own time.
#[track_caller]
pub fn wait_until_free(gateway: &Gateway, path: &str, name: &str, places: u64) {
    eventually(&format!("{places} free places of `{name}`"), || {
        let response = gateway.get(path);
        (response.status == 200 && left(&response, name) == places).then_some(())
    });
}

/// The head and the beginning of a body of 100 bytes.
fn beginning() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789".to_vec()
}

/// Does at each path what it is named for, and answers `/fast` at once.
fn upstream(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::early(move |request| {
        let wait = || Step::WaitFor(gate.clone());
        match request.target.as_str() {
            "/held" => vec![Step::Send(beginning()), wait(), Step::Send(vec![b'x'; 90])],
            "/chunks" => {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
                vec![
                    Step::Send(head.to_vec()),
                    wait(),
                    Step::Send(b"0\r\n\r\n".to_vec()),
                ]
            }
            "/thinks" => vec![wait(), Step::Send(ok("text/plain", "ok"))],
            "/dies" => vec![Step::Send(beginning()), wait(), Step::Reset],
            "/closes" => vec![Step::Send(beginning()), wait(), Step::Close],
            "/endless" => vec![Step::Send(beginning()), wait()],
            "/204" => vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
            "/304" => {
                let head = b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n";
                vec![Step::Send(head.to_vec())]
            }
            "/head" => vec![Step::Send(
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec(),
            )],
            "/upload" => vec![Step::ReadBody, Step::Send(ok("text/plain", "ok"))],
            _ => vec![Step::Send(ok("text/plain", "ok"))],
        }
    })
}

/// A request on a connection of its own, which holds the one place there is.
struct Holder(Client);

impl Holder {
    /// Sends it as the gateway's first request, and waits until the upstream has it.
    #[track_caller]
    fn new(gateway: &Gateway, origin: &Origin, raw: &str) -> Holder {
        let mut client = gateway.client();
        client.send(raw);
        origin.request(0);
        assert_eq!(gateway.get("/fast").status, 429);
        Holder(client)
    }

    #[track_caller]
    fn get(gateway: &Gateway, origin: &Origin, path: &str) -> Holder {
        let raw = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        Holder::new(gateway, origin, &raw)
    }

    fn go_away(self) {
        let _ = self.0.stream().shutdown(Shutdown::Both);
    }
}

#[track_caller]
fn assert_free(gateway: &Gateway, after: &str) {
    eventually(&format!("a free place after {after}"), || {
        (gateway.get("/fast").status == 200).then_some(())
    });
}

fn one(folder: &Folder, origin: &Origin) -> Gateway {
    Gateway::start(&limited(folder, origin, &concurrent("c", 1)).toml())
}

#[test]
fn so_many_at_once_and_no_more() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let origin = upstream(&gate);
    let gateway = Gateway::start(&limited(&folder, &origin, &concurrent("c", 3)).toml());
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send("GET /thinks HTTP/1.1\r\nhost: a\r\n\r\n");
        origin.request(number);
    }
    for _ in 0..5 {
        let response = gateway.get("/fast");
        assert_eq!(response.status, 429);
        assert_eq!(response.header("retry-after").as_deref(), Some("1"));
        assert_eq!(
            response.json()["violated-policies"],
            serde_json::json!(["c"])
        );
    }
    gate.open();
    for client in &mut clients {
        let response = client.read();
        assert_eq!((response.status, response.text()), (200, "ok".into()));
    }
    wait_until_free(&gateway, "/fast", "c", 2);
}

#[test]
fn a_place_is_held_until_the_body_has_ended() {
    for path in ["/held", "/chunks"] {
        let (folder, gate) = (Folder::new(), Gate::new());
        let origin = upstream(&gate);
        let gateway = one(&folder, &origin);
        let mut holder = Holder::get(&gateway, &origin, path);
        assert_eq!(gateway.get("/fast").status, 429, "{path}");
        gate.open();
        let response = holder.0.read();
        assert!(response.status == 200 && response.complete, "{path}");
        assert_free(&gateway, path);
    }
}

/// Who has read a response to its end finds the place free: it was let go of before that end was sent.
#[test]
fn one_request_after_the_other_is_never_refused() {
    let (folder, gate) = (Folder::new(), Gate::new());
    gate.open();
    let origin = upstream(&gate);
    let gateway = one(&folder, &origin);
    let mut client = gateway.client();
    for round in 0..20 {
        for (method, path) in [
            ("GET", "/fast"),
            ("GET", "/held"),
            ("GET", "/chunks"),
            ("GET", "/204"),
            ("GET", "/304"),
            ("HEAD", "/head"),
        ] {
            client.send(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
            let response = client.read();
            assert_ne!(response.status, 429, "{method} {path} in round {round}");
            assert!(response.complete, "{method} {path} in round {round}");
        }
    }
}

#[test]
fn a_client_that_goes_away_holds_nothing() {
    for path in ["/held", "/chunks", "/thinks", "/endless"] {
        let (folder, gate) = (Folder::new(), Gate::new());
        let origin = upstream(&gate);
        let gateway = one(&folder, &origin);
        let holder = Holder::get(&gateway, &origin, path);
        holder.go_away();
        assert_free(&gateway, path);
        gate.open();
    }
}

#[test]
fn a_client_that_breaks_off_its_upload_holds_nothing() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let origin = upstream(&gate);
    let gateway = one(&folder, &origin);
    let head = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nbeginning";
    let holder = Holder::new(&gateway, &origin, head);
    let _ = holder.0.stream().write_all(b" and more");
    assert_eq!(gateway.get("/fast").status, 429);
    holder.go_away();
    assert_free(&gateway, "half an upload");
}

#[test]
fn an_upstream_that_dies_leaves_nothing_held() {
    for path in ["/dies", "/closes"] {
        let (folder, gate) = (Folder::new(), Gate::new());
        let origin = upstream(&gate);
        let gateway = one(&folder, &origin);
        let mut holder = Holder::get(&gateway, &origin, path);
        gate.open();
        let response = holder.0.read();
        assert!(response.status == 200 && !response.complete, "{path}");
        assert_free(&gateway, path);
    }
}

#[test]
fn a_time_out_leaves_nothing_held() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let origin = upstream(&gate);
    let scene = scene(&folder, &origin)
        .policy("limited", "limit", &format!("config.limits = [{}]", concurrent("c", 1)))
        .with("[gateway]\nchain = [\"limited\"]\n[apis.a]")
        .with(&format!(
            "[upstreams.slow]\nservers = [\"{}\"]\ntimeouts = {{ first-byte = \"200ms\", total = \"400ms\" }}",
            origin.url()
        ))
        .with("[routes.slow]\nmatch = \"/{name}\"\nupstream = \"slow\"")
        .route("fast", "/fast", &[]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let response = client.get("/thinks");
    assert_eq!(response.status, 504);
    assert_free(&gateway, "a time-out before the head");
    let response = gateway.client().get("/endless");
    assert!(response.status == 200 && !response.complete);
    assert_free(&gateway, "a time-out in the body");
    gate.open();
}

#[test]
fn what_ends_without_a_body_holds_nothing() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let origin = upstream(&gate);
    let scene = scene(&folder, &origin)
        .policy(
            "limited",
            "limit",
            &format!("config.limits = [{}]", concurrent("c", 1)),
        )
        .with("[gateway]\nchain = [\"limited\"]")
        .with(&format!(
            "[upstreams.dead]\nservers = [\"http://{}\"]",
            dead_address()
        ))
        .with("[routes.dead]\nmatch = \"/dead\"\nupstream = \"dead\"")
        .with("[routes.respond]\nmatch = \"/respond\"\nrespond = { status = 410, body = \"gone\" }")
        .with("[routes.empty]\nmatch = \"/empty\"\nrespond = { status = 204 }")
        .route("all", "/{rest+}", &[]);
    let gateway = Gateway::start(&scene.toml());
    for (method, path, status) in [
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("HEAD", "/head", 200),
        ("GET", "/dead", 502),
        ("HEAD", "/dead", 502),
        ("GET", "/respond", 410),
        ("HEAD", "/respond", 410),
        ("GET", "/empty", 204),
        ("GET", "/fast", 200),
    ] {
        // The connection stays open: it is not its end that ends the request.
        let mut client = gateway.client();
        client.send(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(client.read().status, status, "{method} {path}");
        assert_free(&gateway, path);
    }
}

#[test]
fn faults_and_refusals_further_in_leave_nothing_held() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let origin = upstream(&gate);
    let scene = limited(&folder, &origin, &concurrent("c", 1))
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy("inner", "trace", "config.label = \"inner\"")
        .policy("outer", "trace", "config.label = \"outer\"")
        .policy(
            "none",
            "limit",
            &format!("config.limits = [{}]", super::quota("n", 0, "")),
        )
        .route("fast", "/fast", &["limited"])
        .route("none", "/none", &["outer", "limited", "none"])
        .route("all", "/{rest+}", &["outer", "limited", "inner"]);
    let gateway = Gateway::start(&scene.toml());
    for (path, act, status) in [
        ("/a", "fault:inner", 500),
        ("/a", "respond:inner", 299),
        ("/a", "fault-back:inner", 500),
        ("/a", "respond-back:inner", 299),
        ("/a", "fault-back:outer", 500),
        ("/a", "respond-back:outer", 299),
        ("/a", "fault-settle:", 500),
        ("/none", "", 429),
    ] {
        let mut client = gateway.client();
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-act: {act}\r\n\r\n");
        client.send(head);
        assert_eq!(client.read().status, status, "{path} {act}");
        assert_free(&gateway, act);
    }
    // Of a response that is replaced, the upstream's body is not waited for.
    let mut client = gateway.client();
    client.send("GET /held HTTP/1.1\r\nhost: a\r\nx-act: respond-back:inner\r\n\r\n");
    assert_eq!(client.read().status, 299);
    assert_free(&gateway, "a replaced response");
    gate.open();
}

/// The limiter's own component fails or answers behind its limits, in the same visit.
#[test]
fn what_the_same_entry_does_next_leaves_nothing_held() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let origin = upstream(&gate);
    let hooks = ["limiter", "request-transformer", "response-transformer"];
    let config = format!(
        "config = {{ label = \"l\", limits = [{}] }}",
        concurrent("c", 1)
    );
    let scene = Scene::new(&origin)
        .plugin("limit", &kinds(&folder, &hooks), PATIENT)
        .policy("closed", "limit", &config)
        .policy("open", "limit", &format!("{config}\non-fault = \"open\""))
        .route("fast", "/fast", &["closed"])
        .route("open", "/open", &["open"]);
    let gateway = Gateway::start(&scene.toml());
    for (path, act, status) in [
        ("/fast", "fault:l", 500),
        ("/fast", "respond:l", 299),
        ("/fast", "fault-back:l", 500),
        ("/fast", "respond-back:l", 299),
        ("/open", "fault:l", 200),
        ("/open", "fault-back:l", 200),
    ] {
        for _ in 0..3 {
            let mut client = gateway.client();
            client.send(format!(
                "GET {path} HTTP/1.1\r\nhost: a\r\nx-act: {act}\r\n\r\n"
            ));
            let response = client.read();
            assert_eq!(response.status, status, "{path} {act}");
            if status == 200 {
                assert_eq!(left(&response, "c"), 0, "{act}: it is held all the same");
            }
        }
    }
}
