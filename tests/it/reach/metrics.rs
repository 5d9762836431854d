//! Metrics of a plugin's own: that they appear, and that nothing of them can spoil the others.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_tests::{Gateway, guest, series};

use super::exposition::valid;
use super::{alone, ask, ask_on};

/// A plugin may begin this many series.
const SERIES: usize = 100;

fn dropped(gateway: &Gateway, plugin: &str) -> f64 {
    gateway.metric(
        "tollgate_plugin_metrics_dropped_total",
        &[("plugin", plugin)],
    )
}

#[test]
fn they_count_across_calls() {
    let grant = "grant = { fetch = [\"users\"], kv = true }";
    let scene = alone()
        .plugin("other", &guest("guest_reach"), grant)
        .policy("other", "other", "")
        .route("other", "/other", &["other"]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let steps = json!([
        { "counter": ["rejected_total", [["reason", "expired"], ["kind", "a"]], 2] },
        { "counter": ["rejected", [["kind", "a"], ["reason", "expired"]], 1] },
        { "counter": ["rejected_total", [["reason", "unknown"], ["kind", "a"]], 5] },
        { "counter": ["plain", [], 0] },
        { "histogram": ["score", [["kind", "a"]], 0.25] },
        { "histogram": ["score", [["kind", "a"]], 70] },
        { "histogram": ["score", [["kind", "a"]], 1e9] },
    ]);
    for path in ["/reach", "/reach", "/other"] {
        ask_on(&mut client, path, &steps);
    }
    let value = |name: &str, labels: &[(&str, &str)]| {
        gateway.metric(&format!("tollgate_plugin_{name}"), labels)
    };
    let reach = ("plugin", "reach");
    let a = ("kind", "a");
    assert_eq!(
        value("rejected_total", &[reach, a, ("reason", "expired")]),
        6.0
    );
    assert_eq!(
        value("rejected_total", &[reach, a, ("reason", "unknown")]),
        10.0
    );
    assert_eq!(
        value(
            "rejected_total",
            &[("plugin", "other"), ("reason", "expired")]
        ),
        3.0
    );
    assert_eq!(value("plain_total", &[reach]), 0.0);
    assert_eq!(value("score_count", &[reach, a]), 6.0);
    assert_eq!(value("score_sum", &[reach, a]), 2.0 * (0.25 + 70.0 + 1e9));
    for (bound, count) in [
        ("0.1", 0.0),
        ("0.5", 2.0),
        ("50.0", 2.0),
        ("100.0", 4.0),
        ("+Inf", 6.0),
    ] {
        assert_eq!(
            value("score_bucket", &[reach, a, ("le", bound)]),
            count,
            "{bound}"
        );
    }
    assert_eq!(dropped(&gateway, "reach"), 0.0);
    valid(&gateway.metrics());
}

#[test]
fn series_without_end_are_dropped_and_counted() {
    let grant = "grant = { fetch = [\"users\"], kv = true }\nlimits.cpu = \"1s\"";
    let scene = alone()
        .plugin("other", &guest("guest_reach"), grant)
        .policy("other", "other", "")
        .route("other", "/other", &["other"]);
    let toml = scene
        .toml()
        .replace("[plugins.reach]", "[plugins.reach]\nlimits.cpu = \"1s\"");
    let gateway = Gateway::start(&toml);
    let many = json!([{ "counter-series": ["seen", "id", 150] }]);
    ask(&gateway, &many);
    let seen = || {
        series(
            &gateway.metrics(),
            "tollgate_plugin_seen_total",
            &[("plugin", "reach")],
        )
    };
    assert_eq!(seen(), [1.0; SERIES]);
    assert_eq!(dropped(&gateway, "reach"), 50.0);
    // Those that are there go on, and no other name is begun.
    ask(&gateway, &many);
    ask(&gateway, &json!([{ "histogram": ["late", [], 1.0] }]));
    assert_eq!(seen(), [2.0; SERIES]);
    assert_eq!(dropped(&gateway, "reach"), 101.0);
    assert!(!gateway.metrics().contains("tollgate_plugin_late"));
    // Another plugin has its own.
    let mut client = gateway.client();
    ask_on(&mut client, "/other", &many);
    let others = series(
        &gateway.metrics(),
        "tollgate_plugin_seen_total",
        &[("plugin", "other")],
    );
    assert_eq!(others, [1.0; SERIES]);
    valid(&gateway.metrics());
}

#[test]
fn what_does_not_fit_is_dropped() {
    let gateway = Gateway::start(&alone().toml());
    let long = "n".repeat(300);
    let labels: Vec<[String; 2]> = (0..50).map(|n| [format!("l{n}"), "v".to_owned()]).collect();
    let bad = [
        json!({ "counter": ["", [], 1] }),
        json!({ "counter": ["Upper", [], 1] }),
        json!({ "counter": ["1st", [], 1] }),
        json!({ "counter": ["_a", [], 1] }),
        json!({ "counter": ["a-b", [], 1] }),
        json!({ "counter": ["a b 1\nforged 2", [], 1] }),
        json!({ "counter": ["caf\u{e9}", [], 1] }),
        json!({ "counter": [long, [], 1] }),
        json!({ "counter": ["a", [["", "v"]], 1] }),
        json!({ "counter": ["a", [["Upper", "v"]], 1] }),
        json!({ "counter": ["a", [["a\"} 1", "v"]], 1] }),
        json!({ "counter": ["a", [["__name__", "v"]], 1] }),
        json!({ "counter": ["a", [["plugin", "other"]], 1] }),
        json!({ "counter": ["a", [["same", "1"], ["same", "2"]], 1] }),
        json!({ "counter": ["a", labels, 1] }),
        json!({ "histogram": ["h", [["le", "1"]], 1.0] }),
        json!({ "histogram": ["h", [], -1.0] }),
        // Ours.
        json!({ "counter": ["calls", [], 1] }),
        json!({ "counter": ["calls_total", [], 1] }),
        json!({ "counter": ["faults_total", [["kind", "trap"]], 1] }),
        json!({ "counter": ["metrics_dropped_total", [], 1] }),
        json!({ "histogram": ["calls", [], 1.0] }),
        json!({ "histogram": ["call_duration_seconds", [], 1.0] }),
        json!({ "counter": ["call_duration_seconds", [], 1] }),
        json!({ "counter": ["call_duration_seconds_count", [], 1] }),
        json!({ "counter": ["call_duration_seconds_bucket", [], 1] }),
    ];
    for (number, step) in bad.iter().enumerate() {
        ask(&gateway, &json!([step]));
        let metrics = gateway.metrics();
        valid(&metrics);
        assert_eq!(
            dropped(&gateway, "reach") as usize,
            number + 1,
            "{step}\n{metrics}"
        );
        for text in ["forged", "tollgate_plugin_a", "tollgate_plugin_h", "Upper"] {
            assert!(!metrics.contains(text), "{step}: {text}\n{metrics}");
        }
    }
}

/// One name is one thing, for all plugins.
#[test]
fn names_that_would_collide_are_dropped() {
    let grant = "grant = { fetch = [\"users\"], kv = true }";
    let scene = alone()
        .plugin("other", &guest("guest_reach"), grant)
        .policy("other", "other", "")
        .route("other", "/other", &["other"]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let good = json!([
        { "counter": ["hits", [], 1] },
        { "histogram": ["size", [["kind", "a"]], 1.0] },
    ]);
    ask_on(&mut client, "/reach", &good);
    let clashes = [
        json!({ "histogram": ["hits", [], 1.0] }),
        json!({ "histogram": ["hits_total", [], 1.0] }),
        json!({ "counter": ["size", [["kind", "a"]], 1] }),
        json!({ "counter": ["size_count", [], 1] }),
        json!({ "histogram": ["size_bucket", [], 1.0] }),
        json!({ "counter": ["size_sum_total", [], 1] }),
        json!({ "counter": ["hits_total_total", [], 1] }),
    ];
    for path in ["/reach", "/other"] {
        for clash in &clashes {
            ask_on(&mut client, path, &json!([clash]));
            valid(&gateway.metrics());
        }
    }
    assert_eq!(
        gateway.metric("tollgate_plugin_hits_total", &[("plugin", "reach")]),
        1.0
    );
    assert_eq!(
        gateway.metric("tollgate_plugin_size_count", &[("plugin", "reach")]),
        1.0
    );
    // Both of the same kind share the family.
    ask_on(&mut client, "/other", &good);
    assert_eq!(gateway.metric("tollgate_plugin_hits_total", &[]), 2.0);
    valid(&gateway.metrics());
}

/// A counter that falls back looks like one that began anew.
#[test]
fn a_counter_does_not_overflow() {
    let gateway = Gateway::start(&alone().toml());
    let mut last = 0.0;
    for add in [u64::MAX, 1, 5, u64::MAX] {
        ask(&gateway, &json!([{ "counter": ["huge", [], add] }]));
        let value = gateway.metric("tollgate_plugin_huge_total", &[]);
        assert!(
            value >= last && value > 0.0,
            "{value} after {last} and {add}"
        );
        last = value;
    }
}

/// A sum without end would stay so.
#[test]
fn a_sum_does_not_overflow() {
    let gateway = Gateway::start(&alone().toml());
    let record = json!([{ "histogram": ["far", [], f64::MAX] }]);
    for _ in 0..2 {
        ask(&gateway, &record);
        let sum = gateway.metric("tollgate_plugin_far_sum", &[]);
        assert!(sum.is_finite(), "{sum}");
        valid(&gateway.metrics());
    }
}

#[test]
fn values_of_labels_may_be_any_text() {
    let gateway = Gateway::start(&alone().toml());
    // What is told, and what of it is there: no control characters, and 128 bytes at the most.
    let long = "l".repeat(5000);
    let values = [
        ("", ""),
        (" ", " "),
        ("a\"b", "a\"b"),
        ("a\\b", "a\\b"),
        ("a\\nb", "a\\nb"),
        ("} 1", "} 1"),
        ("\",plugin=\"other", "\",plugin=\"other"),
        ("caf\u{e9} \u{1f980}", "caf\u{e9} \u{1f980}"),
        ("# EOF\n", "# EOF\u{fffd}"),
        ("a\r\nb\u{0}", "a\u{fffd}\u{fffd}b\u{fffd}"),
        (&long, &long[..128]),
    ];
    for (value, _) in values {
        ask(
            &gateway,
            &json!([{ "counter": ["text", [["value", value]], 1] }]),
        );
    }
    let metrics = gateway.metrics();
    let families = valid(&metrics);
    let samples = &families["tollgate_plugin_text"].samples;
    let seen: BTreeSet<&str> = samples
        .iter()
        .filter_map(|sample| sample.label("value"))
        .collect();
    let there = values.map(|(_, there)| there);
    assert_eq!(seen, BTreeSet::from(there), "{metrics}");
    assert!(
        samples
            .iter()
            .all(|sample| sample.label("plugin") == Some("reach"))
    );
}

#[test]
fn without_metrics_of_plugins_there_are_none() {
    let gateway = Gateway::start(&alone().toml());
    assert_eq!(ask(&gateway, &json!([])), Vec::<Value>::new());
    let families = valid(&gateway.metrics());
    let own = families
        .keys()
        .filter(|name| name.starts_with("tollgate_plugin_"));
    let own: Vec<&String> = own.collect();
    assert_eq!(
        own,
        [
            "tollgate_plugin_call_duration_seconds",
            "tollgate_plugin_calls",
            "tollgate_plugin_calls_waiting",
            "tollgate_plugin_cpu_seconds",
            "tollgate_plugin_faults",
            "tollgate_plugin_instances",
            "tollgate_plugin_memory_high_water_bytes"
        ]
    );
}
