//! One server, and the connections to it: opened, and kept when a response has ended.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::net::TcpStream;

use super::driver::Parked;
use super::framing::Reuse;
use super::open::Open;
use crate::error::{Failure, FailureKind};
use crate::limits;

/// One server, and the connections to it that wait for work.
pub struct Server {
    /// Host and port.
    pub name: Arc<str>,
    host: String,
    port: u16,
    /// By the worker whose reactor they belong to.
    idle: Box<[Mutex<Vec<IdleConnection>>]>,
}

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// Tells this thread which of the workers it is, so that it keeps connections of its own.
pub fn keep_connections_as(worker: usize) {
    WORKER.set(worker);
}

struct IdleConnection {
    open: Open,
    since: Instant,
    /// When it may be used again.
    from: Instant,
}

impl Server {
    pub fn new(authority: &http::uri::Authority, workers: usize) -> Self {
        let host = authority.host();
        Server {
            name: authority.as_str().into(),
            // The brackets of an IPv6 address belong to the URL, not to the address.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            idle: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The connections of this thread that wait for work.
    fn idle(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        let own = &self.idle[WORKER.get() % self.idle.len()];
        own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last and still stands.
    pub fn reuse(&self) -> Option<Open> {
        let now = Instant::now();
        loop {
            let mut kept = {
                let mut idle = self.idle();
                let newest = idle.iter().rposition(|kept| kept.from <= now)?;
                idle.remove(newest)
            };
            if now.duration_since(kept.since) <= limits::upstream::UPSTREAM_IDLE
                && kept.open.is_ready()
            {
                return Some(kept.open);
            }
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// If the server accepts none in time, or this machine has none to give.
    pub async fn connect(self: &Arc<Self>, within: Duration) -> Result<Open, Failure> {
        let opening = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        let stream = match tokio::time::timeout(within, opening).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unconnected(&error)),
            Err(_) => {
                let detail = format!("{} accepted no connection within {within:?}", self.name);
                return Err(Failure::new(FailureKind::ConnectTimeout, detail));
            }
        };
        Open::new(stream, self.as_parked()).await.map_err(|error| {
            Failure::new(FailureKind::Unreachable, format!("{}: {error}", self.name))
        })
    }

    /// What its connections tell that they have ended while they rest.
    pub fn as_parked(self: &Arc<Self>) -> Weak<dyn Parked> {
        let weak: Weak<Server> = Arc::downgrade(self);
        weak
    }

    /// Whose fault it is that there is no connection.
    fn unconnected(&self, error: &io::Error) -> Failure {
        if !is_own_want(error) {
            let detail = format!("{}: {error}", self.name);
            return Failure::new(FailureKind::Unreachable, detail);
        }
        let detail = format!("no socket for a connection to {}: {error}", self.name);
        complain(&detail);
        Failure::new(FailureKind::Exhausted, detail)
    }

    /// Keeps a connection whose response has ended.
    pub fn keep(&self, mut open: Open, reuse: Reuse) {
        if !open.rests() {
            return;
        }
        let since = Instant::now();
        let from = match reuse {
            Reuse::AtOnce => since,
            Reuse::AfterQuiet => since + limits::upstream::UPSTREAM_QUIET,
            Reuse::Never => return,
        };
        let mut idle = self.idle();
        // The oldest stand first; the newest are taken first.
        let stale = idle
            .iter()
            .take_while(|kept| since.duration_since(kept.since) > limits::upstream::UPSTREAM_IDLE)
            .count();
        idle.drain(..stale);
        if idle.len() < limits::upstream::UPSTREAM_IDLE_CONNECTIONS_MAX.div_ceil(self.idle.len()) {
            idle.push(IdleConnection { open, since, from });
        }
    }
}

impl Parked for Server {
    fn drop_ended(&self) {
        self.idle().retain_mut(|kept| kept.open.rests());
    }
}

/// Whether a connection failed for what this machine has no more of: descriptors, memory, ports.
fn is_own_want(error: &io::Error) -> bool {
    let own = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    let number = error.raw_os_error();
    number.is_some_and(|number| own.contains(&Errno::from_raw_os_error(number)))
}

/// Says once in a while that requests fail for want of sockets: each has it in its record.
fn complain(detail: &str) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() >= limits::upstream::COMPLAINT_INTERVAL) {
        *last = Some(Instant::now());
        tracing::error!(
            "{detail}; requests are answered 503: raise the limit of open files or of ports"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_our_own_is_told_from_the_servers_refusal() {
        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for own in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            assert!(is_own_want(&of(own)), "{own}");
        }
        for others in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT] {
            assert!(!is_own_want(&of(others)), "{others}");
        }
        assert!(!is_own_want(&io::Error::other("no such name")));
    }
}
