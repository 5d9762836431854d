//! The configuration, end to end: everything that is wrong with a file, all at once and to the
//! letter; and how `check` and `run` end. Which route a request takes is in `precedence`.

mod precedence;

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use tollgate_tests::{Folder, binary, check, dead_address, target};

/// `tollgate check` refuses the text in these words, and says nothing else.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let check = check(text);
    let said = check
        .stderr
        .replace(&*check.config.to_string_lossy(), "gateway.toml");
    assert_eq!(said, expected, "instead of\n{expected}\nit said\n{said}");
    assert_eq!((check.code, check.stdout.as_str()), (Some(1), ""));
}

const GOOD: &str = r#"
[listeners.public]
address = "127.0.0.1:0"

[policies.mark]
plugin = "headers"
config.request.set = { x-marked = "1" }

[upstreams.pets]
servers = ["http://127.0.0.1:1"]

[routes.pets]
match = "/pets"
chain = ["mark"]
upstream = "pets"
"#;

#[test]
fn a_good_file_is_good() {
    let check = check(GOOD);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""));
    let said = check
        .stdout
        .replace(&*check.config.to_string_lossy(), "gateway.toml");
    assert_eq!(
        said,
        "gateway.toml: 1 route, 1 policy, 1 plugin, 1 upstream: all is well\n"
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    refused(
        r#"[runtime]
workers = 0
drain = "5 s"
threads = 2

[admin]
address = "0.0.0.0:9900"

[listeners.public]
adress = "127.0.0.1:8080"
trusted-proxies = ["10.0.0.0/33"]

[secrets]
TOKEN = "hunter2"

[plugins.guard]
wasm = 7
limits = { cpu = "200ms", memory = "1GB" }

[plugins.nowhere]

[policies.key]
plugin = "api-kee"

[policies.marks]
plugin = "headers"
on-fault = "ajar"
instances = { calls = 0 }

[upstreams.pets]
servers = ["https://127.0.0.1:1", { url = "http://u:secret@h", weight = 0 }]
timeouts = { connect = 2 }

[routes.one]
match = "get /pets/{id}"
chain = ["marks", "mark", { policy = "key", when = {} }]
upstream = "pet"

[routes.two]
match = "/a/{b}/{b}"
upstream = "pets"

[routes.three]
match = { path = "/x", methods = [], hosts = ["a:80"] }
upstream = "pets"
split = {}

[apis.store]
base = "/"
"#,
        r#"gateway.toml:2:11: error: `runtime.workers` must be from 1 to 1024
    workers = 0
              ^
gateway.toml:3:9: error: `runtime.drain` must be a whole number and one of the units ms, s, m, h, as in "10ms"
    drain = "5 s"
            ^^^^^
gateway.toml:4:1: error: unknown key `runtime.threads`
    threads = 2
    ^^^^^^^
help: `runtime` has the keys `workers`, `connections`, `requests`, `plugin-calls`, `bodies`, `page-scan`, `drain`, `plugin-cache`, `watch`
gateway.toml:7:11: error: `admin.address` must be a loopback address
    address = "0.0.0.0:9900"
              ^^^^^^^^^^^^^^
help: anyone who reaches it sees everything: use 127.0.0.1 or [::1], and a tunnel from other machines
gateway.toml:10:1: error: unknown key `listeners.public.adress`
    adress = ****************
    ^^^^^^
help: did you mean `address`?
gateway.toml:11:20: error: `listeners.public.trusted-proxies[0]` must be an IP address or a network
    trusted-proxies = ["10.0.0.0/33"]
                       ^^^^^^^^^^^^^
help: such as "10.0.0.0/8" or "192.0.2.7"
gateway.toml:14:1: error: the value of the secret `TOKEN` must not be in this file
    TOKEN = *********
    ^^^^^
help: say where it comes from: { env = "VARIABLE" } or { file = "path" }
gateway.toml:17:8: error: `plugins.guard.wasm` must be a string such as "path", not an integer
    wasm = 7
           ^
gateway.toml:18:18: error: `limits.cpu` (200ms) is more than `limits.wall` (100ms, the default)
    limits = { cpu = "200ms", memory = "1GB" }
                     ^^^^^^^
help: `cpu` is processor time and `wall` the time on the clock, which is never less
gateway.toml:18:36: error: `plugins.guard.limits.memory` must be a whole number and one of the units B, KiB, MiB, GiB, as in "16MiB"
    limits = { cpu = "200ms", memory = "1GB" }
                                       ^^^^^
gateway.toml:20:10: error: `plugins.nowhere` has no `wasm`, and is not a bundled plugin
    [plugins.nowhere]
             ^^^^^^^
help: add `wasm = "path"`; bundled are api-key, basic-auth, concurrency-limit, cors, ext-auth, headers, http-cache, ip-allow, json-body, jwt, mock, rate-limit, redact, rewrite
gateway.toml:23:10: error: there is no plugin `api-kee`
    plugin = "api-kee"
             ^^^^^^^^^
help: did you mean `api-key`?
gateway.toml:27:12: error: `policies.marks.on-fault` must be "closed" or "open"
    on-fault = "ajar"
               ^^^^^^
gateway.toml:28:23: error: `policies.marks.instances.calls` must be from 1 to 1000000
    instances = { calls = 0 }
                          ^
gateway.toml:31:12: error: `upstreams.pets.servers[0]` must be a URL such as "http://127.0.0.1:9001": https is not supported yet, terminate TLS in front of the upstream
    servers = ["https://127.0.0.1:1", { url = *******************, weight = 0 }]
               ^^^^^^^^^^^^^^^^^^^^^
gateway.toml:31:43: error: `upstreams.pets.servers[1].url` must be a URL such as "http://127.0.0.1:9001": it cannot have a user and a password
    servers = ["https://127.0.0.1:1", { url = *******************, weight = 0 }]
                                              ^^^^^^^^^^^^^^^^^^^
gateway.toml:31:73: error: `upstreams.pets.servers[1].weight` must be from 1 to 1000
    servers = ["https://127.0.0.1:1", { url = *******************, weight = 0 }]
                                                                            ^
gateway.toml:32:24: error: `upstreams.pets.timeouts.connect` must be a string with a unit such as "10ms", not an integer
    timeouts = { connect = 2 }
                           ^
gateway.toml:35:9: error: `get` is not a method
    match = "get /pets/{id}"
            ^^^^^^^^^^^^^^^^
help: methods are written in capitals: GET
gateway.toml:36:19: error: there is no policy `mark`
    chain = ["marks", "mark", { policy = "key", when = {} }]
                      ^^^^^^
help: did you mean `marks`?
gateway.toml:36:52: error: `routes.one.chain[2].when` is empty
    chain = ["marks", "mark", { policy = "key", when = {} }]
                                                       ^^
help: without `when` the entry is for all requests
gateway.toml:37:12: error: there is no upstream `pet`
    upstream = "pet"
               ^^^^^
help: did you mean `pets`?
gateway.toml:40:9: error: the path `/a/{b}/{b}` has the parameter {b} twice
    match = "/a/{b}/{b}"
            ^^^^^^^^^^^^
gateway.toml:44:34: error: `routes.three.match.methods` is empty
    match = { path = "/x", methods = [], hosts = ["a:80"] }
                                     ^^
help: to accept any, leave it out
gateway.toml:44:47: error: `a:80`: must be a host without a port, such as `example.com`
    match = { path = "/x", methods = [], hosts = ["a:80"] }
                                                  ^^^^^^
gateway.toml:46:1: error: `routes.three.split` is not supported in this release
    split = {}
    ^^^^^
gateway.toml:49:8: error: the base `/` ends with a slash; the paths of its routes begin with one
    base = "/"
           ^^^
gateway.toml: 27 errors
"#,
    );
}

#[test]
fn what_is_not_toml_is_refused() {
    refused(
        "[listeners.p]\naddress = \"127.0.0.1:1\n[routes\n",
        "gateway.toml:2:11: error: the text that begins at 2:11 is not closed\n    \
         address = \"***.*.*.***\n              ^\nhelp: add `\"` before 2:23\n",
    );
    refused(
        "",
        "gateway.toml: error: there is no listener\n\
         help: add a section `[listeners.public]` with `address = \"0.0.0.0:8080\"`\n\
         gateway.toml: error: there is no route\n\
         help: add a section `[routes.NAME]` with `match` and `upstream`\n\
         gateway.toml: 2 errors\n",
    );
}

#[test]
fn routes_that_match_the_same_are_refused() {
    refused(
        &format!(
            "{GOOD}\n[routes.other]\nmatch = \"GET,PUT /pets\"\nupstream = \"pets\"\n\n[routes.third]\nmatch = \"PUT /pets\"\nupstream = \"pets\"\n"
        ),
        "gateway.toml:21:9: error: the routes `other` and `third` both match /pets with PUT\n    \
         [routes.third]\n            ^^^^^\n\
         note: the other one is at gateway.toml:17:9\n\
         help: make them differ, or give one of them a `priority`: the higher one wins\n",
    );
}

#[test]
fn plugins_refuse_their_own_configuration_at_its_place() {
    refused(
        &GOOD.replace(
            "config.request.set = {",
            "config.response.set = { y = 7 }\nconfig.request.sett = {",
        ),
        "gateway.toml:7:29: error: policy `mark`: config.response.set.y: value is not of type \
         \"string\"\n    config.response.set = { y = 7 }\n                                ^\n\
         gateway.toml:8:16: error: policy `mark`: config.request.sett: the plugin knows no such \
         key; did you mean `set`?\n    config.request.sett = { x-marked = *** }\n                   \
         ^^^^\ngateway.toml: 2 errors\n",
    );
}

#[test]
fn an_unreadable_file_is_said_to_be() {
    let folder = Folder::new();
    let latin = folder.write("latin.toml", b"ok = 1\nname = \"caf\xe9\"\n");
    let not_text = "error: is not UTF-8 text\n    *************\n               ^";
    for (path, why) in [
        (
            folder.path().join("nope.toml"),
            ": error: cannot be read: No such file or directory (os error 2)".to_owned(),
        ),
        (
            folder.path().to_owned(),
            ": error: cannot be read: it is not a file".to_owned(),
        ),
        (latin, format!(":2:12: {not_text}")),
    ] {
        for verb in ["check", "run"] {
            let output = Command::new(binary())
                .arg(verb)
                .arg(&path)
                .output()
                .expect("a process");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(said, format!("{}{why}\n", path.display()));
            assert_eq!(output.status.code(), Some(1));
        }
    }
}

/// Runs a configuration that cannot be served, and gives what it says.
#[track_caller]
fn cannot_run(toml: &str) -> String {
    let folder = Folder::new();
    let file = folder.write("gateway.toml", toml);
    let output = Command::new(binary())
        .arg("run")
        .arg(&file)
        .env("XDG_CACHE_HOME", target().join("test-plugin-cache"))
        .output()
        .expect("a process");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.replace(&*file.to_string_lossy(), "gateway.toml")
}

#[test]
fn a_bad_file_is_not_served_in_part() {
    let address = dead_address();
    let good = GOOD.replace("127.0.0.1:0", &address.to_string());
    let said = cannot_run(&good.replace("chain = [\"mark\"]", "chain = [\"mork\"]"));
    assert_eq!(
        said,
        "gateway.toml:14:10: error: there is no policy `mork`\n    chain = [\"mork\"]\n             \
         ^^^^^^\nhelp: did you mean `mark`?\n"
    );
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_address_in_use_is_said_to_be() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let admin = format!("{GOOD}\n[admin]\naddress = \"{address}\"\n");
    let second = format!(
        "{GOOD}\n[listeners.second]\naddress = \"{address}\"\n[admin]\naddress = \"127.0.0.1:0\"\n"
    );
    for (toml, what) in [
        (admin, "the admin listener"),
        (second, "the listener `second`"),
    ] {
        let said = cannot_run(&toml);
        let told = format!(
            "gateway.toml:18:11: error: {what} cannot listen on {address}: Address already in use \
             (os error 98)\n    address = \"{address}\"\n"
        );
        assert!(said.contains(&told), "no `{told}` in {said}");
    }
}
