//! `[key-sets]`.

use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn reads_key_sets() {
    let config = good();
    let source = |name: &str| config.key_sets[name].source.clone();
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    });
    assert_eq!(source("inline"), KeySource::Inline(vec![key]));
    let file = |reload| KeySource::File {
        path: "folder/keys.json".into(),
        reload: Duration::from_secs(reload),
    };
    assert_eq!(source("file"), file(5));
    let geo = SecretSource::Environment("GEO".into());
    assert_eq!(source("secret"), KeySource::Secret(geo));
    assert_eq!(config.key_sets["file"].name, "file");

    let text = format!("key-sets = {{ a.file = \"keys.json\", b.secret = \"B\" }}\n{LEAST}");
    let config = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.key_sets["a"].source, file(30));
    let own_name = SecretSource::Environment("B".into());
    assert_eq!(config.key_sets["b"].source, KeySource::Secret(own_name));
}

#[test]
fn refuses_key_sets() {
    let set = |set: &str, wanted: &str| added(&format!("key-sets.a = {set}"), wanted);
    let needs = "`key-sets.a` needs one of `keys`, `file` and `secret`";
    set("{}", needs);
    set("{ file = \"a\", secret = \"A\" }", needs);
    set("{ keys = [], file = \"a\" }", needs);
    set("{ file = \"\" }", "`key-sets.a.file` must be a path");
    set(
        "{ file = \"a\", reload = \"0s\" }",
        "must be from 1s to 24h",
    );
    set(
        "{ file = \"a\", reload = \"25h\" }",
        "must be from 1s to 24h",
    );
    set(
        "{ file = \"a\", reload = 30 }",
        "must be a string with a unit",
    );
    set(
        "{ secret = \"A\", reload = \"1s\" }",
        "`key-sets.a.reload` needs a `file`",
    );
    set(
        "{ secret = \"a b\" }",
        "`key-sets.a.secret` must be the name of a secret; `[secrets]` says",
    );
    set("{ fle = \"a\", file = \"a\" }", "did you mean `file`?");
    set(
        "{ keys = \"a\" }",
        "`key-sets.a.keys` must be an array such as",
    );
    set("{ keys = [] }", "`key-sets.a.keys` must have 1 to 100 keys");
    set(
        "{ keys = [1] }",
        "`key-sets.a.keys[0]` must be a public key such as",
    );
    set(
        "{ keys = [{ kid = \"a\" }] }",
        "`key-sets.a.keys[0]` has no `kty`",
    );
    set(
        "{ keys = [{ kty = 1 }] }",
        "`key-sets.a.keys[0].kty` must be a string",
    );
    set(
        "{ keys = [{ kty = \"RSA\", e = inf }] }",
        "this number is not finite; JSON has only",
    );
    let many = format!("{{ keys = [{}] }}", "{ kty = \"RSA\" }, ".repeat(101));
    set(&many, "`key-sets.a.keys` must have 1 to 100 keys");
    let many: String = (0..65).fold(String::new(), |text, index| {
        format!("{text}key-sets.s{index}.secret = \"A\"\n")
    });
    added(&many, "there are more than 64 key sets");
    added("key-sets.\"a b\" = {}", "`a b` cannot be a name");
}

#[test]
fn refuses_private_keys() {
    let refusal = "private and shared keys do not belong in this file; put them into a file or \
                   `[secrets]`";
    for member in [
        "d = \"hunter2\"",
        "p = \"hunter2\"",
        "q = \"hunter2\"",
        "dp = \"hunter2\"",
        "dq = \"hunter2\"",
        "qi = \"hunter2\"",
        "oth = [{ r = \"hunter2\" }]",
        "k = \"hunter2\"",
        "d = \"hunter2\", p = \"hunter2\"",
    ] {
        let text = format!("key-sets.a.keys = [{{ kty = \"RSA\", {member} }}]\n{LEAST}");
        refused(&text, &[refusal]);
        let shown = read(&text).unwrap_err().to_string();
        assert!(shown.contains("kty = \"RSA\""), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    added("key-sets.a.keys = [{ kty = \"oct\" }]", refusal);
}
