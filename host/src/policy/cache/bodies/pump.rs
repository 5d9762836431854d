//! The task that fills a growing body, and stores it once complete.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::growing::{Growing, Leave};
use super::object::{Stored, receive};
use crate::http::body::BoxBody;
use crate::limits::cache::{FILL_ALONE, STALL_MAX};

/// The result of one read.
enum Next {
    Data(Bytes),
    End,
    Broken(io::Error),
    /// No reader wants it any more.
    Abandoned,
}

/// The permit and time limit for reading a body for the store only.
pub struct Alone {
    permits: Arc<Semaphore>,
    now: Option<(OwnedSemaphorePermit, Pin<Box<Sleep>>)>,
}

impl Alone {
    pub fn new(permits: &Arc<Semaphore>) -> Alone {
        Alone {
            permits: Arc::clone(permits),
            now: None,
        }
    }

    /// Whether the time is over, or too many other bodies are read this way.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.now.is_none() {
            let permit = Arc::clone(&self.permits).try_acquire_owned().ok();
            let sleep = || Box::pin(tokio::time::sleep(FILL_ALONE));
            self.now = permit.map(|permit| (permit, sleep()));
        }
        match &mut self.now {
            Some((_, sleep)) => sleep.as_mut().poll(context).is_ready(),
            None => true,
        }
    }
}

/// How long readers of one body have waited for slower ones since the readers' pace was last judged.
struct Stalls {
    left: Duration,
    now: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Stalls {
    fn new() -> Stalls {
        Stalls {
            left: STALL_MAX,
            now: None,
        }
    }

    /// Whether no reader has waited since then.
    fn is_first(&self) -> bool {
        self.now.is_none() && self.left == STALL_MAX
    }

    /// Whether it is time to judge again; if so, starts anew.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let begin = || (Instant::now(), Box::pin(tokio::time::sleep(self.left)));
        let (_, sleep) = self.now.get_or_insert_with(begin);
        let over = self.left.is_zero() || sleep.as_mut().poll(context).is_ready();
        if over {
            *self = Stalls::new();
        }
        over
    }

    fn end(&mut self) {
        if let Some((since, _)) = self.now.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }
}

/// Reads a body to its end into `growing`. If it came completely and stayed within `bytes_max` and the
/// budget, `keep` gets it before any reader sees its end, so a client that has read a response finds it
/// stored. `give_up` is called once the body turns out not to be storable.
pub async fn pump(
    mut body: BoxBody,
    growing: Arc<Growing>,
    mut alone: Alone,
    bytes_max: u64,
    keep: impl FnOnce(Arc<Stored>) + Send,
    give_up: impl FnOnce() + Send,
) {
    let mut give_up = Some(give_up);
    let mut stalls = Stalls::new();
    let mut length = 0;
    let mut last = None;
    let end = loop {
        tokio::task::consume_budget().await;
        let next = poll_fn(|context| {
            if ready!(may_read(&growing, &mut alone, &mut stalls, context)) {
                next(&mut body, context)
            } else {
                Poll::Ready(Next::Abandoned)
            }
        });
        let data = match next.await {
            Next::Data(data) => receive(data),
            Next::End
                if growing
                    .expected()
                    .is_some_and(|expected| expected != length) =>
            {
                break Err(io::ErrorKind::UnexpectedEof.into());
            }
            Next::End => break Ok(()),
            Next::Broken(error) => break Err(error),
            Next::Abandoned => break Err(io::ErrorKind::ConnectionAborted.into()),
        };
        length += data.len() as u64;
        if growing.expected().is_some_and(|expected| expected < length) {
            break Err(io::ErrorKind::InvalidData.into());
        }
        if give_up.is_some() && (length > bytes_max || !growing.reserve(&data)) {
            growing.keep_only_window();
            give_up.take().into_iter().for_each(|give_up| give_up());
        }
        // Hold back the last bytes until the end is seen.
        if growing.expected() == Some(length) {
            last = Some(data)
        } else {
            growing.push(data)
        }
    };
    if end.is_ok()
        && let Some((mut received, room)) = growing.received()
    {
        received.extend(last);
        let stored = Arc::new(Stored::copy(&received, room).await);
        drop(received);
        keep(Arc::clone(&stored));
        growing.end_stored(stored);
        return;
    }
    if let (Ok(()), Some(last)) = (&end, last) {
        growing.push(last);
    }
    growing.end(end);
}

/// Waits until more may be read; false if no reader wants it any more.
fn may_read(
    growing: &Growing,
    alone: &mut Alone,
    stalls: &mut Stalls,
    context: &mut Context<'_>,
) -> Poll<bool> {
    loop {
        let leave = growing.leave(context);
        if !matches!(leave, Leave::ReadAlone) {
            alone.now = None;
        }
        if !matches!(leave, Leave::WaitForSlowest) {
            stalls.end();
        }
        if matches!(leave, Leave::WaitForSlowest) && stalls.is_first() {
            growing.mark_places();
        }
        return match leave {
            Leave::Read => Poll::Ready(true),
            Leave::ReadAlone => Poll::Ready(!alone.is_over(context)),
            Leave::Wait => Poll::Pending,
            Leave::WaitForSlowest if stalls.is_over(context) => {
                growing.break_off_idle();
                continue;
            }
            Leave::WaitForSlowest => Poll::Pending,
            Leave::Stop => Poll::Ready(false),
        };
    }
}

fn next(body: &mut BoxBody, context: &mut Context<'_>) -> Poll<Next> {
    loop {
        let Some(frame) = ready!(body.as_mut().poll_frame(context)) else {
            return Poll::Ready(Next::End);
        };
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) if data.is_empty() => {}
            Ok(Ok(data)) => return Poll::Ready(Next::Data(data)),
            // Trailers are not stored (RFC 9111, section 3.1), and followers could miss them.
            Ok(Err(_trailers)) => {}
            Err(error) => return Poll::Ready(Next::Broken(error)),
        }
    }
}
