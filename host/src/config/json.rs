//! TOML to JSON: a plugin's configuration, remembering where each value stood, and public keys.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use toml::de::{DeInteger, DeValue};

use super::reader::{Item, Reader};
use super::{PluginConfig, Position};
use crate::limits::config::{PLUGIN_CONFIG_DEPTH_MAX, PLUGIN_CONFIG_POINTER_BYTES_MAX};

pub(super) fn plugin_config(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<PluginConfig> {
    let DeValue::Table(_) = item.value else {
        reader.wrong_type(item, "a table such as { header = \"x-api-key\" }");
        return None;
    };
    let mut conversion = Conversion {
        reader,
        positions: BTreeMap::new(),
        keys: BTreeMap::new(),
    };
    let json = conversion.value(item.value, item.position, "", 0)?;
    Some(PluginConfig {
        json,
        positions: conversion.positions,
        keys: conversion.keys,
    })
}

/// `None` if anything in it has no JSON form, all of which is noted.
pub(super) fn json(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Value> {
    let mut conversion = Conversion {
        reader,
        positions: BTreeMap::new(),
        keys: BTreeMap::new(),
    };
    conversion.value(item.value, item.position, "", 0)
}

struct Conversion<'r, 'a> {
    reader: &'r mut Reader<'a>,
    positions: BTreeMap<String, Position>,
    keys: BTreeMap<String, Position>,
}

impl Conversion<'_, '_> {
    /// `None` if anything in it has no JSON form, all of which is noted.
    fn value(
        &mut self,
        value: &DeValue<'_>,
        at: Position,
        pointer: &str,
        depth: usize,
    ) -> Option<Value> {
        if depth > PLUGIN_CONFIG_DEPTH_MAX {
            let message = format!("this nests deeper than {PLUGIN_CONFIG_DEPTH_MAX} levels");
            self.reader.problem(at, message);
            return None;
        }
        if pointer.len() > PLUGIN_CONFIG_POINTER_BYTES_MAX {
            let most = PLUGIN_CONFIG_POINTER_BYTES_MAX;
            let message = format!("the keys that lead here are longer than {most} bytes");
            self.reader.problem(at, message);
            return None;
        }
        self.positions.insert(pointer.to_owned(), at);
        match value {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Boolean(value) => Some(Value::Bool(*value)),
            DeValue::Datetime(moment) => Some(Value::String(moment.to_string())),
            DeValue::Integer(integer) => {
                let number = integer_of(integer);
                if number.is_none() {
                    self.reader.problem(at, "this integer does not fit 64 bits");
                }
                number.map(Value::Number)
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(Number::from_f64);
                if number.is_none() {
                    self.reader.problem(
                        at,
                        "this number is not finite; JSON has only finite numbers",
                    );
                }
                number.map(Value::Number)
            }
            DeValue::Array(array) => {
                let mut all = Vec::with_capacity(array.len());
                for (index, value) in array.iter().enumerate() {
                    let pointer = format!("{pointer}/{index}");
                    all.push(self.value(value.get_ref(), value.span().into(), &pointer, depth + 1));
                }
                all.into_iter().collect::<Option<_>>().map(Value::Array)
            }
            DeValue::Table(table) => {
                let mut all = Vec::with_capacity(table.len());
                for (key, value) in table {
                    let at = key.span();
                    let key = key.get_ref();
                    let pointer =
                        format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.keys.insert(pointer.clone(), at.into());
                    let json =
                        self.value(value.get_ref(), value.span().into(), &pointer, depth + 1);
                    all.push(json.map(|json| (key.to_string(), json)));
                }
                all.into_iter()
                    .collect::<Option<Map<_, _>>>()
                    .map(Value::Object)
            }
        }
    }
}

fn integer_of(integer: &DeInteger<'_>) -> Option<Number> {
    let (digits, radix) = (integer.as_str(), integer.radix());
    let signed = i64::from_str_radix(digits, radix).map(Number::from);
    signed
        .or_else(|_| u64::from_str_radix(digits, radix).map(Number::from))
        .ok()
}
