//! What a test sets before a call, and reads after it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::host::{HOST, Host, now, series};
use crate::Reply;
use crate::fetch::{Fetch, FetchError};
use crate::signatures::Jws;

/// Forgets everything that was set or recorded in this thread.
pub fn reset() {
    HOST.set(Host::default());
}

/// Sets a secret for [`secrets::get`](crate::secrets::get).
pub fn secret(name: &str, value: impl AsRef<[u8]>) {
    HOST.with_borrow_mut(|host| {
        host.secrets
            .insert(name.to_owned(), value.as_ref().to_owned())
    });
}

/// Stops the clock at this time after 1970-01-01T00:00:00Z. [`advance`] moves it on.
///
/// ```
/// use std::time::Duration;
/// use tollgate_plugin::{clock, testing};
///
/// testing::set_clock(Duration::from_secs(1_700_000_000));
/// testing::advance(Duration::from_millis(1500));
/// assert_eq!(clock::since_epoch(), Duration::from_millis(1_700_000_001_500));
/// ```
pub fn set_clock(since_epoch: Duration) {
    let mut stopped = now();
    stopped.unix = since_epoch;
    HOST.with_borrow_mut(|host| host.stopped = Some(stopped));
}

/// Moves both clocks on, stopping them first if they still run. Values in
/// [`kv`](crate::kv) end by it.
pub fn advance(time: Duration) {
    let mut stopped = now();
    stopped.unix += time;
    stopped.monotonic += time;
    HOST.with_borrow_mut(|host| host.stopped = Some(stopped));
}

/// The lines that were logged, each after its level: `warn: the key is old`.
#[must_use]
pub fn logged() -> Vec<String> {
    HOST.with_borrow(|host| host.log.clone())
}

/// Lets this function answer for a key set, in place of accepting what [`token`](super::token()) made
/// for it.
///
/// ```
/// use tollgate_plugin::{signatures, testing};
///
/// testing::key_set("partners", |_| Err("the key set is not loaded".into()));
/// let refused = signatures::verify_jws("e30.e30.AA", "partners").unwrap_err();
/// assert_eq!(refused.to_string(), "the key set is not loaded");
/// ```
pub fn key_set(name: &str, verify: impl FnMut(&str) -> Result<Jws, String> + 'static) {
    HOST.with_borrow_mut(|host| {
        host.key_sets
            .insert(name.to_owned(), Rc::new(RefCell::new(verify)))
    });
}

/// Lets this function answer for [`signatures::verify`](crate::signatures::verify), with its
/// arguments: algorithm, public key, message, signature.
pub fn verifier(verify: impl FnMut(&str, &[u8], &[u8], &[u8]) -> Result<bool, String> + 'static) {
    HOST.with_borrow_mut(|host| host.verifier = Some(Rc::new(RefCell::new(verify))));
}

/// What was added to a counter so far. The order of labels does not matter.
///
/// ```
/// use tollgate_plugin::{metrics, testing};
///
/// metrics::counter_add("rejected_total", &[("reason", "expired")], 1);
/// assert_eq!(testing::counter("rejected_total", &[("reason", "expired")]), 1);
/// assert_eq!(testing::counter("rejected_total", &[]), 0);
/// ```
#[must_use]
pub fn counter(name: &str, labels: &[(&str, &str)]) -> u64 {
    let series = series(name, &owned(labels));
    HOST.with_borrow(|host| host.counters.get(&series).copied().unwrap_or_default())
}

/// The values that were recorded in a histogram so far.
#[must_use]
pub fn histogram(name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    let series = series(name, &owned(labels));
    HOST.with_borrow(|host| host.histograms.get(&series).cloned().unwrap_or_default())
}

fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Sets how many bytes of a body the operator granted; without a call any number.
///
/// ```
/// use tollgate_plugin::{BodyError, testing};
///
/// testing::body_limit(4);
/// let request = testing::request("POST", "/").body("hello").build();
/// assert_eq!(request.read_body(), Err(BodyError::TooLarge(4)));
/// ```
pub fn body_limit(bytes: u64) {
    HOST.with_borrow_mut(|host| host.body_limit = Some(bytes));
}

/// Grants an upstream to [`fetch`](crate::fetch), and lets this function answer for it.
///
/// ```
/// use tollgate_plugin::fetch::{Fetch, FetchError};
/// use tollgate_plugin::{Reply, testing};
///
/// testing::upstream("users", |request| match request.target.as_str() {
///     "/alice" => Ok(Reply::new(200).body("gold")),
///     "/slow" => Err(FetchError::Timeout),
///     _ => Ok(Reply::new(404)),
/// });
/// assert_eq!(Fetch::get("/alice").send("users").unwrap().body(), b"gold");
/// assert_eq!(Fetch::get("/slow").send("users"), Err(FetchError::Timeout));
/// ```
pub fn upstream(name: &str, answer: impl FnMut(&Fetch) -> Result<Reply, FetchError> + 'static) {
    HOST.with_borrow_mut(|host| {
        host.upstreams
            .insert(name.to_owned(), Rc::new(RefCell::new(answer)))
    });
}

/// Grants an upstream to [`fetch`](crate::fetch), and gives it these answers, one for each request;
/// after the last it fails.
///
/// ```
/// use tollgate_plugin::fetch::{Fetch, FetchError};
/// use tollgate_plugin::{Reply, testing};
///
/// testing::answers("users", [Err(FetchError::Timeout), Ok(Reply::new(200))]);
/// assert!(Fetch::get("/a").send("users").is_err());
/// assert!(Fetch::get("/b").send("users").is_ok());
///
/// let asked: Vec<_> = testing::fetched().into_iter().map(|(_, request)| request.target).collect();
/// assert_eq!(asked, ["/a", "/b"]);
/// ```
pub fn answers<I>(name: &str, answers: I)
where
    I: IntoIterator<Item = Result<Reply, FetchError>>,
    I::IntoIter: 'static,
{
    let mut answers = answers.into_iter();
    upstream(name, move |_| {
        answers
            .next()
            .unwrap_or_else(|| Err(FetchError::Failed("the test has no more answers".into())))
    });
}

/// What was fetched so far: the upstream's name, and the request.
#[must_use]
pub fn fetched() -> Vec<(String, Fetch)> {
    HOST.with_borrow(|host| host.fetched.clone())
}

/// Lets every call of [`kv`](crate::kv) fail with this reason, until it is called with `None`.
///
/// ```
/// use tollgate_plugin::{kv, testing};
///
/// kv::set("seen", "yes", None).unwrap();
/// testing::kv_fault(Some("the store does not answer"));
/// assert!(kv::get("seen").is_err());
/// testing::kv_fault(None);
/// assert_eq!(kv::get("seen").unwrap().as_deref(), Some(&b"yes"[..]));
/// ```
pub fn kv_fault(reason: Option<&str>) {
    HOST.with_borrow_mut(|host| host.kv_fault = reason.map(str::to_owned));
}
