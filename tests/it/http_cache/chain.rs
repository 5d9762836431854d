//! The cache as one entry of the onion: what is outside of it runs on hits, what is inside does not.

use tollgate_tests::{Folder, Gateway, Origin, Step};

use super::{
    FRESH, OLD, answer, ask, assert_hit, assert_miss, cached, calls, field, numbered, said,
};
use crate::kinds::{PATIENT, authorizer, limiter, transformer};

#[test]
fn outer_entries_run_on_hits_and_inner_ones_do_not() {
    let origin = numbered(FRESH);
    let mark = |name: &str| format!("config.response.append.{name} = \"{{request-id}}\"");
    let scene = cached(&origin)
        .policy("outer", "headers", &mark("x-outer"))
        .policy("inner", "headers", &mark("x-inner"))
        .route("all", "/{rest+}", &["outer", "cache", "inner"]);
    let gateway = Gateway::start(&scene.toml());
    let miss = gateway.get("/a");
    assert_miss(&miss, "1");
    assert_eq!(miss.headers("x-outer"), miss.headers("x-request-id"));
    assert_eq!(miss.headers("x-inner"), miss.headers("x-request-id"));
    for _ in 0..4 {
        let hit = gateway.get("/a");
        assert_hit(&hit, "1");
        // What is stored is what the inner entry made of it for the first request.
        assert_eq!(hit.headers("x-inner"), miss.headers("x-request-id"));
        assert_eq!(hit.headers("x-outer"), hit.headers("x-request-id"));
    }
    assert_eq!(calls(&gateway, "outer", "out"), 5.0);
    assert_eq!(calls(&gateway, "inner", "out"), 1.0);
    assert_eq!(calls(&gateway, "cache", "in"), 5.0);
    assert_eq!(calls(&gateway, "cache", "out"), 1.0);
}

/// Both ways, the way in included.
#[test]
fn inner_request_transformers_do_not_see_hits() {
    let (folder, origin) = (
        Folder::new(),
        Origin::raw(|request| vec![Step::Send(answer(FRESH, &field(request, "x-trace")))]),
    );
    let scene = cached(&origin)
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy("a", "trace", "config.label = \"a\"")
        .policy("b", "trace", "config.label = \"b\"")
        .route("all", "/{rest+}", &["a", "cache", "b"]);
    let gateway = Gateway::start(&scene.toml());
    let trace = |response: &tollgate_tests::Response| response.headers("x-trace").join(" ");
    let miss = gateway.get("/a");
    assert_eq!(trace(&miss), "b a");
    for _ in 0..3 {
        let hit = gateway.get("/a");
        assert!(said(&hit).contains("hit"), "{hit:?}");
        assert_eq!(trace(&hit), "b a");
    }
    assert_eq!(calls(&gateway, "b", "in"), 1.0);
    assert_eq!(calls(&gateway, "b", "out"), 1.0);
    assert_eq!(calls(&gateway, "a", "in"), 4.0);
    assert_eq!(calls(&gateway, "a", "out"), 4.0);
    // An entry inside that answers is asked as the upstream is; its answer states no lifetime.
    for _ in 0..2 {
        let response = gateway.get_with("/b", &[("x-act", "respond:b")]);
        assert_eq!((response.status, trace(&response)), (299, "a".into()));
        assert!(said(&response).contains("fwd="), "{response:?}");
    }
    // One outside that answers leaves the cache unasked.
    let response = gateway.get_with("/a", &[("x-act", "respond:a")]);
    assert_eq!(response.status, 299);
    assert!(response.header("cache-status").is_none());
    // A fault inside is not stored.
    for _ in 0..2 {
        let response = gateway.get_with("/c", &[("x-act", "fault-back:b")]);
        assert_eq!(response.status, 500);
    }
    assert_eq!(gateway.get("/c").status, 200);
}

#[test]
fn an_authorizer_before_the_cache_is_asked_on_hits() {
    let (folder, origin) = (
        Folder::new(),
        numbered("cache-control: public, max-age=600\r\n"),
    );
    let door = "config.authorize.verdict = \"header:x-verdict\"";
    let scene = cached(&origin)
        .plugin("auth", &authorizer(&folder), PATIENT)
        .policy("door", "auth", door)
        .route("all", "/{rest+}", &["door", "cache"]);
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/a"), "1");
    assert_hit(&gateway.get("/a"), "1");
    let denied = gateway.get_with("/a", &[("x-verdict", "deny")]);
    assert_eq!(denied.status, 403);
    assert!(denied.header("cache-status").is_none());
    assert_hit(&gateway.get("/a"), "1");
    assert_eq!(calls(&gateway, "door", "in"), 4.0);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_limiter_inside_counts_misses_alone() {
    let (folder, origin) = (Folder::new(), numbered(FRESH));
    let limits =
        "config.limits = [{ name = \"q\", bound = { quota = { amount = 2, period = \"year\" } } }]";
    let scene = cached(&origin)
        .plugin("limit", &limiter(&folder), PATIENT)
        .policy("limited", "limit", limits)
        .route("inside", "/inside/{rest+}", &["cache", "limited"])
        .route("outside", "/outside/{rest+}", &["limited", "cache"]);
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/inside/a"), "1");
    for _ in 0..5 {
        assert_hit(&gateway.get("/inside/a"), "1");
    }
    assert_miss(&gateway.get("/inside/b"), "2");
    let refused = gateway.get("/inside/c");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(said(&refused).contains("fwd=uri-miss"));
    // The refusal was not stored, and the answers that were are there for all.
    assert_eq!(gateway.get("/inside/c").status, 429);
    assert_hit(&gateway.get("/inside/a"), "1");
    assert_hit(&gateway.get("/inside/b"), "2");

    assert_miss(&gateway.get("/outside/a"), "3");
    let hit = gateway.get("/outside/a");
    assert_hit(&hit, "3");
    let told = hit.header("ratelimit").unwrap_or_default();
    assert!(told.starts_with("\"q\";r=0"), "{told}");
    assert_eq!(gateway.get("/outside/a").status, 429);
}

/// What is left of a limit is told to the request that was counted, and to nobody else.
#[test]
fn a_hit_does_not_tell_of_anothers_limits() {
    let (folder, origin) = (Folder::new(), numbered(FRESH));
    let limits =
        "config.limits = [{ name = \"q\", bound = { quota = { amount = 9, period = \"year\" } } }]";
    let scene = cached(&origin)
        .plugin("limit", &limiter(&folder), PATIENT)
        .policy("limited", "limit", limits)
        .route("all", "/{rest+}", &["cache", "limited"]);
    let gateway = Gateway::start(&scene.toml());
    let miss = gateway.get("/a");
    assert_eq!(miss.headers("ratelimit").len(), 1);
    let hit = gateway.get("/a");
    assert_hit(&hit, "1");
    let stored = hit.headers("ratelimit");
    assert!(
        stored.is_empty(),
        "of the request that was stored: {stored:?}"
    );
}

/// Bodies that a plugin replaces are stored as it left them.
#[test]
fn what_is_stored_is_what_plugins_inside_made_of_it() {
    let origin = Origin::raw(|request| {
        let lines = format!("{FRESH}content-type: application/json\r\n");
        let answer = answer(
            &lines,
            "{\"id\":1,\"secret\":\"x\",\"more\":\"yyyyyyyyyyyyyy\"}",
        );
        vec![Step::Send(match request.method.as_str() {
            "HEAD" => super::head_of(&answer),
            _ => answer,
        })]
    });
    let trimmed = "{\"id\":1}";
    let scene = cached(&origin)
        .with("[plugins.json-body]\ngrant = { bodies = \"64KiB\" }\nlimits = { cpu = \"5s\", wall = \"20s\" }")
        .policy("trim", "json-body", "config.response.keep = [\"id\"]")
        .route("trimmed", "/trimmed", &["cache", "trim"])
        .route("around", "/around", &["trim", "cache"]);
    let gateway = Gateway::start(&scene.toml());
    let head = ask(&gateway, "HEAD", "test.example", "/trimmed");
    assert!(head.header("content-length").is_none(), "{head:?}");
    assert_miss(&gateway.get("/trimmed"), trimmed);
    for _ in 0..2 {
        let hit = gateway.get("/trimmed");
        assert_hit(&hit, trimmed);
        assert_eq!(hit.headers("content-length"), [trimmed.len().to_string()]);
    }
    let head = ask(&gateway, "HEAD", "test.example", "/trimmed");
    assert_hit(&head, "");
    assert_eq!(head.headers("content-length"), [trimmed.len().to_string()]);
    let part = gateway.get_with("/trimmed", &[("range", "bytes=1-4")]);
    assert_eq!((part.status, part.text()), (206, "\"id\"".into()));
    assert_eq!(calls(&gateway, "trim", "out"), 2.0);

    // Around the cache it works on every answer, also on hits.
    assert_miss(&gateway.get("/around"), trimmed);
    assert_hit(&gateway.get("/around"), trimmed);
    assert_hit(&gateway.get("/around"), trimmed);
    assert_eq!(calls(&gateway, "trim", "out"), 5.0);
}

/// A 304 has no body to edit, whatever its fields say of one.
#[test]
fn a_304_passes_plugins_that_edit_bodies() {
    let origin = Origin::raw(|request| {
        let tagged = "content-type: application/json\r\netag: \"1\"\r\n";
        let bytes = match field(request, "if-none-match").as_str() {
            // Weak, since the body is another by now.
            "W/\"1\"" => format!("HTTP/1.1 304 Not Modified\r\n{FRESH}{tagged}\r\n").into_bytes(),
            _ => answer(&format!("{OLD}{tagged}"), "{\"id\":1,\"secret\":2}"),
        };
        vec![Step::Send(bytes)]
    });
    let scene = cached(&origin)
        .with(
            "[plugins.json-body]\ngrant = { bodies = \"64KiB\" }\n\
             limits = { cpu = \"5s\", wall = \"20s\" }",
        )
        .policy("trim", "json-body", "config.response.keep = [\"id\"]");
    let gateway = Gateway::start(&scene.toml());
    assert_miss(&gateway.get("/a"), "{\"id\":1}");
    let response = gateway.get("/a");
    assert_eq!(response.status, 200, "{response:?}");
    assert_miss(&response, "{\"id\":1}");
    assert!(said(&response).contains("fwd-status=304"));
    let hit = gateway.get("/a");
    assert_hit(&hit, "{\"id\":1}");
    assert_eq!(hit.headers("content-length"), ["8"]);
    assert_eq!(hit.headers("etag"), ["W/\"1\""]);
    assert_eq!(origin.requests(), 2);
}

/// RFC 9110, section 8.6: to a HEAD no length is told but that of the body that a GET would have.
#[test]
fn a_head_does_not_tell_the_length_of_a_body_that_a_plugin_replaces() {
    let body = "{\"id\":1,\"secret\":2}";
    let origin = Origin::raw(move |request| {
        let length = format!(
            "{FRESH}content-type: application/json\r\ncontent-md5: x\r\ncontent-length: {}\r\n",
            body.len()
        );
        let body = if request.method == "HEAD" { "" } else { body };
        let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n{body}");
        vec![Step::Send(head.into_bytes())]
    });
    let scene = cached(&origin)
        .with(
            "[plugins.json-body]\ngrant = { bodies = \"64KiB\" }\n\
             limits = { cpu = \"5s\", wall = \"20s\" }",
        )
        .policy("trim", "json-body", "config.response.keep = [\"id\"]")
        .route("plain", "/plain/{path}", &["trim"])
        .route("cached", "/cached/{path}", &["trim", "cache"]);
    let gateway = Gateway::start(&scene.toml());
    for path in ["/plain/a", "/cached/a"] {
        assert_eq!(gateway.get(path).text(), "{\"id\":1}");
        let mut client = gateway.client();
        client.send(format!("HEAD {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let head = client.read();
        assert_eq!(head.status, 200, "{head:?}");
        for name in ["content-length", "content-md5"] {
            assert!(head.headers(name).is_empty(), "{path}: {head:?}");
        }
    }
}
