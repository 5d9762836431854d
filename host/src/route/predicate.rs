//! Which requests a chain's entry is for.

#[cfg(test)]
mod tests;

use http::{HeaderMap, Method};

use super::{HostPattern, PathTemplate, host};

/// Tests on a request, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Predicate {
    /// Empty: any.
    pub methods: Vec<Method>,
    /// Empty: any.
    pub hosts: Vec<HostPattern>,
    pub path: Option<PathTemplate>,
    /// Names are in lower case.
    pub headers: Vec<FieldTest>,
    /// Names are decoded.
    pub query: Vec<FieldTest>,
}

/// A test on a header field or a query parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTest {
    pub name: String,
    pub wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// One of its values is this.
    Equals(String),
    Present,
    Absent,
}

impl Predicate {
    /// `path` is the request's, checked by [`super::check_path`] and still percent-encoded; `query`
    /// is what stands behind the `?`.
    pub fn holds(
        &self,
        method: &Method,
        host: Option<&str>,
        path: &str,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> bool {
        (self.methods.is_empty() || self.methods.contains(method))
            && (self.hosts.is_empty() || self.at_host(host))
            && self
                .path
                .as_ref()
                .is_none_or(|template| template.fits(path))
            && self
                .headers
                .iter()
                .all(|test| test.holds_of_headers(headers))
            && self.query.iter().all(|test| test.holds_of_query(query))
    }

    fn at_host(&self, host: Option<&str>) -> bool {
        let Some(host) = host.map(host::normal) else {
            return false;
        };
        self.hosts.iter().any(|pattern| pattern.fits(&host))
    }
}

impl FieldTest {
    fn holds_of_headers(&self, headers: &HeaderMap) -> bool {
        match &self.wanted {
            Wanted::Present => headers.contains_key(self.name.as_str()),
            Wanted::Absent => !headers.contains_key(self.name.as_str()),
            Wanted::Equals(text) => {
                let values = headers.get_all(self.name.as_str());
                values
                    .iter()
                    .any(|value| value.as_bytes() == text.as_bytes())
            }
        }
    }

    fn holds_of_query(&self, query: Option<&str>) -> bool {
        let pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes());
        let mut values = pairs.filter(|(name, _)| *name == self.name.as_str());
        match &self.wanted {
            Wanted::Present => values.next().is_some(),
            Wanted::Absent => values.next().is_none(),
            Wanted::Equals(text) => values.any(|(_, value)| value == text.as_str()),
        }
    }
}
