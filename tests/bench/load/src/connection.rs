//! One kept connection of HTTP/1.1, and the response that is being read from it.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What one read takes at most, in bytes: a quarter of the largest body that is asked for.
pub const READ_BYTES: usize = 256 << 10;
/// No server that is measured sends a longer head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long a server may take to accept or, on a connection that blocks, to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A response, whole.
#[derive(Clone, Copy)]
pub struct Response {
    pub status: u16,
    pub length: u64,
}

pub struct Connection {
    pub stream: TcpStream,
    /// What has come of a head that did not come in one piece.
    head: Vec<u8>,
    /// The response whose body is still coming, and how much of it is.
    body: Option<(Response, u64)>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection {
            stream,
            head: Vec::new(),
            body: None,
        })
    }

    /// Sends a request, all at once: it is small, and nothing else is under way.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)
    }

    /// Reads once. The response, if that was the end of it.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<Response>> {
        let count = self.stream.read(buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = &buffer[..count];
        let (response, left) = match self.body.take() {
            Some(body) => body,
            None => match self.take_head(&mut bytes)? {
                Some(response) => (response, response.length),
                None => return Ok(None),
            },
        };
        let Some(left) = left.checked_sub(bytes.len() as u64) else {
            return Err(invalid("more than was announced"));
        };
        if left == 0 {
            return Ok(Some(response));
        }
        self.body = Some((response, left));
        Ok(None)
    }

    /// Takes a head off what was read, if its end has come.
    fn take_head(&mut self, bytes: &mut &[u8]) -> Result<Option<Response>> {
        let before = self.head.len();
        // The end may have come in two pieces.
        self.head.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let end = self.head[from..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .map(|at| from + at + 4);
        let Some(end) = end else {
            if self.head.len() > HEAD_BYTES_MAX {
                return Err(invalid("a head without end"));
            }
            return Ok(None);
        };
        let response = parse(&self.head[..end])?;
        *bytes = &bytes[end - before..];
        self.head.clear();
        Ok(Some(response))
    }
}

fn parse(head: &[u8]) -> Result<Response> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("a head that is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .ok_or_else(|| invalid("no status line"))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        // Chunks would cost the server more: then it would not be the same case.
        .ok_or_else(|| invalid("no content-length"))?;
    Ok(Response { status, length })
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
