//! What a decision hangs on: each getter that was called, and what others did before; and what comes
//! with it.

use tollgate_tests::{Folder, Gateway, Origin};

use super::{calls, principal, remembered, scene};
use crate::kinds::{PATIENT, authorizer, kinds};
use crate::scene::Scene;

/// A decision that reads nothing is the same for everybody.
#[test]
fn a_decision_that_reads_nothing_is_made_once() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize = "{ verdict = \"literal:allow\", remember-ms = 3_600_000 }";
    let gateway = Gateway::start(&scene(&folder, &origin, authorize, "").toml());
    for path in ["/a", "/b", "/c"] {
        assert_eq!(principal(&gateway.get(path)), "");
    }
    assert_eq!(calls(&gateway), 1);
}

/// Every getter, with requests that differ in it alone.
#[test]
fn a_decision_hangs_on_each_getter_that_it_read() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let line = |line: &str| format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n");
    let (get, post) = (line("GET /p/1"), line("POST /p/1"));
    let with = |lines: &str| format!("{get}{lines}");
    let host = get.replace("host: a", "host: b");
    let cases = [
        ("method", get.clone(), post),
        ("path", get.clone(), line("GET /p/2")),
        ("query", get.clone(), line("GET /p/1?")),
        ("query", line("GET /p/1?a=1"), line("GET /p/1?a=%31")),
        (
            "query-parameter:a",
            line("GET /p/1?a=1"),
            line("GET /p/1?b=1"),
        ),
        ("path-parameter:id", get.clone(), line("GET /p/2")),
        ("path-parameter:id", line("GET /p/a%2Fb"), line("GET /p/a")),
        ("authority", get.clone(), host),
        ("route-name", get.clone(), line("GET /q/1")),
        ("variable:v", get.clone(), line("GET /q/1")),
        ("header:x-a", with("x-a: 1\r\n"), with("x-a: 2\r\n")),
        (
            "header:x-a",
            with("x-a: 2\r\nx-a: 1\r\n"),
            with("x-a: 1\r\nx-a: 2\r\n"),
        ),
        (
            "header-values:x-a",
            with("x-a: 1\r\n"),
            with("x-a: 1\r\nx-a: 2\r\n"),
        ),
        (
            "header-values:x-a",
            with("x-a: 1|2\r\n"),
            with("x-a: 1\r\nx-a: 2\r\nx-b: 1\r\n"),
        ),
        ("header-names", with("x-a: 1\r\n"), with("x-b: 1\r\n")),
        (
            "client-address",
            with("x-forwarded-for: 192.0.2.1\r\n"),
            with("x-forwarded-for: 192.0.2.2\r\n"),
        ),
    ];
    for (getter, one, other) in cases {
        let authorize = format!("{{ reads = [\"{getter}\"], remember-ms = 3_600_000 }}");
        let toml = scene(&folder, &origin, &authorize, "")
            .with("[routes.p]\nmatch = \"/p/{id}\"\nvariables = { v = \"p\" }")
            .with("chain = [\"auth\", \"tell\"]\nupstream = \"origin\"")
            .with("[routes.q]\nmatch = \"/q/{id}\"\nvariables = { v = \"q\" }")
            .with("chain = [\"auth\", \"tell\"]\nupstream = \"origin\"")
            .route("plain", "/plain", &[])
            .toml()
            .replace(
                "address = \"127.0.0.1:0\"",
                "address = \"127.0.0.1:0\"\ntrusted-proxies = [\"127.0.0.1\"]",
            );
        let gateway = Gateway::start(&toml);
        let ask = |head: &str| principal(&gateway.request(format!("{head}\r\n")));
        let (first, second) = (ask(&one), ask(&other));
        assert_eq!(calls(&gateway), 2, "{getter}: {first} {second}");
        // Both are known now.
        assert_eq!((ask(&one), ask(&other)), (first, second), "{getter}");
        assert_eq!(calls(&gateway), 2, "{getter}");
    }
}

#[test]
fn notes_come_with_a_remembered_decision() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize = "{ reads = [\"path\"], remember-ms = 3_600_000, \
                     notes = { seen = \"path\", of = \"literal:auth\" } }";
    let tell = "config.tell = { x-seen = \"attribute:auth/seen\", x-of = \"attribute:auth/of\" }";
    let toml = scene(&folder, &origin, authorize, "")
        .policy("notes", "trace", tell)
        .toml();
    let gateway = Gateway::start(&toml);
    for _ in 0..3 {
        for path in ["/a", "/b"] {
            let response = gateway.get(path);
            assert_eq!(response.echoed("x-seen"), [path.as_bytes()]);
            assert_eq!(response.echoed("x-of"), [b"auth"]);
        }
    }
    assert_eq!(calls(&gateway), 2);
}

/// What an earlier entry decided is a value as any other.
#[test]
fn a_decision_behind_another_hangs_on_it() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let first = "config.authorize = { reads = [\"header:x-user\"], remember-ms = 3_600_000, \
                 notes = { user = \"header:x-user\" } }";
    for read in ["principal", "attribute:first/user"] {
        let second = format!("{{ reads = [\"{read}\"], remember-ms = 3_600_000 }}");
        let toml = scene(&folder, &origin, &second, "")
            .plugin("first", &authorizer(&folder), PATIENT)
            .policy("first", "first", first)
            .route("all", "/{rest+}", &["first", "auth", "tell"])
            .toml();
        let gateway = Gateway::start(&toml);
        for _ in 0..3 {
            for user in ["u", "v"] {
                let said = principal(&gateway.get_with("/a", &[("x-user", user)]));
                assert!(said.ends_with(&format!("={user}")), "{said}");
            }
        }
        // The very first shows that the call may itself change what it read, and only the second time
        // is it known what that was before.
        assert_eq!(calls(&gateway), 3, "{read}");
    }
}

/// The authorizer's decision is known, but the same plugin's other hooks are not asked in vain.
#[test]
fn other_hooks_of_the_same_entry_still_run() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let both = kinds(&folder, &["authorizer", "limiter", "request-transformer"]);
    let config = "config = { label = \"auth\", authorize = { reads = [\"path\"], remember-ms = 3_600_000 }, \
                  limits = [{ name = \"n\", bound = { quota = { amount = 3, period = \"year\" } } }] }";
    let toml = Scene::new(&origin)
        .plugin("both", &both, PATIENT)
        .policy("auth", "both", config)
        .toml();
    let gateway = Gateway::start(&toml);
    for round in 0..5 {
        let response = gateway.get("/a");
        if round < 3 {
            assert_eq!(response.status, 200, "round {round}");
            assert_eq!(response.echoed("x-trace"), [b"auth"]);
        } else {
            assert_eq!(response.status, 429, "round {round}");
        }
    }
    assert_eq!(remembered(&gateway), 4);
}

/// The authorizer sees the request as edited by who ran before it, and so does its memory.
#[test]
fn edits_before_the_authorizer_count() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize = "{ reads = [\"path\", \"query\", \"header:x-user\"], remember-ms = 3_600_000 }";
    let edit = "config.edit = { path = \"/new\", query = \"q=2\", set = { x-user = \"edited\" } }";
    let toml = scene(&folder, &origin, authorize, "")
        .policy("edit", "trace", edit)
        .with("[routes.all]\nmatch = \"/{rest+}\"\nupstream = \"origin\"")
        .with("chain = [{ policy = \"edit\", when = { headers = { x-edit = true } } }, \"auth\", \"tell\"]")
        .route("plain", "/plain", &[])
        .toml();
    let gateway = Gateway::start(&toml);
    let plain = [("x-user", "u")];
    let edited = [("x-user", "u"), ("x-edit", "")];
    let new = "path=/new;query=q=2;header:x-user=edited";
    for _ in 0..3 {
        let said = principal(&gateway.get_with("/a?q=1", &plain));
        assert_eq!(said, "path=/a;query=q=1;header:x-user=u");
        assert_eq!(principal(&gateway.get_with("/a?q=1", &edited)), new);
        assert_eq!(principal(&gateway.get_with("/b", &edited)), new);
        let same = [("x-user", "edited")];
        assert_eq!(principal(&gateway.get_with("/new?q=2", &same)), new);
    }
    assert_eq!(calls(&gateway), 2);
}

/// The call reads what it has just written: what counts is how the request came.
#[test]
fn a_note_of_its_own_does_not_mislead_the_memory() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize = "{ reads = [\"path\"], notes = { n = \"header:x-verdict\" }, \
                     verdict = \"own-attribute:n\", remember-ms = 3_600_000 }";
    let gateway = Gateway::start(&scene(&folder, &origin, authorize, "").toml());
    for round in 0..5 {
        for (verdict, status) in [("allow", 200), ("deny", 403), ("", 200)] {
            let response = gateway.get_with("/a", &[("x-verdict", verdict)]);
            assert_eq!(response.status, status, "{verdict} in round {round}");
        }
    }
    assert!(calls(&gateway) <= 4, "{}", calls(&gateway));
}

/// An entry that is not asked is passed on the way out all the same, with the notes that it wrote.
#[test]
fn a_remembered_decision_is_an_entry_on_the_way_out() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let both = kinds(&folder, &["authorizer", "response-transformer"]);
    let config = "config = { label = \"auth\", tell-back = { x-note = \"own-attribute:n\", \
                  x-principal = \"principal\" }, authorize = { reads = [\"path\"], \
                  notes = { n = \"path\" }, remember-ms = 3_600_000 } }";
    let toml = Scene::new(&origin)
        .plugin("both", &both, PATIENT)
        .policy("auth", "both", config)
        .toml();
    let gateway = Gateway::start(&toml);
    for _ in 0..3 {
        for path in ["/a", "/b"] {
            let response = gateway.get(path);
            assert_eq!(response.headers("x-trace"), ["auth"]);
            assert_eq!(response.headers("x-note"), [path]);
            assert_eq!(response.headers("x-principal"), [format!("path={path}")]);
        }
    }
    assert_eq!((calls(&gateway), remembered(&gateway)), (2, 4));
}

/// More getters than one decision may hang on: it is not remembered, and right.
#[test]
fn who_reads_too_much_is_asked_each_time() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let many = |count: usize| {
        let getters: Vec<String> = (0..count).map(|n| format!("header:x-{n}")).collect();
        format!("{{ reads = {getters:?}, remember-ms = 3_600_000 }}")
    };
    let long = format!(
        "{{ reads = [\"path\", \"header:x-{}\"], remember-ms = 3_600_000 }}",
        "n".repeat(5_000)
    );
    for (authorize, expected) in [(many(64), 1), (many(65), 3), (long, 3)] {
        let gateway = Gateway::start(&scene(&folder, &origin, &authorize, "").toml());
        for _ in 0..3 {
            assert_eq!(gateway.get("/a").status, 200);
        }
        assert_eq!(calls(&gateway), expected);
    }
}

/// More ways through the plugin's logic than are learned.
#[test]
fn who_asks_in_too_many_ways_is_asked_and_right() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let branches: Vec<String> = (0..40)
        .map(|n| format!("k{n} = [\"header:x-{n}\"]"))
        .collect();
    let authorize = format!(
        "{{ reads = [\"header:x-kind\"], remember-ms = 3_600_000, branches = {{ {} }} }}",
        branches.join(", ")
    );
    let gateway = Gateway::start(&scene(&folder, &origin, &authorize, "").toml());
    for round in 0..3 {
        for n in 0..40 {
            let (kind, name) = (format!("k{n}"), format!("x-{n}"));
            for value in ["a", "b"] {
                let headers = [("x-kind", kind.as_str()), (name.as_str(), value)];
                let said = format!("header:x-kind={kind};header:{name}={value}");
                assert_eq!(
                    principal(&gateway.get_with("/a", &headers)),
                    said,
                    "round {round}"
                );
            }
        }
    }
    assert!(remembered(&gateway) >= 2 * 2 * 8, "some are remembered");
}

/// What is kept is bounded; what made room for others is asked for again.
#[test]
fn what_is_forgotten_is_asked_for_again() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize = "{ reads = [\"header:x-user\"], remember-ms = 3_600_000 }";
    let toml = scene(&folder, &origin, authorize, "")
        .with("[store]\ndecisions = \"64KiB\"")
        .toml();
    let gateway = Gateway::start(&toml);
    let mut client = gateway.client();
    for round in 0..2 {
        for user in 0..600 {
            client.send(format!(
                "GET /a HTTP/1.1\r\nhost: a\r\nx-user: {user}\r\n\r\n"
            ));
            let said = format!("header:x-user={user}");
            assert_eq!(principal(&client.read()), said, "round {round}");
        }
    }
    assert!(calls(&gateway) > 600, "600 decisions are more than 64 KiB");
}
