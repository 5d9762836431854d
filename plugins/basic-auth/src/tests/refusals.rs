//! Configurations that are refused, and what is said of them.

use serde_json::{Value, json};
use tollgate_plugin::testing;

use super::{ARGON2ID, BCRYPT, refusal};

#[test]
fn bad_configurations_are_refused_by_place() {
    let users = json!({ "alice": { "hash": BCRYPT } });
    let with = |key: &str, value: Value| json!({ "users": users, key: value });
    for (config, expected) in [
        (json!({}), "there is no user"),
        (
            json!({ "users": { "alice": {} } }),
            "users.\"alice\" has no `hash`",
        ),
        (
            json!({ "users": { "a:b": { "hash": BCRYPT } } }),
            "users.\"a:b\" has a `:`",
        ),
        (
            json!({ "users": { "": { "hash": BCRYPT } } }),
            "users.\"\" is empty",
        ),
        (
            json!({ "users": { " a": { "hash": BCRYPT } } }),
            "users.\" a\" is empty, or has",
        ),
        (
            json!({ "users": { "a\n": { "hash": BCRYPT } } }),
            "is empty, or has",
        ),
        (with("realm", json!("a\nb")), "`realm` must be"),
        (with("realm", json!("ä")), "`realm` must be"),
        (with("remember", json!("60")), "`remember`: \"60\" must be"),
        (
            with("remember", json!("61m")),
            "`remember`: \"61m\" is more than an hour",
        ),
        (
            with("remember-denied", json!("2h")),
            "`remember-denied`: \"2h\" is more than",
        ),
        (with("secret", json!("NOT_THERE")), "`secret`: "),
        (with("hash", json!("bcrypt")), "unknown field"),
        (
            json!({ "users": { "a": { "password": "x" } } }),
            "unknown field",
        ),
    ] {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn hashes_that_are_none_are_refused_and_not_shown() {
    let none = "is no hash of argon2 (`$argon2id$...`) or bcrypt (`$2b$...`)";
    let argon2 = "is a broken argon2 hash";
    let bcrypt = "is a broken bcrypt hash";
    let dear = "is an argon2 hash that costs more than any call is given";
    let cost = "is a bcrypt hash whose cost is not between 4 and 15";
    let change = |hash: &str, from: &str, to: &str| {
        assert!(hash.contains(from));
        hash.replace(from, to)
    };
    for (hash, expected) in [
        ("hunter2".into(), none),
        (String::new(), none),
        ("$apr1$hunter2$x".into(), none),
        ("{SHA}hunter2".into(), none),
        ("$2x$04$hunter2".into(), none),
        ("$argon2$hunter2".into(), none),
        ("$argon2id$hunter2".into(), argon2),
        ("$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ".into(), "broken"),
        (change(ARGON2ID, "v=19", "v=18"), argon2),
        (change(ARGON2ID, "m=64", "m=7"), argon2),
        (change(ARGON2ID, "t=2", "t=0"), argon2),
        (change(ARGON2ID, "p=1", "p=0"), argon2),
        (change(ARGON2ID, "p=1", "p=1,x=1"), argon2),
        (change(ARGON2ID, "m=64,", ""), "without `m`, `t` or `p`"),
        (
            change(ARGON2ID, "p=1", "p=1,keyid=Zm9v"),
            "is an argon2 hash with a secret key",
        ),
        (change(ARGON2ID, "m=64", "m=524289"), dear),
        (change(ARGON2ID, "t=2", "t=16385"), dear),
        (format!("{ARGON2ID}!"), argon2),
        (change(BCRYPT, "$04$", "$4$"), bcrypt),
        (change(BCRYPT, "$04$", "$+4$"), bcrypt),
        (change(BCRYPT, "$04$", "$xx$"), bcrypt),
        (change(BCRYPT, "$04$", "$03$"), cost),
        (change(BCRYPT, "$04$", "$16$"), cost),
        (BCRYPT[..59].into(), bcrypt),
        (format!("{BCRYPT}x"), bcrypt),
        (format!("{BCRYPT}$"), bcrypt),
        (change(BCRYPT, "$I0", "$I!"), bcrypt),
        (change(BCRYPT, "$I0", "$ä"), bcrypt),
        ("$2b$04".into(), bcrypt),
        ("$2b$04$ääääääääääääääääääääääääääääää".into(), bcrypt),
    ] {
        let text = refusal(json!({ "users": { "bob": { "hash": hash } } }));
        assert!(text.starts_with("users.\"bob\".hash is "), "{text}");
        assert!(text.contains(expected), "{hash}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn lines_of_a_secret_are_refused_by_number() {
    for (line, expected) in [
        ("hunter2".into(), "must be `user:hash`"),
        (
            "bob:hunter2".into(),
            "is no hash of argon2 (`$argon2id$...`) or bcrypt (`$2b$...`)",
        ),
        (
            ":hunter2".into(),
            "has a user that is empty, or has control characters or blanks around it",
        ),
        (
            "bob :hunter2".into(),
            "has a user that is empty, or has control characters or blanks around it",
        ),
        (
            format!("alice:{ARGON2ID}"),
            "and users.\"alice\".hash are hashes of one user",
        ),
    ] {
        testing::secret("BAD", format!("# users\n\n{line}\n"));
        let config = json!({
            "secret": "BAD",
            "users": { "alice": { "hash": BCRYPT } },
        });
        assert_eq!(
            refusal(config),
            format!("secret `BAD`, line 3, {expected}"),
            "{line}"
        );
    }
    testing::secret("TWICE", format!("bob:{BCRYPT}\nbob:{BCRYPT}\n"));
    assert_eq!(
        refusal(json!({ "secret": "TWICE" })),
        "secret `TWICE`, line 2, and secret `TWICE`, line 1, are hashes of one user"
    );
    testing::secret("BINARY", b"bob:\xff");
    let text = refusal(json!({ "secret": "BINARY" }));
    assert!(text.starts_with("`secret`: invalid utf-8"), "{text}");
}
