//! The getters of a request: one method for every getter of `request` in `wit/http.wit`, and each getter as a
//! value, so that the answers of two requests can be compared.
//!
//! Guests get their answers from the same methods, so that a remembered decision depends on nothing but what
//! the guest saw.

#[cfg(test)]
pub mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::exchange::{Attributes, Caller, Exchange, RequestHead};
use crate::limits::decisions::LOOK_UP_BYTES;

/// One getter, with its arguments. `id` is not among them: it never gives the same value twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    Method,
    Scheme,
    Authority,
    Path,
    Query,
    QueryParameter(String),
    PathParameter(String),
    Header(String),
    HeaderValues(String),
    HeaderNames,
    Headers,
    ClientAddress,
    ClientCertificate,
    RouteName,
    Variable(String),
    Principal,
    UsageKey,
    Claim(String),
    Attribute { plugin: String, name: String },
    OwnAttribute(String),
}

impl Fact {
    /// Returns the length of the names in it, in bytes.
    pub fn name_bytes(&self) -> usize {
        match self {
            Fact::QueryParameter(name)
            | Fact::PathParameter(name)
            | Fact::Header(name)
            | Fact::HeaderValues(name)
            | Fact::Variable(name)
            | Fact::Claim(name)
            | Fact::OwnAttribute(name) => name.len(),
            Fact::Attribute { plugin, name } => plugin.len() + name.len(),
            _ => 0,
        }
    }

    /// Whether an authorizer's own visit can change it, by a note that it writes or a caller that it grants.
    pub fn changes_in_a_visit(&self) -> bool {
        matches!(
            self,
            Fact::Principal
                | Fact::UsageKey
                | Fact::Claim(_)
                | Fact::Attribute { .. }
                | Fact::OwnAttribute(_)
        )
    }
}

/// A view of a request for its getters.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'e> {
    scheme: &'static str,
    client: Option<IpAddr>,
    route: &'e str,
    variables: &'e BTreeMap<String, String>,
    parameters: &'e [(String, String)],
    request: &'e RequestHead,
    caller: Option<&'e Caller>,
    attributes: &'e Attributes,
}

impl<'e> Facts<'e> {
    pub fn of(exchange: &'e Exchange) -> Self {
        Facts {
            scheme: exchange.scheme,
            client: exchange.client,
            route: &exchange.route,
            variables: &exchange.variables,
            parameters: &exchange.parameters,
            request: &exchange.request,
            caller: exchange.caller.as_ref(),
            attributes: &exchange.attributes,
        }
    }

    pub fn method(self) -> &'e str {
        self.request.method.as_str()
    }

    pub fn scheme(self) -> &'static str {
        self.scheme
    }

    pub fn authority(self) -> &'e str {
        self.request.authority().unwrap_or_default()
    }

    pub fn path(self) -> &'e str {
        self.request.target.path()
    }

    pub fn query(self) -> Option<&'e str> {
        self.request.target.query()
    }

    pub fn query_parameter(self, name: &str) -> Option<Cow<'e, str>> {
        let query = self.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    pub fn path_parameter(self, name: &str) -> Option<&'e str> {
        find(self.parameters, name)
    }

    pub fn header(self, name: &str) -> Option<&'e [u8]> {
        let value = self.request.headers.get(name)?;
        Some(value.as_bytes())
    }

    pub fn header_values(self, name: &str) -> impl Iterator<Item = &'e [u8]> {
        let values = self.request.headers.get_all(name).into_iter();
        values.map(|value| value.as_bytes())
    }

    pub fn header_names(self) -> impl Iterator<Item = &'e str> {
        self.request.headers.keys().map(|name| name.as_str())
    }

    pub fn headers(self) -> impl Iterator<Item = (&'e str, &'e [u8])> {
        let lines = self.request.headers.iter();
        lines.map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// Returns the address, or `unknown` (RFC 7239, section 6.2), which is in no network.
    pub fn client_address(self) -> String {
        match self.client {
            Some(address) => address.to_string(),
            None => "unknown".to_owned(),
        }
    }

    /// Returns `None`: no listener asks for client certificates in this release.
    pub fn client_certificate(self) -> Option<&'e [u8]> {
        None
    }

    pub fn route_name(self) -> &'e str {
        self.route
    }

    pub fn variable(self, name: &str) -> Option<&'e str> {
        self.variables.get(name).map(String::as_str)
    }

    pub fn principal(self) -> Option<&'e str> {
        self.caller.map(|caller| caller.principal.as_str())
    }

    pub fn usage_key(self) -> Option<&'e str> {
        self.caller.and_then(|caller| caller.usage_key.as_deref())
    }

    pub fn claim(self, name: &str) -> Option<&'e str> {
        find(&self.caller?.claims, name)
    }

    pub fn attribute(self, plugin: &str, name: &str) -> Option<&'e str> {
        self.attributes.of_plugin(plugin, name)
    }

    pub fn own_attribute(self, policy: &str, name: &str) -> Option<&'e str> {
        self.attributes.of_policy(policy, name)
    }

    /// Feeds a fact's value for this request to `sink`, in pieces. For one fact, two values give the same
    /// bytes only if they are equal: absent and present ones differ, and lengths come before texts. `policy`
    /// is the one whose own attributes are meant.
    pub fn feed(self, fact: &Fact, policy: &str, sink: impl FnMut(&[u8])) {
        let mut framed = Framed { sink };
        match fact {
            Fact::Method => framed.text(self.method()),
            Fact::Scheme => framed.text(self.scheme()),
            Fact::Authority => framed.text(self.authority()),
            Fact::Path => framed.text(self.path()),
            Fact::Query => framed.maybe(self.query()),
            Fact::QueryParameter(name) => framed.maybe(self.query_parameter(name).as_deref()),
            Fact::PathParameter(name) => framed.maybe(self.path_parameter(name)),
            Fact::Header(name) => framed.maybe(self.header(name)),
            Fact::HeaderValues(name) => framed.list(self.header_values(name)),
            Fact::HeaderNames => framed.list(self.header_names().map(str::as_bytes)),
            Fact::Headers => {
                let lines = self.headers();
                framed.list(lines.flat_map(|(name, value)| [name.as_bytes(), value]));
            }
            Fact::ClientAddress => framed.text(&self.client_address()),
            Fact::ClientCertificate => framed.maybe(self.client_certificate()),
            Fact::RouteName => framed.text(self.route_name()),
            Fact::Variable(name) => framed.maybe(self.variable(name)),
            Fact::Principal => framed.maybe(self.principal()),
            Fact::UsageKey => framed.maybe(self.usage_key()),
            Fact::Claim(name) => framed.maybe(self.claim(name)),
            Fact::Attribute { plugin, name } => framed.maybe(self.attribute(plugin, name)),
            Fact::OwnAttribute(name) => framed.maybe(self.own_attribute(policy, name)),
        }
    }

    /// Returns about how many bytes are read to find a fact's value, beside the value itself.
    pub fn effort(self, fact: &Fact) -> usize {
        match fact {
            Fact::QueryParameter(_) => LOOK_UP_BYTES + self.query().map_or(0, str::len),
            _ => LOOK_UP_BYTES,
        }
    }
}

fn find<'e>(pairs: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let (_, value) = pairs.iter().find(|(key, _)| key == name)?;
    Some(value)
}

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// Writes values so that none is the beginning of another.
struct Framed<S> {
    sink: S,
}

impl<S: FnMut(&[u8])> Framed<S> {
    fn text(&mut self, text: &str) {
        self.maybe(Some(text));
    }

    fn maybe(&mut self, value: Option<impl AsRef<[u8]>>) {
        match value {
            None => (self.sink)(&[ABSENT]),
            Some(value) => {
                let value = value.as_ref();
                (self.sink)(&[PRESENT]);
                (self.sink)(&(value.len() as u64).to_le_bytes());
                (self.sink)(value);
            }
        }
    }

    /// Writes all of them, and an end mark.
    fn list<'v>(&mut self, values: impl Iterator<Item = &'v [u8]>) {
        for value in values {
            self.maybe(Some(value));
        }
        self.maybe(None::<&[u8]>);
    }
}
