//! Decisions of authorizers, remembered: used again only for a request that gives every getter that the
//! plugin called the same value again.
//!
//! The guest's decision is all that it read: the principal of a grant, which the origin is told, or the
//! body of a denial. So a decision that was made for another request is seen as such.

mod at_once;
mod getters;
mod model;
mod told;

use tollgate_tests::{Folder, Gateway, Origin, Response, eventually};

use crate::kinds::{PATIENT, authorizer, transformer};
use crate::scene::Scene;

/// An authorizer `auth` that a policy `auth` configures, and behind it `tell`, which tells the origin
/// the principal.
fn scene(folder: &Folder, origin: &Origin, authorize: &str, more: &str) -> Scene {
    Scene::new(origin)
        .plugin("auth", &authorizer(folder), PATIENT)
        .plugin("trace", &transformer(folder), PATIENT)
        .policy(
            "auth",
            "auth",
            &format!("config.authorize = {authorize}\n{more}"),
        )
        .policy("tell", "trace", "config.tell.x-principal = \"principal\"")
}

/// How often the plugin was asked.
#[track_caller]
fn calls(gateway: &Gateway) -> u64 {
    let labels = [("policy", "auth"), ("side", "in")];
    gateway.metric("tollgate_plugin_calls_total", &labels) as u64
}

#[track_caller]
fn remembered(gateway: &Gateway) -> u64 {
    let labels = [("policy", "auth")];
    gateway.metric("tollgate_decisions_remembered_total", &labels) as u64
}

#[track_caller]
fn principal(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    let principals = response.echoed("x-principal");
    assert_eq!(principals.len(), 1);
    String::from_utf8_lossy(&principals[0]).into_owned()
}

const PATH_AND_USER: &str = "{ reads = [\"path\", \"header:x-user\"], remember-ms = 3_600_000 }";

/// The two ways in which instances live.
const INSTANCES: [&str; 2] = ["", "instances = { calls = 1000 }"];

#[test]
fn equal_requests_are_decided_once() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for instances in INSTANCES {
        let toml = scene(&folder, &origin, PATH_AND_USER, instances).toml();
        let gateway = Gateway::start(&toml);
        let mut expected = 0;
        for (path, user) in [
            ("/a", Some("u")),
            ("/a", Some("v")),
            ("/b", Some("u")),
            ("/a", None),
            ("/a", Some("")),
            ("/A", Some("u")),
            ("/a/", Some("u")),
            ("/%61", Some("u")),
            ("/a", Some("U")),
        ] {
            expected += 1;
            let user = user.map(|user| ("x-user", user));
            let headers: Vec<(&str, &str)> = user.into_iter().collect();
            let said = match user {
                Some((_, user)) => format!("path={path};header:x-user={user}"),
                None => format!("path={path};header:x-user!"),
            };
            for round in 0..5 {
                // What was not read does not matter.
                let round = round.to_string();
                let target = format!("{path}?q={round}");
                let headers = [&headers[..], &[("x-round", &round)]].concat();
                assert_eq!(principal(&gateway.get_with(&target, &headers)), said);
            }
            assert_eq!(calls(&gateway), expected, "{said} {instances}");
        }
        assert_eq!(remembered(&gateway), 4 * expected);
        // What was known first still is.
        let response = gateway.get_with("/a", &[("x-user", "u")]);
        assert_eq!(principal(&response), "path=/a;header:x-user=u");
        assert_eq!(calls(&gateway), expected);
    }
}

#[test]
fn a_remembered_decision_is_recorded_as_such() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&scene(&folder, &origin, PATH_AND_USER, "").toml());
    gateway.get("/a?1");
    gateway.get("/a?2");
    let again = |record: &serde_json::Value| record["entries"][0]["remembered"] == true;
    let first = gateway.record(|record| !again(record));
    let second = gateway.record(again);
    for record in [&first, &second] {
        assert_eq!(record["entries"][0]["policy"], "auth");
        assert_eq!(record["entries"][0]["verdict"], "allow");
        assert_eq!(record["entries"][0]["side"], "in");
        assert_eq!(record["principal"], "path=/a;header:x-user!");
    }
    assert_eq!(second["entries"][0]["us"], 0);
}

#[test]
fn denials_are_remembered() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize =
        "{ reads = [\"path\"], verdict = \"header:x-verdict\", remember-ms = 3_600_000 }";
    let gateway = Gateway::start(&scene(&folder, &origin, authorize, "").toml());
    for _ in 0..5 {
        for path in ["/a", "/b"] {
            let response = gateway.get_with(path, &[("x-verdict", "deny")]);
            assert_eq!(response.status, 403);
            assert_eq!(response.text(), format!("path={path}"));
            assert!(response.complete);
        }
    }
    assert_eq!((calls(&gateway), remembered(&gateway)), (2, 8));
    assert_eq!(origin.requests(), 0);
    let record = gateway.record(|record| record["entries"][0]["remembered"] == true);
    assert_eq!(record["entries"][0]["verdict"], "deny");
    assert_eq!(record["status"], 403);
    assert!(record["principal"].is_null());
    // Who is allowed is none of them.
    assert_eq!(principal(&gateway.get("/a")), "path=/a");
    // Nor is a HEAD told more than a GET.
    let mut client = gateway.client();
    client.send("HEAD /a HTTP/1.1\r\nhost: a\r\nx-verdict: deny\r\n\r\n");
    let response = client.read();
    assert_eq!((response.status, response.body.len()), (403, 0));
}

#[test]
fn a_decision_is_asked_for_again_when_its_time_is_over() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for verdict in ["allow", "deny"] {
        let authorize = "{ reads = [\"path\"], verdict = \"header:x-verdict\", remember-ms = 100 }";
        let gateway = Gateway::start(&scene(&folder, &origin, authorize, "").toml());
        eventually("a second call", || {
            let response = gateway.get_with("/a", &[("x-verdict", verdict)]);
            let status = if verdict == "deny" { 403 } else { 200 };
            assert_eq!(response.status, status);
            (calls(&gateway) > 1).then_some(())
        });
        // And once more: the second was remembered for no longer.
        eventually("a third call", || {
            gateway.get_with("/a", &[("x-verdict", verdict)]);
            (calls(&gateway) > 2).then_some(())
        });
    }
}

#[test]
fn what_may_change_by_itself_is_never_remembered() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for authorize in [
        "{ reads = [\"path\", \"clock\"], remember-ms = 3_600_000 }",
        "{ reads = [\"random\", \"path\"], remember-ms = 3_600_000 }",
        "{ reads = [\"id\"], remember-ms = 3_600_000 }",
        "{ reads = [\"path\"], notes = { n = \"random\" }, remember-ms = 3_600_000 }",
        "{ reads = [\"path\"], verdict = \"clock\", remember-ms = 3_600_000 }",
        // The plugin does not want it.
        "{ reads = [\"path\"] }",
        "{ reads = [\"path\"], remember-ms = 0 }",
        "{ }",
    ] {
        for instances in INSTANCES {
            let toml = scene(&folder, &origin, authorize, instances).toml();
            let gateway = Gateway::start(&toml);
            for round in 1..=4 {
                assert_eq!(gateway.get("/a").status, 200);
                assert_eq!(calls(&gateway), round, "{authorize} {instances}");
            }
            assert_eq!(remembered(&gateway), 0, "{authorize}");
        }
    }
}

/// What the gateway's generator of random numbers needs to begin is not on the account of the plugin
/// that happens to ask first, in the process or on a thread of it.
#[test]
fn the_first_random_number_is_within_the_default_processor_time() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    // Some work before, so that the clock has ticked when it asks: only then is time judged.
    let authorize = "config.authorize = { reads = [\"random\"], work = 5_000_000 }";
    let toml = Scene::new(&origin)
        .plugin("auth", &authorizer(&folder), "limits.wall = \"20s\"")
        .policy("auth", "auth", authorize)
        .toml();
    for _ in 0..3 {
        let gateway = Gateway::start(&toml);
        for _ in 0..8 {
            let response = gateway.get("/a");
            assert_eq!(response.status, 200, "{response:?}");
        }
    }
}

/// One kind of request reads the clock; that spoils its own decision alone.
#[test]
fn what_is_not_remembered_does_not_stand_in_the_way_of_what_is() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize = "{ reads = [\"header:x-kind\"], remember-ms = 3_600_000, \
                     branches = { clock = [\"clock\"], path = [\"path\"] } }";
    let gateway = Gateway::start(&scene(&folder, &origin, authorize, "").toml());
    for round in 0..3 {
        let response = gateway.get_with("/a", &[("x-kind", "clock")]);
        assert!(principal(&response).starts_with("header:x-kind=clock;clock="));
        let response = gateway.get_with("/a", &[("x-kind", "path")]);
        assert_eq!(principal(&response), "header:x-kind=path;path=/a");
        assert_eq!(calls(&gateway), 2 + round);
    }
}

#[test]
fn a_fault_is_never_remembered() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize =
        "{ reads = [\"path\"], verdict = \"header:x-verdict\", remember-ms = 3_600_000 }";
    for instances in INSTANCES {
        let toml = scene(&folder, &origin, authorize, instances).toml();
        let gateway = Gateway::start(&toml);
        let fault = || gateway.get_with("/a", &[("x-verdict", "fault")]).status;
        for round in 1..=3 {
            assert_eq!(fault(), 500);
            assert_eq!(calls(&gateway), round, "{instances}");
        }
        assert_eq!(principal(&gateway.get("/a")), "path=/a");
        assert_eq!(principal(&gateway.get("/a")), "path=/a");
        assert_eq!(calls(&gateway), 4);
        assert_eq!(fault(), 500);
        assert_eq!(calls(&gateway), 5);
        let labels = [("policy", "auth"), ("kind", "error")];
        assert_eq!(gateway.metric("tollgate_plugin_faults_total", &labels), 4.0);
    }
}

/// Two policies of one plugin, and two plugins of one component, know nothing of each other.
#[test]
fn policies_remember_for_themselves() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let other = PATH_AND_USER.replace("\"path\", ", "\"literal:other\", ");
    let toml = scene(&folder, &origin, PATH_AND_USER, "")
        .policy("other", "auth", &format!("config.authorize = {other}"))
        .route("a", "/a", &["auth", "tell"])
        .route("b", "/b", &["other", "tell"])
        .route("c", "/c/{rest+}", &["auth", "tell"])
        .toml();
    let gateway = Gateway::start(&toml);
    for _ in 0..3 {
        assert_eq!(principal(&gateway.get("/a")), "path=/a;header:x-user!");
        let said = "literal:other=other;header:x-user!";
        assert_eq!(principal(&gateway.get("/b")), said);
        assert_eq!(principal(&gateway.get("/c/a")), "path=/c/a;header:x-user!");
    }
    assert_eq!(calls(&gateway), 2, "one for each route that it guards");
}
