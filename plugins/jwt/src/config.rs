//! What the operator writes, and the checks of it that need nothing but itself.

use std::collections::BTreeMap;

use tollgate_plugin::Result;

/// The longest leeway, in seconds: clocks that are further apart are broken.
const LEEWAY_MAX_S: u32 = 600;
/// What a key can allow (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864, section 2.2).
const ALGORITHMS: [&str; 14] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "ES512", "EdDSA", "Ed25519",
];

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The key set of the gateway that tokens are verified with.
    pub key_set: String,
    /// Who may have issued a token (`iss`): one, several, or `false` for anyone who has a key.
    pub issuer: Expected,
    /// Whom a token may be for (`aud`): one, several, or `false` for anyone.
    pub audience: Expected,
    /// The header field that carries the token. In `authorization` it stands behind `Bearer`, elsewhere
    /// alone. Default `authorization`, unless `cookie` or `query` is given.
    pub header: Option<String>,
    /// The cookie that carries the token.
    pub cookie: Option<String>,
    /// The query parameter that carries the token.
    pub query: Option<String>,
    /// Whether the token is kept from the upstream.
    #[serde(default)]
    pub strip: bool,
    /// How far clocks may be apart, as in `"30s"`.
    #[serde(default = "leeway_default")]
    pub leeway: String,
    /// Claims that must be there.
    #[serde(default = "require_default")]
    pub require: Vec<String>,
    /// What the header's `typ` must be, for example `at+jwt`.
    pub typ: Option<String>,
    /// The algorithms that are accepted, of those that the keys allow. Left out: all of them.
    pub algorithms: Option<Vec<String>>,
    /// Scopes that a token must have, all of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The claim that names the caller.
    #[serde(default = "principal_default")]
    pub principal: String,
    /// What is put before the caller's name, to tell callers of several issuers apart.
    #[serde(default)]
    pub principal_prefix: String,
    /// The claim that limits and quotas are counted under. Left out: the caller's name.
    pub usage_key: Option<String>,
    /// The claims that later entries may read: names, or `"all"`.
    #[serde(default)]
    pub claims: Claims,
    /// Claims, and the request header that each is written to.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Expected {
    One(String),
    Several(Vec<String>),
    Any(bool),
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Claims {
    Named(Vec<String>),
    All(All),
}

impl Default for Claims {
    fn default() -> Self {
        Claims::Named(Vec::new())
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum All {
    All,
}

/// Clocks of servers are within seconds, those of virtual machines after a pause within half a minute.
fn leeway_default() -> String {
    "30s".into()
}

/// A token that never ends cannot be taken back.
fn require_default() -> Vec<String> {
    vec!["exp".into()]
}

fn principal_default() -> String {
    "sub".into()
}

impl Expected {
    /// None: anything will do.
    pub fn values(self, key: &str) -> Result<Option<Vec<String>>> {
        let values = match self {
            Expected::Any(false) => return Ok(None),
            Expected::Any(true) => {
                return Err(
                    format!("`{key}` is a text or an array of them; `false` accepts any").into(),
                );
            }
            Expected::One(value) => vec![value],
            Expected::Several(values) if values.is_empty() => {
                return Err(format!("`{key}` is empty; `false` accepts any").into());
            }
            Expected::Several(values) => values,
        };
        if values.iter().any(String::is_empty) {
            return Err(format!("`{key}` has an empty text").into());
        }
        Ok(Some(values))
    }
}

/// In seconds.
pub fn leeway(text: &str) -> Result<f64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "s" => Some(1_u32),
        "m" => Some(60),
        _ => None,
    };
    number
        .parse::<u32>()
        .ok()
        .zip(unit_s)
        .and_then(|(number, unit_s)| number.checked_mul(unit_s))
        .filter(|seconds| *seconds <= LEEWAY_MAX_S)
        .map(f64::from)
        .ok_or_else(|| {
            format!("`leeway`: {text:?} must be a whole number with `s` or `m`, at most \"10m\"")
                .into()
        })
}

pub fn algorithms(names: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Err("`algorithms` is empty; leave it out to accept all that the keys allow".into());
    }
    for name in names.iter().flatten() {
        if !ALGORITHMS.contains(&name.as_str()) {
            return Err(format!(
                "`algorithms`: {name:?} is not one of {}",
                ALGORITHMS.join(", ")
            )
            .into());
        }
    }
    Ok(names)
}

/// RFC 6749, section 3.3.
pub fn scopes(scopes: Vec<String>) -> Result<Vec<String>> {
    let fits = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    match scopes
        .iter()
        .find(|scope| scope.is_empty() || !scope.bytes().all(fits))
    {
        Some(scope) => Err(format!("`scopes`: {scope:?} is not a scope").into()),
        None => Ok(scopes),
    }
}

/// Claims that are named, which an empty text does not.
pub fn claims(key: &str, names: &[String]) -> Result<()> {
    if names.iter().any(String::is_empty) {
        return Err(format!("`{key}` has an empty name").into());
    }
    Ok(())
}

/// The name of a header field that a plugin may write, in lower case.
pub fn header(key: &str, name: &str) -> Result<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("`{key}`: {name:?} is not the name of a header field").into());
    }
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer"
        | "transfer-encoding" | "upgrade" | "content-length" | "host" => {
            Err(format!("`{key}`: `{name}` is the gateway's own").into())
        }
        _ => Ok(name),
    }
}

/// The claims to write to header fields: each with its field, and no field twice.
pub fn headers(written: BTreeMap<String, String>) -> Result<Vec<(String, String)>> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (claim, name) in written {
        let name = header(&format!("headers.{claim}"), &name)?;
        if let Some((other, _)) = headers.iter().find(|(_, taken)| *taken == name) {
            return Err(format!("`headers`: {other:?} and {claim:?} both go to `{name}`").into());
        }
        headers.push((claim, name));
    }
    Ok(headers)
}
