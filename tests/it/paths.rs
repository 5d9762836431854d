//! One path, whatever it is spelled like: to routes, conditions, plugins, cache, log and upstream.

mod hosts;

use tollgate_tests::{Gateway, Origin, Response};

use crate::scene::Scene;

fn keys() -> String {
    format!("config.consumers.alice.sha256 = [\"{}\"]", "a".repeat(64))
}

/// Asks with a request line of just this target.
fn ask(gateway: &Gateway, method: &str, target: &str, lines: &str) -> Response {
    gateway.request(format!(
        "{method} {target} HTTP/1.1\r\nhost: a.example\r\n{lines}\r\n"
    ))
}

/// What is wrong about answers that should be refusals, of which the upstream saw nothing.
fn let_through(gateway: &Gateway, origin: &Origin, method: &str, targets: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for target in targets {
        let served = origin.requests();
        let status = ask(gateway, method, target, "").status;
        if !(400..500).contains(&status) || origin.requests() > served {
            wrong.push(format!("{target}: {status}"));
        }
    }
    wrong
}

/// The spellings of the root that a request line may have.
const ROOTS: [&str; 8] = [
    "/",
    "http://a",
    "http://a/",
    "http://a#x",
    "http://a/#x",
    "HTTP://a#",
    "https://a#/public",
    "http://a.example#?x",
];

#[test]
fn the_root_has_one_path() {
    let origin = Origin::echo();
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy("keys", "api-key", &keys())
            .policy("rewrite", "rewrite", "config.rules = [{ match = \"/\", to = \"/index\" }]")
            .policy("cache", "http-cache", "config.ttl = \"1m\"")
            .with(
                "[routes.guarded]\nmatch = \"PATCH /\"\nupstream = \"origin\"\n\
                 chain = [{ policy = \"keys\", when = { path = \"/\" } }]\n\
                 [routes.rewritten]\nmatch = \"PUT /\"\nupstream = \"origin\"\nchain = [\"rewrite\"]\n\
                 [routes.cached]\nmatch = \"GET /\"\nupstream = \"origin\"\nchain = [\"cache\"]\n\
                 [routes.plain]\nmatch = \"POST /\"\nupstream = \"origin\"\n",
            )
            .route("other", "/other", &[])
            .toml(),
    );
    assert_eq!(let_through(&gateway, &origin, "PATCH", &ROOTS), [""; 0]);
    for root in ROOTS {
        assert_eq!(
            ask(&gateway, "PUT", root, "").json()["target"],
            "/index",
            "{root}"
        );
        assert_eq!(
            ask(&gateway, "POST", root, "").json()["target"],
            "/",
            "{root}"
        );
    }
    let before = origin.requests();
    for root in ROOTS {
        assert_eq!(ask(&gateway, "GET", root, "").status, 200, "{root}");
    }
    // By scheme and host: without a host in the target, that of the field.
    assert_eq!(origin.requests(), before + 2);
    for request in origin.received() {
        assert!(request.target.starts_with('/'), "{request:?}");
    }
    for record in gateway.records() {
        assert_eq!(record["path"], "/", "{record}");
    }
}

#[test]
fn what_has_no_path_is_no_request() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&Scene::new(&origin).route("all", "/{rest*}", &[]).toml());
    for (method, target) in [
        ("GET", "*"),
        ("OPTIONS", "*"),
        ("GET", "a:80"),
        ("GET", "a"),
        ("GET", "?x"),
        ("GET", "#x"),
        ("GET", "http:a"),
        ("GET", "ftp://a/"),
        ("CONNECT", "a:80"),
    ] {
        let status = ask(&gateway, method, target, "").status;
        assert!((400..500).contains(&status), "{method} {target}: {status}");
    }
    assert_eq!(origin.requests(), 0);
}

/// Spellings that a lenient server takes for `/admin/users`; each mixes leniencies.
const MIXED: [&str; 14] = [
    "/admin;x/users",
    "/admin/users;%2Fx",
    "/admin;%2Fx/users",
    "/admin%3Bx/users",
    "/admin/;x/users",
    "/;x/admin/users",
    "//admin;x//users",
    "/admin\\users;x",
    "/admin;x\\users",
    "/admin%5Cusers;a%2Fb",
    "/%61dmin/users;x/y",
    "/admin%2Fusers%3bx",
    "/admin//users;jsessionid=1",
    "/\\admin;a;b/%75sers",
];

#[test]
fn a_path_that_others_read_as_a_guarded_one_is_not_let_through() {
    let origin = Origin::echo();
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy("keys", "api-key", &keys())
            .route("admin", "/admin/{rest+}", &["keys"])
            .route("open", "/{rest+}", &[])
            .toml(),
    );
    let mut wrong = Vec::new();
    for path in [
        "/admin/x",
        "/%61dmin/x",
        "//admin/x",
        "/admin//x",
        "/admin%2Fx",
        "/admin%2fx",
        "/%2Fadmin/x",
        "/%61dmin%2Fx",
        "/admin%5Cx",
        "/admin%5cx",
        "/admin\\x",
        "/\\admin\\x",
        "/admin;a=b/x",
        "/;/admin/x",
        "/x/../admin/x",
        "/x//../admin/x",
        "/x/%2e%2E/admin/x",
        "/x/..%2Fadmin/x",
        "/x\\..\\admin\\x",
        "/./admin/x",
        "/x/..;/admin/x",
        "/x/%2e%2e;/admin/x",
        "/.;/admin/x",
        "http://test.example//admin/x",
    ] {
        let served = origin.requests();
        let status = gateway.get(path).status;
        let reached = origin.requests() > served;
        if !(400..500).contains(&status) || reached {
            wrong.push(format!("{path}: {status}, reached the origin: {reached}"));
        }
    }
    // What everybody reads as the open route, however odd, passes as it is.
    for path in [
        "/pets%2F7",
        "/a//b",
        "/a;v=1",
        "/a;v=1/b",
        "/admins/x",
        "/x/admin/x",
    ] {
        let response = gateway.get(path);
        if response.status != 200 || response.json()["target"] != path {
            wrong.push(format!("{path}: {response:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mixed_spellings_reach_no_other_route() {
    let origin = Origin::echo();
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy("keys", "api-key", &keys())
            .route("admin", "/admin/users", &["keys"])
            .route("file", "/private/{file}", &["keys"])
            .route("folder", "/folder/", &["keys"])
            .route("rest", "/{rest*}", &[])
            .toml(),
    );
    let mut wrong = let_through(&gateway, &origin, "GET", &MIXED);
    let others = [
        "//private/a%2Fb",
        "/private//a%2Fb",
        "/private;x/a%2Fb",
        "/folder/;x",
        "/folder%2F;",
        "/folder;a/;b",
        "/folder\\;x",
        "/folder/;jsessionid=1",
        "/folder//",
        "/folder/%3B",
    ];
    wrong.extend(let_through(&gateway, &origin, "GET", &others));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // All of these are one route's to everybody.
    for open in [
        "/",
        "/x;y/z",
        "/a%2Fb%2Fc;d",
        "/admins;x/users",
        "/x\\y//z",
        "/map;a=1;b=2",
    ] {
        let response = ask(&gateway, "GET", open, "");
        assert_eq!(response.status, 200, "{open}");
        assert_eq!(response.json()["target"], open);
    }
}

#[test]
fn mixed_spellings_slip_past_no_condition() {
    let origin = Origin::echo();
    let rules =
        "[{ match = \"/admin(/.*)?\", to = \"/forbidden\" }, { match = \"/x\", to = \"/y\" }]";
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy("keys", "api-key", &keys())
            .policy("shut", "rewrite", &format!("config.rules = {rules}"))
            .policy(
                "prefix",
                "rewrite",
                "config.rules = [{ strip-prefix = \"/admin\", add-prefix = \"/forbidden\" }]",
            )
            .with(
                "[routes.when]\nmatch = \"GET /{rest*}\"\nupstream = \"origin\"\n\
                 chain = [{ policy = \"keys\", when = { path = \"/admin/users\" } }]\n\
                 [routes.match]\nmatch = \"PUT /{rest*}\"\nupstream = \"origin\"\nchain = [\"shut\"]\n\
                 [routes.prefix]\nmatch = \"POST /{rest*}\"\nupstream = \"origin\"\nchain = [\"prefix\"]\n",
            )
            .route("other", "/other", &[])
            .toml(),
    );
    let mut wrong = let_through(&gateway, &origin, "GET", &MIXED);
    for method in ["PUT", "POST"] {
        for path in MIXED {
            let response = ask(&gateway, method, path, "");
            let forbidden = || {
                let target = response.json()["target"].clone();
                target
                    .as_str()
                    .is_some_and(|it| it.starts_with("/forbidden"))
            };
            if response.status != 400 && !forbidden() {
                wrong.push(format!("{method} {path}: {response:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What no rule is for, in any reading, passes as it is.
    for path in ["/a%2Fb;c//d", "/administrators;x", "/b/admin"] {
        assert_eq!(ask(&gateway, "PUT", path, "").json()["target"], path);
    }
}

#[test]
fn a_query_is_divided_in_all_ways() {
    let origin = Origin::echo();
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy("keys", "api-key", &keys())
            .policy(
                "clean",
                "rewrite",
                "config.rules = [{ query.remove = [\"debug\"] }]",
            )
            .policy(
                "only",
                "rewrite",
                "config.rules = [{ query.keep-only = [\"a\"] }]",
            )
            .policy(
                "set",
                "rewrite",
                "config.rules = [{ query.set = { a = \"1\" } }]",
            )
            .with(
                "[routes.when]\nmatch = \"/when\"\nupstream = \"origin\"\n\
                 chain = [{ policy = \"keys\", when = { query = { debug = true } } }]\n",
            )
            .route("clean", "/clean", &["clean"])
            .route("only", "/only", &["only"])
            .route("set", "/set", &["set"])
            .toml(),
    );
    for query in [
        "debug",
        "a=1&debug=1",
        "a=1;debug=1",
        ";debug",
        "a;%64ebug=;b",
    ] {
        let status = ask(&gateway, "GET", &format!("/when?{query}"), "").status;
        assert_eq!(status, 401, "{query}");
    }
    assert_eq!(ask(&gateway, "GET", "/when?a=debug;b", "").status, 200);
    for (sent, target) in [
        ("/clean?a=1&debug=1", "/clean?a=1"),
        ("/clean?a=1;debug=1", "/clean?a=1"),
        ("/clean?a=1;debug=1;b=2&c", "/clean?a=1;b=2&c"),
        ("/clean?debug=1;a;b", "/clean?a;b"),
        ("/clean?;debug", "/clean?"),
        ("/only?a=1;b=2&c=3", "/only?a=1"),
        ("/set?b;a=2;c", "/set?b;c&a=1"),
    ] {
        assert_eq!(
            ask(&gateway, "GET", sent, "").json()["target"],
            target,
            "{sent}"
        );
    }
}

/// An entry for `OPTIONS` is not passed by with a preflight.
#[test]
fn a_preflight_is_an_options_request_too() {
    let origin = Origin::echo();
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy("keys", "api-key", &keys())
            .with(
                "[routes.all]\nmatch = \"GET,OPTIONS /\"\nupstream = \"origin\"\n\
                 chain = [{ policy = \"keys\", when = { methods = [\"OPTIONS\"] } }]\n",
            )
            .route("other", "/other", &[])
            .toml(),
    );
    let preflight = "origin: https://b.example\r\naccess-control-request-method: GET\r\n";
    for lines in ["", preflight] {
        assert_eq!(ask(&gateway, "OPTIONS", "/", lines).status, 401, "{lines}");
    }
    assert_eq!(ask(&gateway, "GET", "/", preflight).status, 200);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn all_that_is_left_may_be_nothing() {
    let origin = Origin::echo();
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy(
                "to",
                "rewrite",
                "config.rules = [{ to = \"/new/{rest+}\" }]",
            )
            .route("site", "/{rest*}", &[])
            .route("files", "/files/{rest*}", &["to"])
            .route("some", "/some/{rest+}", &[])
            .toml(),
    );
    for (path, route, target) in [
        ("/", "site", "/"),
        ("/a/b/", "site", "/a/b/"),
        ("/files", "site", "/files"),
        ("/files/", "files", "/new/"),
        ("/files/a/b", "files", "/new/a/b"),
        ("/some/", "site", "/some/"),
        ("/some/a", "some", "/some/a"),
    ] {
        assert_eq!(gateway.get(path).json()["target"], target, "{path}");
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(record["route"], route, "{path}");
    }
}
