//! Drives the real binary over real sockets: [`Gateway`] starts one on free ports, [`Origin`] is the
//! scripted upstream behind it, [`guest`] finds the components that it runs.
//!
//! Nothing here sleeps: what has to happen first is waited for, on a [`Gate`] or on a line of output,
//! and every wait has a bound after which the test fails with what it saw.

mod binary;
mod folder;
mod gate;
mod gateway;
mod message;
mod origin;
mod output;
mod reload;

pub use binary::{binary, guest, repository, target};
pub use folder::Folder;
pub use gate::{Gate, eventually};
pub use gateway::{Builder, Check, Client, Gateway, check};
pub use message::{Request, Response, latin1, read_request, read_response, unlatin1};
pub use origin::{Origin, Step, chunked, echo, ok};
pub use output::{Output, series};
pub use reload::replace;

use std::time::Duration;

/// How long a test waits for what it expects, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An address on which nobody listens.
pub fn dead_address() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}
