//! What is counted by is tested where it is: in `rate-limit`.

use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder};
use tollgate_plugin::{Limit, Scope};

use super::ConcurrencyLimit;

fn limits(config: Value, request: RequestBuilder) -> Vec<Limit> {
    let plugin: ConcurrencyLimit = testing::configure(config).unwrap();
    testing::limits(&plugin, &request.build()).unwrap()
}

fn get() -> RequestBuilder {
    testing::request("GET", "/pets/7").client_address("2001:db8::7")
}

#[test]
fn so_many_at_once() {
    for (config, request, expected) in [
        (
            json!({ "per": "principal", "max": 5 }),
            get().principal("alice"),
            Limit::concurrent("concurrency", 5).key(["principal", "", "alice"]),
        ),
        (
            json!({ "per": "all", "max": 1, "name": "reports" }),
            get(),
            Limit::concurrent("reports", 1),
        ),
        (
            json!({ "per": "client-address", "max": 2, "scope": "gateway", "mode": "count" }),
            get(),
            Limit::concurrent("concurrency", 2)
                .key(["client-address", "", "2001:db8::/64"])
                .scope(Scope::Gateway)
                .count_only(),
        ),
        (
            json!({ "per": ["principal", { "claim": "org" }], "max": 3, "group": "g" }),
            get().claim("org", "acme"),
            Limit::concurrent("concurrency", 3).key([
                "group",
                "g",
                "no principal",
                "",
                "claim",
                "org",
                "\"acme\"",
            ]),
        ),
    ] {
        assert_eq!(limits(config, request), [expected]);
    }
}

#[test]
fn what_is_missing_is_shared_skipped_or_refused() {
    let with = |missing: &str| {
        let config = json!({
            "per": "principal", "max": 5, "missing": missing, "scope": "route", "mode": "count",
        });
        limits(config, get())
    };
    let shared = Limit::concurrent("concurrency", 5)
        .key(["no principal", ""])
        .scope(Scope::Route)
        .count_only();
    let refused = Limit::concurrent("concurrency", 0)
        .key(["no principal", ""])
        .scope(Scope::Route)
        .count_only();
    assert_eq!(with("shared"), [shared]);
    assert_eq!(with("skip"), []);
    assert_eq!(with("refuse"), [refused]);
}

#[test]
fn bad_configurations_are_refused() {
    let long = "n".repeat(65);
    for (config, expected) in [
        (json!({ "max": 1 }), "missing field `per`"),
        (json!({ "per": "all" }), "missing field `max`"),
        (json!({ "per": "all", "max": 0 }), "a `max` of 0"),
        (json!({ "per": "all", "max": -1 }), "invalid value"),
        (
            json!({ "per": "all", "max": 1, "rate": 1 }),
            "unknown field `rate`",
        ),
        (json!({ "per": [], "max": 1 }), "`per` is empty"),
        (json!({ "per": "all", "max": 1, "name": "" }), "`name`"),
        (
            json!({ "per": "all", "max": 1, "name": long }),
            "more than 64 bytes",
        ),
        (
            json!({ "per": "all", "max": 1, "ipv6-prefix": 129 }),
            "`ipv6-prefix` is 129",
        ),
    ] {
        let Err(error) = testing::configure::<ConcurrencyLimit>(config) else {
            panic!("must be refused: {expected}");
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
}
