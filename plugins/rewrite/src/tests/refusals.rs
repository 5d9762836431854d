//! Configurations that are refused, and what is said of them.

use serde_json::{Value, json};

use super::{plugin, refusal};

#[test]
fn bad_configurations_are_refused_by_place() {
    let rule = |rule: Value| json!({ "rules": [{ "match": "/first", "to": "/" }, rule] });
    let to = |to: &str| rule(json!({ "match": "/(?<a>.)(.)", "to": to }));
    let query = |query: Value| rule(json!({ "query": query }));
    for (config, expected) in [
        (json!({}), "missing field `rules`"),
        (json!({ "rules": [] }), "`rules` is empty"),
        (rule(json!({})), "rules[1] changes nothing"),
        (rule(json!({ "match": "/a" })), "rules[1] changes nothing"),
        (
            json!({ "rules": [{ "to": "/a" }, { "to": "/b" }] }),
            "rules[0] has neither `match` nor `strip-prefix`",
        ),
        (
            rule(json!({ "match": "/a", "strip-prefix": "/a" })),
            "rules[1]: `match` and `strip-prefix` are both given",
        ),
        (
            rule(json!({ "strip-prefix": "/a", "to": "/b" })),
            "rules[1]: `to` is the whole path",
        ),
        (
            rule(json!({ "add-prefix": "/a", "to": "/b" })),
            "rules[1]: `to` is the whole path",
        ),
        (
            rule(json!({ "match": "/(", "to": "/" })),
            "rules[1].match: ",
        ),
        (
            rule(json!({ "match": "a)|(b", "to": "/" })),
            "rules[1].match: ",
        ),
        (
            rule(json!({ "match": r"/(a)\1", "to": "/" })),
            "rules[1].match: ",
        ),
        (
            rule(json!({ "match": "/([a-z]{50}){50}", "to": "/" })),
            "rules[1].match: compiled regex exceeded size limit",
        ),
        (
            rule(json!({ "strip-prefix": "a" })),
            "rules[1].strip-prefix must",
        ),
        (
            rule(json!({ "strip-prefix": "/" })),
            "rules[1].strip-prefix must be a path without",
        ),
        (
            rule(json!({ "strip-prefix": "/a/" })),
            "rules[1].strip-prefix must be a path without",
        ),
        (
            rule(json!({ "strip-prefix": "/a//b" })),
            "rules[1].strip-prefix has an empty segment",
        ),
        (
            rule(json!({ "add-prefix": "" })),
            "rules[1].add-prefix must be a path without",
        ),
        (
            rule(json!({ "add-prefix": "v1" })),
            "rules[1].add-prefix must begin with a slash",
        ),
        (
            rule(json!({ "add-prefix": "/a/../b" })),
            "rules[1].add-prefix has a dot segment",
        ),
        (
            rule(json!({ "add-prefix": "/%2E%2e" })),
            "rules[1].add-prefix has a dot segment",
        ),
        (
            rule(json!({ "add-prefix": "/a b" })),
            "rules[1].add-prefix has ' ' in it",
        ),
        (to(""), "rules[1].to must begin with a slash"),
        (to("$1"), "rules[1].to must begin with a slash"),
        (
            to("/a?b=$1"),
            "'?' in it, which must be percent-encoded; parameters are set with",
        ),
        (to("/a#b"), "'#' in it"),
        (to("/ä"), "'ä' in it"),
        (to("/a\n"), "'\\n' in it"),
        (to("/{{a}}"), "'{' in it"),
        (to("/%"), "has a `%` without"),
        (to("/%$1"), "has a `%` without"),
        (to("/%2"), "has a `%` without"),
        (to("//$1"), "has an empty segment"),
        (to("/./$1"), "has a dot segment"),
        (to("/$1/%2e%2E"), "has a dot segment"),
        (
            to("/$3"),
            "rules[1].to has `$3`, and `match` has no such group",
        ),
        (to("/${b}"), "has `$b`, and `match` has no such group"),
        (to("/$12"), "has `$12`, and `match` has no such group"),
        (to("/$a"), "has a `$` without a number or a name in braces"),
        (to("/${}"), "has a `$` without a number or a name in braces"),
        (to("/$"), "has a `$` without"),
        (to("/${a"), "has a `${` that is not closed"),
        (to("/{a"), "has a `{` that is not closed"),
        (to("/a}"), "has a `}` that closes nothing"),
        (to("/{}"), "`{}`, which is not the name of a path parameter"),
        (
            to("/{a b}"),
            "`{a b}`, which is not the name of a path parameter",
        ),
        (
            to("/{a++}"),
            "`{a+}`, which is not the name of a path parameter",
        ),
        (
            rule(json!({ "to": "/$0" })),
            "rules[1].to has `$0`, and the rule has no `match`",
        ),
        (query(json!({})), "rules[1].query: changes nothing"),
        (
            query(json!({ "remove": [""] })),
            "rules[1].query: remove has an empty name",
        ),
        (
            query(json!({ "keep-only": ["a", ""] })),
            "query: keep-only has an empty name",
        ),
        (
            query(json!({ "set": { "": "x" } })),
            "query: set has an empty name",
        ),
        (
            query(json!({ "rename": { "a": "" } })),
            "query: rename has an empty name",
        ),
        (
            query(json!({ "rename": { "a": "a" } })),
            "rename.\"a\" is its own new name",
        ),
        (
            query(json!({ "rename": { "a": "c", "b": "c" } })),
            "rename.\"b\": \"c\" is named twice",
        ),
        (
            query(json!({ "set": { "a": "{" } })),
            "rules[1].query: set.\"a\" has a `{`",
        ),
        (
            query(json!({ "append": { "a": ["x", "$1"] } })),
            "rules[1].query: append.\"a\" has `$1`, and the rule has no `match`",
        ),
        (query(json!({ "drop": ["a"] })), "unknown field"),
        (
            rule(json!({ "authority": "" })),
            "rules[1].authority must be a host",
        ),
        (
            rule(json!({ "authority": "a:x" })),
            "rules[1].authority must be a host",
        ),
        (
            rule(json!({ "authority": "a:" })),
            "rules[1].authority must be a host",
        ),
        (
            rule(json!({ "authority": "a:70000" })),
            "rules[1].authority must be a host",
        ),
        (
            rule(json!({ "authority": "u@a" })),
            "rules[1].authority must be a host",
        ),
        (
            rule(json!({ "authority": "http://a" })),
            "rules[1].authority must be a host",
        ),
        (
            rule(json!({ "authority": "[::x]" })),
            "rules[1].authority must be a host",
        ),
        (rule(json!({ "regex": "/a" })), "unknown field"),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}");
    }
    for authority in [
        "a",
        "a.example:80",
        "[::1]",
        "[2001:db8::1]:8080",
        "192.0.2.1",
    ] {
        plugin(rule(json!({ "authority": authority })));
    }
}
