use serde_json::{Value, json};
use tollgate_plugin::{Authorizer, Grant, Reply, Request, Verdict, testing};

use super::{ApiKey, KEY_BYTES_MAX};

// `printf %s wonderland | sha256sum`, and so on: made outside, so that they hold us to SHA-256.
const WONDERLAND: &str = "a71a7c7011f53a1bab3642ec2ce12593f05230ace8de1e3e7645f69efac1443d";
const LOOKING_GLASS: &str = "0439204aab443a19e12edaad386ac1728f5027fb70c7ac2505f771769dfe9791";
const BUILDER: &str = "df6b07176a9b17cc4c9afc257bd404732e7d09b76436c7890f7b7be14e579794";

fn plugin(config: Value) -> ApiKey {
    testing::configure(config).unwrap()
}

fn refusal(config: Value) -> String {
    match testing::configure::<ApiKey>(config) {
        Ok(_) => panic!("this configuration must be refused"),
        Err(error) => error.to_string(),
    }
}

fn granted(plugin: &ApiKey, request: &Request) -> Option<Grant> {
    match plugin.authorize(request).unwrap().verdict {
        Verdict::Allow(grant) => Some(grant),
        Verdict::Deny(reply) => {
            assert_eq!(reply.status, 401);
            let has =
                |name: &str, value: &str| reply.headers.contains(&(name.into(), value.into()));
            assert!(has("www-authenticate", "ApiKey realm=\"tollgate\""));
            assert!(has("content-type", "application/problem+json"));
            None
        }
    }
}

fn principal(plugin: &ApiKey, keys: &[&[u8]]) -> Option<String> {
    let request = testing::request("GET", "/pets?key=wonderland");
    let request = keys
        .iter()
        .fold(request, |request, key| request.header("X-Api-Key", key));
    Some(granted(plugin, &request.build())?.principal)
}

fn queried(plugin: &ApiKey, target: &str) -> Option<String> {
    let request = testing::request("GET", target).header("x-api-key", "wonderland");
    Some(granted(plugin, &request.build())?.principal)
}

#[test]
fn a_known_key_names_its_consumer() {
    let plugin = plugin(json!({ "consumers": {
        "alice": {
            "sha256": [WONDERLAND, LOOKING_GLASS.to_uppercase()],
            "claims": { "tier": "gold", "seats": 3 },
            "usage-key": "acme",
        },
        "bob": { "sha256": [BUILDER] },
    }}));
    let request = testing::request("GET", "/")
        .header("x-api-key", "wonderland")
        .build();
    let grant = granted(&plugin, &request).unwrap();
    assert_eq!(grant.principal, "alice");
    assert_eq!(grant.usage_key.as_deref(), Some("acme"));
    assert_eq!(
        grant.claims,
        [("seats".into(), json!(3)), ("tier".into(), json!("gold"))]
    );
    assert_eq!(
        principal(&plugin, &[b"looking glass"]).as_deref(),
        Some("alice")
    );
    let request = testing::request("GET", "/")
        .header("x-api-key", "builder")
        .build();
    let grant = granted(&plugin, &request).unwrap();
    assert_eq!(
        (grant.principal.as_str(), grant.usage_key, grant.claims),
        ("bob", None, vec![])
    );
}

#[test]
fn anything_else_is_refused() {
    let plugin = plugin(json!({ "consumers": { "alice": { "sha256": [WONDERLAND] } } }));
    assert_eq!(principal(&plugin, &[]), None);
    assert_eq!(principal(&plugin, &[b""]), None);
    assert_eq!(principal(&plugin, &[b"Wonderland"]), None);
    assert_eq!(principal(&plugin, &[b"wonderland "]), None);
    assert_eq!(principal(&plugin, &[WONDERLAND.as_bytes()]), None);
    assert_eq!(principal(&plugin, &[b"\xff\x00"]), None);
    assert_eq!(principal(&plugin, &[b"wonderland", b"wonderland"]), None);
    assert_eq!(principal(&plugin, &[b"wonderland, wonderland"]), None);
}

#[test]
fn what_is_refused_says_why_without_the_key() {
    let plugin = plugin(json!({ "consumers": { "alice": { "sha256": [WONDERLAND] } } }));
    let detail = |reply: &Reply| {
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        body["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        detail(&plugin.missing),
        "exactly one API key is needed, in the header field `x-api-key`"
    );
    assert_eq!(detail(&plugin.unknown), "this API key is not known");
}

#[test]
fn a_key_has_at_most_512_bytes() {
    let [fits, too_long] = [KEY_BYTES_MAX, KEY_BYTES_MAX + 1].map(|length| vec![b'k'; length]);
    let hashes = [&fits, &too_long].map(|key| hex(&tollgate_plugin::crypto::sha256(key)));
    let plugin = plugin(json!({ "consumers": { "alice": { "sha256": hashes } } }));
    assert_eq!(principal(&plugin, &[&fits]).as_deref(), Some("alice"));
    assert_eq!(principal(&plugin, &[&too_long]), None);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn equal_beginnings_of_digests_are_told_apart() {
    let mut near = WONDERLAND.to_owned();
    let other = if near.ends_with('0') { "1" } else { "0" };
    near.replace_range(63.., other);
    let plugin = plugin(json!({ "consumers": {
        "aaa": { "sha256": [near] },
        "alice": { "sha256": [WONDERLAND] },
    }}));
    assert_eq!(
        principal(&plugin, &[b"wonderland"]).as_deref(),
        Some("alice")
    );
}

#[test]
fn the_query_is_looked_at_only_if_asked_for() {
    let consumers = json!({
        "alice": { "sha256": [WONDERLAND] },
        "carol": { "sha256": [LOOKING_GLASS] },
    });
    let plugin = plugin(json!({ "query": "the key", "consumers": consumers }));
    assert_eq!(
        queried(&plugin, "/?a=b&the+key=wonderland").as_deref(),
        Some("alice")
    );
    assert_eq!(
        queried(&plugin, "/?the%20key=looking+glass").as_deref(),
        Some("carol")
    );
    assert_eq!(
        queried(&plugin, "/?the+key=looking%20glass&x").as_deref(),
        Some("carol")
    );
    for target in [
        "/",
        "/?",
        "/?the+key",
        "/?the+key=",
        "/?the+key=nothing",
        "/?key=wonderland",
        "/?the+key=wonderland&the+key=wonderland",
        "/?the+key=wonderland&the%20k%65y=other",
        "/?the+key=wonderland&the+key",
    ] {
        assert_eq!(queried(&plugin, target), None, "{target}");
    }
}

#[test]
fn a_secret_adds_keys_and_consumers() {
    let text =
        format!("\u{feff}# partners\r\n\r\nalice: {LOOKING_GLASS}\r\n  urn:x:bob:{BUILDER}  \n");
    testing::secret("API_KEYS", text);
    let plugin = plugin(json!({
        "secret": "API_KEYS",
        "consumers": { "alice": { "claims": { "tier": "gold" } } },
    }));
    let request = testing::request("GET", "/")
        .header("x-api-key", "looking glass")
        .build();
    let grant = granted(&plugin, &request).unwrap();
    assert_eq!(grant.principal, "alice");
    assert_eq!(grant.claims, [("tier".into(), json!("gold"))]);
    assert_eq!(
        principal(&plugin, &[b"builder"]).as_deref(),
        Some("urn:x:bob")
    );
}

#[test]
fn a_secret_may_repeat_a_key_of_the_same_consumer() {
    testing::secret("SAME", format!("alice:{WONDERLAND}"));
    let consumers = json!({ "alice": { "sha256": [WONDERLAND] } });
    let plugin = plugin(json!({ "secret": "SAME", "consumers": consumers }));
    assert_eq!(
        principal(&plugin, &[b"wonderland"]).as_deref(),
        Some("alice")
    );
}

#[test]
fn bad_configurations_are_refused_by_place() {
    let consumers = json!({ "alice": { "sha256": [WONDERLAND] } });
    let cases = [
        (json!({}), "there is no key"),
        (json!({ "consumers": { "alice": {} } }), "there is no key"),
        (
            json!({ "consumers": { "alice": { "sha256": [WONDERLAND] }, "bob": {} } }),
            "consumers.\"bob\" has no key",
        ),
        (
            json!({ "header": "a", "query": "b", "consumers": consumers }),
            "`header` and `query` are both given",
        ),
        (
            json!({ "header": "x key", "consumers": consumers }),
            "\"x key\" is not the name",
        ),
        (
            json!({ "header": "", "consumers": consumers }),
            "\"\" is not the name",
        ),
        (
            json!({ "query": "", "consumers": consumers }),
            "`query` is empty",
        ),
        (
            json!({ "consumers": { " alice": { "sha256": [WONDERLAND] } } }),
            "consumers.\" alice\"",
        ),
        (
            json!({ "consumers": { "alice": { "sha256": [WONDERLAND] }, "bob": { "sha256": [BUILDER, WONDERLAND] } } }),
            "consumers.\"bob\".sha256[1] and consumers.\"alice\".sha256[0] are one key of two consumers",
        ),
        (json!({ "secret": "NOT_THERE" }), "`secret`: "),
        (
            json!({ "consumers": consumers, "hide": true }),
            "unknown field",
        ),
    ];
    for (config, expected) in cases {
        let text = refusal(config);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn key_material_is_never_in_an_error() {
    let key = "hunter2";
    let mut odd = format!("{WONDERLAND}0");
    for hash in [key, "", &odd, "ßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßß"]
    {
        let text = refusal(json!({ "consumers": { "bob": { "sha256": [BUILDER, hash] } } }));
        let expected =
            "consumers.\"bob\".sha256[1] must be the SHA-256 of a key, 64 hexadecimal digits";
        assert_eq!(text, expected);
    }
    odd.insert(0, ':');
    for (line, expected) in [
        (key.to_owned(), "must be `consumer:sha256`"),
        (
            format!("bob:{key}"),
            "must be the SHA-256 of a key, 64 hexadecimal digits",
        ),
        (
            format!("{key}:{key}"),
            "must be the SHA-256 of a key, 64 hexadecimal digits",
        ),
        (format!(":{key}"), "has no consumer's name before the `:`"),
        (odd, "has no consumer's name before the `:`"),
        (
            format!("bob:{WONDERLAND}"),
            "and consumers.\"alice\".sha256[0] are one key of two consumers",
        ),
    ] {
        testing::secret("BAD", format!("# keys\n\n{line}\n"));
        let consumers = json!({ "alice": { "sha256": [WONDERLAND] } });
        let text = refusal(json!({ "secret": "BAD", "consumers": consumers }));
        assert_eq!(text, format!("secret `BAD`, line 3, {expected}"));
    }
    testing::secret("BINARY", b"bob:\xff");
    let text = refusal(json!({ "secret": "BINARY" }));
    assert!(text.starts_with("`secret`: invalid utf-8"), "{text}");
}
