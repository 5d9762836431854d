//! One connection to a server, and one exchange upon it after the other.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;

use super::framing::Reuse;
use super::open::Open;
use super::server::Server;
use super::socket;
use crate::error::Failure;
use crate::http::body::RequestBody;

/// A connection in use. Dropped before its response has ended, it closes.
pub struct Connection {
    server: Arc<Server>,
    /// Gone once given back.
    open: Option<Open>,
    /// Whether it carried a request before, so that the server may be closing it right now.
    pub reused: bool,
    /// What becomes of it when the response has ended.
    pub reuse: Reuse,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropping the sender alone would leave an unfinished upload to a server that takes none.
        if let Some(open) = &self.open {
            open.driver.abort();
        }
    }
}

/// Why a request got no response, and whether it may be sent again.
pub enum Lost {
    /// Nothing of it reached the server. It is handed back if it has a body, which the caller has no other of.
    Unsent(Option<Box<Request<RequestBody>>>, Option<hyper::Error>),
    /// It may have, on a kept connection that the server closed at that moment. It is idempotent and has no
    /// body, so that it may be sent once more (RFC 9110, section 9.2.2).
    Repeatable(hyper::Error),
    Gone(Option<hyper::Error>),
}

impl Connection {
    /// The connection to a server that was used last and still stands.
    pub fn reuse(server: &Arc<Server>) -> Option<Connection> {
        let open = server.reuse()?;
        Some(Connection::new(server, open, true))
    }

    /// Opens a connection to a server.
    ///
    /// # Errors
    /// If the server accepts none in time, or this machine has none to give.
    pub async fn open(server: &Arc<Server>, within: Duration) -> Result<Connection, Failure> {
        let open = server.connect(within).await?;
        Ok(Connection::new(server, open, false))
    }

    fn new(server: &Arc<Server>, open: Open, reused: bool) -> Self {
        Connection {
            server: Arc::clone(server),
            open: Some(open),
            reused,
            reuse: Reuse::Never,
        }
    }

    /// Sends a request and waits for the head of its response.
    pub async fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Lost> {
        // Without a body the caller can send it again.
        let again = self.reused && http_body::Body::is_end_stream(request.body());
        let repeatable = again && request.method().is_idempotent();
        let Some(open) = &mut self.open else {
            return Err(Lost::Unsent(Some(Box::new(request)), None));
        };
        open.wire.begin();
        open.barren.bore();
        let wire = Arc::clone(&open.wire);
        hyper::ext::on_informational(&mut request, move |interim| {
            wire.note_interim(interim.headers());
        });
        let Open {
            sender,
            driver,
            wire,
            barren,
        } = open;
        if !http_body::Body::is_end_stream(request.body()) {
            driver.spawn();
        }
        driver.begin();
        let mut sending = std::pin::pin!(sender.try_send_request(request));
        let sent = std::future::poll_fn(|context| {
            driver.poll(context, |context| sending.as_mut().poll(context))
        });
        match sent.await {
            // What comes before anything was sent answers no request of ours.
            Ok(_) if !wire.has_sent() && again => Err(Lost::Unsent(None, None)),
            Ok(_) if !wire.has_sent() => Err(Lost::Gone(None)),
            Ok(response) => {
                barren.bore();
                Ok(response)
            }
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                let closed = again && was_closed(&error);
                Err(match unsent {
                    Some(unsent) => Lost::Unsent(Some(Box::new(unsent)), Some(error)),
                    None if closed && !wire.has_sent() => Lost::Unsent(None, Some(error)),
                    None if closed && repeatable => Lost::Repeatable(error),
                    None => Lost::Gone(Some(error)),
                })
            }
        }
    }

    /// Checks what came before the response.
    ///
    /// # Errors
    /// If it is more than a server may send.
    pub fn check_interim(&mut self) -> std::io::Result<()> {
        match &self.open {
            Some(open) => open.wire.check_interim(),
            None => Ok(()),
        }
    }

    /// Polls what comes out of it, and moves the bytes that this needs.
    pub fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut out: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &mut self.open {
            Some(open) => open.driver.poll(context, out),
            None => out(context),
        }
    }

    /// Notes that a piece of a body came out of it.
    pub fn note_piece(&self) {
        if let Some(open) = &self.open {
            open.barren.bore();
        }
    }

    /// Keeps it for the next request, if it may have one.
    pub fn give_back(mut self) {
        let contradicted = |open: &Open| open.wire.is_contradicted();
        if self.reuse == Reuse::Never || self.open.as_ref().is_some_and(contradicted) {
            return;
        }
        if let Some(mut open) = self.open.take() {
            open.driver.recall(self.server.as_parked());
            self.server.keep(open, self.reuse);
        }
    }
}

/// Whether the peer closed a connection before it answered, in one of the ways in which that shows.
fn was_closed(error: &hyper::Error) -> bool {
    if error.is_incomplete_message() || error.is_canceled() {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return socket::is_end(error);
        }
        cause = error.source();
    }
    false
}
