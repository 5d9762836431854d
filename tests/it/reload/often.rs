//! A thousand reloads under load: no request fails, and nothing is left of those that went.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tollgate_tests::{Folder, Gateway, eventually, replace};

use super::answering;
use super::files::EndsLoad;

const RELOADS: usize = 1_000;
const WORKERS: usize = 2;
/// Of each configuration.
const POLICIES: usize = 4;
/// By then the allocator, the cache of compiled plugins and the pool's slots have what they need.
const WARM: usize = 200;
/// What the memory of the process may vary by: heaps keep some of what was freed, and slots of the pool
/// that were used keep pages. 40 KiB left behind at each reload would be as much, and the compiled code
/// of one plugin is ten times that.
const VARIES_BY_BYTES: u64 = 32 << 20;

/// One of two configurations, which differ in everything that a reload builds.
fn configuration(folder: &Folder, one: bool) -> String {
    let (name, text) = if one { ("one", "a") } else { ("two", "b") };
    let wasm = |file: &str| folder.path().join(file).display().to_string();
    let rate = if one { "1000000/s" } else { "2000000/s" };
    let mut toml = format!(
        "[runtime]\nworkers = {WORKERS}\nwatch = false\nplugin-cache = \"{}\"\n\
         [listeners.public]\naddress = \"127.0.0.1:0\"\n\
         [plugins.answer]\nwasm = \"{}\"\n[policies.answer]\nplugin = \"answer\"\n\
         [plugins.stays]\nwasm = \"{}\"\n\
         [policies.stays]\nplugin = \"stays\"\ninstances = {{ calls = 1000 }}\n\
         [policies.mark]\nplugin = \"headers\"\nconfig.response.set.x-mark = \"{text}\"\n\
         instances = {{ calls = 1000 }}\n\
         [policies.few]\nplugin = \"rate-limit\"\n\
         config = {{ per = \"all\", rate = \"{rate}\" }}\n\
         [upstreams.{name}]\nservers = [\"http://127.0.0.1:1\"]\n\
         [routes.answer]\nmatch = \"/answer\"\nchain = [\"mark\", \"few\", \"answer\"]\n\
         respond = {{ status = 404 }}\n\
         [routes.stays]\nmatch = \"/stays\"\nchain = [\"mark\", \"stays\"]\n\
         respond = {{ status = 404 }}\n",
        wasm("cache"),
        wasm("answer.wasm"),
        wasm("stays.wasm"),
    );
    for number in 0..20 {
        toml.push_str(&format!(
            "[routes.{name}-{number}]\nmatch = \"/{name}/{number}\"\nchain = [\"mark\"]\n\
             upstream = \"{name}\"\n"
        ));
    }
    toml
}

#[test]
fn nothing_is_left_of_a_thousand_reloads() {
    let folder = Folder::new();
    let files = ["v1", "v2"].map(answering);
    let wasm = folder.write("answer.wasm", &files[0]);
    folder.write("stays.wasm", answering("st"));
    let configurations = [true, false].map(|one| configuration(&folder, one));
    let gateway = Gateway::start(&configurations[0]);
    let (ended, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut warm = None;
    std::thread::scope(|scope| {
        for path in ["/answer", "/stays"] {
            let (gateway, ended, served) = (&gateway, &ended, &served);
            scope.spawn(move || {
                let mut client = gateway.client();
                while !ended.load(Ordering::SeqCst) {
                    let answer = client.get(path);
                    assert!(answer.status == 200 && answer.complete, "{answer:?}");
                    assert_eq!(answer.headers("x-mark").len(), 1, "{answer:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _end = EndsLoad(&ended);
        for number in 1..=RELOADS {
            replace(&wasm, &files[number % 2]);
            gateway.write_config(&configurations[number % 2]);
            gateway.hang_up();
            eventually(&format!("reload {number}"), || {
                (gateway.reloads("applied") == number as u64).then_some(())
            });
            if number == WARM {
                gateway.wait_for_one_gateway();
                warm = Some((gateway.descriptors(), gateway.resident()));
            }
        }
    });
    gateway.wait_for_one_gateway();
    assert!(served.load(Ordering::SeqCst) > RELOADS as u64);
    assert_eq!(gateway.metric("tollgate_plugin_faults_total", &[]), 0.0);
    assert_eq!(gateway.reloads("refused"), 0, "{}", gateway.stderr());

    // What waits are instances of the policies that are left, one for each worker at most.
    let instances = gateway.metric("tollgate_instances", &[]);
    let most = (POLICIES * WORKERS) as f64;
    assert!(instances <= most, "{instances} instances are alive");
    let metrics = gateway.metrics();
    let here = if RELOADS.is_multiple_of(2) {
        "one"
    } else {
        "two"
    };
    for name in ["one", "two"] {
        let series = metrics.contains(&format!("route=\"{name}-0\""));
        assert_eq!(series, name == here, "series of `{name}`");
    }
    let (descriptors, resident) = warm.expect("it was measured");
    // A connection is closed a moment after its client.
    eventually("as many descriptors as before", || {
        (gateway.descriptors() <= descriptors + 4).then_some(())
    });
    let grown = gateway.resident().saturating_sub(resident);
    assert!(
        grown <= VARIES_BY_BYTES,
        "memory grew from {resident} by {grown} bytes"
    );
}
