//! One host, whatever it is spelled like.

use tollgate_tests::{Gateway, Origin};

use super::keys;
use crate::scene::Scene;

#[test]
fn an_address_has_one_spelling() {
    let origin = Origin::echo();
    let gateway = Gateway::start(
        &Scene::new(&origin)
            .policy("keys", "api-key", &keys())
            .with(
                "[routes.local]\nmatch = { path = \"/\", hosts = [\"[0:0::1]\"] }\nupstream = \"origin\"\n\
                 chain = [\"keys\"]\n",
            )
            .route("open", "/", &[])
            .toml(),
    );
    for (host, status) in [
        ("[::1]", 401),
        ("[::1]:8080", 401),
        ("[0:0:0:0:0:0:0:1]", 401),
        ("[0::1]", 401),
        ("[::0001]:1", 401),
        ("[::2]", 200),
        ("[zz]", 400),
        ("[::1.]", 400),
        ("[::1%25lo]", 400),
        ("[v1.a]", 400),
        ("[::1", 400),
    ] {
        let response = gateway.request(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(response.status, status, "{host}");
    }
}
