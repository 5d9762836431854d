//! Whether a request says who its caller is by something that its key does not have.

use tollgate_plugin::{Request, Result};

use crate::is_field_name;
use crate::key::{Key, cookies};
use crate::query::{fits, is_pattern};

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PersonalConfig {
    /// Request headers that say who the caller is.
    headers: Vec<String>,
    /// Cookies that do not; a `*` at the end of a name is any ending.
    cookies_except: Vec<String>,
}

/// Checked.
pub struct Personal {
    headers: Vec<String>,
    cookies_except: Vec<String>,
}

impl Personal {
    pub fn new(config: PersonalConfig) -> Result<Personal, String> {
        for (index, name) in config.headers.iter().enumerate() {
            if !is_field_name(name) {
                let wrong = format!("{name:?} is not the name of a header");
                return Err(format!("`personal.headers[{index}]`: {wrong}"));
            }
        }
        let names = &config.cookies_except;
        if let Some(index) = names.iter().position(|name| !is_pattern(name)) {
            let name = &names[index];
            return Err(format!(
                "`personal.cookies-except[{index}]`: {name:?}; a name is not empty, and a `*` stands at \
                 its end"
            ));
        }
        Ok(Personal {
            headers: config.headers,
            cookies_except: config.cookies_except,
        })
    }

    /// By a header that the configuration names.
    pub fn is_named(&self, request: &Request, key: Option<&Key>) -> bool {
        let outside = |name: &&String| !has_header(key, name);
        let mut headers = self.headers.iter().filter(outside);
        headers.any(|name| request.header(name).is_some())
    }

    /// By `Authorization`, unless the principal that it stands for is in the key; or by any cookie that is
    /// neither in the key nor known to say nothing of the caller.
    pub fn is_implied(&self, request: &Request, key: Option<&Key>, principal_in_key: bool) -> bool {
        let authorized = || !principal_in_key && !has_header(key, "authorization");
        if authorized() && request.header("authorization").is_some() {
            return true;
        }
        if has_header(key, "cookie") {
            return false;
        }
        let keyed = key.map_or(&[][..], |key| &key.cookies);
        cookies(request).iter().any(|(name, _)| {
            let says_nothing =
                |pattern: &String| str::from_utf8(name).is_ok_and(|name| fits(pattern, name));
            let in_key = keyed
                .iter()
                .any(|keyed| keyed.as_bytes() == name.as_slice());
            !in_key && !self.cookies_except.iter().any(says_nothing)
        })
    }
}

/// Whether the key has this request header.
fn has_header(key: Option<&Key>, name: &str) -> bool {
    let headers = key.map_or(&[][..], |key| &key.headers);
    headers.iter().any(|one| one.eq_ignore_ascii_case(name))
}
