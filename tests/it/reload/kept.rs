//! What outlives a reload, and what must not.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tollgate_tests::{Folder, Gateway, Origin, Step, eventually, guest};

use super::{UNWATCHED, respond};
use crate::kinds::{PATIENT, authorizer};

/// An origin that answers with the number of the request, for as long as a cache likes.
fn numbered() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::raw(move |_| {
        let body = (count.fetch_add(1, Ordering::SeqCst) + 1).to_string();
        let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: ";
        vec![Step::Send(
            format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes(),
        )]
    })
}

fn upstream(origin: &Origin) -> String {
    format!("[upstreams.origin]\nservers = [\"{}\"]\n", origin.url())
}

fn route(name: &str, chain: &str) -> String {
    format!("[routes.{name}]\nmatch = \"/{name}\"\nchain = [{chain}]\nupstream = \"origin\"\n")
}

#[test]
fn counters_of_limits() {
    let origin = Origin::echo();
    let toml = |more: &str| {
        format!(
            "{UNWATCHED}{}[policies.few]\nplugin = \"rate-limit\"\n\
             config = {{ per = \"all\", quota = \"3/year\" }}\n{}{more}",
            upstream(&origin),
            route("a", "\"few\"")
        )
    };
    let gateway = Gateway::start(&toml(""));
    assert_eq!(gateway.get("/a").status, 200);
    gateway.reload(&toml(&respond("b", "/b", "b")));
    assert_eq!(gateway.get("/a").status, 200);
    gateway.reload(&toml(""));
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.get("/a").status, 429);
    // Not even another number forgets what was counted.
    gateway.reload(&toml("").replace("3/year", "4/year"));
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.get("/a").status, 429);
}

#[test]
fn cached_responses_of_what_has_not_changed() {
    let origin = numbered();
    let toml = |cache: &str, value: &str, more: &str| {
        format!(
            "{UNWATCHED}{}[policies.cache]\nplugin = \"http-cache\"\n{cache}\n\
             [policies.mark]\nplugin = \"headers\"\nconfig.response.set.x-mark = \"{value}\"\n{}{}{}{more}",
            upstream(&origin),
            route("plain", "\"cache\""),
            route("marked", "\"cache\", \"mark\""),
            route("outside", "\"mark\", \"cache\""),
        )
    };
    let gateway = Gateway::start(&toml("", "a", ""));
    let get = |path: &str| {
        let response = gateway.get(path);
        (response.text(), response.headers("x-mark").concat())
    };
    let pair = |text: &str, mark: &str| (text.to_owned(), mark.to_owned());
    assert_eq!(get("/plain"), pair("1", ""));
    assert_eq!(get("/marked"), pair("2", "a"));
    assert_eq!(get("/outside"), pair("3", "a"));

    gateway.reload(&toml("", "a", &respond("b", "/b", "b")));
    assert_eq!(get("/plain"), pair("1", ""), "kept");
    assert_eq!(get("/marked"), pair("2", "a"), "kept");

    // What stands inside the entry made what is stored.
    gateway.reload(&toml("", "b", ""));
    assert_eq!(get("/plain"), pair("1", ""), "kept");
    assert_eq!(get("/outside"), pair("3", "b"), "kept");
    assert_eq!(get("/marked"), pair("4", "b"), "fetched again");
    eventually("what nobody can ask for is gone", || {
        (gateway.metric("tollgate_cache_keys", &[]) == 3.0).then_some(())
    });

    // And so does the policy.
    gateway.reload(&toml("config.ttl = \"1h\"", "b", ""));
    assert_eq!(get("/plain"), pair("5", ""), "fetched again");
}

#[test]
fn values_that_plugins_keep() {
    let toml = |more: &str| {
        format!(
            "{UNWATCHED}[upstreams.users]\nservers = [\"http://127.0.0.1:1\"]\n\
             [plugins.reach]\nwasm = \"{}\"\ngrant = {{ fetch = [\"users\"], kv = true }}\n\
             [policies.reach]\nplugin = \"reach\"\n\
             [routes.reach]\nmatch = \"/reach\"\nchain = [\"reach\"]\nupstream = \"users\"\n{more}",
            guest("guest_reach").display()
        )
    };
    let gateway = Gateway::start(&toml(""));
    let add = || {
        let steps = json!([{ "add": ["n", 1, null] }]);
        let asked = format!("GET /reach HTTP/1.1\r\nhost: a\r\nx-do: {steps}\r\n\r\n");
        gateway.request(asked).json()[0]["ok"].clone()
    };
    assert_eq!(add(), 1);
    gateway.reload(&toml(&respond("b", "/b", "b")));
    assert_eq!(add(), 2);
    // Also where the plugin itself is another: its name is what its values are under.
    gateway.reload(&toml("").replace("grant", "limits.memory = \"32MiB\"\ngrant"));
    assert_eq!(add(), 3);
}

#[test]
fn decisions_are_forgotten_with_the_configuration_that_made_them() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let wasm = authorizer(&folder);
    let toml = |reads: &str, more: &str| {
        format!(
            "{UNWATCHED}{}[plugins.auth]\nwasm = \"{}\"\n{PATIENT}\n[policies.auth]\nplugin = \"auth\"\n\
             config.authorize = {{ reads = [{reads}], remember-ms = 3_600_000 }}\n{}{more}",
            upstream(&origin),
            wasm.display(),
            route("a", "\"auth\""),
        )
    };
    let gateway = Gateway::start(&toml("\"path\"", ""));
    let asked = || {
        assert_eq!(gateway.get("/a").status, 200);
        let labels = [("policy", "auth"), ("side", "in")];
        gateway.metric("tollgate_plugin_calls_total", &labels)
    };
    assert_eq!(asked(), 1.0);
    assert_eq!(asked(), 1.0, "remembered");
    gateway.reload(&toml("\"path\"", &respond("b", "/b", "b")));
    assert_eq!(asked(), 1.0, "still remembered");
    gateway.reload(&toml("\"path\", \"method\"", ""));
    assert_eq!(asked(), 2.0, "asked again");
    assert_eq!(asked(), 2.0, "remembered");
    gateway.reload(&toml("\"path\"", ""));
    assert_eq!(asked(), 3.0, "not even what the same configuration decided");
}

/// One instance serves many calls, and goes on doing so where its policy has not changed.
#[test]
fn reused_instances() {
    let toml = |act: &str, more: &str| {
        format!(
            "{UNWATCHED}[plugins.hostile]\nwasm = \"{}\"\n{PATIENT}\n\
             [policies.count]\nplugin = \"hostile\"\n{act}\ninstances = {{ calls = 1000 }}\n\
             [routes.a]\nmatch = \"/a\"\nchain = [\"count\"]\nrespond = {{ status = 204 }}\n{more}",
            guest("guest_hostile").display()
        )
    };
    let counting = "config = { act = \"count\", hook = \"transform-response\" }";
    let gateway = Gateway::start(&toml(counting, ""));
    let mut client = gateway.client();
    let mut calls = || client.get("/a").headers("x-calls").concat();
    assert_eq!(calls(), "1");
    assert_eq!(calls(), "2");
    gateway.reload(&toml(counting, &respond("b", "/b", "b")));
    assert_eq!(calls(), "3");
    gateway.wait_for_event(&["reloaded", "policies=1 kept=1"]);
    gateway.reload(&toml(&counting.replace("}", ", amount = 1 }"), ""));
    assert_eq!(calls(), "1");
    gateway.wait_for_event(&["reloaded", "policies=1 kept=0"]);
    gateway.wait_for_one_gateway();
    assert_eq!(gateway.metric("tollgate_instances", &[]), 1.0);
}

/// Other key sets are another matter only for those who can ask for them.
#[test]
fn policies_that_verify_nothing() {
    let toml = |kid: &str| {
        format!(
            "{UNWATCHED}[key-sets.login]\n\
             keys = [{{ kty = \"OKP\", crv = \"Ed25519\", kid = \"{kid}\", \
             x = \"-pJVfT6hTM3PE-Rb1V6luUtPK46FJqE3NeAz7pBFUaA\" }}]\n\
             [policies.signed-in]\nplugin = \"jwt\"\n\
             config = {{ key-set = \"login\", issuer = false, audience = false }}\n\
             [policies.mark]\nplugin = \"headers\"\nconfig.response.set.x-mark = \"a\"\n\
             [routes.a]\nmatch = \"/a\"\nchain = [\"mark\", \"signed-in\"]\nrespond = {{ status = 204 }}\n"
        )
    };
    let gateway = Gateway::start(&toml("1"));
    assert_eq!(gateway.get("/a").status, 401);
    gateway.reload(&toml("2"));
    gateway.wait_for_event(&["reloaded", "policies=2 kept=1"]);
    assert_eq!(gateway.get("/a").headers("x-mark"), ["a"]);
    gateway.wait_for_one_gateway();
}

/// A connection to an upstream is kept across a reload.
#[test]
fn connections_to_upstreams() {
    let (origin, other) = (Origin::echo(), Origin::echo());
    let toml = |more: &str| format!("{UNWATCHED}{}{}{more}", upstream(&origin), route("a", ""));
    let gateway = Gateway::start(&toml(""));
    assert_eq!(gateway.get("/a").status, 200);
    gateway.reload(&toml(&respond("b", "/b", "b")));
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(origin.connections(), 1);
    // One that nobody can use any more is closed.
    gateway.reload(&toml("").replace(&origin.url(), &other.url()));
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(other.requests(), 1);
    eventually("the old upstream's connections are closed", || {
        (origin.open_connections() == 0).then_some(())
    });
}

/// An upstream that was edited keeps the connections to those of its servers that stay.
#[test]
fn connections_to_servers_that_stay() {
    let (origin, other) = (Origin::echo(), Origin::echo());
    let toml = |servers: &[&Origin], first_byte: &str| {
        let servers: Vec<String> = servers.iter().map(|origin| origin.url()).collect();
        let unwatched = UNWATCHED.replace("watch = false\n", "watch = false\nworkers = 1\n");
        format!(
            "{unwatched}[upstreams.origin]\nservers = {servers:?}\n\
             timeouts = {{ first-byte = \"{first_byte}\" }}\n{}",
            route("a", "")
        )
    };
    let gateway = Gateway::start(&toml(&[&origin], "10s"));
    let ask = || assert_eq!(gateway.get("/a").status, 200);
    ask();
    gateway.reload(&toml(&[&origin], "11s"));
    ask();
    gateway.reload(&toml(&[&origin, &other], "11s"));
    (0..4).for_each(|_| ask());
    gateway.reload(&toml(&[&other], "11s"));
    ask();
    assert_eq!((origin.requests(), other.requests()), (4, 3));
    assert_eq!((origin.connections(), other.connections()), (1, 1));
    eventually("the connection to the server that went is closed", || {
        (origin.open_connections() == 0).then_some(())
    });
}

/// Workers are threads, of which a process has as many as it began with: a connection to an upstream is used
/// on that which opened it, whatever a later configuration says of their number.
#[test]
fn connections_stay_on_their_worker() {
    for (first, later) in [(2, 1), (2, 3)] {
        let (before, origin) = (Origin::echo(), Origin::echo());
        let toml = |workers: usize, origin: &Origin| {
            let runtime = format!("watch = false\nworkers = {workers}\n");
            let unwatched = UNWATCHED.replace("watch = false\n", &runtime);
            format!("{unwatched}{}{}", upstream(origin), route("a", ""))
        };
        let gateway = Gateway::start(&toml(first, &before));
        // One client on each worker, the least busy of which is given the next.
        let mut clients = [gateway.client(), gateway.client()];
        for client in &mut clients {
            assert_eq!(client.get("/a").status, 200);
        }
        assert_eq!(before.connections(), 2);
        gateway.reload(&toml(later, &origin));
        for _ in 0..3 {
            for client in &mut clients {
                assert_eq!(client.get("/a").status, 200);
            }
        }
        assert_eq!(origin.connections(), 2, "{later} workers later");
    }
}
