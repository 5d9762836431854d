//! Plugins that do not answer while a body goes through them.

use tollgate_tests::{Gateway, Origin, Step, eventually, ok};

use super::{chunk, gateway, get, head, post, scene, streams};

/// A body of three pieces, each sent once the one before was taken.
fn origin() -> Origin {
    Origin::raw(|_| {
        vec![
            Step::Send(head(&[])),
            Step::Send(chunk(&[b'a'; 100_000])),
            Step::Send(chunk(&[b'b'; 100_000])),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ]
    })
}

fn faults(gateway: &Gateway, kind: &str) -> f64 {
    let labels = [("policy", "one"), ("kind", kind)];
    gateway.metric("tollgate_plugin_faults_total", &labels)
}

#[test]
fn a_fault_before_the_head_is_one_as_of_other_hooks() {
    let origin = origin();
    let gateway = gateway(&origin);
    for (word, kind) in [("open-trap", "trap"), ("open-error", "error")] {
        let response = gateway.request(get("/one", &[("x-one-out", word)]));
        assert_eq!((response.status, response.complete), (500, true), "{word}");
        let response = gateway.request(get("/open", &[("x-one-out", word)]));
        assert_eq!(
            (response.status, response.body.len()),
            (200, 200_000),
            "{word}"
        );
        let requests = origin.requests();
        let response = gateway.request(post("/one", &[("x-one-in", word)], &[b"body"]));
        assert_eq!(response.status, 500, "{word}");
        assert_eq!(origin.requests(), requests, "{word}");
        let response = gateway.request(post("/open", &[("x-one-in", word)], &[b"body"]));
        assert_eq!(response.status, 200, "{word}");
        assert_eq!(origin.request(requests).body, b"body");
        assert_eq!(faults(&gateway, kind), 2.0);
    }
}

/// Neither a shorter answer that looks whole, nor the rest as it was, whatever `on-fault` says.
#[test]
fn a_fault_in_the_middle_breaks_the_answer_off() {
    let limits = "limits = { cpu = \"5ms\", wall = \"5s\", memory = \"2MiB\" }";
    for (word, kind) in [
        ("trap 2", "trap"),
        ("trap-last", "trap"),
        ("error 2", "error"),
        ("loop 2", "cpu"),
        ("huge 1048577", "bad-reply"),
        ("bomb 800000", "memory"),
    ] {
        let origin = origin();
        let gateway = Gateway::start(&scene(&origin, limits).toml());
        for path in ["/one", "/open"] {
            let response = gateway.request(get(path, &[("x-one-out", word)]));
            assert!(!response.complete, "{path} {word}");
            assert!(response.body.len() <= 200_000, "{path} {word}");
            let record = gateway.record(|record| record["path"] == path);
            let failure = &record["failure"];
            assert_eq!(
                (failure["blame"].as_str(), failure["kind"].as_str()),
                (Some("plugin"), Some("plugin-fault")),
                "{path} {word}: {record}"
            );
            assert_eq!(
                (&record["status"], &record["complete"]),
                (&200.into(), &false.into())
            );
        }
        assert_eq!(faults(&gateway, kind), 1.0, "{word}");
        eventually("the stream has ended", || {
            (streams(&gateway) == 0.0).then_some(())
        });
        let fault = format!("fault=\"{kind}\"");
        let event = gateway.wait_for_event(&["policy=\"one\"", "route=\"one\"", &fault]);
        let id = gateway.record(|record| record["path"] == "/one")["id"].to_string();
        assert!(event.contains(&id), "{event} of {id}");
        if word == "trap 2" {
            assert!(event.contains("told to trap"), "{event}");
            assert!(event.contains("chunk"), "no backtrace: {event}");
        }
        // The next body finds a new instance.
        let response = gateway.request(get("/one", &[("x-one-out", "shout")]));
        assert_eq!((response.body.len(), response.complete), (200_000, true));
    }
}

#[test]
fn the_largest_answer_is_taken() {
    let origin = Origin::fixed(ok("text/plain", "x"));
    let gateway = gateway(&origin);
    let response = gateway.request(get("/one", &[("x-one-out", "huge 1048576")]));
    assert!(response.complete);
    assert_eq!(response.body.len() % (1 << 20), 0);
    assert!(!response.body.is_empty());
}

/// The upstream never gets a body that looks whole, and the client is told if it can be.
#[test]
fn a_fault_in_an_upload_ends_the_request() {
    let origin = Origin::early(|_| vec![Step::ReadBody, Step::Send(ok("text/plain", "taken"))]);
    let gateway = gateway(&origin);
    for word in ["trap 1", "trap-last", "error 1"] {
        for path in ["/one", "/open"] {
            let body = [&[b'x'; 1000][..], b"end"];
            let requests = origin.requests();
            let response = gateway.request(post(path, &[("x-one-in", word)], &body));
            assert_eq!(response.status, 500, "{path} {word}: {response:?}");
            // It may not even have begun.
            if let Some(received) = origin.received().get(requests) {
                assert!(!received.complete, "{path} {word}: {received:?}");
            }
            let record = gateway.record(|record| record["path"] == path);
            assert_eq!(record["failure"]["kind"], "plugin-fault", "{record}");
        }
    }
    eventually("the streams have ended", || {
        (streams(&gateway) == 0.0).then_some(())
    });
}

/// The head of the answer is gone already: the client is told by a connection that breaks off, and the record
/// says who is to blame.
#[test]
fn a_fault_in_an_upload_breaks_off_an_answer_that_has_begun() {
    let origin = Origin::early(|_| {
        let begun = [head(&[]), chunk(b"begun")].concat();
        vec![Step::Send(begun), Step::ReadBody]
    });
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    let raw = post("/one", &[("x-one-in", "trap-last")], &[b"first"]);
    let (begin, end) = raw.split_at(raw.len() - 5);
    client.send(begin);
    client.stream().peek(&mut [0]).expect("the beginning");
    client.send_more(end);
    let response = client.read();
    assert!(!response.complete, "{response:?}");
    let record = gateway.record(|record| record["path"] == "/one");
    assert_eq!(record["failure"]["blame"], "plugin", "{record}");
}

#[test]
fn a_peer_that_breaks_off_is_to_blame_itself() {
    let origin = Origin::raw(|_| {
        vec![
            Step::Send(head(&[])),
            Step::Send(chunk(b"first")),
            Step::Close,
        ]
    });
    let gateway = gateway(&origin);
    let response = gateway.request(get("/one", &[("x-one-out", "count")]));
    assert!(!response.complete);
    // No last piece was made of it.
    assert_eq!(response.text(), "first");
    let record = gateway.record(|record| record["path"] == "/one");
    assert_eq!(record["failure"]["blame"], "upstream", "{record}");

    let raw = post("/one", &[("x-one-in", "shout")], &[b"first"]);
    let mut stream = gateway.connect();
    std::io::Write::write_all(&mut stream, &raw[..raw.len() - 5]).expect("a write");
    drop(stream);
    let record = gateway.record(|record| record["method"] == "POST");
    assert_eq!(record["failure"]["blame"], "client", "{record}");
    eventually("the streams have ended", || {
        (streams(&gateway) == 0.0).then_some(())
    });
}
