//! Fetches that are not their client's alone: those that others wait for, and those in the background.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::response::Held;
use super::{Underway, exchange};
use crate::chain::Passage;
use crate::gateway::{Gateway, Route};
use crate::http::body::Upload;
use crate::http::exchange::Exchange;
use crate::observe::Arrival;
use crate::policy::cache::{Fill, Followers};

type Going = Pin<Box<dyn Future<Output = Underway> + Send>>;

/// The rest of a request that leads a fetch: from an entry inwards, and the way out. If its client goes away
/// before that is done, and others wait for the fetch, it is done for them.
pub(super) fn lead(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    underway: Underway,
    from: usize,
    followers: Followers,
) -> Led {
    let (gateway, route) = (Arc::clone(gateway), Arc::clone(route));
    let going = Box::pin(async move { exchange(&gateway, &route, underway, from).await });
    Led(Some((going, followers)))
}

/// A led fetch. Dropped on the way, it goes on beside, as long as somebody waits for it: those who do each
/// have a permit, and so has it, so no more is asked of upstreams than by as many clients who stay.
pub(super) struct Led(Option<(Going, Followers)>);

impl Future for Led {
    type Output = Underway;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Underway> {
        let Some((going, _)) = &mut self.0 else {
            return Poll::Pending;
        };
        let polled = going.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        let Some((going, followers)) = self.0.take() else {
            return;
        };
        if followers.are_waiting()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(go_on(going, followers));
        }
    }
}

/// Until those who wait have what they waited for, or have left, too.
async fn go_on(going: Going, followers: Followers) {
    let done = tokio::select! {
        biased;
        done = going => done,
        () = followers.gone() => return,
    };
    // While it is held its body has a reader: those who were told have yet to begin.
    followers.told().await;
    drop(done);
}

/// Fetches in the background what a cache entry answered stale: the same exchange, from inside that
/// entry. It has a permit as every request has, and is left for the next if there is none.
pub(super) fn refresh(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    mut again: Exchange,
    index: usize,
    fill: Fill,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let (gateway, route) = (Arc::clone(gateway), Arc::clone(route));
    Box::pin(async move {
        let Ok(permit) = Arc::clone(&gateway.requests).try_acquire_owned() else {
            return;
        };
        let mut record = gateway.record(Arrival {
            listener: "background".into(),
            id: Arc::clone(&again.id),
            client: again.client,
            method: again.request.method.clone(),
            target: again.request.target.uri().clone(),
        });
        record.background = true;
        record.on_route(&route.name, &route.metrics);
        let begun = Underway {
            passage: Passage::storing(index, fill, &mut again),
            exchange: Box::new(again),
            held: Box::new(Held {
                record,
                upload: Upload::new(),
                is_head: false,
                permit: Some(permit),
                charges: Vec::new(),
            }),
        };
        let mut done = exchange(&gateway, &route, begun, index + 1).await;
        let record = &mut done.held.record;
        if let Some(response) = &done.exchange.response {
            record.status = response.status.as_u16();
        }
        record.complete = true;
    })
}
