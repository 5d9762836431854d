//! Secrets: they reach the plugins that are granted them, and no log, no error and no file.

use tollgate_tests::{Folder, Gateway, Origin, check, guest};

use crate::loading::assert_refused;
use crate::scene::Scene;

const SECRET: &str = "correct-horse-battery-staple-7391";

fn keeper(origin: &Origin) -> Scene {
    Scene::new(origin)
        .plugin(
            "keeper",
            &guest("guest_secret"),
            "grant = { secrets = [\"GUEST_SECRET\"] }",
        )
        .policy("kept", "keeper", "")
}

#[test]
fn an_import_that_is_not_granted_is_named_with_the_line_to_add() {
    let toml = Scene::unserved()
        .plugin("keeper", &guest("guest_secret"), "")
        .policy("kept", "keeper", "")
        .toml();
    let texts = [
        "plugin `keeper` does not load: it imports `secrets`, which is not granted",
        "add `grant = { secrets = [\"NAME\"] }`",
    ];
    assert_refused(&check(&toml), &toml, "keeper]", &texts);
}

#[test]
fn a_secret_reaches_its_plugin_and_nothing_else() {
    let origin = Origin::echo();
    let folder = Folder::new();
    let cache = folder.path().join("cache");
    let toml = keeper(&origin)
        .hostile("")
        // Stands in memory as the secret does: what is searched for can be found.
        .policy(
            "control",
            "hostile",
            "config = { plugin = \"an-uncommon-word-5520\" }",
        )
        .with(&format!(
            "[runtime]\nplugin-cache = \"{}\"",
            cache.display()
        ))
        .toml();
    for _start in 0..2 {
        let mut gateway = Gateway::builder().env("GUEST_SECRET", SECRET).start(&toml);
        let response = gateway.get("/a");
        assert_eq!(
            response.headers("x-secret-length"),
            [SECRET.len().to_string()]
        );
        assert_eq!(
            response.echoed("x-secret-length"),
            [SECRET.len().to_string().as_bytes()]
        );
        let metrics = gateway.metrics();
        assert!(gateway.stop().success());
        for text in [gateway.stderr(), gateway.stdout(), metrics] {
            assert!(!text.contains(SECRET), "{text}");
        }
    }
    let mut found_control = false;
    for entry in std::fs::read_dir(&cache).expect("the cache").flatten() {
        let bytes = std::fs::read(entry.path()).expect("an entry");
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(!has(SECRET), "the secret is in {}", entry.path().display());
        found_control |= has("an-uncommon-word-5520");
    }
    assert!(found_control, "no snapshot was kept");
}

#[test]
fn a_changed_secret_makes_another_snapshot() {
    let origin = Origin::echo();
    let toml = keeper(&origin)
        .with("[secrets]\nGUEST_SECRET = { file = \"secret.txt\" }")
        .toml();
    for (written, length) in [("short\n", "5"), ("a longer one", "12"), ("two\n\n", "4")] {
        let gateway = Gateway::builder().file("secret.txt", written).start(&toml);
        assert_eq!(gateway.get("/a").headers("x-secret-length"), [length]);
    }
}

#[test]
fn a_secret_that_is_missing_is_named() {
    let origin = Origin::echo();
    let toml = keeper(&origin).toml();
    let missing = "secret `GUEST_SECRET`: the environment variable GUEST_SECRET is not set";
    assert_refused(&check(&toml), &toml, "keeper]", &[missing]);

    let toml = keeper(&origin)
        .with("[secrets]\nGUEST_SECRET = { env = \"OTHER_NAME\" }")
        .toml();
    let missing = "secret `GUEST_SECRET`: the environment variable OTHER_NAME is not set";
    assert_refused(&check(&toml), &toml, "keeper]", &[missing]);

    let toml = keeper(&origin)
        .with("[secrets]\nGUEST_SECRET = { file = \"no/such.txt\" }")
        .toml();
    assert_refused(
        &check(&toml),
        &toml,
        "keeper]",
        &["secret `GUEST_SECRET`: ", "no/such.txt"],
    );

    // Another one than the guest asks for.
    let toml = keeper(&origin)
        .policy("asks", "keeper", "config = { name = \"OTHER\" }")
        .toml();
    let check = Gateway::builder()
        .env("GUEST_SECRET", SECRET)
        .env("OTHER", SECRET)
        .check(&toml);
    assert_refused(
        &check,
        &toml,
        "{ name",
        &["secret `OTHER` is not granted to this plugin"],
    );
    assert!(!check.stderr.contains(SECRET));
}

#[test]
fn a_key_in_the_place_of_its_hash_is_in_no_message() {
    let toml = Scene::unserved()
        .policy(
            "keys",
            "api-key",
            &format!("config.consumers.alice.sha256 = [\"{SECRET}\"]"),
        )
        .toml();
    let check = check(&toml);
    assert_eq!(check.code, Some(1));
    assert!(
        check.stderr.contains("must be the SHA-256 of a key"),
        "{}",
        check.stderr
    );
    assert!(!check.stderr.contains(SECRET), "{}", check.stderr);
}
