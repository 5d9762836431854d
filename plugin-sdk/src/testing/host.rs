//! The host's functions as the generated bindings have them, served from what the test has set.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::sources::Depends;
use crate::Reply;
use crate::fetch::{Fetch, FetchError};
use crate::signatures::Jws;

/// A function of the test's. It may call other functions of this module, so that none is called
/// while [`HOST`] is borrowed.
pub type Script<F> = Rc<RefCell<F>>;
pub type UpstreamScript = Script<dyn FnMut(&Fetch) -> Result<Reply, FetchError>>;
pub type KeySetScript = Script<dyn FnMut(&str) -> Result<Jws, String>>;
pub type VerifierScript = Script<dyn FnMut(&str, &[u8], &[u8], &[u8]) -> Result<bool, String>>;

/// A metric's name with its labels, sorted.
pub type Series = (String, Vec<(String, String)>);

/// What one thread's tests have set and what was recorded.
#[derive(Default)]
pub struct Host {
    configuring: bool,
    /// What the hook that is being called depended on.
    pub depends: Vec<Depends>,
    pub stopped: Option<Stopped>,
    pub log: Vec<String>,
    pub secrets: BTreeMap<String, Vec<u8>>,
    pub key_sets: BTreeMap<String, KeySetScript>,
    pub verifier: Option<VerifierScript>,
    pub counters: BTreeMap<Series, u64>,
    pub histograms: BTreeMap<Series, Vec<f64>>,
    pub body_limit: Option<u64>,
    pub upstreams: BTreeMap<String, UpstreamScript>,
    pub fetched: Vec<(String, Fetch)>,
    pub kv: BTreeMap<String, super::kv::Value>,
    pub kv_fault: Option<String>,
}

/// A clock that only moves when the test says so.
#[derive(Clone, Copy)]
pub struct Stopped {
    pub unix: Duration,
    pub monotonic: Duration,
}

thread_local! {
    pub static HOST: RefCell<Host> = RefCell::default();
}

/// While it lives, a plugin is being configured.
pub struct Configuring;

impl Configuring {
    pub fn begin() -> Self {
        HOST.with_borrow_mut(|host| host.configuring = true);
        Configuring
    }
}

impl Drop for Configuring {
    fn drop(&mut self) {
        HOST.with_borrow_mut(|host| host.configuring = false);
    }
}

/// Holds plugins to what the gateway lets them call in `configure`: the answers of all other
/// functions would be frozen into every request's copy.
pub fn only_in_calls(interface: &str) {
    assert!(
        !HOST.with_borrow(|host| host.configuring),
        "`{interface}` was called in `configure`, where the gateway refuses it"
    );
}

/// What the clocks say.
pub fn now() -> Stopped {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    HOST.with_borrow(|host| host.stopped).unwrap_or_else(|| {
        let monotonic = START.get_or_init(Instant::now).elapsed();
        let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Stopped { unix, monotonic }
    })
}

pub fn series(name: &str, labels: &[(String, String)]) -> Series {
    let well_formed = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    for name in labels.iter().map(|(name, _)| name.as_str()).chain([name]) {
        assert!(
            well_formed(name),
            "`{name}` does not match [a-z][a-z0-9_]*, as names of metrics and labels must"
        );
    }
    let mut labels = labels.to_vec();
    labels.sort();
    (name.to_owned(), labels)
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
        let line = format!("{}: {message}", format!("{level:?}").to_lowercase());
        eprintln!("{line}");
        super::HOST.with_borrow_mut(|host| host.log.push(line));
    }
}

pub mod clock {
    use super::now;
    use crate::testing::sources::{Depends, note};

    pub fn unix_ms() -> u64 {
        super::only_in_calls("clock");
        note(Depends::Clock);
        u64::try_from(now().unix.as_millis()).unwrap_or(u64::MAX)
    }

    pub fn monotonic_ns() -> u64 {
        super::only_in_calls("clock");
        note(Depends::Clock);
        u64::try_from(now().monotonic.as_nanos()).unwrap_or(u64::MAX)
    }
}

pub mod random {
    use crate::testing::sources::{Depends, note};

    pub fn bytes(count: u32) -> Vec<u8> {
        super::only_in_calls("random");
        note(Depends::Random);
        assert!(count <= 4096, "at most 4,096 random bytes at once");
        let mut bytes = vec![0; count as usize];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        bytes
    }

    pub fn next_u64() -> u64 {
        super::only_in_calls("random");
        note(Depends::Random);
        getrandom::u64().expect("the system has randomness")
    }
}

pub mod crypto {
    use hmac::{Hmac, Mac};
    use sha2::{Digest, Sha256, Sha512};

    pub fn sha256(data: &[u8]) -> Vec<u8> {
        super::only_in_calls("crypto");
        Sha256::digest(data).to_vec()
    }

    pub fn sha512(data: &[u8]) -> Vec<u8> {
        super::only_in_calls("crypto");
        Sha512::digest(data).to_vec()
    }

    pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
        super::only_in_calls("crypto");
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
        mac.chain_update(data).finalize().into_bytes().to_vec()
    }

    pub fn hmac_sha512(key: &[u8], data: &[u8]) -> Vec<u8> {
        super::only_in_calls("crypto");
        let mac = Hmac::<Sha512>::new_from_slice(key).expect("any length is a key");
        mac.chain_update(data).finalize().into_bytes().to_vec()
    }

    pub fn constant_time_equal(a: &[u8], b: &[u8]) -> bool {
        super::only_in_calls("crypto");
        a == b
    }
}

pub mod signatures {
    use super::HOST;
    use crate::testing::sources::{Depends, note};

    pub fn verify_jws(token: &str, key_set: &str) -> Result<(String, Vec<u8>), String> {
        super::only_in_calls("signatures");
        note(Depends::KeySet);
        let script = HOST.with_borrow(|host| host.key_sets.get(key_set).cloned());
        let jws = match script {
            Some(script) => (script.borrow_mut())(token)?,
            None => crate::testing::token::verify(token, key_set)?,
        };
        Ok((jws.header.to_string(), jws.payload))
    }

    pub fn verify(
        algorithm: &str,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, String> {
        super::only_in_calls("signatures");
        let script = HOST
            .with_borrow(|host| host.verifier.clone())
            .ok_or("the test has set no `testing::verifier`")?;
        (script.borrow_mut())(algorithm, public_key, message, signature)
    }
}

pub mod metrics {
    use super::{HOST, series};

    pub fn counter_add(name: &str, labels: &[(String, String)], value: u64) {
        super::only_in_calls("metrics");
        let series = series(name, labels);
        HOST.with_borrow_mut(|host| *host.counters.entry(series).or_default() += value);
    }

    pub fn histogram_record(name: &str, labels: &[(String, String)], value: f64) {
        super::only_in_calls("metrics");
        let series = series(name, labels);
        HOST.with_borrow_mut(|host| host.histograms.entry(series).or_default().push(value));
    }
}

pub mod secrets {
    pub fn get(name: &str) -> Result<Vec<u8>, String> {
        super::HOST
            .with_borrow(|host| host.secrets.get(name).cloned())
            .ok_or_else(|| format!("secret `{name}` is not granted"))
    }
}

pub mod bodies {
    use super::HOST;
    use crate::testing::http::{Body, Request, RequestEdits, Response, ResponseEdits};
    use crate::testing::sources::{Depends, note};

    pub enum BodyError {
        TooLarge(u64),
        Failed(String),
    }

    fn within_grant(length: usize) -> Result<(), BodyError> {
        match HOST.with_borrow(|host| host.body_limit) {
            Some(limit) if length as u64 > limit => Err(BodyError::TooLarge(limit)),
            _ => Ok(()),
        }
    }

    fn read(body: &Body) -> Result<Vec<u8>, BodyError> {
        match body {
            Body::Whole(bytes) => within_grant(bytes.len()).map(|()| bytes.clone()),
            Body::Broken(reason) => Err(BodyError::Failed(reason.clone())),
        }
    }

    pub fn read_request(request: &Request) -> Result<Vec<u8>, BodyError> {
        note(Depends::Body);
        read(&request.0.borrow().body)
    }

    pub fn replace_request(edits: &RequestEdits, body: &[u8]) -> Result<(), BodyError> {
        within_grant(body.len())?;
        edits.0.borrow_mut().body = Body::Whole(body.to_owned());
        Ok(())
    }

    pub fn read_response(response: &Response) -> Result<Vec<u8>, BodyError> {
        read(&response.0.borrow().body)
    }

    pub fn replace_response(edits: &ResponseEdits, body: &[u8]) -> Result<(), BodyError> {
        within_grant(body.len())?;
        edits.0.borrow_mut().body = Body::Whole(body.to_owned());
        Ok(())
    }
}

pub mod fetch {
    use std::time::Duration;

    use super::{Fetch, HOST, Reply};
    pub use crate::fetch::FetchError;
    use crate::testing::http::check_header;
    use crate::testing::sources::{Depends, note};

    pub struct Outbound {
        pub method: String,
        pub target: String,
        pub headers: Vec<(String, Vec<u8>)>,
        pub body: Vec<u8>,
        pub timeout_ms: Option<u32>,
    }

    pub fn send(upstream: &str, request: &Outbound) -> Result<Reply, FetchError> {
        super::only_in_calls("fetch");
        note(Depends::Fetch);
        let request = Fetch {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            timeout: request
                .timeout_ms
                .map(|time| Duration::from_millis(time.into())),
        };
        let script = HOST.with_borrow_mut(|host| {
            let asked = (upstream.to_owned(), request.clone());
            host.fetched.push(asked);
            host.upstreams.get(upstream).cloned()
        });
        let script = script
            .ok_or_else(|| FetchError::Failed(format!("upstream `{upstream}` is not granted")))?;
        if !request.target.starts_with('/') || request.target.contains('#') {
            let reason = format!("`{}` is not a path with a query", request.target);
            return Err(FetchError::Failed(reason));
        }
        for (name, value) in &request.headers {
            check_header(name, value).map_err(FetchError::Failed)?;
        }
        (script.borrow_mut())(&request)
    }
}
