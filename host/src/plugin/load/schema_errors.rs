//! Where a configuration does not fit the schema of its plugin, in words for the operator.

use crate::quote::nearest;

/// Where an error of the schema is, and its text. Masked: a value may be a key that was written in the
/// wrong place.
pub(in crate::plugin) fn of(
    error: &jsonschema::ValidationError<'_>,
    schema: &serde_json::Value,
) -> Vec<(String, String)> {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        jsonschema::error::ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let known = known_keys(schema, &error.schema_path().to_string());
                let text = match nearest(name, &known) {
                    Some(nearest) => format!("{UNKNOWN_KEY}; did you mean `{nearest}`?"),
                    None => UNKNOWN_KEY.to_owned(),
                };
                (format!("{pointer}/{escaped}"), text)
            })
            .collect(),
        jsonschema::error::ValidationErrorKind::AnyOf { .. }
        | jsonschema::error::ValidationErrorKind::OneOfNotValid { .. } => {
            let text = match choices(schema, &error.schema_path().to_string()) {
                Some(choices) => format!("value is none of {choices}"),
                None => error.masked().to_string(),
            };
            vec![(pointer, text)]
        }
        _ => vec![(pointer, error.masked().to_string())],
    }
}

/// What is said first of a key that the schema has not.
pub const UNKNOWN_KEY: &str = "the plugin knows no such key";

/// The keys that a table may have; `path` leads to the rule that it has no others.
fn known_keys<'s>(schema: &'s serde_json::Value, path: &str) -> Vec<&'s str> {
    let table = path.rsplit_once('/').map_or("", |(table, _)| table);
    let properties = at(schema, table).and_then(|table| table.get("properties"));
    let properties = properties.and_then(serde_json::Value::as_object);
    properties
        .map(|all| all.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// The values that a list of alternatives allows, where each is one value: so are the enumerations of
/// Rust whose members have descriptions. `path` goes through references, as the validator does.
fn choices(schema: &serde_json::Value, path: &str) -> Option<String> {
    let choices = at(schema, path)?
        .as_array()?
        .iter()
        .map(|one| Some(one.get("const")?.to_string()));
    let choices: Option<Vec<String>> = choices.collect();
    Some(choices?.join(", "))
}

/// What stands at a path in a schema, which goes through references.
fn at<'s>(schema: &'s serde_json::Value, path: &str) -> Option<&'s serde_json::Value> {
    let mut at = schema;
    for segment in path.split('/').skip(1) {
        at = match at.get(segment)? {
            serde_json::Value::String(reference) if segment == "$ref" => {
                schema.pointer(reference.strip_prefix('#')?)?
            }
            found => found,
        };
    }
    Some(at)
}
