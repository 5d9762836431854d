//! What the process takes altogether: held against the machine at the start, and never exceeded later.

use std::process::{Command, Stdio};

use tollgate_tests::{Folder, Gateway, binary, check};

const ONE: &str = "[listeners.public]\naddress = \"127.0.0.1:0\"\n\
                   [routes.a]\nmatch = \"/a\"\nrespond = { status = 204 }\n";

/// Runs `tollgate check` under a limit of the shell's; answers whether all is well, and what was said.
fn check_under(limit: &str, toml: &str) -> (bool, String) {
    let folder = Folder::new();
    let config = folder.write("gateway.toml", toml);
    let line = format!(
        "ulimit {limit} && exec '{}' check '{}'",
        binary().display(),
        config.display()
    );
    let output = Command::new("sh")
        .args(["-c", &line])
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn more_instances_than_there_are_addresses_for() {
    let said = check(&format!(
        "[runtime]\nworkers = 64\nplugin-calls = 16384\n{ONE}"
    ));
    assert_eq!(said.code, Some(1), "{said:?}");
    for text in [
        "for 16384 plugin instances at work",
        "there are for it: 86016 GiB",
        "Lower `runtime.plugin-calls`",
    ] {
        assert!(said.stderr.contains(text), "no `{text}` in {}", said.stderr);
    }
}

#[test]
fn fewer_addresses_than_the_pool_needs() {
    let (ok, text) = check_under("-v 100000000", ONE);
    assert!(
        !ok && text.contains("may have (`ulimit -v`): 95 GiB"),
        "{text}"
    );
}

#[test]
fn fewer_open_files_than_are_needed() {
    let mut toml = ONE.to_owned();
    for number in 0..20 {
        toml.push_str(&format!(
            "[policies.p{number}]\nplugin = \"headers\"\nconfig.response.set.x-a = \"a\"\n"
        ));
    }
    let (ok, text) = check_under("-n 80", &toml);
    let needed = "20 policies of 1 plugins need up to 106 open files, and the process may have 80";
    assert!(!ok && text.contains(needed), "{text}");
    // Enough for the policies, and not for all connections.
    let (ok, text) = check_under("-n 1000", &toml);
    assert!(ok, "{text}");
    assert!(
        text.contains("WARN") && text.contains("raise `ulimit -n`"),
        "{text}"
    );
}

/// The kernel's usual count of mappings is less than this pool may need.
#[test]
fn fewer_mappings_than_slots_may_need() {
    let count = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("Linux");
    let allowed: u64 = count.trim().parse().expect("a number");
    let said = check(&format!(
        "[runtime]\nworkers = 64\nplugin-calls = 6144\n{ONE}"
    ));
    assert!(said.ok, "{said:?}");
    // (6144 at work + 2048 that wait + threads) x 2 + 4096 for policies, three each, and the rest.
    let few = allowed < 65_926;
    assert_eq!(said.stderr.contains("vm.max_map_count"), few, "{said:?}");
    assert!(!check(ONE).stderr.contains("vm.max_map_count"));
}

#[test]
fn the_bound_of_what_slots_keep_is_said() {
    let gateway = Gateway::builder().env("TOLLGATE_LOG", "debug").start(ONE);
    let line = gateway.wait_for_log(" plugin calls at once, and ");
    let kept = line.split_once(" at most ").and_then(|(_, rest)| {
        let (number, _) = rest.split_once(" MiB ")?;
        number.parse::<u64>().ok()
    });
    assert!(matches!(kept, Some(1..)), "{line}");
    // It is for whoever plans a machine, and says nothing to others.
    let gateway = Gateway::start(ONE);
    assert!(!gateway.stderr().contains("MiB"), "{}", gateway.stderr());
}

/// Instances that wait have places of the process, however many policies a reload brings: what finds
/// none is dropped, and no call fails for it.
#[test]
fn instances_that_wait_are_bounded_over_reloads() {
    const POLICIES: usize = 200;
    let mut toml = "[runtime]\nwatch = false\nworkers = 1\n\
                    [listeners.public]\naddress = \"127.0.0.1:0\"\n"
        .to_owned();
    let start = toml.clone() + "[routes.a]\nmatch = \"/a\"\nrespond = { status = 204 }\n";
    for number in 0..POLICIES {
        toml.push_str(&format!(
            "[policies.p{number}]\nplugin = \"headers\"\nconfig.response.set.x-a = \"a\"\n\
             instances = {{ calls = 1000 }}\n\
             [routes.r{number}]\nmatch = \"/{number}\"\nchain = [\"p{number}\"]\n\
             respond = {{ status = 204 }}\n"
        ));
    }
    let gateway = Gateway::builder()
        .env("TOLLGATE_LOG", "debug")
        .start(&start);
    let line = gateway.wait_for_log(" plugin calls at once, and ");
    // One thread, and room for 64 policies.
    assert!(line.contains(" and 64 instances that wait"), "{line}");
    gateway.reload(&toml);
    let mut client = gateway.client();
    for _ in 0..2 {
        for number in 0..POLICIES {
            let answer = client.get(&format!("/{number}"));
            assert_eq!(answer.headers("x-a"), ["a"], "{answer:?}");
        }
    }
    assert_eq!(gateway.metric("tollgate_instances", &[]), 64.0);
    // They are configured alike, so that they share one snapshot, which holds a descriptor.
    let descriptors = gateway.descriptors();
    assert!(descriptors < POLICIES, "{descriptors} descriptors");
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &[]), 0.0);
    // Those of policies that are gone leave their places.
    gateway.reload(&start);
    gateway.wait_for_one_gateway();
    assert_eq!(gateway.metric("tollgate_instances", &[]), 0.0);
}
