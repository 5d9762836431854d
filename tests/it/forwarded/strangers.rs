//! What a peer says that is not trusted.

use tollgate_tests::{Gateway, Origin};

use super::{get, told, trusting};

const FAMILY: [&str; 6] = ["x-f", "x_f", "x.f", "forwarded", "x-real", "true-"];

#[test]
fn nothing_of_a_proxy_reaches_the_upstream() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&trusting(&origin).toml());
    let lines = [
        "Forwarded: for=6.6.6.6",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Port: 6666",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Ssl: on",
        "X-Forwarded-User: admin",
        "X-Forwarded-Unheard-Of: 1",
        "X-FORWARDED-FOR: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6",
        "x.forwarded.for: 6.6.6.6",
        "X-Forwarded_Proto: https",
        "X-Real-IP: 6.6.6.6",
        "X_REAL_IP: 6.6.6.6",
        "True-Client-IP: 6.6.6.6",
        "CF-Connecting-IP: 6.6.6.6",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X-Originating-IP: 6.6.6.6",
        "Client-Cert: :AAAA:",
        "Proxy: http://evil.example",
        "X_Request_Id: mine",
        "Content_Length: 5",
        "Connection: x-forwarded-for, x-forwarded-proto, x-mine",
        "X-Mine: 1",
        "X_Other: 1",
    ];
    let answer = gateway.request(get("/a", &lines));
    let expected = [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: api.example",
        "x-forwarded-proto: http",
    ];
    assert_eq!(told(&answer, &FAMILY), expected);
    let rest = told(
        &answer,
        &[
            "cf-", "x-o", "x_o", "x-r", "x_r", "client", "proxy", "content", "x-m",
        ],
    );
    let id = answer.header("x-request-id").expect("an id");
    assert_eq!(
        rest,
        [format!("x-request-id: {id}"), "x_other: 1".to_owned()]
    );
}

/// The next client of a cache is not given what another's words made.
#[test]
fn nothing_of_it_is_cached_for_others() {
    let origin = Origin::echo();
    let config = "config = { ttl = \"1m\" }";
    let gateway = Gateway::start(
        &trusting(&origin)
            .policy("cache", "http-cache", config)
            .toml(),
    );
    let first = gateway.request(get(
        "/a",
        &["x-forwarded-prefix: /evil", "x-forwarded-host: evil"],
    ));
    let second = gateway.request(get("/a", &[]));
    assert!(
        second
            .header("cache-status")
            .expect("a status")
            .contains("hit")
    );
    assert_eq!(first.body, second.body);
    assert_eq!(
        told(&second, &["x-forwarded-p"]),
        ["x-forwarded-proto: http"]
    );
    assert_eq!(
        told(&second, &["x-forwarded-h"]),
        ["x-forwarded-host: api.example"]
    );
}
