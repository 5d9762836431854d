//! Bodies that go through plugins.

use super::{TestRequest, TestResponse};
use crate::{BodyStream, RequestStream, ResponseStream, Result};

/// The largest piece that the gateway hands over, in bytes.
const PIECE_BYTES_MAX: usize = 64 << 10;
/// What the gateway takes in the place of one piece, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Asks whether the request's body goes through the plugin, as the gateway does.
///
/// # Errors
/// The hook's.
pub fn open_request<'p>(
    plugin: &'p impl RequestStream,
    request: &TestRequest,
) -> Result<Option<TestStream<'p>>> {
    Ok(plugin.open_request(request)?.map(TestStream))
}

/// Asks whether the response's body goes through the plugin, as the gateway does.
///
/// # Errors
/// The hook's.
pub fn open_response<'p>(
    plugin: &'p impl ResponseStream,
    request: &TestRequest,
    response: &TestResponse,
) -> Result<Option<TestStream<'p>>> {
    request.send();
    Ok(plugin.open_response(request, response)?.map(TestStream))
}

/// A body on its way through a plugin, driven piece by piece.
pub struct TestStream<'p>(Box<dyn BodyStream + 'p>);

impl TestStream<'_> {
    /// Hands over a piece that is not the last.
    ///
    /// # Errors
    /// The stream's, and where it answers more than the gateway takes.
    ///
    /// # Panics
    /// If the piece is larger than the gateway makes them (64 KiB).
    pub fn chunk(&mut self, piece: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        self.call(piece.as_ref(), false)
    }

    /// Hands over the last piece.
    ///
    /// # Errors
    /// As [`TestStream::chunk`].
    ///
    /// # Panics
    /// As [`TestStream::chunk`].
    pub fn last(mut self, piece: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        self.call(piece.as_ref(), true)
    }

    /// Hands over a whole body, in pieces of this size, and answers all that came of it.
    ///
    /// # Errors
    /// As [`TestStream::chunk`].
    ///
    /// # Panics
    /// As [`TestStream::chunk`], and if the size is 0.
    pub fn all(mut self, body: impl AsRef<[u8]>, size: usize) -> Result<Vec<u8>> {
        let mut answered = Vec::new();
        let mut pieces = body.as_ref().chunks(size).peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                answered.extend(self.call(piece, true)?);
                return Ok(answered);
            }
            answered.extend(self.call(piece, false)?);
        }
        self.call(b"", true)
    }

    fn call(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>> {
        assert!(piece.len() <= PIECE_BYTES_MAX, "a piece has at most 64 KiB");
        let answer = self.0.chunk(piece, last)?;
        if answer.len() > ANSWER_BYTES_MAX {
            let length = answer.len();
            return Err(format!("the answer to one piece has {length} bytes").into());
        }
        Ok(answer)
    }
}
