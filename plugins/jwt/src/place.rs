//! Where a request carries its token (RFC 6750, section 2), and taking it out there.

use tollgate_plugin::{EditableRequest, Request, Result};

use crate::config;

pub struct Places {
    /// In lower case.
    header: Option<String>,
    cookie: Option<String>,
    query: Option<String>,
}

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    Token(String),
    /// Which one holds would be anyone's guess, and the upstream's may differ from ours.
    Several,
}

impl Places {
    pub fn new(
        header: Option<String>,
        cookie: Option<String>,
        query: Option<String>,
    ) -> Result<Places> {
        let header = match header {
            Some(name) => Some(config::header("header", &name)?),
            None if cookie.is_none() && query.is_none() => Some("authorization".into()),
            None => None,
        };
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if let Some(name) = &cookie
            && (name.is_empty() || !name.bytes().all(token))
        {
            return Err(format!("`cookie`: {name:?} is not the name of a cookie").into());
        }
        if query.as_deref() == Some("") {
            return Err("`query` is empty".into());
        }
        Ok(Places {
            header,
            cookie,
            query,
        })
    }

    /// What a client is to send, for people.
    pub fn needed(&self) -> String {
        let named = |what: &str, name: &Option<String>| {
            name.as_ref().map(|name| format!("the {what} `{name}`"))
        };
        let places = [
            named("header field", &self.header),
            named("cookie", &self.cookie),
            named("query parameter", &self.query),
        ];
        let places: Vec<String> = places.into_iter().flatten().collect();
        format!("exactly one token is needed, in {}", places.join(" or "))
    }

    pub fn find(&self, request: &Request) -> Shown {
        let mut tokens = Vec::new();
        match self.header.as_deref() {
            Some("authorization") => {
                let lines = request.header_values("authorization");
                // The field has one value (RFC 9110, section 11.6.2), whatever its scheme.
                if lines.len() > 1 {
                    return Shown::Several;
                }
                tokens.extend(lines.iter().filter_map(|line| bearer(line)).map(text));
            }
            Some(name) => {
                let lines = request.header_values(name);
                tokens.extend(lines.iter().map(|line| text(line)));
            }
            None => {}
        }
        if let Some(name) = &self.cookie {
            let lines = request.header_values("cookie");
            let cookies = lines.iter().flat_map(|line| cookies(line));
            tokens.extend(cookies.filter_map(|one| Some(text(value_of(one, name)?))));
        }
        if let Some(name) = &self.query
            && let Some(query) = request.query()
        {
            let parameters = form_urlencoded::parse(query.as_bytes());
            let named = parameters.filter(|(other, _)| other == name);
            tokens.extend(named.map(|(_, value)| value.into_owned()));
        }
        tokens.retain(|token| !token.is_empty());
        match tokens.pop() {
            None => Shown::Nothing,
            Some(_) if !tokens.is_empty() => Shown::Several,
            Some(token) => Shown::Token(token),
        }
    }

    /// Takes the token out, and leaves all else as it is.
    pub fn strip(&self, request: &mut EditableRequest<'_>) -> Result<()> {
        if let Some(name) = &self.header {
            let credentials = request.header(name);
            let other_scheme =
                name == "authorization" && credentials.is_some_and(|line| bearer(&line).is_none());
            if !other_scheme {
                request.remove_header(name)?;
            }
        }
        if let Some(name) = &self.cookie {
            let lines = request.header_values("cookie");
            let all = || lines.iter().flat_map(|line| cookies(line));
            let kept: Vec<&[u8]> = all().filter(|one| value_of(one, name).is_none()).collect();
            if kept.len() < all().count() {
                match kept.join(&b"; "[..]) {
                    line if line.is_empty() => request.remove_header("cookie")?,
                    line => request.set_header("cookie", line)?,
                }
            }
        }
        if let Some(name) = &self.query
            && let Some(query) = request.query()
        {
            let is_other = |pair: &&str| {
                let mut parsed = form_urlencoded::parse(pair.as_bytes());
                !parsed.any(|(other, _)| other == *name)
            };
            let kept: Vec<&str> = query.split('&').filter(is_other).collect();
            if kept.len() < query.split('&').count() {
                let query = kept.join("&");
                request.set_query(Some(query.as_str()).filter(|query| !query.is_empty()))?;
            }
        }
        Ok(())
    }
}

/// What stands behind the scheme, whose name is case-insensitive (RFC 9110, section 11.1).
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(b"bearer".len())?;
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    match token {
        [] => Some(token),
        [b' ', ..] => Some(token.trim_ascii()),
        _ => None,
    }
}

/// RFC 6265, section 4.2.1.
fn cookies(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
}

fn value_of<'a>(cookie: &'a [u8], name: &str) -> Option<&'a [u8]> {
    cookie.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// What is not UTF-8 is no token, and becomes none.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
