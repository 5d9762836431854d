//! Which route a request takes, end to end.

use tollgate_tests::{Gateway, Origin};

#[test]
fn the_most_specific_route_wins() {
    const ROUTES: [(&str, &str); 13] = [
        ("root", r#""/""#),
        ("static", r#""/pets/all""#),
        ("static-post", r#""POST /pets/all""#),
        ("parameter", r#""/pets/{id}""#),
        ("below-parameter", r#""GET /pets/{id}/toys""#),
        ("below-static", r#""/pets/all/toys/{toy}""#),
        ("greedy", r#""/pets/{rest+}""#),
        ("slash", r#""/pets/""#),
        ("host", r#"{ path = "/pets/{id}", hosts = ["a.example"] }"#),
        (
            "wildcard",
            r#"{ path = "/pets/{id}", hosts = ["*.example"] }"#,
        ),
        (
            "deeper-wildcard",
            r#"{ path = "/pets/{id}", hosts = ["*.b.example"] }"#,
        ),
        ("only-methods", r#""GET,PUT /methods""#),
        (
            "more-methods",
            r#"{ path = "/methods", methods = ["DELETE"], hosts = ["a.example"] }"#,
        ),
    ];
    let origin = Origin::echo();
    let mut toml = format!(
        "[listeners.public]\naddress = \"127.0.0.1:0\"\n[upstreams.o]\nservers = [\"{}\"]\n",
        origin.url()
    );
    for (name, matches) in ROUTES {
        toml.push_str(&format!(
            "[routes.{name}]\nmatch = {matches}\nupstream = \"o\"\n"
        ));
    }
    let gateway = Gateway::start(&toml);
    let cases = [
        ("GET / h", "root"),
        ("GET /pets/all h", "static"),
        ("POST /pets/all h", "static-post"),
        ("GET /pets/%61ll h", "static"),
        ("GET /pets/7 h", "parameter"),
        ("GET /pets/All h", "parameter"),
        ("GET /pets/7/toys h", "below-parameter"),
        // Backtracks: no toy of `all`, no POST below a parameter.
        ("GET /pets/all/toys h", "below-parameter"),
        ("GET /pets/all/toys/1 h", "below-static"),
        ("POST /pets/7/toys h", "greedy"),
        ("GET /pets/7/toys/1 h", "greedy"),
        ("GET /pets/ h", "slash"),
        ("GET /pets/7 A.Example:81", "host"),
        ("GET /pets/7 a.example.", "host"),
        ("GET /pets/7 c.example", "wildcard"),
        ("GET /pets/7 c.b.example", "deeper-wildcard"),
        ("GET /pets/7 example", "parameter"),
        // The path decides before the host does.
        ("GET /pets/all a.example", "static"),
        ("PUT /methods h", "only-methods"),
        ("DELETE /methods a.example", "more-methods"),
        ("GET /pets h", "404"),
        ("GET /Pets/7 h", "404"),
        ("GET /methods/ h", "404"),
        ("POST /methods h", "405 GET, PUT"),
        ("DELETE /methods h", "405 GET, PUT"),
        ("POST /methods a.example", "405 DELETE, GET, PUT"),
    ];
    for (asked, expected) in cases {
        let words: Vec<&str> = asked.split(' ').collect();
        let (method, path, host) = (words[0], words[1], words[2]);
        let answer = gateway.request(format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"
        ));
        let id = answer.header("x-request-id");
        let record = gateway.record(|record| record["id"].as_str() == id.as_deref());
        let found = match (answer.status, answer.header("allow")) {
            (200, None) => record["route"].as_str().unwrap_or_default().to_owned(),
            (status, None) => status.to_string(),
            (status, Some(allow)) => format!("{status} {allow}"),
        };
        assert_eq!(found, expected, "{asked}");
        if answer.status != 200 {
            assert!(record["route"].is_null(), "{asked}");
            assert_eq!(answer.json()["status"], answer.status, "{asked}");
        }
    }
}
