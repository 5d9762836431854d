//! Parts of a body: a plugin that may read responses is shown whole ones.

use tollgate_tests::{Gateway, Origin, Step};

use super::{gateway, scene};

#[test]
fn a_range_is_not_asked_for_where_a_plugin_may_read_the_response() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let range = [("range", "bytes=0-3"), ("if-range", "\"a\"")];
    for (path, passes) in [
        ("/one", false),
        ("/both", false),
        ("/open", false),
        ("/mark", true),
        ("/plain", true),
    ] {
        let response = gateway.get_with(path, &range);
        assert_eq!(response.status, 200, "{path}");
        for (name, value) in range {
            let expected: &[&[u8]] = if passes { &[value.as_bytes()] } else { &[] };
            assert_eq!(response.echoed(name), expected, "{path} {name}");
        }
    }
}

/// An entry that is not for the request leaves it alone, and what is outside of it sees the range still.
#[test]
fn only_where_the_request_enters_the_entry() {
    let origin = Origin::echo();
    let toml = scene(&origin, "").toml().replace(
        "chain = [\"one\", \"two\"]",
        "chain = [{ policy = \"one\", when = { headers = { x-one = true } } }]",
    );
    let gateway = Gateway::start(&toml);
    let range = ("range", "bytes=0-3");
    assert_eq!(gateway.get_with("/both", &[range]).echoed("range").len(), 1);
    let with = gateway.get_with("/both", &[range, ("x-one", "1")]);
    assert!(with.echoed("range").is_empty());
}

/// So what the plugin edits is the whole, and it is sent as one, to a client that asked for a part.
#[test]
fn who_asks_for_a_part_gets_the_edited_whole() {
    let origin = Origin::raw(|request| {
        let answer = match request.header("range") {
            Some(_) => {
                "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-6/15\r\ncontent-length: 7\r\n\
                        content-type: application/json\r\n\r\n{\"a\":1,"
            }
            None => {
                "HTTP/1.1 200 OK\r\ncontent-length: 13\r\ncontent-type: application/json\r\n\
                     accept-ranges: bytes\r\n\r\n{\"a\":1,\"b\":2}"
            }
        };
        vec![Step::Send(answer.as_bytes().to_vec())]
    });
    let toml = crate::scene::Scene::new(&origin)
        .with("[plugins.json-body]\ngrant = { bodies = \"1KiB\" }")
        .policy(
            "cut",
            "json-body",
            "config = { response = { remove = [\"b\"] } }",
        )
        .toml();
    let gateway = Gateway::start(&toml);
    let response = gateway.get_with("/a", &[("range", "bytes=0-6")]);
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "{\"a\":1}")
    );
    assert_eq!(response.header("content-range"), None);
    assert_eq!(response.header("accept-ranges"), None);
}
