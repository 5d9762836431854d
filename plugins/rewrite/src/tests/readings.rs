//! Paths that servers read in more than one way.

use super::*;

/// What some servers take for a path that another rule is for goes nowhere.
#[test]
fn a_path_that_others_read_as_another_rules_is_refused() {
    let rules = json!([
        { "match": "/admin(?<rest>[:;].*)?/?", "to": "/nothing" },
        { "strip-prefix": "/store" },
    ]);
    let plugin = plugin(json!({ "rules": rules }));
    for (target, expected) in [
        ("/admin%2F", Err(400)),
        ("//admin", Err(400)),
        ("/admin\\", Err(400)),
        ("/store%2Fx", Err(400)),
        ("/store;a/x", Err(400)),
        ("/;/store%5Cx", Err(400)),
        // No rule is for any reading of these, or the same one is for all that one is for.
        ("/admins%2F", Ok("/admins%2F")),
        ("/store/a%2Fb", Ok("/a%2Fb")),
        ("/admin;x", Ok("/nothing")),
    ] {
        let got = sent(&plugin, testing::request("GET", target));
        assert_eq!(
            got.as_deref().map_err(|status| *status),
            expected,
            "{target}"
        );
    }
}
