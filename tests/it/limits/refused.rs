//! What a client is told: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers,
//! `Retry-After` (RFC 9110, section 10.2.3), and the problem document of a refusal (RFC 9457). And what
//! becomes of lists that no request can be judged by.

use tollgate_tests::{Folder, Gateway, Origin, Step, dead_address, ok};

use super::{concurrent, left, limited, members, quota, rate, scene};
use crate::kinds::{PATIENT, transformer};

const YEAR: [u64; 2] = [365 * 24 * 3_600, 366 * 24 * 3_600];

#[test]
fn passing_responses_say_how_the_limits_stand() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = [
        quota("year", 5, ""),
        rate("hour", 60, 3_600_000, 10),
        concurrent("open", 4),
    ];
    let gateway = Gateway::start(&limited(&folder, &origin, &limits.join(", ")).toml());
    let response = gateway.get("/a");
    assert_eq!(response.status, 200);
    let policies = members(&response, "ratelimit-policy");
    let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["year", "hour", "open"]);
    assert_eq!(policies[0].number("q"), 5);
    assert!(YEAR.contains(&policies[0].number("w")));
    assert_eq!(policies[1].number("q"), 60);
    assert_eq!(policies[1].number("w"), 3_600);
    assert_eq!(policies[2].number("q"), 4);
    assert_eq!(policies[2].text("qu"), "\"concurrent-requests\"");
    assert!(!policies[2].has("w"));

    let current = members(&response, "ratelimit");
    let names: Vec<&str> = current.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(names, ["year", "hour", "open"]);
    assert_eq!(current[0].number("r"), 4);
    assert!((1..=YEAR[1]).contains(&current[0].number("t")));
    assert_eq!(current[1].number("r"), 9);
    // What is left, by the time that is told with it, is the policy's own rate.
    assert_eq!(current[1].number("t"), 9 * 60);
    assert_eq!(current[2].number("r"), 3);
    assert!(!current[2].has("t"));
    assert!(response.header("retry-after").is_none());
}

#[test]
fn a_refusal_is_a_problem_that_says_when_to_come_again() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let limits = [quota("year", 1, ""), rate("hour", 60, 3_600_000, 10)];
    let scene = limited(&folder, &origin, &limits.join(", "))
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy("outer", "trace", "config.label = \"outer\"")
        .policy("inner", "trace", "config.label = \"inner\"")
        .route("all", "/{rest+}", &["outer", "limited", "inner"]);
    let gateway = Gateway::start(&scene.toml());
    let response = gateway.get("/a");
    assert_eq!(response.headers("x-trace"), ["inner", "outer"]);
    let passing = response.header("ratelimit-policy");

    let response = gateway.get("/a");
    assert_eq!(response.status, 429);
    assert_eq!(response.headers("x-trace"), ["outer"]);
    assert_eq!(
        response.headers("content-type"),
        ["application/problem+json"]
    );
    assert!(response.complete);
    let problem = response.json();
    assert_eq!(
        problem["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(problem["status"], 429);
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    assert_eq!(problem["violated-policies"], serde_json::json!(["year"]));
    assert_eq!(
        problem["request-id"].as_str(),
        response.header("x-request-id").as_deref()
    );
    // Who refused, and how long that lasts; the policies are those of every response.
    let current = members(&response, "ratelimit");
    assert_eq!(current.len(), 1);
    assert_eq!(
        (current[0].name.as_str(), current[0].number("r")),
        ("year", 0)
    );
    let after: u64 = response
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    assert!((1..=YEAR[1]).contains(&after));
    assert_eq!(current[0].number("t"), after);
    assert_eq!(response.header("ratelimit-policy"), passing);

    let mut client = gateway.client();
    client.send("HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n");
    let response = client.read();
    assert_eq!((response.status, response.body.len()), (429, 0));
    assert_eq!(
        client.get("/a").status,
        429,
        "the connection is still in order"
    );
}

#[test]
fn the_time_of_a_rate_is_until_the_next_token() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let gateway = Gateway::start(&limited(&folder, &origin, &rate("r", 2, 3_600_000, 1)).toml());
    assert_eq!(gateway.get("/a").status, 200);
    let response = gateway.get("/a");
    assert_eq!(response.status, 429);
    let after: u64 = response
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    assert!((1_700..=1_800).contains(&after), "{after}");
    let gateway = Gateway::start(&limited(&folder, &origin, &concurrent("c", 0)).toml());
    let response = gateway.get("/a");
    assert_eq!(response.status, 429);
    assert!(
        response.header("retry-after").is_none(),
        "there is never a place"
    );
}

/// Errors and what others answer pass the limiter on the way out, and say how it stands, too.
#[test]
fn every_response_that_passes_the_limiter_says_how_it_stands() {
    let folder = Folder::new();
    let origin = Origin::raw(|request| {
        let own = "HTTP/1.1 404 Not Found\r\nratelimit: \"up\";r=1\r\ncontent-length: 0\r\n\r\n";
        match request.target.as_str() {
            "/own" => vec![Step::Send(own.into())],
            _ => vec![Step::Send(ok("text/plain", "ok"))],
        }
    });
    let scene = limited(&folder, &origin, &quota("q", 100, ""))
        .plugin("trace", &transformer(&folder), PATIENT)
        .policy("inner", "trace", "config.label = \"inner\"")
        .policy(
            "second",
            "limit",
            &format!("config.limits = [{}]", quota("s", 50, "")),
        )
        .with("[gateway]\nchain = [\"limited\", \"inner\"]")
        .with(&format!(
            "[upstreams.dead]\nservers = [\"http://{}\"]",
            dead_address()
        ))
        .with("[routes.dead]\nmatch = \"/dead\"\nupstream = \"dead\"")
        .with("[routes.respond]\nmatch = \"/respond\"\nrespond = { status = 410 }")
        .route("both", "/both", &["second"])
        .route("all", "/{rest+}", &[]);
    let gateway = Gateway::start(&scene.toml());
    for (round, (path, act, status)) in [
        ("/a", "", 200),
        ("/dead", "", 502),
        ("/respond", "", 410),
        ("/a", "respond:inner", 299),
        ("/a", "fault:inner", 500),
        ("/a", "fault-back:inner", 500),
        ("/a", "respond-back:inner", 299),
        ("/a", "fault-settle:", 500),
    ]
    .into_iter()
    .enumerate()
    {
        let response = gateway.get_with(path, &[("x-act", act)]);
        assert_eq!(response.status, status, "{path} {act}");
        assert_eq!(left(&response, "q"), 99 - round as u64, "{path} {act}");
        assert_eq!(members(&response, "ratelimit-policy").len(), 1);
    }
    let response = gateway.get("/both");
    assert_eq!((left(&response, "q"), left(&response, "s")), (91, 49));
    let response = gateway.get("/own");
    assert_eq!((left(&response, "up"), left(&response, "q")), (1, 90));
}

#[test]
fn a_list_that_nothing_can_be_judged_by_is_a_fault() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let many: Vec<String> = (0..17)
        .map(|number| {
            quota(
                &format!("q{number}"),
                1,
                &format!("key = [\"literal:{number}\"]"),
            )
        })
        .collect();
    let long = quota(
        "q",
        1,
        &format!("key = [\"literal:{}\"]", "k".repeat(81_921)),
    );
    let parts = quota("q", 1, &format!("key = [{}]", "\"path\", ".repeat(33)));
    let cases = [
        (
            "same-name",
            format!("{}, {}", quota("q", 1, ""), rate("q", 1, 1_000, 1)),
        ),
        (
            "same-counter",
            format!("{}, {}", quota("a", 1, ""), quota("b", 2, "")),
        ),
        ("no-period", rate("r", 1, 0, 1)),
        ("long-period", rate("r", 1, 366 * 24 * 3_600_000 + 1, 1)),
        ("no-amount", rate("r", 0, 1_000, 1)),
        ("no-burst", rate("r", 1, 1_000, 0)),
        ("no-name", quota("", 1, "")),
        ("odd-name", quota("\u{e9}", 1, "")),
        ("line-break", quota("a\\nb", 1, "")),
        ("long-name", quota(&"n".repeat(65), 1, "")),
        ("many", many.join(", ")),
        ("long-key", long),
        ("many-parts", parts),
    ];
    let good = quota("good", 1_000, "key = [\"literal:good\"]");
    let mut scene = scene(&folder, &origin);
    for (name, limits) in &cases {
        let config = format!("config.limits = [{good}, {limits}]");
        scene = scene
            .policy(name, "limit", &config)
            .policy(
                &format!("{name}-open"),
                "limit",
                &format!("{config}\non-fault = \"open\""),
            )
            .route(name, &format!("/{name}"), &[name])
            .route(
                &format!("{name}-open"),
                &format!("/{name}-open"),
                &[&format!("{name}-open")],
            );
    }
    let gateway = Gateway::start(&scene.toml());
    for (name, _) in &cases {
        let response = gateway.get(&format!("/{name}"));
        assert_eq!(response.status, 500, "{name}");
        assert!(response.header("ratelimit").is_none(), "{name}");
        let response = gateway.get(&format!("/{name}-open"));
        assert_eq!(response.status, 200, "{name}");
        assert!(
            response.header("ratelimit").is_none(),
            "{name}: nothing was charged"
        );
        for policy in [(*name).to_owned(), format!("{name}-open")] {
            let labels = [("policy", policy.as_str()), ("kind", "bad-reply")];
            let faults = gateway.metric("tollgate_plugin_faults_total", &labels);
            assert_eq!(faults, 1.0, "{policy}");
        }
    }
    assert_eq!(gateway.metric("tollgate_limit_keys", &[]), 0.0);
    assert_eq!(origin.requests(), cases.len());
}

#[test]
fn a_limiter_that_faults_charges_nothing() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let config = format!("config.limits = [{}]", quota("q", 2, ""));
    let scene = scene(&folder, &origin)
        .policy("closed", "limit", &config)
        .policy("open", "limit", &format!("{config}\non-fault = \"open\""))
        .route("closed", "/closed", &["closed"])
        .route("open", "/open", &["open"]);
    let gateway = Gateway::start(&scene.toml());
    for (path, status) in [("/closed", 500), ("/open", 200)] {
        let fault = [("x-act", "fault-limits:")];
        for _ in 0..4 {
            let response = gateway.get_with(path, &fault);
            assert_eq!(response.status, status, "{path}");
            assert!(response.header("ratelimit").is_none());
        }
        assert_eq!(left(&gateway.get(path), "q"), 1, "{path}");
    }
}
