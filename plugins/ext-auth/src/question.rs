//! What the service is asked.

use std::time::Duration;

use tollgate_plugin::fetch::Fetch;
use tollgate_plugin::{Request, Result};

pub struct Question {
    path: Path,
    method: Method,
    /// In lower case.
    headers: Vec<String>,
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

/// What the gateway says of the request, under the names that Traefik gave them. A client cannot send
/// these: they are never copied from it.
const SAID: [&str; 5] = [
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-uri",
    "x-forwarded-for",
];

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
        timeout: Duration,
    ) -> Result<Question, String> {
        if let Some(name) = headers.iter().find(|name| SAID.contains(&name.as_str())) {
            return Err(format!(
                "`headers`: `{name}` is always sent, and says what is true"
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
            timeout,
        })
    }

    pub fn about(&self, request: &Request) -> Fetch {
        let own = match request.query() {
            Some(query) => format!("{}?{query}", request.path()),
            None => request.path(),
        };
        let target = match &self.path {
            Path::Fixed(path) => path.clone(),
            Path::Prefix(prefix) => format!("{prefix}{own}"),
        };
        let mut fetch = Fetch::new(self.method.of(request), target).timeout(self.timeout);
        for name in &self.headers {
            for value in request.header_values(name) {
                fetch = fetch.header(name, value);
            }
        }
        let said = [
            request.method(),
            request.scheme(),
            request.authority(),
            own,
            request.client_address(),
        ];
        for (name, value) in SAID.iter().zip(said) {
            fetch = fetch.header(name, value);
        }
        fetch
    }
}
