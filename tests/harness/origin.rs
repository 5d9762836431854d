//! The upstream behind the gateway: an HTTP/1.1 server of threads that does what its script says,
//! down to the byte.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;

use crate::message::{read_request_body, read_request_head};
use crate::{Gate, Request, eventually, latin1};

/// What an origin does about one request, in order. Afterwards the connection is kept for the next.
#[derive(Clone)]
pub enum Step {
    Send(Vec<u8>),
    /// Sends this many bytes of `x`; [`Origin::bytes_sent`] tells how far it came.
    Flood(u64),
    /// Sends this again and again, until the gateway ends the connection.
    Repeat(Vec<u8>),
    Wait(Duration),
    WaitFor(Gate),
    /// Reads the request's body, where [`Origin::early`] has not.
    ReadBody,
    /// Ends the connection in good order.
    Close,
    /// Ends it with a reset.
    Reset,
    /// Closes it with what was not read: the kernel then resets it, as where a server refuses an upload.
    Abandon,
}

type Script = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

/// Serves until dropped.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The script is asked about whole requests.
    Whole,
    /// It is asked before the request's body is read.
    Early,
    /// About whole requests, which are not remembered.
    Forgetful,
}

struct Shared {
    script: Box<Script>,
    kind: Kind,
    received: Mutex<Vec<Request>>,
    connections: Mutex<Vec<Weak<TcpStream>>>,
    open: AtomicUsize,
    bytes_sent: AtomicU64,
    stopped: AtomicBool,
}

impl Origin {
    /// Answers each request with [`echo`].
    pub fn echo() -> Origin {
        Origin::raw(|request| vec![Step::Send(echo(request))])
    }

    /// Answers each request with these very bytes, and keeps the connection.
    pub fn fixed(bytes: impl Into<Vec<u8>>) -> Origin {
        let bytes = bytes.into();
        Origin::raw(move |_| vec![Step::Send(bytes.clone())])
    }

    /// Does about each whole request what the script says.
    pub fn raw(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Origin {
        Origin::start("127.0.0.1:0", Box::new(script), Kind::Whole)
    }

    /// Does about each request what the script says as soon as its head is there. The script gets it
    /// without a body; [`Step::ReadBody`] reads that, and only then is it in [`Origin::received`]
    /// with one.
    pub fn early(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Origin {
        Origin::start("127.0.0.1:0", Box::new(script), Kind::Early)
    }

    /// Like [`Origin::raw`], at an address of the caller's.
    pub fn at(
        address: &str,
        script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) -> Origin {
        Origin::start(address, Box::new(script), Kind::Whole)
    }

    /// Like [`Origin::at`], but remembers nothing of what it served: for the demo, which may run long.
    pub fn forgetful(
        address: &str,
        script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) -> Origin {
        Origin::start(address, Box::new(script), Kind::Forgetful)
    }

    fn start(address: &str, script: Box<Script>, kind: Kind) -> Origin {
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            script,
            kind,
            received: Mutex::default(),
            connections: Mutex::default(),
            open: AtomicUsize::new(0),
            bytes_sent: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, stream) = (Arc::clone(&accepting), Arc::new(stream));
                let number = shared.add(&stream);
                std::thread::spawn(move || {
                    // A connection that breaks is what many tests are about.
                    let _ = shared.serve(&stream, number);
                    drop(stream);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Origin { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, as `servers` wants it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order of their heads.
    pub fn received(&self) -> Vec<Request> {
        self.shared.received().clone()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.shared.received().len()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections().len()
    }

    /// How many of them are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Bytes of answers that the connections took.
    pub fn bytes_sent(&self) -> u64 {
        self.shared.bytes_sent.load(Ordering::SeqCst)
    }

    /// Waits for the request of this number, from 0.
    #[track_caller]
    pub fn request(&self, number: usize) -> Request {
        eventually("the request at the origin", || {
            self.shared.received().get(number).cloned()
        })
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then lets the port go.
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.connections().iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Vec<Request>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<TcpStream>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, stream: &Arc<TcpStream>) -> usize {
        let _ = stream.set_nodelay(true);
        self.open.fetch_add(1, Ordering::SeqCst);
        let mut connections = self.connections();
        if self.kind != Kind::Forgetful {
            connections.push(Arc::downgrade(stream));
        }
        connections.len().saturating_sub(1)
    }

    /// Which of the remembered requests this is.
    fn note(&self, request: &Request) -> usize {
        let mut received = self.received();
        if self.kind != Kind::Forgetful {
            received.push(request.clone());
        }
        received.len().saturating_sub(1)
    }

    fn serve(&self, stream: &TcpStream, number: usize) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(mut request) = read_request_head(&mut reader)? {
            request.connection = number;
            if self.kind != Kind::Early {
                request = read_request_body(&mut reader, request)?;
            }
            let index = self.note(&request);
            for step in (self.script)(&request) {
                if !self.step(stream, &mut reader, index, step)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the connection goes on.
    fn step(
        &self,
        mut stream: &TcpStream,
        reader: &mut impl Read,
        index: usize,
        step: Step,
    ) -> std::io::Result<bool> {
        match step {
            Step::Send(bytes) => {
                stream.write_all(&bytes)?;
                self.bytes_sent
                    .fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
            Step::Flood(mut left) => {
                let block = [b'x'; 16 << 10];
                while left > 0 {
                    let length = usize::try_from(left).map_or(block.len(), |n| n.min(block.len()));
                    let sent = stream.write(&block[..length])? as u64;
                    self.bytes_sent.fetch_add(sent, Ordering::SeqCst);
                    left -= sent;
                }
            }
            Step::Repeat(bytes) => loop {
                let sent = stream.write(&bytes)? as u64;
                self.bytes_sent.fetch_add(sent, Ordering::SeqCst);
            },
            Step::Wait(time) => std::thread::sleep(time),
            Step::WaitFor(gate) => return Ok(gate.wait()),
            Step::ReadBody => {
                let request = self.received().get(index).cloned().unwrap_or_default();
                let whole = read_request_body(reader, request)?;
                if let Some(place) = self.received().get_mut(index) {
                    *place = whole;
                }
            }
            Step::Close => {
                // What is unread would make the kernel reset the connection, and cut the answer.
                stream.shutdown(Shutdown::Write)?;
                let _ = std::io::copy(reader, &mut std::io::sink());
                return Ok(false);
            }
            Step::Reset => {
                rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
                return Ok(false);
            }
            Step::Abandon => return Ok(false),
        }
        Ok(true)
    }
}

/// A 200 with this body and its length.
pub fn ok(content_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A 200 in chunks, with its end.
pub fn chunked(chunks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in chunks {
        bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend(*chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// A 200 that says, as JSON, what was received: `method`, `target`, `headers` (an array of names and
/// values, in order) and `body`. Bytes are characters of the same number.
pub fn echo(request: &Request) -> Vec<u8> {
    let headers = request.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| json!([name, latin1(value)]))
        .collect();
    let body = json!({
        "method": request.method,
        "target": request.target,
        "headers": headers,
        "body": latin1(&request.body),
    });
    let answer = ok("application/json", body.to_string());
    if request.method == "HEAD" {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        return answer[..end.map_or(answer.len(), |end| end + 4)].to_vec();
    }
    answer
}
