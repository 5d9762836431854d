//! The getters of a request by name, such as `path` and `header:x-user`; some that are no getters of a
//! request (`clock`, `random`); and `literal:text`.

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{Request, clock, random};

#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Getter {
    name: String,
    kind: String,
    argument: String,
}

const KINDS: [&str; 23] = [
    "method",
    "scheme",
    "authority",
    "path",
    "query",
    "query-parameter",
    "path-parameter",
    "header",
    "header-values",
    "header-names",
    "headers",
    "client-address",
    "id",
    "route-name",
    "variable",
    "principal",
    "usage-key",
    "claim",
    "attribute",
    "own-attribute",
    "clock",
    "random",
    "literal",
];

impl TryFrom<String> for Getter {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let (kind, argument) = name.split_once(':').unwrap_or((&name, ""));
        if !KINDS.contains(&kind) {
            return Err(format!("`{kind}` is no getter"));
        }
        Ok(Getter {
            kind: kind.to_owned(),
            argument: argument.to_owned(),
            name,
        })
    }
}

impl Getter {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says of a request.
    pub fn get(&self, request: &Request) -> Option<String> {
        let argument = self.argument.as_str();
        match self.kind.as_str() {
            "method" => Some(request.method()),
            "scheme" => Some(request.scheme()),
            "authority" => Some(request.authority()),
            "path" => Some(request.path()),
            "query" => request.query(),
            "query-parameter" => request.query_parameter(argument),
            "path-parameter" => request.path_parameter(argument),
            "header" => request.header_text(argument),
            "header-values" => Some(list(request.header_values(argument).iter())),
            "header-names" => Some(request.header_names().join("|")),
            "headers" => {
                let lines = request.headers();
                let lines = lines.iter();
                let pairs = lines.flat_map(|(name, value)| [name.as_bytes(), value]);
                Some(list(pairs))
            }
            "client-address" => Some(request.client_address()),
            "id" => Some(request.id()),
            "route-name" => Some(request.route_name()),
            "variable" => request.variable(argument),
            "principal" => request.principal(),
            "usage-key" => request.usage_key(),
            "claim" => request.claim::<String>(argument).ok().flatten(),
            "attribute" => {
                let (plugin, name) = argument.split_once('/')?;
                request.attribute(plugin, name)
            }
            "own-attribute" => request.own_attribute(argument),
            "clock" => Some(clock::since_epoch().as_millis().to_string()),
            "random" => Some(random::next_u64().to_string()),
            _ => Some(argument.to_owned()),
        }
    }
}

fn list(values: impl Iterator<Item = impl AsRef<[u8]>>) -> String {
    let texts: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_ref()).into_owned())
        .collect();
    texts.join("|")
}

/// `name=value`, or `name!` where there is none.
pub fn show((name, value): &(&str, Option<String>)) -> String {
    match value {
        Some(value) => format!("{name}={value}"),
        None => format!("{name}!"),
    }
}
