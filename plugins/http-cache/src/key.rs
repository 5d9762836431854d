//! What an answer is kept under, where that is not the URI.

use serde_json::Value;
use tollgate_plugin::{Request, Result};

use crate::is_field_name;
use crate::query::{Ambiguous, Query, QueryConfig};

/// Headers, cookies and claims in one key. With three parts for each, and nine for the rest, they
/// fit the gateway's bound on a key, 64 parts.
const NAMES_MAX: usize = 16;
/// The whole key, in bytes: the gateway's bound. What a client sends can make it longer.
const BYTES_MAX: usize = 16 << 10;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The scheme and the host that were asked for.
    #[serde(default = "yes")]
    host: bool,
    /// The path.
    #[serde(default = "yes")]
    path: bool,
    /// The query: `true`, `false`, or a table with `only` or `except` (names of parameters, which may
    /// end with a `*`) and `sort` (whether their order does not matter).
    #[serde(default)]
    query: QueryConfig,
    /// Request headers.
    #[serde(default)]
    headers: Vec<String>,
    /// Cookies.
    #[serde(default)]
    cookies: Vec<String>,
    /// Who an authorizer said the caller is.
    #[serde(default)]
    principal: bool,
    /// What an authorizer said of the caller.
    #[serde(default)]
    claims: Vec<String>,
    /// A text of your own, for example a version.
    literal: Option<String>,
}

fn yes() -> bool {
    true
}

/// Checked.
pub struct Key {
    host: bool,
    path: bool,
    query: Query,
    /// In lower case.
    pub headers: Vec<String>,
    pub cookies: Vec<String>,
    pub principal: bool,
    claims: Vec<String>,
    literal: Option<String>,
}

impl Key {
    pub fn new(config: KeyConfig) -> Result<Key, String> {
        let names = config.headers.len() + config.cookies.len() + config.claims.len();
        if names > NAMES_MAX {
            return Err(format!(
                "`key` has {names} headers, cookies and claims; at most {NAMES_MAX} are taken"
            ));
        }
        for (index, name) in config.headers.iter().enumerate() {
            if !is_field_name(name) {
                return Err(format!(
                    "`key.headers[{index}]`: {name:?} is not the name of a header"
                ));
            }
        }
        for (list, names) in [("cookies", &config.cookies), ("claims", &config.claims)] {
            if let Some(index) = names.iter().position(String::is_empty) {
                return Err(format!("`key.{list}[{index}]` is empty"));
            }
        }
        let key = Key {
            host: config.host,
            path: config.path,
            query: Query::new(config.query)?,
            headers: config
                .headers
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            cookies: config.cookies,
            principal: config.principal,
            claims: config.claims,
            literal: config.literal,
        };
        let same_for_all = !key.path
            && matches!(key.query, Query::None)
            && names == 0
            && !key.principal
            && key.literal.is_none();
        if same_for_all {
            return Err(
                "`key` is the same for every path; if that is meant, add a `literal`".into(),
            );
        }
        Ok(key)
    }

    /// The key; none where the request has something that cannot be written as one. Each part stands
    /// behind what it is, and what is absent has no part, so that no two requests that differ in any of
    /// them have the same key, also across a change of the configuration.
    pub fn parts(
        &self,
        request: &Request,
        principal: Option<String>,
    ) -> Result<Option<Vec<String>>> {
        let mut parts: Vec<String> = Vec::with_capacity(8);
        let mut put = |those: &[&str]| parts.extend(those.iter().map(|&part| part.to_owned()));
        if let Some(literal) = &self.literal {
            put(&["literal", literal]);
        }
        if self.host {
            put(&["host", &request.scheme(), &authority(request)]);
        }
        if self.path {
            put(&["path", &request.path()]);
        }
        match self.query.part(request) {
            Ok(Some(query)) => put(&["query", &query]),
            Ok(None) => {}
            Err(Ambiguous) => return Ok(None),
        }
        for name in &self.headers {
            let values = request.header_values(name);
            if values.is_empty() {
                continue;
            }
            // One list, however many lines it came in (RFC 9110, section 5.3).
            let Ok(value) = String::from_utf8(values.join(&b", "[..])) else {
                return Ok(None);
            };
            put(&["header", name, &value]);
        }
        if !self.cookies.is_empty() {
            let sent = cookies(request);
            for name in &self.cookies {
                // Of several cookies of one name it is anyone's guess which the upstream takes, and of
                // what may be one of that name whether it takes it.
                let alike = count_alike(request, name);
                let mut same = sent.iter().filter(|(other, _)| other == name.as_bytes());
                let Some((_, value)) = same.next() else {
                    if alike > 0 {
                        return Ok(None);
                    }
                    continue;
                };
                let (Ok(value), None, 1) = (str::from_utf8(value), same.next(), alike) else {
                    return Ok(None);
                };
                put(&["cookie", name, value]);
            }
        }
        if let Some(principal) = principal {
            put(&["principal", &principal]);
        }
        for name in &self.claims {
            if let Some(value) = request.claim::<Value>(name)? {
                put(&["claim", name, &value.to_string()]);
            }
        }
        let bytes: usize = parts.iter().map(String::len).sum();
        Ok(Some(parts).filter(|_| bytes <= BYTES_MAX))
    }
}

/// In lower case, without the scheme's own port.
fn authority(request: &Request) -> String {
    let authority = request.authority().to_ascii_lowercase();
    let port = if request.scheme() == "https" {
        ":443"
    } else {
        ":80"
    };
    match authority.strip_suffix(port) {
        Some(host) => host.to_owned(),
        None => authority,
    }
}

/// Names and values of all cookies (RFC 6265, section 4.2).
pub fn cookies(request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
    let values = request.header_values("cookie");
    let pairs = values
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b';'));
    let pair = |pair: &[u8]| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii().to_owned();
        let value = halves.next().unwrap_or_default().trim_ascii().to_owned();
        (name, value)
    };
    let named = |(name, value): &(Vec<u8>, Vec<u8>)| !name.is_empty() || !value.is_empty();
    pairs.map(pair).filter(named).collect()
}

/// How many cookies of this name some server finds: divided at `,` too, and in any case.
fn count_alike(request: &Request, name: &str) -> usize {
    let values = request.header_values("cookie");
    let pairs = values
        .iter()
        .flat_map(|value| value.split(|byte| b";,".contains(byte)));
    let names = pairs.map(|pair| pair.split(|byte| *byte == b'=').next().unwrap_or_default());
    names
        .filter(|found| found.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        .count()
}
