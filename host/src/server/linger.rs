//! The end of a connection, in stages (RFC 9112, section 9.6): what is closed while its client still sends is
//! reset by the kernel, and with it goes the answer that the client has not read yet.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::limits;

/// Closes our side, and reads on until the client closes its own, for some seconds and at most as many bytes.
pub async fn close(mut stream: TcpStream, bytes_max: usize) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let end = Instant::now() + limits::client::LINGER;
    let mut left = bytes_max;
    loop {
        let now = Instant::now();
        let silence = limits::client::LINGER_SILENCE.min(end.saturating_duration_since(now));
        if left == 0 || silence.is_zero() {
            return;
        }
        match tokio::time::timeout(silence, stream.readable()).await {
            Ok(Ok(())) => {}
            _ => return,
        }
        match drop_some(&stream) {
            Ok(0) => return,
            Ok(bytes) => left = left.saturating_sub(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        // A client that sends without end is one of many.
        tokio::task::yield_now().await;
    }
}

/// Reads what is there, up to a turn's worth, and answers how much it was; 0 is the end.
fn drop_some(stream: &TcpStream) -> io::Result<usize> {
    let mut block = [0; 16 << 10];
    let mut sum = 0;
    while sum < limits::client::PEER_TURN_BYTES {
        match stream.try_read(&mut block) {
            Ok(0) if sum == 0 => return Ok(0),
            Ok(0) => break,
            Ok(bytes) => sum += bytes,
            Err(_) if sum > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}
