use crate::{Plugin, Request, Response, Result};

/// Changes the bodies of requests piece by piece, however large they are. The operator grants it:
/// `grant = { streams = true }`.
///
/// One instance of the plugin serves one body, from [`open_request`](RequestStream::open_request) to the
/// last piece, and no other message meanwhile. The bounds of a call hold for each piece (`limits.cpu`,
/// `limits.wall`), and `limits.memory` for the instance; the time between two pieces counts for neither.
pub trait RequestStream: Plugin {
    /// Called on the way in, after the plugin's other hooks, for requests that have a body. Returns what the
    /// body goes through; if that is `None`, the body passes the plugin by and costs nothing.
    ///
    /// The gateway undoes gzip and deflate first, and removes digests of the body.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`.
    fn open_request(&self, request: &Request) -> Result<Option<Box<dyn BodyStream + '_>>>;
}

/// Changes the bodies of responses piece by piece, however large or long they are, like [`RequestStream`].
///
/// ```
/// use tollgate_plugin::{BodyStream, Plugin, Request, Response, ResponseStream, Result, export};
///
/// # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Config {}
/// struct Shout;
/// # impl Plugin for Shout {
/// #     type Config = Config;
/// #     fn configure(_: Config) -> Result<Self> { Ok(Shout) }
/// # }
///
/// impl ResponseStream for Shout {
///     fn open_response(
///         &self,
///         _: &Request,
///         response: &Response,
///     ) -> Result<Option<Box<dyn BodyStream + '_>>> {
///         let is_text = response.header_text("content-type").is_some_and(|it| it == "text/plain");
///         Ok(is_text.then(|| Box::new(Loud { pieces: 0 }) as Box<dyn BodyStream>))
///     }
/// }
///
/// /// What lasts as long as the body.
/// struct Loud {
///     pieces: u64,
/// }
///
/// impl BodyStream for Loud {
///     fn chunk(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>> {
///         self.pieces += 1;
///         let mut loud = piece.to_ascii_uppercase();
///         if last {
///             loud.extend(format!(" ({} pieces)", self.pieces).bytes());
///         }
///         Ok(loud)
///     }
/// }
///
/// export!(Shout: ResponseStream);
///
/// # fn main() {
/// use tollgate_plugin::testing;
///
/// let request = testing::request("GET", "/").build();
/// let response = testing::response(200).header("content-type", "text/plain").build();
/// let mut stream = testing::open_response(&Shout, &request, &response).unwrap().unwrap();
/// assert_eq!(stream.chunk("hel").unwrap(), b"HEL");
/// assert_eq!(stream.last("lo").unwrap(), b"LO (2 pieces)");
/// # }
/// ```
pub trait ResponseStream: Plugin {
    /// Called on the way out, after the plugin's other hooks and before the response's head is sent.
    /// Returns what the body goes through, or `None`. It is also called for a response to HEAD, whose head
    /// must match that of a GET; no piece follows.
    ///
    /// The gateway undoes gzip and deflate first, removes length and digests of the body, and makes a strong
    /// `ETag` weak. Bodies are whole: requests lose `Range` and `If-Range` when they enter the entry.
    ///
    /// # Errors
    /// A fault: handled by the entry's `on-fault`.
    fn open_response(
        &self,
        request: &Request,
        response: &Response,
    ) -> Result<Option<Box<dyn BodyStream + '_>>>;
}

/// What one body goes through.
pub trait BodyStream {
    /// Called with each piece (at most 16 KiB), in order and as it arrives, whenever the reader of the body
    /// takes more. Where a piece ends means nothing: it may be in the middle of a character. `last` is true
    /// once, with the piece that ends the body, which may be empty; it never comes if the peer breaks off.
    ///
    /// Returns what goes on in the piece's place (at most 1 MiB). You may hold bytes back and return them
    /// later. In event streams hold back nothing that somebody waits for.
    ///
    /// # Errors
    /// A fault, which ends the message whatever the entry's `on-fault` says: what has been sent cannot be
    /// taken back, and the rest must not go on unchanged.
    fn chunk(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>>;
}
