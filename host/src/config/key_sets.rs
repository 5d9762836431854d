//! `[key-sets]`: public keys that signatures are verified with (RFC 7517).

use serde_json::Value;
use std::collections::BTreeMap;
use toml::de::DeValue;

use super::json::json;
use super::reader::{Item, Named, Reader, Table};
use super::sections::path;
use super::source::Problem;
use super::{KeySet, KeySource, Position, SecretSource};
use crate::limits::config::KEY_SETS_MAX;
use crate::limits::key_sets::{KEY_SET_KEYS_MAX, KEY_SET_RELOAD, KEY_SET_RELOAD_DEFAULT};
use crate::quote::quoted;

const KEYS: &str = "[{ kty = \"OKP\", crv = \"Ed25519\", x = \"…\" }]";

/// Members of a JWK that are private or shared (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1; `priv` of
/// the kind `AKP`).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// Members that are surely public: RFC 7517, section 4, and RFC 7518, sections 6.2.1 and 6.3.1. Only
/// their values are shown in problems.
const PUBLIC: [&str; 14] = [
    "kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "crv", "x", "y", "n",
    "e",
];

pub(super) fn key_sets(
    reader: &mut Reader<'_>,
    root: &mut Table<'_>,
    secrets: &BTreeMap<String, SecretSource>,
) -> BTreeMap<String, KeySet> {
    if let Some(item) = root.get("key-sets") {
        hide(reader, &item);
    }
    let named = reader.named(root, "key-sets");
    if let Some(first) = named.get(KEY_SETS_MAX) {
        let message = format!("there are more than {KEY_SETS_MAX} key sets");
        reader.problem(first.position, message);
    }
    let sets = named
        .into_iter()
        .filter_map(|named| Some((named.name.clone(), key_set(reader, named, secrets)?)));
    sets.collect()
}

fn key_set(
    reader: &mut Reader<'_>,
    named: Named<'_>,
    secrets: &BTreeMap<String, SecretSource>,
) -> Option<KeySet> {
    let mut table = reader.entry(&named)?;
    let (keys, file, secret) = (table.get("keys"), table.get("file"), table.get("secret"));
    let reload = table.get("reload");
    if keys.is_none() && file.is_none() && secret.is_none() {
        let message = format!("`{}` needs one of `keys`, `file` and `secret`", table.path);
        let problem = Problem::new(named.position, message);
        table.lacks(&["keys", "file", "secret"], problem);
    }
    reader.finish(&table, &["url"]);
    let reload_at = reload.as_ref().map(|item| item.position);
    let reload = match reload {
        Some(item) => reader.duration(&item, KEY_SET_RELOAD),
        None => Some(KEY_SET_RELOAD_DEFAULT),
    };
    let source = match (keys, file, secret) {
        (Some(item), None, None) => inline(reader, &item).map(KeySource::Inline),
        (None, Some(item), None) => path(reader, &item).and_then(|path| {
            Some(KeySource::File {
                path,
                reload: reload?,
            })
        }),
        (None, None, Some(item)) => secret_source(reader, &item, secrets).map(KeySource::Secret),
        (None, None, None) => return None,
        _ => {
            let message = format!("`{}` needs one of `keys`, `file` and `secret`", table.path);
            reader.problem(named.position, message);
            return None;
        }
    };
    if let (Some(at), Some(KeySource::Inline(_) | KeySource::Secret(_))) = (reload_at, &source) {
        let message = format!("`{}.reload` needs a `file`", table.path);
        reader.problem(at, message);
    }
    Some(KeySet {
        name: named.name,
        source: source?,
        position: named.position,
    })
}

/// A secret that `[secrets]` does not list is an environment variable of its own name.
fn secret_source(
    reader: &mut Reader<'_>,
    item: &Item<'_>,
    secrets: &BTreeMap<String, SecretSource>,
) -> Option<SecretSource> {
    let name = reader.hidden_text(item, "\"TOKEN_KEYS\"")?;
    if !Reader::is_name(name) {
        // It may be the secret itself, so that neither the line nor this shows it.
        let message = format!("{} must be the name of a secret", quoted(&item.path));
        let help = "`[secrets]` says where a secret of this name comes from";
        reader.note(Problem::new(item.position, message).with_help(help));
        return None;
    }
    reader.show(item);
    let own_name = || SecretSource::Environment(name.to_owned());
    Some(secrets.get(name).cloned().unwrap_or_else(own_name))
}

fn inline(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Vec<Value>> {
    let items = reader.list(item, KEYS)?;
    if !(1..=KEY_SET_KEYS_MAX).contains(&items.len()) {
        let message = format!(
            "{} must have 1 to {KEY_SET_KEYS_MAX} keys",
            quoted(&item.path)
        );
        reader.problem(item.position, message);
        return None;
    }
    let keys: Vec<_> = items.iter().map(|item| key(reader, item)).collect();
    keys.into_iter().collect()
}

fn key(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Value> {
    let pairs = reader.pairs(item, &format!("a public key such as {KEYS}"));
    if !matches!(item.value, DeValue::Table(_)) {
        return None;
    }
    let shared = |named: &Named<'_>| {
        named.name == "kty" && matches!(named.item.value, DeValue::String(text) if text == "oct")
    };
    for public in pairs
        .iter()
        .filter(|named| PUBLIC.contains(&named.name.as_str()))
    {
        reader.show_all(&public.item);
    }
    let private = |named: &&Named<'_>| PRIVATE.contains(&named.name.as_str()) || shared(named);
    let mut whole = true;
    // One is enough to say it of the key: an RSA key has six.
    if let Some(named) = pairs.iter().find(private) {
        let message = "private and shared keys do not belong in this file";
        let help =
            "put them into a file or `[secrets]`; the public half of a key pair may stay here";
        reader.note(Problem::new(named.position, message).with_help(help));
        whole = false;
    }
    match pairs.iter().find(|named| named.name == "kty") {
        Some(kind) => whole &= reader.text(&kind.item, "\"RSA\"").is_some(),
        None => {
            let message = format!("{} has no `kty`", quoted(&item.path));
            let help = "`kty` is the kind of the key: \"RSA\", \"EC\" or \"OKP\"";
            reader.note(Problem::new(item.position, message).with_help(help));
            whole = false;
        }
    }
    let json = json(reader, item);
    json.filter(|_| whole)
}

/// Hides what may be a private key from every printed line: all but the names of files and secrets,
/// and the public members of keys.
fn hide(reader: &mut Reader<'_>, section: &Item<'_>) {
    let DeValue::Table(sets) = section.value else {
        reader.secrets.push(section.position);
        return;
    };
    for (_, set) in sets {
        let DeValue::Table(table) = set.get_ref() else {
            reader.secrets.push(set.span().into());
            continue;
        };
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("file" | "reload", value)
                    if !matches!(value, DeValue::Array(_) | DeValue::Table(_)) => {}
                ("secret", DeValue::String(name)) if Reader::is_name(name) => {}
                ("keys", DeValue::Array(keys)) => {
                    for key in keys.iter() {
                        let hidden = hidden_in(key.get_ref(), key.span().into());
                        reader.secrets.extend(hidden);
                    }
                }
                _ => reader.secrets.push(value.span().into()),
            }
        }
    }
}

fn hidden_in(key: &DeValue<'_>, at: Position) -> Vec<Position> {
    let DeValue::Table(members) = key else {
        return vec![at];
    };
    let others = members.iter().filter(|(name, value)| {
        let text = matches!(value.get_ref(), DeValue::String(_) | DeValue::Array(_));
        !(PUBLIC.contains(&name.get_ref().as_ref()) && text)
    });
    others.map(|(_, value)| value.span().into()).collect()
}
