//! The benchmark's client. It makes a fixed number of GETs over kept connections and prints one line of
//! JSON: how many, in which time, what went wrong. Arguments are `key=value`:
//!
//! | key | |
//! |---|---|
//! | `address` | of the server, required |
//! | `path` | `/` by default; `{}` in it becomes 0 to `paths` - 1, in turn |
//! | `paths` | 1 by default |
//! | `header` | `name: value`, any number of times |
//! | `requests` | how many, required |
//! | `connections` | 1 by default |
//! | `length` | what `content-length` every response must have |
//! | `rate` | requests per second; without it each connection asks again as soon as it is answered |
//! | `hold` | `true`: every connection makes one request, one after another, and is then kept open until standard input ends |
//!
//! At a rate, latency counts from the moment at which a request was due, not from when a connection
//! came free for it: a server that stalls is charged for all who would have come meanwhile.

mod connection;
mod drive;
mod options;
mod tally;

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use connection::Connection;
use options::Options;
use tally::Tally;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    if options.hold {
        return hold(&options);
    }
    // Else a sleep that ends at a time ends up to 50 us after it. Where it cannot be set, latencies at a
    // rate are that much too long, for all servers alike.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    println!("{}", drive::drive(&options)?.json());
    Ok(())
}

/// Opens connections that do nothing, for as long as someone wants them.
fn hold(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut tally = Tally::start(options);
    let mut buffer = vec![0; connection::READ_BYTES];
    let mut kept = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        let mut connection = Connection::open(options.address)?;
        connection.send(options.request(number))?;
        loop {
            if let Some(response) = connection.read(&mut buffer)? {
                tally.count(response);
                break;
            }
        }
        kept.push(connection);
    }
    println!("{}", tally.json());
    stdout().flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
