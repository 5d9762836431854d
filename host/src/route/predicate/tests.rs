//! Each test of a predicate as a table, and methods, hosts and paths against the router.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::route::{Match, Routed, Router, check_path};

/// `"METHOD host target name:value name:value"`, with `-` for no host.
fn holds(predicate: &Predicate, request: &str) -> bool {
    let mut words = request.split(' ');
    let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
    let host = words.next().filter(|host| *host != "-");
    let target = target(words.next().unwrap());
    let mut headers = HeaderMap::new();
    for line in words {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    predicate.holds(&method, None, host, &target, &headers)
}

fn target(text: &str) -> Target {
    match text.split_once('?') {
        Some((path, query)) => Target::new(path, Some(query)).unwrap(),
        None => Target::new(text, None).unwrap(),
    }
}

#[track_caller]
fn check(predicate: &Predicate, yes: &[&str], no: &[&str]) {
    for request in yes {
        assert!(holds(predicate, request), "{request}");
    }
    for request in no {
        assert!(!holds(predicate, request), "{request}");
    }
}

fn path(template: &str) -> Predicate {
    Predicate {
        path: Some(PathTemplate::parse(template).unwrap()),
        ..Predicate::default()
    }
}

fn test(name: &str, wanted: Wanted) -> FieldTest {
    FieldTest {
        name: name.to_owned(),
        wanted,
    }
}

fn equals(text: &str) -> Wanted {
    Wanted::Equals(text.to_owned())
}

#[test]
fn methods_and_hosts() {
    check(&Predicate::default(), &["GET - /", "X a /b?c d:e"], &[]);
    let methods = Predicate {
        methods: vec![Method::GET, Method::HEAD],
        ..Predicate::default()
    };
    check(
        &methods,
        &["GET - /", "HEAD a /b"],
        &["get - /", "POST - /"],
    );
    let hosts = ["one.example", "*.two.example", "[::1]"];
    let hosts = Predicate {
        hosts: hosts.map(|host| HostPattern::parse(host).unwrap()).into(),
        ..Predicate::default()
    };
    check(
        &hosts,
        &[
            "GET one.example /",
            "GET ONE.example.:80 /",
            "GET a.two.example /",
            "GET a.b.two.example:1 /",
            "GET [::1]:8080 /",
        ],
        &[
            "GET - /",
            "GET two.example /",
            "GET .two.example /",
            "GET atwo.example /",
            "GET a.one.example /",
            "GET one.example.org /",
            "GET [::2] /",
        ],
    );
}

#[test]
fn paths() {
    check(
        &path("/a%62/{x}"),
        &["GET - /ab/c", "GET - /%61b/c?d", "GET - /ab/c%2Fd"],
        &["GET - /ab", "GET - /ab/", "GET - /ab/c/", "GET - /AB/c"],
    );
    check(
        &path("/a/{rest+}"),
        &["GET - /a/b", "GET - /a/b/c/", "GET - /a//"],
        &["GET - /a", "GET - /a/", "GET - /ab/c", "GET - /"],
    );
    check(&path("/"), &["GET - /", "GET - /?a"], &["GET - /a"]);
    check(&path("/a/"), &["GET - /a/"], &["GET - /a", "GET - /a/b"]);
    check(&path("/{any+}"), &["GET - /a"], &["GET - /"]);
    check(
        &path("/{any*}"),
        &["GET - /a", "GET - /", "GET - /a/b"],
        &[],
    );
    check(
        &path("/a/{any*}"),
        &["GET - /a/", "GET - /a/b", "GET - /a/b/"],
        &["GET - /a", "GET - /"],
    );
}

/// A path that a lenient server reads as the template's does not get around the entry.
#[test]
fn paths_as_others_read_them() {
    let spellings = [
        "GET - //admin/x",
        "GET - /admin//x",
        "GET - /admin;a=b/x",
        "GET - /%2Fadmin/x",
        "GET - /admin%2fx",
        "GET - /admin\\x",
        "GET - /admin%5Cx",
        "GET - /%61dmin/x",
        "GET - /admin/x;%2Fy",
        "GET - /admin;%2Fx/y",
        "GET - //admin/a%2Fb",
        "GET - /admin%3Bx/y",
    ];
    check(
        &path("/admin/{rest+}"),
        &spellings,
        &["GET - /public/admin"],
    );
}

#[test]
fn headers() {
    let one = |wanted| Predicate {
        headers: vec![test("x-a", wanted)],
        ..Predicate::default()
    };
    check(
        &one(equals("1")),
        &["GET - / x-a:1", "GET - / X-A:1", "GET - / x-a:2 x-a:1"],
        &["GET - /", "GET - / x-a:", "GET - / x-a:11", "GET - / x-b:1"],
    );
    check(&one(equals("é")), &["GET - / x-a:é"], &["GET - / x-a:e"]);
    check(&one(equals("")), &["GET - / x-a:"], &["GET - /"]);
    let (with, without) = (
        ["GET - / x-a:", "GET - / x-a:1"],
        ["GET - /", "GET - / b:1"],
    );
    check(&one(Wanted::Present), &with, &without);
    check(&one(Wanted::Absent), &without, &with);
    let both = Predicate {
        headers: vec![test("a", Wanted::Present), test("b", Wanted::Absent)],
        ..Predicate::default()
    };
    check(&both, &["GET - / a:1"], &["GET - / a:1 b:1", "GET - /"]);
}

#[test]
fn query() {
    let one = |wanted| Predicate {
        query: vec![test("a b", wanted)],
        ..Predicate::default()
    };
    check(
        &one(equals("c&d")),
        &["GET - /?a+b=c%26d", "GET - /?x&a%20b=1&a%20b=c%26d&y"],
        &[
            "GET - /",
            "GET - /?",
            "GET - /?a+b=c&d",
            "GET - /?A+b=c%26d",
            "GET - /?a=c%26d",
        ],
    );
    check(
        &one(equals("")),
        &["GET - /?a+b", "GET - /?a+b="],
        &["GET - /?a"],
    );
    let (with, without) = (
        ["GET - /?a+b", "GET - /?a+b=1"],
        ["GET - /", "GET - /?b=a+b"],
    );
    check(&one(Wanted::Present), &with, &without);
    check(&one(Wanted::Absent), &without, &with);
}

/// A query for a server that also splits at semicolons does not get around the entry.
#[test]
fn queries_as_others_read_them() {
    let one = |wanted| Predicate {
        query: vec![test("debug", wanted)],
        ..Predicate::default()
    };
    let hidden = [
        "GET - /?a=1;debug=1",
        "GET - /?a;debug=1;b",
        "GET - /?;debug=1",
    ];
    check(&one(Wanted::Present), &hidden, &["GET - /?a=;b"]);
    check(&one(equals("1")), &hidden, &["GET - /?a=1;debug=2"]);
    check(&one(equals("1;b=2")), &["GET - /?debug=1;b=2"], &[]);
    // One server sees the parameter, another does not.
    check(
        &one(Wanted::Absent),
        &hidden,
        &["GET - /?debug&a", "GET - /?a&debug;b&debug"],
    );
    check(&one(Wanted::Absent), &["GET - /?debug;a"], &[]);
}

/// A preflight counts as the method that it asks for, and as an OPTIONS request.
#[test]
fn preflights() {
    let holds = |methods: &[Method]| {
        let predicate = Predicate {
            methods: methods.to_vec(),
            ..Predicate::default()
        };
        let asked = Some(&Method::PUT);
        predicate.holds(
            &Method::OPTIONS,
            asked,
            None,
            &target("/"),
            &HeaderMap::new(),
        )
    };
    assert!(holds(&[]) && holds(&[Method::PUT]) && holds(&[Method::OPTIONS]));
    assert!(!holds(&[Method::GET, Method::POST]));
}

#[test]
fn all_must_hold() {
    let all = Predicate {
        methods: vec![Method::GET],
        hosts: vec![HostPattern::parse("a").unwrap()],
        headers: vec![test("b", Wanted::Present)],
        query: vec![test("c", Wanted::Present)],
        ..path("/d")
    };
    check(
        &all,
        &["GET a /d?c b:1"],
        &[
            "PUT a /d?c b:1",
            "GET x /d?c b:1",
            "GET a /x?c b:1",
            "GET a /d?x b:1",
            "GET a /d?c x:1",
        ],
    );
}

proptest! {
    /// A predicate holds if a router with one such route finds it, and also if only a lenient server would
    /// read the path that way.
    #[test]
    fn as_the_router(
        template in "(/(a|%61|\\{x\\}|b;|\\{y\\})){0,3}(/|/\\{z\\+\\}|/a)",
        hosts in prop::collection::vec("(\\*\\.)?[ab]\\.?[ab]", 0..3),
        host in prop::option::of("[ab.]{0,4}(:1)?"),
        method in "GET|PUT",
        request in "(/|/a|/b|/%61|%2F|/b;){1,5}",
    ) {
        let Ok(template) = PathTemplate::parse(&template) else { return Ok(()) };
        let predicate = Predicate {
            methods: vec![Method::GET],
            hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
            path: Some(template.clone()),
            ..Predicate::default()
        };
        let route = Match {
            methods: predicate.methods.clone(),
            hosts: predicate.hosts.clone(),
            path: template,
            priority: 0,
        };
        prop_assume!(check_path(&request).is_ok());
        let router = Router::build([("r", &route)]).unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let holds = |path| {
            predicate.holds(&method, None, host.as_deref(), &target(path), &HeaderMap::new())
        };
        let finds = |path: &str| matches!(
            router.find(&method, host.as_deref(), path),
            Routed::Route { .. }
        );
        let others = tollgate_readings::paths(&request).unwrap();
        let found = finds(&request) || others.iter().any(|other| finds(other));
        prop_assert_eq!(holds(&request), found);
    }
}
