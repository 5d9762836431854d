//! Configurations that are refused.

use super::*;

fn refusal(config: Value) -> String {
    match testing::configure::<RateLimit>(config.clone()) {
        Ok(_) => panic!("must be refused: {config}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bad_configurations_are_refused_by_place() {
    let per = |per: Value| json!({ "per": per, "rate": "1/s" });
    let rate = |rate: &str| json!({ "per": "all", "rate": rate });
    let limits = |limits: Value| json!({ "per": "all", "limits": limits });
    let tiers = |of: Value| json!({ "per": "all", "rate": "1/s", "tiers": { "by": { "claim": "t" }, "of": of } });
    let long = "n".repeat(101);
    for (config, expected) in [
        (json!({ "rate": "1/s" }), "missing field `per`"),
        (json!({ "per": "all" }), "there is no limit"),
        (json!({ "per": "all", "limits": [] }), "there is no limit"),
        (
            json!({ "per": "all", "rate": "1/s", "rates": 1 }),
            "unknown field `rates`",
        ),
        (
            per(json!("nobody")),
            "`per` is \"principal\", \"usage-key\"",
        ),
        (per(json!([])), "`per` is empty"),
        (per(json!(["all", "principal"])), "stands alone"),
        (
            per(json!(["principal", "principal"])),
            "the same thing twice",
        ),
        (
            per(
                json!([{ "query": "a" }, { "query": "b" }, { "query": "c" }, { "query": "d" }, "principal"]),
            ),
            "`per` has 5 parts",
        ),
        (
            per(json!({ "header": "x tenant" })),
            "is not the name of a header",
        ),
        (
            per(json!({ "claim": "" })),
            "the name of the claim is empty",
        ),
        (per(json!({ "query": long })), "more than 100 bytes"),
        (rate("10"), "\"10\" is no rate"),
        (rate("10/x"), "is no rate"),
        (rate("10/day"), "is no rate"),
        (rate("/s"), "is no rate"),
        (rate("+1/s"), "is no rate"),
        (rate("1/-1s"), "is no rate"),
        (rate("99999999999999999999/s"), "is no rate"),
        (rate("0/s"), "lets nothing pass"),
        (rate("1/0s"), "the time may be 1s to 366d"),
        (rate("1/367d"), "the time may be 1s to 366d"),
        (
            rate("1/18446744073709551615d"),
            "the time may be 1s to 366d",
        ),
        (
            json!({ "per": "all", "rate": "1/s", "burst": 0 }),
            "a `burst` of 0",
        ),
        (json!({ "per": "all", "burst": 5 }), "belong to a `rate`"),
        (
            json!({ "per": "all", "burst": 5, "quota": "1/day" }),
            "`burst` needs a `rate`",
        ),
        (
            json!({ "per": "all", "quota": "5/s" }),
            "\"5/s\" is no quota",
        ),
        (
            json!({ "per": "all", "quota": "0/day" }),
            "lets nothing pass",
        ),
        (
            json!({ "per": "all", "rate": "1/s", "quota": "5/day", "name": "a" }),
            "are two limits",
        ),
        (
            json!({ "per": "all", "rate": "1/s", "limits": [] }),
            "are both given",
        ),
        (
            limits(json!([{}])),
            "limits[0]: has no `rate` and no `quota`",
        ),
        (
            limits(json!([{ "rate": "1/s", "quota": "1/day" }])),
            "limits[0]: has a `rate` and a `quota`",
        ),
        (
            limits(json!([{ "quota": "1/day", "burst": 1 }])),
            "limits[0]: `burst` is for a `rate`",
        ),
        (
            limits(json!([{ "rate": "1/s" }, { "rate": "5/s", "name": "b" }])),
            "limits[1]: counts the same in the same time as limits[0]",
        ),
        (
            limits(json!([{ "rate": "1/s" }, { "rate": "5/s", "per": "principal" }])),
            "limits[1]: has the name `per-second` of limits[0]",
        ),
        (
            limits(json!([{ "rate": "1/s", "name": "ü" }])),
            "printable ASCII",
        ),
        (
            limits(json!([{ "rate": "1/s", "name": long }])),
            "more than 64 bytes",
        ),
        (
            limits(json!(vec![json!({ "rate": "1/s" }); 17])),
            "`limits` has 17; at most 16",
        ),
        (tiers(json!({})), "`tiers.of` has no tier"),
        (
            tiers(json!({ "gold": {} })),
            "tiers.of.\"gold\" has no limit",
        ),
        (
            tiers(json!({ "gold": { "rate": "x" } })),
            "tiers.of.\"gold\".rate: \"x\" is no rate",
        ),
        (
            json!({ "per": "all", "tiers": { "by": { "claim": "t" }, "of": { "a": { "rate": "1/s" } } } }),
            "nothing is said of callers in no tier",
        ),
        (
            json!({ "per": "all", "rate": "1/s", "tiers": { "by": { "claim": "" }, "of": {} } }),
            "`tiers.by` names one `claim` or one `variable`",
        ),
        (
            json!({ "per": "all", "rate": "5/s", "cost": 6 }),
            "a request that costs 6 would never pass: at most 5",
        ),
        (
            json!({ "per": "all", "rate": "5/s", "cost": { "methods": { "POST": 7 } } }),
            "a request that costs 7 would never pass",
        ),
        (
            json!({ "per": "all", "rate": "5/s", "cost": { "methods": { "post": 1 } } }),
            "\"post\" is no method",
        ),
        (
            json!({ "per": "all", "rate": "5/s", "cost": -1 }),
            "`cost` is a whole number, or a table",
        ),
        (
            json!({ "per": "all", "rate": "5/s", "ipv4-prefix": 33 }),
            "`ipv4-prefix` is 33; it may be 1 to 32",
        ),
        (
            json!({ "per": "all", "rate": "5/s", "ipv6-prefix": 0 }),
            "`ipv6-prefix` is 0; it may be 1 to 128",
        ),
        (
            json!({ "per": "all", "rate": "5/s", "group": long }),
            "`group` has more than",
        ),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}\nbut not: {expected}");
    }
}
