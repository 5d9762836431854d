//! `stale-while-revalidate` and `stale-if-error` (RFC 5861).

use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_tests::{Gate, Gateway, Origin, Step, eventually};

use super::{
    FRESH, IF_ERROR, OLD, WHILE_REVALIDATED, answer, ask, assert_hit, assert_miss, cached,
    numbered, patient, said,
};
use crate::scene::Scene;

/// Answers what is stale at first; then, past the gate, what is fresh.
fn revalidated(gate: &Gate) -> Origin {
    let (gate, count) = (gate.clone(), AtomicUsize::new(0));
    Origin::raw(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Step::Send(answer(WHILE_REVALIDATED, "old"))],
        _ => vec![
            Step::WaitFor(gate.clone()),
            Step::Send(answer(FRESH, "new")),
        ],
    })
}

#[test]
fn what_is_stale_answers_while_one_fetch_goes_on() {
    let gate = Gate::new();
    let origin = revalidated(&gate);
    let scene = cached(&origin)
        .policy("inner", "headers", "config.response.set.x-inner = \"yes\"")
        .policy(
            "outer",
            "headers",
            "config.response.append.x-outer = \"yes\"",
        )
        .route("all", "/{rest+}", &["outer", "cache", "inner"]);
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/a?secret=1"), "old");
    for _ in 0..5 {
        // The origin holds the fetch, so these were answered without it.
        let response = gateway.get("/a?secret=1");
        assert_hit(&response, "old");
        assert_eq!(response.headers("x-outer"), ["yes"]);
        assert_eq!(response.headers("x-inner"), ["yes"]);
        assert!(said(&response).contains("ttl=-"), "{response:?}");
    }
    // A HEAD is answered so too.
    assert_hit(&ask(&gateway, "HEAD", "test.example", "/a?secret=1"), "");
    origin.request(1);
    gate.open();
    eventually("the new one", || {
        let response = gateway.get("/a?secret=1");
        assert!(said(&response).contains("hit"), "{response:?}");
        (response.text() == "new").then_some(())
    });
    assert_hit(&gateway.get("/a?secret=1"), "new");
    assert_eq!(origin.requests(), 2);

    let record = gateway.record(|record| record["background"] == true);
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record["complete"], true);
    assert_eq!(record["failure"], serde_json::Value::Null);
    assert_eq!(record["method"], "GET");
    assert_eq!(record["path"], "/a");
    assert_eq!(record["route"], "all");
    assert_eq!(record["upstream"]["status"], 200);
    let stale = gateway.record(|record| record["entries"][1]["verdict"] == "stale");
    assert_eq!(stale["complete"], true, "{stale}");
    assert_ne!(stale["background"], true, "{stale}");
    let all = gateway.records();
    let background = all.iter().filter(|record| record["background"] == true);
    assert_eq!(background.count(), 1);
    assert!(!gateway.stdout().contains("secret"), "no query in the log");
}

/// A background fetch that fails leaves what there is; the next request tries again.
#[test]
fn a_background_fetch_that_fails_changes_nothing() {
    let count = AtomicUsize::new(0);
    let origin = Origin::raw(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Step::Send(answer(WHILE_REVALIDATED, "old"))],
        1 => vec![Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close],
        2 => {
            let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 9\r\n\r\n";
            vec![Step::Send(format!("{head}bro").into_bytes()), Step::Close]
        }
        _ => vec![Step::Send(answer(FRESH, "new"))],
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_miss(&gateway.get("/a"), "old");
    eventually("the new one", || {
        let response = gateway.get("/a");
        assert_eq!(response.status, 200);
        let text = response.text();
        assert!(["old", "new"].contains(&text.as_str()), "{response:?}");
        (text == "new").then_some(())
    });
    let record = gateway.record(|record| record["background"] == true);
    assert_eq!(record["failure"]["blame"], "upstream", "{record}");
}

/// By the plugin's rules, which the origin's silence leaves to it.
#[test]
fn a_policy_can_say_how_long_stale_answers_are_good() {
    let count = AtomicUsize::new(0);
    let origin = Origin::raw(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        vec![Step::Send(answer("", &number.to_string()))]
    });
    let config =
        "config = { ttl = \"1ms\", stale-while-revalidate = \"1h\", stale-if-error = \"1h\" }";
    let scene = patient(Scene::new(&origin)).policy("cache", "http-cache", config);
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/a"), "1");
    eventually("the second answer", || {
        let response = gateway.get("/a");
        assert!(said(&response).contains("hit"), "{response:?}");
        (response.text() != "1").then_some(())
    });
}

#[test]
fn what_is_stale_stands_in_for_an_upstream_that_fails() {
    let origin = Origin::raw(|request| {
        vec![Step::Send(match request.target.as_str() {
            "/alone" => answer(&format!("{OLD}etag: \"1\"\r\n"), "old"),
            _ => answer(&format!("{IF_ERROR}etag: \"1\"\r\n"), "old"),
        })]
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    for path in ["/a", "/alone"] {
        assert_miss(&gateway.get(path), "old");
    }
    // While the origin answers, it is asked.
    assert_miss(&gateway.get("/a"), "old");
    assert_eq!(origin.requests(), 3);
    drop(origin);
    for _ in 0..3 {
        let response = gateway.get("/a");
        assert_eq!((response.status, response.text()), (200, "old".into()));
        let said = said(&response);
        assert!(said.contains("fwd=stale"), "{said}");
        assert!(said.contains("stale-if-error"), "{said}");
        assert!(response.complete);
        // 502 passes where nothing is stored, or nothing that may stand in.
        for path in ["/b", "/alone"] {
            let response = gateway.get(path);
            assert_eq!(response.status, 502, "{path}");
            let kind = response.header("content-type");
            assert_eq!(kind.as_deref(), Some("application/problem+json"));
        }
    }
    let record = gateway.record(|record| record["status"] == 502);
    assert_eq!(record["failure"]["blame"], "upstream");
}

#[test]
fn what_is_stale_stands_in_for_errors_of_the_origin() {
    let count = AtomicUsize::new(0);
    let origin = Origin::raw(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => vec![Step::Send(answer(
            &format!("{IF_ERROR}etag: \"1\"\r\n"),
            "old",
        ))],
        number => {
            let status = [500, 502, 503, 504, 404][number - 1];
            let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 3\r\n\r\nbad");
            vec![Step::Send(head.into_bytes())]
        }
    });
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_miss(&gateway.get("/a"), "old");
    for status in [500, 502, 503, 504] {
        let response = gateway.get("/a");
        assert_eq!((response.status, response.text()), (200, "old".into()));
        let said = said(&response);
        assert!(said.contains(&format!("fwd-status={status}")), "{said}");
    }
    let response = gateway.get("/a");
    assert_eq!((response.status, response.text()), (404, "bad".into()));
    assert_eq!(origin.requests(), 6);
}

/// It need not have been fresh before, nor have a validator: that is what `stale-if-error` is for.
#[test]
fn what_was_never_fresh_stands_in_too() {
    for lines in ["cache-control: max-age=0, stale-if-error=600\r\n", IF_ERROR] {
        let origin = Origin::raw(move |_| vec![Step::Send(answer(lines, "old"))]);
        let gateway = Gateway::start(&cached(&origin).toml());
        assert_miss(&gateway.get("/a"), "old");
        drop(origin);
        let response = gateway.get("/a");
        assert_eq!(
            (response.status, response.text()),
            (200, "old".into()),
            "{lines}"
        );
    }
}

/// The gateway's own errors are not stored, whatever a policy says of their statuses.
#[test]
fn errors_of_the_gateway_are_not_stored() {
    let origin = numbered(FRESH);
    let url = origin.url();
    drop(origin);
    let config = "config = { ttl = { 502 = \"1h\", 504 = \"1h\", 500 = \"1h\" }, override = \"everything\" }";
    let scene = patient(Scene::at(&url)).policy("cache", "http-cache", config);
    let gateway = Gateway::start(&scene.toml());
    assert_eq!(gateway.get("/a").status, 502);
    assert_eq!(gateway.get("/a").status, 502);
    assert_eq!(gateway.metric("tollgate_cache_keys", &[]), 0.0);
    let address = url.trim_start_matches("http://");
    let _origin = Origin::at(address, |_| vec![Step::Send(answer(FRESH, "back"))]);
    assert_miss(&gateway.get("/a"), "back");
}

/// A fault of the policy that may be passed over, in the middle of a validation: the origin's 304 is
/// an answer to the gateway, and no client asked for one.
#[test]
fn a_fault_in_a_validation_gives_nobody_a_304() {
    let origin = Origin::raw(|request| {
        let bytes = match super::field(request, "if-none-match").as_str() {
            "" => answer("etag: \"1\"\r\n", "body"),
            _ => {
                let lines = format!("etag: \"1\"\r\nx-large: {}\r\n", "x".repeat(20_000));
                format!("HTTP/1.1 304 Not Modified\r\n{lines}\r\n").into_bytes()
            }
        };
        vec![Step::Send(bytes)]
    });
    // A name for purging that has more than the policy may have of memory.
    let tag = "{response.x-large}".repeat(50);
    let config = format!("config = {{ ttl = \"1ms\", tags = [\"{tag}\"] }}");
    let scene = Scene::new(&origin)
        .with(
            "[plugins.http-cache]\nlimits = { memory = \"512KiB\", cpu = \"5s\", wall = \"20s\" }",
        )
        .policy(
            "cache",
            "http-cache",
            &format!("on-fault = \"open\"\n{config}"),
        );
    let gateway = Gateway::start(&scene.toml());
    eventually("a validation that faults", || {
        let response = gateway.get("/a");
        assert_eq!((response.status, response.text()), (200, "body".into()));
        let labels = [("policy", "cache")];
        let metrics = gateway.metrics();
        let faults = tollgate_tests::series(&metrics, "tollgate_plugin_faults_total", &labels);
        (faults.iter().sum::<f64>() > 0.0).then_some(())
    });
}
