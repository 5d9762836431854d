//! State that a plugin's calls share.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_tests::{Gateway, eventually, guest};

use super::{alone, ask, ask_on, asking, told};

fn ok(value: Value) -> Value {
    json!({ "ok": value })
}

#[test]
fn values_outlive_the_instances_that_wrote_them() {
    let gateway = Gateway::start(&alone().toml());
    // Each is a call of its own, in a fresh instance.
    for (step, answer) in [
        (json!({ "get": "a" }), ok(Value::Null)),
        (json!({ "set": ["a", "one", null] }), ok(Value::Null)),
        (json!({ "get": "a" }), ok(json!("one"))),
        (json!({ "set": ["a", "", null] }), ok(Value::Null)),
        (json!({ "get": "a" }), ok(json!(""))),
        (json!({ "get": "A" }), ok(Value::Null)),
        (
            json!({ "set": ["", "the empty key", null] }),
            ok(Value::Null),
        ),
        (json!({ "get": "" }), ok(json!("the empty key"))),
        (json!({ "delete": "a" }), ok(Value::Null)),
        (json!({ "get": "a" }), ok(Value::Null)),
        (json!({ "delete": "a" }), ok(Value::Null)),
        (json!({ "add": ["n", 5, null] }), ok(json!(5))),
        (json!({ "add": ["n", -7, null] }), ok(json!(-2))),
        (json!({ "get": "n" }), ok(json!("-2"))),
        (json!({ "set": ["n", "40", null] }), ok(Value::Null)),
        (json!({ "add": ["n", 2, null] }), ok(json!(42))),
        (json!({ "add": ["n", 0, null] }), ok(json!(42))),
        (
            json!({ "replace": ["r", null, "first", null] }),
            ok(json!(true)),
        ),
        (
            json!({ "replace": ["r", null, "other", null] }),
            ok(json!(false)),
        ),
        (
            json!({ "replace": ["r", "", "other", null] }),
            ok(json!(false)),
        ),
        (
            json!({ "replace": ["r", "first", "second", null] }),
            ok(json!(true)),
        ),
        (
            json!({ "replace": ["r", "first", "third", null] }),
            ok(json!(false)),
        ),
        (json!({ "get": "r" }), ok(json!("second"))),
        (json!({ "delete": "r" }), ok(Value::Null)),
        (
            json!({ "replace": ["r", "second", "third", null] }),
            ok(json!(false)),
        ),
        (json!({ "get": "r" }), ok(Value::Null)),
    ] {
        assert_eq!(ask(&gateway, &json!([step])), [answer], "{step}");
    }
}

#[test]
fn what_cannot_be_kept_is_told() {
    let gateway = Gateway::start(&alone().toml());
    let long = "k".repeat(1025);
    let longest = "k".repeat(1024);
    let (most, least) = (i64::MAX, i64::MIN);
    for (steps, error) in [
        (json!([{ "get": long }]), Some("1024")),
        (json!([{ "set": [long, "v", null] }]), Some("1024")),
        (json!([{ "delete": long }]), Some("1024")),
        (json!([{ "add": [long, 1, null] }]), Some("1024")),
        (
            json!([{ "replace": [long, null, "v", null] }]),
            Some("1024"),
        ),
        (json!([{ "set": [longest, "v", null] }]), None),
        (json!([{ "set-long": ["v", 65_536] }]), None),
        (json!([{ "set-long": ["v", 65_537] }]), Some("65536")),
        (
            json!([{ "set": ["text", "1.5", null] }, { "add": ["text", 1, null] }]),
            Some("whole number"),
        ),
        (
            json!([{ "set": ["text", "01", null] }, { "add": ["text", 1, null] }]),
            Some("whole number"),
        ),
        (
            json!([{ "set": ["text", "", null] }, { "add": ["text", 1, null] }]),
            Some("whole number"),
        ),
        (
            json!([{ "add": ["most", most, null] }, { "add": ["most", 1, null] }]),
            Some("64 bits"),
        ),
        (
            json!([{ "add": ["least", least, null] }, { "add": ["least", -1, null] }]),
            Some("64 bits"),
        ),
        // The refused ones changed nothing.
        (json!([{ "add": ["most", -1, null] }]), None),
    ] {
        let told = ask(&gateway, &steps);
        let last = told.last().expect("an answer");
        match error {
            Some(text) => {
                let why = last["error"].as_str();
                assert!(why.is_some_and(|why| why.contains(text)), "{last}");
            }
            None => assert!(last["error"].is_null(), "{last}"),
        }
    }
    assert_eq!(
        ask(&gateway, &json!([{ "get": "most" }])),
        [ok(json!((most - 1).to_string()))]
    );
}

#[test]
fn each_plugin_has_keys_of_its_own() {
    let grant = "grant = { fetch = [\"users\"], kv = true }";
    let scene = alone()
        .plugin("other", &guest("guest_reach"), grant)
        .policy("other", "other", "")
        .policy("again", "reach", "config.configure = []")
        .route("other", "/other", &["other"])
        .route("again", "/again", &["again"]);
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    let set = |value: &str| json!([{ "set": ["key", value, null] }, { "add": ["n", 1, null] }]);
    let get = json!([{ "get": "key" }, { "get": "n" }]);
    ask_on(&mut client, "/reach", &set("reach"));
    assert_eq!(
        ask_on(&mut client, "/other", &get),
        [ok(Value::Null), ok(Value::Null)]
    );
    ask_on(&mut client, "/other", &set("other"));
    ask_on(&mut client, "/other", &json!([{ "delete": "n" }]));
    // Policies of one plugin share.
    for path in ["/reach", "/again"] {
        assert_eq!(
            ask_on(&mut client, path, &get),
            [ok(json!("reach")), ok(json!("1"))],
            "{path}"
        );
    }
    assert_eq!(
        ask_on(&mut client, "/other", &get),
        [ok(json!("other")), ok(Value::Null)]
    );
}

#[test]
fn values_end_with_their_time() {
    let gateway = Gateway::start(&alone().toml());
    let mut client = gateway.client();
    ask_on(
        &mut client,
        "/reach",
        &json!([
            { "set": ["stays", "a", null] },
            { "set": ["long", "b", 3_600_000] },
            { "set": ["endless", "c", u64::MAX] },
            { "set": ["short", "d", 200] },
            { "add": ["counted", 1, 200] },
            { "add": ["counted", 1, 3_600_000] },
            { "replace": ["replaced", null, "e", 200] },
            { "set": ["renewed", "f", 200] },
            { "set": ["renewed", "g", null] },
            { "set": ["at once", "h", 0] },
        ]),
    );
    assert_eq!(
        ask_on(&mut client, "/reach", &json!([{ "get": "at once" }])),
        [ok(Value::Null)]
    );
    for key in ["short", "counted", "replaced"] {
        let get = json!([{ "get": key }]);
        eventually(key, || {
            let told = ask_on(&mut client, "/reach", &get);
            (told == [ok(Value::Null)]).then_some(())
        });
    }
    // What ended is as if it never was.
    let told = ask_on(
        &mut client,
        "/reach",
        &json!([
            { "add": ["counted", 10, null] },
            { "replace": ["replaced", "e", "never", null] },
            { "replace": ["short", null, "again", null] },
        ]),
    );
    assert_eq!(told, [ok(json!(10)), ok(json!(false)), ok(json!(true))]);
    for (key, value) in [
        ("stays", "a"),
        ("long", "b"),
        ("endless", "c"),
        ("renewed", "g"),
    ] {
        assert_eq!(
            ask_on(&mut client, "/reach", &json!([{ "get": key }])),
            [ok(json!(value))]
        );
    }
}

/// Has this many clients do the same this many times, all at once.
fn in_parallel(gateway: &Gateway, clients: usize, each: usize, step: &Value) -> Vec<i64> {
    let steps = json!([step]);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                let mut client = gateway.client();
                let steps = &steps;
                scope.spawn(move || {
                    let calls = (0..each).map(|_| {
                        client.send(asking("/reach", steps, ""));
                        let told = told(&client.read());
                        told[0]["ok"].as_i64().unwrap_or_else(|| panic!("{told:?}"))
                    });
                    calls.collect::<Vec<i64>>()
                })
            })
            .collect();
        let counts = clients.into_iter();
        counts.flat_map(|it| it.join().expect("a client")).collect()
    })
}

#[test]
fn parallel_counts_are_exact() {
    let toml = alone().toml().replace(
        "[plugins.reach]",
        "[plugins.reach]\nlimits = { cpu = \"5s\", wall = \"20s\" }",
    );
    let gateway = Gateway::start(&toml);
    for (name, step) in [
        ("added", json!({ "add": ["added", 1, null] })),
        ("replaced", json!({ "count-by-replacing": "replaced" })),
    ] {
        let counts = in_parallel(&gateway, 20, 25, &step);
        let counted: BTreeSet<i64> = counts.iter().copied().collect();
        assert_eq!(counts.len(), 500);
        assert!(
            counted.into_iter().eq(1..=500),
            "{name}: some were counted twice"
        );
        assert_eq!(ask(&gateway, &json!([{ "get": name }])), [ok(json!("500"))]);
    }
}

#[test]
fn a_full_store_forgets_and_goes_on() {
    let grant = "grant = { fetch = [\"users\"], kv = true }";
    let scene = alone()
        .plugin("modest", &guest("guest_reach"), grant)
        .policy("modest", "modest", "")
        .route("modest", "/modest", &["modest"])
        .with("[store]\nkv = \"256KiB\"");
    let gateway = Gateway::start(&scene.toml());
    let mut client = gateway.client();
    ask_on(
        &mut client,
        "/modest",
        &json!([{ "set": ["kept", "value", null] }]),
    );
    for number in 0..50 {
        let key = format!("key {number}");
        let told = ask_on(
            &mut client,
            "/reach",
            &json!([{ "set-long": [key, 60_000] }, { "get": key }]),
        );
        assert_eq!(told[0], ok(Value::Null), "{number}");
        assert_eq!(
            told[1]["ok"].as_str().map(str::len),
            Some(60_000),
            "{number}"
        );
    }
    let keys: Vec<Value> = (0..50)
        .map(|number| json!({ "get": format!("key {number}") }))
        .collect();
    let there: usize = keys
        .iter()
        .filter(|get| ask_on(&mut client, "/reach", &json!([get]))[0] != ok(Value::Null))
        .count();
    assert!(
        (1..=4).contains(&there),
        "{there} values of 60 kB in 256 KiB"
    );
    // Who has little loses nothing to who has much.
    assert_eq!(
        ask_on(&mut client, "/modest", &json!([{ "get": "kept" }])),
        [ok(json!("value"))]
    );
}
