use std::time::Duration;

use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder, ResponseBuilder};
use tollgate_plugin::{EntryKey, Retention, Storage};

use super::HttpCache;

mod keys;
mod stores;

fn plugin(config: Value) -> HttpCache {
    testing::configure(config.clone()).unwrap_or_else(|error| panic!("{config}: {error}"))
}

fn refusal(config: Value) -> String {
    match testing::configure::<HttpCache>(config.clone()) {
        Ok(_) => panic!("must be refused: {config}"),
        Err(error) => error.to_string(),
    }
}

fn get() -> RequestBuilder {
    testing::request("GET", "/pets/7?page=2&utm_source=mail")
}

fn looked_up(config: Value, request: RequestBuilder) -> EntryKey {
    testing::lookup(&plugin(config), &request.build()).unwrap()
}

/// The parts of a key; none if it bypasses.
fn key(key: Value, request: RequestBuilder) -> Option<Vec<String>> {
    match looked_up(json!({ "key": key }), request) {
        EntryKey::Keyed(parts) => Some(parts),
        EntryKey::Bypass => None,
        EntryKey::Standard => panic!("there is a key"),
    }
}

/// What is said of a response, after the way in.
fn stored(config: Value, request: RequestBuilder, response: ResponseBuilder) -> Storage {
    let plugin = plugin(config);
    let request = request.build();
    let _ = testing::lookup(&plugin, &request).unwrap();
    testing::store(&plugin, &request, &response.build()).unwrap()
}

fn ok() -> ResponseBuilder {
    testing::response(200)
}

fn cc(value: &str) -> ResponseBuilder {
    ok().header("cache-control", value)
}

#[test]
fn without_configuration_the_standard_decides() {
    for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "QUERY"] {
        let request = || {
            testing::request(method, "/a?b")
                .header("authorization", "Bearer x")
                .header("cookie", "a=b")
                .header("cache-control", "no-cache")
        };
        assert_eq!(looked_up(json!({}), request()), EntryKey::Standard);
        for response in [
            ok(),
            cc("no-store"),
            cc("private, max-age=9"),
            testing::response(404),
            ok().header("set-cookie", "a=b"),
        ] {
            assert_eq!(stored(json!({}), request(), response), Storage::Standard);
        }
    }
}

#[test]
fn methods_and_bypasses() {
    let config = json!({
        "methods": ["GET"],
        "bypass": { "headers": ["X-Preview"], "query": ["no cache"], "cookies": ["session"] },
    });
    let request = testing::request;
    for (request, expected) in [
        (get(), EntryKey::Standard),
        (request("HEAD", "/"), EntryKey::Bypass),
        (request("GET", "/?no+cache"), EntryKey::Bypass),
        (request("GET", "/?nocache=1"), EntryKey::Standard),
        (request("GET", "/?a=1;no%20cache"), EntryKey::Bypass),
        (request("GET", "/?a=1&No+Cache[]=2"), EntryKey::Bypass),
        (get().header("x-preview", ""), EntryKey::Bypass),
        (get().header("cookie", "a=session; b=1"), EntryKey::Standard),
        (get().header("cookie", "a=1; session=x"), EntryKey::Bypass),
        (
            get().header("cookie", "a=1").header("cookie", "session"),
            EntryKey::Bypass,
        ),
        // What they change must not stay.
        (
            request("POST", "/?no+cache").header("cookie", "session=x"),
            EntryKey::Standard,
        ),
        (
            request("DELETE", "/").header("x-preview", "1"),
            EntryKey::Standard,
        ),
    ] {
        let request = request.build();
        let found = testing::lookup(&plugin(config.clone()), &request).unwrap();
        assert_eq!(
            found,
            expected,
            "{} {:?}",
            request.method(),
            request.headers()
        );
    }
    assert_eq!(
        looked_up(json!({ "methods": ["HEAD"] }), get()),
        EntryKey::Bypass
    );
}

#[test]
fn bad_configurations_are_refused_by_place() {
    let key = |key: Value| json!({ "key": key });
    let query = |query: Value| json!({ "key": { "query": query } });
    let ttl = |ttl: Value| json!({ "ttl": ttl });
    let names: Vec<String> = (0..17).map(|index| format!("h{index}")).collect();
    for (config, expected) in [
        (json!({ "keys": {} }), "unknown field `keys`"),
        (json!({ "methods": ["POST"] }), "`methods`: \"POST\""),
        (json!({ "methods": ["get"] }), "`methods`: \"get\""),
        (json!({ "methods": [] }), "`methods` is empty"),
        (
            json!({ "bypass": { "headers": ["a", "x y"] } }),
            "`bypass.headers[1]`: \"x y\"",
        ),
        (key(json!({ "headers": ["x y"] })), "`key.headers[0]`"),
        (key(json!({ "headers": names })), "`key` has 17 headers"),
        (key(json!({ "cookies": [""] })), "`key.cookies[0]` is empty"),
        (key(json!({ "claims": [""] })), "`key.claims[0]` is empty"),
        (
            key(json!({ "path": false, "query": false })),
            "`key` is the same for every path",
        ),
        (
            json!({ "personal": { "headers": ["a b"] } }),
            "`personal.headers[0]`: \"a b\"",
        ),
        (
            json!({ "personal": { "cookies-except": ["a", "b*c"] } }),
            "`personal.cookies-except[1]`: \"b*c\"",
        ),
        (json!({ "strip": ["a", "b c"] }), "`strip[1]`: \"b c\""),
        (json!({ "strip": vec!["a"; 33] }), "`strip` has 33 headers"),
        (
            query(json!({ "only": [], "except": [] })),
            "give one of them",
        ),
        (query(json!({ "only": ["a*b"] })), "\"a*b\""),
        (query(json!({ "except": [""] })), "\"\""),
        (
            query(json!("page")),
            "`key.query` is true, false, or a table",
        ),
        (
            query(json!({ "onyl": [] })),
            "`key.query` is true, false, or a table",
        ),
        (ttl(json!(60)), "`ttl` is a time such as"),
        (ttl(json!("60")), "`ttl`: \"60\" must be a whole number"),
        (ttl(json!("1.5s")), "must be a whole number"),
        (ttl(json!("-1s")), "must be a whole number"),
        (
            ttl(json!("18446744073709551615d")),
            "must be a whole number",
        ),
        (ttl(json!("367d")), "is more than 366d"),
        (ttl(json!("0s")), "`ttl`: 200 is kept for no time"),
        (ttl(json!({})), "`ttl` is empty"),
        (ttl(json!({ "ok": "1s" })), "`ttl.ok`: \"ok\" is no status"),
        (ttl(json!({ "0200": "1s" })), "is no status"),
        (ttl(json!({ "100": "1s" })), "is no status"),
        (ttl(json!({ "206": "1s" })), "`ttl.206`: answers with 206"),
        (ttl(json!({ "404": "soon" })), "`ttl.404`: \"soon\""),
        (
            json!({ "override": "lifetime" }),
            "`override` belongs to a `ttl`",
        ),
        (
            json!({ "stale-if-error": "1s" }),
            "`stale-if-error` belongs to a `ttl`",
        ),
        (
            json!({ "stale-while-revalidate": "1s" }),
            "`stale-while-revalidate` belongs to a `ttl`",
        ),
        (json!({ "tags": ["a"] }), "`tags` belongs to a `ttl`"),
        (
            json!({ "tags-header": "a" }),
            "`tags-header` belongs to a `ttl`",
        ),
        (
            json!({ "ttl": "1s", "stale-if-error": "x" }),
            "`stale-if-error`: \"x\"",
        ),
        (
            json!({ "ttl": "1s", "override": "all" }),
            "unknown variant `all`",
        ),
        (
            json!({ "ttl": "1s", "tags-header": "a b" }),
            "`tags-header`: \"a b\"",
        ),
        (
            json!({ "ttl": "1s", "tags": ["a", "{a"] }),
            "`tags[1]`: \"{a\" has a `{`",
        ),
        (json!({ "ttl": "1s", "tags": ["a}"] }), "has a `}`"),
        (
            json!({ "ttl": "1s", "tags": [""] }),
            "`tags[0]`: \"\" is empty",
        ),
        (
            json!({ "ttl": "1s", "tags": ["{path.}"] }),
            "`{path.}` has no name",
        ),
        (
            json!({ "ttl": "1s", "tags": ["{header.a b}"] }),
            "is not the name of a header",
        ),
        (
            json!({ "ttl": "1s", "tags": ["{id}"] }),
            "`{id}` is not known",
        ),
        (
            json!({ "ttl": "1s", "tags": vec!["a"; 33] }),
            "`tags` has 33",
        ),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}\nbut not: {expected}");
    }
}
