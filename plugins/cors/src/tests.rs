use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder, TestRequest, TestResponse};
use tollgate_plugin::{Outcome, Reply, RequestTransformer, ResponseTransformer};

use super::Cors;

mod refusals;

fn plugin(config: Value) -> Cors {
    testing::configure(config).unwrap()
}

fn refusal(config: Value) -> String {
    match testing::configure::<Cors>(config) {
        Ok(_) => panic!("this configuration must be refused"),
        Err(error) => error.to_string(),
    }
}

fn way_in(plugin: &Cors, request: &mut TestRequest) -> Outcome {
    request
        .edit(|request| plugin.transform_request(request))
        .unwrap()
}

/// `name: value` lines of a reply, sorted.
fn lines(reply: &Reply) -> Vec<String> {
    let mut lines: Vec<String> = reply
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    lines.sort();
    lines
}

fn asking(origin: &str, method: &str) -> RequestBuilder {
    testing::request("OPTIONS", "/pets/7")
        .header("origin", origin)
        .header("access-control-request-method", method)
}

fn preflight(config: Value, request: RequestBuilder) -> Reply {
    match way_in(&plugin(config), &mut request.build()) {
        Outcome::Respond(reply) => reply,
        Outcome::Next => panic!("a preflight must be answered"),
    }
}

/// Sends a request in, and this response out; answers the CORS headers and `vary` that it then has.
fn out(plugin: &Cors, request: RequestBuilder, response: &mut TestResponse) -> Vec<String> {
    let mut request = request.build();
    assert_eq!(way_in(plugin, &mut request), Outcome::Next);
    // Entries further in may remove what a page said.
    request
        .edit(|request| request.remove_header("origin"))
        .unwrap();
    let outcome = response.edit(|response| plugin.transform_response(&request, response));
    assert_eq!(outcome.unwrap(), Outcome::Next);
    response
        .headers()
        .iter()
        .filter(|(name, _)| name.starts_with("access-control-") || name == "vary")
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect()
}

fn from(origin: &str) -> RequestBuilder {
    testing::request("GET", "/pets").header("origin", origin)
}

#[test]
fn a_preflight_is_answered_with_what_it_asks_for() {
    let request =
        asking("https://app.example.com", "PUT").header("access-control-request-headers", "a,x-b");
    let reply = preflight(json!({ "origins": ["https://app.example.com"] }), request);
    assert_eq!((reply.status, reply.body.as_slice()), (204, &b""[..]));
    assert_eq!(
        lines(&reply),
        [
            "access-control-allow-headers: a, x-b",
            "access-control-allow-methods: PUT",
            "access-control-allow-origin: https://app.example.com",
            "access-control-max-age: 600",
            "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ]
    );
}

#[test]
fn a_preflight_is_answered_with_what_is_listed() {
    let config = json!({
        "origins": ["https://app.example.com", "https://*.example.org"],
        "methods": ["PUT", "DELETE"],
        "headers": ["content-type", "X-Api-Key"],
        "expose": ["x-total"],
        "credentials": true,
        "max-age": "2h",
        "private-network": true,
    });
    let request = asking("https://a.b.example.org", "PATCH")
        .header("access-control-request-headers", "x-other")
        .header("access-control-request-private-network", "true");
    assert_eq!(
        lines(&preflight(config.clone(), request)),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-headers: content-type, X-Api-Key",
            "access-control-allow-methods: PUT, DELETE",
            "access-control-allow-origin: https://a.b.example.org",
            "access-control-allow-private-network: true",
            "access-control-max-age: 7200",
            "vary: Origin, Access-Control-Request-Private-Network",
        ]
    );
    let reply = preflight(config, asking("https://app.example.com", "PUT"));
    assert!(!lines(&reply).join("\n").contains("private-network: true"));
}

#[test]
fn every_origin_gets_a_star() {
    let config = json!({ "origins": ["*"], "methods": [], "headers": [], "max-age": "0s" });
    let expected = [
        "access-control-allow-origin: *",
        "access-control-max-age: 0",
    ];
    for origin in ["https://anywhere.example", "null"] {
        let reply = preflight(config.clone(), asking(origin, "GET"));
        assert_eq!(lines(&reply), expected);
    }
    // Private networks are not asked for unless they are configured.
    let request = asking("null", "GET").header("access-control-request-private-network", "true");
    assert_eq!(lines(&preflight(config, request)), expected);
}

#[test]
fn what_a_preflight_asks_for_is_sent_back_only_if_it_is_names() {
    for (asked, expected) in [
        (&["a, b"][..], Some("a, b")),
        (&["a,,\tb ,"], Some("a, b")),
        (&["a", "b"], Some("a, b")),
        (&[""], None),
        (&["a b"], None),
        (&["a, b:c"], None),
        (&["<b>"], None),
        (&["ä"], None),
        (&["a", "b;c"], None),
    ] {
        let request = asked
            .iter()
            .fold(asking("https://a.example", "PUT"), |request, line| {
                request.header("access-control-request-headers", line)
            });
        let reply = preflight(json!({ "origins": ["https://a.example"] }), request);
        let lines = lines(&reply);
        let got = lines
            .iter()
            .find_map(|line| line.strip_prefix("access-control-allow-headers: "));
        assert_eq!(got, expected, "{asked:?}");
    }
}

#[test]
fn a_preflight_of_another_origin_is_refused() {
    let config = json!({ "origins": ["https://app.example.com"], "credentials": true });
    let twice =
        asking("https://app.example.com", "GET").header("origin", "https://app.example.com");
    for request in [
        asking("https://evil.example", "GET"),
        asking("null", "GET"),
        asking("", "GET"),
        twice,
    ] {
        let reply = preflight(config.clone(), request);
        assert_eq!(reply.status, 403);
        assert_eq!(
            lines(&reply),
            [
                "content-type: application/problem+json",
                "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ]
        );
    }
}

#[test]
fn what_is_no_preflight_goes_on() {
    let plugin = plugin(json!({ "origins": ["https://app.example.com"] }));
    let options = || testing::request("OPTIONS", "/pets");
    for request in [
        options(),
        options().header("origin", "https://app.example.com"),
        options().header("origin", "https://evil.example"),
        options().header("access-control-request-method", "PUT"),
        testing::request("GET", "/pets")
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "PUT"),
        testing::request("DELETE", "/pets").header("origin", "https://evil.example"),
    ] {
        assert_eq!(way_in(&plugin, &mut request.build()), Outcome::Next);
    }
}

#[test]
fn origins_are_compared_whole() {
    let plugin = plugin(json!({ "origins": [
        "https://App.Example.com", "http://localhost:5173", "https://*.example.org",
        "https://*.example.net:8443", "http://[::1]:3000", "chrome-extension://abcdefgh",
        "https://xn--mller-kva.example",
    ] }));
    for (origin, expected) in [
        ("https://app.example.com", true),
        ("https://App.example.com", false),
        ("http://app.example.com", false),
        ("https://app.example.com:8443", false),
        ("https://app.example.com.evil.example", false),
        ("https://evil-app.example.com", false),
        ("https://app.example.com/", false),
        ("http://localhost:5173", true),
        ("http://localhost", false),
        ("http://localhost:51730", false),
        ("https://a.example.org", true),
        ("https://a-1_x.b.example.org", true),
        ("https://example.org", false),
        ("https://.example.org", false),
        ("https://a..example.org", false),
        ("https://evilexample.org", false),
        ("https://a.example.org:8443", false),
        ("http://a.example.org", false),
        ("https://evil.example/.example.org", false),
        ("https://evil.example#.example.org", false),
        ("https://evil.example:80.example.org", false),
        ("https://user@a.example.org", false),
        ("https://a.example.net:8443", true),
        ("https://a.example.net", false),
        ("http://[::1]:3000", true),
        ("http://[::1]", false),
        ("chrome-extension://abcdefgh", true),
        ("https://xn--mller-kva.example", true),
        ("null", false),
        ("*", false),
        ("", false),
    ] {
        let got = out(&plugin, from(origin), &mut testing::response(200).build());
        let allowed = format!("access-control-allow-origin: {origin}");
        assert_eq!(got.contains(&allowed), expected, "{origin}");
        let lines = if expected { 2 } else { 1 };
        assert_eq!(got.len(), lines, "{got:?}");
    }
    let long = format!("https://{}.example.org", "a".repeat(254));
    assert_eq!(
        out(&plugin, from(&long), &mut testing::response(200).build()),
        ["vary: Origin"]
    );
    let bytes = testing::request("GET", "/").header("origin", b"https://a\xff.example.org");
    assert_eq!(
        out(&plugin, bytes, &mut testing::response(200).build()),
        ["vary: Origin"]
    );
}

#[test]
fn answers_say_who_may_read_them() {
    let plugin = plugin(json!({
        "origins": ["https://app.example.com"],
        "expose": ["x-total", "ETag"],
        "credentials": true,
    }));
    // Also those of the gateway's own making.
    for status in [200, 304, 401, 502] {
        let mut response = testing::response(status).build();
        assert_eq!(
            out(&plugin, from("https://app.example.com"), &mut response),
            [
                "vary: Origin",
                "access-control-allow-origin: https://app.example.com",
                "access-control-allow-credentials: true",
                "access-control-expose-headers: x-total, ETag",
            ]
        );
    }
    for request in [
        from("https://evil.example"),
        from("https://app.example.com").header("origin", "https://app.example.com"),
        testing::request("GET", "/pets"),
    ] {
        let mut response = testing::response(200).build();
        assert_eq!(out(&plugin, request, &mut response), ["vary: Origin"]);
    }
}

#[test]
fn a_star_is_for_every_answer_and_needs_no_vary() {
    let plugin = plugin(json!({ "origins": ["*"], "expose": ["*"] }));
    for request in [
        from("https://anywhere.example"),
        from("null"),
        testing::request("GET", "/pets"),
    ] {
        let mut response = testing::response(200)
            .header("vary", "Accept-Encoding")
            .build();
        assert_eq!(
            out(&plugin, request, &mut response),
            [
                "vary: Accept-Encoding",
                "access-control-allow-origin: *",
                "access-control-expose-headers: *",
            ]
        );
    }
}

#[test]
fn what_the_upstream_says_of_cors_is_removed() {
    let said = || {
        testing::response(200)
            .header("Access-Control-Allow-Origin", "*")
            .header("Access-Control-Allow-Origin", "https://evil.example")
            .header("Access-Control-Allow-Credentials", "true")
            .header("Access-Control-Expose-Headers", "x-secret")
            .header("Access-Control-Allow-Methods", "DELETE")
            .header("Access-Control-Allow-Headers", "*")
            .header("Access-Control-Max-Age", "1")
            .header("Access-Control-Allow-Private-Network", "true")
            .header("x-kept", "kept")
            .build()
    };
    let listed = plugin(json!({ "origins": ["https://app.example.com"] }));
    let mut response = said();
    assert_eq!(
        out(&listed, from("https://evil.example"), &mut response),
        ["vary: Origin"]
    );
    assert_eq!(response.header("x-kept").as_deref(), Some(&b"kept"[..]));
    assert_eq!(
        out(&listed, from("https://app.example.com"), &mut said()),
        [
            "vary: Origin",
            "access-control-allow-origin: https://app.example.com"
        ]
    );
    let any = plugin(json!({ "origins": ["*"] }));
    assert_eq!(
        out(&any, from("https://evil.example"), &mut said()),
        ["access-control-allow-origin: *"]
    );
}

#[test]
fn vary_names_the_origin_once() {
    let plugin = plugin(json!({ "origins": ["https://app.example.com"] }));
    for (lines, expected) in [
        (&["Accept"][..], &["Accept", "Origin"][..]),
        (&["accept , ORIGIN"], &["accept , ORIGIN"]),
        (&["accept", "origin"], &["accept", "origin"]),
        (&["*"], &["*"]),
        (&["x-origin"], &["x-origin", "Origin"]),
    ] {
        let response = lines.iter().fold(testing::response(200), |response, line| {
            response.header("vary", line)
        });
        let expected: Vec<String> = expected
            .iter()
            .map(|line| format!("vary: {line}"))
            .collect();
        let request = testing::request("GET", "/");
        assert_eq!(out(&plugin, request, &mut response.build()), expected);
    }
}
