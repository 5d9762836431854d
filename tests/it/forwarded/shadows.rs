//! Fields whose names servers may take for another's: `x_user` and `x-user` are one variable of CGI.

use tollgate_tests::{Folder, Gateway, Origin, Step, echo};

use super::{get, told, trusting};
use crate::components::assembled;

const SET: &str = r#"config = { request = { remove = ["x-gone"], set = { x-set = "ours", x-void = "{principal}" }, append = { x-more = "ours" } } }"#;

#[test]
fn what_a_policy_writes_or_removes_is_not_said_under_another_name() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&trusting(&origin).policy("fields", "headers", SET).toml());
    let names = ["gone", "set", "void", "more"];
    for (sign, alone) in [("-", false), ("_", true), (".", true), ("!", true)] {
        let lines = names.map(|name| format!("X{sign}{name}: evil"));
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.extend(["x_free: 1", "x-free: 2"]);
        let answer = gateway.request(get("/a", &lines));
        let mut expected = vec!["x-more: ours", "x-set: ours", "x-free: 2", "x_free: 1"];
        if !alone {
            expected.push("x-more: evil");
        }
        expected.sort_unstable();
        let begin = ["x-g", "x-s", "x-v", "x-m", "x-free", "x_", "x.", "x!"];
        assert_eq!(told(&answer, &begin), expected, "{sign}");
    }
}

const FORWARD: &str = r#"
[policies.sign-in]
plugin = "ext-auth"
config = { upstream = "origin", path = "/auth", principal = { header = "x-auth-user" }, forward = ["x-auth-user", "x-auth-tier"] }
"#;

#[test]
fn what_a_service_says_is_not_said_by_its_client() {
    let origin = Origin::raw(|request| {
        vec![Step::Send(match request.target.as_str() {
            "/auth" => {
                b"HTTP/1.1 200 OK\r\nx-auth-user: alice\r\ncontent-length: 0\r\n\r\n".to_vec()
            }
            _ => echo(request),
        })]
    });
    let scene = trusting(&origin).with(FORWARD);
    let gateway = Gateway::start(&scene.route("a", "/a", &["sign-in"]).toml());
    for sign in ["-", "_", "."] {
        let [user, tier] = ["user", "tier"].map(|name| format!("x{sign}auth{sign}{name}: evil"));
        let answer = gateway.request(get("/a", &[&user, &tier]));
        assert_eq!(
            told(&answer, &["x-auth", "x_auth", "x.auth"]),
            ["x-auth-user: alice"]
        );
    }
}

const KEPT: &str = r#"config = { request = { rename = { x_old = "x-old" }, set = { x-both = "1", x_both = "2" } } }"#;

/// Only what the client sent is taken away: a policy may write both names, or make one of the other.
#[test]
fn what_policies_write_stays_under_any_name() {
    let origin = Origin::echo();
    let scene = trusting(&origin).policy("first", "headers", KEPT).policy(
        "second",
        "headers",
        r#"config = { request.remove = ["x.old", "x.both"] }"#,
    );
    let gateway = Gateway::start(&scene.toml());
    let lines = ["x_old: client", "x-both: client", "x.both: client"];
    let answer = gateway.request(get("/a", &lines));
    assert_eq!(
        told(&answer, &["x-old", "x_old", "x-both", "x_both", "x.both"]),
        ["x-both: 1", "x-old: client", "x_both: 2"]
    );
}

/// What a call that faulted took away is there again.
#[test]
fn a_fault_brings_them_back() {
    let origin = Origin::echo();
    let folder = Folder::new();
    let wasm = assembled(&folder, "edit-then-respond");
    let scene =
        trusting(&origin)
            .plugin("odd", &wasm, "")
            .policy("odd", "odd", "on-fault = \"open\"");
    let gateway = Gateway::start(&scene.toml());
    let answer = gateway.request(get("/a", &["x_red: client"]));
    assert_eq!(told(&answer, &["x-red", "x_red"]), ["x_red: client"]);
}
