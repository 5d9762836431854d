//! HTTP/1.1 messages as a client or an origin reads them, byte for byte. Independent of the libraries
//! that the gateway uses: their mistakes should not cancel out.

use std::io::{self, Read};

use serde_json::Value;

/// A request as an origin received it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// As it came: `HTTP/1.1`.
    pub version: String,
    /// In order, with names as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Every byte of the head, with the empty line.
    pub head: Vec<u8>,
    /// Whether the body came to its end.
    pub complete: bool,
    /// Which of the origin's connections it came on, from 0.
    pub connection: usize,
}

/// A response as a client received it.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// 0 if the connection ended before a head.
    pub status: u16,
    /// In order, with names as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Whether head and body came to the end that their framing announced.
    pub complete: bool,
    /// Statuses of the interim responses before it, such as 100.
    pub interim: Vec<u16>,
    /// Every byte of the head, with the empty line.
    pub head: Vec<u8>,
}

/// Each byte as the character of the same number.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes of a text that [`latin1`] made.
#[track_caller]
pub fn unlatin1(text: &str) -> Vec<u8> {
    let byte = |char: char| u8::try_from(u32::from(char)).expect("a character up to U+00FF");
    text.chars().map(byte).collect()
}

fn values<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Vec<&'a [u8]> {
    let named = headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_slice()).collect()
}

impl Request {
    /// The first value of this name, as Latin-1 text.
    pub fn header(&self, name: &str) -> Option<String> {
        values(&self.headers, name)
            .first()
            .map(|value| latin1(value))
    }

    /// All values of this name, in order.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        values(&self.headers, name)
    }
}

impl Response {
    /// The first value of this name, as Latin-1 text.
    pub fn header(&self, name: &str) -> Option<String> {
        values(&self.headers, name)
            .first()
            .map(|value| latin1(value))
    }

    /// All values of this name, in order, byte for byte.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        values(&self.headers, name)
    }

    /// All values of this name, in order, as Latin-1 text.
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.values(name).into_iter().map(latin1).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}) in {self:?}"))
    }

    /// What the echo origin behind the gateway received under this name, byte for byte.
    #[track_caller]
    pub fn echoed(&self, name: &str) -> Vec<Vec<u8>> {
        let json = self.json();
        let lines = json["headers"].as_array().expect("an echo");
        let line = |line: &Value| {
            let (other, value) = (line[0].as_str()?, line[1].as_str()?);
            other.eq_ignore_ascii_case(name).then(|| unlatin1(value))
        };
        lines.iter().filter_map(line).collect()
    }
}

/// Reads one request. None at the end of the connection.
///
/// # Errors
/// What the connection says.
pub fn read_request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let Some(request) = read_request_head(stream)? else {
        return Ok(None);
    };
    read_request_body(stream, request).map(Some)
}

pub(crate) fn read_request_head(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let head = read_head(stream)?;
    if !head.ends_with(b"\r\n\r\n") {
        return Ok(None);
    }
    let (first, headers) = parse_head(&head);
    let mut words = first.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    Ok(Some(Request {
        method: word(),
        target: word(),
        version: word(),
        headers,
        head,
        ..Request::default()
    }))
}

pub(crate) fn read_request_body(
    stream: &mut impl Read,
    mut request: Request,
) -> io::Result<Request> {
    let chunked = request.header("transfer-encoding").is_some();
    let length = request
        .header("content-length")
        .and_then(|text| text.parse().ok());
    let framing = match length {
        _ if chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::Length(0),
    };
    request.complete = read_body(stream, framing, &mut request.body)?;
    Ok(request)
}

/// Reads one response, and the interim ones before it. `method` is the request's: an answer to `HEAD`
/// has no body. A connection that breaks off, or is reset, leaves `complete` false.
pub fn read_response(stream: &mut impl Read, method: &str) -> Response {
    let mut interim = Vec::new();
    loop {
        let head = read_head(stream).unwrap_or_default();
        if !head.ends_with(b"\r\n\r\n") {
            return Response {
                interim,
                head,
                ..Response::default()
            };
        }
        let (first, headers) = parse_head(&head);
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            interim.push(status);
            continue;
        }
        let mut response = Response {
            status,
            headers,
            interim,
            head,
            ..Response::default()
        };
        let length = response
            .header("content-length")
            .and_then(|text| text.parse().ok());
        let framing = if method == "HEAD" || status == 204 || status == 304 {
            Framing::Length(0)
        } else if response.header("transfer-encoding").is_some() {
            Framing::Chunked
        } else {
            length.map_or(Framing::Close, Framing::Length)
        };
        let whole = read_body(stream, framing, &mut response.body);
        response.complete = whole.unwrap_or(false);
        return response;
    }
}

enum Framing {
    Length(u64),
    Chunked,
    Close,
}

/// Byte by byte, so that what follows stays in the stream; callers buffer.
fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    Ok(head)
}

fn parse_head(head: &[u8]) -> (String, Vec<(String, Vec<u8>)>) {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.trim_ascii_end());
    let first = latin1(lines.next().unwrap_or_default());
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        Some((latin1(name), value.get(1..)?.trim_ascii().to_vec()))
    };
    (first, lines.filter_map(header).collect())
}

/// Whether the body came to its end.
fn read_body(stream: &mut impl Read, framing: Framing, body: &mut Vec<u8>) -> io::Result<bool> {
    match framing {
        Framing::Close => stream.read_to_end(body).map(|_| true),
        Framing::Length(length) => Ok(stream.take(length).read_to_end(body)? as u64 == length),
        Framing::Chunked => loop {
            let line = read_line(stream)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = u64::from_str_radix(size, 16) else {
                return Ok(false);
            };
            if size == 0 {
                // Trailers, up to the empty line.
                while !read_line(stream)?.is_empty() {}
                return Ok(true);
            }
            let got = Read::by_ref(stream).take(size).read_to_end(body)? as u64;
            let end = read_line(stream)?;
            if got < size || !end.is_empty() {
                return Ok(false);
            }
        },
    }
}

fn read_line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.push(byte[0]);
    }
    Ok(latin1(line.trim_ascii_end()))
}
