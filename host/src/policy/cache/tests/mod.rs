//! Whole exchanges with the cache, against a simulated origin.

mod abuse;
mod admission;
mod again;
mod bodies;
mod collapse;
mod exchanges;
mod kept;
mod obsolete;
mod stale;
mod suite;
mod waiting;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::bodies::body::CacheBody;
use super::{
    Cache, CacheRequest, Fill, Filled, Found, KeyMode, Retention, Served, Settings, Storage,
};
use crate::http::body::BoxBody;

const NAMESPACE: &str = "policy";

/// The time at which all tests begin: a full second, as in dates.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn after(seconds: u64) -> SystemTime {
    start() + Duration::from_secs(seconds)
}

/// The date this many seconds after the start.
fn date(seconds: i64) -> String {
    let offset = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        start() - offset
    } else {
        start() + offset
    };
    httpdate::fmt_http_date(time)
}

fn settings() -> Settings {
    Settings {
        bytes_max: 64 << 20,
        entry_bytes_max: 1 << 20,
    }
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(name, value);
    }
    headers
}

/// A request.
#[derive(Clone)]
struct Ask {
    method: Method,
    path: String,
    headers: HeaderMap,
    mode: KeyMode,
    at: SystemTime,
}

fn get(path: &str) -> Ask {
    Ask {
        method: Method::GET,
        path: path.to_owned(),
        headers: HeaderMap::new(),
        mode: KeyMode::Standard,
        at: start(),
    }
}

impl Ask {
    fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.extend(headers(&[(name, value)]));
        self
    }

    fn keyed(mut self, parts: &[&str]) -> Self {
        self.mode = KeyMode::Keyed(parts.iter().map(|part| part.to_string()).collect());
        self
    }

    fn at(mut self, seconds: u64) -> Self {
        self.at = after(seconds);
        self
    }

    async fn look(&self, cache: &Arc<Cache>) -> Found {
        let uri: Uri = self.path.parse().unwrap();
        let request = CacheRequest {
            method: &self.method,
            uri: &uri,
            scheme: "http",
            authority: "example.com",
            headers: &self.headers,
        };
        let mode = self.mode.clone();
        cache.lookup(&request, mode, NAMESPACE, self.at).await
    }
}

/// The origin's response.
#[derive(Clone)]
struct Says {
    status: StatusCode,
    headers: HeaderMap,
    body: &'static str,
    storage: Storage,
    /// The upstream failed, and the gateway made this response.
    gateway_error: bool,
}

fn says(fields: &[(&str, &str)]) -> Says {
    Says {
        status: StatusCode::OK,
        headers: headers(fields),
        body: "hello",
        storage: Storage::Standard,
        gateway_error: false,
    }
}

impl Says {
    fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap();
        self
    }

    fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    fn gateway_error(mut self) -> Self {
        self.gateway_error = true;
        self
    }

    fn answer(self, fill: Fill, at: SystemTime) -> Served {
        let (feed, body) = channel(Some(self.body.len()));
        feed.send(Ok(Bytes::from_static(self.body.as_bytes())))
            .unwrap();
        let Says {
            status,
            headers,
            storage,
            gateway_error,
            ..
        } = self;
        fill.answered(status, headers, body, storage, gateway_error, at)
    }
}

impl Fill {
    /// The way out of a response that is of use.
    #[track_caller]
    fn answered(
        self,
        status: StatusCode,
        headers: HeaderMap,
        body: BoxBody,
        storage: Storage,
        gateway_error: bool,
        now: SystemTime,
    ) -> Served {
        match self.answer(status, headers, body, storage, gateway_error, now) {
            Filled::Served(answer) => answer,
            Filled::AskAgain(_) => panic!("the origin is asked again"),
        }
    }
}

/// The response that the client got.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
    /// The request that reached the origin.
    forwarded: Option<(Method, HeaderMap)>,
}

impl Got {
    fn is_cached(&self) -> bool {
        self.forwarded.is_none()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn cache_status(&self) -> &str {
        self.field("cache-status").unwrap()
    }

    /// A field of the request that reached the origin.
    fn forwarded(&self, name: &str) -> Option<&str> {
        let (_, headers) = self.forwarded.as_ref().unwrap();
        headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// One whole exchange, with the origin's response if it is asked.
async fn exchange(cache: &Arc<Cache>, ask: &Ask, says: Says) -> Got {
    let prepare = |fill: &Fill| {
        let (mut method, mut headers) = (ask.method.clone(), ask.headers.clone());
        fill.prepare(&mut method, &mut headers);
        (method, headers)
    };
    let (answer, forwarded) = match ask.look(cache).await {
        Found::Served(answer) => (answer, None),
        Found::AnswerAndRevalidate(answer, fill) => {
            let forwarded = prepare(&fill);
            let unread = says.answer(fill, ask.at);
            drop(unread);
            settle().await;
            (answer, Some(forwarded))
        }
        Found::Fetch(fill) => {
            let forwarded = prepare(&fill);
            (says.answer(fill, ask.at), Some(forwarded))
        }
        Found::Pass(pass) => {
            let mut headers = says.headers;
            pass.answer(says.status, &mut headers);
            let forwarded = (ask.method.clone(), ask.headers.clone());
            return Got {
                status: says.status.as_u16(),
                headers,
                body: says.body.to_owned(),
                forwarded: Some(forwarded),
            };
        }
    };
    let body = read(answer.body).await.unwrap();
    Got {
        status: answer.status.as_u16(),
        headers: answer.headers,
        body: String::from_utf8(body).unwrap(),
        forwarded,
    }
}

/// Lets all other tasks run until they wait.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

async fn read(mut body: CacheBody) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(data) = next(&mut body).await? {
        all.extend_from_slice(&data);
    }
    Ok(all)
}

async fn next(body: &mut CacheBody) -> io::Result<Option<Bytes>> {
    let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
    Ok(frame.transpose()?.and_then(|frame| frame.into_data().ok()))
}

type Feed = mpsc::UnboundedSender<io::Result<Bytes>>;

/// A body that the test feeds. It ends when the feed is dropped, and closes the feed when it is dropped.
fn channel(length: Option<usize>) -> (Feed, BoxBody) {
    let (feed, fed) = mpsc::unbounded_channel();
    (feed, Box::pin(Fed { fed, length }))
}

struct Fed {
    fed: mpsc::UnboundedReceiver<io::Result<Bytes>>,
    length: Option<usize>,
}

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let data = std::task::ready!(self.fed.poll_recv(context));
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length as u64),
            None => SizeHint::default(),
        }
    }
}

/// A plugin keeps it this long, and stale for 2 and 20 seconds more.
fn retain(fresh: u64, tags: &[&str]) -> Storage {
    Storage::Retain(Retention {
        fresh: Duration::from_secs(fresh),
        stale_while_revalidate: Duration::from_secs(2),
        stale_if_error: Duration::from_secs(20),
        tags: tags.iter().map(|tag| tag.to_string()).collect(),
        without: Vec::new(),
    })
}
