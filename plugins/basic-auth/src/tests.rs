use std::time::Duration;

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use tollgate_plugin::{Authorizer, Decision, Grant, Request, Verdict, testing};

use super::BasicAuth;

mod refusals;

// Made with argon2-cffi 25.1 and bcrypt 5.0 of PyPI, so that they hold us to the algorithms.
const ARGON2ID: &str = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$aBHmIFTZt0HJwwVnRYjEr566dndW2HKobIZaqmjadD4";
const ARGON2I: &str =
    "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$Cvg530YBOlOGxvdnDnDQwJMcQ8117cPbq6ng3lowOSE";
const ARGON2D: &str =
    "$argon2d$v=19$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$0kDWT2/vXARj4+IjuNi29+b8/6/Y62/YwDuDao2zN5s";
const ARGON2I_OLD: &str =
    "$argon2i$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$Pd9+4sYKpE6RcI4zWe3j9sJVw6wtYtD3+4vHxrvfGMY";
const BCRYPT: &str = "$2b$04$I0BjUrD00OGAi149g8eRcO6VsSX7MxGaBc8Nw8ha8.y43HbtQQsiq";
const BCRYPT_5: &str = "$2b$05$yTf17w2854kwTdSHj0jEkeYuNfPweioX/1lMt5hGEC9w1ztnYktH.";
/// Of `päss wörd:x`, with four lanes and 24 bytes.
const ARGON2ID_OTHER: &str =
    "$argon2id$v=19$m=128,t=1,p=4$c29tZXNhbHQxMjM0NTY3OA$ZdOTEJ4oNuslb/zQZQBmQQcPZ+eDRZ3i";
const BCRYPT_OTHER: &str = "$2a$04$8UY10B6R.rdfX8ISm5n2.ukWlzSQ26y.wc7H/2aH5SO9ZY8t/2ESK";
const BCRYPT_EMPTY: &str = "$2b$04$vpOG5yGlGYGgohJ8abBk0OY4adBfEDaOT8D0wlnRFRKir33fi8NqK";
/// Of 71 and of 72 times `x`.
const BCRYPT_71: &str = "$2b$04$T08/wjf.3B3cz7QRARpWr.pKXJV9.XU2Ht8Cil/FTn1fM93ONm/kG";
const BCRYPT_72: &str = "$2b$04$vS6zkvGeAoVscpyj14GjHu3aB37EWjS3ZIgxcaRW6TuaF2NfnNRmG";

fn plugin(config: Value) -> BasicAuth {
    testing::configure(config).unwrap()
}

fn refusal(config: Value) -> String {
    match testing::configure::<BasicAuth>(config) {
        Ok(_) => panic!("this configuration must be refused"),
        Err(error) => error.to_string(),
    }
}

/// A plugin that knows `alice`, by this hash.
fn alice(hash: &str) -> BasicAuth {
    plugin(json!({ "users": { "alice": { "hash": hash } } }))
}

fn field(credentials: impl AsRef<[u8]>) -> Vec<u8> {
    let token = Base64::encode_string(credentials.as_ref());
    format!("Basic {token}").into_bytes()
}

fn decision(plugin: &BasicAuth, fields: &[&[u8]]) -> Decision {
    let request = fields
        .iter()
        .fold(testing::request("GET", "/pets"), |request, field| {
            request.header("Authorization", field)
        });
    decide(plugin, &request.build())
}

fn decide(plugin: &BasicAuth, request: &Request) -> Decision {
    plugin.authorize(request).unwrap()
}

/// What was granted, or the detail of a denial.
fn outcome(decision: Decision) -> Result<Grant, String> {
    match decision.verdict {
        Verdict::Allow(grant) => Ok(grant),
        Verdict::Deny(reply) => {
            assert_eq!(reply.status, 401);
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            Err(body["detail"].as_str().unwrap().to_owned())
        }
    }
}

fn shows(plugin: &BasicAuth, credentials: impl AsRef<[u8]>) -> Result<String, String> {
    let field = field(credentials);
    outcome(decision(plugin, &[&field])).map(|grant| grant.principal)
}

const WRONG: &str = "this user with this password is not known";
const MISSING: &str = "a user and a password are needed, as the scheme Basic has them";

#[test]
fn each_kind_of_hash_knows_its_password() {
    let short = BCRYPT.replace("$2b$", "$2y$");
    for (hash, password) in [
        (ARGON2ID, "wonderland"),
        (ARGON2I, "wonderland"),
        (ARGON2D, "wonderland"),
        (ARGON2I_OLD, "wonderland"),
        (ARGON2ID_OTHER, "päss wörd:x"),
        (BCRYPT, "wonderland"),
        (BCRYPT_5, "wonderland"),
        (&BCRYPT.replace("$2b$", "$2a$"), "wonderland"),
        (&short, "wonderland"),
        (BCRYPT_OTHER, "päss wörd:x"),
        (BCRYPT_EMPTY, ""),
        (BCRYPT_71, &"x".repeat(71)),
        (BCRYPT_72, &"x".repeat(72)),
    ] {
        let plugin = alice(hash);
        assert_eq!(
            shows(&plugin, format!("alice:{password}")).as_deref(),
            Ok("alice"),
            "{hash}"
        );
        for wrong in [
            format!("alice:{password} "),
            format!("alice:{password}x"),
            format!("alice:{hash}"),
            "alice:Wonderland".into(),
            "alice:wonderlan".into(),
            format!("Alice:{password}"),
            format!("alice :{password}"),
            format!(":{password}"),
            format!("bob:{password}"),
        ] {
            assert_eq!(
                shows(&plugin, &wrong).unwrap_err(),
                WRONG,
                "{hash} {wrong:?}"
            );
        }
    }
}

/// The last character of a salt holds two bits of it; some programs leave anything in the others.
#[test]
fn bits_that_bcrypt_does_not_read_may_be_anything() {
    let (salt, hash) = BCRYPT.split_at(29);
    assert!(salt.ends_with('O'));
    for last in ['P', 'Z', 'c', 'd'] {
        let hash = format!("{}{last}{hash}", salt.strip_suffix('O').unwrap());
        assert_eq!(
            shows(&alice(&hash), "alice:wonderland").as_deref(),
            Ok("alice")
        );
    }
}

#[test]
fn what_is_no_user_and_password_is_told_what_is_needed() {
    let plugin = alice(BCRYPT);
    let good = field("alice:wonderland");
    let token = Base64::encode_string(b"alice:wonderland");
    let with = |prefix: &str, suffix: &str| format!("{prefix}{token}{suffix}").into_bytes();
    for allowed in [
        good.clone(),
        with("basic ", ""),
        with("BASIC ", ""),
        with("Basic   ", ""),
        with("Basic ", " "),
    ] {
        assert!(decision(&plugin, &[&allowed]).is_allowed(), "{allowed:?}");
    }
    let unpadded = field("alice:wonderlan!");
    assert!(unpadded.ends_with(b"=="));
    let fields: Vec<Vec<u8>> = vec![
        b"".into(),
        b"Basic".into(),
        b"Basic ".into(),
        with("Bearer ", ""),
        with("Basic\t", ""),
        with("Basic", ""),
        with("Basic ", " x"),
        with("Basic ", ","),
        with("Basic =", ""),
        with("", ""),
        b"Basic alice:wonderland".into(),
        unpadded[..unpadded.len() - 2].into(),
        field("alicewonderland"),
        field(b"alice:caf\xe9"),
        field("alice:wonder\nland"),
        field("alice:wonderland\0"),
        field("al\u{7f}ice:wonderland"),
        field("alice:\u{85}"),
        field(format!("alice:{}", "x".repeat(2048))),
        b"Basic \xff".into(),
    ];
    for field in &fields {
        let decision = decision(&plugin, &[field]);
        assert_eq!(decision.remember, None);
        assert_eq!(outcome(decision).unwrap_err(), MISSING, "{field:?}");
    }
    assert_eq!(outcome(decision(&plugin, &[])).unwrap_err(), MISSING);
    let twice = decision(&plugin, &[&good, &good]);
    assert_eq!(outcome(twice).unwrap_err(), MISSING);
}

#[test]
fn refusals_name_scheme_realm_and_charset() {
    for (config, expected) in [
        (json!({}), "Basic realm=\"tollgate\", charset=\"UTF-8\""),
        (
            json!({ "realm": "the \"back\\office\"" }),
            r#"Basic realm="the \"back\\office\"", charset="UTF-8""#,
        ),
        (
            json!({ "realm": "" }),
            "Basic realm=\"\", charset=\"UTF-8\"",
        ),
    ] {
        let mut config = config;
        config["users"] = json!({ "alice": { "hash": BCRYPT } });
        let plugin = plugin(config);
        for credentials in ["alice:no", "alice"] {
            let decision = decision(&plugin, &[&field(credentials)]);
            let Verdict::Deny(reply) = decision.verdict else {
                panic!("this must be refused");
            };
            let has = |name: &str, value: &str| {
                let header = (name.to_owned(), value.as_bytes().to_vec());
                assert!(reply.headers.contains(&header), "{:?}", reply.headers);
            };
            has("www-authenticate", expected);
            has("content-type", "application/problem+json");
        }
    }
}

#[test]
fn a_user_has_claims_and_a_usage_key() {
    let plugin = plugin(json!({ "users": {
        "alice": {
            "hash": BCRYPT,
            "claims": { "tier": "gold", "seats": 3 },
            "usage-key": "acme",
        },
        "bob": { "hash": ARGON2ID },
    }}));
    let grant = outcome(decision(&plugin, &[&field("alice:wonderland")])).unwrap();
    assert_eq!(grant.principal, "alice");
    assert_eq!(grant.usage_key.as_deref(), Some("acme"));
    assert_eq!(
        grant.claims,
        [("seats".into(), json!(3)), ("tier".into(), json!("gold"))]
    );
    let grant = outcome(decision(&plugin, &[&field("bob:wonderland")])).unwrap();
    assert_eq!((grant.usage_key, grant.claims), (None, vec![]));
}

#[test]
fn decisions_that_cost_a_hash_are_remembered() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (config, allowed, denied) in [
        (json!({}), seconds(60), seconds(10)),
        (
            json!({ "remember": "1h", "remember-denied": "500ms" }),
            seconds(3600),
            Some(Duration::from_millis(500)),
        ),
        (
            json!({ "remember": "0s", "remember-denied": "0ms" }),
            None,
            None,
        ),
        (json!({ "remember": "2m" }), seconds(120), seconds(10)),
    ] {
        let mut config = config;
        config["users"] = json!({ "alice": { "hash": BCRYPT } });
        let plugin = plugin(config);
        let remember = |credentials| decision(&plugin, &[&field(credentials)]).remember;
        assert_eq!(remember("alice:wonderland"), allowed);
        assert_eq!(remember("alice:other"), denied);
        assert_eq!(remember("bob:wonderland"), denied);
    }
}

#[test]
fn a_secret_adds_users_and_hashes() {
    testing::secret(
        "USERS",
        format!("\u{feff}# staff\r\n\r\nalice:{BCRYPT}\r\n  bøb b:{ARGON2ID} \n"),
    );
    let plugin = plugin(json!({
        "secret": "USERS",
        "users": {
            "alice": { "claims": { "tier": "gold" } },
            "carol": { "hash": ARGON2I },
        },
    }));
    let grant = outcome(decision(&plugin, &[&field("alice:wonderland")])).unwrap();
    assert_eq!(grant.claims, [("tier".into(), json!("gold"))]);
    for user in ["bøb b", "carol"] {
        assert_eq!(
            shows(&plugin, format!("{user}:wonderland")).as_deref(),
            Ok(user)
        );
    }
}

/// The one hash that is computed for somebody unknown is that of one known user, always the same, and
/// over many names of each of them.
#[test]
fn somebody_unknown_costs_what_somebody_known_costs() {
    let users = json!({
        "alice": { "hash": BCRYPT },
        "bob": { "hash": ARGON2ID },
        "carol": { "hash": BCRYPT_5 },
    });
    let first = plugin(json!({ "users": users }));
    let again = plugin(json!({ "users": users }));
    let decoy = |plugin: &BasicAuth, name: &str| {
        let known = plugin.decoy(name).unwrap();
        known.grant.principal.clone()
    };
    let mut drawn = std::collections::BTreeMap::new();
    for number in 0..300 {
        let name = format!("user-{number}");
        let known = decoy(&first, &name);
        assert_eq!(decoy(&first, &name), known);
        assert_eq!(decoy(&again, &name), known);
        *drawn.entry(known).or_insert(0) += 1;
    }
    assert_eq!(drawn.len(), 3);
    assert!(drawn.values().all(|count| *count > 60), "{drawn:?}");
    // Another hash of one user, and it cannot be told for whom the others stand.
    let other = plugin(json!({ "users": {
        "alice": { "hash": BCRYPT_OTHER },
        "bob": { "hash": ARGON2ID },
        "carol": { "hash": BCRYPT_5 },
    } }));
    let names = (0..300).map(|number| format!("user-{number}"));
    let moved = names.filter(|name| decoy(&first, name) != decoy(&other, name));
    assert!(moved.count() > 100);
    // Their own passwords do not let them in under another name.
    assert_eq!(shows(&first, "user-1:wonderland").unwrap_err(), WRONG);
}
