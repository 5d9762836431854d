//! Purging through the admin listener, and what unsafe methods make obsolete.

use tollgate_tests::{Gateway, Origin, Response, Step};

use super::{FRESH, answer, ask, assert_hit, assert_miss, cached, numbered, patient};
use crate::scene::Scene;

#[track_caller]
fn delete(gateway: &Gateway, query: &str) -> Response {
    let head =
        format!("DELETE /cache{query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    gateway.request_to("admin", head)
}

#[track_caller]
fn assert_purges(gateway: &Gateway, query: &str, count: usize) {
    let response = delete(gateway, query);
    assert_eq!(response.status, 200, "{query}: {response:?}");
    assert_eq!(response.text(), format!("purged {count}\n"), "{query}");
}

#[test]
fn by_uri() {
    let origin = numbered(FRESH);
    let gateway = Gateway::start(&cached(&origin).toml());
    assert_miss(&gateway.get("/a?x=1"), "1");
    assert_miss(&gateway.get("/b"), "2");
    assert_purges(&gateway, "?uri=http://test.example/a", 0);
    assert_purges(&gateway, "?uri=http://other.example/a%3Fx=1", 0);
    assert_hit(&gateway.get("/a?x=1"), "1");
    assert_purges(&gateway, "?uri=http://TEST.example:80/a%3Fx=1", 1);
    assert_miss(&gateway.get("/a?x=1"), "3");
    assert_hit(&gateway.get("/b"), "2");
    assert_purges(&gateway, "?uri=http://test.example/b", 1);
    assert_purges(&gateway, "?uri=http://test.example/b", 0);
    assert_miss(&gateway.get("/b"), "4");
}

/// Two policies that cache the same paths, each under its own keys.
fn two_policies(origin: &Origin) -> Scene {
    let config = |tag: &str| {
        let key =
            "key = { host = false, path = false, query = { only = [\"id\"] }, literal = \"v1\" }";
        format!(
            "config = {{ {key}, ttl = \"1h\", override = \"everything\", \
             tags = [\"{tag}\", \"id-{{query.id}}\"], tags-header = \"surrogate-key\" }}"
        )
    };
    patient(Scene::new(origin))
        .policy("first", "http-cache", &config("one"))
        .policy("second", "http-cache", &config("two"))
        .route("first", "/first", &["first"])
        .route("second", "/second", &["second"])
}

#[test]
fn by_tag_by_policy_and_all() {
    let origin = numbered("surrogate-key: every thing\r\n");
    let gateway = Gateway::start(&two_policies(&origin).toml());
    let fill = || {
        for path in ["/first?id=1", "/first?id=2", "/second?id=1", "/second?id=2"] {
            gateway.get(path);
        }
        for path in ["/first?id=1", "/first?id=2", "/second?id=1", "/second?id=2"] {
            let response = gateway.get(path);
            assert_hit(&response, &response.text());
        }
    };
    fill();
    assert_eq!(origin.requests(), 4);
    for (query, count, left) in [
        ("?tag=one", 2, 0),
        ("?tag=id-1", 2, 2),
        ("?tag=thing", 4, 4),
        ("?tag=id-1&policy=second", 1, 8),
        ("?tag=one&policy=second", 0, 9),
        ("?all&policy=first", 2, 9),
        ("?all", 4, 11),
        ("?tag=none", 0, 15),
        ("?all=", 4, 15),
    ] {
        assert_eq!(origin.requests(), 4 + left, "before {query}");
        assert_purges(&gateway, query, count);
        fill();
    }
    assert_eq!(origin.requests(), 23);
    assert_eq!(gateway.metric("tollgate_cache_keys", &[]), 4.0);
}

#[test]
fn by_key() {
    let origin = numbered("");
    let config = "config = { key = { host = false, path = false, query = false, literal = \"v1\" }, ttl = \"1h\" }";
    let scene = patient(Scene::new(&origin)).policy("cache", "http-cache", config);
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/a"), "1");
    assert_hit(&gateway.get("/b?x=1"), "1");
    assert_purges(&gateway, "?key=v1&key=v2", 0);
    assert_hit(&gateway.get("/b"), "1");
    // Its parts stand with their kinds.
    assert_purges(&gateway, "?key=literal&key=v1&policy=cache", 1);
    assert_miss(&gateway.get("/b"), "2");
    assert_purges(&gateway, "?key=literal&key=v1", 1);
    assert_miss(&gateway.get("/b"), "3");
}

#[test]
fn what_says_nothing_clear_purges_nothing() {
    let origin = numbered(FRESH);
    let scene = cached(&origin).policy("mark", "headers", "config.response.set.x-mark = \"yes\"");
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/a"), "1");
    for query in [
        "",
        "?",
        "?policy=cache",
        "?every",
        "?all&tag=a",
        "?tag=a&key=b",
        "?uri=http://test.example/a&all",
        "?uri=/a",
        "?uri=test.example",
        "?uri=",
        "?uri=http://te%20st/a",
        "?all&x=1",
    ] {
        let response = delete(&gateway, query);
        assert_eq!(response.status, 400, "{query}: {response:?}");
    }
    // A policy that there is not, or that caches nothing, was meant to be another.
    for query in ["?all&policy=none", "?uri=http://test.example/a&policy=mark"] {
        assert_eq!(delete(&gateway, query).status, 404, "{query}");
    }
    let head = "HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    for method in ["GET", "POST", "PURGE"] {
        let response = gateway.request_to("admin", format!("{method} /cache?all {head}"));
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.headers("allow"), ["DELETE"]);
    }
    // Clients cannot purge.
    let response = gateway.request(format!("DELETE /cache?all {head}"));
    assert_miss(&response, "2");
    assert_hit(&gateway.get("/a"), "1");
}

/// GET and POST are two routes with different entries inside the same policy.
#[test]
fn unsafe_methods_make_obsolete_what_other_routes_stored() {
    let origin = Origin::raw(|request| {
        let answer = match (request.method.as_str(), request.target.as_str()) {
            ("POST", "/bad") => b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_vec(),
            ("POST", "/make") => b"HTTP/1.1 201 Created\r\nlocation: /item\r\n\
                content-location: http://other.example/item\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
            ("DELETE", _) => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            _ => answer(FRESH, &request.target),
        };
        vec![Step::Send(answer)]
    });
    let scene = patient(Scene::new(&origin))
        .policy("cache", "http-cache", "")
        .policy("mark", "headers", "config.response.set.x-marked = \"yes\"")
        .route("read", "GET,HEAD /{name}", &["cache"])
        .route("write", "POST /{name}", &["cache", "mark"])
        .route("rest", "/{name}", &["mark", "cache"]);
    let gateway = Gateway::start(&scene.toml());
    let get = |path: &str| ask(&gateway, "GET", "test.example", path);
    let fill = |path: &str| {
        get(path);
        assert_hit(&get(path), path);
    };
    for (method, path) in [("POST", "/a"), ("PUT", "/a"), ("DELETE", "/a")] {
        fill("/a");
        fill("/b");
        let response = ask(&gateway, method, "test.example", path);
        assert!(response.status < 300, "{method}: {response:?}");
        assert_miss(&get("/a"), "/a");
        assert_hit(&get("/b"), "/b");
    }
    // What failed changed nothing, and what only asks changes nothing.
    fill("/bad");
    assert_eq!(ask(&gateway, "POST", "test.example", "/bad").status, 500);
    ask(&gateway, "OPTIONS", "test.example", "/bad");
    assert_hit(&get("/bad"), "/bad");
    // Of another host only that host's own is changed.
    fill("/item");
    ask(&gateway, "GET", "other.example", "/item");
    ask(&gateway, "POST", "other.example", "/a");
    assert_hit(&get("/a"), "/a");
    // And what the answer names, of the same host.
    assert_eq!(ask(&gateway, "POST", "test.example", "/make").status, 201);
    assert_miss(&get("/item"), "/item");
    assert_hit(&ask(&gateway, "GET", "other.example", "/item"), "/item");
}
