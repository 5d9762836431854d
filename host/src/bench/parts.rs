//! Each part of a request that is measured, by what the chain calls it by.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};

use super::gateway::{CONFIGURATIONS, REUSED, ROUTES, path};
use super::timing::{Figure, runs};
use crate::gateway::Gateway;
use crate::http::body::{Content, RequestBody};
use crate::http::exchange::{Attributes, Exchange, RequestHead};
use crate::http::facts::Facts;
use crate::http::target::Target;
use crate::policy::cache::{CacheRequest, Filled, Found as Cached, KeyMode, Storage};
use crate::policy::limit::{Bound, Limit, Now, Scope, ScopeNames};
use crate::route::Routed;

/// What a browser or a service sends, about.
const HEADERS: &[(&str, &str)] = &[
    ("host", "shop.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0)"),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br"),
    ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
    ("x-request-id", "01a2055c-45f4-72f5-ab49-597f80ffca40"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-bench-in", "the-benchmark-says-so"),
];

pub fn all(gateway: &Gateway) -> Result<Vec<Figure>, String> {
    Ok(vec![
        on_one_thread("lease alone, fresh", visits(gateway, 0, 1, false))?,
        on_one_thread("lease and call, fresh", visits(gateway, 0, 1, true))?.goal(8_000.0),
        on_one_thread(
            "lease alone, fresh, 100 configurations in rotation",
            visits(gateway, 0, CONFIGURATIONS, false),
        )?,
        on_one_thread(
            "lease and call, fresh, 100 configurations in rotation",
            visits(gateway, 0, CONFIGURATIONS, true),
        )?
        .goal(25_000.0),
        on_two_threads("lease and call, fresh, on two threads", gateway, 1)?,
        on_two_threads(
            "lease and call, fresh, 100 configurations in rotation, on two threads",
            gateway,
            CONFIGURATIONS,
        )?,
        on_one_thread("lease alone, reused", visits(gateway, REUSED, 1, false))?,
        on_one_thread("lease and call, reused", visits(gateway, REUSED, 1, true))?.goal(1_500.0),
        on_one_thread("route look-up among 10,000", look_up(gateway))?.goal(1_000.0),
        on_one_thread("ten header lines for a guest", header_lines())?,
        on_one_thread("charge one limit", charge(gateway, 1))?,
        on_one_thread("charge three limits", charge(gateway, 3))?,
        on_one_thread("cache hit, 1 KB", cache_hit(gateway))?,
    ])
}

fn on_one_thread(
    name: &str,
    runs: impl Future<Output = Result<Vec<f64>, String>>,
) -> Result<Figure, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Figure::of(name, runtime.block_on(runs)?))
}

/// What each of two threads spends while the other does the same.
fn on_two_threads(name: &str, gateway: &Gateway, policies: usize) -> Result<Figure, String> {
    let measure = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(visits(gateway, 0, policies, true))
    };
    let runs: Result<Vec<Vec<f64>>, String> = std::thread::scope(|scope| {
        let threads = [scope.spawn(measure), scope.spawn(measure)];
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
            .collect()
    });
    Ok(Figure::of(name, runs?.concat()))
}

fn headers() -> HeaderMap {
    let lines = HEADERS.iter();
    lines
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn exchange() -> Exchange {
    Exchange {
        id: "01a2055c-45f4-72f5-ab49-597f80ffca40".into(),
        scheme: "http",
        client: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        route: "r0".into(),
        variables: Arc::new(BTreeMap::new()),
        parameters: vec![("id".to_owned(), "4711".to_owned())],
        preflight: None,
        request: RequestHead {
            method: Method::GET,
            target: Target::new("/api-0/items-0/4711/parts", None).unwrap(),
            headers: headers(),
            asked: None,
        },
        passes: 1,
        written: Vec::new(),
        request_body: RequestBody::whole(Bytes::new()),
        response: None,
        response_body: Content::default(),
        caller: None,
        attributes: Attributes::default(),
    }
}

/// Visits of the policies of these routes, in turn.
async fn visits(
    gateway: &Gateway,
    first: usize,
    policies: usize,
    call: bool,
) -> Result<Vec<f64>, String> {
    let routes = gateway.routes.get(first..first + policies);
    let routes = routes.ok_or("there are not so many routes")?;
    let mut turn = 0;
    let mut message = Some(Box::new(exchange()));
    runs(async || {
        let entry = routes[turn % policies].chain.first();
        turn += 1;
        let (entry, exchange) = entry.zip(message.take()).ok_or("the message is gone")?;
        let visit = entry.policy.visit(exchange).await;
        let mut visit = visit.map_err(|(_, fault)| format!("{fault:?}"))?;
        if call {
            let reply = visit.transform_request().await;
            reply.map_err(|fault| format!("{fault:?}"))?;
        }
        let mut exchange = visit.end().await.exchange;
        let headers = &mut exchange.request.headers;
        if headers.remove("x-bench-request").is_some() != call {
            return Err("the hook did not do its work".to_owned());
        }
        message = Some(exchange);
        Ok(())
    })
    .await
}

async fn look_up(gateway: &Gateway) -> Result<Vec<f64>, String> {
    let paths: Vec<String> = (0..ROUTES).map(path).collect();
    let mut turn = 0;
    runs(async || {
        // By a stride that goes through all of them in no order of the tree's.
        turn = (turn + 7_919) % ROUTES;
        let router = black_box(&gateway.router);
        let found = router.find(&Method::GET, Some("shop.example.com"), &paths[turn]);
        match black_box(found) {
            Routed::Route { index, .. } if index == turn => Ok(()),
            other => Err(format!("{} found {other:?}", paths[turn])),
        }
    })
    .await
}

/// As a guest gets them that asks for all.
async fn header_lines() -> Result<Vec<f64>, String> {
    let exchange = exchange();
    runs(async || {
        let facts = Facts::of(black_box(&exchange));
        let lines: Vec<(String, Vec<u8>)> = facts
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect();
        match black_box(lines).len() == HEADERS.len() {
            true => Ok(()),
            false => Err("lines are missing".to_owned()),
        }
    })
    .await
}

async fn charge(gateway: &Gateway, count: u64) -> Result<Vec<f64>, String> {
    let limiter = &gateway.mechanisms.limiter;
    let limits: Vec<Limit> = (1..=count)
        .map(|number| Limit {
            name: format!("limit-{number}"),
            bound: Bound::Rate {
                amount: 1_000_000_000,
                period_ms: 1_000 * number,
                burst: 1_000_000_000,
            },
            key: vec!["principal".to_owned(), "alice".to_owned()],
            scope: Scope::Entry,
            cost: 1,
            enforce: true,
        })
        .collect();
    let place = ScopeNames {
        entry: "r0/0",
        route: "r0",
    };
    runs(async || {
        let charge = limiter.charge(place, black_box(&limits), Now::read());
        let charge = charge.map_err(|error| error.0)?;
        match charge.refused() {
            false => Ok(()),
            true => Err("the limit was reached".to_owned()),
        }
    })
    .await
}

async fn cache_hit(gateway: &Gateway) -> Result<Vec<f64>, String> {
    let cache = &gateway.mechanisms.cache;
    let (uri, headers) = (Uri::from_static("/api-0/items-0/4711/parts"), headers());
    let request = CacheRequest {
        method: &Method::GET,
        uri: &uri,
        scheme: "http",
        authority: "shop.example.com",
        headers: &headers,
    };
    let look = || cache.lookup(&request, KeyMode::Standard, "bench", SystemTime::now());
    let Cached::Fetch(fill) = look().await else {
        return Err("something is in the cache already".to_owned());
    };
    let fields = [
        ("cache-control", "public, max-age=3600"),
        ("content-length", "1024"),
    ];
    let fields = fields.map(|(name, value)| {
        let value = HeaderValue::from_static(value);
        (HeaderName::from_static(name), value)
    });
    let body = Full::new(Bytes::from(vec![b'b'; 1024])).map_err(|never| match never {});
    let filled = fill.answer(
        StatusCode::OK,
        fields.into_iter().collect(),
        Box::pin(body),
        Storage::Standard,
        false,
        SystemTime::now(),
    );
    let Filled::Served(answer) = filled else {
        return Err("the response is of no use".to_owned());
    };
    let collected = answer.body.collect().await;
    collected.map_err(|error| error.to_string())?;
    runs(async || match black_box(look().await) {
        Cached::Served(_) => Ok(()),
        _ => Err("not in the cache".to_owned()),
    })
    .await
}
