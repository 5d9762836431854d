//! Metrics: that they move, and how they are written; and the admin listener that serves them.

use tollgate_tests::{Gate, Origin, Step, eventually, ok, series};

use super::{KEY, gateway};

#[test]
fn the_counters_move() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    for _ in 0..3 {
        gateway.get("/pets/1");
    }
    gateway.get_with("/pets/1", &[("x-api-key", KEY)]);
    gateway.get("/dead");
    gateway.get("/trap");
    gateway.get("/nowhere");
    // A request is counted when its answer has been handed over, which its client may see first.
    eventually("all records", || {
        (gateway.records().len() == 7).then_some(())
    });

    for (name, labels, value) in [
        (
            "tollgate_requests_total",
            &[("route", "pet"), ("status", "2xx")][..],
            1.0,
        ),
        (
            "tollgate_requests_total",
            &[("route", "pet"), ("status", "4xx")],
            3.0,
        ),
        (
            "tollgate_requests_total",
            &[("route", "dead"), ("status", "5xx")],
            1.0,
        ),
        (
            "tollgate_requests_total",
            &[("route", ""), ("status", "4xx")],
            1.0,
        ),
        ("tollgate_requests_total", &[], 7.0),
        (
            "tollgate_request_duration_seconds_count",
            &[("route", "pet")],
            4.0,
        ),
        ("tollgate_request_duration_seconds_count", &[], 7.0),
        (
            "tollgate_plugin_calls_total",
            &[("route", "pet"), ("policy", "key")],
            4.0,
        ),
        (
            "tollgate_plugin_calls_total",
            &[("route", "pet"), ("policy", "mark"), ("side", "in")],
            4.0,
        ),
        (
            "tollgate_plugin_calls_total",
            &[("route", "pet"), ("policy", "mark"), ("side", "out")],
            4.0,
        ),
        (
            "tollgate_plugin_calls_total",
            &[("plugin", "headers")],
            12.0,
        ),
        (
            "tollgate_plugin_call_duration_seconds_count",
            &[("plugin", "headers")],
            12.0,
        ),
        (
            "tollgate_plugin_faults_total",
            &[("policy", "trap"), ("kind", "trap")],
            1.0,
        ),
        (
            "tollgate_plugin_faults_total",
            &[("plugin", "hostile"), ("route", "trap")],
            1.0,
        ),
        ("tollgate_plugin_faults_total", &[], 1.0),
        ("tollgate_access_log_lines_dropped_total", &[], 0.0),
        ("tollgate_requests_in_flight", &[], 0.0),
    ] {
        assert_eq!(gateway.metric(name, labels), value, "{name} {labels:?}");
    }
    let spent = gateway.metric("tollgate_plugin_call_duration_seconds_sum", &[]);
    assert!(spent > 0.0 && spent < 10.0, "{spent}");
}

#[test]
fn what_is_open_is_gauged() {
    let gate = Gate::new();
    let thinking = gate.clone();
    let origin = Origin::raw(move |_| {
        vec![
            Step::WaitFor(thinking.clone()),
            Step::Send(ok("text/plain", "")),
        ]
    });
    let gateway = gateway(&origin);
    let mut clients = [gateway.client(), gateway.client()];
    clients[0].send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n");
    let gauges = || {
        let metrics = gateway.metrics();
        ["connections", "requests_in_flight"].map(|name| {
            series(&metrics, &format!("tollgate_{name}"), &[])
                .iter()
                .sum::<f64>()
        })
    };
    eventually("two connections, one request", || {
        (gauges() == [2.0, 1.0]).then_some(())
    });
    gate.open();
    assert_eq!(clients[0].read().status, 200);
    eventually("no request", || (gauges() == [2.0, 0.0]).then_some(()));
    drop(clients);
    eventually("no connection", || (gauges() == [0.0, 0.0]).then_some(()));
}

/// It has no status, so that it is of no class; above all it is no interim answer.
#[test]
fn a_client_that_left_is_not_counted_as_1xx() {
    let gate = Gate::new();
    let thinking = gate.clone();
    let origin = Origin::raw(move |_| vec![Step::WaitFor(thinking.clone())]);
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    client.send("GET /plain HTTP/1.1\r\nhost: a\r\n\r\n");
    origin.request(0);
    drop(client);
    gateway.record(|record| record["status"] == 0);
    gate.open();
    assert_eq!(
        gateway.metric("tollgate_requests_total", &[("status", "1xx")]),
        0.0
    );
}

#[test]
fn the_exposition_is_openmetrics() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    gateway.get("/plain");
    gateway.get("/trap");
    let answer = gateway.request_to("admin", "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    let text = answer.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"));
    let (mut family, mut types, mut seen) = (String::new(), Vec::new(), Vec::new());
    for line in &lines[..lines.len() - 1] {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            assert!(words.len() == 3 && !words[2].is_empty(), "{line}");
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]), "{line}");
            family = words[1].to_owned();
            if words[0] == "TYPE" {
                assert!(!types.contains(&family), "{line}: twice");
                types.push(family.clone());
            }
            assert!(
                words[0] != "UNIT" || family.ends_with(&format!("_{}", words[2])),
                "{line}"
            );
            continue;
        }
        let (name_and_labels, value) = line.rsplit_once(' ').expect("a sample");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name_and_labels.split('{').next().unwrap_or_default();
        let suffix = name.strip_prefix(&family).expect("a sample of its family");
        assert!(
            ["", "_total", "_count", "_sum", "_bucket"].contains(&suffix),
            "{line}"
        );
        if let Some(labels) = name_and_labels.strip_prefix(&format!("{name}{{")) {
            let labels = labels.strip_suffix('}').expect("labels");
            for label in labels.split(',') {
                let (_, value) = label.split_once('=').expect("a label");
                assert!(
                    value.len() >= 2 && value.starts_with('"') && value.ends_with('"'),
                    "{line}"
                );
            }
        }
        assert!(!seen.contains(&name_and_labels), "{line}: twice");
        seen.push(name_and_labels);
    }
    assert!(types.len() >= 8, "{types:?}");
}

#[test]
fn the_admin_listener_answers_two_paths() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let ask = |line: &str| {
        gateway.request_to(
            "admin",
            format!("{line} HTTP/1.1\r\nhost: 127.0.0.1:9900\r\ncontent-length: 0\r\n\r\n"),
        )
    };
    let health = ask("GET /healthz");
    assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
    assert_eq!(
        (ask("HEAD /healthz").status, ask("GET /healthz?x").status),
        (200, 200)
    );
    for path in ["/", "/metrics/", "/healthz/x", "/plain", "//metrics"] {
        assert_eq!(ask(&format!("GET {path}")).status, 404, "{path}");
    }
    for line in ["POST /metrics", "DELETE /healthz", "PUT /"] {
        let answer = ask(line);
        assert_eq!(answer.status, 405, "{line}");
        // Which a 405 has to have (RFC 9110, section 15.5.6).
        assert_eq!(
            answer.header("allow").as_deref(),
            Some("GET, HEAD"),
            "{line}"
        );
    }
    assert_eq!(
        gateway.get("/healthz").status,
        404,
        "the public listener has none"
    );
}
