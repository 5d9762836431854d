//! Configurations that are refused.

use super::*;

#[test]
fn bad_configurations_are_refused_by_place() {
    let header = |name: &str| json!({ "header": name });
    for (more, expected) in [
        (json!({ "upstream": "" }), "`upstream` is empty"),
        (json!({ "upstream": null }), "invalid type: null"),
        (json!({ "path": null }), "give a `path`, or a `path-prefix`"),
        (json!({ "path-prefix": "/a" }), "are both given"),
        (json!({ "path": "verify" }), "`path`: \"verify\" is no path"),
        (json!({ "path": "/a b" }), "is no path"),
        (json!({ "path": "/a#b" }), "is no path"),
        (
            json!({ "path": null, "path-prefix": "a" }),
            "`path-prefix`: \"a\"",
        ),
        (json!({ "path": null, "path-prefix": "/a?b" }), "is no path"),
        (json!({ "method": "get" }), "`method`: \"get\" is no method"),
        (json!({ "method": "" }), "is no method"),
        (
            json!({ "method": "HEAD" }),
            "`method`: \"HEAD\" has no answer",
        ),
        (
            json!({ "timeout": "5" }),
            "`timeout`: \"5\" must be 1ms to 60s",
        ),
        (json!({ "timeout": "0s" }), "must be 1ms to 60s"),
        (json!({ "timeout": "61s" }), "must be 1ms to 60s"),
        (
            json!({ "headers": ["a b"] }),
            "`headers[0]`: \"a b\" is not the name",
        ),
        (
            json!({ "headers": ["a", "A"] }),
            "`headers[1]`: \"A\" is named twice",
        ),
        (
            json!({ "headers": ["Host"] }),
            "`headers[0]`: \"Host\" belongs to the connection",
        ),
        (
            json!({ "headers": ["X-Forwarded-For"] }),
            "`x-forwarded-for` is not taken from the client",
        ),
        (json!({ "forward": ["content-length"] }), "`forward[0]`"),
        (json!({ "deny-headers": [""] }), "`deny-headers[0]`"),
        (json!({ "principal": null }), "invalid type"),
        (
            json!({ "principal": { "headers": "a" } }),
            "unknown field `headers`",
        ),
        (
            json!({ "principal": {} }),
            "`principal` names one `header` or one `body`",
        ),
        (
            json!({ "usage-key": { "header": "a", "body": "b" } }),
            "`usage-key` names one `header` or one `body`",
        ),
        (
            json!({ "principal": header("a b") }),
            "`principal.header`: \"a b\"",
        ),
        (
            json!({ "principal": { "body": "" } }),
            "`principal.body` is empty",
        ),
        (json!({ "usage-key": header("") }), "`usage-key.header`"),
        (
            json!({ "claims": { "org": header("") } }),
            "`claims.org.header`",
        ),
        (
            json!({ "claims": { "": header("a") } }),
            "`claims` has an empty name",
        ),
        (json!({ "anonymous": "" }), "`anonymous`: \"\""),
        (
            json!({ "remember": "2" }),
            "`remember`: \"2\" must be 0s to 60m",
        ),
        (json!({ "remember": "61m" }), "must be 0s to 60m"),
        (json!({ "remember": "1.5s" }), "must be 0s to 60m"),
        (json!({ "remember": 2 }), "expected a string"),
        (
            json!({ "remember": "1s", "headers": ["a", "X-Request-Id"] }),
            "`headers`: `x-request-id` is another in each request",
        ),
        (json!({ "remembers": "1s" }), "unknown field `remembers`"),
        (
            json!({ "x-forwarded": ["path"] }),
            "unknown variant `path`, expected one of `method`, `proto`, `host`, `uri`, `for`",
        ),
    ] {
        let Err(error) = testing::configure::<ExtAuth>(config(more.clone())) else {
            panic!("must be refused: {more}");
        };
        assert!(
            error.to_string().contains(expected),
            "{error}\nbut not: {expected}"
        );
    }
}
