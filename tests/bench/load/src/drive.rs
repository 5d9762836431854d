//! Drives all connections from one thread.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::connection::{Connection, READ_BYTES};
use crate::options::Options;
use crate::tally::Tally;

/// After this long without any event the server is taken for dead.
const STALL: Duration = Duration::from_secs(30);

struct Driver<'o> {
    options: &'o Options,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Those that wait for a request, longest first, so that all of them are used.
    free: VecDeque<usize>,
    /// When the request that each has in flight was due.
    due: Vec<Instant>,
    sent: usize,
    tally: Tally,
}

pub fn drive(options: &Options) -> Result<Tally> {
    let mut driver = Driver {
        options,
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        connections: Vec::with_capacity(options.connections),
        free: (0..options.connections).collect(),
        due: Vec::new(),
        sent: 0,
        tally: Tally::start(options),
    };
    for slot in 0..options.connections {
        let connection = driver.open(slot)?;
        driver.connections.push(connection);
    }
    driver.due = vec![Instant::now(); options.connections];
    driver.tally = Tally::start(options);
    driver.run()?;
    driver.tally.end();
    Ok(driver.tally)
}

impl Driver<'_> {
    fn open(&self, slot: usize) -> Result<Connection> {
        let connection = Connection::open(self.options.address)?;
        connection.stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(slot as u64);
        epoll::add(&self.epoll, &connection.stream, data, epoll::EventFlags::IN)?;
        Ok(connection)
    }

    fn run(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(self.options.connections);
        let mut buffer = vec![0; READ_BYTES];
        while self.tally.requests < self.options.requests {
            let wait = self.send_what_is_due()?;
            let timeout = Timespec::try_from(wait.unwrap_or(STALL))
                .map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if events.is_empty() && wait.is_none() {
                return Err(Error::new(ErrorKind::TimedOut, "no answer for 30 s"));
            }
            for event in events.drain(..) {
                let slot = usize::try_from(event.data.u64()).expect("a slot's number");
                self.receive(slot, &mut buffer)?;
            }
        }
        Ok(())
    }

    /// Sends on free connections, and says how long it is to the next request that one is free for.
    fn send_what_is_due(&mut self) -> Result<Option<Duration>> {
        while self.sent < self.options.requests {
            let Some(&slot) = self.free.front() else {
                return Ok(None);
            };
            let now = Instant::now();
            let due = match self.options.interval {
                Some(interval) => self.tally.started + interval.mul_f64(self.sent as f64),
                None => now,
            };
            if due > now {
                return Ok(Some(due - now));
            }
            self.free.pop_front();
            self.due[slot] = due;
            let sent = self.connections[slot].send(self.options.request(self.sent));
            self.sent += 1;
            if let Err(error) = sent {
                self.broke(slot, &error)?;
            }
        }
        Ok(None)
    }

    fn receive(&mut self, slot: usize, buffer: &mut [u8]) -> Result<()> {
        match self.connections[slot].read(buffer) {
            Ok(None) => {}
            Ok(Some(response)) => {
                self.tally.count(response);
                self.tally.took(self.due[slot].elapsed());
                self.free.push_back(slot);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.broke(slot, &error)?,
        }
        Ok(())
    }

    /// A connection that was closed while nothing was asked on it is only replaced.
    fn broke(&mut self, slot: usize, error: &Error) -> Result<()> {
        if !self.free.contains(&slot) {
            self.tally.fault(error.to_string());
            self.free.push_back(slot);
        }
        // Closing takes the old one out of the set.
        self.connections[slot] = self.open(slot)?;
        Ok(())
    }
}
