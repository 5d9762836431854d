use proptest::prelude::*;

use super::*;
use crate::limits::metrics::METRIC_NAME_BYTES_MAX;

fn metrics() -> (Registry, Arc<PluginMetrics>) {
    let mut registry = Registry::with_prefix("tollgate");
    let metrics = PluginMetrics::register(&mut registry);
    (registry, metrics)
}

fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn plugin(name: &str) -> Arc<str> {
    Arc::from(name)
}

fn dropped(metrics: &PluginMetrics, name: &str) -> u64 {
    metrics.of_plugin(&plugin(name)).dropped.get()
}

#[test]
fn plugins_share_a_family() {
    let (registry, metrics) = metrics();
    let (a, b) = (plugin("a"), plugin("b"));
    metrics.counter_add(&b, "hits", &labels(&[("kind", "x"), ("zone", "1")]), 2);
    metrics.counter_add(&a, "hits_total", &[], 1);
    metrics.counter_add(&a, "ends", &[], 7);
    // The order of labels does not matter.
    metrics.counter_add(&b, "hits", &labels(&[("zone", "1"), ("kind", "x")]), 40);
    assert_eq!(
        encode(&registry),
        "# HELP tollgate_plugin_ends From plugins.\n\
         # TYPE tollgate_plugin_ends counter\n\
         tollgate_plugin_ends_total{plugin=\"a\"} 7\n\
         # HELP tollgate_plugin_hits From plugins.\n\
         # TYPE tollgate_plugin_hits counter\n\
         tollgate_plugin_hits_total{plugin=\"a\"} 1\n\
         tollgate_plugin_hits_total{plugin=\"b\",kind=\"x\",zone=\"1\"} 42\n\
         # HELP tollgate_plugin_metrics_dropped Measurements of plugins that were out of bounds or did not fit.\n\
         # TYPE tollgate_plugin_metrics_dropped counter\n\
         tollgate_plugin_metrics_dropped_total{plugin=\"a\"} 0\n\
         tollgate_plugin_metrics_dropped_total{plugin=\"b\"} 0\n\
         # EOF\n"
    );
}

#[test]
fn histograms_count_in_buckets() {
    let (registry, metrics) = metrics();
    let a = plugin("a");
    for value in [0.0, 0.05, 3.0, 1e9] {
        metrics.histogram_record(&a, "size", &labels(&[("n", "\"\\\n")]), value);
    }
    let text = encode(&registry);
    for line in [
        "# TYPE tollgate_plugin_size histogram",
        // Quotes are escaped, and a line cannot end in a value.
        "tollgate_plugin_size_count{plugin=\"a\",n=\"\\\"\\\\\u{fffd}\"} 4",
        "tollgate_plugin_size_sum{plugin=\"a\",n=\"\\\"\\\\\u{fffd}\"} 1000000003.05",
        "tollgate_plugin_size_bucket{le=\"0.001\",plugin=\"a\",n=\"\\\"\\\\\u{fffd}\"} 1",
        "tollgate_plugin_size_bucket{le=\"0.05\",plugin=\"a\",n=\"\\\"\\\\\u{fffd}\"} 2",
        "tollgate_plugin_size_bucket{le=\"1000000.0\",plugin=\"a\",n=\"\\\"\\\\\u{fffd}\"} 3",
        "tollgate_plugin_size_bucket{le=\"+Inf\",plugin=\"a\",n=\"\\\"\\\\\u{fffd}\"} 4",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    assert_eq!(dropped(&metrics, "a"), 0);
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let (_, metrics) = metrics();
    let (a, b) = (plugin("a"), plugin("b"));
    metrics.counter_add(&a, "hits", &labels(&[("kind", "x")]), 1);
    metrics.histogram_record(&a, "time", &[], 1.0);
    let mut expected = 0;
    let mut check = |what: &dyn Fn()| {
        what();
        expected += 1;
        assert_eq!(dropped(&metrics, "a"), expected);
    };
    let long = "x".repeat(METRIC_NAME_BYTES_MAX + 1);
    for name in [
        "",
        "_hits",
        "1hits",
        "Hits",
        "hi-ts",
        "hits\n",
        "hits{",
        "hïts",
        "_total",
        &long,
        // The gateway's own.
        "calls",
        "calls_total",
        "faults",
        "metrics_dropped",
        "metrics_dropped_total",
        "call_duration_seconds",
        "call_duration_seconds_count",
        // Those of the histogram, and what would be mistaken for it.
        "time",
        "time_sum",
        "time_bucket",
    ] {
        check(&|| metrics.counter_add(&a, name, &[], 1));
    }
    check(&|| metrics.histogram_record(&a, "hits", &labels(&[("kind", "x")]), 1.0));
    check(&|| metrics.histogram_record(&a, "hits_total", &[], 1.0));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        check(&|| metrics.histogram_record(&a, "time", &[], value));
    }
    let nine: Vec<_> = (0..9).map(|n| (format!("l{n}"), String::new())).collect();
    for labels in [
        nine,
        labels(&[("plugin", "b")]),
        labels(&[("le", "1")]),
        labels(&[("Kind", "x")]),
        labels(&[("", "x")]),
        labels(&[("kind", "x"), ("kind", "y")]),
        // Other labels than before.
        labels(&[]),
        labels(&[("kind", "x"), ("zone", "y")]),
        labels(&[("zone", "x")]),
    ] {
        check(&|| metrics.counter_add(&a, "hits", &labels, 1));
    }
    // Another plugin is free in its labels, and not in the type.
    metrics.counter_add(&b, "hits", &labels(&[("other", "x")]), 1);
    assert_eq!(dropped(&metrics, "b"), 0);
    metrics.counter_add(&b, "time", &[], 1);
    assert_eq!(dropped(&metrics, "b"), 1);
    assert_eq!(dropped(&metrics, "a"), expected);
}

#[test]
fn series_are_bounded_for_each_plugin() {
    let (registry, metrics) = metrics();
    let add = |name: &str, user: usize| {
        let labels = [("user".to_owned(), user.to_string())];
        metrics.counter_add(&plugin(name), "hits", &labels, 1);
    };
    for user in 0..250 {
        add("a", user);
    }
    assert_eq!(dropped(&metrics, "a"), 150);
    // What there is goes on, and so do others.
    add("a", 99);
    add("b", 1_000);
    assert_eq!(dropped(&metrics, "a") + dropped(&metrics, "b"), 150);
    let text = encode(&registry);
    assert!(text.contains("hits_total{plugin=\"a\",user=\"99\"} 2\n"));
    assert!(text.contains("hits_total{plugin=\"b\",user=\"1000\"} 1\n"));
    assert_eq!(
        text.matches("hits_total{plugin=\"a\"").count(),
        PLUGIN_SERIES_MAX
    );
}

#[test]
fn long_values_are_cut_and_stay_one_series() {
    let (registry, metrics) = metrics();
    for length in [127, 128, 129, 1 << 20] {
        let labels = labels(&[("v", &"ä".repeat(length / 2))]);
        metrics.counter_add(&plugin("a"), "n", &labels, 1);
    }
    let text = encode(&registry);
    assert!(text.contains(&format!("{{plugin=\"a\",v=\"{}\"}} 3\n", "ä".repeat(64))));
    assert!(text.contains(&format!("{{plugin=\"a\",v=\"{}\"}} 1\n", "ä".repeat(63))));
}

#[test]
fn the_gateways_own_names_are_kept_free() {
    let metrics = crate::observe::Metrics::new(Default::default());
    metrics.entry(&crate::observe::EntryName {
        plugin: "p".into(),
        policy: "q".into(),
        route: "r".into(),
    });
    let text = metrics.encode();
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE tollgate_plugin_"));
    let mut families = 0;
    for family in types {
        let (name, _) = family.split_once(' ').unwrap();
        assert!(OURS.iter().any(|(ours, _)| *ours == name), "{name}");
        families += 1;
    }
    assert!(families >= 3, "{text}");
}

#[test]
fn the_series_of_a_plugin_that_is_gone_go_with_their_names() {
    let (registry, metrics) = metrics();
    let (goes, stays) = (plugin("goes"), plugin("stays"));
    metrics.counter_add(&goes, "hits", &[], 1);
    metrics.counter_add(&stays, "hits", &[], 2);
    metrics.counter_add(&goes, "mine", &[], 3);
    metrics.keep(|plugin| plugin == "stays");
    let text = encode(&registry);
    assert!(!text.contains("goes"), "{text}");
    assert!(
        text.contains("tollgate_plugin_hits_total{plugin=\"stays\"} 2\n"),
        "{text}"
    );
    // As another type only what nobody has any more.
    metrics.histogram_record(&stays, "mine", &[], 1.0);
    metrics.histogram_record(&stays, "hits", &[], 1.0);
    let text = encode(&registry);
    assert!(
        text.contains("tollgate_plugin_mine_count{plugin=\"stays\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("metrics_dropped_total{plugin=\"stays\"} 1\n"),
        "{text}"
    );
}

#[test]
fn counts_at_once_are_all_counted() {
    let (_, metrics) = metrics();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let metrics = &metrics;
            scope.spawn(move || {
                let name = plugin(if thread % 2 == 0 { "a" } else { "b" });
                for round in 0..1_000 {
                    let labels = [("n".to_owned(), (round % 10).to_string())];
                    metrics.counter_add(&name, "hits", &labels, 1);
                }
            });
        }
    });
    for name in ["a", "b"] {
        let sum: u64 = metrics
            .of_plugin(&plugin(name))
            .series()
            .iter()
            .map(|(_, series)| match series {
                Series::Counter(counter) => counter.get(),
                Series::Histogram(_) => 0,
            })
            .sum();
        assert_eq!(sum, 2_000);
    }
}

proptest! {
    // Each case writes out hundreds of lines.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever plugins send: each line is of a known form, each family is there once, no sample twice.
    #[test]
    fn the_exposition_stays_whole(
        calls in prop::collection::vec(
            (
                "[ab]",
                any::<bool>(),
                "(hits|time|x|calls|[ -~]{1,3})(_total|_sum|_count|_bucket|_created)?",
                prop::collection::vec(("[a-c]|le|plugin|\\PC", "\\PC{0,3}|[\"\\\\\n]{0,3}"), 0..3),
            ),
            0..60,
        ),
    ) {
        let (registry, metrics) = metrics();
        for (name, counts, metric, labels) in &calls {
            if *counts {
                metrics.counter_add(&plugin(name), metric, labels, 1);
            } else {
                metrics.histogram_record(&plugin(name), metric, labels, 1.0);
            }
        }
        let text = encode(&registry);
        let mut seen = std::collections::HashSet::new();
        for line in text.lines() {
            let known = line.starts_with("# HELP tollgate_plugin_")
                || line.starts_with("# TYPE tollgate_plugin_")
                || line.starts_with("tollgate_plugin_")
                || line == "# EOF";
            prop_assert!(known, "{line}");
            let subject = line.rsplit_once(' ').map_or(line, |(subject, _)| subject);
            prop_assert!(seen.insert(subject.to_owned()), "{line} stands twice");
        }
        prop_assert!(text.ends_with("# EOF\n"));
    }
}
