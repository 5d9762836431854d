//! The messages as the generated bindings have them, without a host behind them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

type Header = (String, Vec<u8>);

#[derive(Clone)]
pub enum Body {
    Whole(Vec<u8>),
    /// It cannot be read, for this reason.
    Broken(String),
}

impl Default for Body {
    fn default() -> Self {
        Body::Whole(Vec::new())
    }
}

#[derive(Clone, Default)]
pub struct RequestState {
    pub method: String,
    pub scheme: String,
    pub path: String,
    pub query: Option<String>,
    pub authority: String,
    pub client_address: String,
    pub client_certificate: Option<Vec<u8>>,
    pub id: String,
    pub route_name: String,
    pub headers: Vec<Header>,
    /// The names of those that plugins wrote, in lower case.
    pub written: Vec<String>,
    pub body: Body,
    pub path_parameters: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
    pub principal: Option<String>,
    pub usage_key: Option<String>,
    pub claims: BTreeMap<String, String>,
    pub attributes: BTreeMap<(String, String), String>,
}

#[derive(Clone)]
pub struct ResponseState {
    pub status: u16,
    pub headers: Vec<Header>,
    pub body: Body,
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

/// Whether it is a header line of HTTP.
pub fn check_header(name: &str, value: &[u8]) -> Result<(), String> {
    if !is_token(name) {
        return Err(format!("`{name}` is not a header name"));
    }
    if value
        .iter()
        .any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
    {
        return Err(format!("the value of `{name}` has control characters"));
    }
    Ok(())
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

fn check(name: &str, value: &[u8]) -> Result<(), String> {
    check_header(name, value)?;
    if REFUSED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("`{name}` belongs to the gateway"));
    }
    Ok(())
}

fn not_host(name: &str) -> Result<(), String> {
    if name.eq_ignore_ascii_case("host") {
        return Err("`host` is set as the authority".into());
    }
    Ok(())
}

/// Whether two names are the same where every character that is no letter or digit is `-`.
fn reads_alike(one: &str, other: &str) -> bool {
    let read = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => byte.to_ascii_lowercase(),
        false => b'-',
    };
    one.bytes().map(read).eq(other.bytes().map(read))
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~')
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
                let mut digits = rest.clone().map(|digit| char::from(digit).to_digit(16));
                match (digits.next().flatten(), digits.next().flatten()) {
                    (Some(high), Some(low)) => {
                        bytes.push((high << 4 | low) as u8);
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
        self.0.borrow().scheme.clone()
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
        self.0.borrow().client_certificate.clone()
    }
    pub fn id(&self) -> String {
        self.0.borrow().id.clone()
    }
    pub fn route_name(&self) -> String {
        self.0.borrow().route_name.clone()
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
    pub fn set_method(&self, method: &str) -> Result<(), String> {
        if !is_token(method) {
            return Err(format!("`{method}` is not a method's name"));
        }
        method.clone_into(&mut self.0.borrow_mut().method);
        Ok(())
    }
    pub fn set_path(&self, path: &str) -> Result<(), String> {
        if !path.bytes().all(is_visible) || path.contains(['?', '#']) {
            return Err(format!(
                "`{path}` has characters that must be percent-encoded"
            ));
        }
        if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(format!(
                "`{path}` is not an absolute path without dot segments"
            ));
        }
        path.clone_into(&mut self.0.borrow_mut().path);
        Ok(())
    }
    pub fn set_query(&self, query: Option<&str>) -> Result<(), String> {
        if query.is_some_and(|query| !query.bytes().all(is_visible) || query.contains('#')) {
            return Err("the query has characters that must be percent-encoded".into());
        }
        self.0.borrow_mut().query = query.map(str::to_owned);
        Ok(())
    }
    pub fn set_authority(&self, authority: &str) -> Result<(), String> {
        if authority.is_empty()
            || !authority.bytes().all(is_visible)
            || authority.contains(['/', '?', '#', '@'])
        {
            return Err(format!("`{authority}` is not a host with an optional port"));
        }
        authority.clone_into(&mut self.0.borrow_mut().authority);
        Ok(())
    }
    pub fn set_header(&self, name: &str, value: &[u8]) -> Result<(), String> {
        not_host(name)?;
        set(&mut self.0.borrow_mut().headers, name, value)?;
        self.remove_shadows(name);
        Ok(())
    }
    pub fn append_header(&self, name: &str, value: &[u8]) -> Result<(), String> {
        not_host(name)?;
        append(&mut self.0.borrow_mut().headers, name, value)?;
        self.remove_shadows(name);
        Ok(())
    }
    pub fn remove_header(&self, name: &str) -> Result<(), String> {
        not_host(name)?;
        remove(&mut self.0.borrow_mut().headers, name)?;
        self.remove_shadows(name);
        Ok(())
    }

    /// What the client sent under a name that reads as this one goes, as the contract has it.
    fn remove_shadows(&self, name: &str) {
        let state = &mut *self.0.borrow_mut();
        let name = name.to_ascii_lowercase();
        let is_there = state.headers.iter().any(|(other, _)| *other == name);
        state.written.retain(|written| *written != name);
        let written = &state.written;
        state.headers.retain(|(other, _)| {
            *other == name || written.contains(other) || !reads_alike(other, &name)
        });
        if is_there {
            state.written.push(name);
        }
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

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn an_edit_also_removes_what_reads_the_same() {
        let mut request = testing::request("GET", "/")
            .header("x_user", "client")
            .header("X.Both", "client")
            .header("x_other", "client")
            .build();
        request.edit(|request| {
            request.set_header("x-user", "1").unwrap();
            request.set_header("x-both", "1").unwrap();
            request.set_header("x_both", "2").unwrap();
            request.remove_header("x.user").unwrap();
        });
        let mut headers = request.headers();
        headers.sort();
        let headers: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        assert_eq!(
            headers,
            [
                ("x-both", &b"1"[..]),
                ("x-user", b"1"),
                ("x_both", b"2"),
                ("x_other", b"client"),
            ]
        );
    }
}
