//! The admin listener, on a loopback address: `/healthz` and `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::limits;
use crate::observe::Metrics;

/// Serves until it is dropped, so that a draining process can still be asked.
pub async fn serve(socket: TcpListener, metrics: Arc<Metrics>) {
    let connections = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(super::ACCEPT_PAUSE).await;
            continue;
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &metrics);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::CLIENT_HEAD)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection ended");
            }
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    let open_metrics =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let stopping = metrics.stopping.get() != 0;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, content_type, body) = match request.uri().path() {
        _ if !reads => (StatusCode::METHOD_NOT_ALLOWED, text, "only GET\n".into()),
        "/healthz" if stopping => (StatusCode::SERVICE_UNAVAILABLE, text, "stopping\n".into()),
        "/healthz" => (StatusCode::OK, text, "ok\n".into()),
        "/metrics" => (StatusCode::OK, open_metrics, metrics.encode()),
        _ => (
            StatusCode::NOT_FOUND,
            text,
            "see /healthz and /metrics\n".into(),
        ),
    };
    let mut response = Response::new(Full::from(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    if !reads {
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}
