//! HTTP requests to upstreams of the gateway's configuration. The operator grants them:
//! `grant = { fetch = ["UPSTREAM"] }`. Not to be called in `configure`.
//!
//! ```
//! use std::time::Duration;
//! use tollgate_plugin::fetch::{Fetch, FetchError};
//! # use tollgate_plugin::{Decision, Reply, Result};
//!
//! # fn example(token: &str) -> Result<Decision> {
//! let answer = Fetch::post("/introspect")
//!     .header("content-type", "application/x-www-form-urlencoded")
//!     .body(format!("token={token}"))
//!     .timeout(Duration::from_millis(300))
//!     .send("login");
//! match answer {
//!     Ok(answer) if answer.status() == 200 => {
//!         let about: serde_json::Value = answer.json()?;
//!         Ok(Decision::allow(about["sub"].as_str().unwrap_or_default()))
//!     }
//!     Ok(_) => Ok(Decision::deny(Reply::problem(401, "this token is not known"))),
//!     Err(FetchError::Timeout) => Ok(Decision::deny(Reply::problem(503, "try again"))),
//!     Err(error) => Err(error.into()),
//! }
//! # }
//! ```

use std::time::Duration;

use super::{backing::fetch, milliseconds};
use crate::{Reply, Result};

/// A request in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Fetch {
    pub method: String,
    /// Path and query, percent-encoded, starting with `/`.
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// For the whole exchange, in whole milliseconds (a part of one counts as one). `None`: the
    /// upstream's own time-outs alone.
    pub timeout: Option<Duration>,
}

impl Fetch {
    /// A request of this method to this path, with or without a query.
    pub fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Fetch {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        }
    }

    pub fn get(target: impl Into<String>) -> Self {
        Fetch::new("GET", target)
    }

    pub fn post(target: impl Into<String>) -> Self {
        Fetch::new("POST", target)
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Makes the body this value as JSON, and says so in `content-type`.
    ///
    /// # Errors
    /// If the value cannot be written as JSON, for example a map whose keys are not strings.
    pub fn json(self, value: &impl serde::Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// Sets how long the whole exchange may take.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Sends it to the upstream of this name, and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn send(self, upstream: &str) -> Result<Answer, FetchError> {
        let outbound = fetch::Outbound {
            method: self.method,
            target: self.target,
            headers: self.headers,
            body: self.body,
            timeout_ms: self
                .timeout
                .map(|time| u32::try_from(milliseconds(time)).unwrap_or(u32::MAX)),
        };
        match fetch::send(upstream, &outbound) {
            Ok(reply) => Ok(Answer(Reply {
                status: reply.status,
                headers: reply.headers,
                body: reply.body,
            })),
            Err(fetch::FetchError::Timeout) => Err(FetchError::Timeout),
            Err(fetch::FetchError::TooLarge(limit)) => Err(FetchError::TooLarge(limit)),
            Err(fetch::FetchError::Failed(reason)) => Err(FetchError::Failed(reason)),
        }
    }
}

/// What an upstream answered. It converts into a [`Reply`], to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(Reply);

impl Answer {
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The first value of this header; names are case-insensitive.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.header_values(name).first().copied()
    }

    /// The first value of this header, if it is there and is UTF-8.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// All values of this header, in order.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        self.headers()
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect()
    }

    /// All header lines.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.0.headers
    }

    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    pub fn into_body(self) -> Vec<u8> {
        self.0.body
    }

    /// The body, read as JSON. A byte order mark before it is left out (RFC 8259, section 8.1).
    ///
    /// # Errors
    /// If it is not JSON, or not a `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let body = self.0.body.as_slice();
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        Ok(serde_json::from_slice(body)?)
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        answer.0
    }
}

/// Why there is no answer. `?` makes a fault of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// It took longer than the request's time-out or the upstream's.
    Timeout,
    /// The answer is larger than the gateway's bound, whose bytes are said.
    TooLarge(u64),
    /// Not granted, not valid, or not reachable; the text says which.
    Failed(String),
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FetchError::Timeout => f.write_str("the upstream did not answer in time"),
            FetchError::TooLarge(limit) => {
                write!(f, "the upstream's answer is larger than {limit} bytes")
            }
            FetchError::Failed(reason) => write!(f, "the fetch failed: {reason}"),
        }
    }
}

impl std::error::Error for FetchError {}
