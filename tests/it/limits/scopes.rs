//! Who shares a counter: the requests through one entry, on one route, or all of the gateway.

use tollgate_tests::{Folder, Gateway, Origin};

use super::{left, quota, scene};
use crate::scene::Scene;

/// Two policies of the same limits in this scope.
fn twins(folder: &Folder, origin: &Origin, scope: &str) -> Scene {
    let limits = quota(
        "q",
        100,
        &format!("scope = \"{scope}\", key = [\"header:x-user\"]"),
    );
    let config = format!("config.limits = [{limits}]");
    scene(folder, origin)
        .policy("one", "limit", &config)
        .policy("two", "limit", &config)
}

/// Asks for each path in turn, and compares what is left of the hundred.
#[track_caller]
fn assert_left(scene: &Scene, steps: &[(&str, u64)]) {
    let gateway = Gateway::start(&scene.toml());
    for user in ["a", "b"] {
        for (path, expected) in steps {
            let response = gateway.get_with(path, &[("x-user", user)]);
            assert_eq!(response.status, 200);
            assert_eq!(left(&response, "q"), *expected, "{path} {steps:?}");
        }
    }
}

#[test]
fn two_routes_that_name_a_policy() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let routes = |scope: &str| {
        twins(&folder, &origin, scope)
            .route("x", "/x", &["one"])
            .route("y", "/y", &["one"])
            .route("z", "/z", &["two"])
    };
    // Each route has an entry of its own.
    let apart = [
        ("/x", 99),
        ("/x", 98),
        ("/y", 99),
        ("/z", 99),
        ("/x", 97),
        ("/y", 98),
    ];
    assert_left(&routes("entry"), &apart);
    assert_left(&routes("route"), &apart);
    let together = [("/x", 99), ("/x", 98), ("/y", 97), ("/z", 96), ("/x", 95)];
    assert_left(&routes("gateway"), &together);
}

#[test]
fn two_routes_that_inherit_an_entry() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for inherited in ["gateway", "api"] {
        let routes = |scope: &str| {
            let section = match inherited {
                "api" => "[apis.a]\nchain = [\"one\"]",
                _ => "[apis.a]\n[gateway]\nchain = [\"one\"]",
            };
            twins(&folder, &origin, scope)
                .with(section)
                .with("[routes.x]\napi = \"a\"\nmatch = \"/x\"\nupstream = \"origin\"")
                .with("[routes.y]\napi = \"a\"\nmatch = \"/y\"\nupstream = \"origin\"")
                .route("plain", "/plain", &[])
        };
        // It is one entry, wherever its requests go.
        assert_left(&routes("entry"), &[("/x", 99), ("/y", 98), ("/x", 97)]);
        assert_left(&routes("route"), &[("/x", 99), ("/y", 99), ("/x", 98)]);
        assert_left(&routes("gateway"), &[("/x", 99), ("/y", 98), ("/x", 97)]);
    }
}

#[test]
fn two_entries_of_one_chain() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for chain in [["one", "two"], ["one", "one"]] {
        // What the outer entry says of itself stands behind what the inner says: it passes later.
        let says = |scope: &str| {
            let scene = twins(&folder, &origin, scope).route("x", "/x", &chain);
            let gateway = Gateway::start(&scene.toml());
            let mut says = Vec::new();
            for _ in 0..2 {
                let response = gateway.get("/x");
                assert_eq!(response.status, 200);
                let lines = response.headers("ratelimit");
                says.push(lines.len());
                for member in super::members(&response, "ratelimit") {
                    says.push(member.number("r") as usize);
                }
            }
            says
        };
        assert_eq!(says("entry"), [2, 99, 99, 2, 98, 98], "{chain:?}");
        assert_eq!(says("route"), [2, 98, 99, 2, 96, 97], "{chain:?}");
        assert_eq!(says("gateway"), [2, 98, 99, 2, 96, 97], "{chain:?}");
    }
}

#[test]
fn kinds_and_scopes_of_one_key_are_counters_of_their_own() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = [
        quota("entry", 3, "scope = \"entry\""),
        quota("route", 4, "scope = \"route\""),
        quota("gateway", 5, "scope = \"gateway\""),
        super::rate("rate", 6, 3_600_000, 6),
        super::concurrent("open", 7),
        quota("month", 8, "").replace("year", "month"),
    ];
    let config = format!("config.limits = [{}]", limits.join(", "));
    let gateway = Gateway::start(
        &scene(&folder, &origin)
            .policy("all", "limit", &config)
            .toml(),
    );
    let response = gateway.get("/x");
    assert_eq!(response.status, 200, "{response:?}");
    for (name, expected) in [
        ("entry", 2),
        ("route", 3),
        ("gateway", 4),
        ("rate", 5),
        ("open", 6),
        ("month", 7),
    ] {
        assert_eq!(left(&response, name), expected, "{name}");
    }
}

/// Who moves to another tier keeps what is used.
#[test]
fn amounts_do_not_name_a_counter() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let of = |amount: u64| {
        let limits = quota("q", amount, "scope = \"gateway\"");
        format!("config.limits = [{limits}]")
    };
    let scene = scene(&folder, &origin)
        .policy("small", "limit", &of(3))
        .policy("large", "limit", &of(10))
        .route("small", "/small", &["small"])
        .route("large", "/large", &["large"]);
    let gateway = Gateway::start(&scene.toml());
    assert_eq!(left(&gateway.get("/large"), "q"), 9);
    assert_eq!(left(&gateway.get("/small"), "q"), 1);
    assert_eq!(left(&gateway.get("/large"), "q"), 7);
    assert_eq!(gateway.get("/small").status, 429);
    assert_eq!(left(&gateway.get("/large"), "q"), 6);
}
