//! Configurations that are refused, and what is said of them.

use serde_json::{Value, json};

use super::refusal;

#[test]
fn bad_configurations_are_refused_by_place() {
    let with = |key: &str, value: Value| {
        let mut config = json!({ "origins": ["https://a.example"] });
        config[key] = value;
        config
    };
    let origin = |origin: &str| json!({ "origins": ["https://a.example", origin] });
    for (config, expected) in [
        (json!({}), "missing field `origins`"),
        (json!({ "origins": [] }), "`origins` is empty"),
        (
            json!({ "origins": ["*"], "credentials": true }),
            "`credentials` cannot be given to the origin `*`",
        ),
        (origin("*"), "beside `*` no other origin has a meaning"),
        (
            origin("a.example"),
            "origins[1]: \"a.example\" is no origin, such as https://app.example.com",
        ),
        (origin(""), "is no origin"),
        (origin("null"), "is what any page can call itself"),
        (origin("://a.example"), "has no scheme"),
        (origin("1x://a.example"), "has no scheme"),
        (origin("https://a.example/"), "has more than an origin has"),
        (origin("https://a.example?x"), "has more than an origin has"),
        (origin("https://u@a.example"), "has more than an origin has"),
        (origin("https://müller.example"), "Punycode"),
        (
            origin("https://a.example:443"),
            "browsers leave out the port 443 of https",
        ),
        (
            origin("http://a.example:80"),
            "browsers leave out the port 80 of http",
        ),
        (origin("https://a.example:0"), "has a port that is none"),
        (origin("https://a.example:"), "has a port that is none"),
        (origin("https://a.example:65536"), "has a port that is none"),
        (origin("https://a.example:x"), "has a port that is none"),
        (origin("https://"), "has a host that is none"),
        (origin("https://a b"), "has a host that is none"),
        (origin("https://a..example"), "has a host that is none"),
        (origin("https://*."), "has a host that is none"),
        (origin("https://*"), "has a `*` elsewhere"),
        (origin("https://a.*.example"), "has a `*` elsewhere"),
        (origin("https://a-*.example"), "has a `*` elsewhere"),
        (origin("https://*.*.example"), "has a `*` elsewhere"),
        (origin("https://[::1"), "has a host that is none"),
        (origin("https://[::x]"), "has an IPv6 address that is none"),
        (origin("https://[0::1]"), "browsers write [::1]"),
        (with("methods", json!(["put"])), "\"put\" is no method"),
        (
            with("methods", json!(["P T"])),
            "methods[0]: \"P T\" is no name",
        ),
        (
            with("methods", json!(["*"])),
            "methods[0]: leave `methods` out",
        ),
        (
            with("headers", json!(["a", "*"])),
            "headers[1]: leave `headers` out",
        ),
        (
            with("headers", json!(["a:"])),
            "headers[0]: \"a:\" is no name",
        ),
        (with("expose", json!(["*", "a"])), "`*` is for itself alone"),
        (
            json!({ "origins": ["https://a.example"], "expose": ["*"], "credentials": true }),
            "`*` is for itself alone",
        ),
        (with("expose", json!([""])), "expose[0]: \"\" is no name"),
        (
            with("max-age", json!("10")),
            "`max-age`: \"10\" must be a whole number",
        ),
        (with("max-age", json!("500ms")), "one of the units s, m, h"),
        (with("max-age", json!("-1s")), "one of the units s, m, h"),
        (with("max-age", json!("1.5h")), "one of the units s, m, h"),
        (with("max-age", json!("99999999999s")), "one of the units"),
        (with("origin", json!("*")), "unknown field"),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}");
    }
}
