//! What is one client's own never comes to another: cookies that are set, callers of whom the key knows a
//! part, and queries that an upstream may read in another way.

use tollgate_tests::{Gateway, Origin, Response, Step};

use super::{answer, assert_hit, assert_miss, field, patient, said};
use crate::scene::Scene;

/// A gateway with this cache policy.
fn gateway(origin: &Origin, config: &str) -> Gateway {
    let scene = patient(Scene::new(origin)).policy("cache", "http-cache", config);
    Gateway::start(&scene.toml())
}

#[test]
fn a_cookie_that_is_set_is_one_clients() {
    let origin = Origin::raw(|request| {
        let line = match request.target.as_str() {
            "/old" => "set-cookie2",
            _ => "set-cookie",
        };
        let lines = format!("cache-control: public, max-age=600\r\n{line}: session=1\r\n");
        vec![Step::Send(answer(&lines, "page"))]
    });
    let cookies = |response: &Response| {
        [
            response.headers("set-cookie"),
            response.headers("set-cookie2"),
        ]
        .concat()
    };
    for config in [
        "",
        "config.ttl = \"1h\"",
        "config = { ttl = \"1h\", override = \"everything\" }",
    ] {
        let gateway = gateway(&origin, config);
        for path in ["/a", "/a", "/old", "/old"] {
            let response = gateway.get(path);
            assert_miss(&response, "page");
            assert_eq!(cookies(&response), ["session=1"], "{config}");
        }
    }
    for config in [
        "config.strip = [\"set-cookie\", \"Set-Cookie2\"]",
        "config = { ttl = \"1h\", override = \"everything\", strip = [\"set-cookie\", \"set-cookie2\"] }",
        "config.share = true",
    ] {
        let gateway = gateway(&origin, config);
        for path in ["/a", "/old"] {
            assert_eq!(cookies(&gateway.get(path)), ["session=1"], "{config}");
            let hit = gateway.get(path);
            assert_hit(&hit, "page");
            assert!(cookies(&hit).is_empty(), "{config}: {hit:?}");
        }
    }
}

#[test]
fn a_part_of_an_identity_is_not_all_of_it() {
    let origin = Origin::raw(|request| {
        let who = field(request, "cookie") + &field(request, "authorization");
        vec![Step::Send(answer("", &who))]
    });
    let keys = "config = { ttl = \"1h\", key = { cookies = [\"lang\"] } }";
    let language = gateway(&origin, keys);
    for who in ["alice", "bob"] {
        let cookie = format!("lang=de; session={who}");
        assert_miss(&language.get_with("/a", &[("cookie", &cookie)]), &cookie);
        let bearer = format!("Bearer {who}");
        let fields = [("cookie", "lang=de"), ("authorization", &*bearer)];
        assert_miss(
            &language.get_with("/a", &fields),
            &format!("lang=de{bearer}"),
        );
    }
    // Who sends nothing else than what is in the key is told apart by it.
    for cookie in ["lang=de", "lang=en"] {
        let ask = || language.get_with("/a", &[("cookie", cookie)]);
        assert_miss(&ask(), cookie);
        assert_hit(&ask(), cookie);
    }
}

#[test]
fn a_query_that_can_be_read_in_two_ways_fills_no_key() {
    let origin = Origin::raw(|request| vec![Step::Send(answer("", &request.target))]);
    let except = "config = { ttl = \"1h\", key = { query = { except = [\"utm_*\"] } } }";
    let gateway = gateway(&origin, except);
    for target in [
        "/a?id=1&utm_content=1;id=2",
        "/a?id=1&id=2&utm_content=1",
        "/a?id=1&ID=2",
        "/a?id=1&UTM_content=1",
    ] {
        let response = gateway.get(target);
        assert_miss(&response, target);
        assert_eq!(said(&response), "tollgate; fwd=bypass");
    }
    assert_miss(&gateway.get("/a?id=1"), "/a?id=1");
    assert_hit(&gateway.get("/a?utm_content=1&id=1"), "/a?id=1");
}
