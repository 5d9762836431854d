//! The admin listener, on a loopback address: `/healthz`, `/metrics`, `DELETE /cache`, which purges, and
//! `POST /reload`. One request for each connection.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::assembly::{Assembly, PurgeKey};
use crate::limits;
use crate::observe::Metrics;
use crate::reload::{Current, Outcome, Wanted};

/// What it is asked about.
pub struct Asked {
    pub metrics: Arc<Metrics>,
    pub current: Arc<Current>,
    pub reloads: Wanted,
}

/// Serves on a thread of its own, until what this returns is dropped: a draining process can still be asked,
/// and who asks holds up nobody else.
///
/// # Errors
/// If there is no thread for it, in words for the operator.
pub fn start(socket: TcpListener, asked: Asked) -> Result<oneshot::Sender<()>, String> {
    let failed = |error: io::Error| format!("cannot start the admin listener: {error}");
    let socket = socket.into_std().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("admin".to_owned());
    let run = move || {
        runtime.block_on(async move {
            let served = async {
                match TcpListener::from_std(socket) {
                    Ok(socket) => serve(socket, Arc::new(asked)).await,
                    Err(error) => tracing::error!(%error, "the admin listener is lost"),
                }
            };
            tokio::select! {
                _ = stopped => {}
                () = served => {}
            }
        });
    };
    thread.spawn(run).map_err(failed)?;
    Ok(stop)
}

async fn serve(socket: TcpListener, asked: Arc<Asked>) {
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(limits::client::ACCEPT_PAUSE).await;
            continue;
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= limits::client::ADMIN_CONNECTIONS_MAX
            && let Some(oldest) = connections.pop_front()
        {
            // An honest one takes milliseconds. Those that do not end must not keep a probe out.
            oldest.abort();
        }
        connections.push_back(tokio::spawn(connection(stream, Arc::clone(&asked))));
    }
}

/// Answers one request.
async fn connection(stream: TcpStream, asked: Arc<Asked>) {
    let service = service_fn(move |request| {
        let asked = Arc::clone(&asked);
        async move { Ok::<_, Infallible>(answer(&request, &asked).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::client::CLIENT_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits::client::ADMIN_CONNECTION, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

async fn answer(request: &Request<Incoming>, asked: &Asked) -> Response<Full<Bytes>> {
    if !is_local(request) {
        return text(
            StatusCode::MISDIRECTED_REQUEST,
            "ask by an address or localhost\n",
        );
    }
    let (metrics, current) = (&asked.metrics, &asked.current);
    let stopping = metrics.stopping.get() != 0;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/cache" if request.method() == Method::DELETE => {
            purge(request.uri().query().unwrap_or_default(), &current.get())
        }
        "/cache" => only("DELETE"),
        // A page needs nobody's leave to send a POST, and then says where it is from.
        "/reload" if request.headers().contains_key(ORIGIN) => {
            text(StatusCode::FORBIDDEN, "not for pages\n")
        }
        "/reload" if request.method() == Method::POST => reload(&asked.reloads).await,
        "/reload" => only("POST"),
        _ if !reads => only("GET, HEAD"),
        "/healthz" if stopping => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/metrics" => {
            current.get().measure();
            let mut response = text(StatusCode::OK, metrics.encode());
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
            response
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "see /healthz, /metrics, /cache and /reload\n",
        ),
    }
}

/// Whether the request names this machine. A page whose own name was pointed at a loopback address would
/// speak to this listener with that name, and could read and purge.
fn is_local(request: &Request<Incoming>) -> bool {
    // A browser always sends one.
    let Some(host) = request.headers().get(HOST) else {
        return true;
    };
    let Ok(host) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

fn only(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n"));
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// `POST /reload`: what SIGHUP does, and what came of it. 422 if the configuration is refused.
async fn reload(reloads: &Wanted) -> Response<Full<Bytes>> {
    let Ok(outcome) = reloads.outcome().await else {
        let failed = "the thread that reloads has failed: restart the gateway\n";
        return text(StatusCode::SERVICE_UNAVAILABLE, failed);
    };
    let status = match *outcome {
        Outcome::Unchanged | Outcome::Applied(_) => StatusCode::OK,
        Outcome::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut body = serde_json::to_vec(&*outcome).unwrap_or_default();
    body.push(b'\n');
    let mut response = text(status, body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// `DELETE /cache?uri=http://host/path`, `?key=part&key=part`, `?tag=name` or `?all`; `&policy=name`
/// keeps it to what that policy stored. A page in a browser cannot send it without being allowed to,
/// since DELETE needs a preflight.
fn purge(query: &str, assembly: &Assembly) -> Response<Full<Bytes>> {
    const HELP: &str = "name one of uri=http://host/path, key=part (repeated), tag=name, and all; \
                        and with it policy=name\n";
    let (mut uri, mut parts, mut tag, mut all, mut policy) = (None, Vec::new(), None, false, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let again = match &*name {
            "uri" => uri.replace(value).is_some(),
            "tag" => tag.replace(value.into_owned()).is_some(),
            "policy" => policy.replace(value).is_some(),
            "all" => std::mem::replace(&mut all, true) || !value.is_empty(),
            "key" => {
                parts.push(value.into_owned());
                false
            }
            _ => true,
        };
        if again {
            return text(StatusCode::BAD_REQUEST, HELP);
        }
    }
    let what = match (uri, parts.is_empty(), tag, all) {
        (Some(uri), true, None, false) => match purge_uri(&uri) {
            Some(what) => what,
            None => return text(StatusCode::BAD_REQUEST, "uri is not an absolute http URI\n"),
        },
        (None, false, None, false) => PurgeKey::Parts(parts),
        (None, true, Some(tag), false) => PurgeKey::Tag(tag),
        (None, true, None, true) => PurgeKey::All,
        _ => return text(StatusCode::BAD_REQUEST, HELP),
    };
    match assembly.purge(policy.as_deref(), &what) {
        Some(purged) => text(StatusCode::OK, format!("purged {purged}\n")),
        None => text(
            StatusCode::NOT_FOUND,
            "there is no cache policy of this name\n",
        ),
    }
}

fn purge_uri(uri: &str) -> Option<PurgeKey> {
    let uri: Uri = uri.parse().ok()?;
    Some(PurgeKey::Uri {
        scheme: uri.scheme_str()?.to_owned(),
        authority: uri.authority()?.as_str().to_owned(),
        path_and_query: uri.path_and_query()?.as_str().to_owned(),
    })
}
