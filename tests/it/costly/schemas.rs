//! Schemas that would hold the one who validates for ever, or end it.

use std::path::PathBuf;

use tollgate_tests::{Folder, Gateway, Origin};

use super::{children, hang_up_and_serve, says};
use crate::components::variant;
use crate::scene::Scene;

/// `minimal.wat` with another schema.
pub fn with_schema(folder: &Folder, name: &str, schema: &str) -> PathBuf {
    let text = format!(
        "{{\"name\":\"wat\",\"version\":\"0.1.0\",\"summary\":\"A plugin in text\",\
         \"config-schema\":{schema}}}"
    );
    let length: String = (text.len() as u32)
        .to_le_bytes()
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let path = tollgate_tests::repository().join("tests/guests/hostile/wat/minimal.wat");
    let minimal = std::fs::read_to_string(path).expect("minimal.wat");
    let line = minimal
        .lines()
        .find(|line| line.contains("(data (i32.const 16)"));
    variant(
        folder,
        name,
        &[
            (
                "(memory (export \"memory\") 1)",
                "(memory (export \"memory\") 20)",
            ),
            (
                "(data (i32.const 8) \"\\10\\00\\00\\00\\50\\00\\00\\00\")",
                &format!("(data (i32.const 8) \"\\00\\00\\01\\00{length}\")"),
            ),
            (
                line.expect("the description"),
                &format!("(data (i32.const 65536) \"{escaped}\")"),
            ),
        ],
    )
}

/// Sixty definitions, each the next one twice.
pub fn doubling() -> String {
    let definitions = (0..60).map(|number| {
        let next = format!("{{\"$ref\":\"#/$defs/d{}\"}}", number + 1);
        format!("\"d{number}\":{{\"allOf\":[{next},{next}]}}")
    });
    let definitions: Vec<String> = definitions.collect();
    format!(
        "{{\"$defs\":{{{},\"d60\":{{\"type\":\"object\"}}}},\"$ref\":\"#/$defs/d0\"}}",
        definitions.join(",")
    )
}

#[test]
fn a_schema_that_takes_for_ever_is_refused_and_the_next_reload_is_not_kept_waiting() {
    let folder = Folder::new();
    let origin = Origin::echo();
    let wasm = with_schema(&folder, "doubling", &doubling());
    let plain = Scene::new(&origin).with("[runtime]\nwatch = false");
    let gateway = Gateway::start(&plain.clone().toml());
    let hostile = plain.clone().plugin("p", &wasm, "").policy("q", "p", "");
    gateway.write_config(&hostile.toml());
    hang_up_and_serve(&gateway);
    assert_eq!(gateway.reloads("refused"), 1);
    let text = "checking a configuration against its schema takes more than";
    gateway.wait_for_event(&["everything stays as it was", text, "processor time"]);
    gateway.reload(
        &plain
            .policy("mark", "headers", "config.response.set.x-mark = \"new\"")
            .toml(),
    );
    assert_eq!(gateway.get("/a").headers("x-mark"), ["new"]);
    assert_eq!(children(gateway.pid()), [0_u32; 0], "something goes on");
}

/// Whatever a schema says, it is held to bounds, and reads nothing of this machine or another.
#[test]
fn odd_schemas_are_refused_or_do_no_harm() {
    let folder = Folder::new();
    let origin = Origin::echo();
    let nested = format!("{}{{}}{}", "{\"items\":".repeat(100), "}".repeat(100));
    let remote = format!("{{\"$ref\":\"{}/schema\"}}", origin.url());
    let twice = "{\"$ref\":\"#/$defs/n\"}";
    let deep = format!(
        "{{\"$defs\":{{\"n\":{{\"properties\":{{\"a\":{{\"allOf\":[{twice},{twice}]}}}}}}}},\
         \"$ref\":\"#/$defs/n\"}}"
    );
    let deep_config = format!("config = {}1{}", "{ a = ".repeat(40), " }".repeat(40));
    let text = format!("config.a = \"{}!\"", "a".repeat(40));
    let pattern =
        |pattern: &str| format!("{{\"properties\":{{\"a\":{{\"pattern\":\"{pattern}\"}}}}}}");
    for (name, schema, config, refused) in [
        ("self", "{\"$ref\":\"#\"}".to_owned(), "", None),
        (
            "circle",
            "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}},\
             \"$ref\":\"#/$defs/a\"}"
                .to_owned(),
            "",
            None,
        ),
        ("remote", remote, "", Some("schema")),
        (
            "file",
            "{\"$ref\":\"file:///etc/passwd\"}".to_owned(),
            "",
            Some("schema"),
        ),
        (
            "meta",
            "{\"$schema\":\"http://127.0.0.1:1/x\"}".to_owned(),
            "",
            None,
        ),
        ("nested", nested, "", None),
        (
            "deep",
            deep,
            &*deep_config,
            Some("checking a configuration"),
        ),
        (
            "backtracks",
            pattern("^(?=a)((a+)+)+\\\\\\\\2$"),
            &*text,
            None,
        ),
        ("linear", pattern("^(a+)+$"), &*text, Some("config.a")),
        (
            "repeats",
            pattern("((((a{99}){99}){99}){99}){99}"),
            &*text,
            None,
        ),
        ("no-pattern", pattern("("), &*text, Some("schema")),
        (
            "zero",
            "{\"properties\":{\"a\":{\"multipleOf\":0}}}".to_owned(),
            "config.a = 1",
            None,
        ),
        (
            "tiny",
            "{\"properties\":{\"a\":{\"multipleOf\":1e-300}}}".to_owned(),
            "config.a = 1",
            None,
        ),
        ("huge", "{\"minLength\":1e999}".to_owned(), "", None),
        ("none", "7".to_owned(), "", Some("schema")),
        (
            "format",
            "{\"properties\":{\"a\":{\"format\":\"regex\"}}}".to_owned(),
            "config.a = \"((((\"",
            None,
        ),
    ] {
        let (ok, said) = says(&with_schema(&folder, name, &schema), config);
        if let Some(text) = refused {
            assert!(!ok && said.contains(text), "{name}: {ok} {said}");
        }
        assert!(!said.contains("root:"), "{name}: {said}");
    }
    assert_eq!(origin.connections(), 0);
}
