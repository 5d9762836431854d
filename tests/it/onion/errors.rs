//! What ends the way in, and our own errors: they pass the entries entered before, and no others.

use tollgate_tests::{Folder, Gate, Gateway, Origin, Step, dead_address};

use super::{assert_passes, inwards, nested, outwards, traced};
use crate::kinds::{PATIENT, authorizer, kinds, limiter, transformer};
use crate::scene::Scene;

#[test]
fn who_ends_the_way_in_is_not_run_on_the_way_out() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&nested(&folder, &origin).toml());
    for (who, rest) in [
        ("g1", ""),
        ("g2", "g1"),
        ("a1", "g2 g1"),
        ("r1", "a2 a1 g2 g1"),
        ("r2", "r1 a2 a1 g2 g1"),
    ] {
        let act = format!("respond:{who}");
        let response = gateway.get_with("/store/pets/7", &[("x-act", &act)]);
        assert_eq!(response.status, 299, "{who}");
        assert_eq!(response.text(), "answered");
        assert_eq!(response.headers("x-answered-by"), [who]);
        assert_eq!(outwards(&response), rest, "{who}");
        let act = format!("fault:{who}");
        let response = gateway.get_with("/store/pets/7", &[("x-act", &act)]);
        assert_eq!(response.status, 500, "{who}");
        assert_eq!(outwards(&response), rest, "{who}");
    }
    assert_eq!(origin.requests(), 0);
    let record = gateway.record(|record| record["status"] == 299);
    assert_eq!(record["entries"][0]["verdict"], "respond");
    assert!(record["failure"].is_null(), "{record}");
    let record = gateway.record(|record| record["status"] == 500);
    assert_eq!(record["entries"][0]["verdict"], "fault");
    assert_eq!(record["failure"]["blame"], "plugin");
}

#[test]
fn a_response_that_is_replaced_goes_on_outwards() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&nested(&folder, &origin).toml());
    for (act, status) in [("respond-back:a2", 299), ("fault-back:a2", 500)] {
        let response = gateway.get_with("/store/pets/7", &[("x-act", act)]);
        assert_eq!(response.status, status, "{act}");
        // What was traced further in went with the response that it was traced on.
        assert_eq!(outwards(&response), "a1 g2 g1", "{act}");
    }
    // One replaces what another did.
    let acts = "respond:r1 respond-back:a2 fault-back:g2";
    let response = gateway.get_with("/store/pets/7", &[("x-act", acts)]);
    assert_eq!((response.status, outwards(&response)), (500, "g1".into()));
    let acts = "fault:r1 respond-back:g2";
    let response = gateway.get_with("/store/pets/7", &[("x-act", acts)]);
    assert_eq!((response.status, outwards(&response)), (299, "g1".into()));
    assert_eq!(response.text(), "answered");
    assert_passes(&gateway.get("/store/pets/7"), "g1 g2 a1 a2 r1 r2");
}

#[test]
fn a_denial_and_a_refusal_pass_outwards_too() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = traced(&folder, &origin, &["outer", "inner"])
        .plugin("auth", &authorizer(&folder), PATIENT)
        .plugin("limit", &limiter(&folder), PATIENT)
        .policy(
            "door",
            "auth",
            "config.authorize.verdict = \"header:x-verdict\"",
        )
        .policy(
            "none",
            "limit",
            "config.limits = [{ name = \"n\", bound = { quota = { amount = 0, period = \"year\" } } }]",
        )
        .route("door", "/door", &["outer", "door", "inner"])
        .route("none", "/none", &["outer", "none", "inner"]);
    let gateway = Gateway::start(&scene.toml());
    let response = gateway.get_with("/door", &[("x-verdict", "deny")]);
    assert_eq!(
        (response.status, outwards(&response)),
        (403, "outer".into())
    );
    let response = gateway.get_with("/door", &[("x-verdict", "fault")]);
    assert_eq!(
        (response.status, outwards(&response)),
        (500, "outer".into())
    );
    let response = gateway.get("/none");
    assert_eq!(
        (response.status, outwards(&response)),
        (429, "outer".into())
    );
    assert_eq!(origin.requests(), 0);
    let labels = [("policy", "none"), ("side", "out")];
    let settled = gateway.metric("tollgate_plugin_calls_total", &labels);
    assert_eq!(settled, 0.0, "who refused has nothing to settle");
    assert_passes(&gateway.get("/door"), "outer inner");
}

#[test]
fn errors_of_upstreams_pass_every_entry() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let held = gate.clone();
    let origin = Origin::raw(move |request| match request.target.as_str() {
        "/slow" => vec![Step::WaitFor(held.clone())],
        "/reset" => vec![Step::Reset],
        _ => vec![Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close],
    });
    let dead = dead_address();
    let scene = traced(&folder, &origin, &["outer", "inner"])
        .with("[gateway]\nchain = [\"outer\", \"inner\"]")
        .with(&format!(
            "[upstreams.dead]\nservers = [\"http://{dead}\"]\n\
             [routes.dead]\nmatch = \"/dead\"\nupstream = \"dead\"\n\
             [upstreams.slow]\nservers = [\"{}\"]\ntimeouts = {{ first-byte = \"50ms\" }}\n\
             [routes.slow]\nmatch = \"/slow\"\nupstream = \"slow\"",
            origin.url()
        ))
        .route("rest", "/{rest+}", &[]);
    let gateway = Gateway::start(&scene.toml());
    for (path, status, kind) in [
        ("/dead", 502, "unreachable"),
        ("/slow", 504, "first-byte-timeout"),
        ("/reset", 502, "bad-gateway"),
        ("/nonsense", 502, "bad-gateway"),
    ] {
        let response = gateway.get(path);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(outwards(&response), "inner outer", "{path}");
        assert_eq!(
            response.header("content-type").as_deref(),
            Some("application/problem+json")
        );
        assert_eq!(response.json()["status"], status);
        let record = gateway.record(|record| record["path"] == path);
        assert_eq!(record["failure"]["kind"], kind, "{path}");
        assert_eq!(record["failure"]["blame"], "upstream");
        // An entry replaces such an error as it does any response.
        let response = gateway.get_with(path, &[("x-act", "respond-back:inner")]);
        assert_eq!(
            (response.status, outwards(&response)),
            (299, "outer".into())
        );
        let response = gateway.get_with(path, &[("x-act", "fault-back:inner")]);
        assert_eq!(
            (response.status, outwards(&response)),
            (500, "outer".into())
        );
        let record = gateway.record(|record| record["path"] == path && record["status"] == 500);
        assert_eq!(
            record["failure"]["kind"], kind,
            "the first failure is the cause"
        );
    }
    gate.open();
}

#[test]
fn an_entry_that_fails_open_is_entered_and_one_that_has_no_hook_there_is_passed() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let in_only = kinds(&folder, &["request-transformer"]);
    let out_only = kinds(&folder, &["response-transformer"]);
    let scene = traced(&folder, &origin, &["outer"])
        .plugin("in-only", &in_only, PATIENT)
        .plugin("out-only", &out_only, PATIENT)
        .policy("in", "in-only", "config.label = \"in\"")
        .policy("out", "out-only", "config.label = \"out\"")
        .policy(
            "open",
            "trace",
            "config.label = \"open\"\non-fault = \"open\"",
        )
        .route("all", "/{rest+}", &["outer", "in", "out", "open"]);
    let gateway = Gateway::start(&scene.toml());
    let response = gateway.get("/a");
    assert_eq!(inwards(&response), "outer in open");
    assert_eq!(outwards(&response), "open out outer");

    let response = gateway.get_with("/a", &[("x-act", "fault:open")]);
    assert_eq!(response.status, 200);
    assert_eq!(inwards(&response), "outer in");
    assert_eq!(outwards(&response), "open out outer", "it was entered");
    let response = gateway.get_with("/a", &[("x-act", "fault-back:open")]);
    assert_eq!(response.status, 200);
    assert_eq!(inwards(&response), "outer in open");
    assert_eq!(outwards(&response), "out outer", "its own edits are undone");
}

#[test]
fn notes_and_edits_of_the_way_in_are_there_on_the_way_out() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let scene = Scene::new(&origin)
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy(
            "tell",
            "trace",
            "config = { label = \"tell\", tell-back = { x-b-path = \"path\", \
             x-b-query = \"query\", x-b-trace = \"header-values:x-trace\", x-b-method = \"method\", \
             x-b-route = \"route-name\", x-b-id = \"id\", x-b-var = \"variable:v\" } }",
        )
        .policy(
            "edit",
            "trace",
            "config = { label = \"edit\", edit = { path = \"/new\", query = \"b=2\", method = \"PUT\" } }",
        )
        .with("[gateway]\nvariables = { v = \"w\" }")
        .route("all", "/{rest+}", &["tell", "edit"]);
    let gateway = Gateway::start(&scene.toml());
    let response = gateway.get("/old?a=1");
    assert_eq!(response.json()["target"], "/new?b=2");
    assert_eq!(response.json()["method"], "PUT");
    let back = |name: &str| response.header(name).unwrap_or_default();
    assert_eq!(back("x-b-path"), "/new");
    assert_eq!(back("x-b-query"), "b=2");
    assert_eq!(back("x-b-method"), "PUT");
    assert_eq!(back("x-b-trace"), "tell|edit");
    assert_eq!(back("x-b-route"), "all");
    assert_eq!(back("x-b-var"), "w");
    assert_eq!(Some(back("x-b-id")), response.header("x-request-id"));
}

#[test]
fn the_longest_chain_runs_whole() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let labels: Vec<String> = (0..32).map(|number| format!("p{number}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let (outer, inner) = labels.split_at(20);
    let scene = traced(&folder, &origin, &labels)
        .with(&format!("[gateway]\nchain = {outer:?}"))
        .route("all", "/{rest+}", inner);
    let gateway = Gateway::start(&scene.toml());
    assert_passes(&gateway.get("/a"), &labels.join(" "));
    let response = gateway.get_with("/a", &[("x-act", "fault:p31")]);
    let mut all: Vec<&str> = labels[..31].to_vec();
    all.reverse();
    assert_eq!((response.status, outwards(&response)), (500, all.join(" ")));
}
