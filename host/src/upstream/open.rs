//! A connection to a server, in use or at rest.

use std::sync::{Arc, Weak};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::driver::{Driver, Parked};
use super::socket::{Socket, Wire};
use crate::http::body::RequestBody;
use crate::limits;
use crate::pace::{Barren, Paced};

/// A connection that has not ended, as far as that has been heard.
pub struct Open {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) driver: Driver,
    pub(super) wire: Arc<Wire>,
    pub(super) barren: Arc<Barren>,
}

impl Open {
    /// Begins to speak HTTP/1.1 upon a stream to this server.
    pub async fn new(stream: TcpStream, parked: Weak<dyn Parked>) -> hyper::Result<Open> {
        let (wire, barren) = (Arc::new(Wire::default()), Barren::new());
        let socket = Socket::new(stream, Arc::clone(&wire));
        let (sender, connection) = http1::Builder::new()
            .max_headers(limits::message::MESSAGE_HEADER_LINES_MAX)
            .max_buf_size(limits::upstream::UPSTREAM_BUFFER_BYTES_MAX)
            // A blank before the colon is taken out, a folded line is joined (RFC 9112, sections 5.1 and 5.2).
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(Paced::new(socket, Arc::clone(&barren))))
            .await?;
        Ok(Open {
            sender,
            driver: Driver::here(connection, parked),
            wire,
            barren,
        })
    }

    /// Comes to rest; false if its server has ended it, or sent what nobody asked for.
    pub fn rests(&mut self) -> bool {
        self.driver.rest();
        !self.sender.is_closed() && !self.wire.is_deaf()
    }

    /// Whether it can carry the next request: it has ended the last one, and nothing has come since. The
    /// kernel is asked, since the reactor may not have been for a while: on a connection that its server has
    /// closed a request would be lost, and what a server sent unasked would be taken for the response.
    pub fn is_ready(&mut self) -> bool {
        self.wire.look(true);
        let rests = self.rests();
        self.wire.look(false);
        rests && self.sender.is_ready()
    }
}
