//! What guests may call on a request.

use std::borrow::Cow;

use http::{HeaderName, Method};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::http as wit;
use super::edits::{Edit, lines};
use super::reads::Dependence;
use super::state::{RequestEditsHandle, RequestHandle, State};
use crate::http::facts::Fact;
use crate::http::fields;
use crate::http::side::Side;
use crate::http::target::Target;
use crate::limits;
use crate::limits::plugin::EDIT_BYTES;
use crate::quote::quoted;

/// The header that has the request's identifier, unless an entry before changed it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl State {
    /// Whether `x-request-id` is the request's own identifier, which no other request has: a decision
    /// that hung on it would be kept and never used.
    fn shows_id(&self) -> Result<bool> {
        let exchange = self.exchange()?;
        let shown = exchange.request.headers.get(REQUEST_ID);
        Ok(shown.is_some_and(|shown| shown.as_bytes() == exchange.id.as_bytes()))
    }

    fn looks_at_header(&mut self, name: &str, fact: fn(String) -> Fact) -> Result<()> {
        if name.eq_ignore_ascii_case(REQUEST_ID.as_str()) && self.shows_id()? {
            self.depends_on(Dependence::Id);
        }
        self.looks_at(|| fact(name.to_owned()));
        Ok(())
    }
}

impl wit::HostRequest for State {
    fn method(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        self.looks_at(|| Fact::Method);
        Ok(self.facts()?.method().to_owned())
    }

    fn scheme(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        self.looks_at(|| Fact::Scheme);
        Ok(self.facts()?.scheme().to_owned())
    }

    fn authority(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        self.looks_at(|| Fact::Authority);
        Ok(self.facts()?.authority().to_owned())
    }

    fn path(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        self.looks_at(|| Fact::Path);
        Ok(self.facts()?.path().to_owned())
    }

    fn query(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        self.works(0)?;
        self.looks_at(|| Fact::Query);
        Ok(self.facts()?.query().map(str::to_owned))
    }

    fn query_parameter(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> Result<Option<String>> {
        self.works(name.len() + limits::message::TARGET_BYTES_MAX)?;
        self.looks_at(|| Fact::QueryParameter(name.clone()));
        Ok(self.facts()?.query_parameter(&name).map(Cow::into_owned))
    }

    fn path_parameter(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> Result<Option<String>> {
        self.works(name.len())?;
        self.looks_at(|| Fact::PathParameter(name.clone()));
        Ok(self.facts()?.path_parameter(&name).map(str::to_owned))
    }

    fn header(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<Vec<u8>>> {
        self.works(name.len())?;
        self.looks_at_header(&name, Fact::Header)?;
        Ok(self.facts()?.header(&name).map(<[u8]>::to_vec))
    }

    fn header_values(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Vec<Vec<u8>>> {
        self.works(name.len())?;
        self.looks_at_header(&name, Fact::HeaderValues)?;
        Ok(self
            .facts()?
            .header_values(&name)
            .map(<[u8]>::to_vec)
            .collect())
    }

    fn header_names(&mut self, _: Resource<RequestHandle>) -> Result<Vec<String>> {
        self.works(0)?;
        self.looks_at(|| Fact::HeaderNames);
        Ok(self.facts()?.header_names().map(str::to_owned).collect())
    }

    fn headers(&mut self, _: Resource<RequestHandle>) -> Result<Vec<(String, Vec<u8>)>> {
        self.works(0)?;
        self.looks_at(|| Fact::Headers);
        if self.shows_id()? {
            self.depends_on(Dependence::Id);
        }
        Ok(lines(&self.exchange()?.request.headers))
    }

    fn client_address(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        self.looks_at(|| Fact::ClientAddress);
        Ok(self.facts()?.client_address())
    }

    fn client_certificate(&mut self, _: Resource<RequestHandle>) -> Result<Option<Vec<u8>>> {
        self.works(0)?;
        self.looks_at(|| Fact::ClientCertificate);
        Ok(self.facts()?.client_certificate().map(<[u8]>::to_vec))
    }

    fn id(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        self.depends_on(Dependence::Id);
        Ok(self.exchange()?.id.to_string())
    }

    fn route_name(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        self.looks_at(|| Fact::RouteName);
        Ok(self.facts()?.route_name().to_owned())
    }

    fn variable(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<String>> {
        self.works(name.len())?;
        self.looks_at(|| Fact::Variable(name.clone()));
        Ok(self.facts()?.variable(&name).map(str::to_owned))
    }

    fn principal(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        self.works(0)?;
        self.looks_at(|| Fact::Principal);
        Ok(self.facts()?.principal().map(str::to_owned))
    }

    fn usage_key(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        self.works(0)?;
        self.looks_at(|| Fact::UsageKey);
        Ok(self.facts()?.usage_key().map(str::to_owned))
    }

    fn claim(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<String>> {
        self.works(name.len())?;
        self.looks_at(|| Fact::Claim(name.clone()));
        Ok(self.facts()?.claim(&name).map(str::to_owned))
    }

    fn attribute(
        &mut self,
        _: Resource<RequestHandle>,
        plugin: String,
        name: String,
    ) -> Result<Option<String>> {
        self.works(plugin.len() + name.len())?;
        self.looks_at(|| Fact::Attribute {
            plugin: plugin.clone(),
            name: name.clone(),
        });
        Ok(self.facts()?.attribute(&plugin, &name).map(str::to_owned))
    }

    fn own_attribute(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> Result<Option<String>> {
        self.works(name.len())?;
        self.looks_at(|| Fact::OwnAttribute(name.clone()));
        let policy = &self.identity.policy;
        Ok(self
            .facts()?
            .own_attribute(policy, &name)
            .map(str::to_owned))
    }

    fn set_attribute(&mut self, _: Resource<RequestHandle>, name: String, value: String) -> Edit {
        self.works(name.len() + value.len())?;
        let identity = self.identity.clone();
        let Some(exchange) = &mut self.exchange else {
            bail!("there is no message outside of a call");
        };
        self.undo.attributes(&exchange.attributes);
        let set = exchange
            .attributes
            .set(&identity.plugin, &identity.policy, &name, &value);
        match (&mut self.reads, &set) {
            (Some(reads), Ok(())) => reads.wrote(&name, &value),
            // It hung on how much others wrote.
            (Some(reads), Err(_)) => reads.depends_on(Dependence::Notes),
            (None, _) => {}
        }
        Ok(set)
    }

    fn drop(&mut self, _: Resource<RequestHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::HostRequestEdits for State {
    fn set_method(&mut self, _: Resource<RequestEditsHandle>, method: String) -> Edit {
        self.works(EDIT_BYTES + method.len())?;
        Ok(match Method::from_bytes(method.as_bytes()) {
            Ok(Method::CONNECT) | Err(_) => {
                Err(format!("{} is not a method to send", quoted(&method)))
            }
            Ok(method) => {
                self.edit_request()?.method = method;
                Ok(())
            }
        })
    }

    fn set_path(&mut self, _: Resource<RequestEditsHandle>, path: String) -> Edit {
        self.works(EDIT_BYTES + path.len())?;
        if path.contains(['?', '#']) {
            return Ok(Err(
                "a path has no `?` or `#`; encode them, or see `set-query`".into(),
            ));
        }
        if let Err(reason) = crate::route::check_path(&path) {
            return Ok(Err(format!("{}: {reason}", quoted(&path))));
        }
        let request = self.edit_request()?;
        Ok(Target::new(&path, request.target.query()).map(|target| request.target = target))
    }

    fn set_query(&mut self, _: Resource<RequestEditsHandle>, query: Option<String>) -> Edit {
        self.works(EDIT_BYTES + query.as_ref().map_or(0, String::len))?;
        if query.as_ref().is_some_and(|query| query.contains('#')) {
            return Ok(Err("a query has no `#`; encode it".into()));
        }
        let request = self.edit_request()?;
        let target = Target::new(request.target.path(), query.as_deref());
        Ok(target.map(|target| request.target = target))
    }

    fn set_authority(&mut self, _: Resource<RequestEditsHandle>, authority: String) -> Edit {
        self.works(EDIT_BYTES + authority.len())?;
        let valid = fields::is_authority(&authority);
        let value = http::HeaderValue::try_from(&authority)
            .ok()
            .filter(|_| valid);
        Ok(match value {
            Some(value) => {
                self.edit_request()?.set_authority(value);
                Ok(())
            }
            None => Err(format!("{} is not a host with a port", quoted(&authority))),
        })
    }

    fn set_header(
        &mut self,
        _: Resource<RequestEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.set_field(Side::Request, &name, &value)
    }

    fn append_header(
        &mut self,
        _: Resource<RequestEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.append_field(Side::Request, &name, &value)
    }

    fn remove_header(&mut self, _: Resource<RequestEditsHandle>, name: String) -> Edit {
        self.remove_field(Side::Request, &name)
    }

    fn drop(&mut self, _: Resource<RequestEditsHandle>) -> Result<()> {
        Ok(())
    }
}
