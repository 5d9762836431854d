use serde_json::{Value, json};
use tollgate_plugin::testing::{self, RequestBuilder};
use tollgate_plugin::{Outcome, RequestTransformer};

use super::Rewrite;

mod readings;
mod refusals;

fn plugin(config: Value) -> Rewrite {
    testing::configure(config).unwrap()
}

fn refusal(config: Value) -> String {
    match testing::configure::<Rewrite>(config) {
        Ok(_) => panic!("this configuration must be refused"),
        Err(error) => error.to_string(),
    }
}

/// Where a request goes: its new target, or the status that it is answered with.
fn sent(plugin: &Rewrite, request: RequestBuilder) -> Result<String, u16> {
    let mut request = request.build();
    let outcome = request.edit(|request| plugin.transform_request(request));
    match outcome.unwrap() {
        Outcome::Next => Ok(match request.query() {
            Some(query) => format!("{}?{query}", request.path()),
            None => request.path(),
        }),
        Outcome::Respond(reply) => {
            let kind = ("content-type".into(), b"application/problem+json".to_vec());
            assert!(reply.headers.contains(&kind));
            Err(reply.status)
        }
    }
}

#[track_caller]
fn check(rules: Value, cases: &[(&str, &str)]) {
    let plugin = plugin(json!({ "rules": rules }));
    for (target, expected) in cases {
        let got = sent(&plugin, testing::request("GET", target));
        assert_eq!(got.as_deref(), Ok(*expected), "{target}");
    }
}

/// What one rule with this query makes of a query.
#[track_caller]
fn check_query(query: Value, cases: &[(&str, &str)]) {
    let cases: Vec<(String, String)> = cases
        .iter()
        .map(|(from, to)| (format!("/{from}"), format!("/{to}")))
        .collect();
    let cases: Vec<(&str, &str)> = cases
        .iter()
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    check(json!([{ "query": query }]), &cases);
}

#[test]
fn prefixes_are_taken_away_in_whole_segments() {
    check(
        json!([{ "strip-prefix": "/store" }]),
        &[
            ("/store", "/"),
            ("/store/", "/"),
            ("/store/pets/7?a=b", "/pets/7?a=b"),
            ("/store?a=b", "/?a=b"),
            ("/storefront", "/storefront"),
            ("/stor", "/stor"),
            ("/a/store", "/a/store"),
            ("/Store/x", "/Store/x"),
            ("/", "/"),
            // As the router reads it.
            ("/st%6Fre/x", "/x"),
            ("/%73tore", "/"),
            // What is not the prefix stays as it was sent.
            ("/store/%61%2Fb/%C3%A4", "/%61%2Fb/%C3%A4"),
        ],
    );
    check(
        json!([{ "strip-prefix": "/a%20b/c:d", "add-prefix": "/v1" }]),
        &[
            ("/a%20b/c:d/e", "/v1/e"),
            ("/%61%20b/c%3ad", "/v1"),
            ("/a%20b/c%3Ad/", "/v1/"),
            ("/a b/c", "/a b/c"),
        ],
    );
}

#[test]
fn prefixes_are_put_before() {
    check(
        json!([{ "add-prefix": "/api/v1" }]),
        &[("/", "/api/v1/"), ("/pets/7?a", "/api/v1/pets/7?a")],
    );
    // A path that stays as it is is nobody's doing here.
    check(
        json!([{ "query": { "remove": ["x"] } }]),
        &[("//a?x&y", "//a?y")],
    );
    check(
        json!([{ "match": "/pets(/.*)?", "add-prefix": "/api" }]),
        &[
            ("/pets", "/api/pets"),
            ("/pets/7", "/api/pets/7"),
            ("/petshop", "/petshop"),
        ],
    );
}

#[test]
fn a_pattern_matches_the_whole_path() {
    check(
        json!([{ "match": "/v1/(.*)", "to": "/v2/$1" }]),
        &[
            ("/v1/pets/7?q=/v1/x", "/v2/pets/7?q=/v1/x"),
            ("/v1/", "/v2/"),
            ("/v1", "/v1"),
            ("/a/v1/b", "/a/v1/b"),
            ("/v1/a%2Fb/%C3%A4%20", "/v2/a%2Fb/%C3%A4%20"),
        ],
    );
    check(
        json!([{ "match": "/a|/b", "to": "/c" }]),
        &[("/a", "/c"), ("/b", "/c"), ("/a/b", "/a/b"), ("/bb", "/bb")],
    );
    check(
        json!([{ "match": "^/a$", "to": "/c" }, { "match": "(?i)/B", "to": "/d" }]),
        &[("/a", "/c"), ("/b", "/d"), ("/A", "/A")],
    );
}

#[test]
fn captures_are_put_in_as_they_were_sent() {
    check(
        json!([{
            "match": "/(?<year>[0-9]{4})/(?<slug>[^/]+)(/page/([0-9]+))?",
            "to": "/posts/${slug}-$1/${4}$$/x${year}1",
        }]),
        &[
            ("/2026/hello", "/posts/hello-2026/$/x20261"),
            ("/2026/hello/page/3", "/posts/hello-2026/3$/x20261"),
            ("/2026/a%2Fb%3F%23", "/posts/a%2Fb%3F%23-2026/$/x20261"),
            ("/%32026/a%62%2f", "/posts/a%62%2f-%32026/$/x%320261"),
        ],
    );
    check(
        json!([{ "match": "/x(.*)", "to": "/all$0/$1$1" }]),
        &[("/xy", "/all/xy/yy"), ("/x", "/all/x/")],
    );
}

#[test]
fn escapes_of_plain_characters_do_not_hide_a_path() {
    check(
        json!([{ "match": "/admin(?<rest>[:;].*)?/?", "to": "/nothing" }]),
        &[
            ("/admin", "/nothing"),
            ("/%61dmin", "/nothing"),
            ("/%61%64%6d%69%6E/", "/nothing"),
            ("/admin%3Ax", "/nothing"),
            ("/admin%3bx%2F", "/nothing"),
            ("/admin%20", "/admin%20"),
        ],
    );
    // What needs its escape is matched with it, in capital letters.
    check(
        json!([{ "match": "/a%C3%A4%2F(.)", "to": "/$1" }]),
        &[("/%61%c3%A4%2fb", "/b"), ("/aä/b", "/aä/b")],
    );
}

#[test]
fn the_first_rule_that_fits_is_applied() {
    check(
        json!([
            { "match": "/a/b", "to": "/1" },
            { "strip-prefix": "/a", "add-prefix": "/2" },
            { "match": "/2/.*", "to": "/3" },
            { "to": "/4", "query": { "append": { "was": "x" } } },
        ]),
        &[
            ("/a/b", "/1"),
            ("/a/c", "/2/c"),
            ("/2/c", "/3"),
            ("/z?q", "/4?q&was=x"),
        ],
    );
}

#[test]
fn path_parameters_are_encoded_again() {
    let to = |to: &str| plugin(json!({ "rules": [{ "to": to }] }));
    let request = |path: &str, id: &str| testing::request("GET", path).path_parameter("id", id);
    for (id, expected) in [
        ("7", "/x/7"),
        ("a/b", "/x/a%2Fb"),
        ("a?b#c%", "/x/a%3Fb%23c%25"),
        ("ä ~-._", "/x/%C3%A4%20~-._"),
        (";=:@", "/x/%3B%3D%3A%40"),
        ("\\", "/x/%5C"),
    ] {
        assert_eq!(
            sent(&to("/x/{id}"), request("/", id)).as_deref(),
            Ok(expected)
        );
    }
    // All that is left of the path, as it was sent.
    for (path, rest, expected) in [
        ("/files/a/b", "a/b", "/x/a/b"),
        ("/files/a%2Fb/c%20d/", "a/b/c d/", "/x/a%2Fb/c%20d/"),
        ("/files/%61%C3%A4", "aä", "/x/%61%C3%A4"),
        ("/files/100%25", "100%", "/x/100%25"),
        ("/files/%2541", "%41", "/x/%2541"),
    ] {
        let request = request(path, rest);
        assert_eq!(sent(&to("/x/{id+}"), request).as_deref(), Ok(expected));
    }
}

#[test]
fn a_parameter_that_is_not_there_is_a_fault() {
    let fault = |to: &str, path: &str| {
        let plugin = plugin(json!({ "rules": [{ "to": to }] }));
        let mut request = testing::request("GET", path)
            .path_parameter("rest", "a/b")
            .build();
        let outcome = request.edit(|request| plugin.transform_request(request));
        assert_eq!(request.path(), path);
        outcome.unwrap_err().to_string()
    };
    assert_eq!(
        fault("/x/{id}", "/a/b"),
        "rules[0]: the path of route `test-route` has no parameter {id}"
    );
    // Another entry has rewritten the path, or the parameter is not its end.
    for path in ["/a/c", "/xa/b", "/a/b/c", "/b", "a/b"] {
        let text = fault("/x/{rest+}", path);
        assert!(
            text.contains("does not end with the parameter {rest}"),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_fit_to_be_sent_is_answered() {
    let rules = json!({ "rules": [
        { "match": "/dots/(.*)", "to": "/a/.$1" },
        { "match": "/slash/(.*)", "to": "/$1" },
        { "strip-prefix": "/strip" },
    ] });
    let plugin = plugin(rules);
    for (target, expected) in [
        ("/dots/x", Ok("/a/.x")),
        ("/dots/", Err(400)),
        ("/dots/.", Err(400)),
        ("/slash/x", Ok("/x")),
        ("/slash/", Ok("/")),
        ("/slash//evil.example", Err(400)),
        ("/strip//evil.example", Err(400)),
        ("/strip/", Ok("/")),
        ("//evil.example", Ok("//evil.example")),
    ] {
        let got = sent(&plugin, testing::request("GET", target));
        assert_eq!(
            got.as_deref().map_err(|status| *status),
            expected,
            "{target}"
        );
    }
    let path = |bytes: usize| format!("/slash/{}", "x".repeat(bytes - 7));
    assert!(sent(&plugin, testing::request("GET", &path(4096))).is_ok());
    assert_eq!(
        sent(&plugin, testing::request("GET", &path(4097))),
        Err(414)
    );
}

#[test]
fn a_query_is_changed_by_name_and_the_rest_is_kept() {
    check_query(
        json!({ "remove": ["debug", "a b", "ä"] }),
        &[
            ("", ""),
            ("?", "?"),
            ("?debug", ""),
            ("?debug=1&debug=2", ""),
            ("?a=1&debug=x&b=%20+&&c", "?a=1&b=%20+&&c"),
            ("?a+b=1&a%20b&x=%zz", "?x=%zz"),
            ("?%C3%A4=1&debugger=1&x=debug", "?debugger=1&x=debug"),
            ("?d%65bug=1&x", "?x"),
        ],
    );
    check_query(
        json!({ "keep-only": ["q", "page"] }),
        &[
            ("?a=1&q=%20&b&page=2&q=x&", "?q=%20&page=2&q=x"),
            ("?a", ""),
            ("", ""),
        ],
    );
    check_query(json!({ "keep-only": [] }), &[("?a=1&b", ""), ("", "")]);
    check_query(
        json!({ "rename": { "old": "new name", "a": "b", "b": "a" } }),
        &[
            ("?x&old=%20&old&new+name=gone", "?x&new+name=%20&new+name"),
            ("?new+name=stays", "?new+name=stays"),
            ("?a=1&b=2&a=3", "?b=1&a=2&b=3"),
            ("?a=1", "?b=1"),
        ],
    );
    check_query(
        json!({ "rename": { "a": "b" } }),
        &[
            ("?b=0&a=1&b=2", "?b=1"),
            ("?b=0", "?b=0"),
            ("?a==&c", "?b==&c"),
        ],
    );
    check_query(
        json!({ "set": { "a": "x y&z", "b c": "" }, "append": { "d": ["1", "ä+"], "a": "2" } }),
        &[
            ("", "?a=x+y%26z&b+c=&a=2&d=1&d=%C3%A4%2B"),
            (
                "?a=1&e&b%20c=1&a=3",
                "?e&a=x+y%26z&b+c=&a=2&d=1&d=%C3%A4%2B",
            ),
        ],
    );
}

#[test]
fn a_query_is_changed_in_the_documented_order() {
    check_query(
        json!({
            "append": { "n": "appended" },
            "set": { "b": "set" },
            "rename": { "a": "n", "c": "d" },
            "remove": ["c"],
            "keep-only": ["a", "b", "c"],
        }),
        &[("?a=1&b=2&c=3&d=4&n=5", "?n=1&b=set&n=appended")],
    );
}

#[test]
fn values_in_a_query_are_encoded_as_forms_are() {
    let rules = json!({ "rules": [{
        "match": "/(?<kind>[^/]+)/([^/]*)(/.*)?",
        "to": "/search",
        "query": {
            "set": { "kind": "${kind}", "opt": "<$3>" },
            "append": { "all": "{{$2}}: $$ {id} {rest+}" },
        },
    }] });
    let plugin = plugin(rules);
    let request = |target: &str, rest: &str| {
        testing::request("GET", target)
            .path_parameter("id", "a&b c")
            .path_parameter("rest", rest)
    };
    assert_eq!(
        sent(&plugin, request("/p%26%2Bets/%C3%A4+%20?opt=1&x", "ä+ ")).as_deref(),
        Ok("/search?x&kind=p%26%2Bets&all=%7B%C3%A4%2B+%7D%3A+%24+a%26b+c+%C3%A4%2B+")
    );
    assert_eq!(
        sent(&plugin, request("/p/q/r?opt=1", "r")).as_deref(),
        Ok("/search?kind=p&opt=%3C%2Fr%3E&all=%7Bq%7D%3A+%24+a%26b+c+r")
    );
}

#[test]
fn the_upstream_is_told_another_host() {
    let plugin = plugin(json!({ "rules": [
        { "strip-prefix": "/a", "authority": "pets.internal:8080" },
    ] }));
    for (path, expected) in [("/a/b", "pets.internal:8080"), ("/b", "api.example")] {
        let mut request = testing::request("GET", path).build();
        let outcome = request.edit(|request| plugin.transform_request(request));
        assert_eq!(outcome.unwrap(), Outcome::Next);
        assert_eq!(request.authority(), expected);
    }
}

#[test]
fn expressions_of_all_plugins_have_a_dot() {
    let rules = json!([{
        "to": "/t/{claim.tenant}/{header.x-kind}/{method}",
        "query": { "set": { "user": "{claim.sub}", "kind": "{header.x-kind}" } }
    }]);
    let plugin = plugin(json!({ "rules": rules }));
    let request = || {
        testing::request("GET", "/a?user=mine")
            .path_parameter("method", "m")
            .claim("tenant", "a/b?c")
    };
    // What is put in stays in its segment or its value.
    let kind = request().header("x-kind", "..\u{e4} &x=1");
    let got = sent(&plugin, kind);
    assert_eq!(
        got.as_deref(),
        Ok("/t/a%2Fb%3Fc/..%C3%A4%20%26x%3D1/m?kind=..%C3%A4+%26x%3D1")
    );
    // A path that lacks a part of it leads nowhere that the operator meant.
    assert_eq!(sent(&plugin, request()), Err(400));
}
