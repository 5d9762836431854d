//! What routes share of what one policy stored: what all of them would make of a request, and nothing
//! else.

use tollgate_tests::{Folder, Gateway, Origin, Step};

use super::{FRESH, answer, ask, assert_hit, assert_miss, numbered, patient};
use crate::kinds::{PATIENT, transformer};
use crate::scene::Scene;

/// The same path on hosts of its own is the same key.
const HOSTLESS: &str = "config = { key = { host = false }, ttl = \"1h\" }";

fn fixed(body: &'static str) -> Origin {
    Origin::raw(move |_| vec![Step::Send(answer(FRESH, body))])
}

/// A route for one host.
fn route(name: &str, chain: &str, end: &str) -> String {
    format!(
        "[routes.{name}]\nmatch = {{ path = \"/{{rest+}}\", hosts = [\"{name}.example\"] }}\n\
         chain = [{chain}]\n{end}"
    )
}

#[test]
fn what_differs_inside_is_never_shared() {
    let (origin, other) = (fixed("one"), fixed("two"));
    let scene = patient(Scene::new(&origin))
        .policy("cache", "http-cache", HOSTLESS)
        .policy("mark", "headers", "config.response.set.x-mark = \"yes\"")
        .with(&format!(
            "[upstreams.other]\nservers = [\"{}\"]",
            other.url()
        ))
        .with(&route("plain", "\"cache\"", "upstream = \"origin\""))
        .with(&route("same", "\"mark\", \"cache\"", "upstream = \"origin\""))
        .with(&route("marked", "\"cache\", \"mark\"", "upstream = \"origin\""))
        .with(&route("other", "\"cache\"", "upstream = \"other\""))
        .with(&route(
            "sometimes",
            "\"cache\", { policy = \"mark\", when = { headers = { x-mark = true } } }",
            "upstream = \"origin\"",
        ))
        .with(&route(
            "own",
            "\"cache\"",
            "respond = { status = 200, headers = { cache-control = \"max-age=600\" }, body = \"own\" }",
        ))
        .with(&route(
            "own-too",
            "\"cache\"",
            "respond = { status = 200, headers = { cache-control = \"max-age=600\" }, body = \"own too\" }",
        ))
        .route("rest", "/{rest+}", &[]);
    let gateway = Gateway::start(&scene.toml());
    let get = |host: &str| ask(&gateway, "GET", &format!("{host}.example"), "/a");
    for (host, body, marked) in [
        ("plain", "one", false),
        ("marked", "one", true),
        ("other", "two", false),
        ("sometimes", "one", false),
        ("own", "own", false),
        ("own-too", "own too", false),
    ] {
        let response = get(host);
        assert_miss(&response, body);
        assert_eq!(response.header("x-mark").is_some(), marked, "{host}");
        let response = get(host);
        assert_hit(&response, body);
        assert_eq!(response.header("x-mark").is_some(), marked, "{host}");
    }
    // The same inside is shared, whatever stands outside.
    let response = get("same");
    assert_hit(&response, "one");
    assert_eq!(response.headers("x-mark"), ["yes"]);
    assert_hit(&get("plain"), "one");
    assert!(get("plain").header("x-mark").is_none());
    assert_eq!((origin.requests(), other.requests()), (3, 1));
}

#[test]
fn two_policies_never_share() {
    let origin = numbered(FRESH);
    let scene = patient(Scene::new(&origin))
        .policy("one", "http-cache", HOSTLESS)
        .policy("two", "http-cache", HOSTLESS)
        .with(&route("one", "\"one\"", "upstream = \"origin\""))
        .with(&route("two", "\"two\"", "upstream = \"origin\""))
        .route("rest", "/{rest+}", &[]);
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&ask(&gateway, "GET", "one.example", "/a"), "1");
    assert_miss(&ask(&gateway, "GET", "two.example", "/a"), "2");
    assert_hit(&ask(&gateway, "GET", "one.example", "/a"), "1");
    assert_hit(&ask(&gateway, "GET", "two.example", "/a"), "2");
}

/// Entries that all routes inherit are the same entries, but what they make of a request may depend on
/// the route: on its variables, its name, the parameters of its path.
#[test]
fn what_differs_by_variables_of_the_route_is_not_shared() {
    let (folder, origin) = (Folder::new(), numbered(FRESH));
    let tier = |name: &str| {
        format!(
            "[routes.{name}]\nmatch = \"/{name}/{{rest+}}\"\nvariables = {{ tier = \"{name}\" }}\n\
             upstream = \"origin\""
        )
    };
    let scene = patient(Scene::new(&origin))
        .plugin("edit", &transformer(&folder), PATIENT)
        .policy("to-one-path", "edit", "config.edit.path = \"/page\"")
        .policy("cache", "http-cache", "")
        .policy(
            "tell",
            "headers",
            "config.response.set.x-tier = \"{variable.tier}\"",
        )
        .with("[gateway]\nchain = [\"to-one-path\", \"cache\", \"tell\"]")
        .with(&tier("gold"))
        .with(&tier("silver"))
        .route("rest", "/{rest+}", &[]);
    let gateway = Gateway::start(&scene.toml());
    for name in ["gold", "silver"] {
        for _ in 0..2 {
            let response = gateway.get(&format!("/{name}/a"));
            assert_eq!(response.headers("x-tier"), [name], "{response:?}");
        }
    }
    assert_eq!(origin.request(0).target, "/page");
}

/// Two cache entries in one chain: each has its own, and the outer one stores what the inner answers.
#[test]
fn one_cache_inside_another() {
    let origin = numbered("cache-control: no-store\r\n");
    let keep = "config = { ttl = \"1h\", override = \"everything\" }";
    let scene = patient(Scene::new(&origin))
        .policy(
            "outer",
            "http-cache",
            "config.bypass.headers = [\"x-past\"]",
        )
        .policy("inner", "http-cache", keep)
        .route("all", "/{rest+}", &["outer", "inner"]);
    let gateway = Gateway::start(&scene.toml());
    let first = gateway.get("/a");
    assert_eq!(first.text(), "1");
    assert_eq!(first.headers("cache-status").len(), 2, "{first:?}");
    for headers in [&[][..], &[("x-past", "1")][..]] {
        let response = gateway.get_with("/a", headers);
        assert_eq!(response.text(), "1", "{response:?}");
        let said = response.headers("cache-status");
        assert!(said[0].starts_with("tollgate; hit"), "{said:?}");
        assert!(said[1].starts_with("tollgate; fwd="), "{said:?}");
    }
    assert_eq!(origin.requests(), 1);
    assert_eq!(ask(&gateway, "POST", "test.example", "/a").text(), "2");
    assert_eq!(gateway.get("/a").text(), "3");
}
