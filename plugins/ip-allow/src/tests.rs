use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};
use tollgate_plugin::{Outcome, RequestTransformer, testing};

use super::IpAllow;

fn plugin(config: Value) -> IpAllow {
    testing::configure(config).unwrap()
}

fn refusal(config: Value) -> String {
    match testing::configure::<IpAllow>(config) {
        Ok(_) => panic!("this configuration must be refused"),
        Err(error) => error.to_string(),
    }
}

fn passes(plugin: &IpAllow, address: &str) -> bool {
    let mut request = testing::request("GET", "/pets")
        .client_address(address)
        .build();
    let outcome = request.edit(|request| plugin.transform_request(request));
    match outcome.unwrap() {
        Outcome::Next => true,
        Outcome::Respond(reply) => {
            assert_eq!(reply.status, 403);
            let kind = ("content-type".into(), b"application/problem+json".to_vec());
            assert!(reply.headers.contains(&kind));
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(
                body["detail"],
                "requests from this address are not accepted"
            );
            false
        }
    }
}

#[track_caller]
fn check(config: Value, cases: &[(&str, bool)]) {
    let plugin = plugin(config);
    for (address, expected) in cases {
        assert_eq!(passes(&plugin, address), *expected, "{address}");
    }
}

#[test]
fn only_the_allowed_may_call() {
    check(
        json!({ "allow": ["192.0.2.0/24", "203.0.113.7", "2001:db8::/32", "::1"] }),
        &[
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.1.255", false),
            ("192.0.3.0", false),
            ("203.0.113.7", true),
            ("203.0.113.6", false),
            ("203.0.113.8", false),
            ("2001:db8::", true),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db7:ffff::", false),
            ("2001:db9::", false),
            ("::1", true),
            ("::2", false),
            // The number of 192.0.2.1, in the other family.
            ("::c000:201", false),
        ],
    );
}

#[test]
fn all_but_the_denied_may_call_where_nothing_is_allowed() {
    check(
        json!({ "deny": ["192.0.2.0/24", "2001:db8::/32"] }),
        &[
            ("192.0.2.9", false),
            ("192.0.3.9", true),
            ("2001:db8::9", false),
            ("2001:db9::9", true),
        ],
    );
}

#[test]
fn deny_beats_allow_whichever_is_narrower() {
    check(
        json!({
            "allow": ["10.0.0.0/8", "192.0.2.7"],
            "deny": ["10.1.0.0/16", "192.0.2.0/24"],
        }),
        &[
            ("10.0.0.1", true),
            ("10.1.0.1", false),
            ("10.2.0.1", true),
            ("192.0.2.7", false),
        ],
    );
    check(
        json!({ "allow": ["10.0.0.0/8"], "deny": [] }),
        &[("10.0.0.1", true), ("11.0.0.1", false)],
    );
}

#[test]
fn an_ipv4_address_in_ipv6_is_that_ipv4_address() {
    let cases = [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("::ffff:c000:201", true),
        ("192.0.3.1", false),
        ("::ffff:192.0.3.1", false),
        // Another range (NAT64), and another address.
        ("64:ff9b::192.0.2.1", false),
    ];
    for network in [
        "192.0.2.0/24",
        "::ffff:192.0.2.0/120",
        "::ffff:c000:200/120",
    ] {
        check(json!({ "allow": [network] }), &cases);
    }
    check(
        json!({ "allow": ["::ffff:192.0.2.1"] }),
        &[("192.0.2.1", true), ("192.0.2.2", false)],
    );
}

#[test]
fn all_of_one_family_is_nothing_of_the_other() {
    check(
        json!({ "allow": ["0.0.0.0/0"] }),
        &[
            ("0.0.0.0", true),
            ("255.255.255.255", true),
            ("::ffff:192.0.2.1", true),
            ("::1", false),
        ],
    );
    check(
        json!({ "deny": ["::/0"] }),
        &[
            ("::", false),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
        ],
    );
    check(
        json!({ "allow": ["::ffff:0:0/96"] }),
        &[("192.0.2.1", true), ("::1", false)],
    );
}

#[test]
fn networks_may_overlap_touch_and_repeat() {
    check(
        json!({ "allow": [
            "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/24", "10.255.255.255", "11.0.0.0/32",
            "9.255.255.0/24", "255.255.255.255", "0.0.0.0",
        ] }),
        &[
            ("9.255.254.255", false),
            ("9.255.255.0", true),
            ("10.0.0.1", true),
            ("10.0.1.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", true),
            ("11.0.0.1", false),
            ("0.0.0.0", true),
            ("0.0.0.1", false),
            ("255.255.255.254", false),
            ("255.255.255.255", true),
        ],
    );
}

/// Every address is looked up as a plain walk over the networks would.
#[test]
fn ten_thousand_networks_are_searched_rightly() {
    // A generator of no quality, but always the same numbers (Knuth's MMIX).
    let mut state = 7u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state
    };
    let nets: Vec<ipnet::IpNet> = (0..10_000)
        .map(|_| {
            let (number, prefix) = (next(), next());
            let net = if prefix % 2 == 0 {
                let address = Ipv4Addr::from((number >> 32) as u32);
                ipnet::IpNet::new(address.into(), 14 + (prefix >> 32) as u8 % 19)
            } else {
                let address = Ipv6Addr::from(u128::from(number) << 64);
                ipnet::IpNet::new(address.into(), 12 + (prefix >> 32) as u8 % 20)
            };
            net.unwrap().trunc()
        })
        .collect();
    let texts: Vec<String> = nets.iter().map(ToString::to_string).collect();
    let plugin = plugin(json!({ "deny": texts }));
    let (mut inside, mut outside) = (0, 0);
    for round in 0..4_000 {
        let number = next();
        let address: std::net::IpAddr = match round % 4 {
            0 => Ipv4Addr::from((number >> 32) as u32).into(),
            1 => Ipv6Addr::from(u128::from(number) << 64).into(),
            2 => nets[number as usize % nets.len()].network(),
            _ => nets[number as usize % nets.len()].broadcast(),
        };
        let expected = !nets.iter().any(|net| net.contains(&address));
        assert_eq!(passes(&plugin, &address.to_string()), expected, "{address}");
        *(if expected { &mut outside } else { &mut inside }) += 1;
    }
    assert!(inside > 1_000 && outside > 500, "{inside} {outside}");
}

#[test]
fn bad_configurations_are_refused_by_place() {
    let cases = [
        (json!({}), "give `allow`, `deny` or both"),
        (json!({ "allow": [] }), "`allow` is empty"),
        (
            json!({ "allow": [], "deny": ["10.0.0.0/8"] }),
            "`allow` is empty",
        ),
        (json!({ "deny": [] }), "`deny` is empty"),
        (
            json!({ "allow": ["10.0.0.0/8", "10.0.0.300"] }),
            "allow[1]: \"10.0.0.300\" is no address and no network",
        ),
        (
            json!({ "deny": ["10.0.0.0/33"] }),
            "deny[0]: \"10.0.0.0/33\" is no address",
        ),
        (json!({ "deny": ["2001:db8::/129"] }), "is no address"),
        (json!({ "deny": ["10.0.0/8"] }), "is no address"),
        (json!({ "deny": ["010.0.0.1"] }), "is no address"),
        (json!({ "deny": ["10.0.0.0/255.0.0.0"] }), "is no address"),
        (json!({ "deny": ["10.0.0.1 "] }), "is no address"),
        (json!({ "deny": ["fe80::1%eth0"] }), "is no address"),
        (json!({ "deny": ["example.com"] }), "is no address"),
        (json!({ "deny": [""] }), "is no address"),
        (
            json!({ "allow": ["10.0.0.1/8"] }),
            "allow[0]: \"10.0.0.1/8\" has bits behind its prefix: write 10.0.0.0/8, or 10.0.0.1 if",
        ),
        (
            json!({ "allow": ["2001:db8::1/32"] }),
            "write 2001:db8::/32, or 2001:db8::1 if",
        ),
        (
            json!({ "allow": ["::ffff:192.0.2.1/120"] }),
            "write 192.0.2.0/24, or 192.0.2.1 if",
        ),
        (
            json!({ "allow": ["::ffff:192.0.2.0/90"] }),
            "has bits behind its prefix",
        ),
        (json!({ "permit": ["::1"] }), "unknown field"),
    ];
    for (config, expected) in cases {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_client_that_is_not_known_is_let_in_by_no_list() {
    for config in [
        json!({ "deny": ["10.0.0.0/8"] }),
        json!({ "allow": ["0.0.0.0/0", "::/0"] }),
    ] {
        let plugin = plugin(config);
        let mut request = testing::request("GET", "/")
            .client_address("unknown")
            .build();
        let outcome = request.edit(|request| plugin.transform_request(request));
        match outcome.unwrap() {
            Outcome::Respond(reply) => assert_eq!(reply.status, 403),
            Outcome::Next => panic!("it was let in"),
        }
    }
}
