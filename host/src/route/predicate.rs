//! The conditions of a chain's entry on requests.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::{HeaderMap, Method};

use super::{HostPattern, PathTemplate, host};
use crate::http::target::Target;

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
    /// One of its values equals this.
    Equals(String),
    Present,
    Absent,
}

impl Predicate {
    /// Whether all tests hold. For a CORS preflight, `asked` is the method that it asks for: it counts as
    /// that method and as `OPTIONS`, so an entry for either is for it. [`super::check_path`] has checked the
    /// target's path. If servers may read path or query differently, one matching reading is enough.
    pub fn holds(
        &self,
        method: &Method,
        asked: Option<&Method>,
        host: Option<&str>,
        target: &Target,
        headers: &HeaderMap,
    ) -> bool {
        (self.methods.is_empty()
            || self.methods.contains(method)
            || asked.is_some_and(|asked| self.methods.contains(asked)))
            && (self.hosts.is_empty() || self.at_host(host))
            && self
                .path
                .as_ref()
                .is_none_or(|template| template.fits(target))
            && self
                .headers
                .iter()
                .all(|test| test.holds_of_headers(headers))
            && self
                .query
                .iter()
                .all(|test| test.holds_of_query(target.query().unwrap_or_default()))
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

    fn holds_of_query(&self, query: &str) -> bool {
        self.holds_of_pairs(form_urlencoded::parse(query.as_bytes()))
            || tollgate_readings::is_ambiguous(query) && {
                let pieces = tollgate_readings::pieces(query);
                self.holds_of_pairs(
                    pieces.flat_map(|piece| form_urlencoded::parse(piece.text.as_bytes())),
                )
            }
    }

    fn holds_of_pairs<'q>(
        &self,
        pairs: impl Iterator<Item = (Cow<'q, str>, Cow<'q, str>)>,
    ) -> bool {
        let mut values = pairs.filter(|(name, _)| *name == self.name.as_str());
        match &self.wanted {
            Wanted::Present => values.next().is_some(),
            Wanted::Absent => values.next().is_none(),
            Wanted::Equals(text) => values.any(|(_, value)| value == text.as_str()),
        }
    }
}
