//! What guests may call on messages: the host's side of the contract's `http`. The rest is in
//! `capabilities`.

use http::{Method, StatusCode, Uri};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::http as wit;
use super::state::{
    Phase, RequestEditsHandle, RequestHandle, ResponseEditsHandle, ResponseHandle, State,
};
use crate::http::exchange::{Exchange, RequestHead, ResponseHead};
use crate::http::fields::{self, Side};
use crate::limits;

type Edit = Result<Result<(), String>>;

/// What an edit is counted as: it looks at all of a message's headers, and may be of any size up to
/// their bound.
const EDIT_BYTES: usize = 4 << 10;

impl State {
    /// The message of the call in progress. Handles exist only during one, so its absence is a bug
    /// in the host, which must not become a panic in the gateway.
    fn exchange(&self) -> Result<&Exchange> {
        match &self.exchange {
            Some(exchange) => Ok(exchange),
            None => bail!("there is no message outside of a call"),
        }
    }

    fn exchange_mut(&mut self) -> Result<&mut Exchange> {
        match &mut self.exchange {
            Some(exchange) => Ok(exchange),
            None => bail!("there is no message outside of a call"),
        }
    }

    fn response(&self) -> Result<&ResponseHead> {
        match &self.exchange()?.response {
            Some(response) => Ok(response),
            None => bail!("there is no response on the way in"),
        }
    }

    /// The request, for an edit: remembers what it was, should the call fault.
    fn edit_request(&mut self) -> Result<&mut RequestHead> {
        if self.request_before.is_none() {
            self.request_before = Some(self.exchange()?.request.clone());
        }
        Ok(&mut self.exchange_mut()?.request)
    }

    /// The response, for an edit: remembers what it was, should the call fault.
    fn edit_response(&mut self) -> Result<&mut ResponseHead> {
        if self.response_before.is_none() {
            self.response_before = Some(self.response()?.clone());
        }
        match &mut self.exchange_mut()?.response {
            Some(response) => Ok(response),
            None => bail!("there is no response on the way in"),
        }
    }

    /// Counts what a host call does against the call's processor time. Every one begins with it, with
    /// the bytes that the guest handed over: they were copied before it could be refused.
    pub(super) fn works(&mut self, bytes: usize) -> Result<()> {
        match self.cpu.host_works(bytes) {
            Ok(()) => Ok(()),
            Err(_) => Err(wasmtime::Trap::Interrupt.into()),
        }
    }

    /// Refuses what must not be frozen into a snapshot.
    pub(super) fn only_in_calls(&self, import: &str) -> Result<()> {
        if self.phase != Phase::Call {
            bail!(
                "`{import}` was called during `{}`: its answer would be frozen into the snapshot; \
                 call it in a hook, or set `snapshot = false` for this plugin",
                self.phase.name()
            );
        }
        Ok(())
    }
}

fn first(headers: &http::HeaderMap, name: &str) -> Option<Vec<u8>> {
    headers.get(name).map(|value| value.as_bytes().to_vec())
}

fn values(headers: &http::HeaderMap, name: &str) -> Vec<Vec<u8>> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().to_vec())
        .collect()
}

fn names(headers: &http::HeaderMap) -> Vec<String> {
    headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect()
}

fn lines(headers: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn set_field(
    headers: &mut http::HeaderMap,
    side: Side,
    name: &str,
    value: &[u8],
) -> Result<(), String> {
    let name = fields::editable(side, name)?;
    let value = fields::value(&name, value)?;
    let replaced: usize = headers
        .get_all(&name)
        .iter()
        .map(|old| name.as_str().len() + old.len())
        .sum();
    fields::room(headers, replaced, name.as_str().len() + value.len())?;
    headers.insert(name, value);
    Ok(())
}

fn append_field(
    headers: &mut http::HeaderMap,
    side: Side,
    name: &str,
    value: &[u8],
) -> Result<(), String> {
    let name = fields::editable(side, name)?;
    let value = fields::value(&name, value)?;
    fields::room(headers, 0, name.as_str().len() + value.len())?;
    headers.append(name, value);
    Ok(())
}

fn remove_field(headers: &mut http::HeaderMap, side: Side, name: &str) -> Result<(), String> {
    headers.remove(fields::editable(side, name)?);
    Ok(())
}

/// Puts a path and a query together, within the bound on targets.
fn target(path: &str, query: Option<&str>) -> Result<Uri, String> {
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if text.len() > limits::TARGET_BYTES_MAX {
        return Err(format!(
            "the target would exceed {} bytes",
            limits::TARGET_BYTES_MAX
        ));
    }
    text.parse()
        .map_err(|error| format!("`{}`: {error}", text.escape_debug()))
}

impl wit::Host for State {}

impl wit::HostRequest for State {
    fn method(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        Ok(self.exchange()?.request.method.as_str().to_owned())
    }

    fn scheme(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        Ok(self.exchange()?.scheme.to_owned())
    }

    fn authority(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        let host = self.exchange()?.request.headers.get(http::header::HOST);
        Ok(host
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default())
    }

    fn path(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        Ok(self.exchange()?.request.uri.path().to_owned())
    }

    fn query(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        self.works(0)?;
        Ok(self.exchange()?.request.uri.query().map(str::to_owned))
    }

    fn query_parameter(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> Result<Option<String>> {
        self.works(name.len() + limits::TARGET_BYTES_MAX)?;
        let query = self.exchange()?.request.uri.query().unwrap_or_default();
        Ok(form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.into_owned()))
    }

    fn path_parameter(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> Result<Option<String>> {
        self.works(name.len())?;
        let parameters = &self.exchange()?.parameters;
        Ok(parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone()))
    }

    fn header(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<Vec<u8>>> {
        self.works(name.len())?;
        Ok(first(&self.exchange()?.request.headers, &name))
    }

    fn header_values(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Vec<Vec<u8>>> {
        self.works(name.len())?;
        Ok(values(&self.exchange()?.request.headers, &name))
    }

    fn header_names(&mut self, _: Resource<RequestHandle>) -> Result<Vec<String>> {
        self.works(0)?;
        Ok(names(&self.exchange()?.request.headers))
    }

    fn headers(&mut self, _: Resource<RequestHandle>) -> Result<Vec<(String, Vec<u8>)>> {
        self.works(0)?;
        Ok(lines(&self.exchange()?.request.headers))
    }

    fn client_address(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        Ok(self.exchange()?.client.to_string())
    }

    /// No listener asks for certificates in this release, so no client has shown one.
    fn client_certificate(&mut self, _: Resource<RequestHandle>) -> Result<Option<Vec<u8>>> {
        self.works(0)?;
        Ok(None)
    }

    fn id(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        Ok(self.exchange()?.id.clone())
    }

    fn route_name(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        self.works(0)?;
        Ok(self.exchange()?.route.to_string())
    }

    /// No configuration has variables in this release, so none is ever there.
    fn variable(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<String>> {
        self.works(name.len())?;
        Ok(None)
    }

    fn principal(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        self.works(0)?;
        let grant = self.exchange()?.grant.as_ref();
        Ok(grant.map(|grant| grant.principal.clone()))
    }

    fn usage_key(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        self.works(0)?;
        let grant = self.exchange()?.grant.as_ref();
        Ok(grant.and_then(|grant| grant.usage_key.clone()))
    }

    fn claim(&mut self, _: Resource<RequestHandle>, name: String) -> Result<Option<String>> {
        self.works(name.len())?;
        let grant = self.exchange()?.grant.as_ref();
        Ok(grant.and_then(|grant| {
            let claim = grant.claims.iter().find(|(key, _)| *key == name);
            claim.map(|(_, value)| value.clone())
        }))
    }

    fn attribute(
        &mut self,
        _: Resource<RequestHandle>,
        plugin: String,
        name: String,
    ) -> Result<Option<String>> {
        self.works(plugin.len() + name.len())?;
        let attributes = &self.exchange()?.attributes;
        Ok(attributes.of_plugin(&plugin, &name).map(str::to_owned))
    }

    fn own_attribute(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> Result<Option<String>> {
        self.works(name.len())?;
        let attributes = &self.exchange()?.attributes;
        Ok(attributes
            .of_policy(&self.identity.policy, &name)
            .map(str::to_owned))
    }

    fn set_attribute(&mut self, _: Resource<RequestHandle>, name: String, value: String) -> Edit {
        self.works(name.len() + value.len())?;
        let identity = self.identity.clone();
        let attributes = &mut self.exchange_mut()?.attributes;
        Ok(attributes.set(&identity.plugin, &identity.policy, &name, &value))
    }

    fn drop(&mut self, _: Resource<RequestHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::HostRequestEdits for State {
    fn set_method(&mut self, _: Resource<RequestEditsHandle>, method: String) -> Edit {
        self.works(EDIT_BYTES + method.len())?;
        Ok(match Method::from_bytes(method.as_bytes()) {
            Ok(Method::CONNECT) | Err(_) => Err(format!(
                "`{}` is not a method to send",
                method.escape_debug()
            )),
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
            return Ok(Err(format!("`{}`: {reason}", path.escape_debug())));
        }
        let request = self.edit_request()?;
        Ok(target(&path, request.uri.query()).map(|uri| request.uri = uri))
    }

    fn set_query(&mut self, _: Resource<RequestEditsHandle>, query: Option<String>) -> Edit {
        self.works(EDIT_BYTES + query.as_ref().map_or(0, String::len))?;
        if query.as_ref().is_some_and(|query| query.contains('#')) {
            return Ok(Err("a query has no `#`; encode it".into()));
        }
        let request = self.edit_request()?;
        Ok(target(request.uri.path(), query.as_deref()).map(|uri| request.uri = uri))
    }

    fn set_authority(&mut self, _: Resource<RequestEditsHandle>, authority: String) -> Edit {
        self.works(EDIT_BYTES + authority.len())?;
        let valid = fields::is_authority(&authority);
        let value = http::HeaderValue::try_from(&authority)
            .ok()
            .filter(|_| valid);
        Ok(match value {
            Some(value) => {
                let headers = &mut self.edit_request()?.headers;
                headers.insert(http::header::HOST, value);
                Ok(())
            }
            None => Err(format!(
                "`{}` is not a host with a port",
                authority.escape_debug()
            )),
        })
    }

    fn set_header(
        &mut self,
        _: Resource<RequestEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.works(EDIT_BYTES + name.len() + value.len())?;
        Ok(set_field(
            &mut self.edit_request()?.headers,
            Side::Request,
            &name,
            &value,
        ))
    }

    fn append_header(
        &mut self,
        _: Resource<RequestEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.works(EDIT_BYTES + name.len() + value.len())?;
        Ok(append_field(
            &mut self.edit_request()?.headers,
            Side::Request,
            &name,
            &value,
        ))
    }

    fn remove_header(&mut self, _: Resource<RequestEditsHandle>, name: String) -> Edit {
        self.works(EDIT_BYTES + name.len())?;
        Ok(remove_field(
            &mut self.edit_request()?.headers,
            Side::Request,
            &name,
        ))
    }

    fn drop(&mut self, _: Resource<RequestEditsHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::HostResponse for State {
    fn status(&mut self, _: Resource<ResponseHandle>) -> Result<u16> {
        self.works(0)?;
        Ok(self.response()?.status.as_u16())
    }

    fn header(&mut self, _: Resource<ResponseHandle>, name: String) -> Result<Option<Vec<u8>>> {
        self.works(name.len())?;
        Ok(first(&self.response()?.headers, &name))
    }

    fn header_values(&mut self, _: Resource<ResponseHandle>, name: String) -> Result<Vec<Vec<u8>>> {
        self.works(name.len())?;
        Ok(values(&self.response()?.headers, &name))
    }

    fn header_names(&mut self, _: Resource<ResponseHandle>) -> Result<Vec<String>> {
        self.works(0)?;
        Ok(names(&self.response()?.headers))
    }

    fn headers(&mut self, _: Resource<ResponseHandle>) -> Result<Vec<(String, Vec<u8>)>> {
        self.works(0)?;
        Ok(lines(&self.response()?.headers))
    }

    fn drop(&mut self, _: Resource<ResponseHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::HostResponseEdits for State {
    fn set_status(&mut self, _: Resource<ResponseEditsHandle>, status: u16) -> Edit {
        self.works(EDIT_BYTES)?;
        Ok(match StatusCode::from_u16(status) {
            Ok(code) if (200..=599).contains(&status) => {
                self.edit_response()?.status = code;
                Ok(())
            }
            _ => Err(format!("{status} is not between 200 and 599")),
        })
    }

    fn set_header(
        &mut self,
        _: Resource<ResponseEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.works(EDIT_BYTES + name.len() + value.len())?;
        Ok(set_field(
            &mut self.edit_response()?.headers,
            Side::Response,
            &name,
            &value,
        ))
    }

    fn append_header(
        &mut self,
        _: Resource<ResponseEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.works(EDIT_BYTES + name.len() + value.len())?;
        Ok(append_field(
            &mut self.edit_response()?.headers,
            Side::Response,
            &name,
            &value,
        ))
    }

    fn remove_header(&mut self, _: Resource<ResponseEditsHandle>, name: String) -> Edit {
        self.works(EDIT_BYTES + name.len())?;
        Ok(remove_field(
            &mut self.edit_response()?.headers,
            Side::Response,
            &name,
        ))
    }

    fn drop(&mut self, _: Resource<ResponseEditsHandle>) -> Result<()> {
        Ok(())
    }
}
