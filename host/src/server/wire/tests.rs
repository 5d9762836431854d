use http::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::*;

const OWN: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n";

const HALF_CLOSED: Duration = Duration::from_millis(100);

/// A wire whose kernel takes little, and its client's end.
async fn wire() -> (Wire, Arc<Turns>, Arc<Barren>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(4 << 10).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let connecting = socket.connect(address);
    let (stream, accepted) = tokio::join!(connecting, listener.accept());
    let (turns, barren) = (Arc::new(Turns::default()), Barren::new());
    let stall = StallGuard::new(stream.expect("a stream"), 0);
    let wire = Wire::new(stall, &turns, &barren, HALF_CLOSED);
    (wire, turns, barren, accepted.expect("a stream").0)
}

/// What hyper holds to be written: heads, and behind them bodies.
struct Held {
    heads: Vec<u8>,
    bodies: Vec<u8>,
}

impl Held {
    /// Writes what the wire takes at once.
    fn write(&mut self, wire: &mut Wire) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        while !self.heads.is_empty() || !self.bodies.is_empty() {
            let slices = [IoSlice::new(&self.heads), IoSlice::new(&self.bodies)];
            let slices = &slices[usize::from(self.heads.is_empty())..];
            match Pin::new(&mut *wire).poll_write_vectored(&mut context, slices) {
                Poll::Pending => return,
                Poll::Ready(written) => {
                    let written = written.expect("a write");
                    let of_heads = written.min(self.heads.len());
                    self.heads.drain(..of_heads);
                    self.bodies.drain(..written - of_heads);
                }
            }
        }
        let flushed = Pin::new(wire).poll_flush(&mut context);
        assert!(matches!(flushed, Poll::Ready(Ok(()))));
    }

    /// Writes all of it to a client that reads, and answers what that has read.
    async fn write_all(&mut self, wire: &mut Wire, client: &mut TcpStream) -> Vec<u8> {
        let mut read = Vec::new();
        let mut block = vec![0; 64 << 10];
        loop {
            self.write(wire);
            let pause = Duration::from_millis(50);
            match tokio::time::timeout(pause, client.read(&mut block)).await {
                Ok(count) => read.extend_from_slice(&block[..count.expect("a read")]),
                Err(_) if self.heads.is_empty() && self.bodies.is_empty() => return read,
                Err(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_hypers_own_is_held_back() {
    let (mut wire, turns, _, mut client) = wire().await;
    for answered in 0..3 {
        assert!(wire.is_at_rest());
        let turn = turns.begin(Version::HTTP_11);
        assert!(!wire.is_at_rest());
        let mut held = Held {
            heads: b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
            bodies: Vec::new(),
        };
        held.write(&mut wire);
        held.heads = b"head".to_vec();
        held.write(&mut wire);
        held.bodies = b"body".to_vec();
        drop(turn);
        let read = held.write_all(&mut wire, &mut client).await;
        assert_eq!(read, b"HTTP/1.1 100 Continue\r\n\r\nheadbody", "{answered}");
        assert_eq!(wire.refused(), None);
    }
    let mut held = Held {
        heads: OWN.to_vec(),
        bodies: Vec::new(),
    };
    assert_eq!(held.write_all(&mut wire, &mut client).await, b"");
    assert_eq!(wire.refused(), Some(431));
    assert!(wire.is_at_rest());
}

/// hyper puts its own answer before the rest of the body that it has not written yet.
#[tokio::test]
async fn an_answer_before_it_stays_whole() {
    for large_head in [false, true] {
        let (mut wire, turns, _, mut client) = wire().await;
        let turn = turns.begin(Version::HTTP_11);
        let (head, body) = if large_head {
            (8_000_000, 10)
        } else {
            (10, 8_000_000)
        };
        let mut held = Held {
            heads: vec![b'h'; head],
            bodies: vec![b'b'; body],
        };
        drop(turn);
        held.write(&mut wire);
        assert!(!held.bodies.is_empty(), "the kernel took all of it");
        assert_eq!(held.heads.is_empty(), !large_head);
        held.heads.extend_from_slice(OWN);
        let read = held.write_all(&mut wire, &mut client).await;
        assert_eq!(read.len(), head + body);
        assert!(read[..head].iter().all(|byte| *byte == b'h'));
        assert!(read[head..].iter().all(|byte| *byte == b'b'));
        assert_eq!(wire.refused(), Some(431));
        assert!(wire.is_at_rest());
    }
}

async fn read(wire: &mut Wire) -> io::Result<usize> {
    let mut block = [0; 100];
    wire.read(&mut block).await
}

#[tokio::test]
async fn the_end_is_told_at_once_where_nothing_is_owed() {
    let (mut idle, ..) = wire().await;
    assert_eq!(read(&mut idle).await.expect("the end"), 0);
    let (mut uploading, turns, barren, client) = wire().await;
    let _turn = turns.begin(Version::HTTP_11);
    barren.open_body();
    barren.await_body(true);
    drop(client);
    assert_eq!(read(&mut uploading).await.expect("the end"), 0);
}

#[tokio::test]
async fn the_end_is_held_back_from_an_answer_for_a_while() {
    let (mut wire, turns, _, mut client) = wire().await;
    let turn = turns.begin(Version::HTTP_11);
    client.shutdown().await.expect("a socket");
    let started = Instant::now();
    assert_eq!(read(&mut wire).await.expect("the end"), 0);
    assert!(started.elapsed() >= HALF_CLOSED);
    drop(turn);
}

#[tokio::test]
async fn what_came_since_the_last_request_is_known() {
    let (mut wire, turns, _, mut client) = wire().await;
    client.write_all(b"GET").await.expect("a write");
    assert_eq!(read(&mut wire).await.expect("bytes"), 3);
    assert_eq!(wire.seen(), b"GET");
    let turn = turns.begin(Version::HTTP_11);
    assert_eq!(wire.seen(), b"");
    client.write_all(b"body").await.expect("a write");
    assert_eq!(read(&mut wire).await.expect("bytes"), 4);
    drop(turn);
    let mut held = Held {
        heads: b"answer".to_vec(),
        bodies: Vec::new(),
    };
    held.write(&mut wire);
    for part in ["PO", "ST"] {
        client.write_all(part.as_bytes()).await.expect("a write");
        assert_eq!(read(&mut wire).await.expect("bytes"), 2);
    }
    assert_eq!(wire.seen(), b"POST");
}
