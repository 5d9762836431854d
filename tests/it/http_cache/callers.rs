//! Whose answers are kept: what one caller got is not given to another, unless somebody says so.

use tollgate_tests::{Gateway, Origin, Response, Step};

use super::{FRESH, answer, assert_hit, assert_miss, field, patient, said};
use crate::scene::Scene;

const KEYS: &str = "\
config.consumers.alice.sha256 = [\"a71a7c7011f53a1bab3642ec2ce12593f05230ace8de1e3e7645f69efac1443d\"] # wonderland
config.consumers.bob.sha256 = [\"df6b07176a9b17cc4c9afc257bd404732e7d09b76436c7890f7b7be14e579794\"] # builder
";

/// Tells the upstream who calls, which answers with that, and with the lifetime of its path.
fn known(config: &str) -> (Origin, Scene) {
    let origin = Origin::raw(|request| {
        let lines = match request.target.as_str() {
            "/public" => "cache-control: public, max-age=600\r\n",
            "/silent" => "",
            _ => FRESH,
        };
        vec![Step::Send(answer(lines, &field(request, "x-user")))]
    });
    let limits = "limits = { cpu = \"5s\", wall = \"20s\" }";
    let scene = patient(Scene::new(&origin))
        .with(&format!("[plugins.api-key]\n{limits}"))
        .policy("keys", "api-key", KEYS)
        .policy(
            "tell",
            "headers",
            "config.request.set.x-user = \"{principal}\"",
        )
        .policy("cache", "http-cache", config);
    (origin, scene)
}

const ALICE: &str = "wonderland";
const BOB: &str = "builder";

fn by(gateway: &Gateway, key: &str, path: &str) -> Response {
    gateway.get_with(path, &[("x-api-key", key)])
}

#[test]
fn by_default_no_caller_gets_anothers_answer() {
    let silent = "config.ttl = \"1h\"";
    let everything = "config = { ttl = \"1h\", override = \"everything\" }";
    for config in ["", silent, everything] {
        let (origin, scene) = known(config);
        let gateway = Gateway::start(&scene.toml());
        for path in ["/a", "/silent"] {
            for _ in 0..2 {
                assert_miss(&by(&gateway, ALICE, path), "alice");
                assert_miss(&by(&gateway, BOB, path), "bob");
            }
        }
        assert_eq!(origin.requests(), 8, "{config}");
        // What says that it is for all is.
        assert_miss(&by(&gateway, ALICE, "/public"), "alice");
        assert_hit(&by(&gateway, BOB, "/public"), "alice");
        // Nobody gets it without a key.
        let refused = gateway.get("/public");
        assert_eq!(refused.status, 401);
        assert!(refused.header("cache-status").is_none());
    }
}

#[test]
fn each_caller_has_its_own_where_the_key_says_who() {
    let (origin, scene) = known("config = { key = { principal = true }, ttl = \"1h\" }");
    let gateway = Gateway::start(&scene.toml());
    for path in ["/a", "/silent", "/public"] {
        assert_miss(&by(&gateway, ALICE, path), "alice");
        assert_miss(&by(&gateway, BOB, path), "bob");
        assert_hit(&by(&gateway, ALICE, path), "alice");
        assert_hit(&by(&gateway, BOB, path), "bob");
    }
    assert_eq!(origin.requests(), 6);
}

#[test]
fn an_operator_can_say_that_callers_do_not_matter() {
    let (_origin, scene) = known("config = { ttl = \"1h\", share = true }");
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&by(&gateway, ALICE, "/silent"), "alice");
    assert_hit(&by(&gateway, BOB, "/silent"), "alice");
    let record = gateway.record(|record| record["principal"] == "bob");
    assert_eq!(record["entries"][2]["verdict"], "hit", "{record}");
}

/// Also where they come at once: one caller's answer never serves those who wait.
#[test]
fn callers_at_once_do_not_share() {
    let gate = tollgate_tests::Gate::new();
    let held = gate.clone();
    let origin = Origin::raw(move |request| {
        let answer = answer(FRESH, &field(request, "x-user"));
        vec![Step::WaitFor(held.clone()), Step::Send(answer)]
    });
    let scene = patient(Scene::new(&origin))
        .policy("keys", "api-key", KEYS)
        .policy(
            "tell",
            "headers",
            "config.request.set.x-user = \"{principal}\"",
        )
        .policy("cache", "http-cache", "");
    let gateway = Gateway::start(&scene.toml());
    let get = |number: usize| {
        let key = [ALICE, BOB][number % 2];
        super::Slow::get(&gateway, "/a", &format!("x-api-key: {key}\r\n"))
    };
    let clients: Vec<_> = (0..20).map(get).collect();
    super::wait_for_requests(&gateway, 20);
    gate.open();
    for (number, client) in clients.into_iter().enumerate() {
        let response = client.finish();
        assert_eq!(response.text(), ["alice", "bob"][number % 2]);
        assert!(!said(&response).contains("collapsed"), "{response:?}");
    }
}

/// Cookies and `Authorization` under a lifetime of the operator's.
#[test]
fn what_a_cookie_may_have_changed_is_not_kept_by_a_ttl() {
    let origin = Origin::raw(|request| {
        let mut lines = String::new();
        if request.target == "/sets" {
            lines.push_str("set-cookie: session=1\r\n");
        }
        let who = field(request, "cookie") + &field(request, "authorization");
        vec![Step::Send(answer(&lines, &who))]
    });
    let scene = patient(Scene::new(&origin)).policy("cache", "http-cache", "config.ttl = \"1h\"");
    let gateway = Gateway::start(&scene.toml());
    for (name, value) in [("cookie", "session=1"), ("authorization", "Bearer 1")] {
        let path = format!("/{name}");
        for _ in 0..2 {
            assert_miss(&gateway.get_with(&path, &[(name, value)]), value);
        }
        assert_miss(&gateway.get(&path), "");
        assert_hit(&gateway.get(&path), "");
    }
    for _ in 0..2 {
        let response = gateway.get("/sets");
        assert_miss(&response, "");
        assert_eq!(response.headers("set-cookie"), ["session=1"]);
    }
}

/// What is fetched in the background is fetched for the caller who was answered, and kept for that
/// caller alone.
#[test]
fn a_background_fetch_is_for_its_caller() {
    let config = "config = { key = { principal = true }, ttl = \"1ms\", \
                  stale-while-revalidate = \"1h\", override = \"everything\" }";
    let (origin, scene) = known(config);
    let gateway = Gateway::start(&scene.toml());
    for key in [ALICE, BOB] {
        by(&gateway, key, "/a");
    }
    tollgate_tests::eventually("background fetches", || {
        assert_eq!(by(&gateway, ALICE, "/a").text(), "alice");
        assert_eq!(by(&gateway, BOB, "/a").text(), "bob");
        (origin.requests() >= 10).then_some(())
    });
    let record = gateway.record(|record| record["background"] == true);
    assert!(
        ["alice", "bob"].contains(&record["principal"].as_str().unwrap_or_default()),
        "{record}"
    );
}

/// A caller with a cookie may be given what is stored for all, and makes nobody else's answer its own.
#[test]
fn a_background_fetch_with_a_cookie_is_not_kept_for_all() {
    let origin = Origin::raw(|request| {
        let body = field(request, "cookie");
        vec![Step::Send(answer("", &body))]
    });
    let config = "config = { ttl = \"1ms\", stale-while-revalidate = \"1h\" }";
    let scene = patient(Scene::new(&origin)).policy("cache", "http-cache", config);
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/a"), "");
    tollgate_tests::eventually("a background fetch with the cookie", || {
        gateway.get_with("/a", &[("cookie", "session=1")]);
        let all = origin.received();
        all[1..]
            .iter()
            .any(|request| !field(request, "cookie").is_empty())
            .then_some(())
    });
    gateway.record(|record| record["background"] == true);
    for _ in 0..50 {
        assert_eq!(gateway.get("/a").text(), "");
    }
}

/// RFC 9111, section 4.1: what selects a response is what the upstream was asked, and what an entry inside the
/// cache writes for the next request is not known when that comes to the cache.
#[test]
fn a_response_that_varies_by_what_is_written_inside_is_for_nobody_else() {
    let vary = "cache-control: public, max-age=600\r\nvary: X-User\r\n";
    let origin = Origin::raw(move |request| {
        let lines = match request.target.as_str() {
            "/language" => vary.replace("X-User", "Accept-Language"),
            "/encoding" => vary.replace("X-User", "accept-encoding, origin"),
            "/several" => vary.replace("X-User", "accept, x-user"),
            _ => vary.to_owned(),
        };
        vec![Step::Send(answer(&lines, &field(request, "x-user")))]
    });
    let limits = "limits = { cpu = \"5s\", wall = \"20s\" }";
    let tell =
        "config.request.set = { x-user = \"{principal}\", accept-language = \"{principal}\" }";
    let only = "when = { headers = { x-api-key = \"builder\" } }";
    let scene = patient(Scene::new(&origin))
        .with(&format!("[plugins.api-key]\n{limits}"))
        .policy("keys", "api-key", KEYS)
        .policy("tell", "headers", tell)
        .policy("cache", "http-cache", "")
        .route("inside", "/{path}", &["keys", "cache", "tell"])
        .route("before", "/before/{path}", &["keys", "tell", "cache"])
        .with(&format!(
            "[routes.at-times]\nmatch = \"/at-times/{{path}}\"\nupstream = \"origin\"\n\
             chain = [\"keys\", \"cache\", {{ policy = \"tell\", {only} }}]"
        ));
    let gateway = Gateway::start(&scene.toml());
    for path in ["/user", "/several", "/language", "/at-times/user"] {
        for key in [ALICE, BOB, ALICE] {
            let response = by(&gateway, key, path);
            assert!(
                !said(&response).contains("hit"),
                "{path} {key}: {response:?}"
            );
        }
    }
    // Nobody writes these, so that they are the client's.
    by(&gateway, ALICE, "/encoding");
    assert!(said(&by(&gateway, BOB, "/encoding")).contains("hit"));
    // What is written before the cache, the cache sees.
    let of = |key| by(&gateway, key, "/before/user").text();
    assert_eq!([of(ALICE), of(BOB), of(ALICE)], ["alice", "bob", "alice"]);
    assert!(said(&by(&gateway, BOB, "/before/user")).contains("hit"));
}
