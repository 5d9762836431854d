//! The target of a request.

use std::sync::OnceLock;

use http::Uri;
use tollgate_readings::Readings;

use super::owned;
use crate::limits::message::TARGET_BYTES_MAX;
use crate::quote::quoted;

/// A path and a query: the one form in which routes, conditions, plugins, cache, log and upstream see
/// what a client asked for (origin-form: RFC 9112, section 3.2.1). The path begins with a slash.
#[derive(Debug, Clone)]
pub struct Target {
    uri: Uri,
    readings: OnceLock<Readings>,
}

impl Target {
    /// Returns the target of a request line. One with scheme and host (absolute-form) has a path, and an
    /// empty one is `/` (RFC 9110, section 4.2.3). `None` for the other forms, `*` and a host with a port.
    pub fn of_request(uri: &Uri) -> Option<Target> {
        if !uri.path().starts_with('/') {
            return None;
        }
        if uri.scheme().is_none() && uri.authority().is_none() {
            return Some(Target::from(uri.clone()));
        }
        let text = match uri.query() {
            Some(query) => format!("{}?{query}", uri.path()),
            None => uri.path().to_owned(),
        };
        text.parse().ok().map(Target::from)
    }

    /// Puts a path and a query together.
    ///
    /// # Errors
    /// If it is too long or not a target, in words for a plugin's author.
    pub fn new(path: &str, query: Option<&str>) -> Result<Target, String> {
        let text = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        if text.len() > TARGET_BYTES_MAX {
            return Err(format!("the target would exceed {TARGET_BYTES_MAX} bytes"));
        }
        if !path.starts_with('/') {
            return Err(format!("{} does not begin with a slash", quoted(path)));
        }
        // It would be dropped, and the target be another one than was written (RFC 9112, section 3.2).
        if text.contains('#') {
            return Err(format!("{} has a fragment; write `%23`", quoted(&text)));
        }
        let uri = text.parse().map(Target::from);
        uri.map_err(|error| format!("{}: {error}", quoted(&text)))
    }

    pub fn root() -> Target {
        Target::from(Uri::from_static("/"))
    }

    /// Returns a copy in its own memory, which may outlive the exchange.
    pub fn owned(&self) -> Target {
        Target::from(owned::path_and_query(&self.uri))
    }

    fn from(uri: Uri) -> Target {
        Target {
            uri,
            readings: OnceLock::new(),
        }
    }

    /// Returns the URI, without scheme and host.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns the part after the `?`.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// Returns the ways in which lenient servers may read the path.
    pub fn readings(&self) -> &Readings {
        self.readings
            .get_or_init(|| tollgate_readings::paths(self.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_one_form() {
        for (sent, target) in [
            ("/", "/"),
            ("/a?b", "/a?b"),
            ("//a/b", "//a/b"),
            ("http://a", "/"),
            ("http://a/", "/"),
            ("http://a#x", "/"),
            ("http://a?", "/?"),
            ("http://a?b#x", "/?b"),
            ("http://a?#x", "/?"),
            ("http://a/#x", "/"),
            ("HTTPS://a:1/b?c#d", "/b?c"),
            ("http://a//b", "//b"),
        ] {
            let uri: Uri = sent.parse().unwrap();
            let made = Target::of_request(&uri).unwrap();
            assert_eq!(made.uri().to_string(), target, "{sent}");
            assert_eq!(Some(made.uri()), target.parse().ok().as_ref(), "{sent}");
            assert!(made.path().starts_with('/'), "{sent}");
        }
        for sent in ["*", "a:80", "a"] {
            let uri: Uri = sent.parse().unwrap();
            assert!(Target::of_request(&uri).is_none(), "{sent}");
        }
    }

    #[test]
    fn is_put_together() {
        let text = |path, query| Target::new(path, query).map(|it| it.uri().to_string());
        assert_eq!(text("/a", Some("b=c")), Ok("/a?b=c".to_owned()));
        assert_eq!(text("//a", None), Ok("//a".to_owned()));
        for (path, query) in [
            ("", None),
            ("a", None),
            ("*", None),
            ("/ ", None),
            ("/", Some(" ")),
            ("/a#b", None),
            ("/a", Some("b#c")),
        ] {
            assert!(Target::new(path, query).is_err(), "{path:?} {query:?}");
        }
        assert!(Target::new("/", Some(&"x".repeat(TARGET_BYTES_MAX))).is_err());
    }
}
