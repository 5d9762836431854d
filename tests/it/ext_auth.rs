//! What `ext-auth` asks of its service, and what it need not ask again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tollgate_tests::{Gate, Gateway, Origin, Request, Step, eventually};

use crate::scene::Scene;

/// A service that answers with this status, and lets everybody in as who their token says.
fn service(status: &Arc<AtomicU16>) -> Origin {
    let status = Arc::clone(status);
    Origin::raw(move |request| vec![Step::Send(verdict(request, status.load(Ordering::SeqCst)))])
}

fn verdict(request: &Request, status: u16) -> Vec<u8> {
    let token = request.header("authorization").unwrap_or_default();
    let user = token.replace("Bearer ", "user of ");
    format!("HTTP/1.1 {status} X\r\nx-user: {user}\r\nx-plan: gold\r\ncontent-length: 0\r\n\r\n")
        .into_bytes()
}

/// The default wall holds: the tests are about the service, not about time.
fn scene(origin: &Origin, auth: &Origin, config: &str, policy: &str) -> Scene {
    Scene::new(origin)
        .with(&format!(
            "[upstreams.auth]\nservers = [\"{}\"]\n[plugins.ext-auth]\ngrant = {{ fetch = [\"auth\"] }}\n\
             limits = {{ cpu = \"5s\" }}",
            auth.url()
        ))
        .policy(
            "sign-in",
            "ext-auth",
            &format!(
                "{policy}\n[policies.sign-in.config]\nupstream = \"auth\"\npath = \"/verify\"\n\
                 principal = {{ header = \"x-user\" }}\nforward = [\"x-plan\"]\n{config}"
            ),
        )
        .policy(
            "tell",
            "headers",
            "config.request.set.x-known = \"{principal}\"",
        )
}

fn allowing() -> (Arc<AtomicU16>, Origin, Origin) {
    let status = Arc::new(AtomicU16::new(200));
    let auth = service(&status);
    (status, Origin::echo(), auth)
}

#[track_caller]
fn assert_known(gateway: &Gateway, target: &str, token: &str) {
    let bearer = format!("Bearer {token}");
    let mallory = ("x-plan", "mallory");
    let response = gateway.get_with(target, &[("authorization", &bearer), mallory]);
    assert_eq!(response.status, 200, "{response:?}");
    let known = format!("user of {token}").into_bytes();
    assert_eq!(response.echoed("x-known"), [known]);
    // What is forwarded is that of the remembered answer.
    assert_eq!(response.echoed("x-plan"), [b"gold"]);
}

#[test]
fn without_remember_each_request_is_asked_about() {
    let (_, origin, auth) = allowing();
    let gateway = Gateway::start(&scene(&origin, &auth, "", "").toml());
    for round in 1..=3 {
        assert_known(&gateway, "/a", "t");
        assert_eq!(auth.requests(), round);
    }
    assert!(!gateway.stderr().contains("asked to be remembered"));
}

#[test]
fn requests_that_are_alike_are_one_question() {
    let (_, origin, auth) = allowing();
    let gateway = Gateway::start(&scene(&origin, &auth, "remember = \"60m\"", "").toml());
    for (questions, target, token) in [
        (1, "/a", "t"),
        (2, "/a", "u"),
        (3, "/b", "t"),
        (4, "/a?q", "t"),
        // Those are known by now.
        (4, "/a", "u"),
        (4, "/a", "t"),
    ] {
        for _ in 0..3 {
            assert_known(&gateway, target, token);
        }
        assert_eq!(auth.requests(), questions, "{target} {token}");
    }
    // Each line of a header counts, and a header that is not sent along does not.
    let ask = |more: &str| {
        let request = format!(
            "GET /a HTTP/1.1\r\nhost: test.example\r\nauthorization: Bearer t\r\n{more}\r\n"
        );
        assert_eq!(gateway.request(request).status, 200);
    };
    ask("x-other: 1\r\n");
    assert_eq!(auth.requests(), 4);
    ask("cookie: a=1\r\n");
    ask("cookie: a=1\r\ncookie: b=2\r\n");
    assert_eq!(auth.requests(), 6);
    let request = "POST /a HTTP/1.1\r\nhost: test.example\r\nauthorization: Bearer t\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(gateway.request(request).status, 200);
    assert_eq!(auth.requests(), 7, "another method");
    ask("x-forwarded-for: 192.0.2.9\r\n");
    assert_eq!(auth.requests(), 7, "which nobody believes");
    let record = gateway.record(|record| record["entries"][0]["remembered"] == true);
    assert_eq!(record["principal"], "user of t");
    assert!(!gateway.stderr().contains("asked to be remembered"));
}

#[test]
fn what_the_service_is_not_told_does_not_part_requests() {
    let (_, origin, auth) = allowing();
    let config = "remember = \"60m\"\nx-forwarded = []";
    let gateway = Gateway::start(&scene(&origin, &auth, config, "").toml());
    for target in ["/a", "/b?c", "/d/e"] {
        assert_known(&gateway, target, "t");
    }
    assert_eq!(auth.requests(), 1);
    assert_known(&gateway, "/a", "u");
    assert_eq!(auth.requests(), 2);
    let asked = auth.request(0);
    assert_eq!(asked.header("x-forwarded-uri"), None);
}

#[test]
fn refusals_and_failures_are_asked_about_again() {
    let (status, origin, auth) = allowing();
    let gateway = Gateway::start(&scene(&origin, &auth, "remember = \"60m\"", "").toml());
    let ask = || {
        gateway
            .get_with("/a", &[("authorization", "Bearer t")])
            .status
    };
    let mut questions = 0;
    for (answers, expected) in [(401, 401), (403, 403), (302, 302), (429, 429), (500, 503)] {
        status.store(answers, Ordering::SeqCst);
        for _ in 0..2 {
            questions += 1;
            assert_eq!(ask(), expected);
            assert_eq!(auth.requests(), questions, "{answers}");
        }
    }
    // Who has just signed in comes in, and stays in while the time lasts.
    status.store(200, Ordering::SeqCst);
    assert_eq!(ask(), 200);
    status.store(401, Ordering::SeqCst);
    assert_eq!(ask(), 200);
    assert_eq!(auth.requests(), questions + 1);
}

#[test]
fn when_its_time_is_over_an_answer_is_asked_for_again() {
    let (status, origin, auth) = allowing();
    for (config, policy) in [
        ("remember = \"50ms\"", ""),
        ("remember = \"60m\"", "remember-at-most = \"50ms\""),
    ] {
        status.store(200, Ordering::SeqCst);
        let gateway = Gateway::start(&scene(&origin, &auth, config, policy).toml());
        assert_known(&gateway, "/a", "t");
        status.store(403, Ordering::SeqCst);
        eventually("the refusal", || {
            let response = gateway.get_with("/a", &[("authorization", "Bearer t")]);
            (response.status == 403).then_some(())
        });
    }
    // The operator forbids what the plugin is configured to do.
    let policy = "remember-at-most = \"0s\"";
    let gateway = Gateway::start(&scene(&origin, &auth, "remember = \"60m\"", policy).toml());
    status.store(200, Ordering::SeqCst);
    assert_known(&gateway, "/a", "t");
    status.store(403, Ordering::SeqCst);
    let response = gateway.get_with("/a", &[("authorization", "Bearer t")]);
    assert_eq!(response.status, 403);
    assert!(!gateway.stderr().contains("asked to be remembered"));
}

#[test]
fn requests_that_come_at_once_ask_once() {
    let gate = Gate::new();
    let opened = gate.clone();
    let auth = Origin::raw(move |request| {
        vec![
            Step::WaitFor(opened.clone()),
            Step::Send(verdict(request, 200)),
        ]
    });
    let origin = Origin::echo();
    let gateway = Gateway::start(&scene(&origin, &auth, "remember = \"60m\"", "").toml());
    let mut clients: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\n\r\n");
    }
    eventually("eight requests in flight", || {
        (gateway.metric("tollgate_requests_in_flight", &[]) >= 8.0).then_some(())
    });
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read().status, 200);
    }
    assert_eq!(auth.requests(), 1);
}

/// An authorizer that fetched, and does not answer for it, is told of; one that does is remembered. The
/// body, which nobody can answer for, still keeps it from that.
#[test]
fn only_what_is_answered_for_is_remembered() {
    for (asks, answers_for, questions, why) in [
        ("[\"fetch\"]", "[]", 3, "because it used `fetch`: "),
        ("[\"fetch\"]", "[\"kv\"]", 3, "because it used `fetch`: "),
        ("[\"fetch\"]", "[\"fetch\"]", 1, ""),
        ("[\"kv\"]", "[]", 0, "because it used `kv`: "),
        ("[\"kv\"]", "[\"kv\"]", 0, ""),
        (
            "[\"fetch\", \"kv\"]",
            "[\"kv\"]",
            3,
            "because it used `fetch`: ",
        ),
        ("[\"fetch\", \"kv\"]", "[\"fetch\", \"kv\"]", 1, ""),
        (
            "[\"fetch\", \"clock\"]",
            "[\"fetch\"]",
            3,
            "because it read the clock: ",
        ),
        (
            "[\"body\", \"fetch\"]",
            "[\"fetch\", \"kv\"]",
            3,
            "because it read a body: ",
        ),
    ] {
        let (_, origin, auth) = allowing();
        let toml = Scene::new(&origin)
            .with(&format!("[upstreams.auth]\nservers = [\"{}\"]", auth.url()))
            .plugin(
                "asker",
                &tollgate_tests::guest("guest_asker"),
                "grant = { fetch = [\"auth\"], kv = true, bodies = \"1KiB\" }\nlimits = { cpu = \"5s\" }",
            )
            .policy(
                "asker",
                "asker",
                &format!("config = {{ asks = {asks}, answers-for = {answers_for} }}"),
            )
            .toml();
        let gateway = Gateway::start(&toml);
        for _ in 0..3 {
            assert_eq!(gateway.get("/a").status, 200);
        }
        let what = format!("{asks} {answers_for}");
        assert_eq!(auth.requests(), questions, "{what}");
        let remembered = gateway.metric("tollgate_decisions_remembered_total", &[]);
        assert_eq!(remembered, if why.is_empty() { 2.0 } else { 0.0 }, "{what}");
        if why.is_empty() {
            assert!(
                !gateway.stderr().contains("asked to be remembered"),
                "{what}"
            );
            // The getters that it called are still what requests are told apart by.
            assert_eq!(gateway.get_with("/a", &[("x-key", "2")]).status, 200);
            assert_eq!(auth.requests(), 2 * questions, "{what}");
            assert_eq!(gateway.get_with("/b", &[("x-key", "2")]).status, 200);
            assert_eq!(auth.requests(), 2 * questions, "{what}");
        } else {
            gateway.wait_for_log(why);
        }
    }
}
