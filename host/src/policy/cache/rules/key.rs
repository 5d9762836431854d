//! The keys that responses are stored under (RFC 9111, section 2), and the other targets that a response
//! refers to.

use std::sync::Arc;

use http::{HeaderValue, Uri};

/// The whole key of a response in an unambiguous encoding, compared in full.
pub type StoreKey = Arc<[u8]>;

const STANDARD: u8 = 0;
const KEYED: u8 = 1;

/// A target URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub scheme: String,
    /// In lower case, without the scheme's own port.
    pub authority: String,
    pub path_and_query: String,
}

impl Target {
    pub fn new(scheme: &str, authority: &str, path_and_query: &str) -> Target {
        let scheme = scheme.to_ascii_lowercase();
        let authority = authority.to_ascii_lowercase();
        let port = if scheme == "https" { ":443" } else { ":80" };
        let authority = match authority.strip_suffix(port) {
            Some(host) => host.to_owned(),
            None => authority,
        };
        let path_and_query = match path_and_query {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        Target {
            scheme,
            authority,
            path_and_query,
        }
    }

    pub fn key(&self, namespace: &str) -> StoreKey {
        let parts = [&self.scheme, &self.authority, &self.path_and_query];
        write(namespace, STANDARD, parts.into_iter())
    }

    /// Returns the target of a `Location` or `Content-Location` in a response of this target (RFC 3986,
    /// section 5.2), if it has the same origin: a response may not invalidate another origin's (RFC 9111,
    /// section 4.4).
    pub fn refer(&self, reference: &HeaderValue) -> Option<Target> {
        let reference = reference.to_str().ok()?.trim();
        let reference = reference.split('#').next()?;
        if let Some((before, _)) = reference.split_once(':')
            && !before.contains(['/', '?'])
        {
            let uri: Uri = reference.parse().ok()?;
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let other = Target::new(uri.scheme_str()?, uri.authority()?.as_str(), path);
            let same = other.scheme == self.scheme && other.authority == self.authority;
            return same.then_some(other);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            let absolute = HeaderValue::from_str(&format!("{}://{rest}", self.scheme)).ok()?;
            return self.refer(&absolute);
        }
        let own = self.path_and_query.split('?').next()?;
        let whole = match reference.as_bytes().first() {
            None => self.path_and_query.clone(),
            Some(b'/') => reference.to_owned(),
            Some(b'?') => format!("{own}{reference}"),
            Some(_) => {
                let folder = &own[..own.rfind('/').map_or(0, |slash| slash + 1)];
                format!("{folder}{reference}")
            }
        };
        let (path, query) = match whole.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (whole.as_str(), None),
        };
        let mut path = without_dots(path);
        if let Some(query) = query {
            path.push('?');
            path.push_str(query);
        }
        Some(Target::new(&self.scheme, &self.authority, &path))
    }
}

pub fn keyed(namespace: &str, parts: &[String]) -> StoreKey {
    write(namespace, KEYED, parts.iter())
}

/// Returns the namespace of a key.
pub fn namespace(key: &StoreKey) -> &[u8] {
    &split(key).0[4..]
}

/// Returns a key without its namespace.
pub fn within(key: &StoreKey) -> &[u8] {
    split(key).1
}

/// Cannot panic: [`write`] begins every key with this length.
fn split(key: &StoreKey) -> (&[u8], &[u8]) {
    let length = u32::from_be_bytes([key[0], key[1], key[2], key[3]]);
    key.split_at(4 + length as usize)
}

/// Writes each part after its length, so that no two lists are written alike.
fn write<'a>(
    namespace: &str,
    kind: u8,
    parts: impl Iterator<Item = &'a String> + Clone,
) -> StoreKey {
    let length: usize = parts.clone().map(|part| 4 + part.len()).sum();
    let mut key = Vec::with_capacity(5 + namespace.len() + length);
    let put = |key: &mut Vec<u8>, text: &str| {
        // Names and targets are bounded far below 4 GiB.
        key.extend((text.len() as u32).to_be_bytes());
        key.extend(text.as_bytes());
    };
    put(&mut key, namespace);
    key.push(kind);
    parts.for_each(|part| put(&mut key, part));
    key.into()
}

/// RFC 3986, section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let parts = |parts: &[&str]| {
            parts
                .iter()
                .map(|part| part.to_string())
                .collect::<Vec<_>>()
        };
        let keys = [
            keyed("n", &parts(&["ab", "c"])),
            keyed("n", &parts(&["a", "bc"])),
            keyed("n", &parts(&["abc"])),
            keyed("n", &parts(&[])),
            keyed("na", &parts(&["bc"])),
            keyed("n", &parts(&["http", "h", "/"])),
            Target::new("http", "h", "/").key("n"),
            Target::new("http", "h", "/?").key("n"),
            Target::new("https", "h", "/").key("n"),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| one != other), "{at}");
        }
        assert_eq!(namespace(&keys[4]), b"na");
        assert_eq!(
            within(&keys[0]),
            within(&keyed("other", &parts(&["ab", "c"])))
        );
    }

    #[test]
    fn one_target_is_written_one_way() {
        let one = Target::new("http", "Example.com:80", "/A");
        assert_eq!(one, Target::new("HTTP", "example.com", "/A"));
        assert_ne!(one, Target::new("http", "example.com", "/a"));
        assert_ne!(one, Target::new("http", "example.com:443", "/A"));
        assert_eq!(Target::new("https", "h:443", "").path_and_query, "/");
    }

    /// RFC 3986, section 5.4, for references that have an origin.
    #[test]
    fn references() {
        let base = Target::new("http", "a", "/b/c/d;p?q");
        for (reference, path) in [
            ("http://A/x#f", Some("/x")),
            ("http://a:80", Some("/")),
            ("http://b/x", None),
            ("https://a/x", None),
            ("mailto:a", None),
            ("//a/g", Some("/g")),
            ("//g", None),
            ("/g", Some("/g")),
            ("g", Some("/b/c/g")),
            ("./g", Some("/b/c/g")),
            ("g/", Some("/b/c/g/")),
            ("?y", Some("/b/c/d;p?y")),
            ("g?y", Some("/b/c/g?y")),
            ("", Some("/b/c/d;p?q")),
            ("#s", Some("/b/c/d;p?q")),
            (".", Some("/b/c/")),
            ("..", Some("/b/")),
            ("../g", Some("/b/g")),
            ("../../../g", Some("/g")),
            ("g?y/../x", Some("/b/c/g?y/../x")),
        ] {
            let value = HeaderValue::from_str(reference).unwrap();
            let found = base.refer(&value);
            assert_eq!(
                found.as_ref().map(|target| target.path_and_query.as_str()),
                path,
                "{reference}"
            );
        }
    }
}
