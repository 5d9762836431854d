//! A new configuration on SIGHUP.

use tollgate_tests::{Gate, Gateway, Origin, Step, eventually, ok};

use super::{UNWATCHED, respond};
use crate::loading::place;

#[test]
fn a_kept_connection_finds_the_new_routes() {
    let old = UNWATCHED.to_owned() + &respond("a", "/a", "old");
    let new = UNWATCHED.to_owned() + &respond("a", "/a", "new") + &respond("b", "/b", "more");
    let gateway = Gateway::start(&old);
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "old");
    assert_eq!(client.get("/b").status, 404);
    gateway.reload(&new);
    assert_eq!(client.get("/a").text(), "new");
    assert_eq!(client.get("/b").text(), "more");
    assert_eq!(gateway.get("/b").text(), "more");
    gateway.reload(&old);
    assert_eq!(client.get("/a").text(), "old");
    assert_eq!(client.get("/b").status, 404);
    gateway.wait_for_one_gateway();
    gateway.wait_for_event(&["INFO", "reloaded", "policies=0"]);
}

#[test]
fn what_has_not_changed_is_not_reloaded() {
    let toml = UNWATCHED.to_owned() + &respond("a", "/a", "a");
    let gateway = Gateway::start(&toml);
    gateway.hang_up_for("unchanged");
    assert_eq!(gateway.reloads("applied"), 0);
    gateway.wait_for_event(&["not reloaded: nothing has changed"]);
    assert_eq!(gateway.get("/a").text(), "a");
}

/// With the upstream, the route and the chain that it began with: all of them are gone from the new one.
#[test]
fn requests_in_flight_end_as_they_began() {
    let gate = Gate::new();
    let thinking = gate.clone();
    let origin = Origin::raw(move |request| match request.target.as_str() {
        "/half" => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nhalf".to_vec()),
            Step::WaitFor(thinking.clone()),
            Step::Send(b" and half".to_vec()),
        ],
        _ => vec![
            Step::WaitFor(thinking.clone()),
            Step::Send(ok("text/plain", "slow")),
        ],
    });
    let old = format!(
        "{UNWATCHED}[upstreams.origin]\nservers = [\"{}\"]\n\
         [policies.mark]\nplugin = \"headers\"\nconfig.response.set.x-mark = \"old\"\n\
         [routes.all]\nmatch = \"/{{rest+}}\"\nchain = [\"mark\"]\nupstream = \"origin\"\n",
        origin.url()
    );
    let gateway = Gateway::start(&old);
    let (mut slow, mut half, mut upload) = (gateway.client(), gateway.client(), gateway.client());
    slow.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    half.send("GET /half HTTP/1.1\r\nhost: a\r\n\r\n");
    upload.send("POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
    origin.request(1);
    eventually("all three", || {
        (gateway.metric("tollgate_requests_in_flight", &[]) == 3.0).then_some(())
    });

    gateway.reload(&(UNWATCHED.to_owned() + &respond("all", "/{rest+}", "new")));
    assert_eq!(gateway.get("/slow").text(), "new");
    assert_eq!(gateway.metric("tollgate_gateways", &[]), 2.0);

    upload.send_more("def");
    gate.open();
    for (client, body) in [
        (&mut slow, "slow"),
        (&mut half, "half and half"),
        (&mut upload, "slow"),
    ] {
        let answer = client.read();
        assert!(answer.complete, "{answer:?}");
        assert_eq!(answer.text(), body);
        assert_eq!(answer.headers("x-mark"), ["old"]);
        assert_eq!(client.get("/next").text(), "new", "on the same connection");
    }
    gateway.wait_for_one_gateway();
}

#[test]
fn what_listeners_trust_changes_with_them() {
    let origin = Origin::echo();
    let toml = |proxies: &str| {
        format!(
            "[runtime]\nwatch = false\n\
             [listeners.public]\naddress = \"127.0.0.1:0\"\ntrusted-proxies = [{proxies}]\n\
             [upstreams.origin]\nservers = [\"{}\"]\n\
             [routes.all]\nmatch = \"/{{rest+}}\"\nupstream = \"origin\"\n",
            origin.url()
        )
    };
    let gateway = Gateway::start(&toml(""));
    let said = || {
        let response = gateway.get_with("/a", &[("x-forwarded-for", "192.0.2.7")]);
        let said = response.echoed("x-forwarded-for").concat();
        String::from_utf8(said).expect("an address")
    };
    assert_eq!(said(), "127.0.0.1");
    gateway.reload(&toml("\"127.0.0.0/8\""));
    assert_eq!(said(), "192.0.2.7, 127.0.0.1");
    gateway.reload(&toml(""));
    assert_eq!(said(), "127.0.0.1");
}

#[test]
fn what_counts_from_the_next_start_is_named_at_its_place() {
    let old = UNWATCHED.to_owned() + &respond("a", "/a", "old");
    let new = format!(
        "[runtime]\nwatch = false\nworkers = 7\nrequests = 17\ndrain = \"3s\"\n\
         [listeners.public]\naddress = \"127.0.0.2:1\"\n\
         [listeners.other]\naddress = \"127.0.0.1:0\"\n\
         [admin]\naddress = \"127.0.0.1:1\"\n\
         [store]\nkv = \"1MiB\"\n{}",
        respond("a", "/a", "new")
    );
    let gateway = Gateway::start(&old);
    gateway.reload(&new);
    assert_eq!(gateway.get("/a").text(), "new", "the rest is taken over");
    let event = gateway.wait_for_event(&["WARN", "restart needed for part of it"]);
    for (at, text) in [
        ("7\n", "`runtime.workers` takes effect only after a restart"),
        ("17", "`runtime.requests` takes effect only after a restart"),
        (
            "\"127.0.0.2:1\"",
            "`listeners.public.address` takes effect only after a restart",
        ),
        (
            "other]",
            "`listeners.other` is new, and listens only after a restart",
        ),
        (
            "\"127.0.0.1:1\"",
            "`admin.address` takes effect only after a restart",
        ),
        ("\"1MiB\"", "`store.kv` takes effect only after a restart"),
    ] {
        let line = format!(
            "{}:{}: warning: {text}",
            gateway.config().display(),
            place(&new, at)
        );
        assert!(event.contains(&line), "no `{line}` in:\n{event}");
    }
    assert_eq!(event.matches(": warning: ").count(), 6, "{event}");
    // Nothing of it is true after it was taken back.
    gateway.reload(&old);
    let log = gateway.stderr();
    assert_eq!(
        log.matches("restart needed for part of it").count(),
        1,
        "{log}"
    );
}

/// However many signals come while one is being built, the last state of the file is what counts.
#[test]
fn signals_during_a_reload_are_one_more() {
    let toml = |body: &str| UNWATCHED.to_owned() + &respond("a", "/a", body);
    let gateway = Gateway::start(&toml("0"));
    for number in 1..=50 {
        gateway.write_config(&toml(&number.to_string()));
        gateway.hang_up();
    }
    eventually("the last of them", || {
        (gateway.get("/a").text() == "50").then_some(())
    });
    let reloads = || gateway.reloads("applied") + gateway.reloads("unchanged");
    assert!((1..=50).contains(&reloads()), "{}", reloads());
    assert_eq!(gateway.reloads("refused"), 0, "{}", gateway.stderr());
    gateway.wait_for_one_gateway();
}

/// Series of what is gone go with it, and no counter of what stays falls back.
#[test]
fn the_series_of_removed_routes_go() {
    let origin = Origin::echo();
    let scene = |routes: &str| {
        format!(
            "{UNWATCHED}[upstreams.origin]\nservers = [\"{}\"]\n\
             [policies.mark]\nplugin = \"headers\"\nconfig.response.set.x-mark = \"a\"\n\
             [policies.limit]\nplugin = \"rate-limit\"\n\
             config = {{ per = \"all\", rate = \"1000/s\" }}\n{routes}",
            origin.url()
        )
    };
    let route = |name: &str| {
        format!(
            "[routes.{name}]\nmatch = \"/{name}\"\nchain = [\"mark\", \"limit\"]\n\
             upstream = \"origin\"\n"
        )
    };
    let gateway = Gateway::start(&scene(&(route("stays") + &route("goes"))));
    for path in ["/stays", "/goes", "/stays"] {
        assert_eq!(gateway.get(path).status, 200);
    }
    let count = |route: &str| {
        gateway.metric(
            "tollgate_requests_total",
            &[("route", route), ("status", "2xx")],
        )
    };
    eventually("all counted", || {
        (count("stays") == 2.0 && count("goes") == 1.0).then_some(())
    });
    assert!(gateway.metrics().matches("route=\"goes\"").count() > 20);

    gateway.reload(&scene(&route("stays")));
    eventually("the series are gone", || {
        (!gateway.metrics().contains("route=\"goes\"")).then_some(())
    });
    assert_eq!(gateway.get("/stays").status, 200);
    assert_eq!(gateway.get("/goes").status, 404);
    eventually("the next one counted", || {
        (count("stays") == 3.0).then_some(())
    });
    let calls = [("policy", "mark"), ("route", "stays"), ("side", "in")];
    assert_eq!(gateway.metric("tollgate_plugin_calls_total", &calls), 3.0);
    let limits = [("policy", "limit"), ("outcome", "within")];
    assert_eq!(
        gateway.metric("tollgate_limit_requests_total", &limits),
        3.0
    );
    // One that comes back begins anew.
    gateway.reload(&scene(&(route("stays") + &route("goes"))));
    assert_eq!(count("goes"), 0.0);
}
