//! What guests may call: the host's side of the contract's imports.

use http::{Method, StatusCode, Uri};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::{clock, crypto, http as wit, log, random, secrets};
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

/// A guest's text for the log: without control characters, so that it can neither begin a line that
/// looks like another's, nor speak to a terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => line.push_str("\\n"),
            character if character.is_control() => line.push(char::REPLACEMENT_CHARACTER),
            character => line.push(character),
        }
    }
    line
}

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
        self.works(EDIT_BYTES)?;
        if self.request_before.is_none() {
            self.request_before = Some(self.exchange()?.request.clone());
        }
        Ok(&mut self.exchange_mut()?.request)
    }

    /// The response, for an edit: remembers what it was, should the call fault.
    fn edit_response(&mut self) -> Result<&mut ResponseHead> {
        self.works(EDIT_BYTES)?;
        if self.response_before.is_none() {
            self.response_before = Some(self.response()?.clone());
        }
        match &mut self.exchange_mut()?.response {
            Some(response) => Ok(response),
            None => bail!("there is no response on the way in"),
        }
    }

    /// Counts what a host call does against the call's processor time.
    fn works(&mut self, bytes: usize) -> Result<()> {
        match self.cpu.host_works(bytes) {
            Ok(()) => Ok(()),
            Err(_) => Err(wasmtime::Trap::Interrupt.into()),
        }
    }

    /// Refuses what must not be frozen into a snapshot.
    fn only_in_calls(&self, import: &str) -> Result<()> {
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
        Ok(self.exchange()?.request.method.as_str().to_owned())
    }

    fn scheme(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.exchange()?.scheme.to_owned())
    }

    fn authority(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        let host = self.exchange()?.request.headers.get(http::header::HOST);
        Ok(host
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default())
    }

    fn path(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.exchange()?.request.uri.path().to_owned())
    }

    fn query(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        Ok(self.exchange()?.request.uri.query().map(str::to_owned))
    }

    fn query_parameter(
        &mut self,
        _: Resource<RequestHandle>,
        name: String,
    ) -> Result<Option<String>> {
        self.works(limits::TARGET_BYTES_MAX)?;
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
        Ok(names(&self.exchange()?.request.headers))
    }

    fn headers(&mut self, _: Resource<RequestHandle>) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(lines(&self.exchange()?.request.headers))
    }

    fn client_address(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.exchange()?.client.to_string())
    }

    /// No listener asks for certificates in this release, so no client has shown one.
    fn client_certificate(&mut self, _: Resource<RequestHandle>) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn id(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.exchange()?.id.clone())
    }

    fn route_name(&mut self, _: Resource<RequestHandle>) -> Result<String> {
        Ok(self.exchange()?.route.to_string())
    }

    /// No configuration has variables in this release, so none is ever there.
    fn variable(&mut self, _: Resource<RequestHandle>, _name: String) -> Result<Option<String>> {
        Ok(None)
    }

    fn principal(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
        let grant = self.exchange()?.grant.as_ref();
        Ok(grant.map(|grant| grant.principal.clone()))
    }

    fn usage_key(&mut self, _: Resource<RequestHandle>) -> Result<Option<String>> {
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
        self.works(name.len())?;
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
        if query.as_ref().is_some_and(|query| query.contains('#')) {
            return Ok(Err("a query has no `#`; encode it".into()));
        }
        let request = self.edit_request()?;
        Ok(target(request.uri.path(), query.as_deref()).map(|uri| request.uri = uri))
    }

    fn set_authority(&mut self, _: Resource<RequestEditsHandle>, authority: String) -> Edit {
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
        Ok(append_field(
            &mut self.edit_request()?.headers,
            Side::Request,
            &name,
            &value,
        ))
    }

    fn remove_header(&mut self, _: Resource<RequestEditsHandle>, name: String) -> Edit {
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
        Ok(names(&self.response()?.headers))
    }

    fn headers(&mut self, _: Resource<ResponseHandle>) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(lines(&self.response()?.headers))
    }

    fn drop(&mut self, _: Resource<ResponseHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::HostResponseEdits for State {
    fn set_status(&mut self, _: Resource<ResponseEditsHandle>, status: u16) -> Edit {
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
        Ok(append_field(
            &mut self.edit_response()?.headers,
            Side::Response,
            &name,
            &value,
        ))
    }

    fn remove_header(&mut self, _: Resource<ResponseEditsHandle>, name: String) -> Edit {
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

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.works(message.len())?;
        let left = limits::LOG_CALL_BYTES_MAX.saturating_sub(self.log.spent);
        let length = message.len().min(left).min(limits::LOG_MESSAGE_BYTES_MAX);
        let kept = &message[..message.floor_char_boundary(length)];
        self.log.dropped += message.len() - kept.len();
        self.log.spent += kept.len() + limits::LOG_LINE_OVERHEAD_BYTES;
        if left == 0 {
            return Ok(());
        }
        let kept = &one_line(kept);
        if level == log::Level::Error {
            self.log.last_error = Some(kept.clone());
        }
        let plugin = &*self.identity.plugin;
        let policy = &*self.identity.policy;
        let request = self.exchange.as_ref().map_or("", |exchange| &exchange.id);
        match level {
            log::Level::Debug => {
                tracing::debug!(target: "plugin", plugin, policy, request, "{kept}")
            }
            log::Level::Info => tracing::info!(target: "plugin", plugin, policy, request, "{kept}"),
            log::Level::Warn => tracing::warn!(target: "plugin", plugin, policy, request, "{kept}"),
            log::Level::Error => {
                tracing::error!(target: "plugin", plugin, policy, request, "{kept}")
            }
        }
        Ok(())
    }
}

impl clock::Host for State {
    fn unix_ms(&mut self) -> Result<u64> {
        self.only_in_calls("clock.unix-ms")?;
        self.works(0)?;
        let elapsed = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic_ns(&mut self) -> Result<u64> {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        self.only_in_calls("clock.monotonic-ns")?;
        self.works(0)?;
        Ok(u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl random::Host for State {
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>> {
        self.only_in_calls("random.bytes")?;
        self.works(count as usize)?;
        if count > limits::RANDOM_BYTES_MAX {
            bail!(
                "{count} random bytes at once; at most {} are given",
                limits::RANDOM_BYTES_MAX
            );
        }
        let mut bytes = vec![0; count as usize];
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            bail!("the system has no randomness");
        }
        Ok(bytes)
    }

    fn next_u64(&mut self) -> Result<u64> {
        self.only_in_calls("random.next-u64")?;
        self.works(0)?;
        let mut bytes = [0; 8];
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            bail!("the system has no randomness");
        }
        Ok(u64::from_le_bytes(bytes))
    }
}

impl crypto::Host for State {
    fn sha256(&mut self, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.sha256")?;
        self.works(data.len())?;
        Ok(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &data)
            .as_ref()
            .to_vec())
    }

    fn sha512(&mut self, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.sha512")?;
        self.works(data.len())?;
        Ok(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &data)
            .as_ref()
            .to_vec())
    }

    fn hmac_sha256(&mut self, key: Vec<u8>, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.hmac-sha256")?;
        self.works(key.len() + data.len())?;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        Ok(aws_lc_rs::hmac::sign(&key, &data).as_ref().to_vec())
    }

    fn hmac_sha512(&mut self, key: Vec<u8>, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.hmac-sha512")?;
        self.works(key.len() + data.len())?;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, &key);
        Ok(aws_lc_rs::hmac::sign(&key, &data).as_ref().to_vec())
    }

    fn constant_time_equal(&mut self, a: Vec<u8>, b: Vec<u8>) -> Result<bool> {
        self.only_in_calls("crypto.constant-time-equal")?;
        self.works(a.len() + b.len())?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&a, &b).is_ok())
    }
}

impl secrets::Host for State {
    fn get(&mut self, name: String) -> Result<Result<Vec<u8>, String>> {
        if self.phase == Phase::Describe {
            bail!("`secrets.get` was called during `describe`");
        }
        self.secret_was_read = true;
        self.works(name.len())?;
        Ok(self.secrets.get(&name).map(<[u8]>::to_vec))
    }
}
