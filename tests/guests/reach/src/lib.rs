//! Does with the host's modules what the request says: the header `x-do` has steps, as JSON, and the
//! answer has what each of them told, as JSON. Without the header it passes on.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_plugin::fetch::{Answer, Fetch, FetchError};
use tollgate_plugin::{
    EditableRequest, Outcome, Plugin, Reply, RequestTransformer, Result, export, kv, metrics,
    signatures,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Steps of `configure`, as in the header.
    #[serde(default)]
    configure: Vec<Value>,
}

pub struct Reach;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    Fetch(Outbound),
    /// Key.
    Get(String),
    /// Key, value, time to live in milliseconds.
    Set(String, String, Option<u64>),
    /// Key, length of the value.
    SetLong(String, usize),
    Delete(String),
    /// Key, by how much, time to live.
    Add(String, i64, Option<u64>),
    /// Key, expected, value, time to live.
    Replace(String, Option<String>, String, Option<u64>),
    /// Adds one to a number by reading it, and replacing it until nobody was in between.
    CountByReplacing(String),
    /// Name, labels, value.
    Counter(String, Vec<(String, String)>, u64),
    Histogram(String, Vec<(String, String)>, f64),
    /// Adds 1 to series from 0 up to this number, told apart by this label.
    CounterSeries(String, String, u32),
    /// Verifies the header `x-token` against a key set.
    Jws(String),
    /// Algorithm, public key, message, signature, in hexadecimal digits but for the first.
    Verify(String, String, String, String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Outbound {
    upstream: String,
    #[serde(default = "default_method")]
    method: String,
    #[serde(default = "default_target")]
    target: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    timeout_ms: Option<u64>,
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_target() -> String {
    "/".to_owned()
}

impl Outbound {
    fn send(self) -> Value {
        let mut fetch = Fetch::new(self.method, self.target).body(self.body);
        for (name, value) in &self.headers {
            fetch = fetch.header(name, value);
        }
        if let Some(time) = self.timeout_ms {
            fetch = fetch.timeout(Duration::from_millis(time));
        }
        match fetch.send(&self.upstream) {
            Ok(answer) => answered(&answer),
            Err(FetchError::Timeout) => json!("timeout"),
            Err(FetchError::TooLarge(most)) => json!({ "too-large": most }),
            Err(FetchError::Failed(text)) => json!({ "failed": text }),
        }
    }
}

fn answered(answer: &Answer) -> Value {
    const SHOWN: usize = 1000;
    let headers = answer.headers().iter();
    let headers: Vec<Value> = headers
        .map(|(name, value)| json!([name, latin1(value)]))
        .collect();
    let body = answer.body();
    json!({
        "status": answer.status(),
        "headers": headers,
        "length": body.len(),
        "body": latin1(&body[..body.len().min(SHOWN)]),
    })
}

/// Each byte as the character of the same number.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn hex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u32> = text.chars().filter_map(|char| char.to_digit(16)).collect();
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => Ok(u8::try_from(high * 16 + low)?),
        _ => Err("an odd number of digits".into()),
    });
    bytes.collect()
}

fn told<T: serde::Serialize>(result: Result<T>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn labels(labels: &[(String, String)]) -> Vec<(&str, &str)> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

impl Step {
    fn perform(self, token: &str) -> Result<Value> {
        Ok(match self {
            Step::Fetch(outbound) => outbound.send(),
            Step::Get(key) => told(kv::get(&key).map(|value| value.map(|value| latin1(&value)))),
            Step::Set(key, value, ttl) => told(kv::set(&key, value.as_bytes(), milliseconds(ttl))),
            Step::SetLong(key, length) => told(kv::set(&key, vec![b'x'; length], None)),
            Step::Delete(key) => told(kv::delete(&key)),
            Step::Add(key, delta, ttl) => told(kv::add(&key, delta, milliseconds(ttl))),
            Step::Replace(key, expected, value, ttl) => {
                let expected = expected.as_deref().map(str::as_bytes);
                told(kv::replace(
                    &key,
                    expected,
                    value.as_bytes(),
                    milliseconds(ttl),
                ))
            }
            Step::CountByReplacing(key) => told(count_by_replacing(&key)),
            Step::Counter(name, with, value) => {
                metrics::counter_add(&name, &labels(&with), value);
                Value::Null
            }
            Step::Histogram(name, with, value) => {
                metrics::histogram_record(&name, &labels(&with), value);
                Value::Null
            }
            Step::CounterSeries(name, label, count) => {
                for number in 0..count {
                    metrics::counter_add(&name, &[(label.as_str(), &number.to_string())], 1);
                }
                Value::Null
            }
            Step::Jws(key_set) => match signatures::verify_jws(token, &key_set) {
                Ok(jws) => json!({ "header": jws.header, "payload": latin1(&jws.payload) }),
                Err(why) => json!({ "error": why.to_string() }),
            },
            Step::Verify(algorithm, key, message, signature) => {
                let (key, message, signature) = (hex(&key)?, hex(&message)?, hex(&signature)?);
                told(signatures::verify(&algorithm, &key, &message, &signature))
            }
        })
    }
}

fn milliseconds(ttl: Option<u64>) -> Option<Duration> {
    ttl.map(Duration::from_millis)
}

fn count_by_replacing(key: &str) -> Result<u64> {
    loop {
        let current = kv::get(key)?;
        let number: u64 = match &current {
            Some(value) => str::from_utf8(value)?.parse()?,
            None => 0,
        };
        let next = number + 1;
        if kv::replace(key, current.as_deref(), next.to_string().as_bytes(), None)? {
            return Ok(next);
        }
    }
}

impl Plugin for Reach {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        for step in config.configure {
            let step: Step = serde_json::from_value(step)?;
            step.perform("a.b.c")?;
        }
        Ok(Reach)
    }
}

impl RequestTransformer for Reach {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        let Some(text) = request.header("x-do") else {
            return Ok(Outcome::Next);
        };
        let steps: Vec<Step> = serde_json::from_slice(&text)?;
        let token = request.header_text("x-token").unwrap_or_default();
        let told: Result<Vec<Value>> = steps.into_iter().map(|step| step.perform(&token)).collect();
        Ok(Outcome::Respond(Reply::json(200, &told?)?))
    }
}

export!(Reach: RequestTransformer);
