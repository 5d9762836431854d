//! Unit tests without a gateway: messages to call hooks with, and a stand-in for the host's
//! functions.
//!
//! ```
//! use tollgate_plugin::{testing, Authorizer, Decision, Plugin, Reply, Request, Result};
//!
//! struct Doorkeeper;
//! # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Empty {}
//! impl Plugin for Doorkeeper {
//!     type Config = Empty;
//!     fn configure(_: Empty) -> Result<Self> { Ok(Doorkeeper) }
//! }
//! impl Authorizer for Doorkeeper {
//!     fn authorize(&self, request: &Request) -> Result<Decision> {
//!         match request.header("x-door") {
//!             Some(_) => Ok(Decision::allow("guest")),
//!             None => Ok(Decision::deny(Reply::new(401))),
//!         }
//!     }
//! }
//!
//! let plugin = testing::configure::<Doorkeeper>(serde_json::json!({})).unwrap();
//! let request = testing::request("GET", "/pets/7").header("x-door", "open").build();
//! assert!(plugin.authorize(&request).unwrap().is_allowed());
//! ```
//!
//! The clock and randomness are the machine's, the log goes to standard error, and secrets are those
//! given to [`secret`] in the same thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use crate::{EditableRequest, EditableResponse, Plugin, Request, Response, Result};

/// Makes a plugin from a configuration, as the gateway does.
///
/// # Errors
/// If the configuration does not fit its type, or the plugin refuses it.
pub fn configure<P: Plugin>(config: serde_json::Value) -> Result<P> {
    P::configure(serde_json::from_value(config)?)
}

/// Sets a secret for [`secrets::get`](crate::secrets::get) in this thread.
pub fn secret(name: &str, value: impl AsRef<[u8]>) {
    backing::SECRETS.with_borrow_mut(|secrets| {
        secrets.insert(name.to_owned(), value.as_ref().to_owned());
    });
}

/// Starts a request to this target (a path, with or without a query).
pub fn request(method: &str, target: &str) -> RequestBuilder {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    RequestBuilder(backing::RequestState {
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        authority: "api.example".to_owned(),
        client_address: "192.0.2.1".to_owned(),
        ..Default::default()
    })
}

/// Starts a response.
pub fn response(status: u16) -> ResponseBuilder {
    ResponseBuilder(backing::ResponseState {
        status,
        headers: Vec::new(),
    })
}

/// A request in the making; see [`request`].
#[must_use]
pub struct RequestBuilder(backing::RequestState);

impl RequestBuilder {
    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0
            .headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_owned()));
        self
    }

    /// Sets the host the client asked for; `api.example` if not called.
    pub fn authority(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.0.authority);
        self
    }

    /// Sets a parameter of the route's path template.
    pub fn path_parameter(mut self, name: &str, value: &str) -> Self {
        self.0.path_parameters.insert(name.into(), value.into());
        self
    }

    /// Sets the client's address; `192.0.2.1` if not called.
    pub fn client_address(mut self, address: &str) -> Self {
        address.clone_into(&mut self.0.client_address);
        self
    }

    /// Sets a variable of the route.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.0.variables.insert(name.into(), value.into());
        self
    }

    /// Sets the principal that an authorizer granted.
    pub fn principal(mut self, principal: &str) -> Self {
        self.0.principal = Some(principal.to_owned());
        self
    }

    /// Sets the usage key that an authorizer granted.
    pub fn usage_key(mut self, key: &str) -> Self {
        self.0.usage_key = Some(key.to_owned());
        self
    }

    /// Sets a claim that an authorizer granted.
    pub fn claim(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.0.claims.insert(name.into(), value.into().to_string());
        self
    }

    /// Sets a note of another plugin.
    pub fn attribute(mut self, plugin: &str, name: &str, value: &str) -> Self {
        self.0
            .attributes
            .insert((plugin.into(), name.into()), value.into());
        self
    }

    /// Finishes the request.
    pub fn build(self) -> TestRequest {
        TestRequest(backing::Request(Rc::new(RefCell::new(self.0))))
    }
}

/// A request to call hooks with: a [`Request`] by dereference.
pub struct TestRequest(backing::Request);

impl Deref for TestRequest {
    type Target = Request;

    fn deref(&self) -> &Request {
        Request::wrap(&self.0)
    }
}

impl TestRequest {
    /// Calls a hook that edits the request; what it did can be read from the request afterwards.
    pub fn edit<T>(&mut self, hook: impl FnOnce(&mut EditableRequest<'_>) -> T) -> T {
        let edits = backing::RequestEdits(Rc::clone(&self.0.0));
        hook(&mut EditableRequest::new(Request::wrap(&self.0), &edits))
    }
}

/// A response in the making; see [`response`].
#[must_use]
pub struct ResponseBuilder(backing::ResponseState);

impl ResponseBuilder {
    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0
            .headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_owned()));
        self
    }

    /// Finishes the response.
    pub fn build(self) -> TestResponse {
        TestResponse(backing::Response(Rc::new(RefCell::new(self.0))))
    }
}

/// A response to call hooks with: a [`Response`] by dereference.
pub struct TestResponse(backing::Response);

impl Deref for TestResponse {
    type Target = Response;

    fn deref(&self) -> &Response {
        Response::wrap(&self.0)
    }
}

impl TestResponse {
    /// Calls a hook that edits the response; what it did can be read from the response afterwards.
    pub fn edit<T>(&mut self, hook: impl FnOnce(&mut EditableResponse<'_>) -> T) -> T {
        let edits = backing::ResponseEdits(Rc::clone(&self.0.0));
        hook(&mut EditableResponse::new(Response::wrap(&self.0), &edits))
    }
}

/// The same functions as the generated bindings have, without a host behind them.
pub(crate) mod backing {
    use super::{BTreeMap, Rc, RefCell};

    type Header = (String, Vec<u8>);

    #[derive(Default)]
    pub struct RequestState {
        pub method: String,
        pub path: String,
        pub query: Option<String>,
        pub authority: String,
        pub client_address: String,
        pub headers: Vec<Header>,
        pub path_parameters: BTreeMap<String, String>,
        pub variables: BTreeMap<String, String>,
        pub principal: Option<String>,
        pub usage_key: Option<String>,
        pub claims: BTreeMap<String, String>,
        pub attributes: BTreeMap<(String, String), String>,
    }

    pub struct ResponseState {
        pub status: u16,
        pub headers: Vec<Header>,
    }

    pub struct Request(pub Rc<RefCell<RequestState>>);
    pub struct RequestEdits(pub Rc<RefCell<RequestState>>);
    pub struct Response(pub Rc<RefCell<ResponseState>>);
    pub struct ResponseEdits(pub Rc<RefCell<ResponseState>>);

    /// Fields that the host keeps to itself, as documented on the contract's `request-edits`.
    const REFUSED: [&str; 8] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
    ];

    fn values(headers: &[Header], name: &str) -> Vec<Vec<u8>> {
        headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
            .collect()
    }

    fn names(headers: &[Header]) -> Vec<String> {
        let mut names: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn check(name: &str, value: &[u8]) -> Result<(), String> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(format!("`{name}` is not a header name"));
        }
        if REFUSED.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("`{name}` belongs to the gateway"));
        }
        if value
            .iter()
            .any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
        {
            return Err(format!("the value of `{name}` has control characters"));
        }
        Ok(())
    }

    fn set(headers: &mut Vec<Header>, name: &str, value: &[u8]) -> Result<(), String> {
        check(name, value)?;
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
        Ok(())
    }

    fn append(headers: &mut Vec<Header>, name: &str, value: &[u8]) -> Result<(), String> {
        check(name, value)?;
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
        Ok(())
    }

    fn remove(headers: &mut Vec<Header>, name: &str) -> Result<(), String> {
        check(name, b"")?;
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        Ok(())
    }

    /// Decodes one part of application/x-www-form-urlencoded.
    fn decode_form(text: &str) -> String {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let hex: String = rest.clone().take(2).map(char::from).collect();
                    match u8::from_str_radix(&hex, 16) {
                        Ok(byte) if hex.len() == 2 => {
                            bytes.push(byte);
                            rest.nth(1);
                        }
                        _ => bytes.push(b'%'),
                    }
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    impl Request {
        pub fn method(&self) -> String {
            self.0.borrow().method.clone()
        }
        pub fn scheme(&self) -> String {
            "http".to_owned()
        }
        pub fn authority(&self) -> String {
            self.0.borrow().authority.clone()
        }
        pub fn path(&self) -> String {
            self.0.borrow().path.clone()
        }
        pub fn query(&self) -> Option<String> {
            self.0.borrow().query.clone()
        }
        pub fn query_parameter(&self, name: &str) -> Option<String> {
            self.0.borrow().query.as_ref()?.split('&').find_map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode_form(key) == name).then(|| decode_form(value))
            })
        }
        pub fn path_parameter(&self, name: &str) -> Option<String> {
            self.0.borrow().path_parameters.get(name).cloned()
        }
        pub fn header(&self, name: &str) -> Option<Vec<u8>> {
            values(&self.0.borrow().headers, name).into_iter().next()
        }
        pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
            values(&self.0.borrow().headers, name)
        }
        pub fn header_names(&self) -> Vec<String> {
            names(&self.0.borrow().headers)
        }
        pub fn headers(&self) -> Vec<Header> {
            self.0.borrow().headers.clone()
        }
        pub fn client_address(&self) -> String {
            self.0.borrow().client_address.clone()
        }
        pub fn client_certificate(&self) -> Option<Vec<u8>> {
            None
        }
        pub fn id(&self) -> String {
            "test-request".to_owned()
        }
        pub fn route_name(&self) -> String {
            "test-route".to_owned()
        }
        pub fn variable(&self, name: &str) -> Option<String> {
            self.0.borrow().variables.get(name).cloned()
        }
        pub fn principal(&self) -> Option<String> {
            self.0.borrow().principal.clone()
        }
        pub fn usage_key(&self) -> Option<String> {
            self.0.borrow().usage_key.clone()
        }
        pub fn claim(&self, name: &str) -> Option<String> {
            self.0.borrow().claims.get(name).cloned()
        }
        pub fn attribute(&self, plugin: &str, name: &str) -> Option<String> {
            let key = (plugin.to_owned(), name.to_owned());
            self.0.borrow().attributes.get(&key).cloned()
        }
        pub fn own_attribute(&self, name: &str) -> Option<String> {
            self.attribute("", name)
        }
        #[expect(clippy::unnecessary_wraps, reason = "the host's twin can refuse")]
        pub fn set_attribute(&self, name: &str, value: &str) -> Result<(), String> {
            let key = (String::new(), name.to_owned());
            self.0.borrow_mut().attributes.insert(key, value.to_owned());
            Ok(())
        }
    }

    impl RequestEdits {
        #[expect(clippy::unnecessary_wraps, reason = "the host's twin can refuse")]
        pub fn set_method(&self, method: &str) -> Result<(), String> {
            method.clone_into(&mut self.0.borrow_mut().method);
            Ok(())
        }
        pub fn set_path(&self, path: &str) -> Result<(), String> {
            if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
                return Err(format!(
                    "`{path}` is not an absolute path without dot segments"
                ));
            }
            path.clone_into(&mut self.0.borrow_mut().path);
            Ok(())
        }
        #[expect(clippy::unnecessary_wraps, reason = "the host's twin can refuse")]
        pub fn set_query(&self, query: Option<&str>) -> Result<(), String> {
            self.0.borrow_mut().query = query.map(str::to_owned);
            Ok(())
        }
        #[expect(clippy::unnecessary_wraps, reason = "the host's twin can refuse")]
        pub fn set_authority(&self, authority: &str) -> Result<(), String> {
            authority.clone_into(&mut self.0.borrow_mut().authority);
            Ok(())
        }
        pub fn set_header(&self, name: &str, value: &[u8]) -> Result<(), String> {
            set(&mut self.0.borrow_mut().headers, name, value)
        }
        pub fn append_header(&self, name: &str, value: &[u8]) -> Result<(), String> {
            append(&mut self.0.borrow_mut().headers, name, value)
        }
        pub fn remove_header(&self, name: &str) -> Result<(), String> {
            remove(&mut self.0.borrow_mut().headers, name)
        }
    }

    impl Response {
        pub fn status(&self) -> u16 {
            self.0.borrow().status
        }
        pub fn header(&self, name: &str) -> Option<Vec<u8>> {
            values(&self.0.borrow().headers, name).into_iter().next()
        }
        pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
            values(&self.0.borrow().headers, name)
        }
        pub fn header_names(&self) -> Vec<String> {
            names(&self.0.borrow().headers)
        }
        pub fn headers(&self) -> Vec<Header> {
            self.0.borrow().headers.clone()
        }
    }

    impl ResponseEdits {
        pub fn set_status(&self, status: u16) -> Result<(), String> {
            if !(200..=599).contains(&status) {
                return Err(format!("{status} is not between 200 and 599"));
            }
            self.0.borrow_mut().status = status;
            Ok(())
        }
        pub fn set_header(&self, name: &str, value: &[u8]) -> Result<(), String> {
            set(&mut self.0.borrow_mut().headers, name, value)
        }
        pub fn append_header(&self, name: &str, value: &[u8]) -> Result<(), String> {
            append(&mut self.0.borrow_mut().headers, name, value)
        }
        pub fn remove_header(&self, name: &str) -> Result<(), String> {
            remove(&mut self.0.borrow_mut().headers, name)
        }
    }

    thread_local! {
        pub static SECRETS: RefCell<BTreeMap<String, Vec<u8>>> =
            const { RefCell::new(BTreeMap::new()) };
    }

    pub mod secrets {
        pub fn get(name: &str) -> Result<Vec<u8>, String> {
            super::SECRETS
                .with_borrow(|secrets| secrets.get(name).cloned())
                .ok_or_else(|| format!("secret `{name}` is not granted"))
        }
    }

    pub mod log {
        #[derive(Debug)]
        pub enum Level {
            Debug,
            Info,
            Warn,
            Error,
        }

        pub fn write(level: Level, message: &str) {
            eprintln!("{level:?}: {message}");
        }
    }

    pub mod clock {
        use std::time::{Instant, SystemTime};

        pub fn unix_ms() -> u64 {
            let elapsed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        }

        pub fn monotonic_ns() -> u64 {
            static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
            let elapsed = START.get_or_init(Instant::now).elapsed();
            u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
        }
    }

    pub mod random {
        pub fn bytes(count: u32) -> Vec<u8> {
            assert!(count <= 4096, "at most 4,096 random bytes at once");
            let mut bytes = vec![0; count as usize];
            getrandom::fill(&mut bytes).expect("the system has randomness");
            bytes
        }

        pub fn next_u64() -> u64 {
            getrandom::u64().expect("the system has randomness")
        }
    }

    pub mod crypto {
        use hmac::{Hmac, Mac};
        use sha2::{Digest, Sha256, Sha512};

        pub fn sha256(data: &[u8]) -> Vec<u8> {
            Sha256::digest(data).to_vec()
        }

        pub fn sha512(data: &[u8]) -> Vec<u8> {
            Sha512::digest(data).to_vec()
        }

        pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
            let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
            mac.chain_update(data).finalize().into_bytes().to_vec()
        }

        pub fn hmac_sha512(key: &[u8], data: &[u8]) -> Vec<u8> {
            let mac = Hmac::<Sha512>::new_from_slice(key).expect("any length is a key");
            mac.chain_update(data).finalize().into_bytes().to_vec()
        }

        pub fn constant_time_equal(a: &[u8], b: &[u8]) -> bool {
            a == b
        }
    }
}
