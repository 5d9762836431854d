use serde_json::json;
use tollgate_plugin::{Limit, Period, Scope, Settlement, testing};

use super::Allowance;

fn plugin() -> Allowance {
    let tiers = json!({ "gold": 100 });
    let config = json!({ "units": 50, "tiers": tiers, "period": "month", "reserve": 10 });
    testing::configure(config).unwrap()
}

#[test]
fn the_tier_says_how_much_there_is() {
    for (tier, units) in [(None, 50), (Some("gold"), 100), (Some("lead"), 50)] {
        let request = testing::request("GET", "/").principal("alice");
        let request = tier
            .into_iter()
            .fold(request, |request, tier| request.claim("tier", tier));
        let expected = Limit::quota("units", units, Period::Month)
            .cost(10)
            .scope(Scope::Gateway)
            .key(["units", "alice"]);
        let limits = testing::limits(&plugin(), &request.build());
        assert_eq!(limits.unwrap(), [expected], "{tier:?}");
    }
}

#[test]
fn a_usage_key_is_counted_in_place_of_the_principal() {
    let request = testing::request("GET", "/")
        .principal("alice")
        .usage_key("acme")
        .build();
    assert_eq!(
        testing::limits(&plugin(), &request).unwrap()[0].key,
        ["units", "acme"]
    );
}

#[test]
fn without_a_caller_it_is_a_fault() {
    let request = testing::request("GET", "/").build();
    assert!(testing::limits(&plugin(), &request).is_err());
}

#[test]
fn an_answer_costs_what_it_says() {
    let request = testing::request("GET", "/").principal("alice").build();
    let charged = testing::limits(&plugin(), &request).unwrap();
    for (status, told, cost) in [
        (200, Some("40"), 40),
        (200, Some("0"), 0),
        (200, Some("much"), 10),
        (200, None, 10),
        (404, None, 10),
        (502, None, 0),
        (500, Some("3"), 3),
    ] {
        let response = testing::response(status);
        let response = told
            .into_iter()
            .fold(response, |response, cost| response.header("x-cost", cost));
        let settled = testing::settle(&plugin(), &request, &response.build(), &charged);
        let expected = Settlement::new("units", cost);
        assert_eq!(settled.unwrap(), [expected], "{status} {told:?}");
    }
}
