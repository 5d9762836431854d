//! Bodies that go through plugins.

use super::{TestRequest, TestResponse};
use crate::{BodyStream, RequestStream, ResponseStream, Result};

/// The largest piece that the gateway hands over, in bytes.
const PIECE_BYTES_MAX: usize = 16 << 10;
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
    /// If the piece is larger than the gateway makes them (16 KiB).
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
        assert!(piece.len() <= PIECE_BYTES_MAX, "a piece has at most 16 KiB");
        let answer = self.0.chunk(piece, last)?;
        if answer.len() > ANSWER_BYTES_MAX {
            let length = answer.len();
            return Err(format!("the answer to one piece has {length} bytes").into());
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plugin, Request, testing};

    /// Answers its lines with their numbers, and so many bytes beside.
    struct Lines(usize);

    struct Numbered {
        line: usize,
        beside: usize,
    }

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Empty {}

    impl Plugin for Lines {
        type Config = Empty;

        fn configure(_: Empty) -> Result<Self> {
            Ok(Lines(0))
        }
    }

    impl RequestStream for Lines {
        fn open_request(&self, request: &Request) -> Result<Option<Box<dyn BodyStream + '_>>> {
            let numbered = Numbered {
                line: 0,
                beside: self.0,
            };
            Ok((request.method() == "POST").then(|| Box::new(numbered) as Box<dyn BodyStream>))
        }
    }

    impl BodyStream for Numbered {
        fn chunk(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>> {
            let mut answer = vec![b'.'; self.beside];
            for byte in piece {
                answer.push(*byte);
                if *byte == b'\n' {
                    self.line += 1;
                    answer.extend(self.line.to_string().bytes());
                }
            }
            answer.extend(last.then_some(b'!'));
            Ok(answer)
        }
    }

    fn stream(plugin: &Lines) -> TestStream<'_> {
        let request = testing::request("POST", "/").build();
        open_request(plugin, &request).unwrap().unwrap()
    }

    #[test]
    fn what_is_kept_lasts_as_long_as_the_body() {
        for size in [1, 2, 100] {
            assert_eq!(
                stream(&Lines(0)).all("a\nb\nc", size).unwrap(),
                b"a\n1b\n2c!"
            );
        }
        assert_eq!(stream(&Lines(0)).all("", 1).unwrap(), b"!");
        let get = testing::request("GET", "/").build();
        assert!(open_request(&Lines(0), &get).unwrap().is_none());
    }

    #[test]
    fn an_answer_that_the_gateway_would_not_take_is_a_fault() {
        let most = Lines(ANSWER_BYTES_MAX);
        assert!(stream(&most).chunk("").is_ok());
        let error = stream(&most).chunk("a").unwrap_err();
        assert!(error.to_string().contains("1048577 bytes"), "{error}");
    }
}
