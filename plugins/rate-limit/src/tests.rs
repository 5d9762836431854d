use std::time::Duration;

use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder};
use tollgate_plugin::{Bound, Effect, Limit, Period, Scope};

use super::RateLimit;

mod refused;

fn limits(config: Value, request: RequestBuilder) -> Vec<Limit> {
    let plugin: RateLimit = testing::configure(config).unwrap();
    testing::limits(&plugin, &request.build()).unwrap()
}

/// The key that one limit counts this request under; none, if it does not count it.
fn key(per: Value, request: RequestBuilder) -> Option<Vec<String>> {
    let limits = limits(json!({ "per": per, "rate": "1/s" }), request);
    limits.into_iter().next().map(|limit| limit.key)
}

fn get() -> RequestBuilder {
    testing::request("GET", "/pets/7?tag=a%26b&tag=c")
}

fn alice() -> RequestBuilder {
    get().principal("alice")
}

#[test]
fn what_the_design_shows() {
    let config = json!({ "per": "principal", "rate": "10/s", "burst": 20 });
    let expected = Limit::rate("per-second", 10, Duration::from_secs(1))
        .burst(20)
        .key(["principal", "", "alice"]);
    assert_eq!(limits(config, alice()), [expected]);
}

#[test]
fn rates_and_quotas() {
    let day = Duration::from_secs(24 * 3600);
    for (text, amount, period, name) in [
        ("1/s", 1, Duration::from_secs(1), "per-second"),
        ("100/m", 100, Duration::from_secs(60), "per-minute"),
        ("7/h", 7, Duration::from_secs(3600), "per-hour"),
        ("2/d", 2, day, "per-day"),
        ("10/5s", 10, Duration::from_secs(5), "per-5-seconds"),
        ("1/366d", 1, 366 * day, "per-366-days"),
    ] {
        let all = limits(json!({ "per": "all", "rate": text }), get());
        assert_eq!(all, [Limit::rate(name, amount, period)], "{text}");
    }
    for (text, period) in [
        ("minute", Period::Minute),
        ("hour", Period::Hour),
        ("day", Period::Day),
        ("week", Period::Week),
        ("month", Period::Month),
        ("year", Period::Year),
    ] {
        let quota = format!("10000/{text}");
        let all = limits(
            json!({ "per": "all", "quota": quota, "name": "plan" }),
            get(),
        );
        assert_eq!(all, [Limit::quota("plan", 10_000, period)]);
    }
    let both = limits(
        json!({ "per": "all", "rate": "5/s", "quota": "50/day" }),
        get(),
    );
    let names: Vec<_> = both.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(names, ["per-second", "day"]);
}

#[test]
fn several_limits_count_by_different_things() {
    let config = json!({
        "per": "principal",
        "limits": [
            { "rate": "10/s", "burst": 30 },
            { "rate": "100/m" },
            { "name": "plan", "quota": "1000/month" },
            { "name": "everybody", "per": "all", "rate": "500/s" },
        ],
        "scope": "gateway",
        "cost": 2,
        "mode": "count",
    });
    let all = limits(config, alice());
    let of_alice = ["principal", "", "alice"];
    let expected = [
        Limit::rate("per-second", 10, Duration::from_secs(1))
            .burst(30)
            .key(of_alice),
        Limit::rate("per-minute", 100, Duration::from_secs(60)).key(of_alice),
        Limit::quota("plan", 1000, Period::Month).key(of_alice),
        Limit::rate("everybody", 500, Duration::from_secs(1)),
    ];
    let expected = expected.map(|limit| limit.scope(Scope::Gateway).cost(2).count_only());
    assert_eq!(all, expected);
}

#[test]
fn what_is_counted_by() {
    let request = || {
        alice()
            .path_parameter("id", "7")
            .header("x-tenant", "acme")
            .claim("org", "acme")
            .claim("seats", 7)
            .claim("roles", json!(["a"]))
    };
    for (per, expected) in [
        (json!("all"), &[][..]),
        (json!("principal"), &["principal", "", "alice"]),
        (json!("usage-key"), &["usage-key's principal", "", "alice"]),
        (
            json!("client-address"),
            &["client-address", "", "192.0.2.1/32"],
        ),
        (
            json!({ "header": "X-Tenant" }),
            &["header", "X-Tenant", "acme"],
        ),
        (json!({ "claim": "org" }), &["claim", "org", "\"acme\""]),
        (json!({ "claim": "seats" }), &["claim", "seats", "7"]),
        (json!({ "claim": "roles" }), &["claim", "roles", "[\"a\"]"]),
        (
            json!({ "path-parameter": "id" }),
            &["path-parameter", "id", "7"],
        ),
        (json!({ "query": "tag" }), &["query", "tag", "a&b"]),
        (
            json!(["principal", { "path-parameter": "id" }]),
            &["principal", "", "alice", "path-parameter", "id", "7"],
        ),
    ] {
        assert_eq!(key(per.clone(), request()).unwrap(), expected, "{per}");
    }
    let usage = key(json!("usage-key"), request().usage_key("acme"));
    assert_eq!(usage.unwrap(), ["usage-key", "", "acme"]);
}

#[test]
fn addresses_are_counted_by_network() {
    let network = |config: Value, address: &str| {
        let request = get().client_address(address);
        limits(config, request).remove(0).key.remove(2)
    };
    let config = |four: u8, six: u8| json!({ "per": "client-address", "rate": "1/s", "ipv4-prefix": four, "ipv6-prefix": six });
    for (four, six, address, expected) in [
        (32, 64, "192.0.2.77", "192.0.2.77/32"),
        (24, 64, "192.0.2.77", "192.0.2.0/24"),
        (1, 64, "192.0.2.77", "128.0.0.0/1"),
        (32, 64, "::ffff:192.0.2.77", "192.0.2.77/32"),
        (32, 64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (32, 56, "2001:db8:1:2ff:3:4:5:6", "2001:db8:1:200::/56"),
        (32, 128, "2001:db8::6", "2001:db8::6/128"),
        (32, 1, "2001:db8::6", "::/1"),
        (32, 64, "elsewhere", "elsewhere"),
    ] {
        assert_eq!(network(config(four, six), address), expected, "{address}");
    }
    let by_default = json!({ "per": "client-address", "rate": "1/s" });
    assert_eq!(network(by_default, "2001:db8::6"), "2001:db8::/64");
}

/// No two of these may count together, whatever a client sends.
#[test]
fn keys_of_different_things_never_meet() {
    let per = |per: Value| move |request| key(per, request).unwrap();
    let keys = [
        per(json!("all"))(get()),
        per(json!("principal"))(alice()),
        per(json!("usage-key"))(get().usage_key("alice")),
        per(json!("usage-key"))(alice()),
        per(json!({ "header": "a" }))(get().header("a", "alice")),
        per(json!({ "header": "b" }))(get().header("b", "alice")),
        per(json!({ "claim": "a" }))(get().claim("a", "alice")),
        per(json!({ "claim": "n" }))(get().claim("n", 7)),
        per(json!({ "claim": "n" }))(get().claim("n", "7")),
        per(json!({ "path-parameter": "a" }))(get().path_parameter("a", "alice")),
        per(json!({ "query": "a" }))(testing::request("GET", "/?a=alice")),
        // What is missing is not what is empty, nor what a client writes.
        per(json!("principal"))(get()),
        per(json!({ "header": "a" }))(get()),
        per(json!({ "header": "a" }))(get().header("a", "")),
        per(json!({ "header": "a" }))(get().header("a", "no header")),
        per(json!(["principal", { "header": "a" }]))(get().header("a", "x")),
        per(json!(["principal", { "header": "a" }]))(alice()),
        per(json!(["principal", { "header": "a" }]))(get()),
        per(json!([{ "header": "a" }, "principal"]))(get()),
        // Long values have the same beginning.
        per(json!({ "header": "a" }))(get().header("a", "x".repeat(100))),
        per(json!({ "header": "a" }))(get().header("a", "x".repeat(101))),
        per(json!({ "header": "a" }))(get().header("a", "x".repeat(102))),
    ];
    for (index, one) in keys.iter().enumerate() {
        let twin = keys[..index].iter().position(|other| other == one);
        assert_eq!(twin, None, "{one:?}");
        let bytes: usize = one.iter().map(String::len).sum();
        assert!(bytes <= 1024 && one.len() <= 32);
    }
}

#[test]
fn all_lines_of_a_header_count() {
    let request = get().header("x-tenant", "a").header("X-Tenant", "b");
    let key = key(json!({ "header": "x-tenant" }), request).unwrap();
    assert_eq!(key, ["header", "x-tenant", "a, b"]);
}

#[test]
fn what_is_missing_is_shared_skipped_or_refused() {
    let with = |missing: &str, request| {
        let per = json!(["principal", { "header": "x-tenant" }]);
        let all = json!([{ "rate": "5/s" }, { "rate": "9/m" }, { "quota": "1/day", "per": "all" }]);
        let config = json!({ "per": per, "limits": all, "missing": missing });
        limits(config, request)
    };
    let shared = with("shared", alice());
    assert_eq!(shared.len(), 3);
    assert_eq!(
        shared[1].key,
        ["principal", "", "alice", "no header", "x-tenant"]
    );
    // What the others count by is there.
    let skipped = with("skip", alice());
    assert_eq!(skipped, [Limit::quota("day", 1, Period::Day)]);
    let refused = with("refuse", alice());
    let expected = Limit::quota("per-second", 0, Period::Minute).key(shared[0].key.clone());
    assert_eq!(refused, [expected]);
    for missing in ["shared", "skip", "refuse"] {
        assert_eq!(with(missing, alice().header("x-tenant", "a")).len(), 3);
    }
    let free = json!({ "per": "principal", "rate": "1/s", "missing": "refuse", "cost": 0 });
    assert_eq!(limits(free, get())[0].cost, 1);
    let null = get().claim("org", Value::Null);
    let nobody = json!({ "per": { "claim": "org" }, "rate": "1/s", "missing": "skip" });
    assert_eq!(limits(nobody, null), []);
}

#[test]
fn tiers_have_limits_of_their_own() {
    let config = |by: Value| {
        json!({
            "per": "principal",
            "rate": "1/s",
            "tiers": { "by": by, "of": {
                "gold": { "rate": "100/s", "burst": 200 },
                "silver": { "limits": [{ "rate": "10/s" }, { "quota": "1000/day" }] },
                "7": { "quota": "7/day" },
                "staff": { "limits": [] },
            } },
        })
    };
    let amounts = |by: Value, request| -> Vec<u64> {
        let all = limits(config(by), request).into_iter();
        all.map(|limit| match limit.bound {
            Bound::Rate { burst, .. } => burst,
            Bound::Quota { amount, .. } | Bound::Concurrent(amount) => amount,
        })
        .collect()
    };
    for (tier, expected) in [
        (json!("gold"), &[200][..]),
        (json!("silver"), &[10, 1000]),
        (json!("staff"), &[]),
        (json!(7), &[7]),
        (json!("Gold"), &[1]),
        (json!("unknown"), &[1]),
        (json!(["gold"]), &[1]),
        (Value::Null, &[1]),
    ] {
        let found = amounts(
            json!({ "claim": "tier" }),
            alice().claim("tier", tier.clone()),
        );
        assert_eq!(found, expected, "{tier}");
    }
    assert_eq!(amounts(json!({ "claim": "tier" }), alice()), [1]);
    let by = json!({ "variable": "tier" });
    assert_eq!(amounts(by.clone(), alice().variable("tier", "gold")), [200]);
    assert_eq!(amounts(by, alice().claim("tier", "gold")), [1]);
}

#[test]
fn costs() {
    let cost = |cost: Value, request| {
        let plugin: RateLimit =
            testing::configure(json!({ "per": "all", "rate": "9/s", "cost": cost })).unwrap();
        let limits = testing::limits(&plugin, &request);
        limits.map(|limits| limits[0].cost)
    };
    let request = |method: &str| testing::request(method, "/");
    let table = json!({ "variable": "cost", "methods": { "POST": 5, "GET": 0 }, "default": 2 });
    for (given, request, expected) in [
        (json!(3), request("GET"), 3),
        (json!({}), request("GET"), 1),
        (json!({ "variable": "cost" }), request("GET"), 1),
        (table.clone(), request("POST"), 5),
        (table.clone(), request("GET"), 0),
        (table.clone(), request("PUT"), 2),
        (table.clone(), request("POST").variable("cost", "8"), 8),
    ] {
        assert_eq!(
            cost(given.clone(), request.build()),
            Ok(expected),
            "{given}"
        );
    }
    let error = cost(table, request("GET").variable("cost", "much").build()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`cost`: the variable `cost` is \"much\", not a whole number"
    );
}

#[test]
fn groups_keep_policies_apart() {
    let config = json!({ "per": "principal", "rate": "1/s", "group": "plans", "scope": "route" });
    let all = limits(config, alice());
    assert_eq!(all[0].key, ["group", "plans", "principal", "", "alice"]);
    assert_eq!(
        (all[0].scope, all[0].effect),
        (Scope::Route, Effect::Enforce)
    );
}
