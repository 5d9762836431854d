//! Who moves the bytes of a connection.
//!
//! hyper leaves that to a task of its own for each connection. Two tasks that hand every message back and
//! forth cost as much as parsing it does, so where there is nothing but an answer to wait for, the task
//! that waits for it moves the bytes itself. An upload goes on while its answer is not being read, and
//! does so in a task.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use hyper::client::conn::http1::Connection;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::connection::Server;
use crate::http::body::RequestBody;

type Http1 = Connection<TokioIo<TcpStream>, RequestBody>;

/// How often a connection is polled in a row while it wakes itself. It does so a few times for one
/// message; more are left for the task's next turn, since tokio may be asking the task to give way.
const ROUNDS: usize = 8;

pub enum Driver {
    /// A task of its own.
    Task(AbortHandle),
    Here(Box<Here>),
}

impl Driver {
    pub fn here(connection: Http1, server: Weak<Server>) -> Self {
        let relay = Arc::new(Relay {
            server,
            state: Mutex::default(),
        });
        Driver::Here(Box::new(Here {
            waker: Arc::clone(&relay).into(),
            connection: Some(connection),
            relay,
        }))
    }

    /// Gives the connection a task of its own.
    pub fn spawn(&mut self) {
        let Driver::Here(here) = self else { return };
        let connection = here.connection.take();
        let task = tokio::spawn(async move {
            if let Some(connection) = connection
                && let Err(error) = connection.await
            {
                // Whoever waits for an answer on it is told by `send`.
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        *self = Driver::Task(task.abort_handle());
    }

    /// Polls what comes out of the connection, and moves the bytes it needs.
    pub fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut out: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match self {
            Driver::Task(_) => out(context),
            Driver::Here(here) => here.poll(context, out),
        }
    }

    /// Begins an exchange: what wakes the connection from here on is seen by the next poll.
    pub fn begin(&mut self) {
        if let Driver::Here(here) = self {
            here.relay.enter(None);
        }
    }

    /// Lets a connection come to rest that nobody waits for. It then wakes nobody; if something comes on
    /// it, which can only be its end, it is looked at by its server.
    pub fn rest(&mut self) {
        if let Driver::Here(here) = self {
            here.relay.enter(None);
            here.settle();
            here.relay.leave();
        }
    }

    /// Whether something has come on a connection since it rests.
    pub fn was_disturbed(&self) -> bool {
        match self {
            Driver::Task(_) => true,
            Driver::Here(here) => here.relay.lock().woken,
        }
    }
}

/// A connection without a task.
pub struct Here {
    /// Gone once it has ended.
    connection: Option<Http1>,
    relay: Arc<Relay>,
    /// The relay as a waker.
    waker: Waker,
}

impl Here {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut out: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.relay.enter(Some(context.waker()));
        let mut polled = Poll::Pending;
        self.rounds(|inner| {
            polled = out(inner);
            polled.is_ready()
        });
        if self.relay.leave() && polled.is_pending() {
            context.waker().wake_by_ref();
        }
        polled
    }

    fn settle(&mut self) {
        self.rounds(|_| false);
    }

    /// Moves bytes until nothing wakes, or `done`.
    fn rounds(&mut self, mut done: impl FnMut(&mut Context<'_>) -> bool) {
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..ROUNDS {
            if done(&mut inner) {
                return;
            }
            if let Some(connection) = &mut self.connection
                && let Poll::Ready(ended) = Pin::new(connection).poll(&mut inner)
            {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to an upstream ended");
                }
                // What waits for something of it is told so by its end.
                self.connection = None;
            }
            if !self.relay.was_woken() {
                return;
            }
        }
        // Not seen to the end: to be polled again.
        self.relay.lock().woken = true;
    }
}

/// Passes on who is to be woken, from outside; what the connection and its reader wake in each other
/// while they are being polled is only noted, since they are polled again at once.
struct Relay {
    server: Weak<Server>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    task: Option<Waker>,
    polling: bool,
    woken: bool,
}

impl Relay {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, task: Option<&Waker>) {
        let mut state = self.lock();
        state.polling = true;
        state.woken = false;
        match (&mut state.task, task) {
            (Some(known), Some(task)) => known.clone_from(task),
            (known, task) => *known = task.cloned(),
        }
    }

    fn was_woken(&self) -> bool {
        std::mem::take(&mut self.lock().woken)
    }

    /// Answers whether there is more to do.
    fn leave(&self) -> bool {
        let mut state = self.lock();
        state.polling = false;
        std::mem::take(&mut state.woken)
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.polling {
            state.woken = true;
            return;
        }
        match state.task.clone() {
            Some(task) => {
                drop(state);
                task.wake();
            }
            None => {
                state.woken = true;
                drop(state);
                if let Some(server) = self.server.upgrade()
                    && let Ok(runtime) = tokio::runtime::Handle::try_current()
                {
                    runtime.spawn(async move { server.drop_ended() });
                }
            }
        }
    }
}
