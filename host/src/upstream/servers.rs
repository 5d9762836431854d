//! The servers that the process knows: one that an edited configuration still names keeps its connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::uri::Authority;

use super::server::Server;

/// Held weakly: a server goes with the last upstream that has it.
pub struct Servers {
    known: Mutex<HashMap<Name, Weak<Server>>>,
    workers: usize,
}

/// Two upstreams share no server: what one of them is told of it is not the other's to know.
#[derive(PartialEq, Eq, Hash)]
struct Name {
    upstream: Arc<str>,
    authority: Authority,
}

impl Servers {
    /// `workers`: how many threads keep connections.
    pub fn new(workers: usize) -> Self {
        Servers {
            known: Mutex::default(),
            workers,
        }
    }

    /// The server of this address that the upstream has, or a new one.
    pub(super) fn get(&self, upstream: &Arc<str>, authority: Authority) -> Arc<Server> {
        let name = Name {
            upstream: Arc::clone(upstream),
            authority,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = known.get(&name).and_then(Weak::upgrade) {
            return server;
        }
        let server = Arc::new(Server::new(&name.authority, self.workers));
        known.insert(name, Arc::downgrade(&server));
        server
    }

    /// Forgets the names of those that are gone.
    pub fn tidy(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, server| server.strong_count() > 0);
    }
}
