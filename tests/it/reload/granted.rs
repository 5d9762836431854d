//! What an operator takes back from a plugin is gone with the reload, or the reload is refused: no right
//! outlives the line that gave it. All of it while requests come.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tollgate_tests::{Builder, Gateway, Origin, Response, check, eventually, guest};

use super::files::EndsLoad;
use crate::reach::{asking, told};
use crate::scene::Scene;

const SECRET: (&str, &str) = ("GUEST_SECRET", "correct-horse");

/// Sends this request again and again while `reloads` runs; every answer must be whole and fit.
fn under_traffic(
    gateway: &Gateway,
    raw: &str,
    fits: impl Fn(&Response) -> bool + Sync,
    reloads: impl FnOnce(),
) {
    let (ended, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !ended.load(Ordering::SeqCst) {
                    client.send(raw);
                    let answer = client.read();
                    assert!(answer.complete && fits(&answer), "{answer:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _end = EndsLoad(&ended);
        let more = || {
            let now = served.load(Ordering::SeqCst);
            eventually("an answer", || {
                (served.load(Ordering::SeqCst) > now + 2).then_some(())
            });
        };
        more();
        reloads();
        more();
    });
}

fn request(path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut raw = format!("POST {path} HTTP/1.1\r\nhost: test.example\r\n");
    for (name, value) in headers {
        raw.push_str(&format!("{name}: {value}\r\n"));
    }
    raw + &format!("content-length: {}\r\n\r\n{body}", body.len())
}

fn start(toml: &str) -> Gateway {
    let builder: Builder = Gateway::builder().env(SECRET.0, SECRET.1);
    builder.start(toml)
}

/// A guest, its grants, and what of them is taken back.
struct Case {
    guest: &'static str,
    config: &'static str,
    /// Each with what a refusal says of it.
    grants: &'static [(&'static str, &'static str)],
}

const CASES: [Case; 4] = [
    Case {
        guest: "guest_streams",
        config: "config.name = \"one\"",
        grants: &[(
            "streams = true",
            "it exports `request-stream`, which is not granted",
        )],
    },
    Case {
        guest: "guest_reach_bodies",
        config: "config.name = \"one\"",
        grants: &[(
            "bodies = \"64KiB\"",
            "it imports `bodies`, which is not granted",
        )],
    },
    Case {
        guest: "guest_secret",
        config: "",
        grants: &[(
            "secrets = [\"GUEST_SECRET\"]",
            "it imports `secrets`, which is not granted",
        )],
    },
    Case {
        guest: "guest_reach",
        config: "",
        grants: &[
            (
                "fetch = [\"origin\"]",
                "it imports `fetch`, which is not granted",
            ),
            ("kv = true", "it imports `kv`, which is not granted"),
        ],
    },
];

#[test]
fn each_grant_that_is_taken_back_refuses_the_reload_or_goes() {
    let origin = Origin::echo();
    for case in &CASES {
        let toml = |grants: &[&str]| {
            let scene = Scene::new(&origin).with("[runtime]\nwatch = false").plugin(
                "p",
                &guest(case.guest),
                &format!("grant = {{ {} }}", grants.join(", ")),
            );
            scene.policy("q", "p", case.config).toml()
        };
        let all: Vec<&str> = case.grants.iter().map(|(grant, _)| *grant).collect();
        let gateway = start(&toml(&all));
        let raw = request(
            "/a",
            &[("x-one-in", "\"pass\""), ("x-one-out", "pass")],
            "body",
        );
        // The guest of bodies is told nothing to do.
        let raw = match case.guest {
            "guest_reach_bodies" => request("/a", &[], "body"),
            _ => raw,
        };
        under_traffic(
            &gateway,
            &raw,
            |answer| answer.status == 200,
            || {
                for (number, (taken, text)) in case.grants.iter().enumerate() {
                    let left = all.iter().copied().filter(|grant| grant != taken);
                    let less = toml(&left.collect::<Vec<_>>());
                    gateway.write_config(&less);
                    gateway.hang_up();
                    let outcome = eventually("a reload", || {
                        let refused = gateway.reloads("refused") > number as u64;
                        let other = gateway.reloads("applied") + gateway.reloads("unchanged");
                        (refused || other > 0).then_some(refused)
                    });
                    assert!(outcome, "`{taken}` was taken back, and nothing came of it");
                    gateway.wait_for_event(&["ERROR", "everything stays as it was", text]);
                    // A start says the same.
                    assert!(check(&less).stderr.contains(text), "{taken}");
                }
            },
        );
        // Without the plugin there is nothing that the right could be used by.
        let without = toml(&all).replace("chain = [\"q\"]", "chain = []");
        gateway.reload(&without);
        gateway.wait_for_one_gateway();
        assert_eq!(gateway.request(&raw).status, 200, "{}", case.guest);
        assert_eq!(
            gateway.record(|record| record["entries"] == json!([]))["status"],
            200
        );
    }
}

/// The right is smaller for the first request after the reload, with the plugin's bytes as they were.
#[test]
fn each_grant_that_is_narrowed_is_narrower_at_once() {
    let origin = Origin::echo();
    let (users, others) = (Origin::echo(), Origin::echo());
    let scene = |bodies: &str, fetch: &str, reach: &str| {
        let upstream = |name: &str, origin: &Origin| {
            format!("[upstreams.{name}]\nservers = [\"{}\"]", origin.url())
        };
        let grant = format!("grant = {{ fetch = [{fetch}], kv = true }}");
        Scene::new(&origin)
            .with("[runtime]\nwatch = false")
            .with(&upstream("users", &users))
            .with(&upstream("others", &others))
            .plugin(
                "bodies",
                &guest("guest_reach_bodies"),
                &format!("grant.bodies = \"{bodies}\""),
            )
            .plugin("reach", &guest("guest_reach"), &grant)
            .plugin("second", &guest("guest_reach"), &grant)
            .policy("bodies", "bodies", "config.name = \"one\"")
            .policy("reach", reach, "")
            .route("bodies", "/bodies", &["bodies"])
            .route("reach", "/reach", &["reach"])
            .toml()
    };
    let gateway = start(&scene("64KiB", "\"users\", \"others\"", "reach"));

    let reads = request("/bodies", &[("x-one-in", "[\"read\"]")], &"b".repeat(2_048));
    let read = || {
        let answer = gateway.request(&reads);
        let told = answer.echoed("x-one-told").concat();
        String::from_utf8_lossy(&told).into_owned()
    };
    let steps = json!([{ "fetch": { "upstream": "others" } }]);
    let asks = asking("/reach", &steps, "");
    let fetched = || told(&gateway.request(&asks)).remove(0);
    let kept = |step: &Value| told(&gateway.request(asking("/reach", step, ""))).remove(0);

    assert!(read().starts_with("2048:bb"), "{}", read());
    under_traffic(
        &gateway,
        &reads,
        |answer| answer.status == 200,
        || {
            gateway.reload(&scene("1KiB", "\"users\", \"others\"", "reach"));
            assert_eq!(read(), "too-large 1024");
        },
    );

    assert_eq!(fetched()["status"], 200);
    kept(&json!([{ "set": ["key", "value", null] }]));
    under_traffic(
        &gateway,
        &asks,
        |answer| answer.status == 200,
        || {
            gateway.reload(&scene("1KiB", "\"users\"", "reach"));
            let asked = others.requests();
            let failed = fetched();
            assert!(failed["failed"].is_string(), "{failed}");
            gateway.wait_for_one_gateway();
            let asked_before = others.requests().max(asked);
            fetched();
            assert_eq!(others.requests(), asked_before);
        },
    );

    // Another plugin has another namespace, and the same bytes.
    let get = json!([{ "get": "key" }]);
    assert_eq!(kept(&get), json!({ "ok": "value" }));
    gateway.reload(&scene("1KiB", "\"users\"", "second"));
    assert_eq!(kept(&get), json!({ "ok": null }));
    assert_eq!(gateway.reloads("applied"), 3);
}

#[test]
fn a_secret_that_becomes_another_is_the_other_at_once() {
    let origin = Origin::echo();
    let toml = |grant: &str, name: &str| {
        Scene::new(&origin)
            .with("[runtime]\nwatch = false\n[secrets]\nTHIRD = { file = \"third.txt\" }")
            .plugin(
                "keeper",
                &guest("guest_secret"),
                &format!("grant = {{ secrets = [{grant}] }}"),
            )
            .policy("kept", "keeper", &format!("config.name = \"{name}\""))
            .toml()
    };
    let gateway = Gateway::builder()
        .env("FIRST", "1")
        .env("SECOND", "22")
        .file("third.txt", "333\n")
        .start(&toml("\"FIRST\", \"SECOND\", \"THIRD\"", "FIRST"));
    let length = || gateway.get("/a").headers("x-secret-length").concat();
    assert_eq!(length(), "1");
    let raw = request("/a", &[], "");
    let fits = |answer: &Response| answer.headers("x-secret-length").len() == 1;
    under_traffic(&gateway, &raw, fits, || {
        gateway.reload(&toml("\"SECOND\", \"THIRD\"", "SECOND"));
        assert_eq!(length(), "2");
        // One that it is configured to read.
        gateway.write_config(&toml("\"THIRD\"", "SECOND"));
        gateway.hang_up_for("refused");
        gateway.wait_for_event(&["ERROR", "secret `SECOND` is not granted to this plugin"]);
        gateway.reload(&toml("\"THIRD\"", "THIRD"));
        assert_eq!(length(), "3");
        let file = gateway.config().with_file_name("third.txt");
        tollgate_tests::replace(&file, "4444");
        gateway.hang_up_for("applied");
        assert_eq!(length(), "4");
    });
}
