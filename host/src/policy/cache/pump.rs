//! The task that fills a growing body, and stores what is complete.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::time::Sleep;

use super::InnerBody;
use super::bounds::CACHE_FILL_ALONE;
use super::growing::{Growing, Leave};
use super::object::{Reservation, Stored};

/// What reading once gave.
enum Next {
    Data(Bytes),
    End,
    Broken(io::ErrorKind),
    /// Nobody wants it any more.
    Abandoned,
}

/// Reads a body to its end into `growing`. If all of it came, and it stayed within `bytes_max` and the
/// budget, `keep` gets it, before any reader can see its end: who has read a response finds it stored.
/// `give_up` is called if it turns out that this cannot be.
pub async fn pump(
    mut body: InnerBody,
    growing: Arc<Growing>,
    reservation: Reservation,
    bytes_max: u64,
    keep: impl FnOnce(Arc<Stored>) + Send,
    give_up: impl FnOnce() + Send,
) {
    let mut reservation = Some(reservation);
    let mut give_up = Some(give_up);
    let mut alone = None;
    let mut length = 0;
    let mut last = None;
    let end = loop {
        tokio::task::consume_budget().await;
        let data = match poll_fn(|context| next(&mut body, &growing, &mut alone, context)).await {
            Next::Data(data) => data,
            Next::End
                if growing
                    .expected()
                    .is_some_and(|expected| expected != length) =>
            {
                break Err(io::ErrorKind::UnexpectedEof);
            }
            Next::End => break Ok(()),
            Next::Broken(kind) => break Err(kind),
            Next::Abandoned => break Err(io::ErrorKind::ConnectionAborted),
        };
        length += data.len() as u64;
        if growing.expected().is_some_and(|expected| expected < length) {
            break Err(io::ErrorKind::InvalidData);
        }
        let fits = |held: &mut Reservation| length <= bytes_max && held.grow_to(length);
        if !reservation.as_mut().is_some_and(fits) {
            reservation = None;
            growing.keep_only_window();
            give_up.take().into_iter().for_each(|give_up| give_up());
        }
        // The last bytes wait for the end to be seen.
        match growing.expected() == Some(length) {
            true => last = Some(data),
            false => growing.push(data),
        }
    };
    if end.is_ok() && reservation.is_some() {
        let mut received = growing.received();
        received.extend(last);
        let stored = Arc::new(Stored::copy(&received).await);
        drop(received);
        keep(Arc::clone(&stored));
        growing.end_stored(stored);
        return;
    }
    if let (Ok(()), Some(last)) = (end, last) {
        growing.push(last);
    }
    growing.end(end);
}

fn next(
    body: &mut InnerBody,
    growing: &Growing,
    alone: &mut Option<Pin<Box<Sleep>>>,
    context: &mut Context<'_>,
) -> Poll<Next> {
    match growing.leave(context) {
        Leave::Read => *alone = None,
        Leave::ReadAlone => {
            let sleep = || Box::pin(tokio::time::sleep(CACHE_FILL_ALONE));
            if alone
                .get_or_insert_with(sleep)
                .as_mut()
                .poll(context)
                .is_ready()
            {
                return Poll::Ready(Next::Abandoned);
            }
        }
        Leave::Wait => return Poll::Pending,
        Leave::Stop => return Poll::Ready(Next::Abandoned),
    }
    loop {
        let Some(frame) = ready!(body.as_mut().poll_frame(context)) else {
            return Poll::Ready(Next::End);
        };
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) if data.is_empty() => {}
            Ok(Ok(data)) => return Poll::Ready(Next::Data(data)),
            // Trailers are not stored (RFC 9111, section 3.1), and followers could miss them.
            Ok(Err(_trailers)) => {}
            Err(error) => return Poll::Ready(Next::Broken(error.kind())),
        }
    }
}
