//! CORS preflights (the Fetch standard, "CORS-preflight request") go the route of the method that they
//! ask for. An entry of its chain answers them, or nobody does.

use tollgate_tests::{Folder, Gateway, Origin, Response};

use super::{inwards, outwards, traced};
use crate::scene::Scene;

/// Routes of one path by method, each with a chain of its own.
fn scene(folder: &Folder, origin: &Origin) -> Scene {
    traced(folder, origin, &["gate", "get", "put", "options", "any"])
        .with(
            r#"
            [gateway]
            chain = ["gate"]

            [routes.get]
            match = "GET,HEAD /p"
            chain = [{ policy = "get", when = { methods = ["GET"] } }]
            upstream = "origin"

            [routes.put]
            match = "PUT /p"
            chain = ["put"]
            upstream = "origin"

            [routes.own]
            match = "GET,OPTIONS /own"
            chain = ["options"]
            upstream = "origin"

            [routes.mixed-get]
            match = "GET /mixed"
            chain = ["get"]
            upstream = "origin"

            [routes.mixed-options]
            match = "OPTIONS /mixed"
            chain = ["options"]
            upstream = "origin"
            "#,
        )
        .route("any", "/any", &["any"])
}

const ORIGIN: &str = "origin: https://page.example";

fn options(gateway: &Gateway, path: &str, headers: &[&str]) -> Response {
    let mut head = format!("OPTIONS {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n");
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    gateway.request(format!("{head}\r\n"))
}

fn preflight(gateway: &Gateway, path: &str, method: &str, more: &[&str]) -> Response {
    let asked = format!("access-control-request-method: {method}");
    let headers: Vec<&str> = [ORIGIN, &asked]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    options(gateway, path, &headers)
}

/// A 405 whose `Allow` has at least these methods, and no OPTIONS, which nobody would answer.
#[track_caller]
fn assert_not_allowed(response: &Response, allow: &[&str], passed: &str) {
    assert_eq!(response.status, 405, "{response:?}");
    let allowed = response.headers("allow").join(", ");
    let methods: Vec<&str> = allowed.split(", ").collect();
    assert!(
        allow.iter().all(|method| methods.contains(method)),
        "{allowed}"
    );
    assert!(!methods.contains(&"OPTIONS"), "{allowed}");
    assert_eq!(outwards(response), passed);
    assert_eq!(response.json()["status"], 405);
}

#[test]
fn a_preflight_goes_the_route_of_the_method_it_asks_for() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&scene(&folder, &origin).toml());
    // Nobody answers.
    assert_not_allowed(
        &preflight(&gateway, "/p", "GET", &[]),
        &["GET", "HEAD"],
        "get gate",
    );
    // The condition of the entry counts the method asked for, too.
    assert_not_allowed(
        &preflight(&gateway, "/p", "HEAD", &[]),
        &["GET", "HEAD"],
        "gate",
    );
    assert_not_allowed(&preflight(&gateway, "/p", "PUT", &[]), &["PUT"], "put gate");
    let record = gateway.record(|record| record["status"] == 405 && record["route"] == "put");
    assert_eq!(record["method"], "OPTIONS");
    assert_eq!(record["failure"]["kind"], "method-not-allowed");
    assert_eq!(record["failure"]["blame"], "client");

    // Somebody does.
    for (method, who, passed) in [
        ("GET", "get", "gate"),
        ("PUT", "put", "gate"),
        ("PUT", "gate", ""),
    ] {
        let act = format!("x-act: respond:{who}");
        let response = preflight(&gateway, "/p", method, &[&act]);
        assert_eq!(response.status, 299, "{method} {who}");
        assert_eq!(response.headers("x-answered-by"), [who]);
        assert_eq!(outwards(&response), passed);
    }
    // On the way out as well.
    let response = preflight(&gateway, "/p", "PUT", &["x-act: respond-back:put"]);
    assert_eq!((response.status, outwards(&response)), (299, "gate".into()));
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_preflight_for_no_route_is_refused_by_the_router() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&scene(&folder, &origin).toml());
    let response = preflight(&gateway, "/p", "DELETE", &[]);
    assert_not_allowed(&response, &["GET", "HEAD", "PUT"], "");
    assert_eq!(preflight(&gateway, "/nowhere", "GET", &[]).status, 404);
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_route_that_names_options_gets_preflights_that_nobody_answers() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&scene(&folder, &origin).toml());
    let response = preflight(
        &gateway,
        "/own",
        "GET",
        &["access-control-request-headers: x-a"],
    );
    assert_eq!(response.status, 200);
    assert_eq!(
        (inwards(&response), outwards(&response)),
        ("gate options".into(), "options gate".into())
    );
    assert_eq!(response.json()["method"], "OPTIONS");
    assert_eq!(response.echoed("access-control-request-method"), [b"GET"]);
    assert_eq!(response.echoed("access-control-request-headers"), [b"x-a"]);
    assert_eq!(response.echoed("origin"), [b"https://page.example"]);
    let response = preflight(&gateway, "/own", "GET", &["x-act: respond:options"]);
    assert_eq!((response.status, outwards(&response)), (299, "gate".into()));
}

/// Where two routes share the path, a preflight goes that of the method it asks for, and not that of
/// OPTIONS.
#[test]
fn a_route_for_options_beside_it_takes_no_preflight_for_another_method() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&scene(&folder, &origin).toml());
    assert_not_allowed(
        &preflight(&gateway, "/mixed", "GET", &[]),
        &["GET"],
        "get gate",
    );
    let response = preflight(&gateway, "/mixed", "OPTIONS", &[]);
    assert_eq!(
        (response.status, outwards(&response)),
        (200, "options gate".into())
    );
}

/// A route for any method does not name OPTIONS. Its answer must not say that nothing is allowed, as
/// an empty `Allow` would (RFC 9110, section 10.2.1).
#[test]
fn a_route_for_any_method_answers_no_preflight() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&scene(&folder, &origin).toml());
    let response = preflight(&gateway, "/any", "DELETE", &[]);
    assert_eq!(
        (response.status, outwards(&response)),
        (405, "any gate".into())
    );
    assert_eq!(origin.requests(), 0);
    let allow = response.headers("allow");
    assert!(allow.iter().all(|methods| !methods.is_empty()), "{allow:?}");
}

#[test]
fn other_options_are_a_method_like_any_other() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&scene(&folder, &origin).toml());
    let asked = "access-control-request-method: GET";
    let lines: [&[&str]; 5] = [
        &[],
        &[ORIGIN],
        &[asked],
        &[ORIGIN, "access-control-request-method: G T"],
        &[ORIGIN, "access-control-request-method:"],
    ];
    for lines in lines {
        let response = options(&gateway, "/any", lines);
        assert_eq!(response.status, 200, "{lines:?}");
        assert_eq!(
            (inwards(&response), outwards(&response)),
            ("gate any".into(), "any gate".into())
        );
        assert_eq!(response.json()["method"], "OPTIONS");
        assert_eq!(
            response.echoed("origin").is_empty(),
            !lines.contains(&ORIGIN)
        );
        let response = options(&gateway, "/mixed", lines);
        assert_eq!(
            (response.status, outwards(&response)),
            (200, "options gate".into())
        );
        assert_not_allowed(&options(&gateway, "/p", lines), &["GET", "HEAD", "PUT"], "");
    }
    // Nor is a preflight what is no OPTIONS.
    let head =
        format!("PUT /p HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{ORIGIN}\r\n{asked}\r\n\r\n");
    let response = gateway.request(head);
    assert_eq!(
        (response.status, inwards(&response)),
        (200, "gate put".into())
    );
}
