//! `[routes]`: matches and ends.

use http::Method;

use super::*;
use crate::route::HostPattern;

#[test]
fn reads_routes() {
    let config = good();
    let [z, a, ..] = &config.routes[..] else {
        panic!()
    };
    assert_eq!((z.name.as_str(), a.name.as_str()), ("z", "a"));
    assert_eq!(z.matches.methods, [Method::GET, Method::HEAD]);
    assert_eq!(z.matches.path.as_str(), "/pets/{id}");
    assert_eq!(z.end, RouteEnd::Upstream("pets".into()));
    assert_eq!(z.api, None);
    assert_eq!(a.matches.methods[0].as_str(), "PURGE");
    let host = HostPattern::Wildcard("example.com".into());
    assert_eq!(a.matches.hosts, [host]);
    assert_eq!(a.matches.priority, -5);

    let [.., pet, store] = &config.routes[..] else {
        panic!()
    };
    assert_eq!(pet.api.as_deref(), Some("store"));
    assert_eq!(pet.matches.path.as_str(), "/store/pets/{id}");
    assert_eq!(
        pet.matches.hosts,
        [HostPattern::Exact("store.example.com".into())]
    );
    assert_eq!(store.matches.path.as_str(), "/store");
    assert_eq!(store.matches.methods, [Method::GET]);
    let RouteEnd::Respond(reply) = &store.end else {
        panic!()
    };
    assert_eq!((reply.status, reply.body.as_str()), (404, "none\n"));
    let headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    assert_eq!(headers, ["x-a: b", "set-cookie: a=1", "set-cookie: b=2"]);
}

/// The path of the route `r` in the API `a`, or the problem.
fn path(api: &str, matches: &str) -> String {
    let text = LEAST.replace("match = \"/\"", &format!("api = \"a\"\nmatch = {matches}"));
    match read(&format!("apis.a = {api}\n{text}")) {
        Ok(config) => config.routes[0].matches.path.to_string(),
        Err(problems) => problems.problems[0].message.clone(),
    }
}

#[test]
fn bases() {
    let store = "{ base = \"/s%20t\" }";
    assert_eq!(path("{}", "\"GET /a\""), "/a");
    assert_eq!(path("{ base = \"\" }", "\"/\""), "/");
    assert_eq!(path(store, "\"GET /{x}\""), "/s%20t/{x}");
    assert_eq!(path(store, "\"/\""), "/s%20t/");
    for matches in ["\"\"", "\"GET\"", "\"GET,PUT\"", "{ path = \"\" }"] {
        assert_eq!(path(store, matches), "/s%20t");
    }
    assert_eq!(
        path(store, "\"/a//b\""),
        "the path `/s%20t/a//b` has an empty segment before its end"
    );
    let slash = "the path `a` must begin with a slash";
    assert_eq!(path(store, "{ path = \"a\" }"), slash);
    assert_eq!(path("{}", "{ path = \"a\" }"), slash);
    let bad = [
        ("/", "the base `/` ends with a slash"),
        (
            "/a/",
            "ends with a slash; the paths of its routes begin with one",
        ),
        ("a", "the base `a` must begin with a slash"),
        ("/{a}", "the base `/{a}` has a parameter"),
        ("/{a+}", "has a parameter"),
        ("/a/../b", "contains a dot segment"),
        ("/a?b", "must be percent-encoded"),
        ("/a//b", "empty segment"),
    ];
    for (base, wanted) in bad {
        let found = path(&format!("{{ base = {base:?} }}"), "\"/x\"");
        assert!(found.contains(wanted), "{found}");
    }
    let long = format!("{{ base = \"/{}\" }}", "a".repeat(1_024));
    assert!(path(&long, "\"/\"").ends_with("has more than 1024 bytes"));

    // What a route of a wrong API is, is not known: nothing is said of it.
    let text = LEAST.replace("match", "api = \"a\"\nmatch");
    let other = "[routes.s]\nmatch = \"/\"\nupstream = \"u\"\n";
    let text = format!("apis.a.base = \"x\"\n{text}{other}");
    refused(&text, &["the base `x` must begin with a slash"]);
    let text = text.replace("\"x\"", "\"\"");
    refused(
        &text,
        &["the routes `r` and `s` both match / with any method"],
    );
    // With hosts of the API's, they do not meet.
    let text = text.replace("apis.a.base", "apis.a.hosts = [\"a\"]\napis.a.base");
    assert!(read(&text).is_ok());
    added("apis.a.hosts = []", "`apis.a.hosts` is empty");
    added(
        "apis.a.hosts = [\"a:1\"]",
        "`a:1`: must be a host without a port",
    );
    let hosts = format!("apis.a.hosts = [{}]", "\"a\",".repeat(33));
    added(&hosts, "`apis.a.hosts` has more than 32 hosts");
}

#[test]
fn references() {
    replaced(
        "upstream = \"u\"",
        "upstream = \"w\"",
        "there is no upstream `w`; did you mean `u`?",
    );
    replaced(
        "upstream =",
        "api = \"sotre\"\nupstream =",
        "there is no api `sotre`; there is no api at all",
    );
    let text = LEAST.replace("upstream =", "api = \"sotre\"\nupstream =");
    refused(
        &format!("apis.store = {{}}\n{text}"),
        &["there is no api `sotre`; did you mean `store`?"],
    );
    added("apis.a = 1", "`apis.a` must be a table such as [apis.a]");
    added(
        "apis.a.bse = \"/a\"",
        "unknown key `apis.a.bse`; did you mean `base`?",
    );
}

#[test]
fn ends() {
    replaced(
        "upstream = \"u\"",
        "",
        "`routes.r` has no `upstream` and no `respond`; add `upstream = \"name\"`, or `respond",
    );
    replaced(
        "upstream =",
        "respond = { status = 200 }\nupstream =",
        "`routes.r` has both `upstream` and `respond`; a route has one of them",
    );
    let respond = |respond: &str, wanted: &str| {
        replaced("upstream = \"u\"", &format!("respond = {respond}"), wanted);
    };
    respond(
        "404",
        "`routes.r.respond` must be a table such as { status = 404",
    );
    respond(
        "{}",
        "`routes.r.respond` has no `status`; add `status = 404`",
    );
    respond("{ status = 199 }", "must be from 200 to 599");
    respond("{ status = 600 }", "must be from 200 to 599");
    respond(
        "{ status = 200, text = \"\" }",
        "has the keys `status`, `headers`, `body`",
    );
    for status in [204, 205, 304] {
        let text = format!("{{ status = {status}, body = \"x\" }}");
        respond(&text, &format!("a response of status {status} has no body"));
        let text = text.replace("\"x\"", "\"\"");
        assert!(read(&LEAST.replace("upstream = \"u\"", &format!("respond = {text}"))).is_ok());
    }
    let body = format!("{{ status = 200, body = \"{}\" }}", "x".repeat(1 << 20 | 1));
    respond(&body, "`routes.r.respond.body` has more than 1048576 bytes");

    let header = |header: &str, wanted: &str| {
        respond(
            &format!("{{ status = 200, headers = {{ {header} }} }}"),
            wanted,
        );
    };
    for name in [
        "Connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "host",
    ] {
        let wanted = format!("`{name}` belongs to the connection or the framing");
        header(&format!("{name} = \"x\""), &wanted);
    }
    header("\"a b\" = \"x\"", "`a b` is not the name of a header");
    header("\"\" = \"x\"", "`` is not the name of a header");
    header("a = \"x\\ny\"", "may have only visible ASCII and spaces");
    header(
        "a = \"é\"",
        "`routes.r.respond.headers.a` may have only visible ASCII",
    );
    header(
        "a = [\"x\", 1]",
        "`routes.r.respond.headers.a[1]` must be a string",
    );
    header(
        "x-a = \"1\", X-A = \"2\"",
        "the header `X-A` is given twice; for several lines",
    );
    header(
        &format!("a = [{}]", "\"\",".repeat(101)),
        "`routes.r.respond.headers` has more than 100 header lines",
    );
    header(
        &format!("a = \"{}\"", "x".repeat(65_536)),
        "`routes.r.respond.headers` has more than 65536 bytes",
    );
    let names = (0..101).map(|index| format!("a{index} = \"\""));
    let names: Vec<String> = names.collect();
    header(&names.join(", "), "has more than 100 headers");
}

#[test]
fn bounds() {
    replaced(
        "upstream =",
        "priority = 1001\nupstream =",
        "must be from -1000 to 1000",
    );
    let methods: Vec<String> = (0..33).map(|index| format!("M{index}")).collect();
    let methods = format!("\"{} /\"", methods.join(","));
    replaced(
        "\"/\"",
        &methods,
        "`routes.r.match` has more than 32 methods",
    );
}

#[test]
fn matches() {
    let bad = [
        (
            "get /",
            "`get` is not a method; methods are written in capitals: GET",
        ),
        ("* /", "`*` is not a method; to accept any method, leave"),
        ("GET,,PUT /", "`` is not a method"),
        ("GET PUT /", "`GET PUT` is not a method"),
        ("GET", "the path `GET` must begin with a slash"),
        ("", "the path `` must begin with a slash"),
        ("/a//b", "empty segment"),
        ("/{a", "brace inside a segment"),
        (
            "/../a",
            "matches no request: the path contains a dot segment",
        ),
        ("/a ", "has ' ' in it, which must be percent-encoded"),
    ];
    for (text, wanted) in bad {
        replaced("\"/\"", &format!("{text:?}"), wanted);
    }
    replaced(
        "\"/\"",
        "7",
        "must be a string such as \"GET,HEAD /pets/{id}\", or a table, not an integer",
    );
    replaced(
        "\"/\"",
        "{ path = \"/\", hosts = [\"a:80\"] }",
        "`a:80`: must be a host without a port",
    );
    let twice = "[routes.s]\nmatch = \"GET /{b}\"\nupstream = \"u\"\n[routes.t]\nmatch = \"GET /{c}\"\nupstream = \"u\"\n";
    refused(
        &format!("{LEAST}{twice}"),
        &["the routes `s` and `t` both match /{c} with GET; make them"],
    );
}
