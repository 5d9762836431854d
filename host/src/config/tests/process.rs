//! `[runtime]`, `[admin]`, `[listeners]`, `[secrets]`.

use std::time::Duration;

use super::*;

#[test]
fn reads_the_process() {
    let config = good();
    assert_eq!(config.runtime.workers, 3);
    assert_eq!(
        config.runtime.plugin_cache,
        PluginCache::Folder("folder/cache".into())
    );
    assert_eq!(config.runtime.connections, 1_000);
    assert_eq!(config.runtime.requests, 16);
    assert_eq!(config.runtime.plugin_calls, 7);
    assert_eq!(config.runtime.bodies, 20 << 20);
    assert!(!config.runtime.page_scan);
    assert_eq!(config.runtime.drain, Duration::ZERO);
    assert!(!config.runtime.watch);
    assert_eq!(config.admin.address.to_string(), "[::1]:9901");
    let names: Vec<_> = config
        .listeners
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["public", "any"]);
    let proxies: Vec<_> = config.listeners[0]
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(
        config.secrets["GEO_TOKEN"],
        SecretSource::Environment("GEO".into())
    );
    assert_eq!(
        config.secrets["KEY"],
        SecretSource::File("folder/key.txt".into())
    );
}

#[test]
fn what_is_expected_of_clients() {
    let written =
        "listeners.b = { address = \"[::]:1\", least-pace = \"0B\", half-closed = \"1h\" }";
    let config = read(&format!("{written}\n{LEAST}")).expect("a configuration");
    let mut expected: Vec<_> = config
        .listeners
        .iter()
        .map(|one| (one.least_pace, one.half_closed))
        .collect();
    expected.sort();
    assert_eq!(
        expected,
        [
            (0, Duration::from_secs(3_600)),
            (240, Duration::from_secs(3))
        ]
    );
}

#[test]
fn knows_where_the_process_is_written() {
    let config = good();
    let at = |key: &str| {
        let place = config.places.get(key);
        place.map(|place| &config.source.text[place.start..place.end])
    };
    assert_eq!(at("runtime.workers"), Some("3"));
    assert_eq!(at("admin.address"), Some("\"[::1]:9901\""));
    assert_eq!(at("listeners.public"), Some("public"));
    assert_eq!(at("listeners.any.address"), Some("\"127.0.0.1:0\""));
    assert_eq!(at("store.cache"), Some("\"32MiB\""));
    assert_eq!(at("listeners.gone"), None);
}

#[test]
fn types_and_ranges() {
    added(
        "runtime = 1",
        "`runtime` must be a table such as [runtime], not an integer",
    );
    added(
        "runtime.workers = \"4\"",
        "must be an integer from 1 to 1024, not a string",
    );
    added(
        "runtime.workers = 1025",
        "`runtime.workers` must be from 1 to 1024",
    );
    added("runtime.workers = -1", "must be from 1 to 1024");
    added(
        "runtime.workers = 99999999999999999999999",
        "must be from 1 to 1024",
    );
    added(
        "runtime.plugin-cache = true",
        "cannot be true; leave it out",
    );
    added(
        "runtime.bodies = \"15MiB\"",
        "`runtime.bodies` must be from 16MiB to ",
    );
    added(
        "runtime.page-scan = 0",
        "must be true or false, not an integer",
    );
    added(
        "runtime.drain = 5",
        "must be a string with a unit such as \"10ms\", not an integer",
    );
    for bad in ["", "5", "5 s", "s", "1.5s", "-1s", "5S", "5MiB", "٣s"] {
        added(
            &format!("runtime.drain = \"{bad}\""),
            "units ms, s, m, h, as in \"10ms\"",
        );
    }
    added(
        "runtime.drain = \"99999999999999999999h\"",
        "must be a smaller number",
    );
    added(
        "runtime.drain = \"9999999999999999h\"",
        "must be a smaller number",
    );
    added(
        "runtime.drain = \"3601s\"",
        "`runtime.drain` must be from 0ms to 1h",
    );
    let name = "n".repeat(65);
    added(
        &format!("listeners.{name}.address = \"[::]:1\""),
        "cannot be a name",
    );
}

#[test]
fn addresses() {
    added(
        "listeners.b.address = \"localhost:1\"",
        "must be an IP address and a port; such as",
    );
    added(
        "listeners.b.address = \"127.0.0.1:1\"",
        "127.0.0.1:1 is already the address of `listeners.",
    );
    added(
        "listeners.b.address = \"127.0.0.1:9900\"",
        "is already the address of `admin`",
    );
    added(
        "admin.address = \"0.0.0.0:1\"",
        "`admin.address` must be a loopback address",
    );
    added(
        "listeners.b = { address = \"[::]:1\", trusted-proxies = [\"x\"] }",
        "an IP address or a network",
    );
    added(
        "listeners.b = { address = \"[::]:1\", least-pace = \"2MiB\" }",
        "`listeners.b.least-pace` must be from 0B to 1MiB",
    );
    added(
        "listeners.b = { address = \"[::]:1\", half-closed = \"2h\" }",
        "`listeners.b.half-closed` must be from 0ms to 1h",
    );
    let two = "listeners.b.address = \"127.0.0.1:0\"\nlisteners.c.address = \"127.0.0.1:0\"\n";
    assert!(read(&format!("{two}{LEAST}")).is_ok());
}
