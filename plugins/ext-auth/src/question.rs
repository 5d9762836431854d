//! What the service is asked.

use std::time::Duration;

use tollgate_plugin::fetch::Fetch;
use tollgate_plugin::{Request, Result};

pub struct Question {
    path: Path,
    method: Method,
    /// In lower case.
    headers: Vec<String>,
    /// What of the request is told in headers of the gateway's own.
    said: Vec<Said>,
    timeout: Duration,
}

enum Path {
    Fixed(String),
    /// Before the request's own.
    Prefix(String),
}

pub enum Method {
    Fixed(String),
    Original,
}

/// What the gateway says of the request, as `x-forwarded-` and this name: those that Traefik gave them. A
/// client cannot send these: they are never copied from it.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    Method,
    Proto,
    Host,
    Uri,
    For,
}

impl Said {
    pub const ALL: [Said; 5] = [Said::Method, Said::Proto, Said::Host, Said::Uri, Said::For];

    fn header(self) -> &'static str {
        match self {
            Said::Method => "x-forwarded-method",
            Said::Proto => "x-forwarded-proto",
            Said::Host => "x-forwarded-host",
            Said::Uri => "x-forwarded-uri",
            Said::For => "x-forwarded-for",
        }
    }

    fn of(self, request: &Request) -> String {
        match self {
            Said::Method => request.method(),
            Said::Proto => request.scheme(),
            Said::Host => request.authority(),
            Said::Uri => own(request),
            Said::For => request.client_address(),
        }
    }
}

/// The request's path and query.
fn own(request: &Request) -> String {
    match request.query() {
        Some(query) => format!("{}?{query}", request.path()),
        None => request.path(),
    }
}

impl Method {
    pub fn new(name: &str) -> Result<Method, String> {
        let wrong = |why: &str| Err(format!("`method`: {name:?} {why}"));
        if name == "original" {
            return Ok(Method::Original);
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return wrong("is no method; they have capital letters. `original` is the request's");
        }
        if ["CONNECT", "HEAD", "TRACE"].contains(&name) {
            return wrong("has no answer with a body that could be read");
        }
        Ok(Method::Fixed(name.to_owned()))
    }

    fn of(&self, request: &Request) -> String {
        match self {
            Method::Fixed(name) => name.clone(),
            Method::Original => match request.method() {
                // Its answer would have no body, and so perhaps no principal.
                method if method == "HEAD" => "GET".to_owned(),
                method => method,
            },
        }
    }
}

impl Question {
    pub fn new(
        path: Option<String>,
        prefix: Option<String>,
        method: Method,
        headers: Vec<String>,
        said: Vec<Said>,
        timeout: Duration,
    ) -> Result<Question, String> {
        let is_said = |name: &&String| Said::ALL.iter().any(|said| said.header() == **name);
        if let Some(name) = headers.iter().find(is_said) {
            return Err(format!(
                "`headers`: `{name}` is not taken from the client: the gateway says it, as named in \
                 `x-forwarded`"
            ));
        }
        let is_target = |text: &str| {
            text.starts_with('/')
                && text
                    .bytes()
                    .all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'#')
        };
        let path = match (path, prefix) {
            (Some(_), Some(_)) => {
                return Err("`path` and `path-prefix` are both given: one path is asked".into());
            }
            (Some(path), None) if is_target(&path) => Path::Fixed(path),
            (Some(path), None) => {
                return Err(format!("`path`: {path:?} is no path, such as \"/verify\""));
            }
            (None, Some(prefix)) if prefix.is_empty() => Path::Prefix(prefix),
            (None, Some(prefix)) if is_target(&prefix) && !prefix.contains('?') => {
                Path::Prefix(prefix.trim_end_matches('/').to_owned())
            }
            (None, Some(prefix)) => {
                return Err(format!(
                    "`path-prefix`: {prefix:?} is no path, such as \"/auth\""
                ));
            }
            (None, None) => return Err("give a `path`, or a `path-prefix`".into()),
        };
        Ok(Question {
            path,
            method,
            headers,
            said,
            timeout,
        })
    }

    /// Asks the request for nothing but what the service is told, since a remembered answer holds for
    /// requests that are alike in what was asked.
    pub fn about(&self, request: &Request) -> Fetch {
        let target = match &self.path {
            Path::Fixed(path) => path.clone(),
            Path::Prefix(prefix) => format!("{prefix}{}", own(request)),
        };
        let mut fetch = Fetch::new(self.method.of(request), target).timeout(self.timeout);
        for name in &self.headers {
            for value in request.header_values(name) {
                fetch = fetch.header(name, value);
            }
        }
        for said in &self.said {
            fetch = fetch.header(said.header(), said.of(request));
        }
        fetch
    }
}
